//! The receiver's half of flow control: how much the other end may have sent, and how large a window
//! the link deserves.

use core::time::Duration;

use super::liveness::RoundTrip;

/// What each end may send on a bulk stream before it has been granted anything.
pub const INITIAL_STREAM_CREDIT: u64 = 64 * 1024;
/// What each end may send on all bulk streams together before it has been granted anything.
pub const INITIAL_CONNECTION_CREDIT: u64 = 256 * 1024;
/// A window grows to this and no further.
pub const MAX_WINDOW: u64 = 1024 * 1024;
/// A window shrinks while the round trip is more than this above its best. It grows while it is less than
/// half of this above, because twice the window may be twice the queue.
pub const MAX_ADDED_DELAY: Duration = Duration::from_millis(50);

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
}

impl Window {
    pub(super) fn new(initial: u64) -> Self {
        Self { initial, size: initial, granted: initial, received: 0, untaken: 0, adapted_at: 0 }
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
        if target < self.granted.saturating_add(self.size / 4) {
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
        if trip.added > MAX_ADDED_DELAY {
            self.size = (self.size / 2).max(self.initial);
            return;
        }
        // Other ends send about a window in each round trip if nothing but the window limits them.
        let in_one_trip = u128::from(received) * trip.last.as_micros();
        let limited = in_one_trip >= u128::from(self.size / 2) * interval.as_micros();
        if limited && received > 0 && trip.added < MAX_ADDED_DELAY / 2 {
            self.size = (self.size * 2).min(MAX_WINDOW);
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}
