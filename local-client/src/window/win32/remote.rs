//! The window of a remote desktop's client: found, followed, and found again when it comes back.

use offstage_protocol::message::Rect;
use offstage_support::win32::window;
use offstage_support::win32::window::Window;

use crate::window::RemoteWindow;
use crate::window::WindowEvent;
use crate::window::win32::parent::title_of;

/// A window's content is at most so many windows deep: `mstsc` has six around what shows the desktop.
const MAX_DEPTH: u32 = 10;
/// Nothing smaller shows a desktop.
const LEAST_SIDE: u32 = 32;

/// The search and what it has found.
#[derive(Debug)]
pub(super) struct Remote {
    which: RemoteWindow,
    found: Option<Found>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Found {
    /// The client's top-level window.
    top: Window,
    /// What shows the session's screen, on the device's: all of the window's content, or a window that covers it.
    content: Rect,
}

impl Remote {
    pub(super) fn new(which: RemoteWindow) -> Self {
        Self { which, found: None }
    }

    /// The window that pictures lie over, and where its content is; `None` while nothing is seen of it.
    pub(super) fn content(&self) -> Option<(Window, Rect)> {
        let found = self.found?;
        is_seen(found.top).then_some((found.top, found.content))
    }

    /// Looks again; what has changed of its size.
    pub(super) fn look(&mut self, engine: Option<u32>) -> Option<WindowEvent> {
        let before = self.found;
        self.found = match before {
            // Minimised, it has no size, and comes back with the one that it had.
            Some(found) if window::exists(found.top) && !is_seen(found.top) => Some(found),
            Some(found) if window::exists(found.top) => look_into(found.top).or(Some(found)),
            Some(_) | None => self.search(engine),
        };
        let size = |found: Found| (found.content.width, found.content.height);
        if self.found.map(size) == before.map(size) {
            return None;
        }
        tracing::debug!(found = ?self.found, "the remote desktop's window");
        Some(match self.found.map(size) {
            Some((width, height)) => WindowEvent::Bound { width, height },
            None => WindowEvent::Unbound,
        })
    }

    /// The largest window of that name that is on the screen.
    fn search(&self, engine: Option<u32>) -> Option<Found> {
        let fits = |window: Window| {
            // Most windows are hidden ones: their names are not read.
            if !is_seen(window) {
                return None;
            }
            title_of(window, &self.which, engine)?;
            look_into(window).filter(|found| found.content.width.min(found.content.height) >= LEAST_SIDE)
        };
        let area = |found: &Found| u64::from(found.content.width) * u64::from(found.content.height);
        window::top_level().into_iter().filter_map(fits).max_by_key(area)
    }
}

fn is_seen(window: Window) -> bool {
    window::is_visible(window) && !window::is_minimised(window) && !window::is_cloaked(window)
}

/// What shows the desktop in a window; `None` if that has gone.
fn look_into(top: Window) -> Option<Found> {
    let mut content = window::client_bounds(top)?;
    let mut around = top;
    for _ in 0..MAX_DEPTH {
        let covering = |child: &Window| {
            let bounds = window::bounds(*child).filter(|_| window::is_visible(*child))?;
            covers(&bounds, &content).then_some((*child, window::client_bounds(*child)?))
        };
        let Some((child, bounds)) = window::children(around).iter().find_map(covering) else { break };
        (around, content) = (child, bounds);
    }
    Some(Found { top, content })
}

fn covers(outer: &Rect, inner: &Rect) -> bool {
    let end = |from: i32, length: u32| i64::from(from) + i64::from(length);
    outer.x <= inner.x
        && outer.y <= inner.y
        && end(outer.x, outer.width) >= end(inner.x, inner.width)
        && end(outer.y, outer.height) >= end(inner.y, inner.height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_shows_the_desktop_if_it_leaves_nothing_of_its_parent() {
        let inner = Rect { x: 10, y: 10, width: 100, height: 100 };
        let check = |x, y, width, height, expected| {
            assert_eq!(covers(&Rect { x, y, width, height }, &inner), expected);
        };
        check(10, 10, 100, 100, true);
        check(0, 5, 110, 105, true);
        check(11, 10, 100, 100, false);
        check(10, 10, 100, 99, false);
        check(i32::MIN, i32::MIN, u32::MAX, u32::MAX, true);
    }
}
