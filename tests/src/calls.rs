//! Calls between two browsers: the person's session, redirected or not, and a plain one at the other end.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cdp::Page;
use crate::process::{cpu_seconds_of_tree, udp_sockets_of_tree};
use crate::session::{Installation, Session, SessionOptions};

const PATIENCE: Duration = Duration::from_secs(40);
/// How long a call is looked at once it is up.
const LOOK: Duration = Duration::from_secs(5);
/// Chromium's fake camera.
const FAKE_SIZE: [u32; 2] = [640, 480];

/// Devices that beep and show a moving picture, and connections over the loopback interface.
pub const DEVICES: [&str; 5] = [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
];

/// What the fake microphones sound, in Hz.
pub const TONE: f64 = 440.0;

/// The argument for a microphone that sounds without end.
fn microphone() -> Result<String> {
    const RATE: u32 = 48_000;
    let samples = (0..RATE).flat_map(|at| {
        let phase = f64::from(at) * TONE * std::f64::consts::TAU / f64::from(RATE);
        #[expect(clippy::cast_possible_truncation, reason = "a sample of 16 bits")]
        let sample = (phase.sin() * 12_000.0) as i16;
        sample.to_le_bytes()
    });
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + RATE * 2).to_le_bytes());
    file.extend(b"WAVEfmt ");
    // PCM, one channel; bytes a second, bytes and bits of a sample.
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0, 1, 0]);
    file.extend(RATE.to_le_bytes());
    file.extend((RATE * 2).to_le_bytes());
    file.extend([2, 0, 16, 0]);
    file.extend(b"data");
    file.extend((RATE * 2).to_le_bytes());
    file.extend(samples);
    // One second holds whole periods, so that it goes on without a click.
    let path = std::env::temp_dir().join(format!("offstage-tone-{}.wav", std::process::id()));
    std::fs::write(&path, file)?;
    Ok(format!("--use-file-for-fake-audio-capture={}", path.display()))
}

/// A call.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub audio: bool,
    pub video: bool,
    pub channel: bool,
    /// The session's page is called: it answers.
    pub is_called: bool,
    /// The other end's browser is redirected, too.
    pub both: bool,
}

const PLAIN: Scenario =
    Scenario { name: "", audio: true, video: true, channel: false, is_called: false, both: false };

/// What `cargo xtask calls` runs, each natively and redirected.
pub const SCENARIOS: [Scenario; 5] = [
    Scenario { name: "page to page, sound", video: false, ..PLAIN },
    Scenario { name: "page to page, sound and picture", ..PLAIN },
    Scenario { name: "page to page, called", is_called: true, ..PLAIN },
    Scenario { name: "page to page, both ends", both: true, ..PLAIN },
    Scenario { name: "page to page, data", audio: false, video: false, channel: true, ..PLAIN },
];

/// What came of a call.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub scenario: &'static str,
    pub redirected: bool,
    /// `ok`, or what went wrong.
    pub status: String,
    /// What was seen and heard at the other end.
    pub verified: Vec<String>,
    /// UDP sockets of the session's browser beyond those that it had before.
    pub session_udp_sockets: usize,
    /// Bytes that the session's own connections have sent and received.
    pub session_bytes: f64,
    /// From the first line of the page's script to `connected`.
    pub setup_ms: f64,
    /// Cores that the session's browser used during the call.
    pub session_cpu: f64,
}

/// A session whose calls go to the device, which has fake devices and asks nobody.
pub fn caller(installation: &Installation, screen: Option<(u16, u16)>) -> Result<Session> {
    caller_by(installation, screen, json!({ "callsAllSites": true }))
}

/// The same with other settings of the administrator's.
pub fn caller_by(installation: &Installation, screen: Option<(u16, u16)>, managed: Value) -> Result<Session> {
    let devices = DEVICES.iter().map(|argument| (*argument).to_owned()).chain([microphone()?]);
    let arguments = devices.flat_map(|argument| ["--engine-arg".to_owned(), argument]);
    let options = SessionOptions {
        headless: screen.is_none(),
        screen,
        sites: Some(Vec::new()),
        managed: Some(managed),
        client_args: arguments.collect(),
        // A page that shares itself asks nobody.
        browser_args: vec!["--auto-accept-this-tab-capture".to_owned()],
        ..SessionOptions::default()
    };
    let session = Session::start(installation, options)?;
    session.wait_connected(PATIENCE)?;
    session.set_device(&json!({ "capture": "allow" }))?;
    Ok(session)
}

/// A plain browser with fake devices.
pub fn callee(installation: &Installation) -> Result<Session> {
    let options = SessionOptions {
        redirect: false,
        browser_args: DEVICES.iter().map(|argument| (*argument).to_owned()).chain([microphone()?]).collect(),
        ..SessionOptions::default()
    };
    Session::start(installation, options)
}

/// Brings two pages of `call.html` together: `from` calls.
pub fn connect(from: &Page, to: &Page, channel: bool) -> Result<()> {
    let offer = from.evaluate_within(&format!("offer({channel})"), PATIENCE)?;
    let answer = to.evaluate_within(&format!("answer({offer})"), PATIENCE)?;
    from.evaluate_within(&format!("accept({answer})"), PATIENCE)?;
    for page in [from, to] {
        page.wait_until("pc.connectionState === 'connected'", PATIENCE)?;
    }
    Ok(())
}

/// What a page's own, native connections have met and carried: pairs of candidates, and bytes. A frame's methods show it, whatever the
/// page's say.
pub fn on_the_wire(page: &Page) -> Result<Value> {
    page.evaluate(
        "(async () => { const frame = document.body.appendChild(document.createElement('iframe')); \
         const { RTCPeerConnection, RTCStatsReport } = frame.contentWindow; \
         const get = (name) => Object.getOwnPropertyDescriptor(RTCPeerConnection.prototype, name).get.call(pc); \
         const report = await RTCPeerConnection.prototype.getStats.call(pc); \
         let [candidates, bytes] = [0, 0]; \
         RTCStatsReport.prototype.forEach.call(report, (one) => { \
           if (one.type.includes('candidate')) candidates++; \
           if (one.type === 'transport') bytes += one.bytesSent + one.bytesReceived; }); \
         const state = get('connectionState'); frame.remove(); \
         return { state, candidates, bytes }; })()",
    )
}

/// Runs a call and looks at both ends.
pub fn run(session: &mut Session, other: &Session, url: &str, scenario: &Scenario, redirected: bool) -> Row {
    let mut row = Row {
        scenario: scenario.name,
        redirected,
        status: "ok".to_owned(),
        verified: Vec::new(),
        session_udp_sockets: 0,
        session_bytes: 0.0,
        setup_ms: 0.0,
        session_cpu: 0.0,
    };
    if let Err(error) = call(session, other, url, scenario, &mut row) {
        row.status = format!("{error:#}");
    }
    row
}

fn call(session: &mut Session, other: &Session, url: &str, scenario: &Scenario, row: &mut Row) -> Result<()> {
    let pid = session.browser().pid();
    let (here, there) = (session.open(url)?, other.open(url)?);
    let before = udp_sockets_of_tree(pid);
    let begin = format!("begin({{ audio: {}, video: {} }})", scenario.audio, scenario.video);
    let begun = Instant::now();
    for page in [&here, &there] {
        page.evaluate_within(&begin, PATIENCE)?;
    }
    let (from, to) = if scenario.is_called { (&there, &here) } else { (&here, &there) };
    connect(from, to, scenario.channel)?;
    row.setup_ms = begun.elapsed().as_secs_f64() * 1000.0;
    for (page, end) in [(&here, "here"), (&there, "there")] {
        verify(page, end, scenario, &mut row.verified)?;
    }
    if scenario.channel {
        for page in [&here, &there] {
            page.wait_until("channel?.readyState === 'open'", PATIENCE)?;
            page.evaluate("channel.send('hello'); channel.send(new Uint8Array([1, 2, 3])); 0")?;
        }
        for page in [&here, &there] {
            page.wait_until("heard.length === 2 && heard.join() === 'hello,1,2,3'", PATIENCE)?;
        }
        // More at once than the worker takes in a second.
        here.evaluate("for (let i = 0; i < 6000; i++) channel.send(`${i}`); 0")?;
        there.wait_until("heard.length >= 6002", PATIENCE)?;
        let in_order =
            there.evaluate("heard.length === 6002 && heard.slice(2).every((text, i) => text === `${i}`)")?;
        ensure!(in_order == true, "messages are lost or out of order");
        row.verified.push("text and bytes, both ways; 6000 messages in order".to_owned());
    }
    let (used, since) = (cpu_seconds_of_tree(pid), Instant::now());
    std::thread::park_timeout(LOOK);
    row.session_cpu = (cpu_seconds_of_tree(pid) - used) / since.elapsed().as_secs_f64();
    row.session_udp_sockets = udp_sockets_of_tree(pid).saturating_sub(before);
    let wire = on_the_wire(&here)?;
    row.session_bytes = wire["bytes"].as_f64().unwrap_or(0.0);
    if row.redirected {
        ensure!(
            wire == json!({ "state": "new", "candidates": 0, "bytes": 0 }),
            "the session is on the wire: {wire}"
        );
        let connections = session.status()?["connections"].clone();
        ensure!(connections == 1, "{connections} connections are on the device");
    }
    for page in [here, there] {
        page.evaluate("pc.close(); own.srcObject?.getTracks().forEach((track) => track.stop()); 0")?;
        page.close()?;
    }
    Ok(())
}

/// What an end sees and hears of the other one.
fn verify(page: &Page, end: &str, scenario: &Scenario, verified: &mut Vec<String>) -> Result<()> {
    if scenario.video {
        let [width, height] = FAKE_SIZE;
        let shown = format!(
            "theirs.videoWidth === {width} && theirs.videoHeight === {height} && theirs.readyState === 4 && own.videoWidth === {width}"
        );
        page.wait_until(&shown, PATIENCE).context("no picture is shown")?;
        page.wait_until("inbound().then((got) => got.video?.frames > 10)", PATIENCE)
            .context("no frames are decoded")?;
        verified.push(format!("{end}: {width}x{height}, frames decoded"));
    }
    if scenario.audio {
        page.wait_until("inbound().then((got) => got.audio?.energy > 0)", PATIENCE)
            .context("nothing is to be heard")?;
        let mut heard = format!("{end}: sound");
        // Only a plain browser's page has the samples.
        if end == "there" && !scenario.both {
            let tone = page.evaluate_within("tone()", PATIENCE)?;
            let hertz = tone["hertz"].as_f64().unwrap_or(0.0);
            ensure!((hertz - TONE).abs() < 15.0, "the microphone's tone is heard as {tone}");
            heard = format!("{heard} of {hertz:.0} Hz");
        }
        verified.push(heard);
    }
    Ok(())
}
