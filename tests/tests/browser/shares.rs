//! A page shows a screen of the device: its person is asked, chooses in the engine's dialog, sees that it is shown, and ends it.

use std::time::{Duration, Instant};

use offstage_tests::calls::{DEVICES, callee, connect};
use offstage_tests::cdp::Page;
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::xvfb::xdotool;
use serde_json::json;

use crate::calls::{click, reddish, seen};
use crate::fidelity::serve;

const PATIENCE: Duration = Duration::from_secs(40);
/// The question, and the window with the engine's dialog.
const NAME: &str = "^Offstage$";
/// Buttons and the dialog's first screen, from their windows' lower right corners. Where the question has its first button the dialog has its own.
const FIRST_BUTTON: [i32; 2] = [70, 42];
const SECOND_BUTTON: [i32; 2] = [190, 42];
const FIRST_SCREEN: [i32; 2] = [440, 314];
const ASK: &str = "globalThis.got = ''; navigator.mediaDevices.getDisplayMedia({ video: true }).then((stream) => { globalThis.shared = stream; \
     const [track] = stream.getTracks(); globalThis.ends = []; track.onended = () => ends.push('ended'); got = track.getSettings().displaySurface; }, \
     ({ name }) => { got = name; }); 0";

/// A session whose device asks as it asks people, and whose own browser shows its empty tab where it is asked.
fn start() -> Session {
    // All but the one that answers in the person's place.
    let arguments = DEVICES.iter().filter(|argument| !argument.contains("fake-ui"));
    let options = SessionOptions {
        headless: false,
        screen: Some((1000, 800)),
        sites: Some(Vec::new()),
        managed: Some(json!({ "callsAllSites": true, "callsShareDevice": true })),
        client_args: arguments
            .flat_map(|argument| ["--engine-arg".to_owned(), (*argument).to_owned()])
            .collect(),
        browser_args: vec!["--auto-select-tab-capture-source-by-title=about:blank".to_owned()],
        ..SessionOptions::default()
    };
    let session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
    session.wait_connected(PATIENCE).unwrap();
    session
}

/// Asks, and clicks at these places until the page has its answer.
fn ask(session: &Session, page: &Page, places: &[[i32; 2]], picture: &str) -> String {
    page.evaluate(ASK).unwrap();
    let end = Instant::now() + PATIENCE;
    loop {
        let got = page.evaluate("got").unwrap();
        if got != "" {
            return got.as_str().unwrap_or_default().to_owned();
        }
        assert!(Instant::now() < end, "nobody is asked, or nobody hears the answer");
        for (at, [right, bottom]) in places.iter().enumerate() {
            click(session, NAME, *right, *bottom, &format!("{picture}-{at}"));
            std::thread::park_timeout(Duration::from_millis(700));
        }
    }
}

#[test]
fn a_screen_of_the_device_is_shown_as_its_person_chooses() {
    let server = serve();
    let session = start();
    let other = callee(&Installation::from_env().unwrap()).unwrap();
    let [page, far] = [&session, &other].map(|end| end.open(&server.url("/pages/call.html")).unwrap());
    // The test's one screen has the session's browser on it.
    page.evaluate("document.body.style.background = 'red'; document.body.style.height = '100vh'; theirs.style.display = 'none'; 0").unwrap();
    assert_eq!(ask(&session, &page, &[SECOND_BUTTON], "share-refused"), "NotAllowedError");
    assert_eq!(ask(&session, &page, &[FIRST_BUTTON, FIRST_SCREEN], "share"), "monitor");
    let name = "^A screen is being shared$";
    let is_told = || {
        xdotool(session.display().unwrap(), &["search", "--onlyvisible", "--name", name])
            .is_ok_and(|found| !found.is_empty())
    };
    let end = Instant::now() + PATIENCE;
    while !is_told() {
        assert!(Instant::now() < end, "nothing shows that a screen is shown");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    page.evaluate_within("begin({ make: () => shared })", PATIENCE).unwrap();
    far.evaluate_within("begin({ audio: false, video: false })", PATIENCE).unwrap();
    connect(&page, &far, false).unwrap();
    seen(&far, "the device's screen", "colour(theirs)", reddish);
    assert_eq!(far.evaluate("[theirs.videoWidth, theirs.videoHeight]").unwrap(), json!([1000, 800]));
    page.wait_until("own.videoWidth === 1000", PATIENCE).unwrap();
    assert_eq!(session.status().unwrap()["connections"], 1);
    let end = Instant::now() + PATIENCE;
    while page.evaluate("ends.length").unwrap() == 0 {
        assert!(Instant::now() < end, "the button turns nothing off");
        click(&session, name, 60, 45, "share-indicator");
        std::thread::park_timeout(Duration::from_millis(700));
    }
    assert_eq!(
        page.evaluate("[pc.connectionState, shared.getTracks()[0].readyState, ends.length]").unwrap(),
        json!(["connected", "ended", 1])
    );
    // Where the device shows none, and where nobody wants one of its, the page has the session's.
    session.set_device(&json!({ "screens": "deny" })).unwrap();
    let end = Instant::now() + PATIENCE;
    while ask(&session, &page, &[SECOND_BUTTON], "share-denied") != "browser" {
        assert!(Instant::now() < end, "the device's settings are not read");
    }
    other.close();
    session.close();
}
