//! A connection's end against a script of arbitrary bytes.

use core::time::Duration;
use std::collections::BTreeMap;

use prost::Message as _;

use crate::frame::{BRIDGE_STREAM, CONTROL_STREAM, FIRST_BUFFER_STREAM, Frame, FrameReader, Priority};
use crate::message::{Control, ControlKind, Credit, Ping, Pong, StreamClosed};
use crate::mux::{BULK_QUEUE, INITIAL_CONNECTION_CREDIT, INTERACTIVE_QUEUE, Mux, MuxConfig, MuxEvent};
use crate::time::Monotonic;

/// A script's steps at most; a longer one says nothing new.
const MAX_STEPS: usize = 2_000;

/// Any script of steps, right and wrong, ends in a value or an error: an end never panics, never gives
/// out half a frame, never sends more than it was granted, stays failed once it has failed, and holds no more
/// than its bounds.
pub fn mux(script: &[u8]) {
    let mut run = Run::new();
    let mut script = Script(script);
    for _ in 0..MAX_STEPS {
        let Some(step) = script.byte() else { break };
        run.step(step, &mut script);
        run.check();
    }
    run.drain();
    run.check();
}

/// The bytes that are left to be taken as steps.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn small(&mut self) -> u8 {
        self.byte().unwrap_or(0)
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One of a few streams of every kind, so that steps meet.
    fn stream(&mut self) -> u32 {
        let byte = self.small();
        if byte < 0xf0 { u32::from(byte % 24) } else { u32::from(byte) << 20 }
    }
}

/// The end under test and what is known of it from outside.
struct Run {
    mux: Mux,
    now: Monotonic,
    sequences: BTreeMap<u32, u32>,
    failed: bool,
    sent: FrameReader,
    bulk_sent: u64,
    /// The highest total that the script has granted to the connection.
    granted: u64,
}

impl Run {
    fn new() -> Self {
        let now = Monotonic(1);
        Self {
            mux: Mux::new(now, MuxConfig::of_component("client", "0.0.0")),
            now,
            sequences: BTreeMap::new(),
            failed: false,
            sent: FrameReader::new(),
            bulk_sent: 0,
            granted: INITIAL_CONNECTION_CREDIT,
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 12 {
            0 => {
                let count = usize::from(script.small());
                let bytes = script.bytes(count);
                let result = self.mux.handle_bytes(self.now, self.now.0, bytes);
                self.note(result.is_err());
            }
            1 => self.control(ControlKind::Hello(MuxConfig::of_component("extension", "9.9.9").hello)),
            2 | 3 => {
                let (stream, size, last) =
                    (script.stream(), usize::from(script.small()) * 97, step & 16 == 0);
                self.frame(stream, last, &vec![step; size]);
            }
            4 => {
                self.now = self.now.after(Duration::from_millis(u64::from(script.small()) * 10));
                let due = self.mux.poll_timeout().is_some_and(|(at, _)| at <= self.now);
                let result = self.mux.handle_timeout(self.now, self.now.0);
                assert!(due || result.is_ok() || self.failed, "failed before its time");
                self.note(result.is_err());
            }
            5 => self.take_events(usize::from(script.small())),
            6 => {
                let (stream, size) = (script.stream(), usize::from(script.small()) << (step & 15));
                let before = self.mux.queued_bytes();
                let result = self.mux.send(stream, vec![step; size]);
                assert!(result.is_ok() || self.mux.queued_bytes() == before, "refused and queued");
                assert!(!self.failed || result.is_err(), "took something after it had failed");
            }
            7 => {
                self.transmit(usize::from(script.small()) * 400);
            }
            8 => self.mux.close_stream(script.stream()),
            9 => {
                let (stream, total_bytes) = (script.stream(), u64::from(script.small()) << 12);
                if stream == CONTROL_STREAM {
                    self.granted = self.granted.max(total_bytes);
                }
                self.control(ControlKind::Credit(Credit { stream, total_bytes }));
            }
            10 => {
                let id = u64::from(script.small());
                self.control(ControlKind::Ping(Ping { id, wall_us: id }));
                self.control(ControlKind::Pong(Pong { id: id % 8, ping_wall_us: id, wall_us: id << 50 }));
            }
            _ => {
                let stream = script.stream();
                self.control(ControlKind::StreamClosed(StreamClosed { stream }));
                self.sequences.retain(|of, _| *of != stream || stream < FIRST_BUFFER_STREAM);
            }
        }
    }

    fn control(&mut self, kind: ControlKind) {
        let payload = Control { kind: Some(kind) }.encode_to_vec();
        self.frame(CONTROL_STREAM, true, &payload);
    }

    fn frame(&mut self, stream: u32, last: bool, payload: &[u8]) {
        let next = self.sequences.entry(stream).or_default();
        let frame = Frame { stream, sequence: *next, priority: Priority::of_stream(stream), last, payload };
        *next += 1;
        let bytes = frame.encode();
        let result = self.mux.handle_bytes(self.now, self.now.0, &bytes);
        self.note(result.is_err());
    }

    fn note(&mut self, failed: bool) {
        assert!(failed || !self.failed, "went on after it had failed");
        self.failed |= failed;
    }

    fn take_events(&mut self, most: usize) {
        for _ in 0..most {
            match self.mux.poll_event() {
                Some(MuxEvent::Message { stream, bytes }) => {
                    assert!(!bytes.is_empty() || stream == BRIDGE_STREAM, "an empty message");
                    assert!(stream != CONTROL_STREAM, "control leaked out");
                }
                Some(MuxEvent::Connected { .. } | MuxEvent::Closed { .. }) => {}
                None => return,
            }
        }
    }

    /// False if there was nothing to send.
    fn transmit(&mut self, most: usize) -> bool {
        let Some(bytes) = self.mux.poll_transmit(most) else { return false };
        assert!(!bytes.is_empty());
        self.sent.push(&bytes);
        while let Ok(Some(frame)) = self.sent.next() {
            if frame.stream >= FIRST_BUFFER_STREAM {
                self.bulk_sent += u64::try_from(frame.payload.len()).unwrap_or(u64::MAX);
            }
            assert!(frame.last || frame.stream > BRIDGE_STREAM, "a control message in slices");
        }
        assert_eq!((self.sent.buffered(), self.sent.next()), (0, Ok(None)), "gave out half a frame");
        true
    }

    fn drain(&mut self) {
        // Taking events frees credit, which gives new credit messages; both come to an end.
        self.take_events(usize::MAX);
        let mut left = MAX_STEPS * 8;
        while self.transmit(usize::MAX) {
            left -= 1;
            assert!(left > 0, "never stops sending");
        }
    }

    fn check(&self) {
        assert!(self.bulk_sent <= self.granted, "sent {} of {}", self.bulk_sent, self.granted);
        assert!(self.mux.queued_bytes() <= BULK_QUEUE + INTERACTIVE_QUEUE + (1 << 20));
        assert_eq!(
            self.mux.poll_timeout().is_none(),
            self.mux.is_closed(),
            "a timer and the end don't agree"
        );
        assert!(!self.failed || self.mux.is_closed());
    }
}
