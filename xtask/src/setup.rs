//! `cargo xtask setup`: everything that building, the demo and the tests need on a Debian machine.

use std::io::IsTerminal as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use offstage_tests::{rdp, services, single_windows, web_client};

use crate::run::{check, is_on_path, is_root, output, say};
use crate::workspace::Workspace;

/// Installs what building, the demo and the tests need; says what it will do and asks first.
///
/// Adds the Rust targets for WebAssembly and Windows through rustup and Debian packages (a browser, a screen that nobody sits at, a window
/// manager, tools of the tests) through apt-get. Nothing is asked in continuous integration (CI is set) or when standard input
/// is not a terminal. Running it again changes nothing.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Don't ask.
    #[arg(long, short)]
    yes: bool,
    /// Only say what is missing; the exit code tells whether something is.
    #[arg(long)]
    check: bool,
}

impl Options {
    /// Install what is missing; ask first if somebody is there.
    pub(crate) fn asking() -> Self {
        Self { yes: false, check: false }
    }

    /// Install what is missing and ask nobody.
    pub(crate) fn unattended() -> Self {
        Self { yes: true, check: false }
    }
}

/// Debian packages, and what each is for.
const PACKAGES: &[(&str, &str)] = &[
    ("build-essential", "the linker"),
    ("chromium", "the session's browser and the device's engine"),
    ("xvfb", "a screen for the demo and the tests without a display"),
    ("openbox", "a window manager on that screen"),
    ("x11-utils", "another program's window over the picture, and looking at windows"),
    ("x11-xserver-utils", "several monitors on one screen"),
    ("mutter", "GNOME's window manager in tests"),
    ("xfwm4", "Xfce's window manager in tests"),
    ("dbus", "the message bus of both"),
    ("xdotool", "real clicks and keys in tests"),
    ("i3lock", "a lock screen in tests"),
    ("freerdp2-shadow-x11", "a remote desktop in tests: its server"),
    ("freerdp2-x11", "a remote desktop in tests: its viewer"),
    ("ffmpeg", "making the test clips"),
    ("fonts-dejavu-core", "letters on pages and in clips"),
    ("fonts-ipafont-gothic", "Japanese letters in the stores' pictures"),
    ("openssl", "the key of trial packages"),
    ("openssh-client", "the client's socket through ssh in tests"),
    ("openssh-server", "the other end of that"),
    ("dpkg-dev", "the libraries that a package needs"),
    ("desktop-file-utils", "the check of the client's desktop entry"),
    ("lintian", "the check of the Debian packages"),
    ("mmdebstrap", "a clean Debian to install the packages in"),
    ("gcc-mingw-w64-x86-64-posix", "the linker for Windows"),
    ("wine", "running what is built for Windows"),
    ("wine64", "its part for programs of 64 bits"),
    ("wixl", "packages of the Windows Installer"),
    ("msitools", "looking at those"),
    ("git", "the list of the project's files"),
    ("ca-certificates", "crates from crates.io"),
];

const TARGETS: [&str; 2] = ["wasm32-unknown-unknown", crate::windows::TARGET];

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let packages: Vec<_> = PACKAGES
        .iter()
        .chain(&services::PACKAGES)
        .chain(&web_client::PACKAGES)
        .chain(&rdp::PACKAGES)
        .chain(&single_windows::PACKAGES)
        .filter(|(name, _)| !is_installed(name))
        .collect();
    let components = missing_toolchain_parts(workspace);
    if packages.is_empty() && components.is_empty() {
        say("setup: everything is there.");
        return Ok(());
    }
    say("setup: missing on this machine:");
    for (name, purpose) in &packages {
        say(format!("  {name:<20} {purpose} (Debian package)"));
    }
    for part in &components {
        say(format!("  {:<20} (rustup)", part.join(" ")));
    }
    if options.check {
        bail!("something is missing; `cargo xtask setup` installs it");
    }
    if !options.yes && std::env::var_os("CI").is_none() && std::io::stdin().is_terminal() && !agreed()? {
        bail!("nothing was installed");
    }
    for part in &components {
        let mut rustup = Command::new("rustup");
        check(rustup.args(part).current_dir(workspace.root()))
            .context("rustup is needed for the targets WebAssembly and Windows: https://rustup.rs")?;
    }
    if !packages.is_empty() {
        let names: Vec<_> = packages.iter().map(|(name, _)| *name).collect();
        install(&names)?;
        stop_services(&names);
    }
    say("setup: done.");
    Ok(())
}

/// The tests start servers themselves, on loopback: what Debian's packages start and would start with the machine is not wanted.
fn stop_services(installed: &[&str]) {
    let named_otherwise = installed.contains(&"openssh-server").then_some("ssh");
    let own = services::PACKAGES.iter().chain(&rdp::PACKAGES).chain(&single_windows::PACKAGES);
    let own = own.map(|(name, _)| *name);
    for name in own.filter(|name| installed.contains(name)).chain(named_otherwise) {
        let mut disable = if is_root() { Command::new("systemctl") } else { Command::new("sudo") };
        if !is_root() {
            disable.arg("systemctl");
        }
        // Most are no services, and a container has no systemd: both fail, and nothing is to be stopped then.
        output(disable.args(["disable", "--now", name])).ok();
    }
}

/// Arguments of the rustup calls that would bring what rust-toolchain.toml asks for and is not there.
fn missing_toolchain_parts(workspace: &Workspace) -> Vec<Vec<&'static str>> {
    let mut missing = Vec::new();
    let listed = |arguments: [&str; 3]| {
        output(Command::new("rustup").args(arguments).current_dir(workspace.root())).unwrap_or_default()
    };
    let targets = listed(["target", "list", "--installed"]);
    for target in TARGETS {
        if !targets.lines().any(|line| line == target) {
            missing.push(vec!["target", "add", target]);
        }
    }
    let components = listed(["component", "list", "--installed"]);
    for component in ["clippy", "rustfmt"] {
        if !components.lines().any(|line| line.starts_with(component)) {
            missing.push(vec!["component", "add", component]);
        }
    }
    missing
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package]);
    output(&mut query).is_ok_and(|status| status == "installed")
}

fn agreed() -> Result<bool> {
    say("Install them now? [Y/n]");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes"))
}

/// Has apt-get look for what there is to install.
pub(crate) fn update() -> Result<()> {
    if !is_root() && !is_on_path("sudo") {
        bail!("run as root: apt-get update");
    }
    check(&mut apt_get(&["update"]))
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = if is_root() { Command::new("apt-get") } else { Command::new("sudo") };
    if !is_root() {
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    }
    command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
    command
}

/// Installs Debian packages; says what to do where that can't be done.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if !is_on_path("apt-get") {
        bail!("no apt-get here: install by your own means what Debian calls {}", packages.join(" "));
    }
    if !is_root() && !is_on_path("sudo") {
        bail!("run as root: apt-get install --no-install-recommends {}", packages.join(" "));
    }
    update()?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    check(&mut apt_get(&arguments))
}
