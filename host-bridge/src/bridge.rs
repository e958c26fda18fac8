//! The router between the browser and the channel: a machine without I/O and without a clock.
//!
//! Frames of stream [`BRIDGE_STREAM`] are talk between the extension and this bridge. All others are forwarded as they
//! are, while the channel is up and only then. The bridge never looks into them, with one exception: after the channel
//! came up, what the extension sends is dropped until it begins anew, with the first frame of the control stream. What
//! arrives before that was meant for the channel's last epoch.
//!
//! Both directions are bounded: while [`Bridge::wants_browser_bytes`] or [`Bridge::wants_channel_bytes`] is false the
//! caller doesn't read there, and so the sender waits. A queue holds its mark and at most one more message or read.

use std::collections::VecDeque;
use std::time::Duration;

use offstage_protocol::Monotonic;
use offstage_protocol::error::ErrorCode;
use offstage_protocol::frame::BRIDGE_STREAM;
use offstage_protocol::frame::CONTROL_STREAM;
use offstage_protocol::frame::Frame;
use offstage_protocol::frame::FrameReader;
use offstage_protocol::frame::RawFrame;
use offstage_protocol::message::BridgeKind;
use offstage_protocol::message::BridgeMessage;
use offstage_protocol::message::ChannelDown;
use offstage_protocol::message::ChannelUp;
use offstage_protocol::message::Control;
use offstage_protocol::message::ControlKind;
use offstage_protocol::message::Hello;
use offstage_protocol::message::LogChunk;
use offstage_protocol::message::LogControl;
use offstage_protocol::message::LogLine;
use offstage_protocol::message::Metrics;
use offstage_protocol::message::SessionInfo;
use offstage_protocol::message::SessionWindows;
use offstage_protocol::prost::Message as _;

use crate::batches::Batches;
use crate::channel::ChannelError;
use crate::native_message::MAX_BATCH;
use crate::native_message::NativeError;

/// The first wait after a channel went away; each further one is twice as long.
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// The longest wait. A channel that was up for as long makes the next wait short again.
pub const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How long opening a channel may take.
pub const OPEN_LIMIT: Duration = Duration::from_secs(5);

/// How long a channel may be silent. Both ends ping every 2 s and give up after 6 s, so they speak first.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(8);

/// How long a channel may refuse to take a single byte.
pub const STALL_LIMIT: Duration = Duration::from_secs(8);

/// How long the extension may take to say hello.
pub const HELLO_LIMIT: Duration = Duration::from_secs(10);

/// How long what the extension said last may take to reach the channel once the browser has gone.
pub const LINGER_LIMIT: Duration = Duration::from_secs(1);

/// At this many waiting bytes the bridge stops reading on the other side.
pub const QUEUE_MARK: usize = 1 << 20;

/// The most frame bytes handed to the channel at once.
const CHANNEL_BATCH: usize = 64 << 10;

/// Longest text in a log line or a detail for the extension, in bytes.
const MAX_TEXT: usize = 1024;

/// What the bridge says about itself.
#[derive(Clone, Debug)]
pub struct BridgeConfig {
    pub hello: Hello,
    pub session: SessionInfo,
    /// The channel's kind, as in [`ChannelUp::kind`].
    pub channel_kind: &'static str,
}

/// What the caller has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Open the channel and report with this epoch.
    OpenChannel { epoch: u64 },
    /// Close the channel, or stop opening it. Nothing need be reported.
    CloseChannel,
    /// Log like this; what was collected is reported by [`Bridge::handle_collected`].
    Log(LogControl),
    /// Watch the session's windows and report them by [`Bridge::handle_windows`], or do so no longer.
    Watch(bool),
    /// Show these to the machine's monitoring.
    Show(Box<Metrics>),
    /// Give the browser what waits for it, then end the process.
    Exit { clean: bool },
}

/// The router.
#[derive(Debug)]
pub struct Bridge {
    config: BridgeConfig,
    extension: Extension,
    channel: Channel,
    /// Counts the openings that were tried.
    epoch: u64,
    backoff: Duration,
    from_browser: FrameReader,
    from_channel: FrameReader,
    to_browser: Batches,
    to_channel: Batches,
    /// Bytes of the batch that the caller is writing to the channel.
    writing: usize,
    own_sequence: u32,
    /// The extension wants to know the session's windows.
    watches: bool,
    windows_seq: u32,
    told_down: Option<ChannelDown>,
    dropped_lines: u32,
    commands: VecDeque<Command>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// It has not said hello yet.
    Awaited { deadline: Monotonic },
    /// Hellos are exchanged.
    Known,
    /// It speaks no version that we speak. It has been told; nothing more is done for it.
    Refused,
    /// It has gone; what it said last is still on its way.
    Leaving { deadline: Monotonic },
    /// The exit has been ordered.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    /// Not wanted.
    Off,
    Waiting {
        retry_at: Monotonic,
    },
    Opening {
        deadline: Monotonic,
    },
    Up {
        since: Monotonic,
        heard: Monotonic,
        wrote: Monotonic,
        begun: bool,
    },
}

impl Bridge {
    /// A bridge that has just been started by the browser. Its hello waits to be sent.
    #[must_use]
    pub fn new(now: Monotonic, config: BridgeConfig) -> Self {
        let mut bridge = Self {
            extension: Extension::Awaited { deadline: now.after(HELLO_LIMIT) },
            channel: Channel::Off,
            epoch: 0,
            backoff: BACKOFF_MIN,
            from_browser: FrameReader::new(),
            from_channel: FrameReader::new(),
            to_browser: Batches::new(MAX_BATCH),
            to_channel: Batches::new(CHANNEL_BATCH),
            writing: 0,
            own_sequence: 0,
            watches: false,
            windows_seq: 0,
            told_down: None,
            dropped_lines: 0,
            commands: VecDeque::new(),
            config,
        };
        bridge.say(BridgeKind::Hello(bridge.config.hello.clone()));
        bridge
    }

    /// False while the channel is behind: the browser is not to be read.
    #[must_use]
    pub fn wants_browser_bytes(&self) -> bool {
        self.listens() && self.to_channel.len() < QUEUE_MARK
    }

    /// False while the browser is behind: the channel is not to be read.
    #[must_use]
    pub fn wants_channel_bytes(&self) -> bool {
        matches!(self.channel, Channel::Up { .. }) && self.to_browser.len() < QUEUE_MARK
    }

    /// True while [`Self::poll_browser`] has something to give.
    #[must_use]
    pub fn has_browser_batch(&self) -> bool {
        !self.to_browser.is_empty()
    }

    /// Frame bytes from the extension; a frame may be cut anywhere.
    pub fn handle_browser_bytes(&mut self, now: Monotonic, bytes: &[u8]) {
        self.from_browser.push(bytes);
        while self.listens() {
            match self.from_browser.next_raw() {
                Ok(Some(frame)) => self.handle_browser_frame(now, &frame),
                Ok(None) => return,
                Err(error) => {
                    return self.refuse_browser(error.code(), &format!("from the extension: {error}"));
                }
            }
        }
    }

    /// The browser sent what is no native message.
    pub fn handle_browser_error(&mut self, error: &NativeError) {
        self.refuse_browser(error.code(), &format!("from the browser: {error}"));
    }

    /// The browser closed its end: the extension is gone, or the browser.
    pub fn handle_browser_end(&mut self, now: Monotonic) {
        if self.extension == Extension::Gone {
            return;
        }
        self.extension = Extension::Leaving { deadline: now.after(LINGER_LIMIT) };
        self.leave_when_done();
    }

    /// The channel of that epoch is open.
    pub fn handle_channel_open(&mut self, now: Monotonic, epoch: u64) {
        if epoch != self.epoch || !matches!(self.channel, Channel::Opening { .. }) {
            return;
        }
        self.channel = Channel::Up { since: now, heard: now, wrote: now, begun: false };
        self.told_down = None;
        self.say(BridgeKind::ChannelUp(ChannelUp { kind: self.config.channel_kind.to_owned(), epoch }));
    }

    /// The channel of that epoch could not be opened, failed, or was closed by its other end.
    pub fn handle_channel_error(&mut self, now: Monotonic, epoch: u64, error: &ChannelError) {
        if epoch == self.epoch && matches!(self.channel, Channel::Opening { .. } | Channel::Up { .. }) {
            self.drop_channel(now, error.code(), &error.to_string());
        }
    }

    /// Bytes from the channel of that epoch; a frame may be cut anywhere.
    pub fn handle_channel_bytes(&mut self, now: Monotonic, epoch: u64, bytes: &[u8]) {
        if epoch != self.epoch {
            return;
        }
        if let Channel::Up { heard, .. } = &mut self.channel {
            *heard = now;
        }
        self.from_channel.push(bytes);
        while matches!(self.channel, Channel::Up { .. }) {
            match self.from_channel.next_raw() {
                Ok(Some(frame)) if frame.stream == BRIDGE_STREAM => {
                    // Only the bridge speaks for the bridge.
                    self.refuse_channel(
                        now,
                        ErrorCode::UNEXPECTED_MESSAGE,
                        "a frame of the bridge's own stream",
                    );
                }
                Ok(Some(frame)) => self.to_browser.push(&frame.bytes),
                Ok(None) => return,
                Err(error) => self.refuse_channel(now, error.code(), &error.to_string()),
            }
        }
    }

    /// The channel has taken that many bytes of the last batch.
    pub fn handle_channel_written(&mut self, now: Monotonic, epoch: u64, bytes: usize) {
        if epoch != self.epoch {
            return;
        }
        self.writing = self.writing.saturating_sub(bytes);
        if let Channel::Up { wrote, .. } = &mut self.channel {
            *wrote = now;
        }
        self.leave_when_done();
    }

    /// A line of the bridge's own log, for the extension. Dropped, and counted, while the browser is behind.
    pub fn handle_log_line(&mut self, level: tracing::Level, text: &str) {
        self.say_line(level, text);
    }

    /// What [`Command::Log`] has given.
    pub fn handle_collected(&mut self, chunk: LogChunk) {
        self.say(BridgeKind::LogChunk(chunk));
    }

    /// False while the browser is behind: the newest state can wait, and older ones need not be told.
    #[must_use]
    pub fn wants_windows(&self) -> bool {
        self.watches && self.to_browser.len() < QUEUE_MARK
    }

    /// The session's windows as [`Command::Watch`] has found them.
    pub fn handle_windows(&mut self, windows: SessionWindows) {
        if self.watches {
            self.windows_seq = self.windows_seq.wrapping_add(1);
            self.say(BridgeKind::Windows(SessionWindows { seq: self.windows_seq, ..windows }));
        }
    }

    /// The time of [`Self::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Monotonic) {
        if let Extension::Awaited { deadline } = self.extension
            && deadline <= now
        {
            self.refuse_browser(ErrorCode::HELLO_MISSING, "the extension did not say hello");
        }
        if let Extension::Leaving { deadline } = self.extension
            && deadline <= now
        {
            self.leave();
        }
        match self.channel {
            Channel::Off => {}
            Channel::Waiting { retry_at } if retry_at <= now => self.open_channel(now),
            Channel::Opening { deadline } if deadline <= now => {
                self.drop_channel(now, ErrorCode::CLIENT_UNREACHABLE, "opening the channel took too long");
            }
            Channel::Up { heard, .. } if self.silence_ends(heard).is_some_and(|at| at <= now) => {
                self.drop_channel(now, ErrorCode::LINK_DEAD, "the client has gone silent");
            }
            Channel::Up { wrote, .. } if self.stall_ends(wrote).is_some_and(|at| at <= now) => {
                self.drop_channel(now, ErrorCode::LINK_DEAD, "the client takes no more bytes");
            }
            Channel::Waiting { .. } | Channel::Opening { .. } | Channel::Up { .. } => {}
        }
    }

    /// When [`Self::handle_timeout`] is to be called, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Monotonic, &'static str)> {
        let extension = match self.extension {
            Extension::Awaited { deadline } => Some((deadline, "hello")),
            Extension::Leaving { deadline } => Some((deadline, "linger")),
            Extension::Known | Extension::Refused | Extension::Gone => None,
        };
        let (channel, stall) = match self.channel {
            Channel::Off => (None, None),
            Channel::Waiting { retry_at } => (Some((retry_at, "retry")), None),
            Channel::Opening { deadline } => (Some((deadline, "open")), None),
            Channel::Up { heard, wrote, .. } => (
                self.silence_ends(heard).map(|at| (at, "silence")),
                self.stall_ends(wrote).map(|at| (at, "stall")),
            ),
        };
        [extension, channel, stall].into_iter().flatten().min()
    }

    /// Frames for the browser, at most [`MAX_BATCH`] bytes: one native message.
    pub fn poll_browser(&mut self, now: Monotonic) -> Option<Vec<u8>> {
        let was_full = self.to_browser.len() >= QUEUE_MARK;
        let batch = self.to_browser.pop();
        if let Channel::Up { heard, .. } = &mut self.channel
            && was_full
        {
            // Nobody listened until now.
            *heard = now;
        }
        batch
    }

    /// Frames for the channel. To be asked again only when the last ones were written.
    pub fn poll_channel(&mut self, now: Monotonic) -> Option<Vec<u8>> {
        let Channel::Up { wrote, .. } = &mut self.channel else { return None };
        let batch = self.to_channel.pop()?;
        *wrote = now;
        self.writing = batch.len();
        Some(batch)
    }

    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The epoch of the newest channel.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    fn listens(&self) -> bool {
        matches!(self.extension, Extension::Awaited { .. } | Extension::Known | Extension::Refused)
    }

    fn handle_browser_frame(&mut self, now: Monotonic, frame: &RawFrame) {
        if frame.stream == BRIDGE_STREAM {
            return self.handle_bridge_frame(now, frame);
        }
        match self.extension {
            Extension::Awaited { .. } => {
                self.refuse_browser(ErrorCode::HELLO_MISSING, "the extension sent frames before its hello");
            }
            Extension::Known => self.forward_to_channel(frame),
            Extension::Refused | Extension::Leaving { .. } | Extension::Gone => {}
        }
    }

    fn handle_bridge_frame(&mut self, now: Monotonic, frame: &RawFrame) {
        let message = match BridgeMessage::decode(frame.payload()) {
            Ok(message) if frame.last => message,
            Ok(_) => {
                return self
                    .refuse_browser(ErrorCode::MALFORMED_MESSAGE, "a message to the bridge in slices");
            }
            Err(error) => {
                return self.refuse_browser(
                    ErrorCode::MALFORMED_MESSAGE,
                    &format!("a message to the bridge: {error}"),
                );
            }
        };
        match message.kind {
            Some(BridgeKind::Hello(hello)) => self.handle_hello(now, &hello),
            Some(BridgeKind::LogControl(control)) => self.order(Command::Log(control)),
            Some(BridgeKind::Metrics(metrics)) => self.order(Command::Show(Box::new(metrics))),
            Some(BridgeKind::WatchWindows(watch)) => self.watch(watch.on),
            // What only a bridge says, and what a later extension may say.
            Some(BridgeKind::ChannelUp(_) | BridgeKind::ChannelDown(_) | BridgeKind::Session(_))
            | Some(BridgeKind::Log(_) | BridgeKind::LogChunk(_) | BridgeKind::Windows(_))
            | None => {}
        }
    }

    /// Only of an extension that has said hello.
    fn order(&mut self, command: Command) {
        if self.extension == Extension::Known {
            self.commands.push_back(command);
        }
    }

    fn watch(&mut self, on: bool) {
        if self.extension == Extension::Known && self.watches != on {
            self.watches = on;
            self.commands.push_back(Command::Watch(on));
        }
    }

    fn handle_hello(&mut self, now: Monotonic, hello: &Hello) {
        if !matches!(self.extension, Extension::Awaited { .. }) {
            return;
        }
        let own = &self.config.hello;
        if hello.protocol_min > own.protocol_max || hello.protocol_max < own.protocol_min {
            let detail = format!(
                "the extension speaks versions {} to {}, the bridge {} to {}",
                hello.protocol_min, hello.protocol_max, own.protocol_min, own.protocol_max
            );
            self.extension = Extension::Refused;
            self.tell_down(ErrorCode::BRIDGE_OUTDATED, &detail, Duration::ZERO);
            return;
        }
        self.extension = Extension::Known;
        self.say(BridgeKind::Session(self.config.session.clone()));
        self.open_channel(now);
    }

    fn forward_to_channel(&mut self, frame: &RawFrame) {
        let Channel::Up { begun, .. } = &mut self.channel else { return };
        *begun |= begins(frame, self.epoch);
        if *begun {
            self.to_channel.push(&frame.bytes);
        }
    }

    fn open_channel(&mut self, now: Monotonic) {
        if self.to_browser.len() >= QUEUE_MARK {
            // The browser doesn't listen; a new channel would only add to what waits for it.
            self.channel = Channel::Waiting { retry_at: now.after(BACKOFF_MAX) };
            return;
        }
        self.epoch += 1;
        self.from_channel = FrameReader::new();
        self.channel = Channel::Opening { deadline: now.after(OPEN_LIMIT) };
        self.commands.push_back(Command::OpenChannel { epoch: self.epoch });
    }

    /// The channel's other end breaks the rules.
    fn refuse_channel(&mut self, now: Monotonic, code: ErrorCode, detail: &str) {
        self.say_line(tracing::Level::WARN, &format!("{code}: from the client: {detail}"));
        self.drop_channel(now, code, &format!("from the client: {detail}"));
    }

    fn drop_channel(&mut self, now: Monotonic, code: ErrorCode, detail: &str) {
        if let Channel::Up { since, .. } = self.channel
            && now.since(since) >= BACKOFF_MAX
        {
            self.backoff = BACKOFF_MIN;
        }
        self.to_channel.clear();
        self.writing = 0;
        self.commands.push_back(Command::CloseChannel);
        self.channel = Channel::Waiting { retry_at: now.after(self.backoff) };
        self.tell_down(code, detail, self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        if matches!(self.extension, Extension::Leaving { .. }) {
            self.leave();
        }
    }

    /// The extension, or the browser, breaks the rules: says so and ends.
    fn refuse_browser(&mut self, code: ErrorCode, detail: &str) {
        if self.extension == Extension::Gone {
            return;
        }
        self.say_line(tracing::Level::ERROR, &format!("{code}: {detail}"));
        self.tell_down(code, detail, Duration::ZERO);
        self.end(false);
    }

    fn leave_when_done(&mut self) {
        let done = self.to_channel.is_empty() && self.writing == 0;
        if matches!(self.extension, Extension::Leaving { .. })
            && (done || !matches!(self.channel, Channel::Up { .. }))
        {
            self.leave();
        }
    }

    fn leave(&mut self) {
        self.end(true);
    }

    fn end(&mut self, clean: bool) {
        self.extension = Extension::Gone;
        self.channel = Channel::Off;
        self.to_channel.clear();
        self.commands.push_back(Command::CloseChannel);
        self.commands.push_back(Command::Exit { clean });
    }

    /// Tells what changed; the same refusal again and again is told once.
    fn tell_down(&mut self, code: ErrorCode, detail: &str, retry: Duration) {
        let down = ChannelDown {
            code: code.number(),
            detail: shortened(detail).to_owned(),
            retry_ms: u32::try_from(retry.as_millis()).unwrap_or(u32::MAX),
        };
        if self.told_down.as_ref() != Some(&down) {
            self.told_down = Some(down.clone());
            self.say(BridgeKind::ChannelDown(down));
        }
    }

    fn say_line(&mut self, level: tracing::Level, text: &str) {
        if self.to_browser.len() >= QUEUE_MARK {
            self.dropped_lines = self.dropped_lines.saturating_add(1);
            return;
        }
        if self.dropped_lines > 0 {
            let text = format!("{} lines of the log were dropped", core::mem::take(&mut self.dropped_lines));
            self.say(BridgeKind::Log(LogLine { level: "warn".to_owned(), text }));
        }
        let level = level.as_str().to_ascii_lowercase();
        self.say(BridgeKind::Log(LogLine { level, text: shortened(text).to_owned() }));
    }

    fn say(&mut self, kind: BridgeKind) {
        let payload = BridgeMessage { kind: Some(kind) }.encode_to_vec();
        self.to_browser.push(&Frame::whole(BRIDGE_STREAM, self.own_sequence, &payload).encode());
        self.own_sequence = self.own_sequence.wrapping_add(1);
    }

    /// Silence counts only while somebody listens.
    fn silence_ends(&self, heard: Monotonic) -> Option<Monotonic> {
        self.wants_channel_bytes().then(|| heard.after(SILENCE_LIMIT))
    }

    fn stall_ends(&self, wrote: Monotonic) -> Option<Monotonic> {
        (self.writing > 0).then(|| wrote.after(STALL_LIMIT))
    }
}

/// True for the first frame of a connection that was made for this epoch or, if the extension counts for itself, is not
/// older than that.
fn begins(frame: &RawFrame, epoch: u64) -> bool {
    if frame.stream != CONTROL_STREAM || frame.sequence != 0 {
        return false;
    }
    match Control::decode(frame.payload()) {
        Ok(Control { kind: Some(ControlKind::Hello(hello)) }) => hello.epoch == 0 || hello.epoch >= epoch,
        // Not for the bridge to judge: the client answers it.
        Ok(_) | Err(_) => true,
    }
}

fn shortened(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_TEXT)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests;
