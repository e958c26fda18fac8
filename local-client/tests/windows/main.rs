//! The client on Windows, or under wine: the engine's process and its pipes, and the windows over a remote desktop's. A program stands for
//! the engine and for the remote desktop's client (`examples/stand_in_engine.rs`); `cargo xtask windows` builds it and runs these.
//!
//! Times in here are limits for what hangs; nothing waits for time to pass.

#![cfg(windows)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod engine;
mod overlay;
mod program;

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

const LIMIT: Duration = Duration::from_secs(60);

fn stand_in() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_offstage-client")).with_file_name("examples");
    let program = folder.join("stand_in_engine.exe");
    assert!(program.is_file(), "{} is not there: `cargo xtask windows` builds it", program.display());
    program
}

/// Looks until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < end, "waited too long: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
