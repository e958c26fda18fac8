//! The log: lines to standard error and, if wanted, to a file; warnings and errors to the extension as well.

use std::collections::VecDeque;
use std::env;
use std::fmt;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::sync::Notify;
use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Filter of the log, as `tracing-subscriber` reads it; `info` if unset.
pub const FILTER_VARIABLE: &str = "OFFSTAGE_LOG";

/// A file that the log is added to, besides standard error.
pub const FILE_VARIABLE: &str = "OFFSTAGE_LOG_FILE";

/// Lines that wait for the extension at most; older ones stay, newer ones are in the log only.
const CAPACITY: usize = 64;

/// Lines on their way to the extension.
#[derive(Clone, Debug, Default)]
pub struct LogLines {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<VecDeque<(Level, String)>>,
    added: Notify,
}

/// Starts the log. To be called once.
#[must_use]
pub fn start() -> LogLines {
    let lines = LogLines::default();
    let filter = || {
        let given = env::var(FILTER_VARIABLE).unwrap_or_default();
        if given.is_empty() { EnvFilter::new("info") } else { EnvFilter::new(given) }
    };
    let to_stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let mut file_error = None;
    let to_file = env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty()).and_then(|path| {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.map_err(|error| file_error = Some(error)).ok()
    });
    let to_file = to_file.map(|file| {
        tracing_subscriber::fmt::layer().with_writer(Mutex::new(file)).with_ansi(false).with_filter(filter())
    });
    tracing_subscriber::registry()
        .with(to_stderr.with_filter(filter()))
        .with(to_file)
        .with(lines.clone())
        .init();
    if let Some(error) = file_error {
        tracing::warn!(%error, "the file that {FILE_VARIABLE} names can't be written");
    }
    lines
}

impl LogLines {
    /// The oldest line that waits, or the next that comes.
    pub async fn next(&self) -> (Level, String) {
        loop {
            if let Some(line) = self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
                return line;
            }
            self.shared.added.notified().await;
        }
    }
}

impl<S: Subscriber> Layer<S> for LogLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level > Level::WARN {
            return;
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        let mut lines = self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < CAPACITY {
            lines.push_back((level, line.0));
            self.shared.added.notify_one();
        }
    }
}

/// The message, then the fields.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        let result = if field.name() == "message" {
            let rest = std::mem::take(&mut self.0);
            write!(self.0, "{value:?}{space}{rest}")
        } else {
            write!(self.0, "{space}{}={value:?}", field.name())
        };
        debug_assert!(result.is_ok(), "a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn warnings_and_errors_wait_for_the_extension() {
        let lines = LogLines::default();
        let _guard = tracing_subscriber::registry().with(lines.clone()).set_default();
        tracing::info!("not this one");
        tracing::warn!(path = "/x", "can't be written");
        tracing::error!(number = 3, "broken");
        assert_eq!(lines.next().await, (Level::WARN, "can't be written path=\"/x\"".to_owned()));
        assert_eq!(lines.next().await, (Level::ERROR, "broken number=3".to_owned()));
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let lines = LogLines::default();
        let _guard = tracing_subscriber::registry().with(lines.clone()).set_default();
        for number in 0..1000 {
            tracing::warn!(number);
        }
        assert_eq!(lines.shared.lines.lock().unwrap().len(), CAPACITY);
        assert_eq!(lines.next().await.1, "number=0");
    }
}
