//! `cargo xtask bench`: the figures that say whether redirection is worth it.

mod hook;
mod playback;
mod relay;
mod startup;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use offstage_tests::server::{Response, Server};
use offstage_tests::session::Session;
use serde_json::{Map, Value};

use crate::run::{print, say};
use crate::workspace::Workspace;
use crate::{build, clips, demo, size};

/// Measures what redirection costs and saves: the same browser with and without Offstage, side by side in one run.
///
/// CPU of the session's browser for a film of 1080p at 30 frames a second and 5 Mbit/s; time to the first frame; what the hook costs
/// a page without video; bytes a second from a page's append to the device's answer; memory; sizes. Prints them with the goals
/// beside them. A goal that is missed is no error: figures depend on the machine.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Also write the figures as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How long CPU is measured, in each of the two.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=25))]
    seconds: u64,
    /// How often a start of playback is measured, in each of the two.
    #[arg(long, default_value_t = 10)]
    starts: usize,
    /// Build the programs without optimising them.
    #[arg(long)]
    debug: bool,
}

/// Width, height and bits a second of the film.
const FILM: [&str; 3] = ["1920", "1080", "5M"];
/// Its picture, in the folder that make.sh fills.
const FILM_FILE: &str = "h264.mp4";
/// The screen that each browser has.
const SCREEN: (u16, u16) = (1280, 1024);

/// The same browser without and with Offstage.
struct Pair {
    native: Session,
    redirected: Session,
}

impl Pair {
    /// Both, in the order in which everything is measured.
    fn each(&self) -> [&Session; 2] {
        [&self.native, &self.redirected]
    }
}

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let installation =
        build::run(workspace, &build::Options { release: !options.debug, ..build::Options::default() })?;
    let server = serve(workspace, clips::film(workspace, "bench/clips", FILM)?)?;
    let demo_server = demo::serve(workspace)?;
    say("bench: starting two browsers, one without Offstage and one with it …");
    let start = |redirect| Session::start(&installation, demo::session_options(redirect, Some(SCREEN)));
    let pair = Pair { native: start(false)?, redirected: start(true)? };
    pair.redirected.wait_connected(Duration::from_secs(60))?;

    let mut figures = Map::new();
    say(format!("bench: {} starts in each …", options.starts));
    figures.extend(startup::measure(&pair, &demo_server.url("/?clip=h264&tracks=demuxed"), options.starts)?);
    say(format!("bench: {} s of film in each …", options.seconds));
    figures.extend(playback::measure(&pair, &server.url("/"), Duration::from_secs(options.seconds))?);
    say("bench: pages without video …");
    figures.extend(hook::measure(&pair, &server.url("/empty"))?);
    say("bench: bytes as quickly as they are taken …");
    figures.extend(relay::measure(&pair, &server.url("/"))?);
    figures.insert("bytes".into(), serde_json::to_value(size::measure(workspace)?)?);
    figures.insert("session_browser".into(), pair.redirected.cdp().version()?.into());
    figures.insert("cores".into(), std::thread::available_parallelism()?.get().into());
    pair.native.close();
    pair.redirected.close();

    let figures = Value::Object(figures);
    table::rows(&figures).iter().for_each(print);
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&figures)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn serve(_workspace: &Workspace, clips: PathBuf) -> Result<Server> {
    Server::start(move |request| match request.path.as_str() {
        "/" => Response::html(include_str!("bench/page.html")),
        "/bench.js" => Response::new("text/javascript", include_str!("bench/page.js")),
        "/empty" => {
            Response::html("<!doctype html><meta charset=utf-8><title>Empty</title><p>No video here.")
        }
        path => Response::file(&clips, path.strip_prefix("/clips/").unwrap_or_default()),
    })
}

/// The middle one of `values`; not a number if there is none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// To a hundredth.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
