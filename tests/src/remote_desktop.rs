//! A real remote desktop: FreeRDP's server shows a session's screen, FreeRDP's client shows that on the device's screen.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::cdp::free_port;
use crate::process::{Process, command};
use crate::xvfb::{Screen, xdotool};

/// What has to be installed (Debian packages freerdp2-shadow-x11 and freerdp2-x11).
const PROGRAMS: [&str; 2] = ["/usr/bin/freerdp-shadow-cli", "/usr/bin/xfreerdp"];
/// How long either program may take to get ready on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A session's screen, served, and its viewer on another screen.
#[derive(Debug)]
pub struct RemoteDesktop {
    viewer: Option<Process>,
    _server: Process,
    port: u16,
    size: (u16, u16),
    display: String,
    home: tempfile::TempDir,
}

impl RemoteDesktop {
    /// The class of the viewer's window.
    pub const CLASS: &str = "xfreerdp";

    /// Serves the screen of `session`, which has that size, on a loopback port, and opens a viewer on the device's screen.
    pub fn start(session: &str, size: (u16, u16), device: &Screen) -> Result<Self> {
        if let Some(missing) = PROGRAMS.iter().find(|program| !Path::new(program).exists()) {
            bail!("{missing} is not installed; `cargo xtask setup` does it");
        }
        // Both keep certificates and settings below it.
        let home = tempfile::Builder::new().prefix("offstage-freerdp-").tempdir()?;
        let port = free_port()?;
        let mut server = command(PROGRAMS[0]);
        server
            .args([&format!("/port:{port}"), "/bind-address:127.0.0.1", "/sec:rdp", "-auth"])
            .env("DISPLAY", session)
            .env("HOME", home.path())
            .stderr(Stdio::null());
        let server = Process::spawn("freerdp-shadow-cli", &mut server)?;
        let end = Instant::now() + START_LIMIT;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if Instant::now() >= end {
                bail!("freerdp-shadow-cli does not listen");
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let display = device.display().to_owned();
        let mut desktop = Self { viewer: None, _server: server, port, size, display, home };
        desktop.open()?;
        Ok(desktop)
    }

    /// Opens the viewer, after it was closed, and waits for its window.
    pub fn open(&mut self) -> Result<()> {
        let (width, height) = self.size;
        let mut viewer = command(PROGRAMS[1]);
        viewer
            .args([&format!("/v:127.0.0.1:{}", self.port), "/sec:rdp", "/cert:ignore", "/u:test", "/p:test"])
            .args([&format!("/size:{width}x{height}"), "/smart-sizing", "/bpp:32", "/log-level:ERROR"])
            .env("DISPLAY", &self.display)
            .env("HOME", self.home.path())
            .stderr(Stdio::null());
        self.viewer = Some(Process::spawn("xfreerdp", &mut viewer)?);
        self.window().map(drop)
    }

    /// Closes the viewer as a lost connection would.
    pub fn close(&mut self) {
        self.viewer = None;
    }

    /// The viewer's window, once it is on the screen.
    pub fn window(&self) -> Result<String> {
        let end = Instant::now() + START_LIMIT;
        loop {
            let found = xdotool(&self.display, &["search", "--onlyvisible", "--class", Self::CLASS]);
            if let Some(window) = found.ok().and_then(|found| found.lines().last().map(str::to_owned)) {
                return Ok(window);
            }
            if Instant::now() >= end {
                bail!("xfreerdp shows no window");
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Runs xdotool on the device's screen for the viewer's window, whose number replaces `%w`.
    pub fn order(&self, arguments: &[&str]) -> Result<()> {
        let window = self.window().context("to be moved or sized")?;
        let arguments: Vec<&str> =
            arguments.iter().map(|part| if *part == "%w" { window.as_str() } else { part }).collect();
        xdotool(&self.display, &arguments).map(drop)
    }
}
