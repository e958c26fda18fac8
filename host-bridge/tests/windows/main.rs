//! The bridge on Windows, or under wine: the registry, native messaging through a shell, the named pipe, and the remote desktop's channel
//! through a stand-in of its service (`wtsapi32.rs`). `cargo xtask windows` makes what these need and runs them.
//!
//! Times in here are limits for a process that hangs; nothing waits for time to pass.

#![cfg(windows)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod install;
mod messaging;
mod wts;

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// The user has one pipe: who listens on it must not be asked by another test's doctor.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}
