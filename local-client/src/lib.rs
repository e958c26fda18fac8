//! The program on the person's own device: it plays what sessions send, and draws it where the session's
//! page shows it.
//!
//! [`client`] decides and does no I/O; [`channel`] brings sessions, [`engine`] runs the device's own
//! browser, [`policy`] says what this device allows, [`fetch`] what it may fetch by itself, [`stage_server`] serves the page that plays in it, [`freerdp`] installs the plug-in of a remote desktop's client, [`window`] places the pictures, [`run`]
//! ties them together.
//!
//! Engine, windows and what ties all together are there for X11 only; the rest is for every system.

pub mod channel;
#[cfg(unix)]
pub mod cli;
pub mod client;
#[cfg(unix)]
pub mod doctor;
#[cfg(unix)]
pub mod engine;
pub mod fetch;
#[cfg(unix)]
pub mod freerdp;
#[cfg(unix)]
mod pairing;
pub mod policy;
#[cfg(unix)]
mod questions;
#[cfg(unix)]
pub mod run;
pub mod secret;
#[cfg(unix)]
mod shown;
pub mod stage_server;
pub mod window;
