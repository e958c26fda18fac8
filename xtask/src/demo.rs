//! `cargo xtask demo`: a video that plays on the device, to look at or to measure.

pub(crate) mod measure;
mod rdp;
mod report;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use offstage_tests::server::{Request, Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::run::{print, say};
use crate::workspace::Workspace;
use crate::{build, clips};

/// Shows a video that plays on the device while its page stays in the session. Both are this machine.
///
/// With a display: builds, opens the page in a session browser of its own and stays until that is closed or Ctrl+C comes.
///
/// With --headless: makes a screen of its own, plays the page for 20 seconds without Offstage and then with it, writes a
/// screenshot of the whole screen, says what it saw and writes it as JSON. Exits with an error if the video was not redirected.
///
/// With --rdp (as root): xrdp with a session of its own user's, the extension installed there by policy, FreeRDP with the plug-in as the
/// person's device; measured is what the session costs, what goes over the RDP connection and what the person sees, for each of
/// the lines that --rtt and --mbit name.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Measure on a screen of its own instead of showing.
    #[arg(long)]
    headless: bool,
    /// Write what was measured to this file.
    #[arg(long, value_name = "FILE", requires = "headless")]
    json: Option<PathBuf>,
    /// Write the screenshot to this file; dist/demo.png if left out.
    #[arg(long, value_name = "FILE", requires = "headless")]
    screenshot: Option<PathBuf>,
    /// The session is another machine's: a real remote desktop by RDP.
    #[arg(long)]
    rdp: bool,
    /// Round trips of the RDP connection's line, in milliseconds, separated by commas.
    #[arg(long, value_name = "MS", value_delimiter = ',', default_value = "0", requires = "rdp",
        value_parser = clap::value_parser!(u64).range(0..=2000))]
    rtt: Vec<u64>,
    /// What that line carries each way, in Mbit/s, separated by commas; as much as there is if left out.
    #[arg(long, value_name = "N", value_delimiter = ',', requires = "rdp",
        value_parser = clap::value_parser!(u64).range(1..=10_000))]
    mbit: Vec<u64>,
    /// How many of a hundred segments that line loses.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, requires = "rdp", value_parser = percent)]
    loss: f64,
    /// How long each of the two runs is watched.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=28))]
    seconds: u64,
    /// Which clip: h264 or vp9, drawn and easily encoded; or film, 720p with grain at 2.5 Mbit/s, which is made at its first use.
    #[arg(long, default_value = "h264", value_parser = ["h264", "vp9", "film"])]
    clip: String,
    /// Sound and picture in one stream (muxed) or as two tracks (demuxed).
    #[arg(long, default_value = "demuxed", value_parser = ["muxed", "demuxed"])]
    tracks: String,
    /// Build the programs without optimising them: quicker to build, slower to run.
    #[arg(long)]
    debug: bool,
}

/// The sites that the demo's session covers: its own page.
pub(crate) const SITES: &str = "http://127.0.0.1/*";

/// The screen of a headless run, and the browser window on it.
const SCREEN: (u16, u16) = (1280, 1024);

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let installation =
        build::run(workspace, &build::Options { release: !options.debug, ..build::Options::default() })?;
    if options.rdp {
        return rdp::run(workspace, &installation, options);
    }
    let (pages, clips) = folders(workspace, &options.clip)?;
    let server = Server::start(move |request| answer(&pages, &clips, request))?;
    let url = server.url(&address(options));
    if options.headless {
        let report = report::make(&installation, &url, options.seconds)?;
        let screenshot = options.screenshot.clone().unwrap_or_else(|| workspace.dist().join("demo.png"));
        report.screenshot().write_png(&screenshot)?;
        report.print(&screenshot);
        if let Some(path) = &options.json {
            let text = serde_json::to_string_pretty(&report.json())? + "\n";
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if !report.is_redirected() {
            bail!("the video played in the session: it was not redirected");
        }
        return Ok(());
    }
    show(&installation, &url)
}

fn percent(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=50.0).contains(&value) { Ok(value) } else { Err("not from 0 to 50".to_owned()) }
}

/// The demo's page and the test clips.
pub(crate) fn serve(workspace: &Workspace) -> Result<Server> {
    let (pages, clips) = folders(workspace, "h264")?;
    Server::start(move |request| answer(&pages, &clips, request))
}

/// Where the page is, and its clips.
fn folders(workspace: &Workspace, clip: &str) -> Result<(PathBuf, PathBuf)> {
    let clips = match clip {
        "film" => clips::film(workspace, "demo/film", ["1280", "720", "2500k"])?,
        _ => workspace.path("tests/clips"),
    };
    Ok((workspace.path("www/demo"), clips))
}

/// The page's path for that clip.
fn address(options: &Options) -> String {
    let clip = if options.clip == "film" { "h264" } else { &options.clip };
    format!("/?clip={clip}&tracks={}", options.tracks)
}

/// The demo's page, or a clip.
fn answer(pages: &Path, clips: &Path, request: &Request) -> Response {
    let response = match request.path.strip_prefix("/clips/") {
        Some(clip) => Response::file(clips, clip),
        None if request.path == "/" => Response::file(pages, "index.html"),
        None => Response::file(pages, &request.path),
    };
    // As strict as a careful site's, to show that Offstage needs nothing of the page.
    response.with_header(
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src blob:; \
         base-uri 'none'; form-action 'none'; frame-src 'none'; require-trusted-types-for 'script'",
    )
}

/// A session for the demo's page; `screen`: on an Xvfb of its own even if there is a display.
pub(crate) fn session_options(redirect: bool, screen: Option<(u16, u16)>) -> SessionOptions {
    let mut browser_args = vec!["--window-position=0,0".to_owned()];
    if let Some((width, height)) = screen {
        browser_args.push(format!("--window-size={width},{height}"));
    }
    SessionOptions {
        headless: false,
        screen,
        redirect,
        sites: Some(vec![SITES.to_owned()]),
        browser_args,
        ..SessionOptions::default()
    }
}

/// Opens the page for a person.
fn show(installation: &Installation, url: &str) -> Result<()> {
    if std::env::var_os("DISPLAY").is_none() {
        bail!("there is no display here; `cargo xtask demo --headless` makes one of its own");
    }
    let session = Session::start(installation, session_options(true, None))?;
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen for signals")?;
    session.first_page()?.navigate(url)?;
    print(
        "The window that has just opened is the session's browser. The video in it plays in another one, the device's: its",
    );
    print("picture lies exactly over the page's. Scroll, resize, seek. The page says what to look at.");
    if let Some(pid) = session.describe()?["client_pid"].as_u64() {
        print(format!(
            "To see playback move into the session and back: kill -STOP {pid}, wait 6 s, kill -CONT {pid}"
        ));
    }
    say("Close the browser or press Ctrl+C to end.");
    crate::browser::wait(session, &mut signals)
}
