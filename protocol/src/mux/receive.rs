//! The receiving side: checks order and credit, puts messages together.

use core::time::Duration;

use super::error::MuxError;
use super::liveness::RoundTrip;
use super::window::{INITIAL_CONNECTION_CREDIT, INITIAL_STREAM_CREDIT, Window};
use super::{MAX_STREAMS, MAX_UNFINISHED};
use crate::frame::{CONTROL_STREAM, FIRST_BUFFER_STREAM, Frame, MAX_MESSAGE};
use crate::sorted_map::SortedMap;
use crate::time::Monotonic;

/// How often the windows follow the link, at most.
const ADAPT_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Debug)]
struct Stream {
    next_sequence: u32,
    /// Slices of the message that is not whole yet.
    partial: Vec<u8>,
    in_message: bool,
    /// Closed here: what still comes is counted, so that the other end doesn't stall, and dropped.
    discards: bool,
    /// Only for streams that count against credit.
    window: Option<Window>,
}

#[derive(Debug)]
pub(super) struct Receiver {
    streams: SortedMap<u32, Stream>,
    connection: Window,
    /// Bulk streams in the middle of a message.
    unfinished: usize,
    /// Streams (0: the connection) whose account has moved since credit was last considered.
    moved: SortedMap<u32, ()>,
    /// When the windows were last adapted, and the longest round trip since.
    adapted: Monotonic,
    longest: Option<RoundTrip>,
}

impl Receiver {
    pub(super) fn new(now: Monotonic) -> Self {
        Self {
            streams: SortedMap::new(),
            connection: Window::new(INITIAL_CONNECTION_CREDIT),
            unfinished: 0,
            moved: SortedMap::new(),
            adapted: now,
            longest: None,
        }
    }

    /// Takes a frame of stream 2 or above; gives the message that it makes whole. `discards` says that
    /// a stream that begins with this frame was closed here before.
    pub(super) fn accept(&mut self, frame: Frame<'_>, discards: bool) -> Result<Option<Vec<u8>>, MuxError> {
        let stream = frame.stream;
        let bulk = stream >= FIRST_BUFFER_STREAM;
        if !self.streams.contains_key(&stream) && self.streams.len() >= MAX_STREAMS {
            return Err(MuxError::TooManyStreams { stream });
        }
        let state = self.streams.get_or_insert_with(stream, || Stream {
            next_sequence: 0,
            partial: Vec::new(),
            in_message: false,
            discards,
            window: bulk.then(|| Window::new(INITIAL_STREAM_CREDIT)),
        });
        if state.next_sequence != frame.sequence {
            let (expected, found) = (state.next_sequence, frame.sequence);
            return Err(MuxError::SequenceGap { stream, expected, found });
        }
        state.next_sequence = state.next_sequence.wrapping_add(1);
        if let Some(window) = &mut state.window {
            let bytes = length(frame.payload);
            self.moved.insert(CONTROL_STREAM, ());
            self.moved.insert(stream, ());
            if !window.receive(bytes) {
                return Err(MuxError::CreditExceeded { stream });
            }
            if !self.connection.receive(bytes) {
                return Err(MuxError::CreditExceeded { stream: CONTROL_STREAM });
            }
            match (state.in_message, frame.last) {
                (false, false) => self.unfinished += 1,
                (true, true) => self.unfinished = self.unfinished.saturating_sub(1),
                (true, false) | (false, true) => {}
            }
            if self.unfinished > MAX_UNFINISHED {
                return Err(MuxError::TooManyUnfinished { stream });
            }
        }
        state.in_message = !frame.last;
        if state.discards {
            return Ok(None);
        }
        if state.partial.len() + frame.payload.len() > MAX_MESSAGE {
            return Err(MuxError::OversizeMessage { stream });
        }
        state.partial.extend_from_slice(frame.payload);
        if !frame.last {
            return Ok(None);
        }
        let message = core::mem::take(&mut state.partial);
        if let Some(window) = &mut state.window {
            let held = length(&message);
            window.hold(held);
            self.connection.hold(held);
        }
        // A message without a byte says nothing, and would cost its sender nothing.
        Ok((!message.is_empty()).then_some(message))
    }

    /// The application has taken a message, or it was dropped with its stream.
    pub(super) fn release(&mut self, stream: u32, message: &[u8]) {
        if stream < FIRST_BUFFER_STREAM {
            return;
        }
        let bytes = length(message);
        self.connection.release(bytes);
        self.moved.insert(CONTROL_STREAM, ());
        if let Some(window) = self.streams.get_mut(&stream).and_then(|state| state.window.as_mut()) {
            window.release(bytes);
            self.moved.insert(stream, ());
        }
    }

    /// The stream was closed here. True if the other end has used it.
    pub(super) fn discard(&mut self, stream: u32) -> bool {
        let Some(state) = self.streams.get_mut(&stream) else { return false };
        state.discards = true;
        state.partial = Vec::new();
        true
    }

    /// The other end has closed the stream: nothing comes on it any more.
    pub(super) fn forget(&mut self, stream: u32) {
        if self.streams.remove(&stream).is_some_and(|state| state.in_message) {
            self.unfinished = self.unfinished.saturating_sub(1);
        }
        self.moved.remove(&stream);
    }

    /// The next credit that is worth telling: stream (0: the connection) and new total.
    pub(super) fn next_grant(&mut self) -> Option<(u32, u64)> {
        while let Some((stream, ())) = self.moved.pop_first() {
            let window = match stream {
                CONTROL_STREAM => Some(&mut self.connection),
                _ => self.streams.get_mut(&stream).and_then(|state| state.window.as_mut()),
            };
            if let Some(total) = window.and_then(Window::grant) {
                return Some((stream, total));
            }
        }
        None
    }

    /// Lets every window follow what round trips say about the link. One that began before the windows were last changed
    /// says nothing about what they are now; of the others the longest counts, because a queue comes and goes.
    pub(super) fn adapt(&mut self, now: Monotonic, trip: RoundTrip) {
        if trip.sent < self.adapted {
            return;
        }
        let trip = self.longest.filter(|longest| longest.last > trip.last).unwrap_or(trip);
        self.longest = Some(trip);
        let interval = now.since(self.adapted);
        if interval < ADAPT_INTERVAL {
            return;
        }
        self.adapted = now;
        self.longest = None;
        self.connection.adapt(trip, interval);
        self.moved.insert(CONTROL_STREAM, ());
        for (stream, state) in self.streams.iter_mut() {
            if let Some(window) = &mut state.window {
                window.adapt(trip, interval);
                self.moved.insert(*stream, ());
            }
        }
    }

    #[cfg(test)]
    pub(super) fn window_sizes(&self) -> Vec<u64> {
        let streams = self.streams.values().filter_map(|state| state.window.as_ref()).map(Window::size);
        core::iter::once(self.connection.size()).chain(streams).collect()
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
