//! Which of the engine's windows is for what.
//!
//! The first one is the engine's page and stays hidden; each later one belongs to the player that was announced for it, in order. A window
//! that nobody announced stays hidden.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

/// A window's number: all systems have such of 32 bits.
pub type Window = u32;

/// A popup that does not come within that time won't come.
const EXPECTATION_LIMIT: Duration = Duration::from_secs(20);
/// A window whose announcement is slower than it.
const UNANNOUNCED_LIMIT: Duration = Duration::from_secs(5);
/// More windows than that are not waited for.
const MAX_WAITING: usize = 256;

/// What an own window is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The page that does the work; never seen.
    Engine,
    /// The announcement has yet to come.
    Waiting,
    /// Nobody asked for it; never seen.
    Stray,
    Player(u32),
}

/// Matches windows to announcements, both in order.
#[derive(Debug, Default)]
pub struct Matching {
    engine_seen: bool,
    expected: VecDeque<(u32, Instant)>,
    waiting: VecDeque<(Window, Instant)>,
}

impl Matching {
    /// A window has been taken: what is it for?
    pub fn window(&mut self, window: Window, now: Instant) -> Role {
        if !self.engine_seen {
            self.engine_seen = true;
            return Role::Engine;
        }
        if let Some((player, _)) = self.expected.pop_front() {
            return Role::Player(player);
        }
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back((window, now));
        }
        Role::Waiting
    }

    /// A player's window has been announced; gives the window if it is here already.
    pub fn expect(&mut self, player: u32, now: Instant) -> Option<Window> {
        if let Some((window, _)) = self.waiting.pop_front() {
            return Some(window);
        }
        if self.expected.len() < MAX_WAITING {
            self.expected.push_back((player, now));
        }
        None
    }

    /// A window has gone before it was matched.
    pub fn forget(&mut self, window: Window) {
        self.waiting.retain(|(waiting, _)| *waiting != window);
    }

    /// Drops what has waited too long; gives the players whose window did not come.
    pub fn expire(&mut self, now: Instant) -> Vec<u32> {
        let old = |since: Instant, limit: Duration| now.saturating_duration_since(since) >= limit;
        self.waiting.retain(|(_, since)| !old(*since, UNANNOUNCED_LIMIT));
        let mut missing = Vec::new();
        self.expected.retain(|(player, since)| {
            let given_up = old(*since, EXPECTATION_LIMIT);
            if given_up {
                missing.push(*player);
            }
            !given_up
        });
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_announcements_meet_in_order_whichever_comes_first() {
        let now = Instant::now();
        let mut matching = Matching::default();
        assert_eq!(matching.window(1, now), Role::Engine);
        assert_eq!(matching.expect(10, now), None);
        assert_eq!(matching.expect(11, now), None);
        assert_eq!(matching.window(2, now), Role::Player(10));
        assert_eq!(matching.window(3, now), Role::Player(11));
        assert_eq!(matching.window(4, now), Role::Waiting);
        assert_eq!(matching.expect(12, now), Some(4));
    }

    #[test]
    fn what_does_not_come_is_given_up() {
        let now = Instant::now();
        let mut matching = Matching::default();
        matching.window(1, now);
        matching.window(2, now);
        let later = now + UNANNOUNCED_LIMIT;
        assert_eq!(matching.expire(later), Vec::<u32>::new());
        assert_eq!(matching.expect(10, later), None);
        assert_eq!(matching.expire(later + EXPECTATION_LIMIT), [10]);
        assert_eq!(matching.window(3, later + EXPECTATION_LIMIT), Role::Waiting);
    }

    #[test]
    fn a_window_that_has_gone_is_not_given_out() {
        let now = Instant::now();
        let mut matching = Matching::default();
        matching.window(1, now);
        matching.window(2, now);
        matching.forget(2);
        assert_eq!(matching.expect(10, now), None);
    }
}
