//! What both native programs show of themselves: logs, and counters for the machine's monitoring; and where such things are.

pub mod logs;
pub mod metrics;
pub mod places;
#[cfg(windows)]
pub mod win32;

pub use places::is_writable;
