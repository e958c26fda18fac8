//! One end of a connection: hello, liveness, priorities, slices, credit. Session and device run the
//! same machine; a bridge between them forwards frames and runs none.
//!
//! Bytes go in by [`Mux::handle_bytes`], come out by [`Mux::poll_transmit`]. Call `poll_event` and then
//! `poll_transmit` until `None` after every other call, because taking events frees credit; call
//! `handle_timeout` when `poll_timeout` says.

mod error;
mod liveness;
mod receive;
mod send;
mod window;

#[cfg(test)]
mod pair;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::VecDeque;

use prost::Message as _;

pub use self::error::MuxError;
pub use self::liveness::{BUSY_PING_INTERVAL, DEAD_AFTER, PING_INTERVAL};
pub use self::window::{
    AIMED_DELAY, INITIAL_CONNECTION_CREDIT, INITIAL_STREAM_CREDIT, MAX_ADDED_DELAY, MAX_WINDOW,
};

use self::liveness::Liveness;
use self::receive::Receiver;
use self::send::Sender;
use crate::error::ErrorCode;
use crate::frame::{
    BRIDGE_STREAM, CONTROL_STREAM, FIRST_BUFFER_STREAM, Frame, FrameReader, HEADER, MAX_PAYLOAD,
};
use crate::message::{Close, Control, ControlKind, Credit, Hello, Ping, Pong, StreamClosed};
use crate::ranges::Ranges;
use crate::sorted_map::SortedMap;
use crate::time::Monotonic;
use crate::{PROTOCOL_MAX, PROTOCOL_MIN};

/// Streams that one end keeps state of.
pub const MAX_STREAMS: usize = 4096;
/// Bulk streams that may be in the middle of a message; bounds what a receiver has to hold.
pub const MAX_UNFINISHED: usize = 16;
/// Bytes that may wait to be sent on the streams below [`FIRST_BUFFER_STREAM`].
pub const INTERACTIVE_QUEUE: usize = 4 * 1024 * 1024;
/// Bytes that may wait to be sent on bulk streams, unless the configuration says otherwise.
pub const BULK_QUEUE: usize = 64 * 1024 * 1024;
/// Messages that may wait in one queue, whatever their size.
pub const MAX_QUEUED_MESSAGES: usize = 65_536;
/// Bytes of interactive messages that may wait for the application.
const INTERACTIVE_EVENTS: usize = 8 * 1024 * 1024;
/// Control messages that may wait to be sent; more answers than this to a flood of pings are dropped.
const CONTROL_QUEUE: usize = 16;
/// A close message's text is cut to this.
const MAX_DETAIL: usize = 1024;

/// What a connection needs to know before it begins.
#[derive(Clone, Debug)]
pub struct MuxConfig {
    /// How this end introduces itself.
    pub hello: Hello,
    /// Bytes that may wait to be sent on bulk streams.
    pub bulk_queue: usize,
}

impl MuxConfig {
    #[must_use]
    pub fn new(hello: Hello) -> Self {
        Self { hello, bulk_queue: BULK_QUEUE }
    }

    /// With a hello that has this crate's protocol range and no features.
    #[must_use]
    pub fn of_component(component: &str, version: &str) -> Self {
        Self::new(Hello {
            component: component.into(),
            version: version.into(),
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            ..Hello::default()
        })
    }
}

/// What the application learns from a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum MuxEvent {
    /// The other end has introduced itself and speaks a common version. Always the first event of the
    /// streams above [`BRIDGE_STREAM`].
    Connected { hello: Hello },
    /// A whole message.
    Message { stream: u32, bytes: Vec<u8> },
    /// The other end goes away; nothing comes after it.
    Closed { code: ErrorCode, detail: String },
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// The other end's hello has not come.
    Waiting,
    Connected {
        version: u32,
    },
    /// By this end or the other.
    Closed,
    Failed(MuxError),
}

/// One end of a connection, from its hello to its end; a reopened channel gets a new one.
#[derive(Debug)]
pub struct Mux {
    config: MuxConfig,
    state: State,
    reader: FrameReader,
    receiver: Receiver,
    sender: Sender,
    liveness: Liveness,
    hello_sent: bool,
    /// Control messages that wait to be sent, without credit.
    control: VecDeque<ControlKind>,
    control_sent: u32,
    control_received: u32,
    /// Whole messages for the bridge that wait to be sent.
    bridge: VecDeque<Vec<u8>>,
    bridge_sent: u32,
    /// The last message of this end.
    close: Option<Close>,
    events: VecDeque<MuxEvent>,
    /// Bytes in `events` that no credit bounds.
    interactive_held: usize,
    /// Bulk streams that were closed here; their numbers are not used again.
    closed: Ranges,
    /// Bulk streams that the other end closed.
    peer_closed: Ranges,
    /// Closed streams that the other end has to be told of.
    to_close: SortedMap<u32, ()>,
}

impl Mux {
    #[must_use]
    pub fn new(now: Monotonic, config: MuxConfig) -> Self {
        Self {
            state: State::Waiting,
            reader: FrameReader::new(),
            receiver: Receiver::new(now),
            sender: Sender::new(INTERACTIVE_QUEUE, config.bulk_queue),
            liveness: Liveness::new(now),
            hello_sent: false,
            control: VecDeque::new(),
            control_sent: 0,
            control_received: 0,
            bridge: VecDeque::new(),
            bridge_sent: 0,
            close: None,
            events: VecDeque::new(),
            interactive_held: 0,
            closed: Ranges::new(),
            peer_closed: Ranges::new(),
            to_close: SortedMap::new(),
            config,
        }
    }

    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected { .. })
    }

    /// True after a close from either end and after an error of the connection.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed | State::Failed(_))
    }

    /// The protocol version in use, once the other end's hello has come.
    #[must_use]
    pub fn version(&self) -> Option<u32> {
        match self.state {
            State::Connected { version } => Some(version),
            State::Waiting | State::Closed | State::Failed(_) => None,
        }
    }

    /// Bytes that wait to be sent on all streams.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.sender.queued() + self.bridge.iter().map(Vec::len).sum::<usize>()
    }

    #[must_use]
    pub fn queued_bytes_on(&self, stream: u32) -> usize {
        match stream {
            BRIDGE_STREAM => self.bridge.iter().map(Vec::len).sum(),
            _ => self.sender.queued_on(stream),
        }
    }

    /// The other end's wall clock minus this one's, from the best round trip of the last minutes.
    #[must_use]
    pub fn peer_clock_offset_us(&self) -> Option<i64> {
        self.liveness.offset_us()
    }

    /// When something came from the other end last, whatever it said.
    #[must_use]
    pub fn heard_at(&self) -> Monotonic {
        self.liveness.heard_at()
    }

    /// The newest round trip.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.liveness.round_trip()
    }

    /// Queues a message. What goes to stream 2 and above waits for the other end's hello. A message
    /// without a byte is not sent, nor is one on a stream that the other end has closed.
    ///
    /// # Errors
    /// If the message is too large, has no place on the stream, or the queue is full: the connection
    /// goes on. [`MuxError::Closed`] or the connection's own error if it has ended.
    pub fn send(&mut self, stream: u32, message: Vec<u8>) -> Result<(), MuxError> {
        match &self.state {
            State::Waiting | State::Connected { .. } => {}
            State::Closed => return Err(MuxError::Closed),
            State::Failed(error) => return Err(error.clone()),
        }
        if self.closed.contains(u64::from(stream)) {
            return Err(MuxError::StreamClosed { stream });
        }
        if self.peer_closed.contains(u64::from(stream)) {
            return Ok(());
        }
        match stream {
            CONTROL_STREAM => Err(MuxError::UnexpectedMessage { stream }),
            BRIDGE_STREAM if message.len() > MAX_PAYLOAD => Err(MuxError::OversizeMessage { stream }),
            BRIDGE_STREAM if self.bridge.len() >= CONTROL_QUEUE => Err(MuxError::QueueFull { stream }),
            BRIDGE_STREAM => {
                self.bridge.push_back(message);
                Ok(())
            }
            _ => self.sender.push(stream, message),
        }
    }

    /// Forgets what waits on the stream in both directions and tells the other end, which does the same
    /// with what it has to send. A bulk stream's number can't be used again on this connection, and what
    /// still comes on it is dropped; of a lower stream only what waits to be sent is dropped.
    pub fn close_stream(&mut self, stream: u32) {
        if stream == BRIDGE_STREAM {
            self.bridge.clear();
        }
        let sent = self.sender.close(stream);
        if stream < FIRST_BUFFER_STREAM || self.closed.contains(u64::from(stream)) {
            return;
        }
        remember(&mut self.closed, stream);
        let (receiver, mut kept) = (&mut self.receiver, VecDeque::new());
        for event in self.events.drain(..) {
            match event {
                MuxEvent::Message { stream: of, bytes } if of == stream => receiver.release(of, &bytes),
                MuxEvent::Connected { .. } | MuxEvent::Message { .. } | MuxEvent::Closed { .. } => {
                    kept.push_back(event);
                }
            }
        }
        self.events = kept;
        if self.receiver.discard(stream) || sent {
            self.to_close.insert(stream, ());
        }
    }

    /// Ends the connection: drops what waits, sends the reason as the last message.
    pub fn close(&mut self, code: ErrorCode, detail: &str) {
        if !self.is_closed() {
            self.end(State::Closed, Some((code, detail)));
        }
    }

    /// Takes bytes as they came from the link.
    ///
    /// # Errors
    /// If the other end broke the protocol. The connection is over; what `poll_transmit` still gives
    /// tells the other end why.
    pub fn handle_bytes(&mut self, now: Monotonic, wall_us: u64, bytes: &[u8]) -> Result<(), MuxError> {
        if self.is_closed() {
            return self.checked(|_| Ok(()));
        }
        self.liveness.heard(now);
        self.reader.push(bytes);
        loop {
            match self.reader.next() {
                Ok(Some(frame)) => self.handle_frame(now, wall_us, frame.as_frame())?,
                Ok(None) => return Ok(()),
                Err(error) => return self.checked(|_| Err(error.into())),
            }
        }
    }

    /// Takes one frame, for a caller that cuts the bytes into frames itself. Don't mix with
    /// [`Self::handle_bytes`].
    ///
    /// # Errors
    /// As [`Self::handle_bytes`].
    pub fn handle_frame(&mut self, now: Monotonic, wall_us: u64, frame: Frame<'_>) -> Result<(), MuxError> {
        self.liveness.heard(now);
        self.checked(|mux| match frame.stream {
            CONTROL_STREAM => mux.handle_control(now, wall_us, frame),
            BRIDGE_STREAM if !frame.last => Err(MuxError::OversizeMessage { stream: BRIDGE_STREAM }),
            BRIDGE_STREAM => mux.deliver(BRIDGE_STREAM, frame.payload.to_vec()),
            stream if !mux.is_connected() => Err(MuxError::HelloMissing { stream }),
            stream => {
                if stream >= FIRST_BUFFER_STREAM {
                    mux.liveness.busy();
                }
                match mux.receiver.accept(frame, mux.closed.contains(u64::from(stream)))? {
                    Some(message) => mux.deliver(stream, message),
                    None => Ok(()),
                }
            }
        })
    }

    /// Does what is due: a ping, or giving the link up.
    ///
    /// # Errors
    /// [`MuxError::LinkDead`] if nothing was heard for too long; the connection is over.
    pub fn handle_timeout(&mut self, now: Monotonic, wall_us: u64) -> Result<(), MuxError> {
        self.checked(|mux| {
            if mux.liveness.is_dead(now) {
                return Err(MuxError::LinkDead { seconds: DEAD_AFTER.as_secs() });
            }
            if let Some(ping) = mux.liveness.next_ping(now, wall_us) {
                mux.push_control(ControlKind::Ping(ping));
            }
            Ok(())
        })
    }

    /// When `handle_timeout` wants to be called, and for what.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Monotonic, &'static str)> {
        if self.is_closed() {
            return None;
        }
        Some((self.liveness.ping_at(), "ping").min((self.liveness.dead_at(), "dead link")))
    }

    /// The next thing for the application. Taking a bulk message frees its credit.
    pub fn poll_event(&mut self) -> Option<MuxEvent> {
        let event = self.events.pop_front()?;
        if let MuxEvent::Message { stream, bytes } = &event {
            if *stream < FIRST_BUFFER_STREAM {
                self.interactive_held -= bytes.len();
            }
            self.receiver.release(*stream, bytes);
        }
        Some(event)
    }

    /// Whole frames for the link, the most urgent first, together not above `max_bytes`; that is taken
    /// as at least one full frame. `None` when nothing may be sent.
    pub fn poll_transmit(&mut self, max_bytes: usize) -> Option<Vec<u8>> {
        let max_bytes = max_bytes.max(HEADER + MAX_PAYLOAD);
        let mut out = Vec::new();
        while self.write_control(max_bytes - out.len(), &mut out) {}
        if self.is_connected() {
            while self.sender.write_frame(max_bytes - out.len(), &mut out) {}
        }
        (!out.is_empty()).then_some(out)
    }

    /// Runs a step of a connection that is not over, and ends it if the step fails.
    fn checked(&mut self, step: impl FnOnce(&mut Self) -> Result<(), MuxError>) -> Result<(), MuxError> {
        match &self.state {
            State::Waiting | State::Connected { .. } => {}
            State::Closed => return Ok(()),
            State::Failed(error) => return Err(error.clone()),
        }
        let result = step(self);
        if let Err(error) = &result {
            let dead = matches!(error, MuxError::LinkDead { .. });
            let detail = error.to_string();
            let reason = (!dead).then_some((error.code(), detail.as_str()));
            self.end(State::Failed(error.clone()), reason);
        }
        result
    }

    fn end(&mut self, state: State, reason: Option<(ErrorCode, &str)>) {
        self.state = state;
        self.close = reason.map(|(code, detail)| Close { code: code.number(), detail: cut(detail).into() });
        self.sender.clear();
        self.control.clear();
        self.to_close.clear();
        self.bridge.clear();
        if self.close.is_none() {
            self.hello_sent = true;
        }
    }

    fn deliver(&mut self, stream: u32, bytes: Vec<u8>) -> Result<(), MuxError> {
        if stream < FIRST_BUFFER_STREAM {
            self.interactive_held += bytes.len();
        }
        let full = self.interactive_held > INTERACTIVE_EVENTS || self.events.len() >= MAX_QUEUED_MESSAGES;
        self.events.push_back(MuxEvent::Message { stream, bytes });
        if full { Err(MuxError::QueueFull { stream }) } else { Ok(()) }
    }

    fn handle_control(&mut self, now: Monotonic, wall_us: u64, frame: Frame<'_>) -> Result<(), MuxError> {
        let stream = CONTROL_STREAM;
        let expected = self.control_received;
        if frame.sequence != expected {
            return Err(MuxError::SequenceGap { stream, expected, found: frame.sequence });
        }
        self.control_received = expected.wrapping_add(1);
        if !frame.last {
            return Err(MuxError::OversizeMessage { stream });
        }
        let control =
            Control::decode(frame.payload).map_err(|_unreadable| MuxError::MalformedMessage { stream })?;
        match (control.kind, self.is_connected()) {
            (Some(ControlKind::Hello(hello)), false) => self.handle_hello(now, hello),
            (Some(ControlKind::Close(close)), _) => {
                self.handle_close(close);
                Ok(())
            }
            (Some(_) | None, false) => Err(MuxError::HelloMissing { stream }),
            (Some(ControlKind::Hello(_)), true) => Err(MuxError::UnexpectedMessage { stream }),
            (Some(ControlKind::Ping(Ping { id, wall_us: ping_wall_us })), true) => {
                self.push_control(ControlKind::Pong(Pong { id, ping_wall_us, wall_us }));
                Ok(())
            }
            (Some(ControlKind::Pong(pong)), true) => {
                if let Some(trip) = self.liveness.pong(now, &pong) {
                    self.receiver.adapt(now, trip);
                }
                Ok(())
            }
            (Some(ControlKind::Credit(Credit { stream, total_bytes })), true) => {
                self.sender.credit(stream, total_bytes);
                Ok(())
            }
            (Some(ControlKind::StreamClosed(StreamClosed { stream })), true) => {
                self.handle_stream_closed(stream);
                Ok(())
            }
            // A kind that this version doesn't know.
            (None, true) => Ok(()),
        }
    }

    fn handle_hello(&mut self, now: Monotonic, hello: Hello) -> Result<(), MuxError> {
        let own = &self.config.hello;
        let version = own.protocol_max.min(hello.protocol_max);
        if version < own.protocol_min.max(hello.protocol_min) {
            return Err(MuxError::VersionMismatch {
                own_min: own.protocol_min,
                own_max: own.protocol_max,
                peer_min: hello.protocol_min,
                peer_max: hello.protocol_max,
            });
        }
        self.state = State::Connected { version };
        // The other end can answer now, so its clock is known soon.
        self.liveness.ping_soon(now);
        self.events.push_back(MuxEvent::Connected { hello });
        Ok(())
    }

    fn handle_close(&mut self, close: Close) {
        let Close { code, detail } = close;
        let detail = cut(&detail);
        let event = match ErrorCode::from_u32(code) {
            Some(code) => MuxEvent::Closed { code, detail: detail.into() },
            None => {
                MuxEvent::Closed { code: ErrorCode::LINK_CLOSED, detail: format!("OFS-{code:04}: {detail}") }
            }
        };
        self.events.push_back(event);
        self.end(State::Closed, None);
    }

    fn handle_stream_closed(&mut self, stream: u32) {
        if stream < FIRST_BUFFER_STREAM {
            return;
        }
        self.receiver.forget(stream);
        remember(&mut self.peer_closed, stream);
        if self.sender.close(stream) {
            self.to_close.insert(stream, ());
        }
    }

    fn push_control(&mut self, kind: ControlKind) {
        if self.control.len() >= CONTROL_QUEUE {
            self.control.pop_front();
        }
        self.control.push_back(kind);
    }

    /// Writes the next control or bridge frame; false if there is none or `room` is too small.
    fn write_control(&mut self, room: usize, out: &mut Vec<u8>) -> bool {
        if room < HEADER + MAX_PAYLOAD && !out.is_empty() {
            return false;
        }
        if !self.hello_sent {
            self.hello_sent = true;
            self.write_control_message(ControlKind::Hello(fitting(&self.config.hello)), out);
        } else if let Some(close) = self.close.take() {
            self.write_control_message(ControlKind::Close(close), out);
        } else if let Some(kind) = self.control.pop_front() {
            self.write_control_message(kind, out);
        } else if let Some((stream, ())) = self.to_close.pop_first() {
            self.write_control_message(ControlKind::StreamClosed(StreamClosed { stream }), out);
        } else if let Some((stream, total_bytes)) = self.next_grant() {
            self.write_control_message(ControlKind::Credit(Credit { stream, total_bytes }), out);
        } else if let Some(message) = self.bridge.pop_front() {
            Frame::whole(BRIDGE_STREAM, self.bridge_sent, &message).encode_into(out);
            self.bridge_sent = self.bridge_sent.wrapping_add(1);
        } else {
            return false;
        }
        true
    }

    fn next_grant(&mut self) -> Option<(u32, u64)> {
        if self.is_connected() { self.receiver.next_grant() } else { None }
    }

    fn write_control_message(&mut self, kind: ControlKind, out: &mut Vec<u8>) {
        let payload = Control { kind: Some(kind) }.encode_to_vec();
        Frame::whole(CONTROL_STREAM, self.control_sent, &payload).encode_into(out);
        self.control_sent = self.control_sent.wrapping_add(1);
    }
}

/// Adds a stream to the closed ones. They come in order, so they join into few ranges; where they don't,
/// the lowest are forgotten first.
fn remember(closed: &mut Ranges, stream: u32) {
    let number = u64::from(stream);
    closed.insert(number, number + 1);
    if closed.len() > MAX_STREAMS {
        closed.remove_first();
    }
}

/// A hello that fits into one frame: one that is absurdly long loses its texts.
fn fitting(hello: &Hello) -> Hello {
    if (Control { kind: Some(ControlKind::Hello(hello.clone())) }).encoded_len() <= MAX_PAYLOAD {
        return hello.clone();
    }
    let Hello { protocol_min, protocol_max, connection_id, epoch, .. } = *hello;
    Hello { protocol_min, protocol_max, connection_id, epoch, ..Hello::default() }
}

/// The text up to [`MAX_DETAIL`] bytes.
fn cut(detail: &str) -> &str {
    let end = (0..=MAX_DETAIL.min(detail.len())).rev().find(|end| detail.is_char_boundary(*end)).unwrap_or(0);
    detail.get(..end).unwrap_or("")
}
