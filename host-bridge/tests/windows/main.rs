//! The bridge on Windows, or under wine: the registry, native messaging through a shell, the named pipe, and the remote desktop's channel
//! through a stand-in of its service (`wtsapi32.rs`). `cargo xtask windows` makes what these need and runs them.
//!
//! Times in here are limits for a process that hangs; nothing waits for time to pass.

#![cfg(windows)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod install;
mod messaging;
mod wts;
