//! The receiver's half of flow control: how much the other end may have sent, and how large a window
//! the link deserves.

use core::time::Duration;

use crate::frame::MAX_PAYLOAD;

/// What each end may send on a bulk stream before it has been granted anything.
pub const INITIAL_STREAM_CREDIT: u64 = 64 * 1024;
/// What each end may send on all bulk streams together before it has been granted anything.
pub const INITIAL_CONNECTION_CREDIT: u64 = 256 * 1024;
/// A window grows to this and no further.
pub const MAX_WINDOW: u64 = 1024 * 1024;
/// A window grows only while the round trip is less than this above its best.
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
    /// The other end has used (nearly) all that it was granted: the window may be what limits it.
    exhausted: bool,
}

impl Window {
    pub(super) fn new(initial: u64) -> Self {
        Self { initial, size: initial, granted: initial, received: 0, untaken: 0, exhausted: false }
    }

    /// Counts payload that came; false if it is more than was granted.
    #[must_use]
    pub(super) fn receive(&mut self, bytes: u64) -> bool {
        self.received = self.received.saturating_add(bytes);
        let full_frame = u64::try_from(MAX_PAYLOAD).unwrap_or(u64::MAX);
        // If the application is what holds the other end up, a larger window would only hold more.
        if self.granted.saturating_sub(self.received) < full_frame && self.untaken <= self.size / 2 {
            self.exhausted = true;
        }
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
    pub(super) fn adapt(&mut self, added_delay: Duration) {
        if added_delay > MAX_ADDED_DELAY {
            self.size = (self.size / 2).max(self.initial);
        } else if self.exhausted {
            self.size = (self.size * 2).min(MAX_WINDOW);
        }
        self.exhausted = false;
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}
