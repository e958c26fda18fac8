//! Settings as administrators give them: a real policy file, read by the browser, changed while it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use offstage_tests::cdp::Page;
use offstage_tests::server::Server;
use offstage_tests::session::Session;
use serde_json::{Value, json};

use crate::fidelity::{native_url, repository, serve, session};

const PATIENCE: Duration = Duration::from_secs(60);
/// Where Debian's Chromium reads what an administrator manages.
const FOLDER: &str = "/etc/chromium/policies/managed";

/// A file of policies, gone with the test. It counts for every browser of this machine.
struct Policy {
    path: PathBuf,
    id: String,
}

impl Policy {
    fn new() -> Self {
        let id = fs::read_to_string(repository().join("manifest/extension-id.txt")).unwrap();
        let path = Path::new(FOLDER).join(format!("offstage-test-{}.json", std::process::id()));
        Self { path, id: id.trim().to_owned() }
    }

    fn set(&self, settings: &Value) {
        fs::create_dir_all(FOLDER).unwrap_or_else(|error| panic!("only root may write {FOLDER}: {error}"));
        let text = json!({ "3rdparty": { "extensions": { &self.id: settings } } }).to_string();
        // The browser must not see half of it.
        let new = self.path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &self.path).unwrap();
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}

fn wait_setting(session: &Session, key: &str, wanted: &Value) {
    let end = Instant::now() + PATIENCE;
    loop {
        let status = session.status().unwrap();
        let settings = status["settings"].as_array().unwrap();
        let found = settings.iter().find(|setting| setting["key"] == key).unwrap();
        if found["value"] == *wanted {
            return;
        }
        assert!(Instant::now() < end, "{key} never becomes {wanted}: {found}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// Whether a page opened now plays on the device.
fn plays_there(session: &Session, server: &Server, path: &str) -> bool {
    let page: Page = session.open(&server.url(path)).unwrap();
    page.evaluate("begin('h264 demuxed')").unwrap();
    page.wait_until("video.currentTime > 1", PATIENCE).unwrap();
    let redirected = session.status().unwrap()["redirected"] == 1;
    page.close().unwrap();
    let end = Instant::now() + PATIENCE;
    while session.status().unwrap()["redirected"] != 0 {
        assert!(Instant::now() < end);
        std::thread::park_timeout(Duration::from_millis(50));
    }
    redirected
}

/// What the device allows counts, whatever the session wants, from the moment on that it is set.
#[test]
fn the_devices_own_settings_count_at_once_and_the_page_plays_on() {
    let server = serve();
    let session = session();
    session.wait_connected(PATIENCE).unwrap();
    let path = "/pages/readers.html";
    let page = session.open(&server.url(path)).unwrap();
    page.evaluate("begin('h264 demuxed')").unwrap();
    page.wait_until("video.currentTime > 0.5", PATIENCE).unwrap();
    let wait = |what: &str, holds: &dyn Fn(&Value) -> bool| {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = session.status().unwrap();
            if holds(&status) {
                return;
            }
            assert!(Instant::now() < end, "{what}: {status}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    };
    wait("it plays on the device", &|status| status["redirected"] == 1);

    session.set_device(&json!({ "blocked": ["127.0.0.1"] })).unwrap();
    wait("the device gives it back", &|status| {
        status["redirected"] == 0 && status["in_session"][0]["code"] == "OFS-1507" && status["ready"] == true
    });
    page.evaluate("globalThis.from = video.currentTime; 0").unwrap();
    page.wait_until("video.currentTime > from + 1 && !video.error", PATIENCE).unwrap();
    assert!(!plays_there(&session, &server, path), "nor does it take another one");
    // Another site of the same session still plays there.
    session.evaluate_in_worker("offstageSet('videoSites', ['.localhost']).then(() => 0)").unwrap();
    wait_setting(&session, "videoSites", &json!([".localhost"]));
    let other = session.open(&native_url(&server, path)).unwrap();
    other.evaluate("begin('h264 demuxed')").unwrap();
    other.wait_until("video.currentTime > 0.5", PATIENCE).unwrap();
    wait("another site plays there", &|status| status["redirected"] == 1);

    session.set_device(&json!({ "play": false })).unwrap();
    wait("no site plays there", &|status| {
        status["redirected"] == 0 && status["ready"] == false && status["code"] == "OFS-1507"
    });
    other.close().unwrap();
    page.close().unwrap();
    session.set_device(&json!({})).unwrap();
    session.wait_connected(PATIENCE).unwrap();
    assert!(plays_there(&session, &server, path), "allowed again");
    session.close();
}

#[test]
fn a_policy_file_counts_at_once_beats_the_person_and_what_is_wrong_is_told() {
    let server = serve();
    let policy = Policy::new();
    policy.set(&json!({ "videoSites": ["127.0.0.1/pages", "no such thing"], "logLevel": "loud", "locked": ["callsSites"] }));
    let session = session();
    let path = "/pages/readers.html";
    wait_setting(&session, "videoSites", &json!(["127.0.0.1/pages"]));
    assert!(plays_there(&session, &server, path), "a path is allowed");
    let problems = session.status().unwrap()["problems"].clone();
    let told: Vec<[&str; 3]> = problems
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| ["source", "key", "code"].map(|name| problem[name].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [["policy", "videoSites", "OFS-1505"], ["policy", "logLevel", "OFS-1503"]],
        "{problems}"
    );

    // What the person sets goes through the table as well.
    let set = |key: &str, value: &Value| {
        let call = format!("offstageSet({}, {value}).then(() => null, (code) => code)", json!(key));
        session.evaluate_in_worker(&call).unwrap()
    };
    assert_eq!(set("videoSites", &json!([])), "OFS-1504");
    assert_eq!(set("callsSites", &json!([])), "OFS-1504");
    assert_eq!(set("videoBlocked", &json!(["::"])), "OFS-1505");
    assert_eq!(set("videoBlocked", &json!(["127.0.0.1"])), Value::Null);
    wait_setting(&session, "videoBlocked", &json!(["127.0.0.1"]));
    assert!(!plays_there(&session, &server, path), "the person has blocked it");
    assert_eq!(set("videoBlocked", &json!([])), Value::Null);

    // Changed while the browser runs: the other name of the same server, then nothing.
    policy.set(&json!({ "videoSites": [".localhost"] }));
    wait_setting(&session, "videoSites", &json!([".localhost"]));
    assert!(!plays_there(&session, &server, path), "no longer allowed");
    let page = session.open(&native_url(&server, path)).unwrap();
    page.evaluate("begin('h264 demuxed')").unwrap();
    page.wait_until("video.currentTime > 0.5", PATIENCE).unwrap();
    assert_eq!(session.status().unwrap()["redirected"], 1);
    page.close().unwrap();
    policy.set(&json!({ "videoAllSites": true, "videoBlocked": ["127.0.0.1"] }));
    wait_setting(&session, "videoAllSites", &json!(true));
    assert!(!plays_there(&session, &server, path), "blocked in all sites");
    policy.set(&json!({ "enabled": false }));
    wait_setting(&session, "enabled", &json!(false));
    assert_eq!(session.status().unwrap()["sites"], 0);
    drop(policy);
    wait_setting(&session, "enabled", &json!(true));
    assert!(plays_there(&session, &server, path), "without policy the list counts");
    session.close();
}
