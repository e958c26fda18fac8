//! The device's own web engine: finding it, starting it, keeping it running.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

pub mod cdp;
pub mod chromium;
pub mod dialog;
pub mod indicator;
mod places;
pub(crate) mod process;
pub mod question;
pub mod supervisor;

/// Finds the engine's program: the asked one if any, else the first of the known ones.
///
/// An asked one that does not exist is not replaced by another: whoever names an engine wants that one.
#[must_use]
pub fn find(asked: Option<&Path>) -> Option<PathBuf> {
    match asked {
        Some(name) => places::search(name),
        None => places::NAMES.iter().find_map(|name| places::search(Path::new(name))),
    }
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
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(find(Some(folder.path())), None);
    }
}
