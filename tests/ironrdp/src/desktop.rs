//! `xfreerdp` with the plug-in, which is put where FreeRDP looks for it without being root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use offstage_tests::process::{Process, command};
use offstage_tests::xvfb::Screen;

/// The library to load.
const PLUGIN_VARIABLE: &str = "OFFSTAGE_RDP_PLUGIN";
/// FreeRDP's folder for plug-ins is compiled into it and belongs to root. In a user namespace (user_namespaces(7)) anybody may mount, so
/// the folder of all libraries gets ours laid over it, for this one process. `$1`: what is laid over it; `$2`: the folder.
const OVER: &str = r#"
set -e
mount -t overlay overlay -o "lowerdir=$1:$2" "$2"
shift 2
exec "$@"
"#;

/// `xfreerdp` with the plug-in. Killed when dropped, as by a crash.
pub struct Viewer {
    program: Process,
    log: PathBuf,
}

impl Viewer {
    /// Connects to a port of the loopback; `socket` is the client's.
    pub fn start(screen: &Screen, port: u16, socket: &Path, folder: &Path) -> Result<Self> {
        let over = plugins(folder)?;
        probe(&over)?;
        let log = folder.join("xfreerdp.log");
        let output = fs::File::options().create(true).append(true).open(&log)?;
        let mut viewer = in_namespace(&over);
        viewer
            .arg("/usr/bin/xfreerdp")
            .arg(format!("/v:127.0.0.1:{port}"))
            .args(["/sec:tls", "/cert:ignore", "/u:nobody", "/p:none", "/size:640x480"])
            .arg(format!("/dvc:offstage,unix:{}", socket.display()))
            .env("DISPLAY", screen.display())
            .env("HOME", folder)
            .env_remove("OFFSTAGE_SOCKET")
            .stderr(output);
        let program = Process::spawn("xfreerdp", &mut viewer)?;
        Ok(Self { program, log })
    }

    /// Whether it has neither ended nor crashed.
    pub fn is_running(&mut self) -> bool {
        self.program.is_running()
    }

    /// What it has said.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// What is laid over the folder of libraries: the plug-in in FreeRDP 2's subfolder.
fn plugins(folder: &Path) -> Result<PathBuf> {
    let plugin = std::env::var_os(PLUGIN_VARIABLE)
        .with_context(|| format!("{PLUGIN_VARIABLE} is not set: `cargo xtask ironrdp` runs this"))?;
    let over = folder.join("over");
    let plugins = over.join("freerdp2");
    fs::create_dir_all(&plugins)?;
    fs::copy(&plugin, plugins.join("liboffstage-client.so"))
        .with_context(|| format!("{} is not there", Path::new(&plugin).display()))?;
    Ok(over)
}

/// An error that says why, if this machine doesn't let it be done: the plug-in would just not be found.
fn probe(over: &Path) -> Result<()> {
    let found = libraries().join("freerdp2/liboffstage-client.so");
    let mut probe = in_namespace(over);
    let output = probe.args(["test", "-f"]).arg(found).output().context("is util-linux installed?")?;
    if !output.status.success() {
        bail!(
            "the plug-in can't be put in FreeRDP's folder without root, so nothing can be tested. It takes user namespaces and overlays \
             in them (Linux 5.11; the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and \
             kernel.apparmor_restrict_unprivileged_userns can forbid it): {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

fn in_namespace(over: &Path) -> Command {
    let mut command = command("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--propagation", "private"]);
    command.args(["sh", "-c", OVER, "sh"]).arg(over).arg(libraries());
    command
}

/// Where Debian has its libraries.
fn libraries() -> PathBuf {
    Path::new("/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH))
}
