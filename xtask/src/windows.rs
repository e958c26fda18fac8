//! `cargo xtask windows`: what runs on Windows, built on Linux and run by wine. What that can't show is listed in docs/windows.md.

mod installed;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::build;
use crate::run::{cargo, check, is_on_path, say};
use crate::workspace::Workspace;

/// Builds the bridge, the client and the plug-in for Windows and runs their tests by wine.
///
/// Clippy and tests of the crates that run there: registry, native messaging, the named pipe, the remote desktop's channel through a
/// stand-in of Windows' service, the plug-in by both of its entries; then packages of these programs, which wine installs, upgrades and
/// removes. Wine gets a folder of its own, which is removed again.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Only see whether it builds, without a warning.
    #[arg(long)]
    no_run: bool,
}

/// The target.
pub(crate) const TARGET: &str = "x86_64-pc-windows-gnu";

const COMPILER: &str = "x86_64-w64-mingw32-gcc";

/// What runs on Windows.
const PACKAGES: [&str; 6] = [
    "offstage-protocol",
    "offstage-settings",
    "offstage-support",
    "offstage-bridge",
    "offstage-client",
    "offstage-rdp-plugin",
];

/// Tests that only Windows has.
const TESTS: [&str; 2] = ["windows", "mstsc"];

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    for tool in [COMPILER, "wine", "wineserver", "wixl", "msiinfo"] {
        if !is_on_path(tool) {
            bail!("{tool} is not installed, so nothing is known of Windows: `cargo xtask setup`");
        }
    }
    let mut clippy = cargo(workspace);
    clippy.args(["clippy", "--locked", "--quiet", "--target", TARGET, "--lib", "--bins", "--tests"]);
    clippy.args(["--example", build::STAND_IN]);
    check(packages(&mut clippy).args(["--", "-D", "warnings"]))?;
    if options.no_run {
        return Ok(());
    }
    build::windows(workspace, None)?;
    let wine = Wine::start(workspace)?;
    let mut test = cargo(workspace);
    test.args(["test", "--locked", "--no-fail-fast", "--target", TARGET, "--lib"]);
    for name in TESTS {
        test.args(["--test", name]);
    }
    wine.environment(packages(&mut test)).env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", "wine");
    check(&mut test)?;
    installed::check(workspace, &wine)?;
    say("windows: wine is not Windows; docs/windows.md lists what has to be looked at there.");
    Ok(())
}

fn packages(command: &mut Command) -> &mut Command {
    for package in PACKAGES {
        command.args(["-p", package]);
    }
    command
}

/// A Windows of wine's in a folder of its own; ended and removed when this is dropped.
struct Wine {
    folder: tempfile::TempDir,
    /// A program with a window. Wine's desktop ends with the last window on it, and who makes the next one at that moment has none.
    desktop: Option<Child>,
}

impl Wine {
    fn start(workspace: &Workspace) -> Result<Self> {
        let mut wine = Self { folder: tempfile::tempdir()?, desktop: None };
        check(wine.environment(Command::new("wine").args(["wineboot", "--init"])))?;
        // Windows that nobody sees, so that no screen is needed.
        let driver = ["reg", "add", r"HKCU\Software\Wine\Drivers", "/v", "Graphics", "/d", "null", "/f"];
        check(wine.environment(Command::new("wine").args(driver)).stdout(Stdio::null()))?;
        // What the programs are for: without it, this wine calls itself Windows 7.
        let version = ["reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", "win10", "/f"];
        check(wine.environment(Command::new("wine").args(version)).stdout(Stdio::null()))?;
        // The desktop that has been started meanwhile knows nothing of it.
        wine.stop();
        let system = wine.prefix().join("drive_c/windows/system32");
        let mut compile = Command::new(COMPILER);
        compile.args(["-shared", "-o"]).arg(system.join("bcryptprimitives.dll"));
        check(compile.arg(workspace.path("xtask/src/windows/processprng.c")).arg("-ladvapi32"))?;
        // In place of wine's own, which knows no channels: the test programs load what is in the system's folder.
        let service = wine.folder.path().join("wtsapi32.dll");
        let mut compile = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        compile.current_dir(workspace.root()).args(["--edition", "2024", "--crate-type", "cdylib"]);
        compile.args(["--target", TARGET, "-C", "panic=abort", "-D", "warnings", "-o"]).arg(&service);
        check(compile.arg("host-bridge/tests/windows/wtsapi32.rs"))?;
        std::fs::copy(&service, system.join("wtsapi32.dll")).context("wine has made no system's folder")?;
        wine.desktop = Some(wine.keep_desktop(workspace)?);
        Ok(wine)
    }

    fn keep_desktop(&self, workspace: &Workspace) -> Result<Child> {
        let examples = build::windows_programs(workspace, false).join("examples");
        let mut command = Command::new("wine");
        command.arg(examples.join(format!("{}.exe", build::STAND_IN)));
        let command = self.environment(&mut command).stderr(Stdio::null());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (child.stdin.as_mut(), child.stdout.as_mut());
        let (input, output) = (input.context("no input")?, output.context("no output")?);
        writeln!(input, "cover 0 0 10 10")?;
        let mut window = String::new();
        BufReader::new(output).read_line(&mut window)?;
        ensure!(window.trim().parse::<u32>().is_ok_and(|window| window != 0), "wine makes no windows");
        Ok(child)
    }

    /// Ends what runs in this folder's Windows and nothing else.
    fn stop(&self) {
        for action in ["-k", "-w"] {
            let server = "wineserver";
            if let Err(error) = self.environment(Command::new(server).arg(action)).status() {
                say(format!("windows: {server} {action}: {error}"));
            }
        }
    }

    fn prefix(&self) -> PathBuf {
        self.folder.path().join("prefix")
    }

    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("WINEPREFIX", self.prefix())
            .env("WINEDEBUG", "-all")
            // No questions about other runtimes, nothing in the person's menus, and the service's stand-in.
            .env("WINEDLLOVERRIDES", "wtsapi32=n,b;mscoree,mshtml=;winemenubuilder.exe=d")
            .env_remove("DISPLAY")
            .env_remove("OFFSTAGE_SOCKET")
            .env_remove("OFFSTAGE_CHANNEL")
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // The folder can be removed then.
        self.stop();
        // It has ended with the others.
        self.desktop.take().map(|mut desktop| desktop.wait());
    }
}
