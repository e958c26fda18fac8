//! The extension's window: draws what ext-core has made of a tab, and hands on what the person switches.

pub mod text;

#[cfg(target_family = "wasm")]
pub mod browser;
