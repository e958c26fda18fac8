//! The package for a store may do what it asks for: the listed sites. What settings cover beyond is told and not registered.

use std::time::{Duration, Instant};

use offstage_tests::session::{Installation, Session, SessionOptions};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

fn codes(status: &Value) -> Vec<&str> {
    status["problems"].as_array().unwrap().iter().map(|problem| problem["code"].as_str().unwrap()).collect()
}

#[test]
fn all_websites_wait_for_the_permission_and_listed_sites_do_not() {
    let mut installation = Installation::from_env().unwrap();
    installation.extension = installation.extension.with_file_name("chrome");
    let session = Session::start(&installation, SessionOptions::default()).unwrap();
    session.wait_connected(PATIENCE).unwrap();
    let status = session.status().unwrap();
    let listed = status["sites"].as_u64().unwrap();
    assert!(listed > 30 && codes(&status).is_empty(), "{status}");
    session.evaluate_in_worker("offstageSet('videoAllSites', true).then(() => null)").unwrap();
    let end = Instant::now() + PATIENCE;
    while codes(&session.status().unwrap()) != ["OFS-1506"] {
        assert!(Instant::now() < end, "nothing is told: {}", session.status().unwrap());
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let matches = "chrome.scripting.getRegisteredContentScripts().then((scripts) => scripts.flatMap((script) => script.matches))";
    let matches = session.evaluate_in_worker(matches).unwrap();
    let matches: Vec<&str> = matches.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(
        matches.contains(&"https://*.youtube.com/*") && !matches.iter().any(|text| text.contains("://*/")),
        "{matches:?}"
    );
    assert_eq!(session.status().unwrap()["missing_permissions"], json!(["*://*/*"]));
    session.close();
}
