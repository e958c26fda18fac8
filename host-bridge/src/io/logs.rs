//! Warnings and errors, on their way to the extension.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use offstage_support::logs::Line;
use tokio::sync::Notify;
use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

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
        let mut line = Line::default();
        event.record(&mut line);
        let mut lines = self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < CAPACITY {
            lines.push_back((level, line.0));
            self.shared.added.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;

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
