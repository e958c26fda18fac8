//! Calls between two browsers: the person's session, redirected or not, and a plain one at the other end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cdp::Page;
use crate::process::{cpu_seconds_of_tree, memory_bytes_of_tree, udp_sockets_of_tree};
use crate::server::{Response, Server};
use crate::session::{Installation, Session, SessionOptions};
use crate::sounds::Sounds;

mod interop;
mod lines;

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

/// A WAV file of one second, of whole periods: played again and again it has no click.
#[must_use]
pub fn wav(hertz: f64) -> Vec<u8> {
    const RATE: u32 = 48_000;
    let samples = (0..RATE).flat_map(|at| {
        let phase = f64::from(at) * hertz * std::f64::consts::TAU / f64::from(RATE);
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
    file
}

/// The argument for a microphone that sounds without end.
fn microphone() -> Result<String> {
    let path = std::env::temp_dir().join(format!("offstage-tone-{}.wav", std::process::id()));
    std::fs::write(&path, wav(TONE))?;
    Ok(format!("--use-file-for-fake-audio-capture={}", path.display()))
}

/// A call.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    /// The other end's browser is redirected, too.
    pub both: bool,
    how: How,
}

#[derive(Debug, Clone, Copy)]
enum How {
    /// Between two pages of `call.html`.
    Pages(Pages),
    /// Another course of a call between two pages.
    Own(fn(&mut Ends<'_>, &mut Row) -> Result<()>),
    /// What other people's programs take part in.
    Other(fn(&mut Ends<'_>, &mut Row) -> Result<()>),
}

#[derive(Debug, Clone, Copy)]
struct Pages {
    audio: bool,
    video: bool,
    channel: bool,
    /// The session's page is called: it answers.
    is_called: bool,
}

impl Scenario {
    /// Whether other people's programs take part.
    #[must_use]
    pub fn is_interop(&self) -> bool {
        matches!(self.how, How::Other(_))
    }
}

/// Who takes part in a call.
#[derive(Debug)]
pub struct Ends<'a> {
    /// The person's browser.
    pub session: &'a mut Session,
    /// A browser at the other end.
    pub other: &'a Session,
    /// The address of `call.html`.
    pub url: &'a str,
    pub redirected: bool,
}

const PLAIN: Pages = Pages { audio: true, video: true, channel: false, is_called: false };

const fn pages(name: &'static str, pages: Pages) -> Scenario {
    Scenario { name, both: false, how: How::Pages(pages) }
}

const fn own(name: &'static str, call: fn(&mut Ends<'_>, &mut Row) -> Result<()>) -> Scenario {
    Scenario { name, both: false, how: How::Own(call) }
}

const fn other(name: &'static str, call: fn(&mut Ends<'_>, &mut Row) -> Result<()>) -> Scenario {
    Scenario { name, both: false, how: How::Other(call) }
}

/// What `cargo xtask calls` runs, each natively and redirected.
pub const SCENARIOS: [Scenario; 15] = [
    pages("page to page, sound", Pages { video: false, ..PLAIN }),
    pages("page to page, sound and picture", PLAIN),
    pages("page to page, called", Pages { is_called: true, ..PLAIN }),
    Scenario { both: true, ..pages("page to page, both ends", PLAIN) },
    pages("page to page, data", Pages { audio: false, video: false, channel: true, ..PLAIN }),
    own("page to page, 720p", lines::large),
    own("page to page, 150 ms and 5 % loss", lines::bad_line),
    own("page to page, changes", lines::changes),
    other("adapter.js and old forms", interop::old_forms),
    other("TURN, relay only (coturn)", interop::relay),
    other("aiortc", interop::aiortc),
    other("conference (Janus)", interop::conference),
    other("simulcast (Janus)", interop::simulcast),
    other("telephone (JsSIP, kamailio, baresip)", interop::jssip),
    other("telephone (SIP.js, kamailio, baresip)", interop::sipjs),
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
    /// From the page's `enabled = true` to the first sound that the other end has decoded: the middle of five.
    pub audio_latency_ms: Option<f64>,
    /// Cores that the session's browser used during the call.
    pub session_cpu: f64,
    /// Memory that the session's browser has more than before the call, in 10^6 bytes, and the device's engine likewise.
    pub session_memory_mb: f64,
    pub device_memory_mb: f64,
}

/// Where the libraries of pages are that `cargo xtask calls` and `cargo xtask test` make, beside the folder of programs.
#[must_use]
pub fn clients_folder(programs: &Path) -> PathBuf {
    programs.with_file_name("calls").join("clients")
}

/// Serves the tests' pages under `/pages` and libraries for them under `/clients`.
pub fn serve(installation: &Installation) -> Result<Server> {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages");
    let clients = clients_folder(installation.programs());
    Server::start(move |request| match request.path.trim_start_matches('/').split_once('/') {
        Some(("clients", file)) => Response::file(&clients, file),
        Some(("pages", file)) => Response::file(&pages, file),
        _ => Response::not_found(),
    })
}

/// A session whose calls go to the device, which has fake devices and asks nobody.
pub fn caller(installation: &Installation, screen: Option<(u16, u16)>) -> Result<Session> {
    caller_by(installation, screen, json!({ "callsAllSites": true }))
}

/// The same with other settings of the administrator's.
pub fn caller_by(installation: &Installation, screen: Option<(u16, u16)>, managed: Value) -> Result<Session> {
    let options = SessionOptions {
        headless: screen.is_none(),
        screen,
        client_args: fake_devices()?
            .into_iter()
            .flat_map(|argument| ["--engine-arg".to_owned(), argument])
            .collect(),
        ..calling(managed)
    };
    begin(installation, options)
}

/// A session whose calls go to a device with microphones and outputs of this sound server, and no camera. What the session's own browser
/// sounds, another one has.
pub fn caller_with(
    installation: &Installation,
    device: &Sounds,
    session: &Sounds,
    managed: Value,
) -> Result<Session> {
    let devices = DEVICES[1..].iter().map(|argument| (*argument).to_owned());
    let mut options = calling(managed);
    options.client_args = devices.flat_map(|argument| ["--engine-arg".to_owned(), argument]).collect();
    options.client_environment = device.environment();
    options.environment = session.environment();
    options.browser_args.push("--autoplay-policy=no-user-gesture-required".to_owned());
    begin(installation, options)
}

fn calling(managed: Value) -> SessionOptions {
    SessionOptions {
        sites: Some(Vec::new()),
        managed: Some(managed),
        // A page that shares itself asks nobody.
        browser_args: vec!["--auto-accept-this-tab-capture".to_owned()],
        ..SessionOptions::default()
    }
}

fn begin(installation: &Installation, options: SessionOptions) -> Result<Session> {
    let session = Session::start(installation, options)?;
    session.wait_connected(PATIENCE)?;
    session.set_device(&json!({ "capture": "allow" }))?;
    Ok(session)
}

/// Arguments of a browser that give it fake devices, for which it asks nobody.
pub fn fake_devices() -> Result<Vec<String>> {
    Ok(DEVICES.iter().map(|argument| (*argument).to_owned()).chain([microphone()?]).collect())
}

/// A plain browser with fake devices.
pub fn callee(installation: &Installation) -> Result<Session> {
    let options =
        SessionOptions { redirect: false, browser_args: fake_devices()?, ..SessionOptions::default() };
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
pub fn run(ends: &mut Ends<'_>, scenario: &Scenario) -> Row {
    let mut row = Row {
        scenario: scenario.name,
        redirected: ends.redirected,
        status: "ok".to_owned(),
        verified: Vec::new(),
        session_udp_sockets: 0,
        session_bytes: 0.0,
        setup_ms: 0.0,
        audio_latency_ms: None,
        session_cpu: 0.0,
        session_memory_mb: 0.0,
        device_memory_mb: 0.0,
    };
    let done = match &scenario.how {
        How::Pages(pages) => call(ends, pages, scenario.both, &mut row),
        How::Own(call) | How::Other(call) => call(ends, &mut row),
    };
    if let Err(error) = done {
        row.status = format!("{error:#}");
    }
    row
}

/// What there was before a call.
struct Before {
    /// UDP sockets of the session's browser.
    sockets: usize,
    /// Bytes of memory of the session's browser, and of the device.
    memory: [u64; 2],
}

impl Before {
    fn of(ends: &Ends<'_>) -> Self {
        Self { sockets: udp_sockets_of_tree(ends.session.browser_pid()), memory: memory(ends) }
    }
}

fn memory(ends: &Ends<'_>) -> [u64; 2] {
    let device = ends.session.engine_pid().filter(|_| ends.redirected);
    [Some(ends.session.browser_pid()), device].map(|pid| pid.map_or(0, memory_bytes_of_tree))
}

/// Looks at the session during a call of `page`'s, which has `connections` of them.
fn look_at(ends: &Ends<'_>, page: &Page, connections: u32, before: &Before, row: &mut Row) -> Result<()> {
    let pid = ends.session.browser_pid();
    let (used, since) = (cpu_seconds_of_tree(pid), Instant::now());
    std::thread::park_timeout(LOOK);
    row.session_cpu = (cpu_seconds_of_tree(pid) - used) / since.elapsed().as_secs_f64();
    row.session_udp_sockets = udp_sockets_of_tree(pid).saturating_sub(before.sockets);
    let grown = memory(ends)
        .iter()
        .zip(before.memory)
        .map(|(now, before)| now.saturating_sub(before))
        .collect::<Vec<_>>();
    #[expect(clippy::cast_precision_loss, reason = "megabytes are shown")]
    let megabytes = |at: usize| grown.get(at).map_or(0.0, |bytes| *bytes as f64 / 1e6);
    (row.session_memory_mb, row.device_memory_mb) = (megabytes(0), megabytes(1));
    if row.redirected {
        let wire = on_the_wire(page)?;
        row.session_bytes = wire["bytes"].as_f64().unwrap_or(0.0);
        ensure!(
            wire == json!({ "state": "new", "candidates": 0, "bytes": 0 }),
            "the session is on the wire: {wire}"
        );
        let there = ends.session.status()?["connections"].clone();
        ensure!(there == connections, "{there} connections are on the device, not {connections}");
    } else {
        let bytes = "pc.getStats().then((stats) => [...stats.values()].filter((one) => one.type === 'transport')\
                     .reduce((sum, one) => sum + one.bytesSent + one.bytesReceived, 0))";
        row.session_bytes = page.evaluate(bytes)?.as_f64().unwrap_or(0.0);
    }
    Ok(())
}

fn call(ends: &Ends<'_>, scenario: &Pages, both: bool, row: &mut Row) -> Result<()> {
    let (here, there) = (ends.session.open(ends.url)?, ends.other.open(ends.url)?);
    let before = Before::of(ends);
    let begin = format!("begin({{ audio: {} && PLAIN_SOUND, video: {} }})", scenario.audio, scenario.video);
    let begun = Instant::now();
    for page in [&here, &there] {
        page.evaluate_within(&begin, PATIENCE)?;
    }
    let (from, to) = if scenario.is_called { (&there, &here) } else { (&here, &there) };
    connect(from, to, scenario.channel)?;
    row.setup_ms = begun.elapsed().as_secs_f64() * 1000.0;
    for (page, end) in [(&here, "here"), (&there, "there")] {
        verify(page, end, scenario, both, &mut row.verified)?;
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
    look_at(ends, &here, 1, &before, row)?;
    if scenario.audio && !scenario.video && !both {
        row.audio_latency_ms = Some(lines::latency(&here, &there)?);
    }
    for page in [here, there] {
        page.evaluate("pc.close(); own.srcObject?.getTracks().forEach((track) => track.stop()); 0")?;
        page.close()?;
    }
    Ok(())
}

/// Listens for a tone in what a page receives; answers its frequency in Hz.
fn hear(page: &Page, wanted: f64) -> Result<f64> {
    let tone = page.evaluate_within("tone()", PATIENCE)?;
    let hertz = tone["hertz"].as_f64().unwrap_or(0.0);
    ensure!((hertz - wanted).abs() < 15.0, "a tone of {wanted} Hz is heard as {tone}");
    Ok(hertz)
}

/// What an end sees and hears of the other one.
fn verify(page: &Page, end: &str, scenario: &Pages, both: bool, verified: &mut Vec<String>) -> Result<()> {
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
        if end == "there" && !both {
            heard = format!("{heard} of {:.0} Hz", hear(page, TONE)?);
        }
        verified.push(heard);
    }
    Ok(())
}
