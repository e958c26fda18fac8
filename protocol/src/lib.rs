//! What Offstage's parts say to each other: wire types, limits, framing, flow control, error codes.
//!
//! No I/O and no clock: bytes and times come in as arguments.

pub mod frame;
pub mod message;
pub mod time;

pub use crate::time::Monotonic;
