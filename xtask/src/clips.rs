//! `cargo xtask clips`.

use anyhow::Result;
use clap::Args;

use crate::workspace::Workspace;

/// Not there yet.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {}

/// Runs the command.
pub(crate) fn run(_workspace: &Workspace, _options: &Options) -> Result<()> {
    Ok(())
}
