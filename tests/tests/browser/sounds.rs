//! Microphones and outputs that are plugged in and taken out, and what sounds at which of them: a real sound server, whose outputs are recorded.

use std::time::{Duration, Instant};

use offstage_tests::calls::{TONE, callee, caller_with, connect, wav};
use offstage_tests::cdp::Page;
use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session};
use offstage_tests::sounds::{Sounds, microphone_name};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(40);
const PATH: &str = "/pages/call.html";
/// The output that a sound server has without being told.
const FIRST: &str = "speakers";
/// What a page can learn of the device's microphones and outputs, by their names.
const LISTED: &str = "navigator.mediaDevices.enumerateDevices().then((all) => all.filter(({ deviceId }) => deviceId !== 'default').map(({ kind, label }) => `${kind} ${label}`).sort())";

/// The device's sound server and the session's; and a session whose calls go there.
fn start(managed: Value) -> (Sounds, Sounds, Session) {
    let installation = Installation::from_env().unwrap();
    let programs = installation.programs();
    let [device, here] = [Sounds::start(programs).unwrap(), Sounds::start(programs).unwrap()];
    device.plug_output("headset").unwrap();
    let session = caller_with(&installation, &device, &here, managed).unwrap();
    (device, here, session)
}

/// The tests' pages, and a file of sound for each frequency: /tones/600.wav.
fn serve() -> Server {
    Server::start(|request| match request.path.trim_start_matches('/').split_once('/') {
        Some(("pages", file)) => {
            Response::file(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pages").as_ref(), file)
        }
        Some(("tones", file)) => {
            let hertz = file.trim_end_matches(".wav").parse().unwrap_or(0.0);
            Response::new("audio/wav", wav(hertz))
        }
        _ => Response::not_found(),
    })
    .unwrap()
}

fn listed(microphones: &[u32]) -> Value {
    let microphones = microphones.iter().map(|hertz| format!("audioinput {}", microphone_name(*hertz)));
    let outputs = ["audiooutput Speakers", "audiooutput headset"].map(str::to_owned);
    microphones.chain(outputs).collect::<Vec<_>>().into()
}

fn output(name: &str) -> String {
    format!(
        "navigator.mediaDevices.enumerateDevices().then((all) => all.find(({{ kind, label }}) => kind === 'audiooutput' && label === '{name}').deviceId)"
    )
}

fn sound_at(page: &Page, what: &str, name: &str) {
    let set = format!(
        "(async () => {{ const id = await {}; await {what}.setSinkId(id); return {what}.sinkId === id; }})()",
        output(name)
    );
    assert_eq!(page.evaluate_within(&set, PATIENCE).unwrap(), true, "{what} at {name}");
}

#[test]
fn what_is_plugged_in_and_taken_out_in_a_call_is_seen_and_heard() {
    let (device, here, session) = start(json!({ "callsAllSites": true }));
    let desk = device.plug_microphone(700).unwrap();
    let other = callee(&Installation::from_env().unwrap()).unwrap();
    let server = serve();
    let page = session.open(&server.url(PATH)).unwrap();
    // The microphone by its name, as a page that lets people choose takes it: what is "default" goes over to another one.
    let chosen = "navigator.mediaDevices.getUserMedia({ audio: true }).then(async (stream) => { for (const track of stream.getTracks()) track.stop(); \
         const all = await navigator.mediaDevices.enumerateDevices(); const { deviceId } = all.find(({ kind, label }) => kind === 'audioinput' && label.startsWith('Sine')); \
         await begin({ audio: { ...PLAIN_SOUND, deviceId: { exact: deviceId } }, video: false }); })";
    page.evaluate_within(chosen, PATIENCE).unwrap();
    assert_eq!(page.evaluate_within(LISTED, PATIENCE).unwrap(), listed(&[700]));
    let far = other.open(&server.url(PATH)).unwrap();
    far.evaluate_within("begin({ video: false })", PATIENCE).unwrap();
    connect(&page, &far, false).unwrap();
    // What is on its way, or waits in the far end's buffer, is heard first: three seconds of this tone alone are waited for.
    let hears = |hertz: f64| {
        let end = Instant::now() + PATIENCE;
        loop {
            let tone = far.evaluate_within("tone()", PATIENCE).unwrap();
            if (tone["hertz"].as_f64().unwrap() - hertz).abs() < 15.0 {
                break;
            }
            assert!(Instant::now() < end, "{hertz} Hz is not heard, but {tone}");
        }
    };
    hears(700.0);
    device.wait_tone(FIRST, Some(TONE)).unwrap();
    // The call at the headset, its ringtone at the speakers.
    sound_at(&page, "theirs", "headset");
    device.wait_tone("headset", Some(TONE)).unwrap();
    device.wait_tone(FIRST, None).unwrap();
    page.evaluate_within(
        "globalThis.ring = Object.assign(new Audio('/tones/600.wav'), { loop: true }); ring.play()",
        PATIENCE,
    )
    .unwrap();
    sound_at(&page, "ring", "Speakers");
    device.wait_tone(FIRST, Some(600.0)).unwrap();
    device.wait_tone("headset", Some(TONE)).unwrap();
    page.evaluate("ring.pause(); 0").unwrap();
    device.wait_tone(FIRST, None).unwrap();
    // One microphone more, and then the one in use less.
    page.evaluate("log.length = 0; navigator.mediaDevices.ondevicechange = () => log.push('devicechange'); own.srcObject.getTracks()[0].onended = () => log.push('ended'); 0").unwrap();
    device.plug_microphone(900).unwrap();
    page.wait_until("log.includes('devicechange')", PATIENCE).unwrap();
    let all = page.evaluate_within(LISTED, PATIENCE).unwrap();
    assert_eq!(all, listed(&[700, 900]));
    page.evaluate("log.length = 0; 0").unwrap();
    device.unplug(&desk).unwrap();
    page.wait_until("log.includes('devicechange') && log.includes('ended') && own.srcObject.getTracks()[0].readyState === 'ended'", PATIENCE).unwrap();
    assert_eq!(
        page.evaluate("[pc.connectionState, pc.getSenders()[0].track.readyState]").unwrap(),
        json!(["connected", "ended"])
    );
    let all = page.evaluate_within(LISTED, PATIENCE).unwrap();
    assert_eq!(all, listed(&[900]));
    // The page takes the other one; the call goes on all the time.
    let exchange = "navigator.mediaDevices.getUserMedia({ audio: PLAIN_SOUND }).then((stream) => pc.getSenders()[0].replaceTrack(stream.getTracks()[0]))";
    page.evaluate_within(exchange, PATIENCE).unwrap();
    hears(900.0);
    device.wait_tone("headset", Some(TONE)).unwrap();
    assert_eq!(here.tone(FIRST).unwrap(), None);
    other.close();
    session.close();
}

#[test]
fn what_the_session_sounds_is_heard_at_the_devices_output_that_the_page_names() {
    let (device, here, mut session) = start(json!({ "callsAllSites": true }));
    device.plug_microphone(700).unwrap();
    let server = serve();
    let page = session.open(&server.url(PATH)).unwrap();
    page.evaluate_within("navigator.mediaDevices.getUserMedia({ audio: true }).then(() => 0)", PATIENCE)
        .unwrap();
    let tone = "(hertz, context, to) => { const tone = context.createOscillator(); tone.frequency.value = hertz; tone.connect(to ?? context.destination); tone.start(); return tone; }";
    page.evaluate(&format!("globalThis.sounding = {tone}; 0")).unwrap();
    // WebAudio, on its way and from its beginning on.
    page.evaluate("globalThis.first = new AudioContext(); sounding(300, first); first.onsinkchange = () => log.push('sinkchange'); 0").unwrap();
    here.wait_tone(FIRST, Some(300.0)).unwrap();
    sound_at(&page, "first", "headset");
    device.wait_tone("headset", Some(300.0)).unwrap();
    here.wait_tone(FIRST, None).unwrap();
    sound_at(&page, "first", "Speakers");
    device.wait_tone(FIRST, Some(300.0)).unwrap();
    device.wait_tone("headset", None).unwrap();
    assert_eq!(page.evaluate("log.filter((what) => what === 'sinkchange').length").unwrap(), 2);
    let gone = "first.setSinkId('no such output').then(() => 'done', ({ name }) => name)";
    assert_eq!(page.evaluate_within(gone, PATIENCE).unwrap(), "NotFoundError");
    page.evaluate_within("first.setSinkId('')", PATIENCE).unwrap();
    here.wait_tone(FIRST, Some(300.0)).unwrap();
    device.wait_tone(FIRST, None).unwrap();
    page.evaluate_within("first.close()", PATIENCE).unwrap();
    let begin = format!(
        "{}.then((sinkId) => {{ globalThis.second = new AudioContext({{ sinkId }}); const one = sounding(500, second); globalThis.two = sounding(800, second); one.disconnect(); }})",
        output("headset")
    );
    page.evaluate_within(&begin, PATIENCE).unwrap();
    device.wait_tone("headset", Some(800.0)).unwrap();
    page.evaluate("two.disconnect(second.destination); 0").unwrap();
    device.wait_tone("headset", None).unwrap();
    // A stream of the page's making in an element.
    page.evaluate("globalThis.third = new AudioContext(); globalThis.made = third.createMediaStreamDestination(); sounding(1000, third, made); globalThis.player = new Audio(); player.srcObject = made.stream; player.play()").unwrap();
    here.wait_tone(FIRST, Some(1000.0)).unwrap();
    sound_at(&page, "player", "headset");
    device.wait_tone("headset", Some(1000.0)).unwrap();
    here.wait_tone(FIRST, None).unwrap();
    assert_eq!(
        page.evaluate("[player.srcObject === made.stream, player.muted, player.paused]").unwrap(),
        json!([true, false, false])
    );
    page.evaluate("player.pause(); 0").unwrap();
    device.wait_tone("headset", None).unwrap();
    // A file that the session has; what the page asks of it is true for it.
    page.evaluate_within("fetch('/tones/600.wav').then((file) => file.blob()).then((blob) => { globalThis.ring = Object.assign(new Audio(URL.createObjectURL(blob)), { loop: true }); ring.onvolumechange = () => log.push(`muted ${ring.muted}`); log.length = 0; return ring.play(); })", PATIENCE).unwrap();
    here.wait_tone(FIRST, Some(600.0)).unwrap();
    sound_at(&page, "ring", "headset");
    device.wait_tone("headset", Some(600.0)).unwrap();
    here.wait_tone(FIRST, None).unwrap();
    assert_eq!(page.evaluate("[ring.muted, ...log]").unwrap(), json!([false]));
    page.evaluate("ring.muted = true; 0").unwrap();
    device.wait_tone("headset", None).unwrap();
    page.wait_until("log.join() === 'muted true'", PATIENCE).unwrap();
    page.evaluate("ring.muted = false; 0").unwrap();
    device.wait_tone("headset", Some(600.0)).unwrap();
    // Without the device the session sounds it all.
    session.kill_client();
    here.wait_tone(FIRST, Some(600.0)).unwrap();
    assert_eq!(page.evaluate("[ring.sinkId, ring.muted, second.sinkId]").unwrap(), json!(["", false, ""]));
    session.close();
}

#[test]
fn what_plays_on_the_device_sounds_at_the_output_that_the_page_names() {
    let (device, here, session) = start(json!({ "callsAllSites": true, "videoAllSites": true }));
    device.plug_microphone(700).unwrap();
    let server = serve();
    let page = session.open(&server.url(PATH)).unwrap();
    page.evaluate_within("navigator.mediaDevices.getUserMedia({ audio: true }).then(() => 0)", PATIENCE)
        .unwrap();
    page.evaluate_within(
        "globalThis.film = Object.assign(new Audio('/tones/400.wav'), { loop: true }); film.play()",
        PATIENCE,
    )
    .unwrap();
    device.wait_tone(FIRST, Some(400.0)).unwrap();
    sound_at(&page, "film", "headset");
    device.wait_tone("headset", Some(400.0)).unwrap();
    device.wait_tone(FIRST, None).unwrap();
    // An output that was chosen before the file is on the device.
    page.evaluate_within(
        "film.pause(); globalThis.next = Object.assign(new Audio(), { loop: true }); 0",
        PATIENCE,
    )
    .unwrap();
    sound_at(&page, "next", "headset");
    page.evaluate_within("next.src = '/tones/1100.wav'; next.play()", PATIENCE).unwrap();
    device.wait_tone("headset", Some(1100.0)).unwrap();
    page.wait_until("next.muted === false && next.sinkId !== ''", PATIENCE).unwrap();
    assert_eq!(here.tone(FIRST).unwrap(), None);
    page.evaluate_within("next.setSinkId('')", PATIENCE).unwrap();
    device.wait_tone(FIRST, Some(1100.0)).unwrap();
    device.wait_tone("headset", None).unwrap();
    session.close();
}
