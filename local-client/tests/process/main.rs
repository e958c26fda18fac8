//! The real client with the real engine on a private display, driven by a session that speaks the real
//! protocol over the real socket. Needs Xvfb and Chromium.

#![cfg(unix)]

#[cfg(test)]
mod client;
#[cfg(test)]
mod display;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod input;
#[cfg(test)]
mod overlay;
#[cfg(test)]
mod session;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod tls;
