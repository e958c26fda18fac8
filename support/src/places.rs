//! Where programs keep what is theirs, by the rules of the system that they run on.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::env;
use std::path::Path;
use std::path::PathBuf;

#[cfg(unix)]
use unix as own;
#[cfg(windows)]
use windows as own;

/// What stays from run to run, such as logs. `None` where the environment names no folder.
#[must_use]
pub fn state() -> Option<PathBuf> {
    own::state()
}

/// What goes with the programs, such as counters. `None` where the environment names no folder.
#[must_use]
pub fn runtime() -> Option<PathBuf> {
    own::runtime()
}

/// Whether files can be written in a folder that is there or can be made.
#[must_use]
pub fn is_writable(folder: &Path) -> bool {
    let there = folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(folder);
    there.is_dir() && own::takes_files(there)
}

/// The folder that a variable of the environment names, if it is absolute.
#[must_use]
pub fn absolute(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_can_be_made_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_writable(folder.path()));
        assert!(is_writable(&folder.path().join("deep/er")));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of the question");
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(!is_writable(&folder.path().join("file/below")));
    }
}
