//! What only a native program knows about the session it runs in.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::env;

use offstage_protocol::message::SessionInfo;

#[cfg(unix)]
use self::unix as own;
#[cfg(windows)]
use self::windows as own;

/// The session as the environment, inherited from the browser, shows it.
#[must_use]
pub fn session_info() -> SessionInfo {
    SessionInfo {
        os: env::consts::OS.to_owned(),
        session_type: own::session_type().to_owned(),
        browser_pid: own::browser(),
        ..SessionInfo::default()
    }
}

/// What of the session says that there is a desktop, for people; empty if nothing does.
#[must_use]
pub fn signs_of_a_desktop() -> Vec<String> {
    let set = |name: &&str| {
        env::var(name).ok().filter(|value| !value.is_empty()).map(|value| format!("{name}={value}"))
    };
    own::DESKTOP_VARIABLES.iter().filter_map(set).collect()
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
