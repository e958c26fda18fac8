//! Offstage.

pub mod reconcile;
pub mod standin;
