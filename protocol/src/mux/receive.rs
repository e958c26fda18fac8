//! The receiving side: checks order and credit, puts messages together.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::error::MuxError;
use super::window::{INITIAL_CONNECTION_CREDIT, INITIAL_STREAM_CREDIT, Window};
use super::{MAX_STREAMS, MAX_UNFINISHED};
use crate::frame::{CONTROL_STREAM, FIRST_BUFFER_STREAM, Frame, MAX_MESSAGE};
use crate::ranges::Ranges;

#[derive(Debug)]
struct Stream {
    next_sequence: u32,
    /// Slices of the message that is not whole yet.
    partial: Vec<u8>,
    /// Only for streams that count against credit.
    window: Option<Window>,
}

#[derive(Debug)]
pub(super) struct Receiver {
    streams: BTreeMap<u32, Stream>,
    connection: Window,
    /// Bulk streams in the middle of a message.
    unfinished: usize,
    /// Streams (0: the connection) whose account has moved since credit was last considered.
    moved: BTreeSet<u32>,
}

impl Receiver {
    pub(super) fn new() -> Self {
        Self {
            streams: BTreeMap::new(),
            connection: Window::new(INITIAL_CONNECTION_CREDIT),
            unfinished: 0,
            moved: BTreeSet::new(),
        }
    }

    /// Takes a frame of stream 2 or above; gives the message that it makes whole. Frames of streams
    /// that were closed here count against the connection's credit and are dropped.
    pub(super) fn accept(&mut self, frame: Frame<'_>, closed: &Ranges) -> Result<Option<Vec<u8>>, MuxError> {
        let stream = frame.stream;
        let bulk = stream >= FIRST_BUFFER_STREAM;
        let bytes = length(frame.payload);
        if bulk {
            self.moved.insert(CONTROL_STREAM);
            if !self.connection.receive(bytes) {
                return Err(MuxError::CreditExceeded { stream: CONTROL_STREAM });
            }
            if closed.contains(u64::from(stream)) {
                return Ok(None);
            }
            if closed.len() > MAX_STREAMS {
                return Err(MuxError::TooManyStreams { stream });
            }
        }
        if !self.streams.contains_key(&stream) && self.streams.len() >= MAX_STREAMS {
            return Err(MuxError::TooManyStreams { stream });
        }
        let state = self.streams.entry(stream).or_insert_with(|| Stream {
            next_sequence: 0,
            partial: Vec::new(),
            window: bulk.then(|| Window::new(INITIAL_STREAM_CREDIT)),
        });
        if state.next_sequence != frame.sequence {
            let (expected, found) = (state.next_sequence, frame.sequence);
            return Err(MuxError::SequenceGap { stream, expected, found });
        }
        state.next_sequence = state.next_sequence.wrapping_add(1);
        if let Some(window) = &mut state.window {
            self.moved.insert(stream);
            if !window.receive(bytes) {
                return Err(MuxError::CreditExceeded { stream });
            }
        }
        if state.partial.len() + frame.payload.len() > MAX_MESSAGE {
            return Err(MuxError::OversizeMessage { stream });
        }
        let was_unfinished = !state.partial.is_empty();
        state.partial.extend_from_slice(frame.payload);
        let message = if frame.last { core::mem::take(&mut state.partial) } else { Vec::new() };
        if bulk {
            let held = length(&message);
            self.connection.hold(held);
            if let Some(window) = &mut state.window {
                window.hold(held);
            }
            match (was_unfinished, !state.partial.is_empty()) {
                (true, false) => self.unfinished = self.unfinished.saturating_sub(1),
                (false, true) => self.unfinished += 1,
                (true, true) | (false, false) => {}
            }
            if self.unfinished > MAX_UNFINISHED {
                return Err(MuxError::TooManyStreams { stream });
            }
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
        self.moved.insert(CONTROL_STREAM);
        if let Some(window) = self.streams.get_mut(&stream).and_then(|state| state.window.as_mut()) {
            window.release(bytes);
            self.moved.insert(stream);
        }
    }

    pub(super) fn forget(&mut self, stream: u32) {
        if self.streams.remove(&stream).is_some_and(|state| !state.partial.is_empty()) {
            self.unfinished = self.unfinished.saturating_sub(1);
        }
        self.moved.remove(&stream);
    }

    /// The next credit that is worth telling: stream (0: the connection) and new total.
    pub(super) fn next_grant(&mut self) -> Option<(u32, u64)> {
        while let Some(stream) = self.moved.pop_first() {
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

    /// Lets every window follow what the last round trip says about the link.
    pub(super) fn adapt(&mut self, added_delay: Duration) {
        self.connection.adapt(added_delay);
        self.moved.insert(CONTROL_STREAM);
        for (stream, state) in &mut self.streams {
            if let Some(window) = &mut state.window {
                window.adapt(added_delay);
                self.moved.insert(*stream);
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
