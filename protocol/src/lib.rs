//! What Offstage's parts say to each other: wire types, limits, framing, flow control, error codes.
//!
//! No I/O and no clock: bytes and times come in as arguments. `PROTOCOL.md` beside this crate says the
//! same for people who write another end.

pub mod error;
pub mod frame;
pub mod message;
pub mod mux;
pub mod oracle;
pub mod ranges;
pub mod redact;
pub mod socket_path;
pub mod sorted_map;
pub mod span;
pub mod time;

#[cfg(test)]
mod tests;

pub use prost;

pub use crate::error::ErrorCode;
pub use crate::frame::{Frame, FrameError, FrameReader, OwnedFrame, Priority, RawFrame};
pub use crate::mux::{Mux, MuxConfig, MuxError, MuxEvent};
pub use crate::ranges::Ranges;
pub use crate::redact::redact;
pub use crate::sorted_map::SortedMap;
pub use crate::span::Span;
pub use crate::time::Monotonic;

/// Lowest protocol version that this crate speaks.
pub const PROTOCOL_MIN: u32 = 1;
/// Highest protocol version that this crate speaks.
pub const PROTOCOL_MAX: u32 = 1;
/// How the client closes the socket of a web client's page whose place another page has taken (RFC 6455, section 7.4.2: private use).
pub const CLOSE_TAKEN_OVER: u16 = 4001;
/// The feature of an end that knows `OpenFile` and what belongs to it.
pub const FEATURE_FILES: &str = "files";
/// The feature of a device that understands `FetchedRange.location`; whether it follows one is its own policy's business.
pub const FEATURE_FETCH: &str = "fetch";
/// The feature of an end that answers `LogControl`.
pub const FEATURE_LOGS: &str = "logs";
/// The end knows the messages of calls.
pub const FEATURE_CALLS: &str = "calls";
/// The device draws pictures that are clipped by outlines, turned, translucent or filtered.
pub const FEATURE_SHAPES: &str = "shapes";
/// The feature of a bridge that watches the session's windows.
pub const FEATURE_WINDOWS: &str = "windows";
/// The feature of a device whose pictures lie in a remote desktop's window, which shows all of the session's screen: it needs
/// [`message::WindowHint::screen`], and what other windows of the session cover is to be left out of what is seen.
pub const FEATURE_REMOTE_WINDOW: &str = "remote-window";
/// The feature of a device, with [`FEATURE_REMOTE_WINDOW`], of which each window shows one of the session's: what covers a picture there is
/// its own business, and it needs [`message::SetGeometry::title`].
pub const FEATURE_SINGLE_WINDOWS: &str = "single-windows";
