//! A session's browser with a covered and a native window side by side.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::cases::{Case, Place};
use super::compare::{Difference, compare, damaged};
use crate::cdp::{Page, Target};
use crate::server::{Response, Server};
use crate::session::{Installation, Session, SessionOptions};
use crate::stage_probe::StageProbe;
use crate::xvfb::{Camera, Picture, xdotool};

/// How long anything may take on a busy machine that is not a case's own result.
pub(super) const PATIENCE: Duration = Duration::from_secs(40);
/// How long a case may take until it is as it should be.
const SETTLE: Duration = Duration::from_secs(4);
/// A move to the session, or back, takes a player of its own.
const MOVE: Duration = Duration::from_secs(10);
/// How long windows may take to their places before they are put there once more.
const PLACED: Duration = Duration::from_secs(4);
/// How many screenshots in a row have to show the same.
const STEADY: usize = 3;
/// Width and height of each window, in the browser's own units.
const WINDOW: [f64; 2] = [640.0, 600.0];
/// The colour of the pages' mark in the viewport's upper left corner.
const MARK: [u8; 3] = [255, 0, 255];
/// Hosts that are covered and that are not: the top, and what is in a frame.
const COVERED: [&str; 2] = ["127.0.0.1", "a.localhost"];
const NATIVE: [&str; 2] = ["localhost", "b.localhost"];

/// One of the windows.
#[derive(Clone, Debug)]
pub struct Side {
    pub page: Page,
    /// What its tab is called.
    name: &'static str,
    /// Left, top, width, height of its viewport on the screen.
    viewport: [usize; 4],
}

/// Both windows, on a screen of their own.
#[derive(Debug)]
pub struct Stage {
    pub covered: Side,
    pub native: Side,
    pub session: Session,
    camera: Camera,
    scale: f64,
    zoom: f64,
    framed: bool,
    server: Server,
    keep: Option<PathBuf>,
}

impl Stage {
    /// Starts everything and waits until the chart plays in both windows; screenshots are kept in `keep`.
    pub fn open(installation: &Installation, scale: f64, keep: Option<&Path>) -> Result<Self> {
        Self::open_with(installation, scale, keep, &[], &[])
    }

    /// With more arguments for the session's browser, and more extensions.
    pub fn open_with(
        installation: &Installation,
        scale: f64,
        keep: Option<&Path>,
        more: &[&str],
        extensions: &[PathBuf],
    ) -> Result<Self> {
        let server = serve()?;
        let [width, height] = WINDOW.map(|side| pixels(side * scale));
        let options = SessionOptions {
            headless: false,
            screen: Some((u16::try_from(width * 2)?.max(1280) + 40, u16::try_from(height)?.max(1000) + 40)),
            sites: Some(COVERED.iter().map(|host| format!("http://{host}/*")).collect()),
            browser_args: [
                format!("--force-device-scale-factor={scale}"),
                "--window-position=0,0".to_owned(),
                format!("--window-size={},{}", WINDOW[0], WINDOW[1]),
                // A window behind another one is still drawn, and its video still plays.
                "--disable-backgrounding-occluded-windows".to_owned(),
                "--autoplay-policy=no-user-gesture-required".to_owned(),
            ]
            .into_iter()
            .chain(more.iter().map(|argument| (*argument).to_owned()))
            .collect(),
            client_args: StageProbe::client_args(),
            extensions: extensions.to_vec(),
            ..SessionOptions::default()
        };
        let session = Session::start(installation, options)?;
        session.wait_connected(PATIENCE)?;
        let camera = session.screen().context("no screen")?.camera()?;
        let covered = Side { page: session.first_page()?, name: "covered", viewport: [0; 4] };
        let bounds = json!({ "url": "about:blank", "newWindow": true, "left": WINDOW[0], "top": 0, "width": WINDOW[0], "height": WINDOW[1] });
        let target = session.cdp().call("Target.createTarget", bounds)?;
        let target = target["targetId"].as_str().context("no window")?;
        let native = Side { page: Page::attach(session.cdp(), target)?, name: "native", viewport: [0; 4] };
        let keep = keep.map(Path::to_owned);
        let mut stage =
            Self { covered, native, session, camera, scale, zoom: 1.0, framed: false, server, keep };
        stage.place_windows()?;
        stage.load(false)?;
        Ok(stage)
    }

    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Puts both windows where they belong, in their usual size.
    pub fn place_windows(&self) -> Result<()> {
        for (side, left) in [(&self.covered, 0.0), (&self.native, WINDOW[0])] {
            side.set_window(&json!({ "windowState": "normal" }))?;
            side.set_window(&json!({ "left": left, "top": 0, "width": WINDOW[0], "height": WINDOW[1] }))?;
        }
        self.pointer_away()
    }

    /// The pointer is out of the way until a test wants it.
    pub fn pointer_away(&self) -> Result<()> {
        let display = self.session.display().context("no display")?;
        let (right, bottom) = (self.camera.size()[0] - 2, self.camera.size()[1] - 2);
        xdotool(display, &["mousemove", &right.to_string(), &bottom.to_string()]).map(drop)
    }

    /// Opens the browser's side panel in both windows, by the extension that has one, and loads the page again beside it if that is wanted.
    pub fn open_side_panels(&mut self, load_again: bool) -> Result<()> {
        let is_panels = |target: &Target| target.url.ends_with("/panel_worker.js");
        let worker = self.session.cdp().wait_target(PATIENCE, is_panels).context("the panel's extension")?;
        let panel = self.session.open(&worker.url.replace("panel_worker.js", "panel.html"))?;
        let open = "chrome.windows.getAll().then((all) => Promise.all(all.map(({ id }) => chrome.sidePanel.open({ windowId: id })))).then(() => 0)";
        let params = json!({ "expression": open, "userGesture": true, "awaitPromise": true });
        let answer = panel.call("Runtime.evaluate", params)?;
        if !answer["exceptionDetails"].is_null() {
            bail!("no side panel opens: {}", answer["exceptionDetails"]);
        }
        panel.close()?;
        for side in [&self.covered, &self.native] {
            side.page.wait_until(&format!("innerWidth < {} - 200", WINDOW[0]), PATIENCE)?;
        }
        if !load_again {
            return self.find_viewports();
        }
        self.load(self.framed)
    }

    /// Loads the page, in both windows, and waits until the chart plays, on the device in the covered one.
    pub fn load(&mut self, framed: bool) -> Result<()> {
        self.framed = framed;
        for (side, [top, frame]) in [(&self.covered, COVERED), (&self.native, NATIVE)] {
            let query = if framed { format!("?frame={frame}") } else { String::new() };
            let url = self.server.url(&format!("/pages/geometry.html{query}")).replacen("127.0.0.1", top, 1);
            side.page.navigate(&url)?;
            side.page.evaluate(&format!("document.title = '{}'", side.name))?;
        }
        if !framed {
            for side in [&self.covered, &self.native] {
                side.page.wait_until("globalThis.failed || v.readyState >= 3", PATIENCE)?;
                if let Some(failed) = side.page.evaluate("globalThis.failed")?.as_str() {
                    bail!("the chart does not play: {failed}");
                }
            }
        }
        let end = Instant::now() + PATIENCE;
        while self.placed()? != "device" {
            if Instant::now() >= end {
                bail!("the chart does not play on the device: {}", self.session.status()?);
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        self.find_viewports()
    }

    /// `device`, or `session` and its code.
    pub fn placed(&self) -> Result<String> {
        let status = self.session.status()?;
        if let Some(code) = status["in_session"][0]["code"].as_str() {
            return Ok(format!("session {code}"));
        }
        Ok(if status["redirected"].as_u64().is_some_and(|count| count > 0) { "device" } else { "session" }
            .to_owned())
    }

    /// Shows a case in both windows.
    pub fn prepare(&mut self, case: &Case) -> Result<()> {
        if self.framed != case.framed || !self.comes_back()? {
            self.load(case.framed)?;
        }
        if (self.zoom - case.zoom).abs() > f64::EPSILON {
            self.set_zoom(case.zoom)?;
        }
        let arguments = json!({ "css": case.css, "near": case.near, "far": case.far, "script": case.script });
        for side in [&self.covered, &self.native] {
            side.page.evaluate(&format!("show({arguments}).then(() => 0)"))?;
        }
        Ok(())
    }

    /// Whether the picture is on the device again after a case that was played in the session.
    fn comes_back(&self) -> Result<bool> {
        if self.placed()? == "device" {
            return Ok(true);
        }
        let nothing = json!({ "css": "", "near": "", "far": "", "script": "" });
        for side in [&self.covered, &self.native] {
            side.page.evaluate(&format!("show({nothing}).then(() => 0)"))?;
        }
        let end = Instant::now() + SETTLE;
        while Instant::now() < end {
            if self.placed()? == "device" {
                return Ok(true);
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        Ok(false)
    }

    /// Shows nothing but the video, and both windows as usual.
    pub(super) fn prepare_plain(&mut self) -> Result<()> {
        self.prepare(&Case::PLAIN)?;
        self.scroll(0)?;
        self.settle(&Case::PLAIN, 0).map(drop)
    }

    /// Both windows in their usual places, whatever has become of them.
    pub(super) fn windows_as_usual(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            self.place_windows()?;
            // Window managers and browsers move windows once more when a monitor has gone.
            if self.viewports_found_within(PLACED)? {
                return Ok(());
            }
            if Instant::now() >= end {
                return self.find_viewports();
            }
        }
    }

    /// Brings a window before all others, as a click on the task bar does.
    pub fn raise(&self, side: &Side) -> Result<()> {
        let display = self.session.display().context("no display")?;
        let name = format!("^{} ", side.name);
        let end = Instant::now() + PATIENCE;
        // It asks one window after the other, and fails if one of them goes away meanwhile.
        while let Err(error) =
            xdotool(display, &["search", "--onlyvisible", "--name", &name, "windowactivate", "--sync"])
        {
            if Instant::now() >= end {
                return Err(error);
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Width and height of a window in pixels.
    #[must_use]
    pub fn window(&self) -> [usize; 2] {
        WINDOW.map(|side| pixels(side * self.scale))
    }

    /// Width and height of the screen in pixels.
    #[must_use]
    pub fn screen_size(&self) -> [usize; 2] {
        self.camera.size().map(usize::from)
    }

    /// Where on a screenshot the one mark is, if all of it is seen.
    #[must_use]
    pub fn mark_on(&self, screen: &Picture) -> Option<[usize; 2]> {
        let [left, top, right, bottom] = screen.bounds_of(MARK, 2)?;
        let size = pixels(8.0 * self.scale * self.zoom);
        (right - left == size && bottom - top == size).then_some([left, top])
    }

    fn set_zoom(&mut self, zoom: f64) -> Result<()> {
        let script = format!(
            "chrome.tabs.query({{}}).then((tabs) => Promise.all(tabs.map(({{ id }}) => chrome.tabs.setZoom(id, {zoom})))).then(() => 0)"
        );
        self.session.evaluate_in_worker(&script)?;
        self.zoom = zoom;
        let wanted = self.scale * zoom;
        for side in [&self.covered, &self.native] {
            side.page.wait_until(&format!("Math.abs(devicePixelRatio - {wanted}) < 0.01"), PATIENCE)?;
        }
        self.find_viewports()
    }

    /// Scrolls what the page says that it scrolls.
    pub fn scroll(&self, y: i64) -> Result<()> {
        for side in [&self.covered, &self.native] {
            side.page.evaluate(&format!(
                "(globalThis.scroller ?? document.scrollingElement).scrollTo(0, {y}); 0"
            ))?;
        }
        Ok(())
    }

    /// Finds both viewports by the pages' marks.
    pub fn find_viewports(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !self.viewports_found_within(PLACED)? {
            if Instant::now() >= end {
                let file = std::env::temp_dir().join("offstage-geometry-marks.png");
                self.camera.capture()?.write_png(&file)?;
                bail!(
                    "the windows are not in their places, or the pages' marks are not seen: see {}",
                    file.display()
                );
            }
        }
        Ok(())
    }

    /// Whether both windows show their viewports, alike and each in its place, within some time.
    fn viewports_found_within(&mut self, patience: Duration) -> Result<bool> {
        let end = Instant::now() + patience;
        let middle = pixels(WINDOW[0] * self.scale);
        while Instant::now() < end {
            let screen = self.camera.capture()?;
            let left = screen.crop(0, 0, middle, screen.height())?.bounds_of(MARK, 2);
            let right = screen.crop(middle, 0, screen.width() - middle, screen.height())?.bounds_of(MARK, 2);
            if let (Some(left), Some(right)) = (left, right)
                && left == right
            {
                self.covered.viewport = self.covered.viewport_at(left[0], left[1])?;
                self.native.viewport = self.native.viewport_at(right[0] + middle, right[1])?;
                if self.covered.viewport[2..] == self.native.viewport[2..] {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Waits until screenshots in a row show the same as it should be, or for as long as that may take; gives the last.
    pub fn settle(&self, case: &Case, scroll: i64) -> Result<Difference> {
        let patience = if matches!(case.place, Place::Session) { MOVE } else { SETTLE };
        let end = Instant::now() + patience;
        let mut steady = 0;
        let mut last = None;
        loop {
            let overlays = self.overlays()?;
            let screen = self.camera.capture()?;
            let (native, seen) = (self.native.cut(&screen)?, self.covered.cut(&screen)?);
            let mut found = compare(&native, &seen, &overlays);
            if !overlays.is_empty() {
                let own = self.own()?;
                found.overlays_damaged = damaged(&native, &own, &seen, &overlays);
            }
            let good = case.judge(&found, case.place.wanted()) == "ok"
                && (!matches!(case.place, Place::Session) || self.placed()?.starts_with("session"));
            steady =
                if good && last.is_none_or(|last| last == found) { steady + 1 } else { usize::from(good) };
            last = Some(found);
            if steady >= STEADY || Instant::now() >= end {
                self.keep(&format!("{} {scroll}", case.name), &native, &seen)?;
                return Ok(found);
            }
        }
    }

    /// The boxes of the page's overlays, of those in a frame too.
    fn overlays(&self) -> Result<Vec<[f64; 4]>> {
        let boxes = self.covered.page.evaluate("overlays()")?;
        Ok(serde_json::from_value(boxes)?)
    }

    /// What the session's browser itself has drawn in the covered window.
    pub fn own(&self) -> Result<Picture> {
        Picture::from_png(&self.covered.page.screenshot_png()?)
    }

    pub(super) fn camera(&self) -> &Camera {
        &self.camera
    }

    /// The whole screen at this moment.
    pub fn screen(&self) -> Result<Picture> {
        self.camera.capture()
    }

    /// Keeps a case's two pictures, the native one on the right, if that is wanted.
    pub fn keep(&self, name: &str, native: &Picture, seen: &Picture) -> Result<()> {
        let Some(folder) = &self.keep else { return Ok(()) };
        std::fs::create_dir_all(folder)?;
        let name: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let mut rgb = Vec::new();
        for y in 0..seen.height().min(native.height()) {
            for picture in [seen, native] {
                rgb.extend_from_slice(&picture.rgb()[y * picture.width() * 3..][..picture.width() * 3]);
            }
        }
        let both = Picture::new(seen.width() + native.width(), seen.height().min(native.height()), rgb)?;
        both.write_png(&folder.join(format!("{name}@{}.png", self.scale)))
    }
}

impl Side {
    /// Moves, sizes or changes the state of the window.
    pub fn set_window(&self, bounds: &Value) -> Result<()> {
        let answer = self.page.call("Browser.getWindowForTarget", json!({}))?;
        let bounds = json!({ "windowId": answer["windowId"], "bounds": bounds });
        self.page.call("Browser.setWindowBounds", bounds).map(drop)
    }

    /// The viewport's part of a screenshot.
    pub fn cut(&self, screen: &Picture) -> Result<Picture> {
        let [left, top, width, height] = self.viewport;
        screen.crop(left, top, width.min(screen.width() - left), height.min(screen.height() - top))
    }

    /// Where on the screen the viewport begins.
    #[must_use]
    pub fn origin(&self) -> [usize; 2] {
        [self.viewport[0], self.viewport[1]]
    }

    /// Width and height of the viewport.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        [self.viewport[2], self.viewport[3]]
    }

    fn viewport_at(&self, left: usize, top: usize) -> Result<[usize; 4]> {
        let size = self.page.evaluate("[innerWidth * devicePixelRatio, innerHeight * devicePixelRatio]")?;
        let side = |index: usize| size[index].as_f64().map(pixels).context("no size");
        Ok([left, top, side(0)?, side(1)?])
    }
}

/// The tests' pages and clips.
pub fn serve() -> Result<Server> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (pages, clips) = (root.join("tests/pages"), root.join("clips"));
    Server::start(move |request| {
        match request.path.split_once('/').and_then(|(_, path)| path.split_once('/')) {
            Some(("clips", file)) => Response::file(&clips, file),
            Some(("pages", file)) => Response::file(&pages, file),
            Some(_) | None => Response::not_found(),
        }
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes of windows")]
pub(super) fn pixels(value: f64) -> usize {
    value.round().max(0.0) as usize
}
