//! The way to the device: native host, its channel, the connection to the client, and whether the device can play.
//!
//! Sans-IO: bytes, times and the fate of the native port come in; what to send and what has happened go out.

use std::collections::VecDeque;
use std::time::Duration;

use offstage_protocol::frame::{BRIDGE_STREAM, PLAYER_STREAM};
use offstage_protocol::message::{
    BridgeKind, BridgeMessage, FromDevice, FromDeviceKind, Hello, LogChunk, LogControl, Metrics,
    SessionWindows, ToDevice, ToDeviceKind, WatchWindows,
};
use offstage_protocol::prost::Message as _;
use offstage_protocol::{
    ErrorCode, FEATURE_CALLS, FEATURE_FILES, FEATURE_LOGS, FEATURE_REMOTE_WINDOW, FEATURE_SHAPES,
    FEATURE_SINGLE_WINDOWS, FEATURE_WINDOWS, Frame, FrameReader, Monotonic, Mux, MuxConfig, MuxEvent,
    PROTOCOL_MAX, PROTOCOL_MIN,
};

use crate::collect::Part;

/// Most bytes of frames in one native message.
const MOST_A_MESSAGE: usize = 512 * 1024;
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(10);
/// A link on which nothing came for longer misses the answer to a ping.
const SILENT: Duration = offstage_protocol::mux::PING_INTERVAL.saturating_add(Duration::from_secs(1));

/// What the shell must do.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkAction {
    /// Open the native port.
    Connect,
    /// Close it; it is of no use any more.
    Disconnect,
    /// Whole frames for the native host.
    Send(Vec<u8>),
}

/// What the rest of the core must know.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkEvent {
    /// The device can play from now on; whatever it played before is gone.
    Ready,
    /// It can't (any more), and why.
    Lost(ErrorCode),
    Device(FromDeviceKind),
    Log {
        level: String,
        text: String,
    },
    Collected(Part, LogChunk),
    /// The session's windows have changed.
    WindowsChanged,
}

/// See the module.
#[derive(Debug)]
pub struct DeviceLink {
    version: String,
    wanted: bool,
    port_open: bool,
    retry_at: Option<Monotonic>,
    retry_after: Duration,
    reader: FrameReader,
    bridge_sequence: u32,
    bridge_version: Option<String>,
    channel: String,
    mux: Option<Mux>,
    client_version: Option<String>,
    client_features: Vec<String>,
    bridge_features: Vec<String>,
    log_control: LogControl,
    /// The bridge has been asked for the session's windows, and what it has told since.
    watches: bool,
    windows: Option<SessionWindows>,
    /// Bytes of frames to and from the bridge.
    pub sent: u64,
    pub received: u64,
    engine: String,
    ready: bool,
    status: ErrorCode,
    actions: VecDeque<LinkAction>,
    events: VecDeque<LinkEvent>,
}

impl DeviceLink {
    #[must_use]
    pub fn new(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            wanted: false,
            port_open: false,
            retry_at: None,
            retry_after: FIRST_RETRY,
            reader: FrameReader::new(),
            bridge_sequence: 0,
            bridge_version: None,
            channel: String::new(),
            mux: None,
            client_version: None,
            client_features: Vec::new(),
            bridge_features: Vec::new(),
            log_control: LogControl::default(),
            watches: false,
            windows: None,
            sent: 0,
            received: 0,
            engine: String::new(),
            ready: false,
            status: ErrorCode::CLIENT_UNREACHABLE,
            actions: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Whether players may be opened.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Why not, while [`Self::is_ready`] is false.
    #[must_use]
    pub fn status(&self) -> ErrorCode {
        self.status
    }

    /// The extension's own.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Bridge, client and engine, as far as known.
    #[must_use]
    pub fn versions(&self) -> (Option<&str>, Option<&str>, &str) {
        (self.bridge_version.as_deref(), self.client_version.as_deref(), &self.engine)
    }

    /// The way to the device that the bridge takes or tries, as in [`ChannelUp::kind`]; empty if it hasn't told.
    #[must_use]
    pub fn channel(&self) -> &str {
        if self.port_open { &self.channel } else { "" }
    }

    /// Whether the client has named an optional ability.
    #[must_use]
    pub fn peer_knows(&self, feature: &str) -> bool {
        self.client_features.iter().any(|known| known == feature)
    }

    /// Whether bridge and client collect lines.
    #[must_use]
    pub fn collectors(&self) -> [bool; 2] {
        let knows = |features: &[String]| features.iter().any(|known| known == FEATURE_LOGS);
        let bridge = self.port_open && knows(&self.bridge_features);
        [bridge, self.client_version.is_some() && knows(&self.client_features)]
    }

    /// How the other parts log from now on.
    pub fn set_log_control(&mut self, control: LogControl) {
        if self.log_control != control {
            self.log_control = control;
            let [bridge, client] = self.collectors();
            if bridge {
                self.tell_bridge(BridgeKind::LogControl(self.log_control.clone()));
            }
            if client {
                self.tell_client_how_to_log();
            }
        }
    }

    fn tell_client_how_to_log(&mut self) {
        let kind = Some(ToDeviceKind::LogControl(self.log_control.clone()));
        if let Some(mux) = self.mux.as_mut() {
            // A full queue costs the client's lines in the bundle, which says so.
            mux.send(PLAYER_STREAM, ToDevice { kind }.encode_to_vec()).ok();
        }
    }

    /// Gives the bridge counters to show.
    pub fn show(&mut self, metrics: Metrics) {
        if self.port_open {
            self.tell_bridge(BridgeKind::Metrics(metrics));
        }
    }

    /// The client shows all of the session's screen: what covers the browser there has to be known.
    #[must_use]
    pub fn is_remote_window(&self) -> bool {
        self.ready && self.peer_knows(FEATURE_REMOTE_WINDOW)
    }

    /// Each of the client's windows shows one of the session's.
    #[must_use]
    pub fn has_single_windows(&self) -> bool {
        self.peer_knows(FEATURE_SINGLE_WINDOWS)
    }

    /// The bridge sees the session's windows.
    #[must_use]
    pub fn can_watch_windows(&self) -> bool {
        self.bridge_features.iter().any(|known| known == FEATURE_WINDOWS)
    }

    /// Has the bridge watch the session's windows, as long as the client needs that and something is placed.
    pub fn watch_windows(&mut self, placed: bool) {
        let on = placed && self.can_watch_windows() && self.port_open && self.is_remote_window();
        if self.watches != on {
            self.watches = on;
            self.windows = None;
            self.tell_bridge(BridgeKind::WatchWindows(WatchWindows { on }));
        }
    }

    /// What the bridge has told last, while it watches.
    #[must_use]
    pub fn windows(&self) -> Option<&SessionWindows> {
        self.windows.as_ref()
    }

    /// The device's wall clock minus this machine's, in microseconds.
    #[must_use]
    pub fn clock_offset_us(&self) -> i64 {
        self.mux.as_ref().and_then(Mux::peer_clock_offset_us).unwrap_or(0)
    }

    /// Whether the device knows calls.
    #[must_use]
    pub fn knows_calls(&self) -> bool {
        self.ready && self.peer_knows(FEATURE_CALLS)
    }

    /// Whether the device draws pictures that are clipped, turned or translucent.
    #[must_use]
    pub fn knows_shapes(&self) -> bool {
        self.peer_knows(FEATURE_SHAPES)
    }

    /// Bytes that wait to be sent to the device.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.mux.as_ref().map_or(0, Mux::queued_bytes)
    }

    /// The newest one.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.mux.as_ref().and_then(Mux::round_trip)
    }

    /// Nothing comes from the device: what it does can't be known, and soon the link is dead or speaks again.
    #[must_use]
    pub fn is_silent(&self, now: Monotonic) -> bool {
        self.mux.as_ref().is_some_and(|mux| mux.heard_at().after(SILENT) < now)
    }

    /// [`Self::queued_bytes`] of one stream.
    #[must_use]
    pub fn queued_bytes_on(&self, stream: u32) -> usize {
        self.mux.as_ref().map_or(0, |mux| mux.queued_bytes_on(stream))
    }

    /// Opens the native port as soon as something is covered, and keeps it open.
    pub fn want(&mut self, wanted: bool) {
        self.wanted = wanted;
        if wanted && !self.port_open && self.retry_at.is_none() {
            self.connect();
        }
        if !wanted && self.port_open {
            self.actions.push_back(LinkAction::Disconnect);
            self.lose(ErrorCode::SWITCHED_OFF);
            self.port_open = false;
        }
    }

    /// The native port has gone, with the browser's words for it.
    pub fn handle_closed(&mut self, now: Monotonic, reason: &str) {
        if !self.port_open {
            return;
        }
        self.port_open = false;
        let code = if reason.contains("not found") {
            ErrorCode::BRIDGE_NOT_INSTALLED
        } else if reason.contains("forbidden") {
            ErrorCode::BRIDGE_FORBIDDEN
        } else {
            ErrorCode::BRIDGE_EXITED
        };
        self.lose(code);
        if self.wanted {
            self.retry_at = Some(now.after(self.retry_after));
            self.retry_after = (self.retry_after * 2).min(LAST_RETRY);
        }
    }

    /// Frames from the native host.
    pub fn handle_bytes(&mut self, now: Monotonic, wall_us: u64, bytes: &[u8]) {
        if !self.port_open {
            return;
        }
        self.received += bytes.len() as u64;
        self.reader.push(bytes);
        loop {
            match self.reader.next_raw() {
                Ok(None) => break,
                Ok(Some(frame)) if frame.stream == BRIDGE_STREAM => self.handle_bridge(now, frame.payload()),
                Ok(Some(frame)) => {
                    let Some(mux) = self.mux.as_mut() else { continue };
                    if let Err(error) = mux.handle_frame(now, wall_us, frame.as_frame()) {
                        self.fail(now, error.code());
                    }
                }
                Err(error) => return self.fail(now, error.code()),
            }
        }
        self.drain();
    }

    /// Sends a message to the device. `false` if it could not be queued: the player must go back to the session.
    #[must_use]
    pub fn send(&mut self, stream: u32, kind: ToDeviceKind) -> bool {
        let Some(mux) = self.mux.as_mut().filter(|_| self.ready) else { return false };
        mux.send(stream, ToDevice { kind: Some(kind) }.encode_to_vec()).is_ok()
    }

    /// Forgets what is queued for a stream that is no longer needed.
    pub fn close_stream(&mut self, stream: u32) {
        if let Some(mux) = self.mux.as_mut() {
            mux.close_stream(stream);
        }
    }

    pub fn handle_timeout(&mut self, now: Monotonic, wall_us: u64) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            if self.wanted {
                self.connect();
            }
        }
        if let Some(mux) = self.mux.as_mut()
            && let Err(error) = mux.handle_timeout(now, wall_us)
        {
            self.fail(now, error.code());
        }
        self.drain();
    }

    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Monotonic, &'static str)> {
        let retry = self.retry_at.map(|at| (at, "native host retry"));
        let mux = self.mux.as_ref().and_then(Mux::poll_timeout);
        [retry, mux].into_iter().flatten().min()
    }

    #[must_use]
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// What to do next; sends whatever credit allows.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<LinkAction> {
        let transmit = |mux: &mut Mux| mux.poll_transmit(MOST_A_MESSAGE).map(LinkAction::Send);
        let action = self.actions.pop_front().or_else(|| self.mux.as_mut().and_then(transmit))?;
        if let LinkAction::Send(frames) = &action {
            self.sent += frames.len() as u64;
        }
        Some(action)
    }

    fn connect(&mut self) {
        self.reader = FrameReader::new();
        self.bridge_sequence = 0;
        self.channel.clear();
        (self.watches, self.windows) = (false, None);
        self.port_open = true;
        self.actions.push_back(LinkAction::Connect);
        self.tell_bridge(BridgeKind::Hello(Hello {
            component: "extension".into(),
            version: self.version.clone(),
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            ..Hello::default()
        }));
    }

    fn tell_bridge(&mut self, kind: BridgeKind) {
        let payload = BridgeMessage { kind: Some(kind) }.encode_to_vec();
        self.actions.push_back(LinkAction::Send(
            Frame::whole(BRIDGE_STREAM, self.bridge_sequence, &payload).encode(),
        ));
        self.bridge_sequence = self.bridge_sequence.wrapping_add(1);
    }

    fn handle_bridge(&mut self, now: Monotonic, payload: &[u8]) {
        let Ok(BridgeMessage { kind: Some(kind) }) = BridgeMessage::decode(payload) else { return };
        match kind {
            BridgeKind::Hello(hello) => {
                self.retry_after = FIRST_RETRY;
                self.bridge_version = Some(hello.version);
                self.bridge_features = hello.features;
                if self.log_control != LogControl::default() && self.collectors()[0] {
                    self.tell_bridge(BridgeKind::LogControl(self.log_control.clone()));
                }
                if hello.protocol_min > PROTOCOL_MAX || hello.protocol_max < PROTOCOL_MIN {
                    self.lose(ErrorCode::VERSION_MISMATCH);
                }
            }
            BridgeKind::ChannelUp(up) => {
                self.channel = up.kind;
                self.lose(ErrorCode::DEVICE_NOT_READY);
                let mut config = MuxConfig::of_component("extension", &self.version);
                config.hello.epoch = up.epoch;
                config.hello.features.push(FEATURE_FILES.to_owned());
                self.mux = Some(Mux::new(now, config));
            }
            BridgeKind::ChannelDown(down) => {
                self.lose(ErrorCode::from_u32(down.code).unwrap_or(ErrorCode::CLIENT_UNREACHABLE));
            }
            BridgeKind::Log(line) => {
                let text: String = line.text.chars().take(2000).collect();
                self.events.push_back(LinkEvent::Log { level: line.level, text });
            }
            BridgeKind::LogChunk(chunk) => self.events.push_back(LinkEvent::Collected(Part::Bridge, chunk)),
            BridgeKind::Session(session) => self.channel = session.channel,
            BridgeKind::LogControl(_) | BridgeKind::Metrics(_) | BridgeKind::WatchWindows(_) => {}
            BridgeKind::Windows(windows) => {
                // One that was on its way when the watch ended says nothing any more.
                if self.watches {
                    self.windows = Some(windows);
                    self.events.push_back(LinkEvent::WindowsChanged);
                }
            }
        }
    }

    /// What the other end sent is no protocol: start anew with a fresh bridge.
    fn fail(&mut self, now: Monotonic, code: ErrorCode) {
        self.lose(code);
        self.port_open = false;
        self.actions.push_back(LinkAction::Disconnect);
        self.retry_at = Some(now.after(self.retry_after));
        self.retry_after = (self.retry_after * 2).min(LAST_RETRY);
    }

    fn lose(&mut self, code: ErrorCode) {
        self.mux = None;
        self.client_version = None;
        self.set_ready(false, code);
    }

    fn set_ready(&mut self, ready: bool, code: ErrorCode) {
        let changed = ready || self.ready || self.status != code;
        self.ready = ready;
        self.status = code;
        if changed {
            self.events.push_back(if ready { LinkEvent::Ready } else { LinkEvent::Lost(code) });
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.mux.as_mut().and_then(Mux::poll_event) {
            match event {
                MuxEvent::Connected { hello } => {
                    self.client_version = Some(hello.version);
                    self.client_features = hello.features;
                    if self.log_control != LogControl::default() && self.collectors()[1] {
                        self.tell_client_how_to_log();
                    }
                }
                MuxEvent::Closed { code, .. } => return self.lose(code),
                MuxEvent::Message { bytes, .. } => match FromDevice::decode(bytes.as_slice()).map(|m| m.kind)
                {
                    Ok(Some(FromDeviceKind::DeviceChanged(device))) => {
                        self.engine = device.engine.chars().take(100).collect();
                        let code = ErrorCode::from_u32(device.code).unwrap_or(ErrorCode::DEVICE_NOT_READY);
                        self.set_ready(device.ready, code);
                    }
                    Ok(Some(FromDeviceKind::LogChunk(chunk))) => {
                        self.events.push_back(LinkEvent::Collected(Part::Client, chunk));
                    }
                    Ok(Some(kind)) => self.events.push_back(LinkEvent::Device(kind)),
                    Ok(None) => {}
                    Err(_) => return self.lose(ErrorCode::MALFORMED_MESSAGE),
                },
            }
        }
    }
}
