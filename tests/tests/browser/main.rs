//! Tests in a real browser: with a real bridge and a real client, or without them for comparison.
//!
//! `cargo xtask test` builds what they need and says by OFFSTAGE_DIST and OFFSTAGE_PROGRAMS where it is.

mod clips;
