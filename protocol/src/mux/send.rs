//! The sending side: queues, slices, priorities, credit.

use std::collections::VecDeque;

use super::error::MuxError;
use super::window::{INITIAL_CONNECTION_CREDIT, INITIAL_STREAM_CREDIT};
use super::{MAX_QUEUED_MESSAGES, MAX_STREAMS, MAX_UNFINISHED};
use crate::frame::{
    CONTROL_STREAM, FIRST_BUFFER_STREAM, Frame, GEOMETRY_STREAM, HEADER, MAX_MESSAGE, MAX_PAYLOAD, Priority,
};
use crate::sorted_map::SortedMap;

#[derive(Debug)]
struct Stream {
    queue: VecDeque<Vec<u8>>,
    /// Bytes of the first message that have been sent.
    offset: usize,
    /// Bytes that are still to be sent.
    bytes: usize,
    next_sequence: u32,
    sent: u64,
    limit: u64,
}

/// One of the two classes of streams above the control streams.
#[derive(Debug)]
struct Class {
    limit: usize,
    bytes: usize,
    messages: usize,
    /// The stream that sent last, for taking turns.
    turn: u32,
}

#[derive(Debug)]
pub(super) struct Sender {
    streams: SortedMap<u32, Stream>,
    /// Streams that have something to send.
    ready: SortedMap<u32, ()>,
    interactive: Class,
    bulk: Class,
    sent: u64,
    limit: u64,
    /// Bulk streams in the middle of a message.
    unfinished: usize,
}

impl Sender {
    pub(super) fn new(interactive_limit: usize, bulk_limit: usize) -> Self {
        Self {
            streams: SortedMap::new(),
            ready: SortedMap::new(),
            interactive: Class { limit: interactive_limit, bytes: 0, messages: 0, turn: 0 },
            bulk: Class { limit: bulk_limit, bytes: 0, messages: 0, turn: 0 },
            sent: 0,
            limit: INITIAL_CONNECTION_CREDIT,
            unfinished: 0,
        }
    }

    pub(super) fn push(&mut self, stream: u32, message: Vec<u8>) -> Result<(), MuxError> {
        if message.len() > MAX_MESSAGE {
            return Err(MuxError::OversizeMessage { stream });
        }
        if message.is_empty() {
            return Ok(());
        }
        if !self.streams.contains_key(&stream) && self.streams.len() >= MAX_STREAMS {
            return Err(MuxError::TooManyStreams { stream });
        }
        let class = if stream >= FIRST_BUFFER_STREAM { &mut self.bulk } else { &mut self.interactive };
        if class.bytes + message.len() > class.limit || class.messages >= MAX_QUEUED_MESSAGES {
            return Err(MuxError::QueueFull { stream });
        }
        class.bytes += message.len();
        class.messages += 1;
        let state = self.streams.get_or_insert_with(stream, || Stream {
            queue: VecDeque::new(),
            offset: 0,
            bytes: 0,
            next_sequence: 0,
            sent: 0,
            limit: INITIAL_STREAM_CREDIT,
        });
        state.bytes += message.len();
        state.queue.push_back(message);
        self.ready.insert(stream, ());
        Ok(())
    }

    pub(super) fn queued(&self) -> usize {
        self.interactive.bytes + self.bulk.bytes
    }

    pub(super) fn queued_on(&self, stream: u32) -> usize {
        self.streams.get(&stream).map_or(0, |state| state.bytes)
    }

    /// The other end has raised a limit.
    pub(super) fn credit(&mut self, stream: u32, total: u64) {
        if stream == CONTROL_STREAM {
            self.limit = self.limit.max(total);
        } else if let Some(state) = self.streams.get_mut(&stream) {
            state.limit = state.limit.max(total);
        }
    }

    /// Drops what waits on the stream. A bulk stream is forgotten with the message that has been begun;
    /// a lower stream finishes that one, because it stays open. True if something was sent on it.
    pub(super) fn close(&mut self, stream: u32) -> bool {
        let Some(state) = self.streams.get_mut(&stream) else { return false };
        let bulk = stream >= FIRST_BUFFER_STREAM;
        let class = if bulk { &mut self.bulk } else { &mut self.interactive };
        let begun = state.offset > 0;
        let keep = if begun && !bulk { 1 } else { 0 };
        for (place, dropped) in state.queue.drain(keep..).enumerate() {
            let sent = if keep == 0 && place == 0 { state.offset } else { 0 };
            let bytes = dropped.len() - sent;
            class.bytes -= bytes;
            class.messages -= 1;
            state.bytes -= bytes;
        }
        let used = state.next_sequence > 0;
        if keep == 0 {
            self.ready.remove(&stream);
        }
        if bulk {
            self.streams.remove(&stream);
            self.unfinished = self.unfinished.saturating_sub(usize::from(begun));
        }
        used
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.interactive.limit, self.bulk.limit);
    }

    /// Writes the next frame, the most urgent first; false if nothing may be sent or `room` is too small.
    pub(super) fn write_frame(&mut self, room: usize, out: &mut Vec<u8>) -> bool {
        let Some((stream, size)) = self.pick() else { return false };
        if HEADER + size > room {
            return false;
        }
        self.write_slice(stream, size, out);
        true
    }

    /// The stream whose turn it is and the size of its next slice.
    fn pick(&self) -> Option<(u32, usize)> {
        let classes = [
            (GEOMETRY_STREAM..=FIRST_BUFFER_STREAM - 1, self.interactive.turn),
            (FIRST_BUFFER_STREAM..=u32::MAX, self.bulk.turn),
        ];
        classes.into_iter().find_map(|(range, turn)| {
            let (first, last) = (*range.start(), *range.end());
            let turn = turn.clamp(first, last);
            // After the one that sent last, then from the front up to it.
            let later =
                self.ready.range(turn..=last).map(|(stream, ())| stream).filter(|stream| **stream > turn);
            let earlier = self.ready.range(first..=turn).map(|(stream, ())| stream);
            later.chain(earlier).find_map(|stream| Some((*stream, self.slice_size(*stream)?)))
        })
    }

    /// How large the stream's next slice may be; `None` if it has to wait.
    fn slice_size(&self, stream: u32) -> Option<usize> {
        let state = self.streams.get(&stream)?;
        let rest = state.queue.front()?.len() - state.offset;
        let wanted = rest.min(MAX_PAYLOAD);
        if stream < FIRST_BUFFER_STREAM {
            return Some(wanted);
        }
        let credit = state.limit.saturating_sub(state.sent).min(self.limit.saturating_sub(self.sent));
        let size = wanted.min(usize::try_from(credit).unwrap_or(usize::MAX));
        let begins_a_long_one = state.offset == 0 && size < rest;
        (size > 0 && !(begins_a_long_one && self.unfinished >= MAX_UNFINISHED)).then_some(size)
    }

    fn write_slice(&mut self, stream: u32, size: usize, out: &mut Vec<u8>) {
        let Some(state) = self.streams.get_mut(&stream) else { return };
        let Some(message) = state.queue.front() else { return };
        let end = state.offset + size;
        let last = end >= message.len();
        let payload = message.get(state.offset..end).unwrap_or(&[]);
        let priority = Priority::of_stream(stream);
        Frame { stream, sequence: state.next_sequence, priority, last, payload }.encode_into(out);
        let begun = state.offset > 0;
        state.next_sequence = state.next_sequence.wrapping_add(1);
        state.bytes -= size;
        state.offset = if last { 0 } else { end };
        let class = if stream >= FIRST_BUFFER_STREAM {
            let bytes = u64::try_from(size).unwrap_or(u64::MAX);
            state.sent += bytes;
            self.sent += bytes;
            match (begun, last) {
                (false, false) => self.unfinished += 1,
                (true, true) => self.unfinished = self.unfinished.saturating_sub(1),
                (true, false) | (false, true) => {}
            }
            &mut self.bulk
        } else {
            &mut self.interactive
        };
        class.bytes -= size;
        class.turn = stream;
        if last {
            state.queue.pop_front();
            class.messages -= 1;
            if state.queue.is_empty() {
                self.ready.remove(&stream);
            }
        }
    }
}
