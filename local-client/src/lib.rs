//! The program on the person's own device: it plays what sessions send, and draws it where the session's
//! page shows it.
//!
//! [`client`] decides and does no I/O; [`channel`] brings sessions, [`engine`] runs the device's own
//! browser, [`policy`] says what this device allows, [`fetch`] what it may fetch by itself, [`stage_server`] serves the page that plays in it, [`freerdp`] installs the plug-in of a remote desktop's client, [`window`] places the pictures, [`run`]
//! ties them together.
//!
//! What systems differ in is in modules of their own: sockets or pipes, processes, windows. Sessions of other machines, FreeRDP's
//! plug-in and sockets of other programs are for unix systems only.

pub mod channel;
pub mod cli;
pub mod client;
pub mod doctor;
pub mod engine;
pub mod fetch;
#[cfg(unix)]
pub mod freerdp;
#[cfg(unix)]
mod pairing;
pub mod policy;
mod questions;
pub mod run;
pub mod secret;
mod shown;
mod signals;
pub mod stage_server;
pub mod window;
