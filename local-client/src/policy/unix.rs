//! Folders of settings by the rules of unix systems.

use std::path::PathBuf;

use offstage_support::places::absolute;

pub(super) fn of_machine() -> PathBuf {
    PathBuf::from("/etc/offstage")
}

pub(super) fn of_person() -> Option<PathBuf> {
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(config.join("offstage"))
}
