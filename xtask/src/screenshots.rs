//! `cargo xtask screenshots`: the pictures of the stores' pages, made from the running product.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::xvfb::{Camera, Picture};
use serde_json::json;

use crate::build;
use crate::demo;
use crate::run::{print, say};
use crate::workspace::Workspace;

/// What stores ask for.
const SIZE: (u16, u16) = (1280, 800);
/// As `www/_locales` has them.
const LANGUAGES: [&str; 5] = ["en", "de", "fr", "es", "ja"];
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the pictures for the stores' pages, 1280 by 800 pixels, in each language of the extension: a page whose video plays on the
/// device (1-video), the extension's window over it (2-window), the status and outline over the picture (3-marks).
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Only this language.
    #[arg(long, value_parser = LANGUAGES)]
    language: Option<String>,
    /// Where the pictures go [default: dist/store].
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Show what was built before.
    #[arg(long)]
    no_build: bool,
}

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let installation = if options.no_build {
        Installation::new(&workspace.dist(), &workspace.programs(false), &workspace.extension_id()?)
    } else {
        build::run(workspace, &build::Options::default())?
    };
    let folder = options.to.clone().unwrap_or_else(|| workspace.dist().join("store"));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for language in
        LANGUAGES.into_iter().filter(|l| options.language.as_deref().is_none_or(|only| only == *l))
    {
        say(format!("screenshots: {language}"));
        for (name, picture) in take(workspace, &installation, language)? {
            let path = folder.join(format!("{language}-{name}.png"));
            picture.write_png(&path)?;
            print(path.display().to_string());
        }
    }
    Ok(())
}

fn take(
    workspace: &Workspace,
    installation: &Installation,
    language: &str,
) -> Result<Vec<(&'static str, Picture)>> {
    let server = demo::serve(workspace)?;
    let mut options = demo::session_options(true, Some(SIZE));
    options.browser_args.extend([format!("--lang={language}"), format!("--accept-lang={language}")]);
    let options =
        SessionOptions { environment: vec![("LANGUAGE".to_owned(), language.to_owned())], ..options };
    let session = Session::start(installation, options)?;
    session.wait_connected(PATIENCE)?;
    let camera = session.screen().context("the session has no screen")?.camera()?;
    let page = session.first_page()?;
    page.navigate(&server.url("/?clip=h264&tracks=demuxed"))?;
    page.wait_until("document.querySelector('video').currentTime > 6", PATIENCE)?;
    // Still, and without the controls that a paused video shows.
    page.evaluate(
        "{ const video = document.querySelector('video'); video.pause(); video.controls = false; } 0",
    )?;
    page.call("Page.bringToFront", json!({}))?;
    let mut pictures = vec![("1-video", settled(&camera)?)];
    session.evaluate_in_worker("chrome.action.openPopup().then(() => 0)")?;
    wait(|| {
        Ok(session.evaluate_in_worker(
            "chrome.runtime.getContexts({ contextTypes: ['POPUP'] }).then((all) => all.length)",
        )? == json!(1))
    })?;
    pictures.push(("2-window", settled(&camera)?));
    page.call("Page.bringToFront", json!({}))?;
    session.evaluate_in_worker(
        "Promise.all([offstageSet('overlay', true), offstageSet('outline', true)]).then(() => 0)",
    )?;
    let green = |picture: &Picture| picture.bounds_of([0, 0xc8, 0x53], 6).is_some();
    wait(|| Ok(green(&camera.capture()?)))?;
    pictures.push(("3-marks", settled(&camera)?));
    session.close();
    Ok(pictures)
}

/// The screen once nothing on it changes any more.
fn settled(camera: &Camera) -> Result<Picture> {
    let mut last = camera.capture()?;
    let mut since = Instant::now();
    wait(|| {
        let now = camera.capture()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        Ok(since.elapsed() > Duration::from_millis(1500))
    })?;
    camera.capture()
}

fn wait(mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !holds()? {
        if Instant::now() > end {
            bail!("the browser does not show what was asked for");
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    Ok(())
}
