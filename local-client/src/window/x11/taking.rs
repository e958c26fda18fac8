//! Takes the engine's windows before anybody sees them and finds out whose they are.
//!
//! The engine makes a window, sets its properties, and maps it some hundred milliseconds later. In
//! between it is reparented into a frame of ours below a window that is never mapped. The first one is
//! the engine's page and stays there; each later one belongs to the player that was announced for it,
//! in order. A window that nobody announced stays hidden.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use x11rb::protocol::xproto::AtomEnum;
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::protocol::xproto::EventMask;
use x11rb::protocol::xproto::Window;
use x11rb::rust_connection::RustConnection;

use crate::window::x11::DisplayError;
use crate::window::x11::gone_is_none;
use crate::window::x11::parent::window_pid;

/// The class that the engine is started with.
const CLASS: &[u8] = b"offstage";
/// How the instance names of windows with a page of the stage's begin: with the page's host.
const INSTANCE: &[u8] = b"127.0.0.1__";
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

/// Recognises the engine's windows among all that are made.
#[derive(Debug, Default)]
pub struct Watch {
    engine: Option<u32>,
    /// The engine's windows that have no class yet.
    unclassified: BTreeSet<Window>,
}

impl Watch {
    pub fn engine_started(&mut self, pid: u32) {
        self.engine = Some(pid);
        self.unclassified.clear();
    }

    pub fn engine_gone(&mut self) {
        self.engine = None;
        self.unclassified.clear();
    }

    /// A window was made below the root; true if it is to be taken now.
    pub fn created(&mut self, conn: &RustConnection, window: Window) -> Result<bool, DisplayError> {
        let Some(engine) = self.engine else {
            return Ok(false);
        };
        let Some(pid) = window_pid(conn, window)? else {
            return Ok(false);
        };
        if !belongs(pid, engine) {
            return Ok(false);
        }
        conn.change_window_attributes(
            window,
            &x11rb::protocol::xproto::ChangeWindowAttributesAux::new()
                .event_mask(EventMask::PROPERTY_CHANGE | EventMask::STRUCTURE_NOTIFY),
        )?;
        // The class may have been set before the events were asked for.
        self.unclassified.insert(window);
        self.classified(conn, window)
    }

    /// The window's class may have been set; true if the window is to be taken now.
    pub fn classified(&mut self, conn: &RustConnection, window: Window) -> Result<bool, DisplayError> {
        if !self.unclassified.contains(&window) {
            return Ok(false);
        }
        let property =
            conn.get_property(false, window, AtomEnum::WM_CLASS, AtomEnum::STRING, 0, 256)?.reply();
        let Some(property) = gone_is_none(property)? else {
            self.unclassified.remove(&window);
            return Ok(false);
        };
        let mut parts = property.value.split(|byte| *byte == 0);
        let (instance, class) = (parts.next().unwrap_or_default(), parts.next());
        tracing::trace!(window, instance = %String::from_utf8_lossy(instance), "a window of the engine");
        // Windows without a page (of the toolkit, of dialogs) are named after the program.
        if class != Some(CLASS) || !instance.starts_with(INSTANCE) {
            return Ok(false);
        }
        self.unclassified.remove(&window);
        Ok(true)
    }

    /// A window of the engine appears on the screen untaken: true if it is to be taken off it.
    pub fn appeared(&mut self, window: Window) -> bool {
        self.unclassified.remove(&window)
    }

    pub fn forget(&mut self, window: Window) {
        self.unclassified.remove(&window);
    }
}

/// The engine is a process group of its own; its launcher may have started the real program.
pub(super) fn belongs(pid: u32, engine: u32) -> bool {
    if pid == engine {
        return true;
    }
    let group = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .and_then(|pid| rustix::process::getpgid(Some(pid)).ok());
    group.is_some_and(|group| u32::try_from(group.as_raw_nonzero().get()) == Ok(engine))
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
