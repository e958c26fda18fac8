//! Players in frames of every kind are redirected, look native to scripts, and have their pictures where they are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use offstage_tests::server::{Response, Server};
use offstage_tests::session::Session;
use serde_json::{Value, json};

use crate::fidelity::{Log, TRACKS_END_APART, compare, native_url, repository, session, untimed, without};
use crate::scene::Scene;

const WAIT: Duration = Duration::from_secs(60);

/// Kinds of frames whose document has an address, so that its origin may be another one than the page's.
const WITH_ADDRESS: [&str; 8] =
    ["src", "lazy", "moved", "shadow", "nested", "sandboxed", "sandboxed srcdoc", "same origin in a sandbox"];
/// Kinds whose document is the page's own.
const WITHOUT_ADDRESS: [&str; 5] = ["blank", "written", "srcdoc", "blob", "data"];

/// The tests' pages and clips, also for documents of opaque origins.
fn serve() -> Server {
    serve_and(|_| {})
}

/// `began` is called with what a page asks for below /began/.
fn serve_and(began: impl Fn(&str) + Send + Sync + 'static) -> Server {
    let pages = repository().join("tests/tests/pages");
    let clips = repository().join("tests/clips");
    Server::start(move |request| {
        match request.path.split_once('/').and_then(|(_, path)| path.split_once('/')) {
            Some(("clips", file)) => {
                Response::file(&clips, file).with_header("Access-Control-Allow-Origin", "*")
            }
            Some(("pages", file)) => Response::file(&pages, file),
            Some(("began", what)) => {
                began(what);
                Response::html("")
            }
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
        assert!(Instant::now() < end, "{when}: {name} is {is}, not {wanted}: {}", session.status().unwrap());
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
    readable(log)
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

/// Moves every document of a chain of frames and looks for the picture on the screen.
fn check_places(top: &str, hosts: &str) {
    let server = serve();
    let url = server.url(&format!("/pages/boxes.html?hosts={hosts}")).replacen("127.0.0.1", top, 1);
    let scene = Scene::open_page(server, &url, "here()?.playing");
    let levels = hosts.split('+').count();
    scene.assert_in_place("at the beginning");
    wait_status(&scene.session, "redirected", 1, "frames in place");
    for level in 0..=levels {
        scene.run(&format!("run({level}, 'scrollTo(0, 90)')"));
        scene.assert_in_place(&format!("level {level} scrolled"));
    }
    for level in 0..=levels {
        scene.run(&format!("run({level}, 'scrollTo(0, 1500)')"));
        scene.assert_absent(&format!("level {level} scrolled out"));
        scene.run(&format!("run({level}, 'scrollTo(0, 20)')"));
        scene.assert_in_place(&format!("level {level} scrolled back"));
    }
    for level in 0..levels {
        for (change, back) in [
            ("left = '300px'", "left = ''"),
            ("width = '350px'", "width = '560px'"),
            ("transform = 'scale(0.75)'", "transform = ''"),
        ] {
            scene.run(&format!("run({level}, `inner.style.{change}`)"));
            scene.assert_in_place(&format!("the frame of level {level}: {change}"));
            scene.run(&format!("run({level}, `inner.style.{back}`)"));
        }
        scene.run(&format!("run({level}, `inner.style.visibility = 'hidden'`)"));
        scene.assert_absent(&format!("the frame of level {level} hidden"));
        scene.run(&format!("run({level}, `inner.style.visibility = ''`)"));
        scene.assert_in_place(&format!("the frame of level {level} as before"));
    }
    scene.set_window(json!({ "left": 120, "top": 90, "width": 900, "height": 700 }));
    scene.assert_in_place("the window moved");
    // A frame that leaves the plane: the session plays.
    scene.run("run(0, `inner.style.transform = 'perspective(500px) rotateY(25deg)'`)");
    wait_status(&scene.session, "redirected", 0, "a frame in 3D");
    scene.session.close();
}

#[test]
fn the_picture_lies_on_a_video_in_nested_frames() {
    check_places("127.0.0.1", "127.0.0.1+127.0.0.1");
}

#[test]
fn the_picture_lies_on_a_video_in_frames_of_other_origins() {
    check_places("localhost", "localhost+127.0.0.1");
}

#[test]
fn frames_that_come_and_go_leave_nothing_behind() {
    let server = serve();
    let session = session();
    let page = session.open(&server.url("/pages/frames.html")).unwrap();
    // Half of them are taken out while they play, half before they have begun.
    for round in 0..50 {
        let script = format!("passing({}, {})", json!(server.url("").trim_end_matches('/')), round % 2 == 0);
        page.evaluate_within(&script, WAIT).unwrap();
    }
    wait_status(&session, "documents", 0, "all frames are gone");
    wait_status(&session, "redirected", 0, "all frames are gone");
    wait_status(&session, "placed", 0, "all frames are gone");
    page.evaluate_within(&format!("make('src', {})", json!(server.url("").trim_end_matches('/'))), WAIT)
        .unwrap();
    wait_status(&session, "placed", 1, "one frame more");
    session.close();
}

#[test]
fn a_page_that_is_kept_for_a_way_back_plays_on_the_device_again() {
    let server = serve();
    let session = session();
    let page = session.open(&server.url("/pages/fidelity.html")).unwrap();
    page.evaluate(
        "globalThis.restored = 0; addEventListener('pageshow', (e) => { if (e.persisted) restored++; }); 0",
    )
    .unwrap();
    page.evaluate_within("run('short', 'h264 muxed').then(() => 0)", WAIT).unwrap();
    wait_status(&session, "redirected", 1, "before");
    let at = page.evaluate("recorder.video.currentTime").unwrap();
    page.navigate(&native_url(&server, "/pages/blank.html")).unwrap();
    wait_status(&session, "documents", 0, "another page");
    page.call("Page.navigateToHistoryEntry", json!({ "entryId": entry_before(&page) })).unwrap();
    page.wait_until("globalThis.restored === 1", WAIT).unwrap();
    wait_status(&session, "redirected", 1, "back again");
    assert_eq!(page.evaluate("recorder.video.currentTime").unwrap(), at);
    assert_eq!(page.evaluate("recorder.video.error").unwrap(), json!(null));
    // It takes what the page does from here on.
    page.evaluate_within("recorder.fill(3, 5, false).then(() => recorder.seek(4.5))", WAIT).unwrap();
    assert_eq!(page.evaluate("recorder.video.buffered.end(0) > 4.9").unwrap(), json!(true));
    session.close();
}

#[test]
fn a_page_that_is_rendered_ahead_plays_on_the_device_once_it_is_shown() {
    let (began, has_begun) = std::sync::mpsc::sync_channel(8);
    let server = serve_and(move |path| began.send(path.to_owned()).unwrap());
    let session = session();
    let helper = session.open(&server.url("/pages/blank.html")).unwrap();
    // The browser renders nothing ahead for a page that is looked into.
    let url = server.url("/pages/prerender.html");
    session.cdp().call("Target.createTarget", json!({ "url": url })).unwrap();
    assert_eq!(has_begun.recv_timeout(WAIT).unwrap(), "true", "the page was not rendered ahead");
    assert_eq!(status(&session, "documents"), json!(0));
    helper.evaluate("new BroadcastChannel('go').postMessage('go'); 0").unwrap();
    wait_status(&session, "redirected", 1, "shown");
    let is_shown = |target: &offstage_tests::cdp::Target| {
        target.kind == "page" && target.url.ends_with("prerendered.html")
    };
    let target = session.cdp().wait_target(WAIT, is_shown).unwrap();
    let page = offstage_tests::cdp::Page::attach(session.cdp(), &target.id).unwrap();
    assert_eq!(page.evaluate("before").unwrap(), json!(true));
    page.evaluate_within("log.then(() => 0)", WAIT).unwrap();
    wait_status(&session, "placed", 1, "shown");
    session.close();
}

fn entry_before(page: &offstage_tests::cdp::Page) -> Value {
    let history = page.call("Page.getNavigationHistory", json!({})).unwrap();
    let index = history["currentIndex"].as_u64().unwrap();
    history["entries"][usize::try_from(index).unwrap() - 1]["id"].clone()
}

#[test]
fn elements_wherever_they_are_play_as_natively() {
    let server = serve();
    let session = session();
    let mut differences = Vec::new();
    for (kind, redirected, placed) in [
        ("open shadow tree", 1, 1),
        ("closed shadow tree", 1, 1),
        ("closed in a closed shadow tree", 1, 1),
        ("never in the document", 1, 0),
        ("new Audio()", 1, 0),
        ("cloned", 1, 1),
        ("adopted from another document", 1, 1),
        ("of a frame", 0, 0),
        ("after document.open()", 1, 1),
    ] {
        let play = |url: &str| {
            let page = session.open(url).unwrap();
            let call = format!("elements[{}]().then(() => run('short', 'h264 muxed'))", json!(kind));
            let log = page.evaluate_within(&call, WAIT).unwrap();
            (page, log)
        };
        let (page, native) = play(&native_url(&server, "/pages/elements.html"));
        page.close().unwrap();
        let (page, seen) = play(&server.url("/pages/elements.html"));
        wait_status(&session, "redirected", redirected, kind);
        wait_status(&session, "placed", placed, kind);
        page.close().unwrap();
        wait_status(&session, "redirected", 0, "the page is closed");
        let found = compare(&readable(native), &readable(seen), TRACKS_END_APART);
        differences.extend(found.into_iter().map(|d| format!("{kind}: {d}")));
    }
    session.close();
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

/// What `run` answers, without what differs between two native runs, or by what the device tells.
fn readable(log: Value) -> Log {
    let log: BTreeMap<String, Vec<Value>> = serde_json::from_value(log).unwrap();
    let mut log: Log = log.into_iter().map(|(object, events)| (object, untimed(events))).collect();
    without(&mut log, "video", |event| {
        event["event"].as_str().is_some_and(|name| name.contains("durationchange"))
    });
    log
}
