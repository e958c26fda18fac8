//! A process group, and two descriptors.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::process::Stdio;

use rustix::process::Pid;
use rustix::process::Signal;
use tokio::process::Child;
use tokio::process::ChildStdin;
use tokio::process::ChildStdout;
use tokio::process::Command;

pub(crate) type Reader = ChildStdout;
pub(crate) type Writer = ChildStdin;

/// The descriptors are handed over as stdin and stdout and renumbered by the shell, which replaces
/// itself by the engine: the process id stays, and no unsafe code runs between fork and exec.
const HAND_OVER: &str = r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>&2"#;
/// By which the engine's windows are known.
const CLASS: &str = "offstage";

/// What the engine needs to be told on this system.
pub(crate) fn arguments(headless: bool) -> Vec<String> {
    let mut arguments = Vec::new();
    if rustix::process::geteuid().is_root() {
        // Chromium refuses to run as root with its sandbox.
        arguments.extend(["--no-sandbox", "--test-type"].map(str::to_owned));
    }
    if !headless {
        arguments.extend(["--ozone-platform=x11".to_owned(), format!("--class={CLASS}")]);
    }
    arguments
}

/// Ends with its value.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Option<Pid>,
}

impl Process {
    /// Starts a program in a process group of its own.
    pub(crate) fn spawn(program: &Path, arguments: Vec<OsString>) -> io::Result<(Self, Reader, Writer)> {
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(HAND_OVER)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if tracing::enabled!(tracing::Level::TRACE) { Stdio::inherit() } else { Stdio::null() })
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("no pipes"));
        };
        Ok((Self { child, group }, stdout, stdin))
    }

    /// The process id, which is also the id of the process group.
    pub(crate) fn id(&self) -> u32 {
        self.group.map_or(0, |group| u32::try_from(group.as_raw_nonzero().get()).unwrap_or(0))
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends all of it. Only while the leader is not waited for, or members remain: the number then can't be another's.
    pub(crate) fn kill(&self) {
        if let Some(group) = self.group {
            rustix::process::kill_process_group(group, Signal::KILL).ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.id().is_some() {
            self.kill();
        }
    }
}
