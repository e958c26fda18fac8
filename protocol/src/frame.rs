//! Frames: what a link carries. Filled in by the codec.

/// Control of the connection ([`crate::message::Control`]).
pub const CONTROL_STREAM: u32 = 0;
/// Between the extension and its bridge ([`crate::message::BridgeMessage`]); never crosses the channel.
pub const BRIDGE_STREAM: u32 = 1;
