//! What the element says and does beside playing: frames and their counts are the device's, and the rest is native.

use std::time::{Duration, Instant};

use offstage_tests::cdp::Page;
use offstage_tests::server::Server;
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::stage_probe::StageProbe;
use serde_json::{Value, json};

use crate::fidelity::{native_url, probed_session, serve, session};
use crate::scene::{PATIENCE, Scene, picture_on, whole};

const PATH: &str = "/pages/element.html";

fn wait(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn wait_redirected(session: &Session, count: u64) {
    wait("players on the device", || session.status().is_ok_and(|status| status["redirected"] == count));
}

fn rows(page: &Page) -> Vec<Value> {
    page.evaluate("frames").unwrap().as_array().unwrap().clone()
}

/// Each frame is one of the clip's, near the position, later than the one before, and as native ones are made.
/// `off`: how many seconds picture and position may be apart on a busy machine; half of the frames are much nearer.
fn check_frames(page: &Page, native_keys: &Value, off: f64, when: &str) {
    let rows = rows(page);
    let mut presented = 0.0;
    let mut apart = Vec::new();
    for row in &rows {
        let number = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{when}: no {name} in {row}"));
        assert_eq!(&row["keys"], native_keys, "{when}");
        let frame = number("mediaTime") * 30.0;
        assert!((frame - frame.round()).abs() < 0.01, "{when}: no frame of the clip: {row}");
        let behind = number("position") - number("mediaTime");
        apart.push(behind.abs());
        assert!((-off..off).contains(&behind), "{when}: the frame is {behind} s behind the position: {row}");
        assert!(number("presentedFrames") > presented, "{when}: {row} after frame {presented}");
        presented = number("presentedFrames");
        assert_eq!([number("width"), number("height")], [640.0, 360.0], "{when}");
        let ahead = number("expectedDisplayTime") - number("presentationTime");
        assert!(ahead > -200.0, "{when}: presented {ahead} ms before it is seen: {row}");
        let ago = number("now") - number("presentationTime");
        assert!((-50.0..1000.0).contains(&ago), "{when}: presented {ago} ms ago: {row}");
    }
    apart.sort_by(f64::total_cmp);
    assert!(apart.get(apart.len() / 2).is_none_or(|apart| *apart < 0.15), "{when}: {apart:?}");
}

#[test]
fn frames_and_their_counts_are_those_of_the_device_and_go_on_in_the_session() {
    let mut session = session();
    let server = serve();
    let native = session.open(&native_url(&server, PATH)).unwrap();
    native.evaluate("begin('h264 demuxed').then(watchFrames)").unwrap();
    native.wait_until("frames.length > 5", PATIENCE).unwrap();
    let keys = native.evaluate("frames[0].keys").unwrap();
    native.close().unwrap();

    let page = session.open(&server.url(PATH)).unwrap();
    page.evaluate("begin('h264 demuxed').then(() => { watchFrames(); watchCounts(); })").unwrap();
    wait_redirected(&session, 1);
    // The stand-in alone would give one a second.
    page.wait_until("video.currentTime > 1", PATIENCE).unwrap();
    page.evaluate("frames.length = 0; globalThis.from = video.currentTime; globalThis.first = counts()")
        .unwrap();
    page.wait_until("video.currentTime > from + 3", PATIENCE).unwrap();
    let count = page.evaluate("frames.length").unwrap().as_u64().unwrap();
    println!("{count} frames in 3 s");
    assert!(count > 30, "{count} frames in 3 s");
    check_frames(&page, &keys, 1.0, "on the device");
    let grown = page.evaluate("counts().total - first.total").unwrap().as_u64().unwrap();
    assert!(grown > 60, "{grown} frames counted in 3 s");
    let all = page.evaluate("counts()").unwrap();
    assert_eq!(
        (&all["total"], &all["dropped"], &all["corrupted"]),
        (&all["decoded"], &all["droppedToo"], &json!(0))
    );
    assert!(all["picture"].as_u64() > Some(10_000) && all["sound"].as_u64() > Some(10_000), "{all}");

    session.kill_client();
    wait("the client is gone", || session.status().unwrap()["ready"] == false);
    page.evaluate("globalThis.from = frames.length").unwrap();
    page.wait_until("frames.length > from + 20", PATIENCE).unwrap();
    session.start_client().unwrap();
    wait_redirected(&session, 1);
    page.evaluate("globalThis.from = frames.length").unwrap();
    page.wait_until("frames.length > from + 20", PATIENCE).unwrap();
    // The two clocks come together in the first second after a move.
    check_frames(&page, &keys, 1.0, "there and back");
    assert_eq!(page.evaluate("shrunk").unwrap(), Value::Null);
    session.close();
}

#[test]
fn a_seek_in_a_pause_gives_its_frame_and_what_is_cancelled_is_not_called() {
    let session = session();
    let server = serve();
    for url in [native_url(&server, PATH), server.url(PATH)] {
        let page = session.open(&url).unwrap();
        page.evaluate("begin('vp9 demuxed')").unwrap();
        if url.contains("127.0.0.1") {
            wait_redirected(&session, 1);
        }
        page.wait_until("video.currentTime > 0.5", PATIENCE).unwrap();
        page.evaluate("video.pause(); 0").unwrap();
        page.wait_until("!video.seeking", PATIENCE).unwrap();
        for position in [5.01, 20.51, 1.12] {
            let time = page.evaluate_within(&format!("frameAt({position})"), PATIENCE).unwrap();
            let wanted = (position * 30.0_f64).floor() / 30.0;
            assert!(
                (time.as_f64().unwrap() - wanted).abs() < 0.002,
                "{url}: {time} after a seek to {position}"
            );
        }
        let called = "new Promise((done) => {
            const called = [];
            const never = video.requestVideoFrameCallback(() => called.push('cancelled'));
            video.requestVideoFrameCallback(function () { called.push(this === undefined || this === globalThis); throw new Error('on purpose'); });
            video.requestVideoFrameCallback((now) => { called.push(typeof now); video.requestVideoFrameCallback(() => done(called)); });
            addEventListener('error', (event) => { called.push(event.message); event.preventDefault(); });
            video.cancelVideoFrameCallback(never);
            video.cancelVideoFrameCallback(never);
            video.play();
        })";
        let called = page.evaluate_within(called, PATIENCE).unwrap();
        assert_eq!(called, json!([true, "Uncaught Error: on purpose", "number"]), "{url}");
        page.close().unwrap();
    }
    session.close();
}

/// A session whose device can be looked into, with a page that plays on it.
fn play_with(server: &Server, browser_args: &[&str]) -> (Session, Page) {
    let options = SessionOptions {
        sites: Some(vec!["http://127.0.0.1/*".to_owned()]),
        client_args: StageProbe::client_args(),
        browser_args: browser_args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..SessionOptions::default()
    };
    let session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
    session.wait_connected(PATIENCE).unwrap();
    let page = session.open(&server.url(PATH)).unwrap();
    page.evaluate("begin('h264 demuxed')").unwrap();
    wait_redirected(&session, 1);
    page.wait_until("video.currentTime > 0.5", PATIENCE).unwrap();
    page.evaluate("listen(); 0").unwrap();
    (session, page)
}

#[test]
fn volume_mute_pitch_and_a_muted_tab_reach_the_device_and_the_page_hears_its_own_only() {
    let server = serve();
    let (session, page) = play_with(&server, &[]);
    let device = StageProbe::connect(&session).unwrap().player().unwrap();
    let there = |wanted: &str| {
        let video = "(({ volume, muted, preservesPitch, playbackRate }) => `${volume} ${muted} ${preservesPitch} ${playbackRate}`)";
        device
            .wait_until(&format!("{video}(document.querySelector('video')) === '{wanted}'"), PATIENCE)
            .unwrap();
    };
    there("1 false true 1");
    page.evaluate("video.volume = 0.25; video.preservesPitch = false; video.playbackRate = 1.5; 0").unwrap();
    there("0.25 false false 1.5");
    page.evaluate("video.muted = true; 0").unwrap();
    there("0.25 true false 1.5");
    page.evaluate("video.muted = false; 0").unwrap();
    there("0.25 false false 1.5");
    let heard = json!(["volumechange", "ratechange", "volumechange", "volumechange"]);
    page.wait_until("heard.length >= 4", PATIENCE).unwrap();
    assert_eq!(page.evaluate("heard").unwrap(), heard);
    let mute = |muted: bool| {
        let tab = "chrome.tabs.query({ url: 'http://127.0.0.1/*' }).then(([tab]) => tab.id)";
        session
            .evaluate_in_worker(&format!(
                "{tab}.then((id) => chrome.tabs.update(id, {{ muted: {muted} }})).then(() => 0)"
            ))
            .unwrap();
    };
    mute(true);
    there("0.25 true false 1.5");
    page.evaluate("video.muted = true; video.muted = false; video.volume = 0.5; 0").unwrap();
    there("0.5 true false 1.5");
    assert_eq!(page.evaluate("video.muted").unwrap(), false);
    mute(false);
    there("0.5 false false 1.5");
    // The browser's controls and other extensions write it as nobody in the page can see.
    page.evaluate("heard.length = 0; 0").unwrap();
    page.evaluate_unseen("document.querySelector('video').playbackRate = 1.75; 0").unwrap();
    there("0.5 false false 1.75");
    page.wait_until("heard.length > 0", PATIENCE).unwrap();
    assert_eq!(page.evaluate("[video.playbackRate, ...heard]").unwrap(), json!([1.75, "ratechange"]));
    // What load() puts back is told once; what it is already is no change.
    let loads =
        "heard.length = 0; video.load(); [video.playbackRate, video.playbackRate = 1, video.playbackRate]";
    assert_eq!(page.evaluate(loads).unwrap(), json!([1, 1, 1]));
    page.wait_until("heard.includes('emptied')", PATIENCE).unwrap();
    wait_redirected(&session, 0);
    let rates = "heard.filter((type) => type === 'ratechange').length";
    assert_eq!(page.evaluate(&format!("[{rates}, video.playbackRate]")).unwrap(), json!([1, 1]));
    session.close();
}

#[test]
fn a_share_of_the_screen_and_the_browsers_small_window_show_real_frames() {
    let server = serve();
    let (session, page) = play_with(&server, &["--auto-accept-this-tab-capture"]);
    let share = "navigator.mediaDevices.getDisplayMedia({ preferCurrentTab: true, video: true }).then((stream) => { globalThis.stream = stream; })";
    page.evaluate_within(share, PATIENCE).unwrap();
    wait_redirected(&session, 0);
    assert_eq!(reason(&session), "OFS-1320");
    // As long as any copy of it is live.
    page.evaluate("globalThis.copies = [stream.clone().getTracks()[0], stream.getTracks()[0].clone()]; stream.getTracks()[0].stop(); 0")
        .unwrap();
    page.evaluate("globalThis.from = video.currentTime; 0").unwrap();
    page.wait_until("video.currentTime > from + 2.5", PATIENCE).unwrap();
    wait_redirected(&session, 0);
    page.evaluate("for (const copy of copies) copy.stop(); 0").unwrap();
    wait_redirected(&session, 1);

    page.evaluate("video.requestPictureInPicture().then(() => 0)").unwrap();
    wait_redirected(&session, 0);
    assert_eq!(reason(&session), "OFS-1318");
    page.wait_until("document.pictureInPictureElement === video && video.currentTime > 1", PATIENCE).unwrap();
    page.evaluate("document.exitPictureInPicture()").unwrap();
    wait_redirected(&session, 1);
    assert_eq!(page.evaluate("heard").unwrap(), json!([]));
    session.close();
}

/// Why the page's video plays in the session.
fn reason(session: &Session) -> String {
    session.status().unwrap()["in_session"][0]["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn sound_alone_plays_on_the_device() {
    let server = serve();
    let session = probed_session();
    let page = session.open(&server.url(PATH)).unwrap();
    page.evaluate("beginSound()").unwrap();
    wait_redirected(&session, 1);
    page.wait_until("video.currentTime > 1", PATIENCE).unwrap();
    let device = StageProbe::connect(&session).unwrap().player().unwrap();
    device.wait_until("document.querySelector('video').currentTime > 2", PATIENCE).unwrap();
    let heard = device.evaluate("(({ muted, volume, webkitAudioDecodedByteCount }) => !muted && volume === 1 && webkitAudioDecodedByteCount > 0)(document.querySelector('video'))");
    assert_eq!(heard.unwrap(), true);
    let apart = page.evaluate("video.currentTime").unwrap().as_f64().unwrap()
        - device.evaluate("document.querySelector('video').currentTime").unwrap().as_f64().unwrap();
    assert!(apart.abs() < 0.5, "page and device are {apart} s apart");
    session.close();
}

#[test]
fn the_position_is_not_at_the_end_before_the_video_has_ended() {
    let server = serve();
    let session = session();
    let page = session.open(&server.url(PATH)).unwrap();
    page.evaluate("begin('h264 demuxed')").unwrap();
    wait_redirected(&session, 1);
    page.wait_until("video.currentTime > 1", PATIENCE).unwrap();
    page.evaluate(
        "globalThis.early = 0; \
         const { port1, port2 } = new MessageChannel(); \
         port1.onmessage = () => { \
           const [at, going] = [video.currentTime, !video.ended && !video.paused && !video.seeking]; \
           early += going && at >= video.duration; \
           if (!video.ended) port2.postMessage(0); \
         }; \
         video.muted = true; video.currentTime = video.duration - 1.3; port2.postMessage(0);",
    )
    .unwrap();
    page.wait_until("video.ended", PATIENCE).unwrap();
    assert_eq!(page.evaluate("early").unwrap(), 0, "reads of a position at the end");
    assert_eq!(page.evaluate("video.currentTime === video.duration").unwrap(), true);
    session.close();
}

#[test]
fn the_picture_follows_into_full_screen_and_out_of_it() {
    let scene = Scene::open("clip=h264");
    scene.assert_in_place("in the page");
    // 1280 × 1024 pixels of screen, a picture of 16:9.
    scene.run("video.requestFullscreen()");
    scene.assert_at([0, 152, 1280, 872], "the element in full screen");
    scene.run("document.exitFullscreen()");
    scene.assert_in_place("back in the page");
    scene.run("box.append(mark); box.requestFullscreen()");
    scene.page.wait_until("document.fullscreenElement === box", PATIENCE).unwrap();
    scene.assert_in_place("its container in full screen");
    scene.run("document.exitFullscreen()");
    scene.assert_in_place("back again");
    scene.session.close();
}

#[test]
fn what_is_painted_over_the_video_stays_to_be_seen() {
    let scene = Scene::open("clip=h264");
    scene.assert_in_place("alone");
    // The element is at 100, 120 in the viewport, 640 × 360 large.
    let red = |when: &str, wanted: Option<[i64; 4]>| {
        scene.assert_screen(when, |screen, [x, y]| {
            let seen = screen.bounds_of([255, 0, 0], 30).map(|bounds| bounds.map(whole));
            seen == wanted.map(|[left, top, right, bottom]| [x + left, y + top, x + right, y + bottom])
        });
    };
    let add = |name: &str, style: &str| {
        scene.run(&format!(
            "globalThis.{name} = document.createElement('div'); {name}.style.cssText = 'position: absolute; background: rgb(255, 0, 0); {style}';
             document.body.append({name})"
        ));
    };
    red("nothing above", None);
    add("label", "left: 200px; top: 200px; width: 90px; height: 40px; pointer-events: none");
    red("a label that lets the pointer through", Some([200, 200, 290, 240]));
    scene.run("label.remove()");
    red("the label is gone", None);
    add("menu", "left: 20px; top: 300px; width: 300px; height: 100px; z-index: 3");
    red("a menu partly above", Some([20, 300, 320, 400]));
    scene.run("menu.style.display = 'none'");
    red("the menu is hidden", None);
    scene.run("menu.style.cssText = 'position: absolute; inset: 0; background: rgba(255, 255, 255, 0.01)'");
    scene.assert_in_place("under a veil");
    scene.run("menu.remove()");

    scene.run(
        "const style = document.createElement('style'); style.textContent = 'video::cue { background: rgb(255, 0, 0); color: rgb(255, 0, 0) }';
         document.head.append(style); globalThis.track = video.addTextTrack('captions', 'a', 'en'); track.mode = 'showing';
         track.addCue(new VTTCue(0, 30, 'words that are spoken'))",
    );
    scene.assert_screen("captions", |screen, [x, y]| {
        let seen = screen.bounds_of([255, 0, 0], 30).map(|bounds| bounds.map(whole));
        // A line of 5 % of the height, centred, near the bottom edge.
        seen.is_some_and(|[left, top, right, bottom]| {
            (14..30).contains(&(bottom - top))
                && bottom <= y + 480
                && top > y + 420
                && left > x + 200
                && right < x + 640
        })
    });
    scene.run("track.mode = 'disabled'");
    scene.assert_in_place("without captions");

    scene.run("video.controls = true; video.pause()");
    scene.assert_screen("controls", |screen, [x, y]| {
        picture_on(screen).is_some_and(|[left, top, right, bottom]| {
            [left, top, right] == [x + 100, y + 120, x + 740] && (y + 380..y + 420).contains(&bottom)
        })
    });
    scene.run("video.play()");
    scene.assert_in_place("the controls have gone");
    scene.session.close();
}
