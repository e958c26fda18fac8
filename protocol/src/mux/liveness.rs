//! Pings: whether the other end is alive, how far away it is and what its clock says.

use core::time::Duration;
use std::collections::VecDeque;

use crate::message::{Ping, Pong};
use crate::time::Monotonic;

/// A ping is sent this often.
pub const PING_INTERVAL: Duration = Duration::from_secs(2);
/// While bulk payload arrives, a ping is sent this often: the windows follow the round trip.
pub const BUSY_PING_INTERVAL: Duration = Duration::from_millis(50);
/// A link on which nothing came for this long is dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(6);

/// Round trips that are remembered, the best of each [`SAMPLE_TIME`]; the best of all gives the clock offset and the base
/// delay. Eight minutes: a link that is never idle shows its own delay seldom.
const SAMPLES: usize = 128;
const SAMPLE_TIME: Duration = Duration::from_secs(4);
/// Pings that may be unanswered before the oldest is forgotten; six seconds of busy ones.
const OUTSTANDING: usize = 128;

/// What an answer says about the link.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoundTrip {
    pub(super) sent: Monotonic,
    pub(super) last: Duration,
    /// How much longer than the best of the last minutes.
    pub(super) added: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    /// When the first round trip that it stands for ended.
    since: Monotonic,
    round_trip: Duration,
    offset_us: i64,
}

#[derive(Debug)]
pub(super) struct Liveness {
    heard: Monotonic,
    last_ping: Option<Monotonic>,
    next_ping: Monotonic,
    next_id: u64,
    outstanding: VecDeque<(u64, Monotonic, u64)>,
    samples: VecDeque<Sample>,
    newest: Option<Duration>,
}

impl Liveness {
    pub(super) fn new(now: Monotonic) -> Self {
        Self {
            heard: now,
            last_ping: None,
            next_ping: now,
            next_id: 1,
            outstanding: VecDeque::new(),
            samples: VecDeque::new(),
            newest: None,
        }
    }

    /// Bytes came, whatever they say.
    pub(super) fn heard(&mut self, now: Monotonic) {
        self.heard = self.heard.max(now);
    }

    /// When something came last.
    pub(super) fn heard_at(&self) -> Monotonic {
        self.heard
    }

    /// A ping is wanted at once.
    pub(super) fn ping_soon(&mut self, now: Monotonic) {
        self.next_ping = self.next_ping.min(now);
    }

    /// Bulk payload came: the next ping is due sooner.
    pub(super) fn busy(&mut self) {
        if let Some(last) = self.last_ping {
            self.next_ping = self.next_ping.min(last.after(BUSY_PING_INTERVAL));
        }
    }

    pub(super) fn is_dead(&self, now: Monotonic) -> bool {
        now >= self.dead_at()
    }

    pub(super) fn dead_at(&self) -> Monotonic {
        self.heard.after(DEAD_AFTER)
    }

    pub(super) fn ping_at(&self) -> Monotonic {
        self.next_ping
    }

    /// The ping that is due now, if one is.
    pub(super) fn next_ping(&mut self, now: Monotonic, wall_us: u64) -> Option<Ping> {
        if now < self.next_ping {
            return None;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.last_ping = Some(now);
        self.next_ping = now.after(PING_INTERVAL);
        if self.outstanding.len() >= OUTSTANDING {
            self.outstanding.pop_front();
        }
        self.outstanding.push_back((id, now, wall_us));
        Some(Ping { id, wall_us })
    }

    /// Takes an answer; `None` for an answer to nothing.
    pub(super) fn pong(&mut self, now: Monotonic, pong: &Pong) -> Option<RoundTrip> {
        let at = self.outstanding.iter().position(|(id, ..)| *id == pong.id)?;
        let (_, sent, sent_wall_us) = self.outstanding.remove(at)?;
        let round_trip = now.since(sent);
        let half = u64::try_from(round_trip.as_micros() / 2).unwrap_or(u64::MAX);
        let offset_us = difference(pong.wall_us, sent_wall_us.saturating_add(half));
        self.newest = Some(round_trip);
        let sample = Sample { since: now, round_trip, offset_us };
        match self.samples.back_mut() {
            Some(current) if now.since(current.since) < SAMPLE_TIME => {
                if round_trip < current.round_trip {
                    *current = Sample { since: current.since, ..sample };
                }
            }
            Some(_) | None => {
                if self.samples.len() >= SAMPLES {
                    self.samples.pop_front();
                }
                self.samples.push_back(sample);
            }
        }
        let best = self.best()?.round_trip;
        Some(RoundTrip { sent, last: round_trip, added: round_trip.saturating_sub(best) })
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.newest
    }

    pub(super) fn offset_us(&self) -> Option<i64> {
        self.best().map(|sample| sample.offset_us)
    }

    fn best(&self) -> Option<&Sample> {
        self.samples.iter().min_by_key(|sample| sample.round_trip)
    }
}

/// `a - b`, held inside the range of the result.
fn difference(a: u64, b: u64) -> i64 {
    i64::try_from(i128::from(a) - i128::from(b)).unwrap_or(if a > b { i64::MAX } else { i64::MIN })
}
