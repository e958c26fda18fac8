//! `cargo xtask ironrdp`: remote desktops against a server in Rust, without root and without xrdp. A workspace of its own (tests/ironrdp),
//! because it needs hundreds of crates that nothing else does.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use crate::build;
use crate::run::{cargo, check, is_on_path, is_root, say};
use crate::workspace::Workspace;

/// Tests FreeRDP's client with the plug-in, and IronRDP's with its pipe proxy, against an RDP server in the test's own process.
///
/// The plug-in is laid over FreeRDP's folder in a user namespace, so that no root is needed: as root all privileges are dropped first. Builds
/// into target/ironrdp; once that is there, `cargo xtask ci` runs it as well.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Only compile.
    #[arg(long)]
    no_run: bool,
    /// Only the tests whose name holds this.
    filter: Option<String>,
}

/// Its workspace.
pub(crate) const MANIFEST: &str = "tests/ironrdp/Cargo.toml";

/// What is run, and Debian's package that has it.
const PROGRAMS: [(&str, &str); 4] =
    [("xfreerdp", "freerdp2-x11"), ("Xvfb", "xvfb"), ("unshare", "util-linux"), ("setpriv", "util-linux")];

/// Root's privileges but for the one without which the kernel lets root make no user namespace (user_namespaces(7), since Linux 5.12).
const WITHOUT_PRIVILEGES: &str =
    r#"target.'cfg(unix)'.runner = ["setpriv", "--inh-caps=-all", "--bounding-set=-all,+setfcap"]"#;

/// Where it is built.
pub(crate) fn target(workspace: &Workspace) -> PathBuf {
    workspace.target().join("ironrdp")
}

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    for (program, package) in PROGRAMS {
        if !is_on_path(program) {
            bail!("{program} ({package}) is not installed, so nothing can be tested: `cargo xtask setup`");
        }
    }
    let target = target(workspace);
    if !target.exists() {
        say(
            "ironrdp: some 250 crates are compiled first, 2 to 3 minutes of CPU time and 1.3 GB in target/ironrdp; later only what has changed.",
        );
    }
    let mut test = own_cargo(workspace, &target);
    if options.no_run {
        return check(test.args(["test", "--locked", "--no-run", "--manifest-path", MANIFEST]));
    }
    build::native(workspace, false)?;
    if is_root() {
        test.args(["--config", WITHOUT_PRIVILEGES]);
    }
    test.args(["test", "--locked", "--no-fail-fast", "--manifest-path", MANIFEST, "--"]);
    // Each has a screen and a viewer of its own; one after the other they have the time to answer.
    test.args(["--test-threads=1", "--show-output"]).args(&options.filter);
    let programs = std::path::absolute(workspace.programs(false))?;
    test.env("OFFSTAGE_RDP_PLUGIN", programs.join("liboffstage_rdp_plugin.so"));
    test.env("OFFSTAGE_CLIENT", programs.join("offstage-client"));
    check(&mut test)
}

/// Whether its sources are formatted; needs none of its crates.
pub(crate) fn format(workspace: &Workspace) -> Result<()> {
    check(cargo(workspace).args(["fmt", "--check", "--manifest-path", MANIFEST]))
}

fn own_cargo(workspace: &Workspace, target: &Path) -> Command {
    let mut command = cargo(workspace);
    command.env("CARGO_TARGET_DIR", target);
    // The lints of the few files that are ours, in the one build that there is: `cargo clippy` would compile all crates a second time.
    command.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
    command
}
