//! A remote desktop's server in Rust and Debian's unmodified `xfreerdp` with the plug-in, on a screen that nobody sees.
//!
//! Needs no root and no session: the server is this process, shows no desktop, and opens dynamic virtual channels only.

pub mod desktop;
pub mod drdynvc;
pub mod ironrdp_client;
pub mod rdp_server;
