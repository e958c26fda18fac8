//! `cargo xtask bench`: the figures that say whether redirection is worth it.

use anyhow::{Result, bail};
use clap::Args;

use crate::workspace::Workspace;

/// Measures what redirection costs and saves, all in one run on this machine. Not there yet.
///
/// Will give: CPU of the session's browser for 1080p at 30 frames a second, redirected against native; time added to the first
/// frame; sizes; what the hook costs a page without video; throughput from hook to stage.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {}

/// Runs the command.
pub(crate) fn run(_workspace: &Workspace, _options: &Options) -> Result<()> {
    bail!("bench measures nothing yet; `cargo xtask demo --headless` has the first figures")
}
