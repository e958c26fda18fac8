//! The client's process.

use std::io::BufRead as _;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::display::Display;
use crate::session::Session;

/// Patience with a busy machine; nothing waits so long unless it fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

/// A client in its own folder; ends with its value, and its engine with it.
pub(crate) struct Client {
    child: Child,
    lines: mpsc::Receiver<String>,
    log: mpsc::Receiver<String>,
    pub(crate) folder: TempDir,
}

/// How a test's client differs from the usual one.
#[derive(Default)]
pub(crate) struct Options<'o> {
    pub(crate) display: Option<&'o Display>,
    pub(crate) arguments: Vec<String>,
    pub(crate) path: Option<&'o str>,
}

impl Client {
    pub(crate) fn start(options: Options<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stage = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/stage");
        let mut command = Command::new(env!("CARGO_BIN_EXE_offstage-client"));
        command.env("OFFSTAGE_LOG_DIR", "").env("OFFSTAGE_METRICS_DIR", "");
        command
            .arg("run")
            .arg("--socket")
            .arg(folder.path().join("run/client.sock"))
            .arg("--profile")
            .arg(folder.path().join("profile"))
            .arg("--stage-dir")
            .arg(stage)
            .arg("--engine-arg=--mute-audio")
            .args(options.arguments)
            .env("XDG_STATE_HOME", folder.path().join("state"))
            .env_remove("OFFSTAGE_LISTEN")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("OFFSTAGE_ENGINE")
            .env("OFFSTAGE_LOG", "info,offstage_client=debug")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(display) = options.display {
            command.env("DISPLAY", &display.name);
        }
        if let Some(path) = options.path {
            command.env("PATH", path);
        }
        let mut child = command.spawn().unwrap();
        let lines = reader(child.stdout.take().unwrap(), false);
        let log = reader(child.stderr.take().unwrap(), true);
        let client = Self { child, lines, log, folder };
        client.wait_for_log("listening");
        client
    }

    /// A client whose engine runs headless.
    pub(crate) fn headless() -> Self {
        Self::start(Options { arguments: vec!["--windows=none".to_owned()], ..Options::default() })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("run/client.sock")
    }

    /// The next line that it prints.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("the client prints a line")
    }

    /// Waits for the next `READY` line.
    pub(crate) fn ready(&self) -> Value {
        let line = self.line();
        serde_json::from_str(line.strip_prefix("READY ").expect("a READY line")).unwrap()
    }

    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(left).unwrap_or_else(|_| panic!("no {text:?} in the log"));
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn session(&self) -> Session {
        Session::connect(&self.socket())
    }

    /// A session that has been told that the device is ready.
    pub(crate) fn ready_session(&self) -> Session {
        let mut session = self.session();
        session.wait_ready();
        session
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.child.id(), signal);
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.signal(Signal::TERM);
            self.child.wait().unwrap();
        }
    }
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn reader(stream: impl std::io::Read + Send + 'static, echo: bool) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(100_000);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            if echo {
                // Shown by the test harness when the test fails.
                eprintln!("{line}");
            }
            // More than that no test writes; a full queue must not stop the client.
            sender.try_send(line).ok();
        }
    });
    receiver
}
