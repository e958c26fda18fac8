//! A screen that nobody needs to sit at: Xvfb, a window manager, and a look at what is on it.

mod picture;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, ImageFormat, MapState, WindowClass};
use x11rb::rust_connection::RustConnection;

pub use self::picture::Picture;
use crate::cdp::free_port;
use crate::process::{Process, command};

/// What manages the windows of a screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WindowManager {
    /// Draws nothing but frames.
    #[default]
    Openbox,
    /// GNOME's. It composes the screen of what windows have drawn: shadows, and what is minimised or on another workspace still has its window.
    Mutter,
    /// Xfce's, which composes as well.
    Xfwm,
    /// Nothing yet: a test brings one.
    None,
}

/// An Xvfb or VNC server with a window manager on a display number of its own choice; gone when dropped.
#[derive(Debug)]
pub struct Screen {
    display: String,
    vnc: Option<u16>,
    // Dropped in this order: the window manager first.
    _window_manager: Option<Process>,
    _server: Process,
    _home: Option<tempfile::TempDir>,
}

impl Screen {
    /// Starts a screen of `width` by `height` pixels, 24 bit deep, with openbox.
    pub fn start(width: u16, height: u16) -> Result<Self> {
        Self::start_with(width, height, WindowManager::Openbox)
    }

    /// The same with another window manager.
    pub fn start_with(width: u16, height: u16, manager: WindowManager) -> Result<Self> {
        let mut xvfb = command("Xvfb");
        // The server writes the display number that it took to the file descriptor named by -displayfd, and only then is ready.
        xvfb.args(["-displayfd", "1", "-screen", "0", &format!("{width}x{height}x24"), "-nolisten", "tcp"])
            .args(["-dpi", "96", "+extension", "RANDR"])
            .stderr(Stdio::null());
        let mut server =
            Process::spawn("Xvfb", &mut xvfb).context("is Xvfb installed? `cargo xtask setup` does it")?;
        let number = server.wait_line("", Duration::from_secs(20))?;
        Self::managed(server, &number, None, manager)
    }

    /// Starts a screen that a VNC server shows, at a port of the loopback and to everybody there.
    pub fn start_vnc(width: u16, height: u16) -> Result<Self> {
        let port = free_port()?;
        let mut vnc = command("Xtigervnc");
        vnc.args([
            "-displayfd",
            "1",
            "-localhost",
            "-SecurityTypes",
            "None",
            "-AlwaysShared",
            "-depth",
            "24",
        ])
        .args(["-nolisten", "tcp", "-dpi", "96", "-desktop", "Offstage", "-AcceptSetDesktopSize=0"])
        .args(["-geometry", &format!("{width}x{height}"), "-rfbport", &port.to_string()])
        .stderr(Stdio::null());
        let mut server = Process::spawn("Xtigervnc", &mut vnc)
            .context("is tigervnc-standalone-server installed? `cargo xtask setup` does it")?;
        let number = server.wait_line("", Duration::from_secs(20))?;
        Self::managed(server, &number, Some(port), WindowManager::Openbox)
    }

    fn managed(server: Process, number: &str, vnc: Option<u16>, manager: WindowManager) -> Result<Self> {
        let display = format!(":{number}");
        let home = tempfile::Builder::new().prefix("offstage-desktop-").tempdir()?;
        let mut program = match manager {
            WindowManager::Openbox => {
                let mut openbox = command("openbox");
                // Without this a person's own openbox settings would decide what tests see.
                openbox.args(["--config-file", "/dev/null", "--sm-disable"]);
                openbox
            }
            WindowManager::Mutter => with_bus(&["mutter", "--x11", "--sm-disable"], home.path()),
            WindowManager::Xfwm => {
                with_bus(&["xfwm4", "--compositor=on", "--sm-client-disable"], home.path())
            }
            WindowManager::None => {
                return Ok(Self { display, vnc, _window_manager: None, _server: server, _home: None });
            }
        };
        program.env("DISPLAY", &display).stderr(Stdio::null());
        let window_manager = Process::spawn("window manager", &mut program)
            .context("is it installed? `cargo xtask setup` does it")?;
        if manager != WindowManager::Openbox {
            wait_composed(&display)?;
        }
        let (_window_manager, _home) = (Some(window_manager), Some(home));
        Ok(Self { display, vnc, _window_manager, _server: server, _home })
    }

    /// The display's name for the environment variable DISPLAY, such as `:1`.
    #[must_use]
    pub fn display(&self) -> &str {
        &self.display
    }

    /// The port of its VNC server, if it has one.
    #[must_use]
    pub fn vnc_port(&self) -> Option<u16> {
        self.vnc
    }

    /// A camera on this screen.
    pub fn camera(&self) -> Result<Camera> {
        Camera::new(&self.display)
    }
}

/// A program of a desktop's with a message bus of its own and nobody's settings.
fn with_bus(program: &[&str], home: &Path) -> Command {
    let mut bus = command("dbus-run-session");
    bus.arg("--").args(program).env("HOME", home).env("XDG_RUNTIME_DIR", home);
    bus.env("GSETTINGS_BACKEND", "memory").env("NO_AT_BRIDGE", "1");
    for folders in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
        bus.env_remove(folders);
    }
    bus
}

/// Waits until something composes the screen (EWMH, `_NET_WM_CM_Sn`).
fn wait_composed(display: &str) -> Result<()> {
    let (connection, number) = x11rb::connect(Some(display)).context("cannot reach the display")?;
    let name = format!("_NET_WM_CM_S{number}");
    let selection = connection.intern_atom(false, name.as_bytes())?.reply()?.atom;
    let end = Instant::now() + Duration::from_secs(30);
    while connection.get_selection_owner(selection)?.reply()?.owner == x11rb::NONE {
        if Instant::now() >= end {
            bail!("nothing composes the screen");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}

/// Takes pictures of a display: every window, as a person sees it.
#[derive(Debug)]
pub struct Camera {
    connection: RustConnection,
    root: u32,
    size: (u16, u16),
}

impl Camera {
    /// A camera on `display`, such as `:1`.
    pub fn new(display: &str) -> Result<Self> {
        let (connection, number) = x11rb::connect(Some(display)).context("cannot reach the display")?;
        let screen = connection.setup().roots.get(number).context("the display has no screen")?;
        if screen.root_depth != 24 {
            bail!("the screen is {} bit deep, not 24", screen.root_depth);
        }
        let (root, size) = (screen.root, (screen.width_in_pixels, screen.height_in_pixels));
        Ok(Self { connection, root, size })
    }

    /// Width and height of the screen.
    #[must_use]
    pub fn size(&self) -> [u16; 2] {
        [self.size.0, self.size.1]
    }

    /// The whole screen.
    pub fn capture(&self) -> Result<Picture> {
        self.capture_part(0, 0, self.size.0, self.size.1)
    }

    /// How many windows there are, those in windows and the hidden ones included.
    pub fn windows(&self) -> Result<usize> {
        let mut open = vec![self.root];
        let mut count = 0;
        while let Some(window) = open.pop() {
            // One may close while it is looked at.
            let Ok(tree) = self.connection.query_tree(window)?.reply() else { continue };
            count += tree.children.len();
            open.extend(tree.children);
        }
        Ok(count)
    }

    /// What a task bar lists: the classes of the windows that the window manager manages (EWMH, `_NET_CLIENT_LIST`).
    pub fn listed(&self) -> Result<Vec<String>> {
        self.clients()?
            .into_iter()
            .map(|window| {
                let class = self.connection.get_property(
                    false,
                    window,
                    AtomEnum::WM_CLASS,
                    AtomEnum::STRING,
                    0,
                    64,
                )?;
                Ok(String::from_utf8_lossy(&class.reply()?.value).replace('\0', " ").trim().to_owned())
            })
            .collect()
    }

    /// Windows on the screen that the window manager has nothing to do with, such as menus: left, top, width, height.
    pub fn loose(&self) -> Result<Vec<[i64; 4]>> {
        let clients = self.clients()?;
        let mut found = Vec::new();
        for window in self.connection.query_tree(self.root)?.reply()?.children {
            // One may close while it is looked at.
            let Ok(attributes) = self.connection.get_window_attributes(window)?.reply() else { continue };
            let Ok(at) = self.connection.get_geometry(window)?.reply() else { continue };
            let on_screen = i32::from(at.x) + i32::from(at.width) > 1
                && i32::from(at.y) + i32::from(at.height) > 1
                && i32::from(at.x) < i32::from(self.size.0)
                && i32::from(at.y) < i32::from(self.size.1);
            let drawn =
                attributes.map_state == MapState::VIEWABLE && attributes.class == WindowClass::INPUT_OUTPUT;
            if drawn && on_screen && !self.contains_one(window, &clients)? {
                found.push([at.x.into(), at.y.into(), at.width.into(), at.height.into()]);
            }
        }
        Ok(found)
    }

    fn clients(&self) -> Result<Vec<u32>> {
        let list = self.connection.intern_atom(false, b"_NET_CLIENT_LIST")?.reply()?.atom;
        let property =
            self.connection.get_property(false, self.root, list, AtomEnum::WINDOW, 0, 4096)?.reply()?;
        Ok(property.value32().into_iter().flatten().collect())
    }

    fn contains_one(&self, window: u32, of: &[u32]) -> Result<bool> {
        let mut open = vec![window];
        while let Some(window) = open.pop() {
            if of.contains(&window) {
                return Ok(true);
            }
            if let Ok(tree) = self.connection.query_tree(window)?.reply() {
                open.extend(tree.children);
            }
        }
        Ok(false)
    }

    /// A part of the screen; an error if it is not inside.
    pub fn capture_part(&self, x: i16, y: i16, width: u16, height: u16) -> Result<Picture> {
        let request =
            self.connection.get_image(ImageFormat::Z_PIXMAP, self.root, x, y, width, height, u32::MAX)?;
        // 24 bit deep pixels take 32 bits here, blue first.
        let data = request.reply().context("the part is not on the screen")?.data;
        let rgb = data.chunks_exact(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
        Picture::new(usize::from(width), usize::from(height), rgb)
    }
}

/// All that a locked screen shows.
pub const LOCKED: [u8; 3] = [0x20, 0x40, 0x60];

/// Locks a screen by a program that people use for it; unlocked when dropped.
pub fn lock(display: &str) -> Result<Process> {
    let colour: String = LOCKED.iter().map(|part| format!("{part:02x}")).collect();
    let mut locker = command("i3lock");
    locker.args(["--nofork", "--no-unlock-indicator", "--color", &colour]).env("DISPLAY", display);
    Process::spawn("i3lock", &mut locker).context("is i3lock installed? `cargo xtask setup` does it")
}

/// Runs xdotool on `display`; for real pointer and keyboard events.
pub fn xdotool(display: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new("xdotool")
        .args(arguments)
        .env("DISPLAY", display)
        .output()
        .context("is xdotool installed? `cargo xtask setup` does it")?;
    if !output.status.success() {
        bail!("xdotool {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether everything that [`Screen`] needs is installed.
#[must_use]
pub fn is_installed() -> bool {
    ["/usr/bin/Xvfb", "/usr/bin/openbox"].iter().all(|program| Path::new(program).exists())
}
