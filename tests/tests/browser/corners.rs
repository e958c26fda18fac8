//! What players seldom do: sources of workers, full buffers, playback that is refused, many elements, frames and tabs.

use std::time::{Duration, Instant};

use offstage_tests::cdp::Page;
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::stage_probe::StageProbe;
use serde_json::{Value, json};

use crate::fidelity::{Log, compare, native_url, probed_session, serve, session, untimed};
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
    let params =
        json!({ "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": false });
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
        let told = title();
        assert!(told.as_str().is_some_and(|told| told.ends_with("(OFS-1340)")), "{told}");
        run(&page, "attachHere().then(() => video.play())");
        wait_redirected(&session, 1);
        assert_eq!(session.status().unwrap()["in_session"], json!([]));
        assert_eq!(title(), "Offstage: Video plays on your device.");
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

/// How much of a buffer's room the redirected page may miss: the session counts what the container adds, and doesn't see single frames.
const ROOM: f64 = 0.05;

#[test]
fn a_full_buffer_refuses_at_once_and_takes_more_when_there_is_room() {
    let (server, session) = (serve(), session());
    for clip in ["aac.mp4", "opus.webm"] {
        let mut counts = Vec::new();
        // Chromium itself, without a hook, sometimes takes all that comes after a `remove`, as if what is ahead had been played: then
        // there is nothing to compare with, and it is asked again.
        let mut urls = vec![server.url(PATH), native_url(&server, PATH)];
        let mut again = 3;
        while let Some(url) = urls.pop() {
            let page = session.open(&url).unwrap();
            let fill = |most: u32| {
                page.evaluate_within(&format!("fillUp({most})"), Duration::from_secs(120)).unwrap()
            };
            run(&page, &format!("openFor('{clip}')"));
            let first = fill(100);
            println!("{clip} {url} {first}");
            let count = first["count"].as_f64().unwrap();
            assert_eq!(first["error"], "QuotaExceededError", "{url}");
            if counts.len() == 1 {
                assert_eq!(session.status().unwrap()["redirected"], 1, "{url}");
            }
            // Nothing has changed, so nothing is taken; a `remove` or what has been played makes room.
            assert_eq!(fill(1)["count"], 0, "{url}");
            run(&page, "recorder.remove(0, 0, 95)");
            let second = fill(100);
            if counts.is_empty() && second["count"] == 100 && again > 0 {
                again -= 1;
                urls.push(url);
                page.close().unwrap();
                continue;
            }
            assert!((2..=4).contains(&second["count"].as_u64().unwrap()), "{url}: {second}");
            run(&page, "recorder.seek(200).then(() => recorder.play())");
            page.wait_until("video.currentTime > 201", PATIENCE).unwrap();
            let third = fill(100);
            assert!((2..=4).contains(&third["count"].as_u64().unwrap()), "{url}: {third}");
            page.wait_until("video.currentTime > 202 && video.buffered.start(0) > 95", PATIENCE).unwrap();
            if counts.len() == 1 {
                assert_eq!(session.status().unwrap()["redirected"], 1, "{url}");
                assert_eq!(session.status().unwrap()["in_session"], json!([]), "{url}");
            }
            counts.push((
                count,
                first,
                run(&page, "recorder.log['source.0'].map((event) => event.event).slice(-8)"),
            ));
            page.close().unwrap();
        }
        let [(native, said, events), (redirected, says, heard)] = &counts[..] else { unreachable!() };
        assert!(
            (redirected / native - 1.0).abs() <= ROOM,
            "{clip}: {native} natively, {redirected} redirected"
        );
        for name in ["error", "message", "type", "updating", "state"] {
            assert_eq!(said[name], says[name], "{clip}");
        }
        assert_eq!(events, heard, "{clip}");
    }

    session.close();
}

#[test]
fn what_the_device_finds_too_much_waits_in_the_session_until_there_is_room() {
    let server = serve();
    // Both browsers hold less than the hook counts with, so that the device is the first to know.
    let limit = "--mse-audio-buffer-size-limit-mb=2";
    let options = SessionOptions {
        sites: Some(vec!["http://127.0.0.1/*".to_owned()]),
        browser_args: vec![limit.to_owned()],
        client_args: vec![format!("--engine-arg={limit}")],
        ..SessionOptions::default()
    };
    let session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
    session.wait_connected(PATIENCE).unwrap();
    let open = || {
        let page = session.open(&server.url(PATH)).unwrap();
        run(&page, "openFor('aac.mp4')");
        run(&page, "fillUp(100).then((how) => { globalThis.how = how; }); recorder.play()");
        wait("the reason", &session, |status| status["in_session"][0]["code"] == "OFS-1304");
        page.wait_until("video.currentTime > 1", PATIENCE).unwrap();
        assert_eq!(run(&page, "[how, recorder.buffers[0].updating]"), json!([null, true]));
        page
    };
    let page = open();
    run(&page, "recorder.seek(100)");
    page.wait_until("how?.error === 'QuotaExceededError' && video.buffered.start(0) > 0", PATIENCE).unwrap();
    page.wait_until("video.currentTime > 101", PATIENCE).unwrap();
    page.close().unwrap();
    wait("the first page is gone", &session, |status| status["in_session"] == json!([]));

    let native = session.open(&native_url(&server, PATH)).unwrap();
    run(&native, "openFor('aac.mp4')");
    let abort = "(() => { fillUp(1).catch(() => 0); return once(recorder.buffers[0], 'updatestart').then(abortUnderWay); })()";
    let aborted = run(&native, abort);
    native.close().unwrap();
    let page = open();
    assert_eq!(run(&page, "abortUnderWay()"), aborted);
    // The next one is the session's: it is refused at once, and taken when there is room.
    page.wait_until("how?.error === 'QuotaExceededError' && !how.updating", PATIENCE).unwrap();
    run(&page, "recorder.remove(0, 10, Infinity)");
    assert_eq!(run(&page, "at = 10, fillUp(1)"), json!({ "count": 1 }));
    page.wait_until("video.currentTime > 3", PATIENCE).unwrap();
    session.close();
}

/// Players of sources, a file and sound alone: each plays on the device at its own element, and hears of its own page calls only.
#[test]
fn several_elements_play_at_once_and_apart() {
    let server = serve();
    let options = SessionOptions {
        headless: false,
        screen: Some((1280, 1024)),
        sites: Some(vec!["http://127.0.0.1/*".to_owned()]),
        client_args: StageProbe::client_args(),
        browser_args: vec!["--window-position=60,40".to_owned(), "--window-size=1000,800".to_owned()],
        ..SessionOptions::default()
    };
    let session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
    session.wait_connected(PATIENCE).unwrap();
    let page = session.open(&server.url(PATH)).unwrap();
    run(&page, "playSeveral()");
    // Sound without controls is nowhere in the page.
    wait("six players", &session, |status| status["redirected"] == 6 && status["placed"] == 5);
    let numbers = |page: &Page, script: &str| -> Vec<f64> {
        run(page, script).as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let before = numbers(&page, "positions()");
    // Round the loop a position can be lower than before.
    let moved = format!("positions().every((at, i) => Math.abs(at - {}[i]) > 0.5)", json!(before));
    page.wait_until(&moved, PATIENCE).unwrap();

    // Stopped each at a place of its own, the device's windows are told apart by their positions.
    run(&page, "several.forEach((element, i) => { element.pause(); element.currentTime = 3 * i + 1.2; })");
    let device = StageProbe::connect(&session).unwrap();
    let elements = run(
        &page,
        "several.map((element) => { const { x, y, width, height } = element.getBoundingClientRect(); return [x, y, width, height]; })",
    );
    let look = "(({ currentTime, videoWidth, paused }) => [currentTime, videoWidth, paused, screenX, screenY])(document.querySelector('video'))";
    let end = Instant::now() + PATIENCE;
    let windows = loop {
        let windows: Vec<Option<Value>> = (0..6)
            .map(|i| {
                let at = f64::from(i) * 3.0 + 1.2;
                device
                    .all(look)
                    .unwrap()
                    .into_iter()
                    .find(|seen| seen[2] == true && (seen[0].as_f64().unwrap() - at).abs() < 0.2)
            })
            .collect();
        if windows.iter().all(Option::is_some) && in_place(&windows, &elements) {
            break windows;
        }
        assert!(Instant::now() < end, "the device's windows: {windows:?}, the page's elements: {elements}");
    };
    println!("{windows:?} {elements}");

    // One plays, the others stay.
    run(&page, "several[2].play()");
    page.wait_until("several[2].currentTime > 8.5", PATIENCE).unwrap();
    let after = device.all(look).unwrap();
    assert_eq!(after.iter().filter(|seen| seen[2] == false).count(), 1, "{after:?}");
    for (i, at) in numbers(&page, "positions()").into_iter().enumerate().filter(|(i, _)| *i != 2) {
        assert!((at - (3.0 * f64::from(u32::try_from(i).unwrap()) + 1.2)).abs() < 0.01, "{i} at {at}");
    }
    assert_eq!(
        run(&page, "several.map((element) => element.paused)"),
        json!([true, true, false, true, true, true])
    );
    session.close();
}

/// The windows of pictures are as far from the first one's as their elements are.
fn in_place(windows: &[Option<Value>], elements: &Value) -> bool {
    let of = |value: &Value, i: usize| value[i].as_f64().unwrap();
    let [first_window, first_element] = [windows[0].as_ref().unwrap(), &elements[0]];
    (1..5).all(|i| {
        let window = windows[i].as_ref().unwrap();
        (0..2).all(|side| {
            let apart = of(window, 3 + side) - of(first_window, 3 + side);
            (apart - (of(&elements[i], side) - of(first_element, side))).abs() <= 1.0
        })
    })
}

/// The browser loads it anew there, which no source of another document outlives: natively and redirected alike.
#[test]
fn an_element_that_goes_into_another_document_ends_as_it_does_natively() {
    let (server, session) = (serve(), session());
    let mut told = Vec::new();
    for url in [native_url(&server, PATH), server.url(PATH)] {
        let page = session.open(&url).unwrap();
        run(&page, "steered('h264 demuxed')");
        page.wait_until("video.currentTime > 1", PATIENCE).unwrap();
        if told.len() == 1 {
            wait_redirected(&session, 1);
        }
        let moved = run(&page, "adopt()");
        let played = run(&page, "video.play().then(() => 'plays', (error) => error.name)");
        told.push((
            moved,
            played,
            run(&page, "[video.paused, video.error?.code, video.readyState, video.currentTime]"),
        ));
        if told.len() == 2 {
            wait("nothing is left behind", &session, |status| {
                status["redirected"] == 0 && status["placed"] == 0
            });
        }
        page.close().unwrap();
    }
    assert_eq!(told[0], told[1]);
    session.close();
}

#[test]
fn one_of_hundreds_of_frames_plays_on_the_device() {
    let (server, session) = (serve(), session());
    let page = session.open(&server.url(PATH)).unwrap();
    run(&page, "manyFrames(200)");
    run(&page, "inner.eval(\"steered('h264 demuxed')\")");
    wait("the player", &session, |status| status["redirected"] == 1 && status["placed"] == 1);
    page.wait_until("inner.eval('video.currentTime') > 2", PATIENCE).unwrap();
    let status = session.status().unwrap();
    assert_eq!((&status["redirected"], &status["in_session"]), (&json!(1), &json!([])));
    assert!(status["frames_presented"].as_u64() > Some(10), "{status}");
    session.close();
}

#[test]
fn a_discarded_tab_leaves_nothing_on_the_device_and_plays_again() {
    let (server, session) = (serve(), session());
    let page = session.open(&server.url(PATH)).unwrap();
    run(&page, "steered('h264 demuxed')");
    wait_redirected(&session, 1);
    // The browser discards no tab that is in front.
    let front = session.open(&native_url(&server, "/pages/blank.html")).unwrap();
    front.call("Page.bringToFront", json!({})).unwrap();
    let tab = "chrome.tabs.query({ url: 'http://127.0.0.1/*' }).then(([tab]) => tab.id)";
    let discard = format!("{tab}.then((id) => chrome.tabs.discard(id)).then((tab) => tab.discarded)");
    assert_eq!(session.evaluate_in_worker(&discard).unwrap(), true);
    wait("an empty device", &session, |status| status["redirected"] == 0 && status["documents"] == 0);
    session
        .evaluate_in_worker(&format!(
            "{tab}.then((id) => chrome.tabs.update(id, {{ active: true }})).then(() => 0)"
        ))
        .unwrap();
    let again = session
        .cdp()
        .wait_target(PATIENCE, |target| target.kind == "page" && target.url.contains("127.0.0.1"))
        .unwrap();
    let page = Page::attach(session.cdp(), &again.id).unwrap();
    page.wait_until("document.readyState === 'complete' && globalThis.steered !== undefined", PATIENCE)
        .unwrap();
    run(&page, "steered('h264 demuxed')");
    wait_redirected(&session, 1);
    page.wait_until("video.currentTime > 1", PATIENCE).unwrap();
    session.close();
}

/// The browser's software adapter refuses every video, so the pixels themselves are seen on a real GPU only: what shows here is that a
/// read is noticed, moves the player, and is refused in the browser's own words.
#[test]
fn a_read_by_webgpu_brings_the_player_back_to_the_session() {
    let session = session_with(&[
        "--enable-unsafe-webgpu",
        "--use-webgpu-adapter=swiftshader",
        "--enable-features=Vulkan",
    ]);
    for reader in ["copyExternalImageToTexture", "importExternalTexture"] {
        let mut first = Vec::new();
        // An origin that has read begins in the session.
        let server = serve();
        for url in [native_url(&server, "/pages/readers.html"), server.url("/pages/readers.html")] {
            let page = session.open(&url).unwrap();
            run(&page, "import('/pages/webgpu.js').then((gpu) => gpu.begin())");
            run(&page, "begin('h264 demuxed')");
            page.wait_until("video.currentTime > 0.3", PATIENCE).unwrap();
            if first.len() == 1 {
                wait_redirected(&session, 1);
            }
            first.push(run(&page, &format!("gpu.{reader}()")));
            if first.len() == 2 {
                wait("the session", &session, |status| {
                    status["redirected"] == 0 && status["in_session"][0]["code"] == "OFS-1308"
                });
                run(&page, "globalThis.from = video.currentTime");
                page.wait_until("video.currentTime > from + 0.5", PATIENCE).unwrap();
            }
            page.close().unwrap();
        }
        assert_ne!(first[1], "wrong", "{reader}");
        assert!(first[0].is_number() || first[0] == first[1], "{reader}: {first:?}");
    }
    session.close();
}

#[test]
fn a_live_stream_whose_clock_began_in_1970_plays_from_where_it_was_sought_before_any_data() {
    const SINCE: f64 = 1_795_410_400.25;
    let server = serve();
    let session = probed_session();
    let stage = StageProbe::connect(&session).unwrap();
    for kind in ["h264 demuxed", "h264 muxed", "vp9 demuxed", "vp9 muxed"] {
        let page = session.open(&server.url(PATH)).unwrap();
        run(&page, &format!("playLater('{kind}', {SINCE})"));
        wait_redirected(&session, 1);
        page.wait_until(&format!("video.currentTime > {SINCE} + 3"), PATIENCE).unwrap();
        let device = stage.player().unwrap();
        device
            .wait_until(&format!("document.querySelector('video').currentTime > {SINCE} + 3"), PATIENCE)
            .unwrap();
        page.close().unwrap();
        stage.wait_players(0).unwrap();
    }
    session.close();
}
