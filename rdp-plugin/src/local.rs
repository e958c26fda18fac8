//! The way to the one client of the person who runs the remote desktop's client: a socket, or a named pipe.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use self::unix::connect;
#[cfg(unix)]
pub use self::unix::path;
#[cfg(windows)]
pub use self::windows::Pipe;
#[cfg(windows)]
pub use self::windows::connect;
#[cfg(windows)]
pub use self::windows::path;
