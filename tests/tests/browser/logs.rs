//! What support and monitoring get: one bundle of all parts' logs, files of the log, counters; nothing of what is watched.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use offstage_tests::session::Session;
use serde_json::Value;

use crate::fidelity::{serve, session};

const PATIENCE: Duration = Duration::from_secs(40);
/// Parts of the page's address and title, which nobody else is to read.
const SECRETS: [&str; 4] = ["127.0.0.1", "recorder.html", "token", "hunter2"];

fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn tells_nothing(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

/// The texts of all files of a folder whose names begin like this.
fn texts(folder: &Path, begins: &str) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = files.filter(|file| file.file_name().to_string_lossy().starts_with(begins));
    named.filter_map(|file| fs::read_to_string(file.path()).ok()).collect()
}

fn plays(session: &Session, url: &str) {
    let page = session.open(url).unwrap();
    page.evaluate("document.title = 'My hunter2 film'; begin('h264 demuxed')").unwrap();
    wait("the device plays", || (session.status().unwrap()["redirected"] == 1).then_some(()));
    page.wait_until("video.currentTime > 0.5", PATIENCE).unwrap();
}

#[test]
fn a_bundle_has_the_lines_of_all_parts_and_no_address() {
    let server = serve();
    let session = session();
    let logs = |on: &str| session.evaluate_in_worker(&format!("offstageLogs({on}) ?? null")).unwrap();
    assert_eq!(logs("true"), Value::Null);
    plays(&session, &server.url("/pages/readers.html?token=hunter2"));
    // The bridge is started anew in the middle of it.
    let before = session.bridge_pids();
    session.kill_bridge();
    wait("another bridge", || session.bridge_pids().iter().any(|pid| !before.contains(pid)).then_some(()));
    wait("the device is back", || (session.status().unwrap()["redirected"] == 1).then_some(()));
    let mut bundle = logs("false");
    if bundle.is_null() {
        bundle = wait("the bundle", || Some(logs("")).filter(Value::is_string));
    }
    let text = bundle.as_str().unwrap();
    tells_nothing(text);
    let bundle: Value = serde_json::from_str(text).unwrap();
    println!("{text}");
    assert_eq!(bundle["missing"], serde_json::json!([]));
    assert_eq!(bundle["correlation"].as_str().map(str::len), Some(8));
    assert_eq!(bundle["status"]["ready"], true);
    for (part, word) in
        [("extension", "device ready"), ("bridge", "channel is up"), ("client", "offstage_client")]
    {
        let lines = bundle[part].as_array().unwrap();
        assert!(lines.iter().any(|line| line.as_str().unwrap().contains(word)), "{part} has no {word:?}");
    }
    assert_eq!(logs(""), Value::Null, "it is given once");

    // What is kept on both ends says no more.
    for program in ["bridge", "client"] {
        let files = texts(&session.folder().join("logs"), program);
        assert!(files.iter().any(|text| text.contains("\"level\":\"info\"")), "{program}: {files:?}");
        files.iter().for_each(|text| tells_nothing(text));
    }
    let metrics = session.folder().join("metrics");
    wait("the bridge's counters", || {
        let files = texts(&metrics, "offstage-bridge");
        files
            .iter()
            .any(|text| {
                text.contains("\noffstage_players 1.0\n")
                    && text.contains("offstage_players_in_session_total{code=\"OFS-")
            })
            .then_some(())
    });
    wait("the client's counters", || {
        let files = texts(&metrics, "offstage-client");
        files.iter().any(|text| text.contains("\noffstage_client_players_opened_total 2\n")).then_some(())
    });
    texts(&metrics, "").iter().for_each(|text| tells_nothing(text));
    session.close();
    assert!(texts(&metrics, "").is_empty());
}
