//! Offstage.
