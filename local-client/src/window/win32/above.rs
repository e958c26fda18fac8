//! Keeps a window of the client's own above all others, in the screen's lower right corner.

use std::thread;
use std::time::Duration;

use offstage_support::win32::window;
use offstage_support::win32::window::Order;

use super::overlay::is_page;

/// How long a window may take to come, and how often it is looked for.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);
/// Pixels from the edges of what the task bar leaves.
const MARGIN: u32 = 16;

/// Waits for the window of a process and puts it above all others. Takes up to ten seconds. `false` if no window came.
pub fn keep_above(process: u32) -> bool {
    window::physical_pixels();
    for _ in 0..TRIES {
        let found = window::top_level().into_iter().find(|window| is_page(*window, process));
        if let (Some(found), Some(area)) = (found, window::work_area())
            && let Some(bounds) = window::bounds(found)
        {
            let place = |from: i32, whole: u32, part: u32| {
                from.saturating_add_unsigned(whole.saturating_sub(part).saturating_sub(MARGIN))
            };
            let left = place(area.x, area.width, bounds.width);
            let top = place(area.y, area.height, bounds.height);
            window::place(found, left, top, None, Order::Topmost);
            return true;
        }
        thread::park_timeout(PAUSE);
    }
    false
}
