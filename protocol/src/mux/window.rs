//! The receiver's half of flow control: how much the other end may have sent, and how large a window
//! the link deserves.

use core::time::Duration;

use super::liveness::RoundTrip;

/// What each end may send on a bulk stream before it has been granted anything.
pub const INITIAL_STREAM_CREDIT: u64 = 64 * 1024;
/// What each end may send on all bulk streams together before it has been granted anything.
pub const INITIAL_CONNECTION_CREDIT: u64 = 64 * 1024;
/// A window grows to this and no further.
pub const MAX_WINDOW: u64 = 1024 * 1024;
/// A window shrinks while the round trip is more than this above its best.
pub const MAX_ADDED_DELAY: Duration = Duration::from_millis(50);
/// A window that is the limit grows towards a round trip that is this much above its best: what lies below is never
/// idle then, and nothing waits there for long.
pub const AIMED_DELAY: Duration = Duration::from_millis(30);

/// Credit is given in parts that the link carries in this time, if they are not above a quarter of the window or below
/// [`MIN_GRANT`]: whatever is granted at once is sent at once, and waits below.
const GRANT_INTERVAL: Duration = Duration::from_millis(5);
const MIN_GRANT: u64 = 16 * 1024;

/// The account of one stream, or of the connection, on the receiving side.
#[derive(Clone, Debug)]
pub(super) struct Window {
    initial: u64,
    size: u64,
    /// Payload bytes that the other end may have sent in all.
    granted: u64,
    received: u64,
    /// Of these, bytes of whole messages that the application has not taken yet.
    untaken: u64,
    /// What had been received when the window was last adapted.
    adapted_at: u64,
    /// What is granted at once, at least: as much as comes in [`GRANT_INTERVAL`].
    step: u64,
}

impl Window {
    pub(super) fn new(initial: u64) -> Self {
        Self { initial, size: initial, granted: initial, received: 0, untaken: 0, adapted_at: 0, step: 0 }
    }

    /// Counts payload that came; false if it is more than was granted.
    #[must_use]
    pub(super) fn receive(&mut self, bytes: u64) -> bool {
        self.received = self.received.saturating_add(bytes);
        self.received <= self.granted
    }

    /// A message is whole and waits for the application.
    pub(super) fn hold(&mut self, bytes: u64) {
        self.untaken = self.untaken.saturating_add(bytes);
    }

    /// The application took it, or will never.
    pub(super) fn release(&mut self, bytes: u64) {
        self.untaken = self.untaken.saturating_sub(bytes);
    }

    /// The new total to tell the other end, if it is worth a message.
    ///
    /// The slices of an unfinished message count as taken: a message may be larger than the window.
    pub(super) fn grant(&mut self) -> Option<u64> {
        let target = self.received.saturating_sub(self.untaken).saturating_add(self.size);
        if target < self.granted.saturating_add(self.step.max(MIN_GRANT).min(self.size / 4)) {
            return None;
        }
        self.granted = target;
        Some(target)
    }

    /// Grows the window if it was the limit and the link has room, shrinks it if the link queues.
    /// `interval` is the time since this was last done.
    pub(super) fn adapt(&mut self, trip: RoundTrip, interval: Duration) {
        let received = self.received - self.adapted_at;
        self.adapted_at = self.received;
        self.step = part(received, GRANT_INTERVAL, interval);
        let last = trip.last.max(Duration::from_micros(1));
        if trip.added > MAX_ADDED_DELAY {
            let aimed = last.saturating_sub(trip.added) + AIMED_DELAY;
            self.size = part(self.size, aimed, last).max(self.size / 2).max(self.initial);
            return;
        }
        // Other ends send about a window in each round trip if nothing but the window limits them.
        let in_one_trip = u128::from(received) * last.as_micros();
        let limited = in_one_trip >= u128::from(self.size / 2) * interval.as_micros();
        if limited && received > 0 {
            // What a link has no more room for waits: each part of the window adds its part of the round trip. Half the way,
            // because the other direction may be taking the same room.
            let room = AIMED_DELAY.saturating_sub(trip.added) / 2;
            self.size = (self.size + part(self.size, room.min(last), last)).min(MAX_WINDOW);
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

/// `size * share / whole`.
fn part(size: u64, share: Duration, whole: Duration) -> u64 {
    let part = u128::from(size) * share.as_micros() / whole.as_micros().max(1);
    u64::try_from(part).unwrap_or(u64::MAX)
}
