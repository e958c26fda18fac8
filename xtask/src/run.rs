//! Running other programs, and saying what is going on.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;

/// A line for the person, on standard error, so that standard output stays free for results.
pub(crate) fn say(text: impl AsRef<str>) {
    #[expect(clippy::print_stderr, reason = "the one place that talks to the person at the terminal")]
    {
        eprintln!("{}", text.as_ref());
    }
}

/// A line of the result, on standard output.
pub(crate) fn print(text: impl AsRef<str>) {
    #[expect(clippy::print_stdout, reason = "the one place that prints results")]
    {
        println!("{}", text.as_ref());
    }
}

/// `cargo`, in the checkout, with the same output folder as this program.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace.root()).env("CARGO_TARGET_DIR", workspace.target());
    command.env("CARGO_HOME", workspace.cargo_home());
    command
}

/// Runs `command` to its end; an error if it fails.
pub(crate) fn check(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    if !status.success() {
        bail!("{shown} failed ({status})");
    }
    Ok(())
}

/// The standard output of `command`; an error if it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("cannot run {shown}"))?;
    if !output.status.success() {
        bail!("{shown} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program of this name is on the PATH.
pub(crate) fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program()];
    words.extend(command.get_args());
    words.join(OsStr::new(" ")).to_string_lossy().into_owned()
}
