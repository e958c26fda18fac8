//! What both native programs show of themselves: logs, and counters for the machine's monitoring.

pub mod logs;
pub mod metrics;
