//! Folders of settings on Windows.

use std::path::PathBuf;

use offstage_support::places::absolute;
use offstage_support::win32::registry;
use offstage_support::win32::registry::Root;

/// Where Windows says where programs are, to be changed by administrators only.
const KEY: &str = r"Software\Microsoft\Windows\CurrentVersion";

/// Not below ProgramData, where whoever is first to make a folder owns it; and not by the environment, which is the person's.
pub(super) fn of_machine() -> PathBuf {
    let told = registry::text(Root::Machine, KEY, "ProgramFilesDir").ok().flatten().map(PathBuf::from);
    let programs = told.filter(|folder| folder.is_absolute());
    programs.unwrap_or_else(|| PathBuf::from(r"C:\Program Files")).join("Offstage")
}

pub(super) fn of_person() -> Option<PathBuf> {
    Some(absolute("APPDATA")?.join("Offstage"))
}
