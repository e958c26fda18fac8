//! Where things are on Windows.

use std::ffi::OsStr;
use std::path::PathBuf;

use offstage_protocol::socket_path::pipe_path;
use offstage_support::win32::user;

pub(super) fn socket(flag: Option<&OsStr>, variable: Option<&OsStr>) -> PathBuf {
    // A name without a user is one that no bridge looks for; doctor and `run` show it.
    pipe_path(flag, variable, &user::own().unwrap_or_default())
}

pub(super) fn default_profile() -> PathBuf {
    offstage_support::places::state().unwrap_or_else(std::env::temp_dir).join("engine")
}
