//! What makes a session and a device know each other where no remote desktop's channel ties them together: keys, pins,
//! and the pairing that exchanges them.
//!
//! [`identity`] is an end's own key, [`store`] the keys of those it is paired with, [`tls`] the connections on which each end
//! shows its key and checks the other's. [`code`], [`invitation`] and [`machine`] are the pairing itself; the first needs random
//! numbers, the others neither clock nor network. [`door`] takes connections on the device, [`connect`] makes them in the session.

pub mod address;
pub mod code;
pub mod connect;
pub mod door;
mod error;
pub mod identity;
pub mod invitation;
pub mod listening;
pub mod machine;
pub mod store;
pub mod tls;

pub use self::error::PairingError;
