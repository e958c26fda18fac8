//! The log: to standard error as it is; to a file of bounded size, as JSON a line, redacted; and, while somebody asks for it, into
//! memory for a bundle.

use std::collections::VecDeque;
use std::env;
use std::fmt;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};
use offstage_protocol::message::{LogChunk, LogControl};
use offstage_protocol::redact;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

/// Filter of standard error, as `tracing-subscriber` reads it; `info` if unset. A plain level (`debug`) is the file's as well.
pub const FILTER_VARIABLE: &str = "OFFSTAGE_LOG";
/// One more file, with the lines of standard error.
pub const FILE_VARIABLE: &str = "OFFSTAGE_LOG_FILE";
/// Where the log's files are kept; empty: nowhere.
pub const FOLDER_VARIABLE: &str = "OFFSTAGE_LOG_DIR";

/// A file is that large at most, and has one predecessor.
const FILE_SIZE: usize = 1 << 20;
/// Files of earlier runs that stay, of one program.
const EARLIER: usize = 6;
/// Longest line, in bytes.
const MAX_LINE: usize = 2000;
/// Most that is collected, and how much of it one message carries, in bytes.
const MAX_COLLECTED: usize = 1 << 20;
const CHUNK: usize = 32 << 10;

/// The log of this process. Clones are the same log.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Levels as numbers, 0 for nothing: what the file gets, what the bundle gets.
    to_file: AtomicU8,
    to_bundle: AtomicU8,
    remembers: bool,
    file: Mutex<Option<FileRotate<AppendCount>>>,
    bundle: Mutex<Bundle>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("bundle", &self.bundle).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Bundle {
    correlation: String,
    lines: VecDeque<String>,
    bytes: usize,
    dropped: usize,
}

/// Starts the log of a program: `bridge`, `client`. To be called once. `more` is a layer of the program's own. Who serves one session only
/// may remember: a bundle then has the lines from `info` up from before it was begun as well.
pub fn start<L>(program: &str, remembers: bool, more: L) -> Logs
where
    L: Layer<tracing_subscriber::Registry> + Send + Sync,
{
    let logs = Logs { shared: Arc::new(Shared { remembers, ..Shared::default() }) };
    logs.set_bundle(LevelFilter::OFF);
    let given = env::var(FILTER_VARIABLE).unwrap_or_default();
    let filter = || EnvFilter::new(if given.is_empty() { "info" } else { given.as_str() });
    let to_stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let mut errors = Vec::new();
    let to_file = env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty()).and_then(|path| {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.map_err(|error| errors.push((PathBuf::from(path), error))).ok()
    });
    let to_file =
        to_file.map(|file| tracing_subscriber::fmt::layer().with_writer(Mutex::new(file)).with_ansi(false));
    if let Some(folder) = folder() {
        match open(&folder, program, std::process::id()) {
            Ok(file) => *lock(&logs.shared.file) = Some(file),
            Err(error) => errors.push((folder, error)),
        }
    }
    logs.shared.to_file.store(number(level(&given).unwrap_or(LevelFilter::INFO)), Ordering::Relaxed);
    tracing_subscriber::registry()
        .with(more)
        .with(to_stderr.with_filter(filter()))
        .with(to_file.with_filter(filter()))
        .with(Recorder(logs.clone()))
        .init();
    for (path, error) in errors {
        tracing::warn!(path = %path.display(), %error, "the log can't be written there");
    }
    logs
}

/// Where the files are: [`FOLDER_VARIABLE`], or `logs` in [`crate::places::state`].
#[must_use]
pub fn folder() -> Option<PathBuf> {
    if let Some(given) = env::var_os(FOLDER_VARIABLE) {
        return Some(PathBuf::from(given)).filter(|folder| folder.is_absolute());
    }
    Some(crate::places::state()?.join("logs"))
}

/// Makes this run's file and takes away those of runs that are long over.
fn open(folder: &Path, program: &str, pid: u32) -> std::io::Result<FileRotate<AppendCount>> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    let begins = format!("{program}-");
    let mut earlier: Vec<(SystemTime, PathBuf)> = std::fs::read_dir(folder)?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&begins))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    earlier.sort();
    for (_, path) in earlier.iter().rev().skip(EARLIER) {
        std::fs::remove_file(path).ok();
    }
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let path = folder.join(format!("{program}-{seconds}-{pid}.jsonl"));
    #[cfg(unix)]
    let options = {
        use std::os::unix::fs::OpenOptionsExt as _;
        Some(OpenOptions::new().create(true).append(true).mode(0o600).clone())
    };
    #[cfg(not(unix))]
    let options = None;
    // The library panics if it can't make the file.
    OpenOptions::new().create(true).append(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(FileRotate::new(
        path,
        AppendCount::new(1),
        ContentLimit::BytesSurpassed(FILE_SIZE),
        Compression::None,
        options,
    ))
}

impl Logs {
    /// Does what the other end asks for; what was collected is the answer.
    pub fn control(&self, control: &LogControl) -> Vec<LogChunk> {
        if let Some(level) = level(&control.level) {
            self.shared.to_file.store(number(level), Ordering::Relaxed);
        }
        let mut bundle = lock(&self.shared.bundle);
        if bundle.correlation == control.correlation {
            return Vec::new();
        }
        let begins = !control.correlation.is_empty();
        self.set_bundle(if begins { LevelFilter::DEBUG } else { LevelFilter::OFF });
        let chunks = if bundle.correlation.is_empty() { Vec::new() } else { bundle.chunks() };
        let before = std::mem::take(&mut *bundle);
        if self.shared.remembers && before.correlation.is_empty() {
            *bundle = before;
        }
        bundle.correlation = control.correlation.chars().take(64).collect();
        chunks
    }

    fn set_bundle(&self, level: LevelFilter) {
        let least = if self.shared.remembers { LevelFilter::INFO } else { LevelFilter::OFF };
        self.shared.to_bundle.store(number(level).max(number(least)), Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }

    fn record(&self, metadata: &Metadata<'_>, text: &str) {
        let (level, at) = (number_of(*metadata.level()), SystemTime::now());
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let text = redact(shortened(text));
        let name = metadata.level().as_str().to_ascii_lowercase();
        if level <= self.shared.to_file.load(Ordering::Relaxed)
            && let Some(file) = lock(&self.shared.file).as_mut()
        {
            let line = json!({ "time": seconds, "level": name, "target": metadata.target(), "text": text });
            // A full disk is no reason to stop.
            file.write_all(format!("{line}\n").as_bytes()).ok();
        }
        if level <= self.shared.to_bundle.load(Ordering::Relaxed) {
            lock(&self.shared.bundle).push(format!("{seconds:.3} {name} {}: {text}", metadata.target()));
        }
    }

    fn wants(&self, level: Level) -> bool {
        let most = |wanted: &AtomicU8| wanted.load(Ordering::Relaxed);
        number_of(level) <= most(&self.shared.to_file).max(most(&self.shared.to_bundle))
    }
}

impl Bundle {
    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > MAX_COLLECTED
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
            self.dropped += 1;
        }
    }

    fn chunks(&self) -> Vec<LogChunk> {
        let dropped = (self.dropped > 0).then(|| format!("{} older lines were dropped", self.dropped));
        let mut chunks = vec![LogChunk { correlation: self.correlation.clone(), ..LogChunk::default() }];
        let mut bytes = 0;
        for line in dropped.into_iter().chain(self.lines.iter().cloned()) {
            bytes += line.len();
            if bytes > CHUNK {
                bytes = line.len();
                chunks.push(LogChunk { correlation: self.correlation.clone(), ..LogChunk::default() });
            }
            if let Some(chunk) = chunks.last_mut() {
                chunk.lines.push(line);
            }
        }
        if let Some(chunk) = chunks.last_mut() {
            chunk.last = true;
        }
        chunks
    }
}

struct Recorder(Logs);

impl<S: Subscriber> Layer<S> for Recorder {
    fn enabled(&self, _: &Metadata<'_>, _: Context<'_, S>) -> bool {
        true
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Of the libraries' lines only those that warn: what they say in detail is not known to be harmless.
        let own = event.metadata().target().starts_with("offstage");
        if !self.0.wants(*event.metadata().level()) || !(own || *event.metadata().level() <= Level::WARN) {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        self.0.record(event.metadata(), &line.0);
    }
}

/// An event as text: the message, then the fields.
#[derive(Debug, Default)]
pub struct Line(pub String);

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

fn level(text: &str) -> Option<LevelFilter> {
    Some(text).filter(|text| !text.is_empty()).and_then(|text| text.parse().ok())
}

fn number(level: LevelFilter) -> u8 {
    level.into_level().map_or(0, number_of)
}

fn number_of(level: Level) -> u8 {
    [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE]
        .iter()
        .zip(1..)
        .find_map(|(known, number)| (*known == level).then_some(number))
        .unwrap_or(5)
}

fn shortened(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_LINE)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(correlation: &str) -> LogControl {
        LogControl { level: String::new(), correlation: correlation.to_owned() }
    }

    fn logged(logs: &Logs, log: impl FnOnce()) {
        let _guard = tracing_subscriber::registry().with(Recorder(logs.clone())).set_default();
        log();
    }

    #[test]
    fn what_is_collected_is_given_once_redacted_and_in_order() {
        let logs = Logs::default();
        logged(&logs, || {
            tracing::error!("before");
            assert_eq!(logs.control(&control("a1")), []);
            tracing::debug!(target: "offstage_bridge", page = "https://secret.example/x", "seen");
            tracing::trace!(target: "offstage_bridge", "too much");
            tracing::debug!(target: "hyper", "somebody else's");
            for n in 0..3000 {
                tracing::info!(target: "offstage_bridge", n, "line");
            }
            let chunks = logs.control(&control("b2"));
            assert!(chunks.len() > 1 && chunks.iter().all(|chunk| chunk.correlation == "a1"));
            let last: Vec<bool> = chunks.iter().map(|chunk| chunk.last).collect();
            assert_eq!(last.iter().position(|last| *last), Some(last.len() - 1));
            let lines: Vec<String> = chunks.into_iter().flat_map(|chunk| chunk.lines).collect();
            assert_eq!(lines.len(), 3001);
            assert!(lines[0].ends_with("debug offstage_bridge: seen page=\"https:…\""), "{}", lines[0]);
            assert!(lines[3000].ends_with("line n=2999"), "{}", lines[3000]);
            assert_eq!(logs.control(&control("")).len(), 1, "nothing was logged for the second one");
            assert_eq!(logs.control(&control("")), []);
        });
    }

    #[test]
    fn a_program_that_remembers_gives_what_was_before_but_not_twice() {
        let logs = Logs { shared: Arc::new(Shared { remembers: true, ..Shared::default() }) };
        logs.set_bundle(LevelFilter::OFF);
        logged(&logs, || {
            let said = |chunks: Vec<LogChunk>| -> Vec<String> {
                let lines = chunks.into_iter().flat_map(|chunk| chunk.lines);
                lines.filter_map(|line| Some(line.rsplit_once(": ")?.1.to_owned())).collect()
            };
            tracing::info!(target: "offstage_bridge", "first");
            tracing::debug!(target: "offstage_bridge", "detail");
            logs.control(&control("a1"));
            tracing::debug!(target: "offstage_bridge", "second");
            assert_eq!(said(logs.control(&control(""))), ["first", "second"]);
            logs.control(&control("b2"));
            assert_eq!(said(logs.control(&control(""))), [""; 0]);
        });
    }

    #[test]
    fn a_flood_keeps_the_newest_lines_within_the_bound() {
        let mut bundle = Bundle { correlation: "a".into(), ..Bundle::default() };
        for n in 0..2000 {
            bundle.push(format!("{n:01000}"));
        }
        let lines: Vec<String> = bundle.chunks().into_iter().flat_map(|chunk| chunk.lines).collect();
        assert_eq!(lines[0], "952 older lines were dropped");
        assert_eq!(lines.len(), 1049);
        assert!(lines[1048].ends_with("1999"));
    }

    #[test]
    fn files_are_bounded_in_size_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::default();
        for pid in 0..10 {
            *lock(&logs.shared.file) = Some(open(folder.path(), "bridge", pid).unwrap());
            logs.shared.to_file.store(3, Ordering::Relaxed);
            logged(&logs, || {
                for n in 0..2000 {
                    tracing::info!(target: "offstage_bridge", n, text = "x".repeat(1000), "line");
                }
            });
        }
        *lock(&logs.shared.file) = None;
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
        assert!(files.len() <= EARLIER + 2, "{files:?}");
        let sizes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
        assert!(sizes < 8 * (FILE_SIZE as u64 + 4000), "{sizes}");
        let text = std::fs::read_to_string(files[0].path()).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(
            (line["level"].as_str(), line["target"].as_str()),
            (Some("info"), Some("offstage_bridge"))
        );
    }
}
