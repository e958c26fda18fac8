//! By the XDG base directory specification.

use std::path::Path;
use std::path::PathBuf;

use super::absolute;

pub(super) fn state() -> Option<PathBuf> {
    let state =
        absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("offstage"))
}

pub(super) fn runtime() -> Option<PathBuf> {
    absolute("XDG_RUNTIME_DIR").map(|folder| folder.join("offstage"))
}

pub(super) fn takes_files(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}
