//! The package for a store may do what it asks for: the listed sites. What settings cover beyond is told and not registered.

use std::time::{Duration, Instant};

use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::xvfb::xdotool;
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

/// The colour of "Deny" in the browser's question. "Allow" is beside it, on the right.
const DENY: [u8; 3] = [0x0d, 0x50, 0xbb];

/// The switch in the window asks the browser, which asks the person; what they allow counts at once.
#[test]
fn the_switch_for_all_websites_asks_and_what_the_person_allows_counts() {
    let mut installation = Installation::from_env().unwrap();
    installation.extension = installation.extension.with_file_name("chrome");
    let options = SessionOptions {
        headless: false,
        screen: Some((1000, 700)),
        browser_args: ["--window-position=0,0", "--window-size=1000,700"].map(str::to_owned).into(),
        ..SessionOptions::default()
    };
    let session = Session::start(&installation, options).unwrap();
    session.wait_connected(PATIENCE).unwrap();
    let id = session.evaluate_in_worker("chrome.runtime.id").unwrap();
    let popup =
        session.open(&format!("chrome-extension://{}/popup/popup.html?tab=1", id.as_str().unwrap())).unwrap();
    popup
        .wait_until(
            "document.querySelector('[role=switch]') && document.getElementById('state').textContent !== '…'",
            PATIENCE,
        )
        .unwrap();
    popup.call("Page.bringToFront", json!({})).unwrap();
    let camera = session.screen().unwrap().camera().unwrap();
    let note = "document.getElementById('note').textContent";
    // A person clicks the switch, and answers the browser's question.
    let answer = |allow: bool, wanted: &str| {
        popup.evaluate("document.getElementById('note').textContent = ''; 0").unwrap();
        let at = popup
            .evaluate("(({ x, y, width, height }) => [x + width / 2, y + height / 2])(videoAllSites.getBoundingClientRect())")
            .unwrap();
        // A button under the mouse has another colour.
        xdotool(session.display().unwrap(), &["mousemove", "0", "0"]).unwrap();
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 });
            popup.call("Input.dispatchMouseEvent", event).unwrap();
        }
        let end = Instant::now() + PATIENCE;
        // The question takes no click in its first moments, and each click starts these anew.
        while popup.evaluate(note).unwrap() != wanted {
            assert!(Instant::now() < end, "nobody says {wanted:?}");
            if let Some([left, top, right, bottom]) = camera.capture().unwrap().bounds_of(DENY, 1) {
                let across = if allow { right + (right - left) / 2 } else { usize::midpoint(left, right) };
                let [x, y] = [across, usize::midpoint(top, bottom)].map(|at| at.to_string());
                xdotool(session.display().unwrap(), &["mousemove", &x, &y, "click", "1"]).unwrap();
            }
            std::thread::park_timeout(Duration::from_secs(2));
        }
    };
    answer(false, "Not changed: the browser has not given the permission.");
    let status = session.status().unwrap();
    assert!(codes(&status).is_empty(), "nothing was changed: {status}");
    popup.wait_until("!videoAllSites.checked", PATIENCE).unwrap();
    answer(true, "Reload the page for this to take effect.");
    let matches = "chrome.scripting.getRegisteredContentScripts().then((all) => all.flatMap((script) => script.matches))";
    let end = Instant::now() + PATIENCE;
    while !session.evaluate_in_worker(matches).unwrap().as_array().unwrap().contains(&json!("*://*/*")) {
        assert!(Instant::now() < end, "the permission has no effect: {}", session.status().unwrap());
        std::thread::park_timeout(Duration::from_millis(50));
    }
    assert!(codes(&session.status().unwrap()).is_empty());
    popup.wait_until("videoAllSites.checked", PATIENCE).unwrap();
    session.close();
}
