//! What scripts of a covered page observe, against a native run of the same page in the same browser.
//!
//! `127.0.0.1` is covered and `localhost` is not, so one browser shows both. Differences that are allowed are in `docs/fidelity.md`
//! and here, each with its reason; any other fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::stage_probe::StageProbe;
use serde_json::{Value, json};

/// How often a scenario is tried to be played on the device.
const ATTEMPTS: usize = 3;

/// Longer than the page's own limit for a scenario.
const SCENARIO: Duration = Duration::from_secs(40);

/// Events that come by the clock or by the network thread's progress, not by what the page does: two native runs differ in them.
const TIMED: [&str; 8] =
    ["timeupdate", "progress", "stalled", "suspend", "ontimeupdate", "onprogress", "onstalled", "onsuspend"];

/// Once a source has ended, Chromium lets a buffer with several tracks reach to the end of the longest one. The device's ranges don't
/// say where each track ends, so the stand-in's tracks end together, at the shortest one's end. In these clips that is up to 56 ms.
pub(crate) const TRACKS_END_APART: f64 = 0.06;

/// Gaps from here on stay visible in a buffer with a picture; smaller ones are closed (docs/decisions/0002-stand-in.md).
const SMALLEST_GAP: f64 = 0.065;

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn serve() -> Server {
    let pages = repository().join("tests/tests/pages");
    let clips = repository().join("tests/clips");
    Server::start(move |request| match request.path.split_once('/').map(|(_, path)| path.split_once('/')) {
        Some(Some(("clips", file))) => Response::file(&clips, file),
        Some(Some(("pages", file))) => Response::file(&pages, file),
        _ => Response::html("<!doctype html><title>empty</title>"),
    })
    .unwrap()
}

pub(crate) fn session() -> Session {
    session_with(Vec::new())
}

/// One whose device can be looked into.
pub(crate) fn probed_session() -> Session {
    session_with(StageProbe::client_args())
}

fn session_with(client_args: Vec<String>) -> Session {
    let sites = Some(vec!["http://127.0.0.1/*".to_owned()]);
    let options = SessionOptions { sites, client_args, ..SessionOptions::default() };
    let session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
    session.wait_connected(Duration::from_secs(30)).unwrap();
    wait_ready(&session);
    session
}

fn wait_ready(session: &Session) {
    let end = Instant::now() + Duration::from_secs(30);
    while session.evaluate_in_worker("offstageStatus().ready").unwrap() != json!(true) {
        assert!(Instant::now() < end, "the device does not get ready");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The same path of the same server by the name that the extension does not cover.
pub(crate) fn native_url(server: &Server, path: &str) -> String {
    server.url(path).replace("127.0.0.1", "localhost")
}

/// What the page saw, object by object.
pub(crate) type Log = BTreeMap<String, Vec<Value>>;

fn record(session: &Session, url: &str, scenario: &str, kind: &str) -> (Log, u64) {
    let page = session.open(url).unwrap();
    let call = format!("run({}, {})", json!(scenario), json!(kind));
    let log = page.evaluate_within(&call, SCENARIO).unwrap();
    let redirected = session.evaluate_in_worker("offstageStatus().redirected").unwrap().as_u64().unwrap();
    page.close().unwrap();
    let log: Log = serde_json::from_value(log).unwrap();
    (log.into_iter().map(|(object, events)| (object, untimed(events))).collect(), redirected)
}

pub(crate) fn untimed(events: Vec<Value>) -> Vec<Value> {
    let timed = |event: &Value| event["event"].as_str().is_some_and(|name| TIMED.contains(&name));
    events.into_iter().filter(|event| !timed(event)).collect()
}

/// Runs a scenario natively and redirected with all kinds of media; every difference is told.
fn check(session: &Session, server: &Server, scenario: &str, plays: bool) -> Vec<String> {
    let mut differences = Vec::new();
    for kind in ["h264 demuxed", "h264 muxed", "vp9 demuxed", "vp9 muxed"] {
        let path = "/pages/fidelity.html";
        let (native, _) = record(session, &native_url(server, path), scenario, kind);
        // On a busy machine the page may not want to wait for the device; then it says nothing about redirection.
        let (mut redirected, mut players) = record(session, &server.url(path), scenario, kind);
        for _ in 1..ATTEMPTS {
            if plays && players == 0 {
                (redirected, players) = record(session, &server.url(path), scenario, kind);
            }
        }
        if plays && players == 0 {
            differences.push(format!("{scenario}, {kind}: it was not redirected"));
        }
        let tolerance =
            if kind.ends_with("muxed") && !kind.ends_with("demuxed") { TRACKS_END_APART } else { 0.0 };
        let (mut native, mut redirected) = (native, redirected);
        for log in [&mut native, &mut redirected] {
            if tolerance > 0.0 {
                // The duration takes its last step when the device has told where the longest track ends: one more event.
                without(log, "video", |event| {
                    event["event"].as_str().is_some_and(|name| name.contains("durationchange"))
                });
            }
            if scenario == "cut" {
                // What may be written is compared; where the stand-in ends follows a moment later (docs/fidelity.md).
                log.retain(|object, _| object == "page");
                without(log, "page", |event| event["event"] == "at the end");
            }
            if scenario == "garbage" {
                // The append fails in the session, a while after the page made it: by then the source may have been closed by the
                // element's error. The events are compared, the values at their time are not.
                names_only(log);
            }
        }
        let found = compare(&native, &redirected, tolerance);
        differences.extend(found.into_iter().map(|d| format!("{scenario}, {kind}: {d}")));
    }
    differences
}

pub(crate) fn without(log: &mut Log, object: &str, unwanted: impl Fn(&Value) -> bool) {
    if let Some(events) = log.get_mut(object) {
        events.retain(|event| !unwanted(event));
    }
}

fn names_only(log: &mut Log) {
    for event in log.values_mut().flatten() {
        *event = json!({ "event": event["event"] });
    }
}

pub(crate) fn compare(native: &Log, redirected: &Log, tolerance: f64) -> Vec<String> {
    let mut differences = Vec::new();
    let nothing = Vec::new();
    let objects: std::collections::BTreeSet<&String> = native.keys().chain(redirected.keys()).collect();
    for object in objects {
        let (a, b) = (native.get(object).unwrap_or(&nothing), redirected.get(object).unwrap_or(&nothing));
        let (names_a, names_b) = (names(a), names(b));
        if names_a != names_b {
            differences.push(format!("{object}:\n    native     {names_a}\n    redirected {names_b}"));
            continue;
        }
        for (index, (a, b)) in a.iter().zip(b).enumerate() {
            if !equal(a, b, tolerance) {
                differences.push(format!("{object}, event {index}:\n    native     {a}\n    redirected {b}"));
            }
        }
    }
    differences
}

/// Equal, apart from what is allowed.
fn equal(a: &Value, b: &Value, tolerance: f64) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b, tolerance)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b, tolerance))
        }
        (Value::Number(_), Value::Number(_)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= tolerance
        }
        (Value::String(a), Value::String(b)) => a == b || ranges_equal(a, b, tolerance),
        _ => a == b,
    }
}

fn ranges_equal(a: &str, b: &str, tolerance: f64) -> bool {
    let (Some(a), Some(b)) = (ranges(a), ranges(b)) else { return false };
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() <= tolerance)
}

/// `start-end start-end` in microseconds as seconds, without the gaps that the stand-in can't show.
fn ranges(text: &str) -> Option<Vec<(f64, f64)>> {
    let mut out: Vec<(f64, f64)> = Vec::new();
    for range in text.split_whitespace() {
        let (start, end) = range.split_once('-')?;
        let (start, end) = (start.parse::<f64>().ok()? / 1e6, end.parse::<f64>().ok()? / 1e6);
        match out.last_mut() {
            Some(last) if start - last.1 < SMALLEST_GAP => last.1 = end,
            _ => out.push((start, end)),
        }
    }
    Some(out)
}

fn names(events: &[Value]) -> String {
    let names: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    names.join(" ")
}

/// One browser for all of them: starting one takes longer than a scenario.
/// What a page can find out about every member that a patch could touch.
#[test]
fn a_covered_page_finds_no_patch() {
    let server = serve();
    let session = session();
    let describe = |url: &str| {
        let page = session.open(url).unwrap();
        let text = page.evaluate("JSON.stringify(describe(), null, 1)").unwrap();
        page.close().unwrap();
        text.as_str().unwrap().to_owned()
    };
    let native = describe(&native_url(&server, "/pages/members.html"));
    let covered = describe(&server.url("/pages/members.html"));
    let mut differences = Vec::new();
    let mut function = "";
    let (a, b): (Vec<&str>, Vec<&str>) = (native.lines().collect(), covered.lines().collect());
    assert_eq!(a.len(), b.len(), "another number of members");
    for (a, b) in a.iter().zip(&b) {
        if a.trim_end().ends_with('{') {
            function = a;
        }
        // The one value that is not the browser's (docs/decisions/0050-workers-sources.md).
        let asks_for_workers = function.contains("get canConstructInDedicatedWorker")
            && a.replace("\"true\"", "\"false\"") == **b;
        if a != b && !asks_for_workers && !allowed_in_members(a, b) {
            differences.push(format!("{function}\n    native  {a}\n    covered {b}"));
        }
    }
    session.close();
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

/// A patched function is a proxy: another realm's `toString` calls it native without its name, and `Reflect.setPrototypeOf` to a
/// cycle throws where it would answer false.
fn allowed_in_members(native: &str, covered: &str) -> bool {
    let key = |line: &str| line.trim().split_once(':').map(|(key, _)| key.to_owned()).unwrap_or_default();
    match (key(native).as_str(), key(covered).as_str()) {
        ("\"otherText\"", "\"otherText\"") => covered.contains("function () { [native code] }"),
        ("\"reflectCyclic\"", "\"reflectCyclic\"") => covered.contains("Cyclic __proto__ value"),
        _ => false,
    }
}

#[test]
fn a_page_sees_the_events_and_values_of_native_playback() {
    let server = serve();
    let session = session();
    let only = std::env::var("OFFSTAGE_SCENARIO").unwrap_or_default();
    let mut differences = Vec::new();
    for (scenario, plays) in [
        ("playback", true),
        ("element", true),
        ("seekOutside", true),
        ("underrun", true),
        ("edit", true),
        ("sequence", true),
        ("abort", true),
        ("exceptions", false),
        ("second", true),
        ("duration", true),
        ("cut", true),
        ("parsing", true),
        ("garbage", false),
    ] {
        if only.is_empty() || only == scenario {
            differences.extend(check(&session, &server, scenario, plays));
        }
    }
    session.close();
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}
