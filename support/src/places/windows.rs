//! In the person's folder for programs of this machine, which other people can't read.

use std::fs::OpenOptions;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use super::absolute;

/// `FILE_FLAG_DELETE_ON_CLOSE`: gone with its handle, even if the process dies.
const GONE_WITH_ITS_HANDLE: u32 = 0x0400_0000;

pub(super) fn state() -> Option<PathBuf> {
    absolute("LOCALAPPDATA").map(|folder| folder.join("Offstage"))
}

pub(super) fn runtime() -> Option<PathBuf> {
    state()
}

/// Access lists can't be asked in one call that also knows of shares and read-only media: a file is made.
pub(super) fn takes_files(folder: &Path) -> bool {
    let file = folder.join(format!(".offstage-{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).custom_flags(GONE_WITH_ITS_HANDLE).open(file).is_ok()
}
