//! Finds the window that a picture lies over: the browser's own when session and device are one machine, or one that shows a window of the
//! session.

use offstage_protocol::message::Rect;
use offstage_support::win32::window;
use offstage_support::win32::window::Window;

use crate::window::ParentHint;
use crate::window::RemoteWindow;
use crate::window::remote::Candidate;
use crate::window::remote::the_one;

/// A window of a likely process may differ so much from the hint (it may just be moved or resized).
const TOLERANCE: u32 = 400;
/// A window of a less likely process (an ancestor) must fit better.
const STRICT_TOLERANCE: u32 = 64;

/// The best window for the hint, and where it is; `None` when no window fits. With `single` it is one of those, which are not the engine's.
pub(super) fn find(
    hint: &ParentHint,
    single: Option<&RemoteWindow>,
    engine: Option<u32>,
) -> Option<(Window, Rect)> {
    // Without the outer rectangle nobody knows where in the window the page is.
    let outer = hint.outer.as_ref()?;
    let fit = |window: Window| {
        if !window::is_visible(window) || window::is_cloaked(window) || window::is_minimised(window) {
            return None;
        }
        let bounds = window::bounds(window)?;
        Some((misfit(&bounds, outer), (window, bounds)))
    };
    if let Some(single) = single {
        let named = window::top_level().into_iter().filter_map(|window| {
            let (misfit, found) = fit(window)?;
            Some((title_of(window, single, engine)?, misfit, found))
        });
        return the_one(&hint.title, STRICT_TOLERANCE, named.collect());
    }
    let of_processes = window::top_level().into_iter().filter_map(|window| {
        let process = window::process(window);
        let rank = hint.pids.iter().position(|wanted| *wanted == process)?;
        let (misfit, found) = fit(window)?;
        let tolerance = if rank == 0 { TOLERANCE } else { STRICT_TOLERANCE };
        (misfit <= tolerance).then_some(((rank, misfit), found))
    });
    of_processes.min_by_key(|(rank, _)| *rank).map(|(_, found)| found)
}

/// The title of a window that is meant.
pub(super) fn title_of(window: Window, which: &RemoteWindow, engine: Option<u32>) -> Option<String> {
    let process = Some(window::process(window)).filter(|process| Some(*process) != engine)?;
    let (class, title) = (window::class(window), window::title(window));
    let classes = [class.as_str()];
    let candidate = Candidate { id: window, classes: &classes, title: &title, process: Some(process) };
    which.matches(&candidate).then_some(title)
}

/// How far two rectangles are from being the same; the sum of what their places and sizes differ by.
fn misfit(one: &Rect, other: &Rect) -> u32 {
    let [x, y] = [one.x.abs_diff(other.x), one.y.abs_diff(other.y)];
    let [width, height] = [one.width.abs_diff(other.width), one.height.abs_diff(other.height)];
    x.saturating_add(y).saturating_add(width).saturating_add(height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_rectangle_fits_perfectly() {
        let one = Rect { x: -8, y: -8, width: 1936, height: 1056 };
        assert_eq!(misfit(&one, &one), 0);
        assert_eq!(misfit(&one, &Rect { x: 0, y: 0, width: 1920, height: 1040 }), 48);
        assert_eq!(misfit(&one, &Rect { x: i32::MAX, ..one }), 2_147_483_655);
    }
}
