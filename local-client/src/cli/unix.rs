//! Where things are by the rules of unix desktops.

use std::ffi::OsStr;
use std::path::PathBuf;

use offstage_protocol::socket_path::SocketChoice;
use offstage_protocol::socket_path::socket_path;
use offstage_support::places::absolute;

pub(super) fn socket(flag: Option<&OsStr>, variable: Option<&OsStr>) -> PathBuf {
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR");
    socket_path(SocketChoice {
        flag,
        variable,
        runtime_dir: runtime_dir.as_deref(),
        uid: rustix::process::geteuid().as_raw(),
    })
}

pub(super) fn default_profile() -> PathBuf {
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    data.unwrap_or_else(|| PathBuf::from("/tmp")).join("offstage/engine")
}
