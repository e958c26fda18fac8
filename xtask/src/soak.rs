//! `cargo xtask soak`: hours of live playback in minutes, and what has grown meanwhile.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use offstage_tests::cdp::{Cdp, Page};
use offstage_tests::process::memory_bytes_of_tree;
use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::stage_probe::StageProbe;
use serde_json::{Value, json};

use crate::build;
use crate::run::{print, say};
use crate::workspace::Workspace;

/// Plays a live stream for an hour's worth of media, fast, and looks at what has grown: memory, elements, players.
///
/// The page appends small parts of a clip again and again, takes old ranges out, and plays at --rate. After a tenth of the time the
/// first look is taken, at the end the last one. It is an error if something has leaked or memory has grown more than stated below.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Minutes of media.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// How fast it plays.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=8))]
    rate: u64,
    /// Also write both looks as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Use what was built before, as it is.
    #[arg(long)]
    no_build: bool,
}

/// What may be found grown, as bytes: so much at any time (caches, heaps that grow in steps), and so much more an hour of media.
const LIMITS: [(&str, u64, u64); 6] = [
    ("page_heap", 4_000_000, 4_000_000),
    ("worker_heap", 4_000_000, 4_000_000),
    ("browser", 60_000_000, 40_000_000),
    ("bridge", 4_000_000, 2_000_000),
    ("client", 8_000_000, 2_000_000),
    ("engine", 60_000_000, 40_000_000),
];
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let installation = if options.no_build {
        Installation::new(&workspace.dist(), &workspace.programs(false), &workspace.extension_id()?)
    } else {
        build::run(workspace, &build::Options::default())?
    };
    let (clips, pages) = (workspace.path("tests/clips"), workspace.path("tests/tests/pages"));
    let server = Server::start(move |request| match request.path.strip_prefix("/clips/") {
        Some(clip) => Response::file(&clips, clip),
        None => Response::file(&pages, request.path.strip_prefix("/pages/").unwrap_or_default()),
    })?;
    let session = SessionOptions {
        sites: Some(vec!["http://127.0.0.1/*".to_owned()]),
        client_args: StageProbe::client_args(),
        ..SessionOptions::default()
    };
    let mut session = Session::start(&installation, session)?;
    session.wait_connected(PATIENCE)?;
    let probe = StageProbe::connect(&session)?;
    let page = session.open(&server.url(&format!("/pages/faults.html?rate={}", options.rate)))?;
    let end = options.minutes * 60;
    let time = Duration::from_secs(end / options.rate * 3) + PATIENCE;
    reach(&page, end / 10, time)?;
    probe.wait_players(1).with_context(|| format!("the worker says: {:?}", session.status()))?;
    let before = look(&mut session, &page, &probe)?;
    say(format!("at {} s: {before}", end / 10));
    reach(&page, end, time)?;
    let after = look(&mut session, &page, &probe)?;
    say(format!("at {end} s: {after}"));
    if let Some(file) = &options.json {
        let report = json!({ "options": { "minutes": options.minutes, "rate": options.rate }, "before": before, "after": after });
        std::fs::write(file, report.to_string())
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    session.close();
    let grown = judge(&before, &after, options.minutes);
    ensure!(grown.is_empty(), "{}", grown.join("; "));
    print("nothing has leaked");
    Ok(())
}

/// Waits until the page has played so many seconds.
fn reach(page: &Page, seconds: u64, time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    let played = format!("live.error !== null || video.error !== null || video.currentTime >= {seconds}");
    page.wait_until(&played, end - Instant::now())?;
    let error = page.evaluate("live.error ?? video.error?.message ?? null")?;
    ensure!(error.is_null(), "the page's player failed: {error}");
    Ok(())
}

fn look(session: &mut Session, page: &Page, probe: &StageProbe) -> Result<Value> {
    let cdp = session.cdp().clone();
    let worker = cdp.wait_target(PATIENCE, |target| target.kind == "service_worker")?;
    let attached = cdp.attach(&worker.id)?;
    let [page_heap, worker_heap] = [heap(&cdp, page.session())?, heap(&cdp, &attached)?];
    cdp.call("Target.detachFromTarget", json!({ "sessionId": attached }))?;
    let status = session.status()?;
    let seen = page.evaluate(
        "({ elements: document.querySelectorAll('*').length, position: video.currentTime, appends: live.appends, removes: live.removes })",
    )?;
    let bridges = session.bridge_pids();
    let engine = session.engine_pid().context("there is no engine")?;
    let client = session.client().context("there is no client")?.pid();
    let [browser, client, engine] = [session.browser().pid(), client, engine].map(memory_bytes_of_tree);
    Ok(json!({
        "page_heap": page_heap,
        "worker_heap": worker_heap,
        "browser": browser,
        "bridge": bridges.iter().copied().map(memory_bytes_of_tree).sum::<u64>(),
        // The engine is below the client.
        "client": client.saturating_sub(engine),
        "engine": engine,
        "bridges": bridges.len(),
        "elements": seen["elements"],
        "players": probe.players()?,
        "windows": probe.windows()?,
        "documents": status["documents"],
        "redirected": status["redirected"],
        "drift_us": status["drift_us"],
        "frames": [status["frames_presented"], status["frames_dropped"]],
        "position": seen["position"],
        "appends": seen["appends"],
        "removes": seen["removes"],
    }))
}

/// Bytes that live scripts hold.
fn heap(cdp: &Cdp, session: &str) -> Result<Value> {
    cdp.call_in(session, "HeapProfiler.collectGarbage", json!({}), PATIENCE)?;
    Ok(cdp.call_in(session, "Runtime.getHeapUsage", json!({}), PATIENCE)?["usedSize"].clone())
}

/// What is more than it may be.
fn judge(before: &Value, after: &Value, minutes: u64) -> Vec<String> {
    let mut grown = Vec::new();
    for (name, once, hourly) in LIMITS {
        let [from, to] = [before, after].map(|look| look[name].as_f64().unwrap_or(f64::NAN));
        #[expect(clippy::cast_precision_loss, reason = "limits stay far below 2^52")]
        let limit = (once + hourly * minutes / 60) as f64;
        // What could not be measured is no number, and that is an error as well.
        if (to - from).is_nan() || to - from > limit {
            grown.push(format!("{name} has grown from {from} to {to} bytes"));
        }
    }
    for name in ["bridges", "elements", "players", "windows", "documents", "redirected"] {
        if before[name] != after[name] {
            grown.push(format!("{name}: {} at first, {} at the end", before[name], after[name]));
        }
    }
    grown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_beyond_its_slope_or_is_not_measured_is_told() {
        let mut before = json!({ "elements": 6 });
        for (name, ..) in LIMITS {
            before[name] = json!(10_000_000);
        }
        assert_eq!(judge(&before, &before, 60), [""; 0]);
        let mut after = before.clone();
        after["page_heap"] = json!(10_000_000 + 8_100_000);
        after["bridge"] = Value::Null;
        after["elements"] = json!(7);
        assert_eq!(judge(&before, &after, 60).len(), 3);
    }
}
