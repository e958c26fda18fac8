//! Puts a window above all others.

use std::ops::ControlFlow;

use offstage_support::win32::window;
use offstage_support::win32::window::Order;

use super::overlay::is_page;

/// Pixels from the edges of what the task bar leaves.
const MARGIN: u32 = 16;

/// Puts the window of a process above all others, if it has one by now.
pub(crate) fn put_above(process: u32) -> ControlFlow<()> {
    window::physical_pixels();
    let found = window::top_level().into_iter().find(|window| is_page(*window, process));
    let (Some(found), Some(area)) = (found, window::work_area()) else { return ControlFlow::Continue(()) };
    let Some(bounds) = window::bounds(found) else { return ControlFlow::Continue(()) };
    let place = |from: i32, whole: u32, part: u32| {
        from.saturating_add_unsigned(whole.saturating_sub(part).saturating_sub(MARGIN))
    };
    let left = place(area.x, area.width, bounds.width);
    let top = place(area.y, area.height, bounds.height);
    window::place(found, left, top, None, Order::Topmost);
    ControlFlow::Break(())
}
