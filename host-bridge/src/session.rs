//! What only a native program knows about the session it runs in.

use std::env;

use offstage_protocol::message::SessionInfo;

/// The session as the environment, inherited from the browser, shows it.
#[must_use]
pub fn session_info() -> SessionInfo {
    SessionInfo {
        os: env::consts::OS.to_owned(),
        session_type: session_type(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
            .to_owned(),
        browser_pid: rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs()),
        ..SessionInfo::default()
    }
}

/// `xrdp` in a session of xrdp's, `local` with any other display, `other` without one. `is_set` tells whether a variable
/// of the environment has a value.
#[must_use]
pub fn session_type(is_set: impl Fn(&str) -> bool) -> &'static str {
    if is_set("XRDP_SESSION") {
        "xrdp"
    } else if is_set("DISPLAY") || is_set("WAYLAND_DISPLAY") {
        "local"
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_tells_the_kind_of_session() {
        let check = |set: &[&str], expected| assert_eq!(session_type(|name| set.contains(&name)), expected);
        check(&["XRDP_SESSION", "DISPLAY"], "xrdp");
        check(&["DISPLAY"], "local");
        check(&["WAYLAND_DISPLAY"], "local");
        check(&[], "other");
    }
}
