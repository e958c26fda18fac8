//! A session's end of the protocol.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use offstage_protocol::ErrorCode;
use offstage_protocol::Monotonic;
use offstage_protocol::Mux;
use offstage_protocol::MuxConfig;
use offstage_protocol::MuxEvent;
use offstage_protocol::frame::GEOMETRY_STREAM;
use offstage_protocol::frame::PLAYER_STREAM;
use offstage_protocol::message::BufferChanged;
use offstage_protocol::message::DeviceChanged;
use offstage_protocol::message::FromDevice;
use offstage_protocol::message::FromDeviceKind;
use offstage_protocol::message::OpenPlayer;
use offstage_protocol::message::PlayerFailed;
use offstage_protocol::message::Rect;
use offstage_protocol::message::SetGeometry;
use offstage_protocol::message::ToDevice;
use offstage_protocol::message::ToDeviceKind;
use offstage_protocol::message::WindowHint;
use offstage_protocol::prost::Message as _;

use crate::client::LIMIT;

pub(crate) struct Session {
    stream: UnixStream,
    mux: Mux,
    origin: Instant,
    received: VecDeque<FromDeviceKind>,
    pub(crate) closed: Option<ErrorCode>,
    ended: bool,
    geometry_seq: u32,
    /// What the page's side repeats every second.
    repeated: Option<(Instant, SetGeometry)>,
}

impl Session {
    pub(crate) fn connect(socket: &Path) -> Self {
        let config = MuxConfig::of_component("extension", "0.1.0");
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let mux = Mux::new(Monotonic(0), config);
        Self {
            stream,
            mux,
            origin: Instant::now(),
            received: VecDeque::new(),
            closed: None,
            ended: false,
            geometry_seq: 0,
            repeated: None,
        }
    }

    fn now(&self) -> Monotonic {
        Monotonic(self.origin.elapsed().as_micros().try_into().unwrap())
    }

    /// Sends and receives what there is; waits at most 10 ms.
    pub(crate) fn pump(&mut self) {
        let now = self.now();
        self.mux.handle_timeout(now, 0).ok();
        if let Some((at, geometry)) = &mut self.repeated
            && at.elapsed() >= Duration::from_secs(1)
        {
            *at = Instant::now();
            let kind = ToDeviceKind::SetGeometry(Box::new(geometry.clone()));
            self.mux.send(GEOMETRY_STREAM, ToDevice { kind: Some(kind) }.encode_to_vec()).ok();
        }
        self.transmit();
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(read) => {
                let now = self.now();
                self.mux.handle_bytes(now, 0, &buffer[..read]).ok();
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.ended = true,
        }
        while let Some(event) = self.mux.poll_event() {
            match event {
                MuxEvent::Connected { hello } => assert_eq!(hello.component, "client"),
                MuxEvent::Closed { code, .. } => self.closed = Some(code),
                MuxEvent::Message { bytes, .. } => {
                    self.received.extend(FromDevice::decode(bytes.as_slice()).unwrap().kind);
                }
            }
        }
    }

    fn transmit(&mut self) {
        while let Some(bytes) = self.mux.poll_transmit(65536) {
            self.ended |= self.stream.write_all(&bytes).is_err();
        }
    }

    /// Pumps until `done` gives a value.
    pub(crate) fn until<T>(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(value) = done(self) {
                return value;
            }
            assert!(Instant::now() < deadline, "waited too long: {what}");
            self.pump();
        }
    }

    /// Waits for the first message that `wanted` takes; earlier ones are dropped.
    pub(crate) fn wait<T>(&mut self, what: &str, wanted: impl Fn(FromDeviceKind) -> Option<T>) -> T {
        self.until(what, |session| std::iter::from_fn(|| session.received.pop_front()).find_map(&wanted))
    }

    pub(crate) fn wait_device(
        &mut self,
        what: &str,
        wanted: impl Fn(&DeviceChanged) -> bool,
    ) -> DeviceChanged {
        self.wait(what, |kind| {
            if let FromDeviceKind::DeviceChanged(state) = kind { Some(state).filter(&wanted) } else { None }
        })
    }

    /// Waits for the failure of a player.
    pub(crate) fn wait_failed(&mut self) -> PlayerFailed {
        self.wait("a player fails", |kind| {
            if let FromDeviceKind::PlayerFailed(failed) = kind { Some(failed) } else { None }
        })
    }

    /// Waits for the answer to an operation that `wanted` takes.
    pub(crate) fn wait_changed(&mut self, wanted: impl Fn(&BufferChanged) -> bool) -> BufferChanged {
        self.wait("an operation is answered", |kind| {
            if let FromDeviceKind::BufferChanged(changed) = kind {
                Some(changed).filter(&wanted)
            } else {
                None
            }
        })
    }

    pub(crate) fn wait_ready(&mut self) -> DeviceChanged {
        self.wait_device("ready", |state| state.ready)
    }

    /// Waits for the end of the connection; gives the reason that the client sent.
    pub(crate) fn wait_end(&mut self) -> Option<ErrorCode> {
        self.until("the connection ends", |session| session.ended.then_some(()));
        self.closed
    }

    pub(crate) fn send(&mut self, stream: u32, kind: ToDeviceKind) {
        self.mux.send(stream, ToDevice { kind: Some(kind) }.encode_to_vec()).unwrap();
        self.transmit();
    }

    pub(crate) fn send_raw(&mut self, stream: u32, bytes: &[u8]) {
        self.mux.send(stream, bytes.to_vec()).unwrap();
        self.transmit();
    }

    /// Writes bytes past the protocol.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.ended |= self.stream.write_all(bytes).is_err();
    }

    pub(crate) fn open(&mut self, player: u32) {
        self.send(PLAYER_STREAM, ToDeviceKind::OpenPlayer(OpenPlayer { player, ..OpenPlayer::default() }));
    }

    /// Says where the player is, in a window whose outer rectangle is `outer` and whose page begins at
    /// its origin.
    pub(crate) fn place(&mut self, player: u32, outer: Rect, rect: Rect, visible: &[Rect]) {
        self.geometry_seq += 1;
        let window = WindowHint {
            outer: Some(outer),
            viewport_width: outer.width,
            viewport_height: outer.height,
            ..WindowHint::default()
        };
        let geometry = SetGeometry {
            player,
            seq: self.geometry_seq,
            rect: Some(rect),
            visible: visible.to_vec(),
            window: Some(window),
            ..SetGeometry::default()
        };
        self.repeated = Some((Instant::now(), geometry.clone()));
        self.send(GEOMETRY_STREAM, ToDeviceKind::SetGeometry(Box::new(geometry)));
    }

    /// Stops repeating the geometry.
    pub(crate) fn fall_silent(&mut self) {
        self.repeated = None;
    }
}
