//! Keeps a window of the client's own above all others, in the screen's lower right corner.

use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use super::system;

/// How long a window may take to come, and how often it is looked for.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// Waits for the window of a process and puts it above all others. Takes up to ten seconds; a window that does not come, or can't be put
/// there, stays as it is.
pub fn keep_above(process: u32) {
    for _ in 0..TRIES {
        match system::put_above(process) {
            ControlFlow::Break(()) => return,
            ControlFlow::Continue(()) => thread::park_timeout(PAUSE),
        }
    }
    tracing::debug!(process, "no window came that could be kept above the others");
}
