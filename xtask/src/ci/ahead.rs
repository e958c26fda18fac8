//! Compiling what later steps need while the browsers' tests wait more than they work.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::run::say;
use crate::workspace::Workspace;

/// One after the other, whatever became of the one before: a step whose part is missing compiles it itself, and tells what is wrong.
const SCRIPT: &str = r#"for task in "$@"; do nice -n 19 "$0" $task; done"#;

/// Programs that compile, with the least priority. Killed when dropped.
pub(super) struct Ahead(Child);

impl Ahead {
    /// Starts them: each is what follows `cargo xtask`.
    pub(super) fn start(workspace: &Workspace, tasks: &[&str]) -> Result<Self> {
        let log = workspace.target().join("compiled-ahead.log");
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT]).arg(std::env::current_exe()?).args(tasks);
        shell.current_dir(workspace.root()).stdin(Stdio::null());
        shell.stdout(output.try_clone()?).stderr(output);
        Ok(Self(shell.spawn()?))
    }

    /// Waits for what is not done yet.
    pub(super) fn finish(mut self) -> Result<()> {
        if self.0.try_wait()?.is_none() {
            say("waiting for what is compiled beside …");
            self.0.wait()?;
        }
        Ok(())
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
