//! `cargo xtask soak`: hours of live playback in minutes, and what has grown meanwhile. Figures: docs/soak.md.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use offstage_tests::cdp::{Cdp, Page};
use offstage_tests::process::{memory_bytes_of_tree, open_files};
use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::stage_probe::StageProbe;
use serde_json::{Value, json};

use crate::build;
use crate::run::{print, say};
use crate::workspace::Workspace;

/// Plays a live stream for an hour's worth of media, fast, and looks at what has grown: memory, elements, ports, files, windows, players.
///
/// The page appends small parts of a clip again and again, takes old ranges out, and plays at --rate. After a tenth of the time the
/// first look is taken, at the end the last one. It is an error if something has leaked, memory has grown more than stated below, or
/// page and device were more than 40 ms apart at the 99th percentile of the last minutes.
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

/// What may be found grown, as bytes or a count: so much at any time (caches, heaps that grow in steps), and so much more an hour of media.
const LIMITS: [(&str, u64, u64); 10] = [
    ("page_heap", 4_000_000, 4_000_000),
    ("worker_heap", 4_000_000, 4_000_000),
    ("browser", 60_000_000, 40_000_000),
    ("bridge", 4_000_000, 2_000_000),
    ("client", 8_000_000, 2_000_000),
    ("engine", 60_000_000, 40_000_000),
    // Counts: what comes and goes, and nothing an hour.
    ("nodes", 50, 0),
    ("listeners", 50, 0),
    ("bridge_files", 2, 0),
    ("client_files", 2, 0),
];
/// Microseconds that page and device may be apart at the 99th percentile, as a person's clock measures them; and how many seconds of
/// play the extension's figure is of.
const MOST_APART: u64 = 40_000;
const DRIFTS_OF: u64 = 130;
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
        // A screen of its own, so that the windows on it can be counted.
        headless: false,
        screen: Some((1280, 1024)),
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
    let mut grown = judge(&before, &after, options.minutes);
    if end * 9 / 10 / options.rate > DRIFTS_OF {
        grown.extend(apart(&after, options.rate));
    }
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
    let [page_ports, worker_ports] = [ports(&cdp, page.session())?, ports(&cdp, &attached)?];
    let held = cdp.call_in(page.session(), "Memory.getDOMCounters", json!({}), PATIENCE)?;
    cdp.call("Target.detachFromTarget", json!({ "sessionId": attached }))?;
    let status = session.status()?;
    let seen = page.evaluate(
        "({ elements: document.querySelectorAll('*').length, position: video.currentTime, appends: live.appends, removes: live.removes })",
    )?;
    let bridges = session.bridge_pids();
    let engine = session.engine_pid().context("there is no engine")?;
    let client = session.client().context("there is no client")?.pid();
    let screen = session.screen().context("there is no screen")?.camera()?;
    let client_files = open_files(client);
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
        "page_ports": page_ports,
        "worker_ports": worker_ports,
        "bridge_files": bridges.iter().copied().map(open_files).sum::<usize>(),
        "client_files": client_files,
        "nodes": held["nodes"],
        "listeners": held["jsEventListeners"],
        "x_windows": screen.windows()?,
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

/// Message ports that live in a page or a worker.
fn ports(cdp: &Cdp, session: &str) -> Result<Value> {
    let call = |method: &str, with: Value| cdp.call_in(session, method, with, PATIENCE);
    let group = "ports";
    let kind =
        call("Runtime.evaluate", json!({ "expression": "MessagePort.prototype", "objectGroup": group }))?;
    let of = json!({ "prototypeObjectId": kind["result"]["objectId"], "objectGroup": group });
    let all = call("Runtime.queryObjects", of)?["objects"]["objectId"].clone();
    let count = json!({ "objectId": all, "functionDeclaration": "function() { return this.length; }", "returnByValue": true });
    let count = call("Runtime.callFunctionOn", count)?["result"]["value"].clone();
    call("Runtime.releaseObjectGroup", json!({ "objectGroup": group }))?;
    Ok(count)
}

/// Whether page and device were too far apart.
fn apart(look: &Value, rate: u64) -> Option<String> {
    let most = look["drift_us"][1].as_u64().map(|media| media / rate);
    most.is_none_or(|most| most > MOST_APART).then(|| format!("page and device are {most:?} µs apart"))
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
            grown.push(format!("{name} has grown from {from} to {to}"));
        }
    }
    let counted = [
        "bridges",
        "page_ports",
        "worker_ports",
        "elements",
        "players",
        "windows",
        "x_windows",
        "documents",
        "redirected",
    ];
    for name in counted {
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
    fn drift_is_judged_as_it_lasts_and_must_be_there() {
        let look = |most: u64| json!({ "drift_us": [9_000, most] });
        assert_eq!(apart(&look(80_000), 2), None);
        assert!(apart(&look(80_002), 2).is_some());
        assert!(apart(&json!({ "drift_us": null }), 2).is_some());
    }

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
