//! The way from a remote desktop's client to Offstage's client on the same device: a library that the former loads.
//!
//! It gives each dynamic virtual channel of the session's to a local socket and looks at nothing. It runs in somebody else's process:
//! it never blocks that process's threads, never lets a panic out, and holds no more than it says.
//! [`forward`] moves the bytes, `freerdp` is FreeRDP's side of it, `mstsc` that of Windows' clients, `local` is the way to the client.

pub mod forward;
#[cfg(unix)]
pub mod freerdp;
pub mod local;
#[cfg(windows)]
pub mod mstsc;
