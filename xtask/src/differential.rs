//! `cargo xtask differential`: the same page played natively and redirected, and everything that it observed compared.

pub(crate) mod material;
mod rules;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use offstage_tests::cdp::Page;
use offstage_tests::server::Server;
use offstage_tests::session::{Installation, Session, SessionOptions};
use serde::Serialize;
use serde_json::{Value, json};

use crate::build;
use crate::run::print;
use crate::workspace::Workspace;

/// Play every case natively and redirected, and compare what the page could observe.
///
/// One browser shows both: 127.0.0.1 is covered, localhost is not. A case is a player (hls.js, dash.js, Shaka, video.js, Plyr,
/// Vidstack, mpegts.js, p2p-media-loader, a page's own MSE code, the browser's own) with one kind of media; tests/differential/cases.js
/// has them all. What differs and is no rule's (xtask/src/differential/rules.rs) is played again, up to three times: what two native
/// runs don't agree in is no difference. Prints a line a case:
///
///     equal      the page observed the same
///     session    the same, because it played in the session; with the reason's code
///     DIFFERENT  with each difference below it; then the exit code is 1
///
/// Needs ffmpeg, and npm for the players; installs what is missing. The media are made once (a minute) and kept.
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Only the cases whose names have one of these in them.
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Write one row a case to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only name the cases.
    #[arg(long)]
    list: bool,
    /// Use what was built before, as it is.
    #[arg(long)]
    no_build: bool,
    /// Fail as well when a case plays in the session.
    #[arg(long)]
    redirected: bool,
}

impl Options {
    /// What continuous integration plays of what has been built: cases of each way in which media come.
    pub(crate) fn of_each_kind() -> Self {
        let patterns = [
            "mse h264-aac mp4",
            "hls.js ts",
            "shaka dash h264",
            "video.js hls",
            "file webm",
            "file new Audio",
        ];
        Self {
            patterns: patterns.map(str::to_owned).into(),
            no_build: true,
            redirected: true,
            ..Self::default()
        }
    }
}

/// How often a pair is played before a difference counts.
const ATTEMPTS: usize = 3;

/// Longest time of one run; the page itself gives up a good while earlier.
const LONGEST: Duration = Duration::from_secs(60);

/// How long the extension may take to reach the device.
const READY: Duration = Duration::from_secs(60);

/// One case's row.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    case: String,
    /// `equal`, `different`, or `session`.
    status: &'static str,
    /// Whether the device played it.
    redirected: bool,
    /// Why it was played in the session, if it was.
    code: Option<String>,
    sentence: Option<String>,
    /// Found in each attempt and in no pair of native runs.
    differences: Vec<String>,
    attempts: usize,
    /// Median and 99th percentile of page against device.
    drift_us: Option<[u64; 2]>,
    frames_presented: u64,
    frames_dropped: u64,
    seconds: f64,
}

/// What one run gave.
struct Outcome {
    observed: Value,
    redirected: bool,
    reason: Option<(String, String)>,
    drift_us: Option<[u64; 2]>,
    frames: [u64; 2],
}

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let installation = if options.no_build {
        Installation::new(&workspace.dist(), &workspace.programs(false), &workspace.extension_id()?)
    } else {
        build::run(workspace, &build::Options::default())?
    };
    let server = material::serve(workspace)?;
    let sites = Some(vec!["http://127.0.0.1/*".to_owned()]);
    let session = Session::start(&installation, SessionOptions { sites, ..SessionOptions::default() })?;
    session.wait_connected(READY)?;
    let rows = play_all(&session, &server, options)?;
    session.close();
    if options.list {
        return Ok(());
    }
    let count = |status: &str| rows.iter().filter(|row| row.status == status).count();
    let (equal, different, in_session) = (count("equal"), count("different"), count("session"));
    print(format!(
        "differential: {} cases, {equal} equal, {different} different, {in_session} in session",
        rows.len()
    ));
    if let Some(path) = &options.json {
        let report =
            json!({ "cases": rows, "equal": equal, "different": different, "in_session": in_session });
        std::fs::write(path, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if rows.is_empty() {
        bail!("no case has this in its name");
    }
    if different > 0 {
        bail!("{different} cases differ from native playback");
    }
    if options.redirected && in_session > 0 {
        bail!("{in_session} cases played in the session");
    }
    Ok(())
}

fn play_all(session: &Session, server: &Server, options: &Options) -> Result<Vec<Row>> {
    let page = session.open(&native(server))?;
    let names = page.evaluate("Object.keys(cases)")?;
    page.close()?;
    let names: Vec<&str> = names
        .as_array()
        .context("the page has no cases")?
        .iter()
        .filter_map(Value::as_str)
        .filter(|name| options.patterns.is_empty() || options.patterns.iter().any(|part| name.contains(part)))
        .collect();
    let mut rows = Vec::new();
    for name in names {
        if options.list {
            print(name);
            continue;
        }
        let row = compare(session, server, name)?;
        let state = if row.status == "different" { "DIFFERENT" } else { row.status };
        let code = row.code.as_deref().unwrap_or_default();
        let drift = row
            .drift_us
            .map(|[half, most]| format!("drift p50 {} p99 {} ms", half / 1000, most / 1000))
            .unwrap_or_default();
        print(format!(
            "{state:<10} {name:<36} {:>5.1} s  {code:<8} {drift}  {} frames, {} dropped",
            row.seconds, row.frames_presented, row.frames_dropped
        ));
        row.differences.iter().for_each(|difference| print(format!("           {difference}")));
        rows.push(row);
    }
    Ok(rows)
}

fn native(server: &Server) -> String {
    redirected(server).replace("127.0.0.1", "localhost")
}

fn redirected(server: &Server) -> String {
    server.url("/page/page.html")
}

/// Plays a case until it is clear whether it differs.
fn compare(session: &Session, server: &Server, name: &str) -> Result<Row> {
    let begun = Instant::now();
    let mut natives: Vec<Value> = Vec::new();
    let mut last = None;
    let mut standing: Option<BTreeSet<String>> = None;
    let mut attempts = 0;
    while attempts < ATTEMPTS && standing.as_ref().is_none_or(|found| !found.is_empty()) {
        attempts += 1;
        let plain = play(session, &native(server), name)?;
        let outcome = play(session, &redirected(server), name)?;
        if rules::broken(&plain.observed) {
            // A busy machine; what never works natively says nothing.
            last = Some(outcome);
            continue;
        }
        let mut found = rules::differences(&plain.observed, &outcome.observed);
        // What native runs don't agree in among themselves says nothing.
        for other in &natives {
            for unstable in rules::differences(other, &plain.observed) {
                let about = rules::about(&unstable).to_owned();
                found.retain(|difference| rules::about(difference) != about);
            }
        }
        let still = match standing {
            None => found.into_iter().collect(),
            Some(before) => {
                let about: BTreeSet<String> =
                    found.iter().map(|text| rules::about(text).to_owned()).collect();
                before.into_iter().filter(|text| about.contains(rules::about(text))).collect()
            }
        };
        standing = Some(still);
        natives.push(plain.observed);
        last = Some(outcome);
    }
    let outcome = last.context("nothing was played")?;
    let broken = || BTreeSet::from([format!("natively: it does not work, in {attempts} attempts")]);
    let differences: Vec<String> = standing.unwrap_or_else(broken).into_iter().collect();
    let status = if !differences.is_empty() {
        "different"
    } else if outcome.redirected {
        "equal"
    } else {
        "session"
    };
    let (code, sentence) = outcome.reason.unzip();
    Ok(Row {
        case: name.to_owned(),
        status,
        redirected: outcome.redirected,
        code,
        sentence,
        differences,
        attempts,
        drift_us: outcome.drift_us,
        frames_presented: outcome.frames[0],
        frames_dropped: outcome.frames[1],
        seconds: begun.elapsed().as_secs_f64(),
    })
}

fn play(session: &Session, url: &str, name: &str) -> Result<Outcome> {
    let page = session.open(url)?;
    page.evaluate(&format!("perform({}); 0", json!(name)))?;
    let end = Instant::now() + LONGEST;
    let mut outcome =
        Outcome { observed: Value::Null, redirected: false, reason: None, drift_us: None, frames: [0; 2] };
    while outcome.observed.is_null() {
        std::thread::park_timeout(Duration::from_millis(200));
        watch(session, &mut outcome)?;
        let observed = if Instant::now() > end {
            "running.errors.push('the run never ends'), running.result()"
        } else {
            "globalThis.outcome ?? null"
        };
        outcome.observed = page.evaluate(observed)?;
    }
    close(session, page)?;
    Ok(outcome)
}

/// Looks at what the extension says meanwhile.
fn watch(session: &Session, outcome: &mut Outcome) -> Result<()> {
    let status = session.status()?;
    if status["redirected"].as_u64() > Some(0) {
        outcome.redirected = true;
        outcome.drift_us = serde_json::from_value(status["drift_us"].clone()).unwrap_or_default();
        outcome.frames =
            ["frames_presented", "frames_dropped"].map(|key| status[key].as_u64().unwrap_or_default());
    }
    if let Some(reason) = status["in_session"].as_array().and_then(|reasons| reasons.first()) {
        let text = |key: &str| reason[key].as_str().unwrap_or_default().to_owned();
        outcome.reason = Some((text("code"), text("sentence")));
    }
    Ok(())
}

/// Closes the page and waits until nothing is left of it on the device.
fn close(session: &Session, page: Page) -> Result<()> {
    page.close()?;
    let end = Instant::now() + LONGEST;
    while session.status()?["redirected"] != json!(0) {
        if Instant::now() > end {
            bail!("a player outlives its page");
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    Ok(())
}
