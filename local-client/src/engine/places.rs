//! Where engines are.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use self::unix::{NAMES, search};
#[cfg(windows)]
pub(super) use self::windows::{NAMES, search};
