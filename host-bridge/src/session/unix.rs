//! What the environment and the kernel say.

use std::env;

pub(super) const DESKTOP_VARIABLES: &[&str] = &["DISPLAY", "WAYLAND_DISPLAY", "XRDP_SESSION"];

pub(super) fn session_type() -> &'static str {
    super::session_type(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// The process that has started this one; 0 if it has gone.
pub(super) fn browser() -> u32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs())
}
