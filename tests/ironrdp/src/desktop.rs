//! The person's device: a screen and `xfreerdp` with the plug-in, which is put where FreeRDP looks for it without being root.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

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

/// A screen that nobody sees. Gone when dropped.
pub struct Screen {
    display: String,
    _xvfb: Program,
}

impl Screen {
    /// Starts Xvfb on a number that is free.
    pub fn start() -> Result<Self> {
        let mut xvfb = Program::command("Xvfb");
        // It writes the number to that file descriptor once it is ready.
        xvfb.args(["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp"]);
        let mut xvfb = Program::start(xvfb.stdout(Stdio::piped()).stderr(Stdio::null()), "Xvfb")?;
        let output = xvfb.0.stdout.take().context("Xvfb has no output")?;
        let mut number = String::new();
        BufReader::new(output).read_line(&mut number)?;
        if number.trim().is_empty() {
            bail!("Xvfb does not start");
        }
        Ok(Self { display: format!(":{}", number.trim()), _xvfb: xvfb })
    }

    /// Its name.
    #[must_use]
    pub fn display(&self) -> &str {
        &self.display
    }
}

/// `xfreerdp` with the plug-in. Killed when dropped, as by a crash.
pub struct Viewer {
    program: Program,
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
            .stdout(output.try_clone()?)
            .stderr(output);
        let program = Program::start(&mut viewer, "unshare")?;
        Ok(Self { program, log })
    }

    /// Whether it has neither ended nor crashed.
    pub fn is_running(&mut self) -> bool {
        matches!(self.program.0.try_wait(), Ok(None))
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
    let mut command = Program::command("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--propagation", "private"]);
    command.args(["sh", "-c", OVER, "sh"]).arg(over).arg(libraries());
    command
}

/// Where Debian has its libraries.
fn libraries() -> PathBuf {
    Path::new("/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH))
}

/// A child in a process group of its own, which is killed when dropped.
pub struct Program(Child);

impl Program {
    /// A command for a program that dies with the thread that starts it, should that be killed.
    pub fn command(program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    }

    /// Starts it.
    pub fn start(command: &mut Command, name: &str) -> Result<Self> {
        let child = command.stdin(Stdio::null()).process_group(0).spawn();
        Ok(Self(child.with_context(|| format!("cannot start {name}"))?))
    }

    /// Asks it to end, and waits until it has.
    pub fn end(mut self) {
        if let Some(pid) = self.pid() {
            kill_process(pid, Signal::TERM).ok();
        }
        self.0.wait().ok();
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.0.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The number is still this group's as long as nobody has waited for its first process.
        if let Ok(None) = self.0.try_wait()
            && let Some(group) = self.pid()
        {
            kill_process_group(group, Signal::KILL).ok();
            self.0.wait().ok();
        }
    }
}
