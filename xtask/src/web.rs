//! `cargo xtask web`: a session in a web client, whose videos play in the page, to look at or to measure.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use offstage_tests::cdp::Page;
use offstage_tests::process::cpu_seconds_of_tree;
use offstage_tests::web_client::{WebDesk, WebDeskOptions, element_on_screen, error_px, packages_folder};
use offstage_tests::xvfb::{Camera, Picture, xdotool};
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::demo;
use crate::demo::measure::{self, hundredth, tenth};
use crate::run::{check, is_on_path, print, say};
use crate::workspace::Workspace;
use crate::{build, setup};

/// Shows a session in a web client (examples/web-client: noVNC on a canvas), whose video plays in the page and lies over the canvas.
///
/// Starts a VNC server with a window manager and the session's browser, which opens the demo's page; `offstage-client run --web`
/// beside it; a WebSocket proxy and a web server as a gateway; and a second browser, the device's, that shows the web client.
/// Everything is on loopback and ends with the command.
///
/// With a display, the device's browser is on it and stays until it is closed or Ctrl+C comes.
///
/// With --headless it has a screen of its own, where the picture is compared with the page's element in several sizes and places,
/// and its frames with the page's position. Says what it saw, keeps a screenshot of the device's screen, and exits with an error if
/// the video was not redirected or its picture was more than 2 pixels off.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Measure on a screen of its own instead of showing.
    #[arg(long)]
    headless: bool,
    /// Write what was measured to this file.
    #[arg(long, value_name = "FILE", requires = "headless")]
    json: Option<PathBuf>,
    /// Write the screenshot to this file; dist/web.png if left out.
    #[arg(long, value_name = "FILE", requires = "headless")]
    screenshot: Option<PathBuf>,
    /// Build the programs without optimising them: quicker to build, slower to run.
    #[arg(long)]
    debug: bool,
    /// Use what was built before, as it is.
    #[arg(long)]
    no_build: bool,
}

/// The device's screen in a headless run.
const SCREEN: (u16, u16) = (1280, 1024);

/// How far a side of the picture may be off, in pixels of the device: the session's are scaled.
const TOLERANCE_PX: f64 = 2.0;

/// How far a channel of the border's colour may be off after compression.
const TOLERANCE: u8 = 40;

/// How long the picture may take to its place, and the video to its first frame.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long frames are compared, and then CPU is counted.
const WATCHED: Duration = Duration::from_secs(5);

/// Sizes of the canvas, as the example's page has them, and how far the session's page is scrolled.
const CASES: [(&str, u32); 6] = [("1", 0), ("1", 60), ("0.7", 60), ("0.7", 0), ("fit", 0), ("fit", 140)];

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let release = !options.debug;
    let installation = if options.no_build {
        let programs = workspace.programs(release);
        offstage_tests::session::Installation::new(&workspace.dist(), &programs, &workspace.extension_id()?)
    } else {
        build::run(workspace, &build::Options { release, ..build::Options::default() })?
    };
    packages(workspace)?;
    let server = demo::serve(workspace)?;
    if !options.headless && std::env::var_os("DISPLAY").is_none() {
        bail!("there is no display here; `cargo xtask web --headless` makes one of its own");
    }
    let desk = WebDesk::start(
        &installation,
        WebDeskOptions {
            sites: demo::SITES.to_owned(),
            device_screen: options.headless.then_some(SCREEN),
            ..WebDeskOptions::default()
        },
    )?;
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen for signals")?;
    desk.open_client(if options.headless { "size=1" } else { "size=fit" })?;
    let page = desk.session.first_page()?;
    page.navigate(&server.url("/"))?;
    if !options.headless {
        print(
            "The window that has just opened is the device's browser. On its page is a session's screen, as a web client draws it;",
        );
        print(
            "the video in the session's browser plays in this tab and lies over the canvas. Scroll, click, choose another size.",
        );
        say("Close the browser or press Ctrl+C to end.");
        crate::browser::wait(desk.device, &mut signals)?;
        desk.session.close();
        return Ok(());
    }
    let seen = measure(&desk, &page)?;
    let screenshot = options.screenshot.clone().unwrap_or_else(|| workspace.dist().join("web.png"));
    seen.screenshot.write_png(&screenshot)?;
    desk.close();
    seen.print();
    print(format!("  The device's screen: {}", screenshot.display()));
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&seen.json())? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !seen.is_redirected() {
        bail!("the video played in the session: it was not redirected");
    }
    if seen.error_px_max() > TOLERANCE_PX {
        bail!("the picture was {} pixels off", seen.error_px_max());
    }
    Ok(())
}

/// Installs the example's packages: what its package-lock.json names, from npm.
pub(crate) fn packages(workspace: &Workspace) -> Result<()> {
    // It is the same for all profiles of the programs.
    let (folder, lock) = (packages_folder(&workspace.programs(false)), "package-lock.json");
    let wanted = workspace.read(&format!("examples/web-client/{lock}"))?;
    // npm writes the inner one last.
    let complete = folder.join("node_modules/.package-lock.json").is_file();
    if complete && std::fs::read_to_string(folder.join(lock)).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    if !is_on_path("npm") {
        setup::install(&["nodejs", "npm"]).context("noVNC comes from npm")?;
    }
    say("web: installing noVNC from npm…");
    std::fs::create_dir_all(&folder)?;
    for file in ["package.json", lock] {
        std::fs::copy(workspace.path("examples/web-client").join(file), folder.join(file))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
    check(&mut npm)
}

/// What was seen.
struct Seen {
    /// Size, scrolling, error in pixels and the time to the place.
    cases: Vec<(&'static str, u32, f64, f64)>,
    /// How far the frame on the device's screen was from the page's position, in milliseconds, sorted.
    drift_ms: Vec<f64>,
    /// CPU seconds in a second: the session's browser, the device's.
    cores: [f64; 2],
    drawn_by_session: bool,
    status: Value,
    browser: String,
    screenshot: Picture,
}

fn measure(desk: &WebDesk, page: &Page) -> Result<Seen> {
    let camera = desk.camera()?;
    let corner = [SCREEN.0 - 6, SCREEN.1 - 6].map(|at| at.to_string());
    xdotool(desk.device.display().unwrap_or_default(), &["mousemove", &corner[0], &corner[1]])?;
    let mut cases = Vec::new();
    for (size, scroll) in CASES {
        page.evaluate(&format!("scrollTo(0, {scroll})"))?;
        desk.tab.evaluate(&format!("size.value = '{size}'; size.dispatchEvent(new Event('change')); 0"))?;
        let (error, took) = settle(desk, page, &camera)?;
        cases.push((size, scroll, error, took));
    }
    page.evaluate("scrollTo(0, 0); video.currentTime = 1; video.play(); 0")?;
    desk.tab.evaluate("size.value = '1'; size.dispatchEvent(new Event('change')); 0")?;
    settle(desk, page, &camera)?;
    let [left, top, right, _] = desk.mapping()?.bounds(element_on_screen(page, "#video")?);
    let strip = measure::Strip::at(left, top, right)?;
    let mut drift_ms = measure::watch(page, &camera, &strip, WATCHED)?;
    drift_ms.sort_by(f64::total_cmp);
    let pids = [desk.session.browser_pid(), desk.device.browser_pid()];
    let before = pids.map(cpu_seconds_of_tree);
    let end = Instant::now() + WATCHED;
    while Instant::now() < end {
        std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
    }
    let after = pids.map(cpu_seconds_of_tree);
    let cores = [0, 1].map(|index| (after[index] - before[index]) / WATCHED.as_secs_f64());
    Ok(Seen {
        cases,
        drift_ms,
        cores,
        drawn_by_session: measure::shows_number(page)?,
        status: desk.session.status()?,
        browser: desk.device.cdp().version()?,
        screenshot: camera.capture()?,
    })
}

/// Waits until the picture is in its place; gives the error in pixels and how long it took, in milliseconds.
fn settle(desk: &WebDesk, page: &Page, camera: &Camera) -> Result<(f64, f64)> {
    let began = Instant::now();
    loop {
        let expected = desk.mapping()?.bounds(element_on_screen(page, "#video")?);
        let error = error_px(expected, &camera.capture()?, TOLERANCE);
        let took = began.elapsed();
        match error {
            Some(error) if error <= TOLERANCE_PX || took > PATIENCE => {
                return Ok((error, took.as_secs_f64() * 1000.0));
            }
            None if took > PATIENCE => {
                bail!("the picture is not on the device's screen: {}", desk.session.status()?)
            }
            Some(_) | None => {}
        }
    }
}

impl Seen {
    fn is_redirected(&self) -> bool {
        !self.drawn_by_session && self.status["redirected"].as_u64().is_some_and(|count| count > 0)
    }

    fn error_px_max(&self) -> f64 {
        self.cases.iter().map(|(_, _, error, _)| *error).fold(0.0, f64::max)
    }

    fn json(&self) -> Value {
        let case = |(size, scroll, error, took): &(&str, u32, f64, f64)| json!({ "size": size, "scroll": scroll, "error_px": tenth(*error), "settled_ms": took.round() });
        json!({
            "redirected": self.is_redirected(),
            "cases": self.cases.iter().map(case).collect::<Vec<_>>(),
            "error_px_max": tenth(self.error_px_max()),
            "drift_ms_p50": measure::percentile(&self.drift_ms, 50),
            "drift_ms_p99": measure::percentile(&self.drift_ms, 99),
            "frames_presented": self.status["frames_presented"],
            "frames_dropped": self.status["frames_dropped"],
            "session_cores": hundredth(self.cores[0]),
            "device_cores": hundredth(self.cores[1]),
            "versions": { "offstage": env!("CARGO_PKG_VERSION"), "browser": self.browser },
        })
    }

    fn print(&self) {
        print("The video of the session's page played in the device's tab, over the web client's canvas:");
        for (size, scroll, error, took) in &self.cases {
            let size = if *size == "fit" { "fitted" } else { size };
            print(format!(
                "  canvas {size:<6} page scrolled {scroll:>3}: {error:.1} px off, there after {took:.0} ms"
            ));
        }
        print(format!(
            "  Frame on the device's screen against the page's position: {} ms off at p50, {} ms at p99.",
            measure::percentile(&self.drift_ms, 50),
            measure::percentile(&self.drift_ms, 99)
        ));
        print(format!(
            "  The device has presented {} frames and dropped {}; the session's browser took {:.2} cores, the device's {:.2}.",
            self.status["frames_presented"], self.status["frames_dropped"], self.cores[0], self.cores[1]
        ));
    }
}
