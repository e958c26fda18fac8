//! The socket of the one client of the person who runs the remote desktop's client.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use offstage_protocol::socket_path::SOCKET_VARIABLE;
use offstage_protocol::socket_path::SocketChoice;
use offstage_protocol::socket_path::socket_path;
use rustix::net::AddressFamily;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

use crate::forward::Socket;

/// How long a write may wait before it is asked whether the channel is still there.
const WRITE_STEP: Duration = Duration::from_millis(500);

/// Where the client listens: what the command line says, or the rule that the client has.
#[must_use]
pub fn path(given: Option<&Path>) -> PathBuf {
    let variable = std::env::var_os(SOCKET_VARIABLE);
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR");
    socket_path(SocketChoice {
        flag: given.map(Path::as_os_str),
        variable: variable.as_deref(),
        runtime_dir: runtime_dir.as_deref(),
        uid: rustix::process::geteuid().as_raw(),
    })
}

/// Connects to the client, without waiting: one that can't take it at once is as good as none.
///
/// A socket of another user's is refused: anybody may have made a file in a shared folder.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    if rustix::net::sockopt::socket_peercred(&socket)?.uid != rustix::process::geteuid() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the socket belongs to another user"));
    }
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(WRITE_STEP))?;
    Ok(stream)
}

impl Socket for UnixStream {
    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        (&mut &*self).read(into)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&mut &*self).write(bytes)
    }

    fn shut(&self) {
        // One whose other end has gone is shut already.
        self.shutdown(Shutdown::Both).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_client_that_takes_no_more_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.sock");
        assert_eq!(connect(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        let _listener = UnixListener::bind(&path).unwrap();
        let mut taken = Vec::new();
        // The kernel's list of those who wait to be accepted has an end (listen(2)).
        let error = loop {
            match connect(&path) {
                Ok(stream) => taken.push(stream),
                Err(error) => break error,
            }
            assert!(taken.len() < 100_000);
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_an_error() {
        assert!(connect(Path::new(&"x".repeat(500))).is_err());
        assert!(connect(Path::new("")).is_err());
    }

    #[test]
    fn what_the_command_line_says_comes_first() {
        assert_eq!(path(Some(Path::new("/a/b.sock"))), Path::new("/a/b.sock"));
        assert!(path(None).is_absolute());
    }
}
