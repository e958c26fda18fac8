//! Encrypted media play in the session, as if Offstage were not there, and the person is told why.

use std::time::{Duration, Instant};

use offstage_tests::server::Server;
use offstage_tests::session::Session;
use serde_json::{Value, json};

use crate::fidelity::{native_url, serve, session};

const PATIENCE: Duration = Duration::from_secs(40);
const PATH: &str = "/pages/protected.html";

/// Plays, and gives what the page's element has told, but for the events that depend on how quickly things come.
fn play(session: &Session, url: &str, when: &str, announced: bool) -> Value {
    let page = session.open(url).unwrap();
    page.evaluate(&format!("begin('{when}', {announced})")).unwrap();
    page.wait_until("video.error || video.currentTime > 1", PATIENCE).unwrap();
    let told = page
        .evaluate(
            "({ error: video.error?.message ?? null, width: video.videoWidth, keys: Boolean(video.mediaKeys), \
             encrypted: log.filter((type) => type === 'encrypted').length, \
             other: log.filter((type) => type !== 'encrypted' && type !== 'playing').join() })",
        )
        .unwrap();
    page.close().unwrap();
    told
}

fn reason(session: &Session) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let status = session.status().unwrap();
        let code = status["in_session"][0]["code"].clone();
        if !code.is_null() {
            assert_eq!(status["redirected"], 0, "{status}");
            return code;
        }
        assert!(Instant::now() < end, "no reason is told: {status}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn encrypted_media_play_in_the_session_as_natively_and_the_reason_is_told() {
    let server: Server = serve();
    let session = session();
    session.wait_connected(PATIENCE).unwrap();
    for (when, announced) in
        [("early", true), ("event", true), ("late", true), ("early", false), ("late", false)]
    {
        let native = play(&session, &native_url(&server, PATH), when, announced);
        assert_eq!(native["error"], json!(null), "{when}: {native}");
        let page = session.open(&server.url(PATH)).unwrap();
        page.evaluate(&format!("begin('{when}', {announced})")).unwrap();
        assert_eq!(reason(&session), "OFS-1311", "{when}, {announced}");
        page.close().unwrap();
        assert_eq!(play(&session, &server.url(PATH), when, announced), native, "{when}, {announced}");
    }
    session.close();
}
