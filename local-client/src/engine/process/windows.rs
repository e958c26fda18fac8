//! A job, and two pipes whose other ends the engine inherits.

use std::ffi::OsString;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::windows::io::AsRawHandle as _;
use std::os::windows::io::OwnedHandle;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::process::Stdio;

use futures_util::FutureExt as _;
use offstage_support::win32::job::Job;
use offstage_support::win32::pipe;
use offstage_support::win32::process;
use tokio::net::windows::named_pipe::NamedPipeServer;
use tokio::net::windows::named_pipe::ServerOptions;
use tokio::process::Child;
use tokio::process::Command;

pub(crate) type Reader = NamedPipeServer;
pub(crate) type Writer = NamedPipeServer;

/// Random bytes in a pipe's name.
const NAME_LENGTH: usize = 16;

/// What the engine needs to be told on this system: windows wait off the screen until they are placed.
pub(crate) fn arguments(headless: bool) -> Vec<String> {
    if headless { Vec::new() } else { vec!["--window-position=-32000,-32000".to_owned()] }
}

/// Ends with its value.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    id: u32,
    job: Job,
}

impl Process {
    /// Starts a program in a job of its own.
    pub(crate) fn spawn(program: &Path, arguments: Vec<OsString>) -> io::Result<(Self, Reader, Writer)> {
        let (reader, written) = pipe_pair(false)?;
        let (writer, read) = pipe_pair(true)?;
        // Chromium, `remote_debugging_server.cc`: inherited handles in decimal, the one that it reads from first.
        let handles = format!("--remote-debugging-io-pipes={},{}", number(&read), number(&written));
        let mut command = Command::new(program);
        // Before the others: what the engine is to open has to come last.
        command.arg(handles).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        command.stderr(if tracing::enabled!(tracing::Level::TRACE) {
            Stdio::inherit()
        } else {
            Stdio::null()
        });
        let child = command.spawn()?;
        // The engine has them now, and its end is seen only if nobody else does.
        drop((read, written));
        let id = child.id().unwrap_or(0);
        Ok((Self { child, id, job: Job::of(id)? }, reader, writer))
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends all of it.
    pub(crate) fn kill(&self) {
        self.job.end();
    }
}

/// An end of this process's, and the one that a process inherits: to read from, or to write to.
fn pipe_pair(other_reads: bool) -> io::Result<(NamedPipeServer, OwnedHandle)> {
    let mut random = [0; NAME_LENGTH];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = PathBuf::from(format!(r"\\.\pipe\offstage-engine-{name}"));
    let mut options = ServerOptions::new();
    options.first_pipe_instance(true).max_instances(1);
    options.access_inbound(!other_reads).access_outbound(other_reads);
    let own = pipe::with(&mut options, &path)?;
    // The engine reads and writes without overlapping.
    let other: File = OpenOptions::new().read(other_reads).write(!other_reads).open(&path)?;
    own.connect().now_or_never().unwrap_or(Err(io::ErrorKind::NotConnected.into()))?;
    Ok((own, process::inheritable(&other)?))
}

/// Handles have 32 bits that count.
fn number(handle: &OwnedHandle) -> usize {
    handle.as_raw_handle().addr()
}
