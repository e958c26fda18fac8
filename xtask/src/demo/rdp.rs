//! The demo in a real remote desktop by RDP: xrdp's session on one side, FreeRDP's client on a screen of the device's on the other, and
//! a line of a chosen length and width between them. The same page without and with Offstage.

mod run;
mod table;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use offstage_tests::cdp::Page;
use offstage_tests::rdp::{self, Viewer};
use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::shaped_line::{Shape, ShapedLine};
use offstage_tests::sounds::Sounds;
use offstage_tests::stage_probe::StageProbe;
use offstage_tests::xvfb::{Camera, Screen};
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::run::Seen;
use super::{Options, address, answer, folders, measure};
use crate::package::{self, Signed};
use crate::run::{print, say};
use crate::sound_server;
use crate::workspace::Workspace;

/// The session's screen, and the device's.
const SESSION: (u16, u16) = (1280, 1024);
const DEVICE: (u16, u16) = (1600, 1200);
/// A page on which nothing happens.
const QUIET: &str = "/quiet";
/// How long anything may take on a bad line and a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the command.
pub(super) fn run(workspace: &Workspace, installation: &Installation, options: &Options) -> Result<()> {
    ensure!(
        rdp::is_possible(),
        "a session by RDP needs root, for its login, and namespaces (unshare --mount --pid). As root in a container that may make \
         them: `cargo xtask demo --rdp --headless`"
    );
    // The clips have 30 s, of which opening the sound takes some.
    ensure!(options.seconds <= 22, "--rdp measures at most 22 s for each line");
    let shapes = shapes(options);
    let shape = shapes.first().copied().unwrap_or_default();
    ensure!(
        options.headless || shapes.len() == 1,
        "one line at a time is shown: one --rtt, one --mbit; --headless measures several"
    );
    let place = Place::open(workspace, installation, options)?;
    if !options.headless {
        return show(&place, shape);
    }
    say("demo: playing in the session, as without Offstage …");
    let native = place.measure(false, &shapes, options)?;
    say("demo: playing on the device …");
    let redirected = place.measure(true, &shapes, options)?;
    let report = table::Report { shapes, native, redirected };
    let folder = workspace.dist();
    let screenshot = options.screenshot.clone().unwrap_or_else(|| folder.join("demo-rdp.png"));
    let other = screenshot.with_extension("native.png");
    for (seen, path) in [(&report.redirected, &screenshot), (&report.native, &other)] {
        let last = seen.last().context("nothing was measured")?;
        last.screenshot.write_png(path)?;
    }
    report.print();
    print(format!(
        "  The device's screen: {}, and without Offstage {}",
        screenshot.display(),
        other.display()
    ));
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report.json(&place.versions(&report)?)?)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !report.is_redirected() {
        bail!("the video played in the session: it was not redirected");
    }
    Ok(())
}

/// Every length with every width.
fn shapes(options: &Options) -> Vec<Shape> {
    let widths: Vec<Option<u64>> =
        if options.mbit.is_empty() { vec![None] } else { options.mbit.iter().copied().map(Some).collect() };
    // From 0 to 50 percent; see the option.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most half a million")]
    let lost_ppm = (options.loss * 10_000.0).round() as u32;
    let all = widths.iter().flat_map(|width| options.rtt.iter().map(move |rtt| (width, rtt)));
    all.map(|(width, rtt)| Shape {
        rtt: Duration::from_millis(*rtt),
        bits_per_second: width.map(|mbit| mbit * 1_000_000),
        lost_ppm,
    })
    .collect()
}

/// Both machines, and what is between them.
struct Place {
    // In the order in which they are ended: the device's screen last.
    line: ShapedLine,
    server: rdp::Server,
    pages: Server,
    sounds: Sounds,
    display: String,
    _device: Option<Screen>,
    signed: Signed,
    installation: Installation,
    address: String,
    /// A folder for what was said, if something fails.
    logs: PathBuf,
}

impl Place {
    fn open(workspace: &Workspace, installation: &Installation, options: &Options) -> Result<Self> {
        say("demo: starting a remote desktop by RDP …");
        sound_server::unpack(workspace)?;
        let signed = package::signed(workspace)?;
        let (folder, clips) = folders(workspace, &options.clip)?;
        let package = signed.clone();
        let pages = Server::start(move |request| {
            package.answer(request).unwrap_or_else(|| match request.path.as_str() {
                QUIET => Response::html("<!doctype html><title>Offstage</title>"),
                _ => answer(&folder, &clips, request),
            })
        })?;
        let (device, display) = if options.headless {
            let screen = Screen::start(DEVICE.0, DEVICE.1)?;
            let display = screen.display().to_owned();
            (Some(screen), display)
        } else {
            let display = std::env::var("DISPLAY");
            (None, display.context("there is no display here; --headless makes one of its own")?)
        };
        let sounds = Sounds::start(&workspace.programs(false))?;
        let server = rdp::Server::start()?;
        let line = ShapedLine::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())))?;
        let installation = Installation { extension_id: signed.id.clone(), ..installation.clone() };
        Ok(Self {
            pages,
            _device: device,
            display,
            sounds,
            server,
            line,
            signed,
            installation,
            address: address(options),
            logs: workspace.target().join("demo/rdp"),
        })
    }

    /// The profile of a session's browser.
    fn profile(&self, redirect: bool) -> PathBuf {
        self.server.home().join(if redirect { "redirected" } else { "native" })
    }

    /// A person who connects.
    fn viewer(&self, redirect: bool) -> Result<Viewer> {
        let socket = self.profile(redirect).join("offstage/client.sock");
        let plugin = &self.installation.plugin;
        Viewer::start(&self.server, self.line.port(), &self.display, SESSION, plugin, &socket)
    }

    /// The session's browser, without Offstage or with it as an administrator installs it.
    fn session(&self, redirect: bool) -> Result<Session> {
        if redirect {
            self.server.manage(&self.signed.policies(&self.pages, "127.0.0.1"))?;
        }
        let options = SessionOptions {
            user_data_dir: Some(self.profile(redirect)),
            headless: false,
            redirect,
            forced: true,
            browser_args: [
                "--window-position=40,30",
                "--window-size=1200,960",
                // A container need not let a user make the namespaces that Chromium's sandbox consists of.
                "--no-sandbox",
                "--test-type",
            ]
            .map(str::to_owned)
            .into(),
            client_display: Some(self.display.clone()),
            client_environment: self.sounds.environment(),
            client_args: [
                StageProbe::client_args(),
                vec![format!("--remote-window=class:{}", Viewer::CLASS)],
            ]
            .concat(),
            elsewhere: Some(self.server.elsewhere()?),
            ..SessionOptions::default()
        };
        Session::start(&self.installation, options).with_context(|| self.server.logs())
    }

    /// Opens the page, and with Offstage again until the extension has its managed settings: then its browser draws no frame.
    fn page(&self, session: &Session, redirect: bool) -> Result<Page> {
        let end = Instant::now() + 2 * PATIENCE;
        let page = session.first_page()?;
        loop {
            if redirect {
                // Chromium reads the settings of an extension that has just come once its own start is over: when a page that is seen
                // has been loaded and does nothing any more. One that is busy holds that up.
                page.navigate(&self.pages.url(QUIET))?;
                std::thread::park_timeout(Duration::from_secs(3));
            }
            page.navigate(&self.pages.url(&self.address))?;
            page.wait_until("globalThis.demo && !demo.error && video.currentTime > 1", PATIENCE)?;
            if !redirect || !measure::shows_number(&page)? {
                return Ok(page);
            }
            ensure!(
                Instant::now() < end,
                "installed by policy, the extension does not redirect: {}",
                self.server.logs()
            );
        }
    }

    fn measure(&self, redirect: bool, shapes: &[Shape], options: &Options) -> Result<Vec<Seen>> {
        self.line.set(Shape::default());
        let mut viewer = self.viewer(redirect)?;
        let session = self.session(redirect)?;
        let seen = self.watch(&mut viewer, &session, redirect, shapes, options);
        if seen.is_err() {
            self.keep(&session, &viewer)?;
        }
        self.line.set(Shape::default());
        session.close();
        seen
    }

    fn watch(
        &self,
        viewer: &mut Viewer,
        session: &Session,
        redirect: bool,
        shapes: &[Shape],
        options: &Options,
    ) -> Result<Vec<Seen>> {
        let page = self.page(session, redirect)?;
        let mut watched = run::Watched::new(self, viewer, session, &page, redirect)?;
        let mut seen = Vec::new();
        for shape in shapes {
            say(format!("demo: {} …", table::named(*shape)));
            seen.push(watched.measure(*shape, Duration::from_secs(options.seconds) / 2)?);
        }
        Ok(seen)
    }

    /// Keeps what all programs have said and what the device shows, for who wants to know why it did not work.
    fn keep(&self, session: &Session, viewer: &Viewer) -> Result<()> {
        let folder = &self.logs;
        std::fs::create_dir_all(folder)?;
        for name in ["bridge.log", "client.log", "browser.log"] {
            std::fs::copy(session.folder().join(name), folder.join(name)).ok();
        }
        std::fs::copy(viewer.log(), folder.join("xfreerdp.log")).ok();
        std::fs::write(folder.join("xrdp.log"), self.server.logs())?;
        Camera::new(&self.display)?.capture()?.write_png(&folder.join("screen.png"))?;
        say(format!("demo: logs and the device's screen are in {}", folder.display()));
        Ok(())
    }

    fn versions(&self, report: &table::Report) -> Result<Value> {
        let browser = report.redirected.first().map(|seen| seen.browser.clone());
        let version = |program: &str, argument: &str| {
            let said = std::process::Command::new(program)
                .arg(argument)
                .env("DISPLAY", &self.display)
                .output()
                .ok()?;
            let text = String::from_utf8_lossy(&said.stdout).into_owned();
            Some(text.lines().next()?.trim().to_owned())
        };
        Ok(serde_json::json!({
            "offstage": env!("CARGO_PKG_VERSION"),
            "browser": browser,
            "xrdp": version("xrdp", "--version"),
            "freerdp": version("xfreerdp", "/version"),
        }))
    }
}

/// For a person who wants to see it.
fn show(place: &Place, shape: Shape) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen for signals")?;
    let _viewer = place.viewer(true)?;
    let session = place.session(true)?;
    place.page(&session, true)?;
    place.line.set(shape);
    print(
        "The window that has just opened shows a desktop of another machine's. The video in its browser plays on this one.",
    );
    say("Close the browser or press Ctrl+C to end.");
    crate::browser::wait(session, &mut signals)
}
