//! Single windows of a session on the device's screen: xpra, which manages the windows of the session's screen and shows each in one of the
//! device's, of the same size.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::{Process, command};
use crate::xvfb::{Screen, xdotool};

/// Debian packages that it needs, and what each is for.
pub const PACKAGES: [(&str, &str); 4] = [
    ("xpra", "single windows of a session in tests"),
    ("python3-gi-cairo", "how xpra draws"),
    ("python3-pil", "how xpra packs pictures"),
    ("python3-dbus", "how xpra looks for a message bus"),
];

const PROGRAM: &str = "/usr/bin/xpra";
/// How long either end may take to get ready on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// What neither end needs.
const NEITHER: [&str; 7] = [
    "--speaker=off",
    "--microphone=off",
    "--webcam=no",
    "--notifications=no",
    "--clipboard=no",
    "--printing=no",
    "--mdns=no",
];

/// The windows of a session's screen, and the program that shows them on another screen.
#[derive(Debug)]
pub struct SingleWindows {
    viewer: Option<Process>,
    _server: Process,
    folder: tempfile::TempDir,
    display: String,
}

impl SingleWindows {
    /// Serves the windows on the display `session`, which nothing may manage yet, and shows them on the device's screen.
    pub fn start(session: &str, device: &Screen) -> Result<Self> {
        if !Path::new(PROGRAM).exists() {
            bail!("{PROGRAM} is not installed; `cargo xtask setup` does it");
        }
        let folder = tempfile::Builder::new().prefix("offstage-xpra-").tempdir()?;
        for name in ["run", "settings"] {
            let part = folder.path().join(name);
            std::fs::create_dir(&part)?;
            std::fs::set_permissions(part, std::fs::Permissions::from_mode(0o700))?;
        }
        let socket = socket(folder.path());
        let mut server = xpra(folder.path(), "server.log")?;
        server
            .args(["start", session, "--use-display", "--daemon=no", "--systemd-run=no", "--html=off"])
            .arg(format!("--bind={}", socket.display()))
            .arg(format!("--socket-dir={}", folder.path().join("run").display()))
            .args(["--dbus-launch=no", "--dbus-control=no", "--dbus-proxy=no", "--pulseaudio=no"])
            .args(["--file-transfer=off", "--start-new-commands=no", "--system-tray=no"])
            .args(NEITHER);
        let server = Process::spawn("xpra start", &mut server)?;
        let end = Instant::now() + START_LIMIT;
        while UnixStream::connect(&socket).is_err() {
            if Instant::now() >= end {
                bail!("xpra does not listen: {}", log(folder.path(), "server.log"));
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let mut windows =
            Self { viewer: None, _server: server, folder, display: device.display().to_owned() };
        windows.open()?;
        Ok(windows)
    }

    /// Shows the windows, after that was ended.
    pub fn open(&mut self) -> Result<()> {
        let mut viewer = xpra(self.folder.path(), "viewer.log")?;
        viewer
            .args(["attach", &format!("socket:{}", socket(self.folder.path()).display())])
            .args(["--desktop-scaling=off", "--encoding=rgb", "--opengl=no", "--tray=no"])
            .args(NEITHER)
            .env("DISPLAY", &self.display);
        self.viewer = Some(Process::spawn("xpra attach", &mut viewer)?);
        Ok(())
    }

    /// Ends what shows the windows, as a lost connection would.
    pub fn close(&mut self) {
        self.viewer = None;
    }

    /// Runs xdotool on the device's screen for the window whose title begins so, which replaces `%w`.
    pub fn order(&self, title: &str, arguments: &[&str]) -> Result<()> {
        let window = self.window(title)?;
        let arguments: Vec<&str> =
            arguments.iter().map(|part| if *part == "%w" { window.as_str() } else { part }).collect();
        xdotool(&self.display, &arguments).map(drop)
    }

    /// Waits until a window whose title begins so is seen.
    pub fn wait_seen(&self, title: &str) -> Result<()> {
        self.find(&["search", "--onlyvisible", "--name"], title).map(drop)
    }

    fn window(&self, title: &str) -> Result<String> {
        self.find(&["search", "--name"], title)
    }

    fn find(&self, search: &[&str], title: &str) -> Result<String> {
        let title = format!("^{title}");
        let end = Instant::now() + START_LIMIT;
        loop {
            let found = xdotool(&self.display, &[search, &[&*title]].concat());
            if let Some(window) = found.ok().and_then(|found| found.lines().last().map(str::to_owned)) {
                return Ok(window);
            }
            if Instant::now() >= end {
                bail!("no window is called {title}: {}", log(self.folder.path(), "viewer.log"));
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

/// The program, with settings of nobody's and what it says in a file.
fn xpra(folder: &Path, log: &str) -> Result<Command> {
    let mut command = command(PROGRAM);
    let settings = folder.join("settings");
    let log = std::fs::File::options().create(true).append(true).open(folder.join(log))?;
    command
        .env("HOME", folder)
        .env("XDG_RUNTIME_DIR", folder.join("run"))
        .env("XPRA_SYSTEM_CONF_DIRS", &settings)
        .env("XPRA_USER_CONF_DIRS", &settings)
        .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
        .stderr(Stdio::from(log));
    Ok(command)
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("run/windows")
}

fn log(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_default()
}
