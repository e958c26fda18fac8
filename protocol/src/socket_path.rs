//! Where the client is: one rule for the client that listens and the bridge that connects. A unix socket; on Windows a named pipe; through
//! a remote desktop a dynamic virtual channel.
//!
//! Pure: the caller reads its own command line, environment and user id.

use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;

/// Names the client that a bridge connects to, and so the path at which that client listens.
pub const SOCKET_VARIABLE: &str = "OFFSTAGE_SOCKET";

/// The dynamic virtual channel that the session's side opens and the device's plug-in listens on.
pub const DVC_NAME: &str = "OFFSTAGE";

/// Where Windows' clients of remote desktops look for plug-ins, in the person's registry and the machine's; the last part is a name of ours.
pub const ADD_IN: &str = r"Software\Microsoft\Terminal Server Client\Default\AddIns\Offstage";

/// What the choice depends on. Empty values count as absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketChoice<'a> {
    /// The command line's `--socket`.
    pub flag: Option<&'a OsStr>,
    /// The environment's [`SOCKET_VARIABLE`].
    pub variable: Option<&'a OsStr>,
    /// The environment's `XDG_RUNTIME_DIR`; a relative one is ignored, as the XDG base directory specification asks.
    pub runtime_dir: Option<&'a OsStr>,
    /// The user that both ends run as.
    pub uid: u32,
}

/// The socket's path. The directory is not looked at: it need not exist, and may be somebody else's (the ends check each
/// other's user id).
#[must_use]
pub fn socket_path(choice: SocketChoice<'_>) -> PathBuf {
    let given = |value: Option<&OsStr>| value.filter(|value| !value.is_empty()).map(PathBuf::from);
    given(choice.flag).or_else(|| given(choice.variable)).unwrap_or_else(|| {
        given(choice.runtime_dir)
            .filter(|dir| dir.is_absolute())
            .map_or_else(
                || Path::new("/tmp").join(format!("offstage-{}", choice.uid)),
                |dir| dir.join("offstage"),
            )
            .join("client.sock")
    })
}

/// The named pipe's path on Windows, for the user with this security identifier. Whoever runs as somebody else can't open it, and one that
/// somebody else made under its name is found out by both ends.
#[must_use]
pub fn pipe_path(flag: Option<&OsStr>, variable: Option<&OsStr>, user: &str) -> PathBuf {
    let given = [flag, variable].into_iter().flatten().find(|value| !value.is_empty());
    given.map_or_else(|| PathBuf::from(format!(r"\\.\pipe\offstage-{user}")), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_has_a_pipe_and_another_one_can_be_named() {
        let check = |flag: &str, variable: &str, expected: &str| {
            let path = pipe_path(Some(OsStr::new(flag)), Some(OsStr::new(variable)), "S-1-5-7");
            assert_eq!(path, Path::new(expected));
        };
        check("", "", r"\\.\pipe\offstage-S-1-5-7");
        check("", r"\\.\pipe\b", r"\\.\pipe\b");
        check(r"\\.\pipe\a", r"\\.\pipe\b", r"\\.\pipe\a");
    }

    fn check(flag: &str, variable: &str, runtime_dir: &str, expected: &str) {
        let choice = SocketChoice {
            flag: Some(OsStr::new(flag)),
            variable: Some(OsStr::new(variable)),
            runtime_dir: Some(OsStr::new(runtime_dir)),
            uid: 1000,
        };
        assert_eq!(socket_path(choice), Path::new(expected));
    }

    #[cfg(unix)]
    #[test]
    fn the_flag_wins_then_the_variable_then_the_runtime_directory() {
        check("/a.sock", "/b.sock", "/run/user/1000", "/a.sock");
        check("", "/b.sock", "/run/user/1000", "/b.sock");
        check("", "", "/run/user/1000", "/run/user/1000/offstage/client.sock");
        check("", "", "", "/tmp/offstage-1000/client.sock");
    }

    #[test]
    fn a_relative_runtime_directory_is_ignored() {
        check("", "", "run", "/tmp/offstage-1000/client.sock");
    }

    #[test]
    fn absent_values_are_like_empty_ones() {
        let choice = SocketChoice { uid: 7, ..SocketChoice::default() };
        assert_eq!(socket_path(choice), Path::new("/tmp/offstage-7/client.sock"));
    }
}
