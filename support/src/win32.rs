//! What the programs need of Windows and the standard library doesn't have, behind safe functions.

pub mod job;
pub mod overlapped;
#[cfg(feature = "pipes")]
pub mod pipe;
pub mod process;
pub mod registry;
pub mod user;
pub mod window;

/// Text as Windows takes it: UTF-16 with a zero behind it.
#[must_use]
pub fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}
