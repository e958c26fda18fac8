//! The device's own web engine: finding it, starting it, keeping it running.

use std::env;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

pub mod cdp;
pub mod chromium;
pub mod dialog;
pub mod indicator;
pub mod question;
pub mod supervisor;

/// Names under which a usable engine may be installed, best first.
const NAMES: [&str; 9] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "microsoft-edge-stable",
    "brave-browser",
    "brave",
    "vivaldi-stable",
];

/// Finds the engine's program: the asked one if any, else the first of the known names on the path.
///
/// An asked one that does not exist is not replaced by another: whoever names an engine wants that one.
#[must_use]
pub fn find(asked: Option<&Path>) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = env::split_paths(&path).collect();
    let search = |name: &Path| {
        if name.components().count() > 1 {
            return is_program(name).then(|| name.to_path_buf());
        }
        directories.iter().map(|directory| directory.join(name)).find(|candidate| is_program(candidate))
    };
    match asked {
        Some(name) => search(name),
        None => NAMES.iter().find_map(|name| search(Path::new(name))),
    }
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// How long to wait before the next start: doubles from 250 ms to 30 s, back to the beginning after a
/// run of a minute.
#[derive(Debug, Default, Clone, Copy)]
pub struct BackOff {
    failures: u32,
}

impl BackOff {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(30);
    const STABLE: Duration = Duration::from_secs(60);

    /// The pause after a run that lasted `run`.
    pub fn after(&mut self, run: Duration) -> Duration {
        if run >= Self::STABLE {
            self.failures = 0;
        }
        let pause = Self::FIRST.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(16);
        pause.min(Self::LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again_after_a_stable_run() {
        let mut back_off = BackOff::default();
        let pauses: Vec<u128> = (0..9).map(|_| back_off.after(Duration::ZERO).as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(back_off.after(Duration::from_secs(61)).as_millis(), 250);
    }

    #[test]
    fn an_asked_engine_that_does_not_exist_is_not_replaced() {
        assert_eq!(find(Some(Path::new("/nonexistent/engine"))), None);
        assert_eq!(find(Some(Path::new("no-such-engine-anywhere"))), None);
    }

    #[test]
    fn a_directory_is_not_a_program() {
        assert_eq!(find(Some(Path::new("/tmp/"))), None);
    }
}
