//! Counters as a file that the machine's monitoring reads: the text format of Prometheus, written by nobody but this process, for the
//! node exporter's textfile collector or anything else that reads it. No port.

use std::io;
use std::path::{Path, PathBuf};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Where the files are kept; empty: nowhere.
pub const FOLDER_VARIABLE: &str = "OFFSTAGE_METRICS_DIR";

/// This process's file; gone when this is dropped.
#[derive(Debug)]
pub struct MetricsFile {
    path: PathBuf,
}

impl MetricsFile {
    /// `program` is `bridge` or `client`. None where there is no folder for it: [`FOLDER_VARIABLE`], or `metrics` in
    /// [`crate::places::runtime`].
    #[must_use]
    pub fn of(program: &str) -> Option<Self> {
        folder().map(|folder| Self::in_folder(&folder, program))
    }

    fn in_folder(folder: &Path, program: &str) -> Self {
        Self { path: folder.join(format!("offstage-{program}-{}.prom", std::process::id())) }
    }

    /// Puts the registry's values in place of the file's, at once.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, registry: &Registry) -> io::Result<()> {
        let mut text = String::new();
        encode(&mut text, registry).map_err(io::Error::other)?;
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let new = self.path.with_extension("new");
        std::fs::write(&new, text)?;
        std::fs::rename(new, &self.path)
    }
}

/// A counter that stands at a value that was counted elsewhere.
#[must_use]
pub fn counter(value: u64) -> Counter {
    let counter = Counter::default();
    counter.inc_by(value);
    counter
}

/// Where the files are, if anywhere: [`FOLDER_VARIABLE`], or `metrics` in [`crate::places::runtime`].
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os(FOLDER_VARIABLE) {
        Some(given) => PathBuf::from(given),
        None => crate::places::runtime()?.join("metrics"),
    };
    folder.is_absolute().then_some(folder)
}

impl Drop for MetricsFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    #[test]
    fn the_file_has_the_newest_values_and_goes_with_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let file = MetricsFile::in_folder(&folder.path().join("deep"), "client");
        let (mut registry, players) = (Registry::with_prefix("offstage"), Gauge::<i64>::default());
        registry.register("players", "Players that are open", players.clone());
        for count in [1, 7] {
            players.set(count);
            file.write(&registry).unwrap();
        }
        let text = std::fs::read_to_string(&file.path).unwrap();
        assert_eq!(
            text,
            "# HELP offstage_players Players that are open.\n# TYPE offstage_players gauge\noffstage_players 7\n# EOF\n"
        );
        let path = file.path.clone();
        drop(file);
        assert!(!path.exists());
    }
}
