//! Files that an element plays by itself: the page sees native playback while the device plays them.
//!
//! `127.0.0.1` is covered and `localhost` is not, so one browser shows both.

use std::ops::Range;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use offstage_tests::cdp::Page;
use offstage_tests::frame_number;
use offstage_tests::server::{Request, Response, Server};
use offstage_tests::session::Session;
use offstage_tests::stage_probe::StageProbe;
use serde_json::{Value, json};

use crate::fidelity::{native_url, probed_session, repository, untimed};

/// How long anything may take on a busy machine before the test says that it does not happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A page that plays a file of one kind.
pub(crate) struct Play {
    page: Page,
    kind: &'static str,
}

impl Play {
    pub(crate) fn begin(session: &Session, url: &str, kind: &'static str) -> Self {
        let page = session.open(url).unwrap();
        let begun = page.evaluate_within(&format!("begin({}).then(() => 0)", json!(kind)), PATIENCE);
        begun.unwrap_or_else(|error| panic!("{kind} at {url} does not begin: {error:#}"));
        Self { page, kind }
    }

    pub(crate) fn run(&self, session: &Session, what: &str) {
        let rest = self.page.evaluate_within(&format!("{what}().then(() => 0)"), PATIENCE);
        rest.unwrap_or_else(|error| {
            panic!("{}: {error:#}; {} {:?}", self.kind, self.state(), session.status())
        });
    }

    fn state(&self) -> Value {
        self.page
            .evaluate(
                "JSON.stringify([log.slice(-8).map((e) => e.event), video.currentTime, video.readyState, ranges(video.buffered), \
                 ranges(video.seekable), location.host])",
            )
            .unwrap()
    }

    /// What the page saw, without what comes by the clock.
    fn told(&self) -> (Vec<Value>, Value) {
        let told = self.page.evaluate("told()").unwrap();
        (untimed(told["log"].as_array().unwrap().clone()), told["records"].clone())
    }
}

fn serve() -> Server {
    Server::start(|request| {
        let files = repository().join("tests/clips/files");
        let parts: Vec<&str> = request.path.splitn(3, '/').skip(1).collect();
        match parts.as_slice() {
            ["pages", file] => Response::file(&repository().join("tests/tests/pages"), file),
            ["files", file] => Response::file(&files, file),
            ["plain", file] => Response::file(&files, file).without_ranges(),
            ["moved", file] => Response::redirect(&format!("/files/{file}")),
            ["cookie", file] if request.header("cookie").is_some_and(|c| c.contains("seen=1")) => {
                Response::file(&files, file)
            }
            ["cors", file] if request.header("origin").is_some() => {
                Response::file(&files, file).with_header("Access-Control-Allow-Origin", "*")
            }
            ["referer", file] if refers(request) => Response::file(&files, file),
            ["broken", _] => Response::new("video/mp4", vec![7; 5000]),
            ["hls", file] => hls(file),
            _ => Response::not_found(),
        }
    })
    .unwrap()
}

/// A file without seeking stays where it is, and the reason is told.
#[test]
fn a_file_of_a_server_without_ranges_plays_in_the_session() {
    let (server, session) = (serve(), probed_session());
    let play = Play::begin(&session, &server.url("/pages/files.html"), "no ranges");
    wait("the reason", || session.status().unwrap()["in_session"][0]["code"] == "OFS-1331");
    play.page.wait_until("video.currentTime > 1 && !video.paused", PATIENCE).unwrap();
    session.close();
}

/// A live playlist is nothing to go back to unseen: it stays where it is.
#[test]
fn a_live_playlist_plays_in_the_session_as_natively() {
    let (server, session) = (serve(), probed_session());
    let path = "/pages/files.html";
    // What comes after that depends on when a segment comes.
    let beginning = |play: &Play| {
        let (mut log, records) = play.told();
        log.retain(|event| event["event"] != "plays");
        let end = log.iter().position(|event| event["event"] == "oncanplaythrough").expect("it can play");
        log.truncate(end);
        (log, records)
    };
    let native = Play::begin(&session, &native_url(&server, path), "live");
    native.page.wait_until("log.some((e) => e.event === 'oncanplaythrough')", PATIENCE).unwrap();
    let expected = beginning(&native);
    native.page.close().unwrap();
    let play = Play::begin(&session, &server.url(path), "live");
    play.page.wait_until("log.some((e) => e.event === 'oncanplaythrough')", PATIENCE).unwrap();
    assert_eq!(beginning(&play), expected);
    wait("the reason", || session.status().unwrap()["in_session"][0]["code"] == "OFS-1331");
    play.page
        .wait_until("video.duration === Infinity && video.currentTime > 4 && !video.paused", PATIENCE)
        .unwrap();
    assert_eq!(session.status().unwrap()["redirected"], 0);
    session.close();
}

/// The other origin's own check: what a browser sends for an element of a page of ours.
fn refers(request: &Request) -> bool {
    request.header("referer").is_some_and(|referer| {
        referer.starts_with("http://127.0.0.1:") || referer.starts_with("http://localhost:")
    })
}

/// A film as HLS: the segments of a clip by byte ranges.
pub(crate) fn hls(file: &str) -> Response {
    let clips = repository().join("tests/clips");
    let playlist = |text: String| Response::new("application/vnd.apple.mpegurl", text);
    match file {
        "master.m3u8" => playlist(
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=200000,CODECS=\"avc1.4d401e,mp4a.40.2\"\nmedia.m3u8\n"
                .to_owned(),
        ),
        "media.m3u8" => playlist(media_playlist(0..usize::MAX) + "#EXT-X-ENDLIST\n"),
        "live.m3u8" => {
            // A second for each second, from the first request on.
            static BEGIN: OnceLock<Instant> = OnceLock::new();
            let passed = usize::try_from(BEGIN.get_or_init(Instant::now).elapsed().as_secs()).unwrap();
            playlist(media_playlist(passed..passed + 6))
        }
        "clip.mp4" => Response::file(&clips, "h264-aac.mp4"),
        _ => Response::not_found(),
    }
}

/// These segments of the clip, as far as it has them.
fn media_playlist(wanted: Range<usize>) -> String {
    let index = std::fs::read(repository().join("tests/clips/index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let clip = &index["h264-aac.mp4"];
    let range = |part: &Value| {
        let [start, end] = ["start", "end"].map(|key| part[key].as_u64().unwrap());
        format!("{}@{start}", end - start)
    };
    let segments = clip["segments"].as_array().unwrap();
    let kind = if wanted.end == usize::MAX { "#EXT-X-PLAYLIST-TYPE:VOD\n" } else { "" };
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{}\n{kind}\
         #EXT-X-MAP:URI=\"clip.mp4\",BYTERANGE=\"{}\"\n",
        wanted.start,
        range(&clip["init"])
    );
    for segment in segments.iter().take(wanted.end).skip(wanted.start) {
        text.push_str(&format!("#EXTINF:1.0,\n#EXT-X-BYTERANGE:{}\nclip.mp4\n", range(segment)));
    }
    text
}

pub(crate) fn wait(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

pub(crate) fn wait_redirected(session: &Session, play: &Play) {
    let end = Instant::now() + PATIENCE;
    while session.status().unwrap()["redirected"] != 1 {
        let state = play.state();
        assert!(Instant::now() < end, "{} is not redirected: {:?} {state}", play.kind, session.status());
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Two runs of a kind, which must not differ.
pub(crate) fn compare(
    session: &Session,
    server: &Server,
    other: &Server,
    kind: &'static str,
    what: &str,
) -> Vec<String> {
    let path = format!("/pages/files.html?other={}", other.url("").trim_end_matches('/'));
    let native = Play::begin(session, &native_url(server, &path), kind);
    native.run(session, what);
    let (mut expected, expected_records) = native.told();
    native.page.close().unwrap();
    let covered = Play::begin(session, &server.url(&path), kind);
    wait_redirected(session, &covered);
    covered.run(session, what);
    if what == "rest" {
        assert_eq!(session.status().unwrap()["redirected"], 1, "{kind}: it plays to its end on the device");
    }
    let (mut seen, records) = covered.told();
    if kind == "hls" {
        // The length of a playlist becomes better known when its last segments come, whenever that is, and its tracks don't end
        // together: the end has been seen 32 ms apart.
        for log in [&mut expected, &mut seen] {
            let last = log.iter().rposition(|event| event["event"] == "durationchange").unwrap();
            assert!(last > 5, "{log:?}");
            log.drain(last..=last + 1);
            for event in log {
                let event = event.as_object_mut().unwrap();
                event.remove("duration");
                if event.get("ended") == Some(&Value::Bool(true)) {
                    event.remove("position");
                }
            }
        }
    }
    covered.page.close().unwrap();
    wait("the closed page's player is gone", || session.status().unwrap()["redirected"] == 0);
    let mut differences = Vec::new();
    let names = |events: &[Value]| {
        events.iter().filter_map(|event| event["event"].as_str()).collect::<Vec<_>>().join(" ")
    };
    if names(&expected) != names(&seen) {
        differences.push(format!("{kind}\n  native  {}\n  covered {}", names(&expected), names(&seen)));
    } else {
        for (a, b) in expected.iter().zip(&seen).filter(|(a, b)| a != b) {
            differences.push(format!("{kind}\n  native  {a}\n  covered {b}"));
        }
    }
    if expected_records != records {
        differences.push(format!("{kind}: observers\n  native  {expected_records}\n  covered {records}"));
    }
    differences
}

fn check(kinds: &[&'static str]) {
    check_what(kinds, "rest");
}

fn check_what(kinds: &[&'static str], what: &str) {
    let (server, other, session) = (serve(), serve(), probed_session());
    let only = std::env::var("OFFSTAGE_KIND").unwrap_or_default();
    let mut differences = Vec::new();
    for kind in kinds.iter().filter(|kind| only.is_empty() || only == **kind) {
        differences.extend(compare(&session, &server, &other, kind, what));
    }
    session.close();
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn a_file_of_the_pages_own_server_plays_as_natively() {
    check(&["mp4 attribute", "webm property", "sources", "mp3", "redirected", "cookie"]);
}

#[test]
fn a_page_that_plays_something_else_sees_native_loading() {
    check_what(&["mp4 attribute", "sources"], "change");
}

#[test]
fn a_file_of_another_server_plays_as_natively() {
    check(&["cross-origin", "cors", "cross-origin referer"]);
}

#[test]
fn a_file_in_the_page_plays_as_natively() {
    check(&["blob", "data"]);
}

#[test]
fn a_film_in_segments_plays_as_natively() {
    check(&["hls"]);
}

#[test]
fn missing_and_broken_files_fail_as_natively() {
    let (server, session) = (serve(), probed_session());
    for kind in ["missing", "broken"] {
        let told = |url: &str| {
            let play = Play::begin(&session, url, kind);
            let told = play.told();
            play.page.close().unwrap();
            told
        };
        let path = "/pages/files.html";
        let native = told(&native_url(&server, path));
        assert_eq!(native, told(&server.url(path)), "{kind}");
        assert!(native.0.iter().any(|event| event["error"] == 4), "{kind}: {native:?}");
    }
    session.close();
}

#[test]
fn the_device_shows_the_frame_of_the_position_and_its_end_loses_nothing() {
    let (server, mut session) = (serve(), probed_session());
    let play = Play::begin(&session, &server.url("/pages/files.html"), "mp4 attribute");
    wait_redirected(&session, &play);
    let reader = format!("{{ {}; globalThis.readFrameNumber = readFrameNumber; }}", frame_number::script());
    // Unseen eyes see the element between two media as well.
    let draw = "globalThis.frame = (video) => {
        if (!video.videoWidth) return null;
        const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
        const context = canvas.getContext('2d');
        context.drawImage(video, 0, 0);
        const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
        return readFrameNumber(data, width, height);
    }; 0";
    let native = Play::begin(&session, &native_url(&server, "/pages/files.html"), "mp4 attribute");
    let stage = StageProbe::connect(&session).unwrap().player().unwrap();
    for page in [&stage, &native.page] {
        page.evaluate(&format!("{reader} {draw}")).unwrap();
    }
    // Unseen: a page that reads pixels has its video in the session.
    let video = "globalThis.video = document.querySelector('video');";
    play.page.evaluate_unseen(&format!("{video} {reader} {draw}")).unwrap();
    play.page.evaluate("video.pause(); 0").unwrap();
    native.page.evaluate("video.pause(); 0").unwrap();
    for position in [3.21, 25.55, 11.02] {
        for page in [&play.page, &native.page] {
            page.evaluate_within(&format!("seek({position}).then(() => 0)"), PATIENCE).unwrap();
        }
        let near = format!("Math.abs(frame(video) - {position} * 30) <= 2 && frame(video)");
        let wanted = native.page.wait_until(&near, PATIENCE).unwrap();
        stage.wait_until(&format!("frame(document.querySelector('video')) === {wanted}"), PATIENCE).unwrap();
        assert_eq!(
            play.page.evaluate_unseen("frame(video)").unwrap(),
            Value::Null,
            "the session decodes as well"
        );
    }
    native.page.close().unwrap();
    play.page.evaluate_within("video.play().then(() => 0)", PATIENCE).unwrap();
    let before = play.page.evaluate("log.length = 0; [video.currentTime, performance.now()]").unwrap();
    session.kill_client();
    let own = "(() => { const n = frame(video); return n !== null && Math.abs(n / 30 - video.currentTime) < 0.3; })()";
    play.page.wait_until_unseen(own, PATIENCE).unwrap();
    let after = play.page.evaluate("[video.currentTime, performance.now()]").unwrap();
    let [from, to] = [&before, &after].map(|pair| [0, 1].map(|at| pair[at].as_f64().unwrap()));
    let passed = (to[1] - from[1]) / 1000.0;
    assert!(to[0] - from[0] > -0.05 && to[0] - from[0] < passed + 0.5, "{from:?} {to:?}");
    play.page.wait_until(&format!("video.currentTime > {} + 0.7", to[0]), PATIENCE).unwrap();
    assert_eq!(play.told().0, Vec::<Value>::new(), "the page heard of it");
    session.start_client().unwrap();
    wait_redirected(&session, &play);
    play.page.wait_until_unseen("frame(video) === null", PATIENCE).unwrap();
    assert_eq!(play.told().0, Vec::<Value>::new(), "the page heard of its return");
    session.close();
}
