//! A remote desktop in a page: a session on a VNC server, a gateway with the example's web client, and a browser of the device's that
//! shows it.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::cdp::{Page, free_port};
use crate::process::{Process, command};
use crate::server::{Response, Server};
use crate::session::{Installation, Session, SessionOptions};
use crate::xvfb::{Camera, Picture};

/// The Debian packages, and what each is for.
pub const PACKAGES: [(&str, &str); 2] = [
    ("tigervnc-standalone-server", "the screen of a session in a web client"),
    ("websockify", "its connections from pages"),
];

/// The session's screen.
pub const SCREEN: (u16, u16) = (1200, 760);

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Where a page is on its own screen: a browser's window has no frame but its own, which is as wide at the sides as at the bottom.
const PAGE_ORIGIN: &str =
    "((side) => [screenX + side, screenY + outerHeight - innerHeight - side])((outerWidth - innerWidth) / 2)";

/// Where `cargo xtask web` and `cargo xtask test` install the example's npm packages, beside the folder of programs.
#[must_use]
pub fn packages_folder(programs: &Path) -> PathBuf {
    programs.with_file_name("web-client")
}

/// What kind of desk to start.
#[derive(Clone, Debug, Default)]
pub struct WebDeskOptions {
    /// What the session covers.
    pub sites: String,
    /// What an administrator manages in the session.
    pub managed: Option<Value>,
    /// The device's browser is on a screen of its own, of this size; else on DISPLAY.
    pub device_screen: Option<(u16, u16)>,
    /// More arguments for the device's browser.
    pub device_args: Vec<String>,
}

/// All of it; ended with the value.
#[derive(Debug)]
pub struct WebDesk {
    /// The tab of the device's browser with the web client.
    pub tab: Page,
    /// The device's browser.
    pub device: Session,
    /// The session, whose client has its pictures in that tab.
    pub session: Session,
    gateway: Server,
    _proxy: Process,
}

impl WebDesk {
    /// Starts everything.
    pub fn start(installation: &Installation, options: WebDeskOptions) -> Result<Self> {
        let WebDeskOptions { sites, managed, device_screen, device_args } = options;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/web-client");
        let npm = packages_folder(installation.programs()).join("node_modules/@novnc/novnc");
        if !npm.is_dir() {
            bail!("{} is not there: `cargo xtask web` brings it", npm.display());
        }
        let known = Arc::new(OnceLock::<Value>::new());
        let told = Arc::clone(&known);
        let gateway = Server::start(move |request| {
            let response = match (request.path.as_str(), request.path.strip_prefix("/novnc/")) {
                (_, Some(file)) => Response::file(&npm, file),
                ("/", None) => Response::file(&root, "index.html"),
                ("/session.json", None) => told.get().map_or_else(Response::not_found, |session| {
                    Response::new("application/json", session.to_string())
                }),
                (path, None) => Response::file(&root, path),
            };
            response.with_header("Content-Security-Policy", &policy(told.get()))
        })?;
        let origin = gateway.url("");
        let session =
            Session::start(installation, SessionOptions { managed, ..session_options(&sites, &origin) })?;
        let vnc = session.screen().and_then(|screen| screen.vnc_port()).context("no VNC server")?;
        let (proxy, port) = start_proxy(vnc)?;
        let client = session.client_ready();
        let described = json!({ "vnc": format!("ws://127.0.0.1:{port}"), "stage": client["url"], "token": client["token"] });
        known.set(described).ok().context("the session is known already")?;
        let device = Session::start(installation, device_options(device_screen, device_args))?;
        let tab = device.first_page()?;
        Ok(Self { tab, device, session, gateway, _proxy: proxy })
    }

    /// Opens the web client in the device's tab and waits until screen and stage are connected.
    pub fn open_client(&self, query: &str) -> Result<()> {
        self.tab.navigate(&self.gateway.url(&format!("/?{query}")))?;
        self.tab
            .wait_until_untouched("globalThis.live?.rfb?._rfbConnectionState === 'connected'", PATIENCE)?;
        self.tab.wait_until_untouched("globalThis.live?.stage?.state === 'connected'", PATIENCE)?;
        self.session.wait_connected(PATIENCE)
    }

    /// A camera on the device's screen.
    pub fn camera(&self) -> Result<Camera> {
        Camera::new(self.device.display().context("the device has no screen")?)
    }

    /// From pixels of the session's screen to those of the device's.
    pub fn mapping(&self) -> Result<Mapping> {
        let script = format!(
            "(({{ left, top, width, height }}, canvas, [x, y]) => [x + left, y + top, width / canvas.width, height / canvas.height])\
             (document.querySelector('canvas').getBoundingClientRect(), document.querySelector('canvas'), {PAGE_ORIGIN})"
        );
        let [x, y, across, down] = numbers(&self.tab.evaluate_untouched(&script)?)?;
        Ok(Mapping { x, y, across, down })
    }

    /// Ends everything in good order.
    pub fn close(self) {
        self.device.close();
        self.session.close();
    }
}

/// How the device's screen shows the session's.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    x: f64,
    y: f64,
    across: f64,
    down: f64,
}

impl Mapping {
    /// A point.
    #[must_use]
    pub fn point(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [self.x + x * self.across, self.y + y * self.down]
    }

    /// Left, top, right, bottom.
    #[must_use]
    pub fn bounds(&self, [left, top, right, bottom]: [f64; 4]) -> [f64; 4] {
        let ([left, top], [right, bottom]) = (self.point([left, top]), self.point([right, bottom]));
        [left, top, right, bottom]
    }
}

/// Where an element of a page is on the screen of its browser, as far as it is inside of the viewport: left, top, right, bottom.
pub fn element_on_screen(page: &Page, selector: &str) -> Result<[f64; 4]> {
    let script = format!(
        "(({{ left, top, right, bottom }}, [x, y]) => [x + Math.max(0, left), y + Math.max(0, top), \
         x + Math.min(document.documentElement.clientWidth, right), y + Math.min(innerHeight, bottom)])\
         (document.querySelector('{selector}').getBoundingClientRect(), {PAGE_ORIGIN})"
    );
    numbers(&page.evaluate(&script)?)
}

/// The greatest distance of a side of the picture on `screen` from where it should be; `None` without a picture.
#[must_use]
pub fn error_px(expected: [f64; 4], screen: &Picture, tolerance: u8) -> Option<f64> {
    let seen = screen.bounds_of(crate::frame_number::BORDER, tolerance)?;
    #[expect(clippy::cast_precision_loss, reason = "pixels of a screen")]
    let seen = seen.map(|side| side as f64);
    expected.iter().zip(seen).map(|(expected, seen)| (expected - seen).abs()).reduce(f64::max)
}

fn numbers<const N: usize>(answer: &Value) -> Result<[f64; N]> {
    let numbers: Option<Vec<f64>> = answer.as_array().and_then(|all| all.iter().map(Value::as_f64).collect());
    numbers
        .and_then(|all| all.try_into().ok())
        .with_context(|| format!("the page said {answer}, not {N} numbers"))
}

fn session_options(sites: &str, origin: &str) -> SessionOptions {
    let (width, height) = SCREEN;
    SessionOptions {
        headless: false,
        screen: Some(SCREEN),
        vnc: true,
        web_origins: vec![origin.to_owned()],
        sites: Some(vec![sites.to_owned()]),
        browser_args: vec![
            "--window-position=40,24".to_owned(),
            format!("--window-size={},{}", width - 80, height - 48),
            // Nobody touches the page in it at first.
            "--autoplay-policy=no-user-gesture-required".to_owned(),
        ],
        ..SessionOptions::default()
    }
}

fn device_options(screen: Option<(u16, u16)>, arguments: Vec<String>) -> SessionOptions {
    let mut browser_args = vec!["--window-position=0,0".to_owned()];
    if let Some((width, height)) = screen {
        browser_args.push(format!("--window-size={width},{height}"));
    }
    browser_args.extend(arguments);
    SessionOptions { headless: false, screen, redirect: false, browser_args, ..SessionOptions::default() }
}

/// What the gateway's pages may do; nothing of it is for Offstage but what names the stage's address.
fn policy(session: Option<&Value>) -> String {
    let stage = session.and_then(|session| session["stage"].as_str()).unwrap_or_default();
    let sockets = stage.replacen("http", "ws", 1);
    let vnc = session.and_then(|session| session["vnc"].as_str()).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' {stage}; connect-src 'self' {stage} {sockets} {vnc}; \
         media-src blob: {stage}; style-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'"
    )
}

/// Pages speak WebSocket, VNC servers don't.
fn start_proxy(vnc: u16) -> Result<(Process, u16)> {
    let port = free_port()?;
    let mut websockify = command("websockify");
    websockify.args([format!("127.0.0.1:{port}"), format!("127.0.0.1:{vnc}")]).stderr(Stdio::null());
    let mut proxy = Process::spawn("websockify", &mut websockify)
        .context("is websockify installed? `cargo xtask setup` does it")?;
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > end || !proxy.is_running() {
            bail!("websockify does not listen");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok((proxy, port))
}
