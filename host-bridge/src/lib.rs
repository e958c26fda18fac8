//! The session's native end: the native messaging host between the browser's extension and the channel to the device.
//!
//! [`bridge`] decides, [`io`] carries out, [`channel`] is the way to the client, [`windows`] sees
//! what lies over the browser, [`install`] makes the browsers know the
//! host, [`pairing`] gets to know devices of other machines, [`doctor`] says why something doesn't work, [`cli`] is the command line.

pub mod batches;
pub mod bridge;
pub mod channel;
pub mod cli;
pub mod doctor;
pub mod install;
pub mod io;
pub mod native_message;
#[cfg(unix)]
pub mod pairing;
pub mod session;
pub mod windows;
