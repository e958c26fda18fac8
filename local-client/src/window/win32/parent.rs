//! Finds the window that a picture lies over when session and device are one machine: the browser's own.

use offstage_protocol::message::Rect;
use offstage_support::win32::window;
use offstage_support::win32::window::Window;

use crate::window::ParentHint;

/// A window of a likely process may differ so much from the hint (it may just be moved or resized).
const TOLERANCE: u32 = 400;
/// A window of a less likely process (an ancestor) must fit better.
const STRICT_TOLERANCE: u32 = 64;

/// The best window for the hint, and where it is; `None` when no window fits.
pub(super) fn find(hint: &ParentHint) -> Option<(Window, Rect)> {
    // Without the outer rectangle nobody knows where in the window the page is.
    let outer = hint.outer.as_ref()?;
    let fit = |window: Window| {
        let process = window::process(window);
        let rank = hint.pids.iter().position(|wanted| *wanted == process)?;
        if !window::is_visible(window) || window::is_cloaked(window) || window::is_minimised(window) {
            return None;
        }
        let bounds = window::bounds(window)?;
        let misfit = misfit(&bounds, outer);
        let tolerance = if rank == 0 { TOLERANCE } else { STRICT_TOLERANCE };
        (misfit <= tolerance).then_some((rank, misfit, window, bounds))
    };
    let found = window::top_level().into_iter().filter_map(fit);
    let best = found.min_by_key(|(rank, misfit, _, _)| (*rank, *misfit))?;
    Some((best.2, best.3))
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
