//! `cargo xtask ci`.

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

/// Not there yet.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TestOptions {}

/// Runs the command.
pub(crate) fn test(_workspace: &Workspace, _options: &TestOptions) -> Result<()> {
    Ok(())
}
