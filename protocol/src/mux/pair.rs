//! Two ends and a link between them, in simulated time: below the machine nobody limits queues, so
//! everything that an end gives is on its way at once.

use core::time::Duration;
use std::collections::VecDeque;

use crate::frame::{FIRST_BUFFER_STREAM, FrameReader};
use crate::mux::{Mux, MuxConfig, MuxError, MuxEvent};
use crate::time::Monotonic;

/// What lies between the two ends, the same in both directions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) latency: Duration,
    pub(super) bytes_per_ms: u64,
}

/// The other end gets what is sent in pieces of this size, as each has come.
const WIRE_PIECE: usize = 4096;

/// A loopback.
pub(super) const FAST: Link = Link { latency: Duration::from_micros(200), bytes_per_ms: 200_000 };

#[derive(Debug)]
pub(super) struct End {
    pub(super) mux: Mux,
    /// This end's wall clock minus simulated time.
    pub(super) wall_offset_us: u64,
    /// Whether the application takes events.
    pub(super) reads: bool,
    /// Whether what this end sends arrives.
    pub(super) cut: bool,
    pub(super) events: Vec<(Monotonic, MuxEvent)>,
    pub(super) error: Option<(Monotonic, MuxError)>,
    /// Bulk payload that was sent, and that the application here has taken.
    pub(super) bulk_sent: u64,
    bulk_taken: u64,
    /// The most bulk payload that was sent and not yet taken by the other application.
    pub(super) most_in_flight: u64,
    pub(super) frames_sent: Vec<(Monotonic, u32)>,
    sent_frames: FrameReader,
    wire: VecDeque<(Monotonic, Vec<u8>)>,
    wire_free: Monotonic,
}

#[derive(Debug)]
pub(super) struct Pair {
    pub(super) now: Monotonic,
    pub(super) link: Link,
    pub(super) ends: [End; 2],
}

pub(super) fn config(component: &str) -> MuxConfig {
    MuxConfig::of_component(component, "0.1.0")
}

impl Pair {
    pub(super) fn new(link: Link) -> Self {
        Self::with(link, config("extension"), config("client"))
    }

    pub(super) fn with(link: Link, left: MuxConfig, right: MuxConfig) -> Self {
        let now = Monotonic(1_000_000);
        let end = |config| End {
            mux: Mux::new(now, config),
            wall_offset_us: 0,
            reads: true,
            cut: false,
            events: Vec::new(),
            error: None,
            bulk_sent: 0,
            bulk_taken: 0,
            most_in_flight: 0,
            frames_sent: Vec::new(),
            sent_frames: FrameReader::new(),
            wire: VecDeque::new(),
            wire_free: now,
        };
        Self { now, link, ends: [end(left), end(right)] }
    }

    /// Both ends have met and know the link.
    pub(super) fn connected(link: Link) -> Self {
        let mut pair = Self::new(link);
        pair.run_for(Duration::from_millis(500));
        assert!(pair.ends.iter().all(|end| end.mux.is_connected()));
        pair
    }

    pub(super) fn send(&mut self, from: usize, stream: u32, message: Vec<u8>) {
        self.ends[from].mux.send(stream, message).unwrap();
        self.settle();
    }

    pub(super) fn run_for(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        self.settle();
        while let Some(at) = self.next_time().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.deliver();
            self.settle();
        }
        self.now = end;
    }

    /// The messages that an end's application has taken, with their time.
    pub(super) fn messages(&self, end: usize) -> Vec<(Monotonic, u32, &[u8])> {
        let events = self.ends[end].events.iter();
        events
            .filter_map(|(at, event)| match event {
                MuxEvent::Message { stream, bytes } => Some((*at, *stream, bytes.as_slice())),
                MuxEvent::Connected { .. } | MuxEvent::Closed { .. } => None,
            })
            .collect()
    }

    fn next_time(&self) -> Option<Monotonic> {
        let arrivals = self.ends.iter().filter_map(|end| end.wire.front().map(|(at, _)| *at));
        let alive = self.ends.iter().filter(|end| end.error.is_none());
        arrivals.chain(alive.filter_map(|end| end.mux.poll_timeout().map(|(at, _)| at))).min()
    }

    fn deliver(&mut self) {
        let now = self.now;
        for (from, to) in [(0, 1), (1, 0)] {
            while self.ends[from].wire.front().is_some_and(|(at, _)| *at <= now) {
                let (_, bytes) = self.ends[from].wire.pop_front().unwrap();
                let end = &mut self.ends[to];
                let result = end.mux.handle_bytes(now, now.0 + end.wall_offset_us, &bytes);
                end.note(now, result);
            }
            let end = &mut self.ends[to];
            if end.mux.poll_timeout().is_some_and(|(at, _)| at <= now) {
                let result = end.mux.handle_timeout(now, now.0 + end.wall_offset_us);
                end.note(now, result);
            }
        }
    }

    /// Takes everything out of both machines.
    pub(super) fn settle(&mut self) {
        let now = self.now;
        for (from, to) in [(0, 1), (1, 0)] {
            let end = &mut self.ends[from];
            while end.reads
                && let Some(event) = end.mux.poll_event()
            {
                if let MuxEvent::Message { stream, bytes } = &event
                    && *stream >= FIRST_BUFFER_STREAM
                {
                    end.bulk_taken += u64::try_from(bytes.len()).unwrap();
                }
                end.events.push((now, event));
            }
            while let Some(bytes) = end.mux.poll_transmit(40_000) {
                assert!(bytes.len() <= 40_000);
                end.watch(now, &bytes);
                if end.cut {
                    continue;
                }
                end.wire_free = end.wire_free.max(now);
                for piece in bytes.chunks(WIRE_PIECE) {
                    let size = u64::try_from(piece.len()).unwrap();
                    end.wire_free.0 += size * 1000 / self.link.bytes_per_ms;
                    end.wire.push_back((end.wire_free.after(self.link.latency), piece.to_vec()));
                }
            }
            let in_flight = self.ends[from].bulk_sent - self.ends[to].bulk_taken;
            self.ends[from].most_in_flight = self.ends[from].most_in_flight.max(in_flight);
        }
    }
}

impl End {
    fn note(&mut self, now: Monotonic, result: Result<(), MuxError>) {
        if let Err(error) = result {
            self.error.get_or_insert((now, error));
        }
    }

    fn watch(&mut self, now: Monotonic, bytes: &[u8]) {
        self.sent_frames.push(bytes);
        while let Some(frame) = self.sent_frames.next().unwrap() {
            self.frames_sent.push((now, frame.stream));
            if frame.stream >= FIRST_BUFFER_STREAM {
                self.bulk_sent += u64::try_from(frame.payload.len()).unwrap();
            }
        }
        assert_eq!(self.sent_frames.buffered(), 0, "half a frame was given out");
    }
}
