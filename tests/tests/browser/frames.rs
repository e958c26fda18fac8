//! Players in frames of every kind are redirected, look native to scripts, and have their pictures where they are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use offstage_tests::server::{Response, Server};
use offstage_tests::session::Session;
use serde_json::{Value, json};

use crate::fidelity::{Log, TRACKS_END_APART, compare, native_url, repository, session, untimed, without};

const WAIT: Duration = Duration::from_secs(60);

/// Kinds of frames whose document has an address, so that its origin may be another one than the page's.
const WITH_ADDRESS: [&str; 8] =
    ["src", "lazy", "moved", "shadow", "nested", "sandboxed", "sandboxed srcdoc", "same origin in a sandbox"];
/// Kinds whose document is the page's own.
const WITHOUT_ADDRESS: [&str; 5] = ["blank", "written", "srcdoc", "blob", "data"];

/// The tests' pages and clips, also for documents of opaque origins.
fn serve() -> Server {
    let pages = repository().join("tests/tests/pages");
    let clips = repository().join("tests/clips");
    Server::start(move |request| {
        match request.path.split_once('/').and_then(|(_, path)| path.split_once('/')) {
            Some(("clips", file)) => {
                Response::file(&clips, file).with_header("Access-Control-Allow-Origin", "*")
            }
            Some(("pages", file)) => Response::file(&pages, file),
            _ => Response::not_found(),
        }
    })
    .unwrap()
}

fn status(session: &Session, name: &str) -> Value {
    session.evaluate_in_worker(&format!("offstageStatus().{name}")).unwrap()
}

fn wait_status(session: &Session, name: &str, wanted: u64, when: &str) {
    let end = Instant::now() + WAIT;
    loop {
        let is = status(session, name);
        if is == json!(wanted) {
            return;
        }
        assert!(Instant::now() < end, "{when}: {name} is {is}, not {wanted}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Plays in a frame of that kind in the page at `top`; the player's scripts are of `origin`.
fn record(session: &Session, top: &str, kind: &str, origin: &str, redirected: bool) -> Log {
    let page = session.open(&format!("{top}/pages/frames.html")).unwrap();
    let log = page.evaluate_within(&format!("make({}, {})", json!(kind), json!(origin)), WAIT).unwrap();
    let wanted = u64::from(redirected);
    let when = format!("{kind} of {origin} in {top}");
    // Where the worker's word came late, playback is still on its way.
    wait_status(session, "redirected", wanted, &when);
    wait_status(session, "placed", wanted, &when);
    page.close().unwrap();
    wait_status(session, "redirected", 0, "the page is closed");
    let log: BTreeMap<String, Vec<Value>> = serde_json::from_value(log).unwrap();
    let mut log: Log = log.into_iter().map(|(object, events)| (object, untimed(events))).collect();
    without(&mut log, "video", |event| {
        event["event"].as_str().is_some_and(|name| name.contains("durationchange"))
    });
    log
}

#[test]
fn frames_of_every_kind_are_redirected_and_look_native() {
    let server = serve();
    let session = session();
    let (covered, native) = (server.url(""), native_url(&server, ""));
    let [covered, native] = [covered, native].map(|url| url.trim_end_matches('/').to_owned());
    let only = std::env::var("OFFSTAGE_FRAME").unwrap_or_default();
    let mut differences = Vec::new();
    let mut check = |kind: &str, tops: &[&str], origin_of: &dyn Fn(&str) -> String| {
        if !only.is_empty() && only != kind {
            return;
        }
        let plain = record(&session, &native, kind, &native, false);
        for top in tops {
            let seen = record(&session, top, kind, &origin_of(top), true);
            let found = compare(&plain, &seen, TRACKS_END_APART);
            differences.extend(found.into_iter().map(|d| format!("{kind} in {top}: {d}")));
        }
    };
    for kind in WITH_ADDRESS {
        // In a page that is covered, and in one that isn't.
        let tops: &[&str] = if kind == "sandboxed srcdoc" { &[&covered] } else { &[&covered, &native] };
        check(kind, tops, &|_| covered.clone());
    }
    for kind in WITHOUT_ADDRESS {
        check(kind, &[&covered], &|_| covered.clone());
    }
    session.close();
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}
