//! What the system tells a program: to end, or to read its settings again.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use self::unix::{Hangups, end};
#[cfg(windows)]
pub(crate) use self::windows::{Hangups, end};
