//! The extension's brain: every decision, as machines without I/O and without a clock.
//!
//! `core` routes, `link` is the way to the device, `player` and `reconcile` keep the page's native buffers equal to the
//! device's, `standin` makes what the page decodes meanwhile, `choice` says
//! where a player plays best, `collect` makes log bundles,
//! `settings` is the table of all settings. Only `browser` touches the browser, and only in wasm.

pub mod choice;
pub mod clock;
pub mod collect;
pub mod config;
pub mod core;
pub mod files;
pub mod hook;
pub mod link;
pub mod player;
pub mod playlist;
pub mod protected;
pub mod reconcile;
pub mod shape;
pub mod sites;
pub mod standin;

#[cfg(target_family = "wasm")]
mod browser;
