//! Named pipes for one person alone, whose other ends are on the same machine.

#![expect(unsafe_code, reason = "an access list is a pointer")]

use std::io;
use std::path::Path;

use tokio::net::windows::named_pipe::NamedPipeServer;
use tokio::net::windows::named_pipe::ServerOptions;

use super::user::PipeSecurity;

/// `ERROR_PIPE_BUSY`.
const BUSY: i32 = 231;

/// A pipe's end that waits to be connected to. The first of a name is refused where the name is taken already; the others need the
/// first to be there.
///
/// # Errors
/// What Windows says; see [`is_taken`].
pub fn listen(path: &Path, first: bool) -> io::Result<NamedPipeServer> {
    let mut options = ServerOptions::new();
    options.first_pipe_instance(first);
    with(&mut options, path)
}

/// A pipe with other options than usual, for this person and this machine all the same.
///
/// # Errors
/// What Windows says.
pub fn with(options: &mut ServerOptions, path: &Path) -> io::Result<NamedPipeServer> {
    options.reject_remote_clients(true);
    let security = PipeSecurity::new()?;
    // SAFETY: the attributes are valid during the call.
    security.with(|attributes| unsafe { options.create_with_security_attributes_raw(path, attributes) })
}

/// Whether the first pipe of a name could not be made because another process has one of that name.
#[must_use]
pub fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Whether a pipe could not be connected to because all of its ends are taken; its listener makes the next one within moments.
#[must_use]
pub fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(BUSY)
}
