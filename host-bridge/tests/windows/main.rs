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

use std::process::Child;
use std::process::ExitStatus;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

const LIMIT: Duration = Duration::from_secs(60);

/// The user has one pipe: who listens on it must not be asked by another test's doctor.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a program has ended that is about to.
fn ended(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        let is_late = Instant::now() >= end;
        if is_late {
            drop(child.kill());
        }
        assert!(!is_late, "it goes on");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
