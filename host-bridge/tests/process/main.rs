//! The real process: pipes as a browser makes them, unix sockets as a client makes them.
//!
//! Times in here are limits for a process that hangs; nothing waits for time to pass.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod forwarding;
mod host;
mod install;
mod lifecycle;
mod malformed;
mod ssh;
mod tls;
mod xrdp;
