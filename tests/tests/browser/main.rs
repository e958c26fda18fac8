//! Tests in a real browser: with a real bridge and a real client, or without them for comparison.
//!
//! `cargo xtask test` builds what they need and says by OFFSTAGE_DIST and OFFSTAGE_PROGRAMS where it is.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what goes wrong in a helper is a failure of its test"
)]

mod calls;
mod choice;
mod clips;
mod corners;
mod element;
mod faults;
mod fetch;
mod fidelity;
mod files;
mod frames;
mod geometry;
mod hostile;
mod icon;
mod input;
mod logs;
mod overlay;
mod permissions;
mod policy;
mod popup;
mod protected;
mod rdp;
mod readers;
mod remote_desktop;
mod reversible;
mod scene;
mod security;
mod shares;
mod single_windows;
mod sites;
mod sounds;
mod truth;
mod web_client;
mod window_managers;
