//! Calls run on the device: its microphone and camera, its connection; the session's browser has none.

use std::time::{Duration, Instant};

use offstage_tests::calls::{Ends, SCENARIOS, Scenario, TONE, callee, caller, caller_by, connect, run};
use offstage_tests::cdp::Page;
use offstage_tests::process::kill_pid;
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::xvfb::xdotool;
use serde_json::{Value, json};

use crate::fidelity::serve;

const PATIENCE: Duration = Duration::from_secs(40);
const PATH: &str = "/pages/call.html";

fn ends() -> (Session, Session) {
    let installation = Installation::from_env().unwrap();
    (caller(&installation, None).unwrap(), callee(&installation).unwrap())
}

/// Both ends of a call that is up.
fn calling(session: &Session, other: &Session, url: &str) -> [Page; 2] {
    let pages = [session, other].map(|end| {
        let page = end.open(url).unwrap();
        page.evaluate_within("begin()", PATIENCE).unwrap();
        page
    });
    connect(&pages[0], &pages[1], true).unwrap();
    pages[0].wait_until("theirs.videoWidth === 640 && channel.readyState === 'open'", PATIENCE).unwrap();
    pages
}

#[test]
fn calls_run_on_the_device_both_ways_and_the_session_is_not_on_the_wire() {
    run_all(|scenario| !scenario.both && !scenario.is_interop());
}

#[test]
fn calls_with_other_peoples_programs_run_on_the_device() {
    run_all(Scenario::is_interop);
}

fn run_all(wanted: fn(&Scenario) -> bool) {
    let server = offstage_tests::calls::serve(&Installation::from_env().unwrap()).unwrap();
    let (mut session, other) = ends();
    let url = server.url(PATH);
    for scenario in SCENARIOS.iter().filter(|scenario| wanted(scenario)) {
        let mut ends = Ends { session: &mut session, other: &other, url: &url, redirected: true };
        let row = run(&mut ends, scenario);
        assert_eq!(row.status, "ok", "{}: {:?}", scenario.name, row.verified);
    }
    other.close();
    session.close();
}

#[test]
fn a_part_that_dies_in_a_call_is_a_lost_network_and_the_next_call_runs_on_the_device_again() {
    let server = serve();
    let (mut session, other) = ends();
    let url = server.url(PATH);
    let [page, far] = calling(&session, &other, &url);
    for part in ["client", "engine", "bridge", "worker"] {
        let listen = "log.length = 0; for (const track of own.srcObject.getTracks()) track.onended = () => log.push(`${track.kind} ended`); \
             channel.onclose = () => log.push('channel closed'); 0";
        page.evaluate(listen).unwrap();
        match part {
            "client" => session.kill_client(),
            "engine" => kill_pid(session.engine_pid().unwrap()),
            "bridge" => session.kill_bridge(),
            _ => session.kill_worker().unwrap(),
        }
        page.wait_until("pc.connectionState === 'failed' && log.includes('video ended')", PATIENCE)
            .unwrap_or_else(|error| {
                panic!("{part}: {error:#} {}", page.evaluate("[log, pc.connectionState]").unwrap())
            });
        let told = page.evaluate("({ log: log.map((line) => line.split(' ')[0] + ' ' + line.split(' ').at(-1)), \
             ice: pc.iceConnectionState, channel: channel.readyState, tracks: own.srcObject.getTracks().map((t) => t.readyState) })");
        let expected = json!({
            "log": ["channel closed", "iceconnectionstatechange connected", "connectionstatechange disconnected",
                "iceconnectionstatechange disconnected", "connectionstatechange failed", "audio ended", "video ended"],
            "ice": "failed", "channel": "closed", "tracks": ["ended", "ended"],
        });
        assert_eq!(told.unwrap(), expected, "{part}");
        match part {
            "client" => session.start_client().unwrap(),
            "engine" => session.refresh_client_ready(PATIENCE).unwrap(),
            _ => {}
        }
        session.wait_connected(PATIENCE).unwrap();
        session.set_device(&json!({ "capture": "allow" })).unwrap();
        // The same page, without a reload.
        for page in [&page, &far] {
            page.evaluate_within("pc.close(); theirs.srcObject = null; begin()", PATIENCE).unwrap();
        }
        connect(&page, &far, true).unwrap();
        page.wait_until("theirs.videoWidth === 640 && channel.readyState === 'open'", PATIENCE).unwrap();
        assert_eq!(session.status().unwrap()["connections"], 1, "{part}");
    }
    other.close();
    session.close();
}

#[test]
fn without_a_device_and_where_it_is_not_covered_a_call_is_the_sessions_own() {
    let server = serve();
    let (session, other) = ends();
    session.set_device(&json!({ "capture": "deny" })).unwrap();
    let page = session.open(&server.url(PATH)).unwrap();
    let refused = page
        .evaluate_within(
            "begin().then(() => null, (error) => [error.name, error instanceof DOMException])",
            PATIENCE,
        )
        .unwrap();
    assert_eq!(refused, json!(["NotAllowedError", true]));
    session.set_device(&json!({ "play": false })).unwrap();
    let ready = "offstageStatus().ready";
    while session.evaluate_in_worker(ready).unwrap() != json!(false) {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let [page, far] = [&session, &other].map(|end| end.open(&server.url(PATH)).unwrap());
    for page in [&page, &far] {
        page.evaluate_within("begin({ audio: false, video: false })", PATIENCE).unwrap();
    }
    connect(&page, &far, true).unwrap();
    assert_eq!(session.status().unwrap()["connections"], 0);
    other.close();
    session.close();
}

#[test]
fn the_person_in_front_of_the_device_is_asked_and_the_answer_counts() {
    let server = serve();
    let session = caller(&Installation::from_env().unwrap(), Some((1000, 700))).unwrap();
    session.set_device(&json!({ "capture": "ask" })).unwrap();
    let page = session.open(&server.url(PATH)).unwrap();
    // Where the button is, from the window's lower right corner.
    for (right, result) in [(175, "NotAllowedError"), (70, "2 tracks")] {
        page.evaluate("window.result = ''; begin().then(() => { result = `${own.srcObject.getTracks().length} tracks`; }, (error) => { result = error.name; }); 0")
            .unwrap();
        let end = Instant::now() + PATIENCE;
        while page.evaluate("result").unwrap() == "" {
            assert!(Instant::now() < end, "nobody is asked, or nobody hears the answer");
            click(&session, "^Offstage$", right, 42, &format!("question-{right}"));
            std::thread::park_timeout(Duration::from_millis(700));
        }
        assert_eq!(page.evaluate("result").unwrap(), result);
    }
    session.close();
}

/// Clicks into a window with this name, if there is one: so far from its lower right corner. What it looks like is kept where
/// OFFSTAGE_SCREENSHOTS says.
pub(crate) fn click(session: &Session, name: &str, right: i32, bottom: i32, picture: &str) {
    let display = session.display().unwrap();
    // None is an error of the tool's.
    let Ok(found) = xdotool(display, &["search", "--onlyvisible", "--name", name]) else { return };
    let Some(window) = found.lines().next() else { return };
    let Ok(shape) = xdotool(display, &["getwindowgeometry", "--shell", window]) else { return };
    let number = |name: &str| {
        let line = shape.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.strip_prefix('=')).and_then(|value| value.parse::<i32>().ok())
    };
    let (Some(width), Some(height)) = (number("WIDTH"), number("HEIGHT")) else { return };
    if let Some(folder) = std::env::var_os("OFFSTAGE_SCREENSHOTS") {
        let screen = session.screen().unwrap().camera().unwrap().capture().unwrap();
        screen.write_png(&std::path::PathBuf::from(folder).join(format!("{picture}.png"))).unwrap();
    }
    let [x, y] = [width - right, height - bottom].map(|at| at.to_string());
    // The window may just be going.
    xdotool(display, &["mousemove", "--window", window, &x, &y, "click", "1"]).ok();
}

/// The window is there as long as a microphone or camera is on, above a browser that has the focus, and turns them off.
#[test]
fn what_is_on_is_shown_on_the_device_and_turned_off_there() {
    const NAME: &str = "^(Microphone and camera are|The microphone is) on$";
    let server = serve();
    let installation = Installation::from_env().unwrap();
    let (session, other) =
        (caller(&installation, Some((1000, 700))).unwrap(), callee(&installation).unwrap());
    let [page, far] = calling(&session, &other, &server.url(PATH));
    let display = session.display().unwrap();
    let shown = || {
        xdotool(display, &["search", "--onlyvisible", "--name", NAME]).is_ok_and(|found| !found.is_empty())
    };
    let wait = |what: &str, ready: &dyn Fn() -> bool| {
        let end = Instant::now() + PATIENCE;
        while !ready() {
            assert!(Instant::now() < end, "{what}");
            std::thread::park_timeout(Duration::from_millis(100));
        }
    };
    wait("nothing shows that they are on", &shown);
    page.evaluate("own.srcObject.getVideoTracks()[0].stop(); 0").unwrap();
    wait("a camera that is off is shown", &|| {
        xdotool(display, &["search", "--onlyvisible", "--name", "^The microphone is on$"])
            .is_ok_and(|found| !found.is_empty())
    });
    page.evaluate(
        "globalThis.ends = []; own.srcObject.getAudioTracks()[0].onended = () => ends.push('ended'); 0",
    )
    .unwrap();
    let end = Instant::now() + PATIENCE;
    while page.evaluate("ends.length").unwrap() == 0 {
        assert!(Instant::now() < end, "the button turns nothing off");
        // Above the browser, whatever has the focus.
        page.bring_to_front().unwrap();
        click(&session, NAME, 60, 45, "indicator");
        std::thread::park_timeout(Duration::from_millis(700));
    }
    wait("the window stays", &|| !shown());
    // The call goes on without; who wants them again has to ask, although the device's settings allow it.
    let state = "[pc.connectionState, own.srcObject.getAudioTracks()[0].readyState, ends.length]";
    assert_eq!(page.evaluate(state).unwrap(), json!(["connected", "ended", 1]));
    assert_eq!(far.evaluate("pc.connectionState").unwrap(), "connected");
    page.evaluate("navigator.mediaDevices.getUserMedia({ audio: true }).catch(() => {}); 0").unwrap();
    wait("nobody is asked", &|| {
        xdotool(display, &["search", "--onlyvisible", "--name", "^Offstage$"])
            .is_ok_and(|found| !found.is_empty())
    });
    other.close();
    session.close();
}

/// As in a large conference.
#[test]
fn twenty_five_tiles_lie_where_the_page_shows_them() {
    const TILES: usize = 25;
    let server = serve();
    let installation = Installation::from_env().unwrap();
    let session = caller(&installation, Some((1000, 900))).unwrap();
    let other = callee(&installation).unwrap();
    let [page, far] = [&session, &other].map(|end| {
        let page = end.open(&server.url(PATH)).unwrap();
        page.evaluate_within("begin({ audio: false, video: false })", PATIENCE).unwrap();
        page
    });
    page.evaluate("tileAll(); 0").unwrap();
    far.evaluate(&format!(
        "for (const track of colours({TILES})) pc.addTrack(track, new MediaStream([track])); 0"
    ))
    .unwrap();
    connect(&far, &page, false).unwrap();
    let all_play = format!(
        "[...document.querySelectorAll('video')].filter((tile) => tile.videoWidth > 0 && tile.readyState === 4).length === {TILES}"
    );
    page.wait_until(&all_play, PATIENCE).unwrap();
    let places = page
        .evaluate(
            "[...document.querySelectorAll('video')].map((tile) => { const { x, y, width, height } = tile.getBoundingClientRect(); \
             return [x + width / 2 + screenX + (outerWidth - innerWidth) / 2, \
               y + height / 2 + screenY + outerHeight - innerHeight - (outerWidth - innerWidth) / 2]; })",
        )
        .unwrap();
    let camera = session.screen().unwrap().camera().unwrap();
    let end = Instant::now() + PATIENCE;
    loop {
        let picture = camera.capture().unwrap();
        let wrong: Vec<usize> = (0..TILES)
            .filter(|at| {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "pixels of a small screen"
                )]
                let [x, y] = [0, 1].map(|axis| places[at][axis].as_f64().unwrap() as usize);
                let wanted = hue(*at as f64 / TILES as f64);
                let seen = picture.pixel(x, y).unwrap();
                seen.iter().zip(wanted).any(|(seen, wanted)| (f64::from(*seen) - wanted).abs() > 40.0)
            })
            .collect();
        if wrong.is_empty() {
            break;
        }
        if Instant::now() > end {
            picture.write_png(&std::env::temp_dir().join("tiles.png")).unwrap();
            panic!(
                "tiles {wrong:?} are not what the other end sends: tiles.png in the folder for temporary files"
            );
        }
        std::thread::park_timeout(Duration::from_millis(300));
    }
    if let Some(folder) = std::env::var_os("OFFSTAGE_SCREENSHOTS") {
        camera.capture().unwrap().write_png(&std::path::PathBuf::from(folder).join("tiles.png")).unwrap();
    }
    other.close();
    session.close();
}

/// CSS's `hsl(… 100% 40%)`, by the part of a turn.
fn hue(turn: f64) -> [f64; 3] {
    // CSS Color 4, section 7.1.
    [0.0, 8.0, 4.0].map(|n: f64| {
        let k = (n + turn * 12.0) % 12.0;
        255.0 * (0.4 - 0.4 * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0))
    })
}

/// What a page finds of an interface, as far as it can be told: names, kinds, lengths, texts.
const REFLECTION: &str = "(() => { const out = {}; \
    for (const name of ['RTCPeerConnection', 'RTCRtpSender', 'RTCRtpReceiver', 'RTCRtpTransceiver', 'RTCDataChannel', 'RTCDTMFSender', \
      'RTCDtlsTransport', 'RTCIceTransport', 'RTCSctpTransport', 'RTCStatsReport', 'MediaStream', 'MediaStreamTrack', 'MediaDevices', \
      'MediaDeviceInfo', 'InputDeviceInfo', 'HTMLMediaElement', 'webkitRTCPeerConnection']) { \
      const Interface = window[name]; \
      const about = (value) => (typeof value !== 'function' ? typeof value : [value.name, value.length, Object.getOwnPropertyNames(value).sort().join(), \
        Function.prototype.toString.call(value)].join(' | ')); \
      const of = (object) => Object.fromEntries(Reflect.ownKeys(object).map((key) => { \
        const { value, get, set, ...rest } = Object.getOwnPropertyDescriptor(object, key); \
        return [String(key), [about(value), about(get), about(set), JSON.stringify(rest)]]; })); \
      out[name] = [about(Interface), of(Interface), of(Interface.prototype), Interface.prototype.constructor === Interface]; } \
    return out; })()";

#[test]
fn what_a_page_finds_of_the_interfaces_is_what_the_browser_has() {
    let server = serve();
    let (session, other) = ends();
    let found: Vec<Value> = [&session, &other]
        .map(|end| end.open(&server.url(PATH)).unwrap().evaluate(REFLECTION).unwrap())
        .into();
    for (name, native) in found[1].as_object().unwrap() {
        assert_eq!(&found[0][name], native, "{name}");
    }
    // And what they throw and give without a call.
    let probes = "(async () => { const out = []; const note = (run) => { try { out.push(String(run())); } catch (error) { out.push(`${error.name}: ${error.message}`); } }; \
        const later = async (run) => { try { out.push(String(await run())); } catch (error) { out.push(`${error.name}: ${error.message}`); } }; \
        note(() => new RTCPeerConnection({ iceServers: [{ urls: 'http://x' }] })); note(() => RTCPeerConnection()); \
        note(() => JSON.stringify(new RTCPeerConnection({ iceServers: [{ urls: 'stun:127.0.0.1:1' }], bundlePolicy: 'max-bundle' }).getConfiguration())); \
        const pc = new RTCPeerConnection(); note(() => Object.prototype.toString.call(pc)); note(() => pc instanceof RTCPeerConnection); \
        for (const name of ['signalingState', 'iceGatheringState', 'iceConnectionState', 'connectionState', 'localDescription', 'sctp']) note(() => pc[name]); \
        note(() => pc.addTrack()); note(() => pc.addTransceiver('x')); note(() => pc.addTransceiver('audio').direction); \
        note(() => pc.createDataChannel('x').readyState); note(() => pc.createDataChannel('y').send('z')); \
        await later(() => pc.setRemoteDescription()); await later(() => pc.setRemoteDescription({ type: 'answer', sdp: '' })); \
        await later(() => pc.addIceCandidate({ candidate: 'x', sdpMid: '0' })); await later(() => pc.createAnswer()); \
        await later(async () => (await pc.createOffer()).constructor.name); await later(async () => (await pc.getStats()).constructor.name); \
        await later(() => navigator.mediaDevices.getUserMedia()); await later(() => navigator.mediaDevices.getUserMedia({})); \
        await later(async () => { const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true }); \
          return [stream, ...stream.getTracks()].map((one) => [String(one), Object.getPrototypeOf(one).constructor.name, one.kind, one.label, one.readyState, one.enabled, one.muted, \
            Object.keys(one.getSettings?.() ?? {}), Object.keys(one.getCapabilities?.() ?? {}), JSON.stringify(one.getConstraints?.())].join(' ')).join('; '); }); \
        await later(async () => (await navigator.mediaDevices.enumerateDevices()).map((one) => [String(one), one.constructor.name, one.kind, one.label].join(' ')).join('; ')); \
        await later(() => navigator.mediaDevices.getUserMedia({ video: { deviceId: { exact: 'none' } } })); \
        pc.close(); note(() => [pc.signalingState, pc.iceConnectionState, pc.connectionState].join()); await later(() => pc.createOffer()); note(() => pc.addTransceiver('audio')); \
        return out; })()";
    let [here, there] = [&session, &other]
        .map(|end| end.open(&server.url(PATH)).unwrap().evaluate_within(probes, PATIENCE).unwrap());
    let lines = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(lines(&here), lines(&there));
    other.close();
    session.close();
}

/// Waits until a page's number satisfies; what it was last is told.
pub(crate) fn seen(page: &Page, what: &str, script: &str, is_right: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = page.evaluate_within(script, PATIENCE).unwrap();
        if is_right(&found) {
            return found;
        }
        assert!(Instant::now() < end, "{what}: {found}");
    }
}

fn hertz(from: f64, to: f64) -> impl Fn(&Value) -> bool {
    move |found| {
        (from..to).contains(&found["hertz"].as_f64().unwrap()) && found["level"].as_f64() > Some(-70.0)
    }
}

pub(crate) fn reddish(colour: &Value) -> bool {
    let [red, green, blue] = [0, 1, 2].map(|at| colour[at].as_f64().unwrap());
    red > 180.0 && green < 60.0 && blue < 60.0
}

/// Chromium's fake camera.
fn greenish(colour: &Value) -> bool {
    let [red, green, blue] = [0, 1, 2].map(|at| colour[at].as_f64().unwrap());
    green > 100.0 && green > red + 40.0 && green > blue + 40.0
}

#[test]
fn what_the_page_makes_is_sent_and_what_it_reads_of_a_call_is_real() {
    let server = serve();
    let (session, other) = ends();
    let [here, there] = [&session, &other].map(|end| end.open(&server.url(PATH)).unwrap());
    // The session's page sends what it makes; the other end sends its devices.
    here.evaluate_within("begin({ make: homemade })", PATIENCE).unwrap();
    there.evaluate_within("begin()", PATIENCE).unwrap();
    connect(&here, &there, false).unwrap();
    there.wait_until("theirs.videoWidth === 320", PATIENCE).unwrap();
    seen(&there, "the picture that the page makes", "colour(theirs)", reddish);
    seen(&there, "the tone that the page makes", "tone()", hertz(950.0, 1050.0));
    // And it reads what it gets.
    seen(&here, "the picture that comes", "colour(theirs)", greenish);
    seen(&here, "the beep that comes", "tone()", hertz(TONE - 15.0, TONE + 15.0));
    let recorded = seen(&here, "a recording", "recorded(theirs.srcObject)", |found| {
        found["loudest"].as_f64() > Some(0.01)
    });
    assert!(
        recorded["is"] == true && recorded["width"] == 640 && greenish(&recorded["colour"]),
        "{recorded}"
    );
    // Its own microphone and camera, too.
    here.evaluate_within("navigator.mediaDevices.getUserMedia({ audio: PLAIN_SOUND, video: true }).then((stream) => { own.srcObject = stream; })", PATIENCE)
        .unwrap();
    seen(&here, "the page's own beep", "tone(own.srcObject)", hertz(TONE - 15.0, TONE + 15.0));
    seen(&here, "the page's own picture", "colour(own)", greenish);
    assert_eq!(session.status().unwrap()["connections"], 1);
    other.close();
    session.close();
}

#[test]
fn pages_that_look_for_the_published_contract_find_it_where_policy_says_so() {
    let server = serve();
    let managed = json!({ "callsAllSites": true, "callsContract": true });
    let mut session = caller_by(&Installation::from_env().unwrap(), None, managed).unwrap();
    let page = session.open(&server.url(PATH)).unwrap();
    page.wait_until("navigator.mediaDevices.isCallRedirectionEnabled === true", PATIENCE).unwrap();
    let look = "(() => { const { isCallRedirectionEnabled, mmrClientVersion, mmrHostVersion, mmrExtensionVersion, activityId, connectionId } = navigator.mediaDevices; \
        const guid = (text) => /^\\{[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\\}$/.test(text); \
        window.id ??= connectionId; return [isCallRedirectionEnabled, mmrClientVersion, mmrHostVersion, mmrExtensionVersion, guid(activityId), guid(connectionId), connectionId === id, \
        Object.getOwnPropertySymbols(window).length]; })()";
    let version = session.status().unwrap()["client"].clone();
    let expected = |same: bool| json!([true, version, version, version, true, true, same, 0]);
    assert_eq!(page.evaluate(look).unwrap(), expected(true));
    page.evaluate(
        "window.told = []; navigator.mediaDevices.addEventListener('rdpClientConnectionStateChanged', (event) => told.push([event.detail.state, navigator.mediaDevices.isCallRedirectionEnabled])); 0",
    )
    .unwrap();
    session.kill_client();
    page.wait_until("told.length === 1", PATIENCE).unwrap();
    session.start_client().unwrap();
    page.wait_until("told.length === 2", PATIENCE).unwrap();
    assert_eq!(page.evaluate("told").unwrap(), json!([["disconnected", false], ["connected", true]]));
    assert_eq!(page.evaluate(look).unwrap(), expected(false));
    // It is a property as any: the documented example sets one.
    let set = "navigator.mediaDevices.isCallRedirectionEnabled = 7; navigator.mediaDevices.mmrConsoleLoggingEnabled = true; navigator.mediaDevices.isCallRedirectionEnabled";
    assert_eq!(page.evaluate(set).unwrap(), 7);
    // By default there is nothing of it.
    session.close();
    let session = caller(&Installation::from_env().unwrap(), None).unwrap();
    let page = session.open(&server.url(PATH)).unwrap();
    let own = "[...Object.getOwnPropertyNames(navigator.mediaDevices), 'mmrClientVersion' in navigator.mediaDevices, Object.getOwnPropertySymbols(window).length]";
    assert_eq!(page.evaluate(own).unwrap(), json!([false, 0]));
    session.close();
}

#[test]
fn a_call_that_the_page_encrypts_is_the_sessions_with_the_devices_microphone_and_camera() {
    let server = serve();
    let (session, other) = ends();
    let [here, there] = [&session, &other].map(|end| {
        let page = end.open(&server.url(PATH)).unwrap();
        page.evaluate_within("begin()", PATIENCE).unwrap();
        page
    });
    here.evaluate("transform(); 0").unwrap();
    connect(&here, &there, false).unwrap();
    there.wait_until("theirs.videoWidth === 640", PATIENCE).unwrap();
    seen(&there, "the device's camera", "colour(theirs)", greenish);
    seen(&there, "the device's microphone", "tone()", hertz(TONE - 15.0, TONE + 15.0));
    assert_eq!(session.status().unwrap()["connections"], 0);
    let title = session
        .evaluate_in_worker(
            "chrome.tabs.query({ active: true }).then(([tab]) => chrome.action.getTitle({ tabId: tab.id }))",
        )
        .unwrap();
    assert!(title.as_str().unwrap().contains("OFS-1511"), "{title}");
    // One that is under way is lost; the next one is the session's.
    let [here, there] = calling(&session, &other, &server.url(PATH));
    assert_eq!(session.status().unwrap()["connections"], 1);
    here.evaluate("transform(); 0").unwrap();
    here.wait_until("pc.connectionState === 'failed'", PATIENCE).unwrap();
    for page in [&here, &there] {
        page.evaluate_within("pc.close(); theirs.srcObject = null; begin()", PATIENCE).unwrap();
    }
    here.evaluate("transform(); 0").unwrap();
    connect(&here, &there, false).unwrap();
    there.wait_until("theirs.videoWidth === 640", PATIENCE).unwrap();
    assert_eq!(session.status().unwrap()["connections"], 0);
    other.close();
    session.close();
}

/// What pages do with a transceiver while they hear of its track is before the answer, at both ends.
#[test]
fn a_page_answers_with_what_it_sets_as_it_hears_of_a_track() {
    let server = serve();
    let (session, other) = ends();
    let [page, far] = [&session, &other].map(|end| end.open(&server.url(PATH)).unwrap());
    far.evaluate_within("begin({ audio: false })", PATIENCE).unwrap();
    page.evaluate_within("begin({ audio: false, video: false })", PATIENCE).unwrap();
    page.evaluate("pc.ontrack = ({ transceiver }) => { transceiver.direction = 'sendrecv'; \
         transceiver.setCodecPreferences(RTCRtpReceiver.getCapabilities('video').codecs.filter(({ mimeType }) => mimeType === 'video/VP9')); \
         transceiver.sender.replaceTrack(homemade().getVideoTracks()[0]); }; 0").unwrap();
    connect(&far, &page, false).unwrap();
    seen(&far, "what the page has put in", "colour(own)", greenish);
    far.wait_until("pc.getTransceivers()[0].currentDirection === 'sendrecv'", PATIENCE).unwrap();
    far.evaluate("theirs.srcObject = new MediaStream([pc.getReceivers()[0].track]); 0").unwrap();
    seen(&far, "what the page has put in", "colour(theirs)", reddish);
    assert_eq!(
        page.evaluate("['VP8', 'VP9'].map((name) => pc.localDescription.sdp.includes(name))").unwrap(),
        json!([false, true])
    );
    assert_eq!(session.status().unwrap()["connections"], 1);
    other.close();
    session.close();
}

/// A file of 50 MB, as fast as it goes, beside a call that goes on.
#[test]
fn a_large_file_arrives_whole_over_a_data_channel() {
    const PIECES: u32 = 800;
    let server = serve();
    let (session, other) = ends();
    let [page, far] = calling(&session, &other, &server.url(PATH));
    page.evaluate(
        "globalThis.pieces = 0; globalThis.wrong = 0; channel.onmessage = ({ data }) => { \
         if (data.byteLength !== 65536 || new Uint32Array(data)[0] !== pieces) wrong++; pieces++; }; 0",
    )
    .unwrap();
    far.evaluate(&format!("(async () => {{ for (let i = 0; i < {PIECES}; i++) {{ \
         while (channel.bufferedAmount > 4000000) await new Promise((resolve) => {{ setTimeout(resolve, 5); }}); \
         const piece = new Uint32Array(16384); piece[0] = i; channel.send(piece); }} }})(); 0")).unwrap();
    page.wait_until(&format!("pieces === {PIECES}"), PATIENCE).unwrap();
    assert_eq!(
        page.evaluate("[wrong, channel.readyState, pc.connectionState]").unwrap(),
        json!([0, "open", "connected"])
    );
    assert_eq!(session.status().unwrap()["connections"], 1);
    other.close();
    session.close();
}

#[test]
fn certificates_and_codecs_are_the_devices() {
    let server = serve();
    let installation = Installation::from_env().unwrap();
    // A device that sends FlexFEC, which the session does not.
    let more = [
        "--allow-loopback-in-peer-connection",
        "--disable-features=WebRtcHideLocalIpsWithMdns",
        "--force-fieldtrials=WebRTC-FlexFEC-03-Advertised/Enabled/",
    ];
    let options = SessionOptions {
        sites: Some(Vec::new()),
        managed: Some(json!({ "callsAllSites": true })),
        client_args: more
            .iter()
            .flat_map(|argument| ["--engine-arg".to_owned(), (*argument).to_owned()])
            .collect(),
        ..SessionOptions::default()
    };
    let session = Session::start(&installation, options).unwrap();
    session.wait_connected(PATIENCE).unwrap();
    let other = callee(&installation).unwrap();
    let [page, far] = [&session, &other].map(|end| end.open(&server.url(PATH)).unwrap());
    let names = "(Interface, kind) => [...new Set(Interface.getCapabilities(kind).codecs.map(({ mimeType }) => mimeType))]";
    page.evaluate(&format!(
        "globalThis.names = {names}; globalThis.before = names(RTCRtpSender, 'video'); 0"
    ))
    .unwrap();
    page.wait_until("names(RTCRtpSender, 'video').includes('video/flexfec-03')", PATIENCE).unwrap();
    assert_eq!(page.evaluate("[!before.includes('video/flexfec-03'), names(RTCRtpReceiver, 'audio').includes('audio/opus'), RTCRtpSender.getCapabilities('smell')]").unwrap(), json!([true, true, null]));
    let make = "Promise.all([{ name: 'ECDSA', namedCurve: 'P-256' }, { name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256', expires: 90000000 }].map((how) => RTCPeerConnection.generateCertificate(how)))\
         .then((made) => { globalThis.made = made; return made.map((one) => [one instanceof RTCCertificate, one.expires - Date.now() < 100000000, one.getFingerprints().length]); })";
    assert_eq!(page.evaluate_within(make, PATIENCE).unwrap(), json!([[true, false, 1], [true, true, 1]]));
    for (at, peer) in [&far, &far].into_iter().enumerate() {
        page.evaluate_within(
            &format!("begin({{ make: () => homemade(), config: {{ certificates: [made[{at}]] }} }})"),
            PATIENCE,
        )
        .unwrap();
        page.evaluate("{ const all = pc.getTransceivers(); all.find(({ sender }) => sender.track.kind === 'video').setCodecPreferences(RTCRtpReceiver.getCapabilities('video').codecs.filter(({ mimeType }) => mimeType === 'video/VP9')); } 0").unwrap();
        peer.evaluate_within("begin({ audio: false, video: false })", PATIENCE).unwrap();
        connect(&page, peer, false).unwrap();
        let shown = format!(
            "(() => {{ const [{{ algorithm, value }}] = made[{at}].getFingerprints(); return [pc.localDescription.sdp.includes(`a=fingerprint:${{algorithm}} ${{value.toUpperCase()}}`), pc.localDescription.sdp.includes('H264'), pc.localDescription.sdp.includes('VP9')]; }})()"
        );
        assert_eq!(page.evaluate(&shown).unwrap(), json!([true, false, true]), "certificate {at}");
        seen(peer, "what the page makes", "colour(theirs)", reddish);
        assert_eq!(session.status().unwrap()["connections"], 1);
        page.evaluate("pc.close(); 0").unwrap();
    }
    // One of before the device was there is unknown to it: its calls stay in the session.
    let wrong = "RTCPeerConnection.generateCertificate({ name: 'ECDSA', namedCurve: 'P-1' }).then(() => '', ({ name }) => name)";
    assert_eq!(page.evaluate_within(wrong, PATIENCE).unwrap(), "NotSupportedError");
    other.close();
    session.close();
}

#[test]
fn a_share_of_the_sessions_screen_is_sent_by_the_device() {
    let server = serve();
    let (session, other) = ends();
    let [here, there] = [&session, &other].map(|end| end.open(&server.url(PATH)).unwrap());
    there.evaluate_within("begin()", PATIENCE).unwrap();
    let share = "document.body.style.background = 'red'; document.body.style.height = '100vh'; for (const video of [own, theirs]) video.style.display = 'none'; \
        let stream; navigator.mediaDevices.getDisplayMedia({ video: true, preferCurrentTab: true }).then((shared) => { stream = shared; return begin({ make: () => stream }); })";
    here.evaluate_within(share, PATIENCE).unwrap();
    connect(&here, &there, false).unwrap();
    seen(&there, "the session's page", "colour(theirs)", reddish);
    assert_eq!(session.status().unwrap()["connections"], 1);
    other.close();
    session.close();
}
