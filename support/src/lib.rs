//! What both native programs show of themselves: logs, and counters for the machine's monitoring.

pub mod logs;
pub mod metrics;

use std::path::Path;

/// Whether files can be written in a folder that is there or can be made.
#[must_use]
pub fn is_writable(folder: &Path) -> bool {
    let there = folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(folder);
    there.is_dir() && rustix::fs::access(there, rustix::fs::Access::WRITE_OK).is_ok()
}
