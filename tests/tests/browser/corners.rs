//! What players seldom do: sources of workers, full buffers, playback that is refused, many elements, frames and tabs.

use std::time::{Duration, Instant};

use offstage_tests::cdp::Page;
use offstage_tests::session::{Installation, Session, SessionOptions};
use serde_json::{Value, json};

use crate::fidelity::{Log, compare, native_url, serve, session, untimed};
use crate::scene::PATIENCE;

const PATH: &str = "/pages/corners.html";

fn wait(what: &str, session: &Session, ready: impl Fn(&Value) -> bool) {
    let end = Instant::now() + PATIENCE;
    loop {
        let status = session.status().unwrap();
        if ready(&status) {
            return;
        }
        assert!(Instant::now() < end, "not in time: {what}: {status}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn wait_redirected(session: &Session, count: u64) {
    wait("players on the device", session, |status| status["redirected"] == count);
}

fn session_with(browser_args: &[&str]) -> Session {
    let options = SessionOptions {
        sites: Some(vec!["http://127.0.0.1/*".to_owned()]),
        browser_args: browser_args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..SessionOptions::default()
    };
    let session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
    session.wait_connected(PATIENCE).unwrap();
    session
}

fn run(page: &Page, script: &str) -> Value {
    page.evaluate_within(script, PATIENCE).unwrap()
}

fn log_of(value: Value) -> Log {
    let log: Log = serde_json::from_value(value).unwrap();
    log.into_iter().map(|(object, events)| (object, untimed(events))).collect()
}

fn assert_same(native: Value, redirected: Value, what: &str) {
    let differences = compare(&log_of(native), &log_of(redirected), 0.0);
    assert!(differences.is_empty(), "{what}: {}", differences.join("\n"));
}

/// Evaluates without the gesture that the harness otherwise gives to what it runs.
fn untouched(page: &Page, script: &str) -> Value {
    let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": false });
    let answer = page.cdp().call_in(page.session(), "Runtime.evaluate", params, PATIENCE).unwrap();
    assert!(answer.get("exceptionDetails").is_none(), "the page threw: {answer}");
    answer["result"]["value"].clone()
}

#[test]
fn a_player_that_asks_makes_its_source_in_the_page_and_is_redirected() {
    let (server, mut session) = (serve(), session());
    let mut descriptors = Vec::new();
    for (url, worker) in [(native_url(&server, PATH), true), (server.url(PATH), false)] {
        let page = session.open(&url).unwrap();
        descriptors.push(run(&page, "describeStatic()"));
        assert_eq!(run(&page, "constructible()"), worker, "{url}");
        run(&page, "steered('h264 demuxed')");
        assert_eq!(run(&page, "!!globalThis.worker"), worker, "{url}");
        page.wait_until("video.currentTime > 0.5", PATIENCE).unwrap();
        if worker {
            page.close().unwrap();
        } else {
            wait_redirected(&session, 1);
            assert_eq!(session.status().unwrap()["in_session"], json!([]));
            session.kill_client();
            page.wait_until("constructible()", PATIENCE).unwrap();
        }
    }
    assert_eq!(descriptors[0], descriptors[1]);
    session.close();
}

#[test]
fn a_source_of_a_worker_plays_in_the_session_unharmed_and_the_reason_is_told() {
    let (server, session) = (serve(), session());
    let reason = |status: &Value| status["in_session"][0]["code"] == "OFS-1340" && status["redirected"] == 0;
    for kind in ["h264 muxed", "vp9 muxed"] {
        let mut logs = Vec::new();
        for url in [native_url(&server, PATH), server.url(PATH)] {
            let page = session.open(&url).unwrap();
            logs.push(run(&page, &format!("unasked('{kind}')")));
            if logs.len() == 2 {
                wait("the reason", &session, reason);
            }
            page.close().unwrap();
        }
        // How far the worker's thread has got when the page hears of it differs between two native runs too.
        for event in logs.iter_mut().flat_map(|log| log["video"].as_array_mut().unwrap()) {
            event["readyState"] = Value::Null;
        }
        let redirected = logs.pop().unwrap();
        assert_same(logs.pop().unwrap(), redirected, kind);
    }

    // From it, to it and from it again, on the same element.
    let page = session.open(&server.url(PATH)).unwrap();
    let title = "chrome.tabs.query({ url: 'http://127.0.0.1/*' }).then(([tab]) => chrome.action.getTitle({ tabId: tab.id }))";
    let title = || session.evaluate_in_worker(title).unwrap();
    run(&page, "make('h264 demuxed').then(attachWorker).then(() => video.play())");
    for _ in 0..2 {
        page.wait_until("video.currentTime > 0.5", PATIENCE).unwrap();
        wait("the reason", &session, reason);
        assert_eq!(title(), "Offstage: ready; video on this page will play on your device");
        run(&page, "attachHere().then(() => video.play())");
        wait_redirected(&session, 1);
        assert_eq!(session.status().unwrap()["in_session"], json!([]));
        assert_eq!(title(), "Offstage: video plays on your device");
        page.wait_until("video.currentTime > 0.5 && !video.srcObject", PATIENCE).unwrap();
        run(&page, "attachWorker().then(() => video.play())");
    }
    session.close();
}

#[test]
fn playback_that_the_browser_refuses_is_refused_and_begins_with_a_click() {
    let server = serve();
    let session = session_with(&["--autoplay-policy=document-user-activation-required"]);
    for kind in ["h264 demuxed", "vp9 demuxed"] {
        let mut logs = Vec::new();
        for url in [native_url(&server, PATH), server.url(PATH)] {
            let page = session.open(&url).unwrap();
            untouched(&page, &format!("autoplay('{kind}')"));
            if logs.len() == 1 {
                wait_redirected(&session, 1);
            }
            page.click(650.0, 50.0).unwrap();
            let end = Instant::now() + PATIENCE;
            while untouched(&page, "recorder.log.page.at(-1).event") != "after a click" {
                assert!(Instant::now() < end, "the click does nothing: {url}");
            }
            let log = untouched(&page, "recorder.log");
            assert!(log["page"][0]["value"][0].as_str().unwrap().starts_with("NotAllowedError"), "{log}");
            logs.push(log);
            let from = untouched(&page, "video.currentTime").as_f64().unwrap();
            let frames = session.status().unwrap()["frames_presented"].as_u64();
            while untouched(&page, "video.currentTime").as_f64().unwrap() < from + 1.0 {
                assert!(Instant::now() < end, "it does not go on: {url}");
            }
            if logs.len() == 2 {
                wait("more frames", &session, |status| status["frames_presented"].as_u64() > frames);
                wait_redirected(&session, 1);
            }
            page.close().unwrap();
        }
        let redirected = logs.pop().unwrap();
        assert_same(logs.pop().unwrap(), redirected, kind);
    }
    session.close();
}
