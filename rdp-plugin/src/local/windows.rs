//! The named pipe of the one client of the person who runs the remote desktop's client.

use std::fs::OpenOptions;
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use offstage_protocol::socket_path::SOCKET_VARIABLE;
use offstage_protocol::socket_path::pipe_path;
use offstage_support::win32::overlapped::OverlappedFile;
use offstage_support::win32::user;

use crate::forward::Socket;

/// How long a write may wait before it is asked whether the channel is still there.
const WRITE_STEP: Duration = Duration::from_millis(500);
/// `FILE_FLAG_OVERLAPPED`.
const OVERLAPPED: u32 = 0x4000_0000;
/// `SECURITY_IDENTIFICATION`: the listener may know who calls, and not act in the caller's name.
const IDENTIFICATION: u32 = 0x0001_0000;

/// The client's end of the way.
#[derive(Debug)]
pub struct Pipe(OverlappedFile);

/// Where the client listens, by the rule that it has.
///
/// # Errors
/// If Windows doesn't say who runs this process.
pub fn path() -> io::Result<PathBuf> {
    Ok(pipe_path(None, std::env::var_os(SOCKET_VARIABLE).as_deref(), &user::own()?))
}

/// Connects to the client, without waiting: one that has no free pipe is as good as none.
///
/// A pipe of another user's is refused: names of pipes belong to whoever takes them first.
///
/// # Errors
/// What Windows says; `PermissionDenied` if the pipe is somebody else's.
pub fn connect(path: &Path) -> io::Result<Pipe> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(OVERLAPPED).security_qos_flags(IDENTIFICATION);
    let file = options.open(path)?;
    if user::stranger(&file)?.is_some() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the pipe belongs to another user"));
    }
    OverlappedFile::new(file.into()).map(Pipe)
}

impl Socket for Pipe {
    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes, Some(WRITE_STEP))
    }

    fn shut(&self) {
        self.0.stop();
    }
}
