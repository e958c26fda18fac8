//! The real client with the real engine on a private display, driven by a session that speaks the real
//! protocol over the real socket. Needs Xvfb and Chromium.

mod client;
mod display;
mod engine;
mod input;
mod overlay;
mod sessions;
mod session;
mod stage;
