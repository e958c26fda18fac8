//! The stage: the page that the device's own web engine runs to play what a session redirects.
//!
//! [`machine`] holds every decision and no input or output, so it is tested without a browser. `browser` is
//! the thin shell that carries its commands out with MediaSource, `<video>`, popups and a WebSocket.

#[cfg(target_family = "wasm")]
mod browser;
pub mod machine;
pub mod names;
mod table;
