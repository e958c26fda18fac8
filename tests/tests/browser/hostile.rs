//! Hostile pages and broken devices: nothing hangs, each failure has its code, and the page's video plays on in the session.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use offstage_protocol::frame::PLAYER_STREAM;
use offstage_protocol::message::{
    BufferChanged, DeviceChanged, FromDevice, FromDeviceKind, Hello, PlayerState, ToDevice, ToDeviceKind,
    Tracks,
};
use offstage_protocol::prost::Message as _;
use offstage_protocol::{Monotonic, Mux, MuxConfig, MuxEvent};
use offstage_tests::cdp::Page;
use offstage_tests::process::{Process, command};
use offstage_tests::session::{Installation, Session};
use serde_json::json;

use crate::fidelity::{native_url, serve, session};

const WAIT: Duration = Duration::from_secs(60);

fn wait_for(mut holds: impl FnMut() -> bool, what: &str) {
    let end = Instant::now() + WAIT;
    while !holds() {
        assert!(Instant::now() < end, "waited too long for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn redirected(session: &Session) -> u64 {
    session.evaluate_in_worker("offstageStatus().redirected").unwrap().as_u64().unwrap()
}

/// Plays from the beginning and demands that the position moves.
fn plays(page: &Page) {
    assert_eq!(page.evaluate_within("play()", WAIT).unwrap(), json!([640, 360]));
    page.evaluate("recorder.video.play(); 0").unwrap();
    page.wait_until("recorder.video.currentTime > 0.3", WAIT).unwrap();
}

#[test]
fn a_page_that_replaces_builtins_reaches_nothing_and_plays() {
    let server = serve();
    let session = session();
    let page = session.open(&server.url("/pages/hostile.html")).unwrap();
    page.evaluate("tamper(); 0").unwrap();
    plays(&page);
    assert_eq!(redirected(&session), 1, "not redirected");
    page.evaluate_within("recorder.seek(1.5)", WAIT).unwrap();
    page.evaluate_within("recorder.remove(0, 0, 1)", WAIT).unwrap();
    page.evaluate("recorder.video.playbackRate = 1.5; recorder.source.endOfStream(); 0").unwrap();
    assert_eq!(
        page.evaluate("[...new Set(caught)]").unwrap(),
        json!([]),
        "the hook used the page's builtins"
    );
    session.close();
}

#[test]
fn a_page_that_replaces_builtins_reaches_nothing_when_it_reads() {
    let server = serve();
    let session = session();
    let page = session.open(&server.url("/pages/hostile.html")).unwrap();
    page.evaluate("tamper(); 0").unwrap();
    plays(&page);
    assert_eq!(redirected(&session), 1, "not redirected");
    let told = page.evaluate_within("readAll()", WAIT).unwrap();
    assert_eq!(told, json!(["number", true, true, 640]));
    wait_for(|| redirected(&session) == 0, "the session to play");
    assert_eq!(
        page.evaluate("[...new Set(caught)]").unwrap(),
        // A promise looks for the `then` of what it is resolved with; the browser's own does as well.
        json!(["Object.prototype.then"]),
        "the hook used the page's builtins"
    );
    session.close();
}

#[test]
fn a_page_that_floods_hurts_no_other() {
    let server = serve();
    let session = session();
    let page = session.open(&server.url("/pages/hostile.html")).unwrap();
    assert_eq!(page.evaluate_within("flood()", WAIT).unwrap()[0], json!(3000));
    page.navigate(&server.url("/pages/hostile.html")).unwrap();
    plays(&page);
    let native = session.open(&native_url(&server, "/pages/hostile.html")).unwrap();
    plays(&native);
    for odd in ["oddBytes()", "storm()"] {
        let expected = native.evaluate_within(odd, WAIT).unwrap();
        assert_eq!(page.evaluate_within(odd, WAIT).unwrap(), expected, "{odd}");
    }
    native.close().unwrap();
    let other = session.open(&server.url("/pages/hostile.html")).unwrap();
    plays(&other);
    wait_for(|| redirected(&session) >= 1, "another page to be redirected");
    session.close();
}

/// What a device does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Bytes that are no frames.
    Garbage,
    /// A protocol of the far future.
    Version,
    /// Nothing at all.
    Silence,
    /// Ready, but no operation is ever answered.
    Unanswered,
    /// Answers for players and buffers that do not exist, with ranges beyond everything.
    Nonsense,
    /// Answers with ranges that nobody appended.
    Lies,
}

/// A device in place of the real one, on the client's socket.
struct FakeClient {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FakeClient {
    fn start(socket: &Path, fault: Fault) -> Self {
        std::fs::remove_file(socket).ok();
        let listener = UnixListener::bind(socket).unwrap();
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => drop(converse(stream, fault, &stopped)),
                    Err(_) => std::thread::park_timeout(Duration::from_millis(20)),
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for FakeClient {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// One connection, until it ends.
fn converse(mut stream: UnixStream, fault: Fault, stopped: &AtomicBool) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    if fault == Fault::Garbage {
        stream.write_all(&[0xff; 4096])?;
    }
    let begin = Instant::now();
    let now = || Monotonic(u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX));
    let mut config = MuxConfig::of_component("client", "9.9.9");
    if fault == Fault::Version {
        config.hello = Hello { protocol_min: 90, protocol_max: 99, ..config.hello };
    }
    let mut mux = Mux::new(now(), config);
    let mut chunk = vec![0; 65_536];
    let mut greeted = false;
    while !stopped.load(Ordering::Relaxed) {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) if !matches!(fault, Fault::Garbage | Fault::Silence) => {
                mux.handle_bytes(now(), 0, chunk.get(..length).unwrap_or_default()).ok();
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        if matches!(fault, Fault::Garbage | Fault::Silence) {
            continue;
        }
        mux.handle_timeout(now(), 0).ok();
        while let Some(event) = mux.poll_event() {
            match event {
                MuxEvent::Connected { .. } if !greeted => {
                    greeted = true;
                    let ready =
                        DeviceChanged { ready: true, engine: "Fake/1".into(), ..DeviceChanged::default() };
                    say(&mut mux, FromDeviceKind::DeviceChanged(ready));
                }
                MuxEvent::Message { bytes, .. } => answer(&mut mux, fault, &bytes),
                MuxEvent::Connected { .. } | MuxEvent::Closed { .. } => {}
            }
        }
        while let Some(bytes) = mux.poll_transmit(65_536) {
            stream.write_all(&bytes)?;
        }
    }
    Ok(())
}

fn say(mux: &mut Mux, kind: FromDeviceKind) {
    mux.send(PLAYER_STREAM, FromDevice { kind: Some(kind) }.encode_to_vec()).ok();
}

fn answer(mux: &mut Mux, fault: Fault, bytes: &[u8]) {
    let Ok(ToDevice { kind: Some(ToDeviceKind::Append(append)) }) = ToDevice::decode(bytes) else { return };
    if !append.last {
        return;
    }
    // The size is right: a page sees the size that the device tells, whatever it is.
    let tracks = Some(Tracks { width: 640, height: 360, has_audio: true, ..Tracks::default() });
    let right = BufferChanged {
        player: append.player,
        buffer: append.buffer,
        op: append.op,
        tracks,
        ..BufferChanged::default()
    };
    match fault {
        Fault::Nonsense => {
            let ranges_us = vec![u64::MAX, 0, 5, 5, 7, 3, 0, u64::MAX, 1];
            let changed = BufferChanged { ranges_us, timestamp_offset: f64::NAN, ..right };
            for (player, buffer) in [(0, 0), (u32::MAX, 1), (append.player, 999), (999, append.buffer)] {
                say(mux, FromDeviceKind::BufferChanged(BufferChanged { player, buffer, ..changed.clone() }));
            }
            let state =
                PlayerState { player: append.player, media_time_us: i64::MAX, ..PlayerState::default() };
            say(mux, FromDeviceKind::PlayerState(state));
            say(mux, FromDeviceKind::BufferChanged(changed));
        }
        Fault::Lies => {
            let ranges_us = (0..20_000).flat_map(|i| [i * 100_000, i * 100_000 + 70_000]).collect();
            say(mux, FromDeviceKind::BufferChanged(BufferChanged { ranges_us, ..right }));
        }
        Fault::Garbage | Fault::Version | Fault::Silence | Fault::Unanswered => {}
    }
}

fn status(session: &Session) -> (bool, String) {
    let status = session.evaluate_in_worker("offstageStatus()").unwrap();
    (status["ready"].as_bool().unwrap_or_default(), status["code"].as_str().unwrap_or_default().to_owned())
}

/// The title of the icon in the tab that shows `address`.
fn icon(session: &Session, address: &str) -> String {
    let find = format!(
        "chrome.tabs.query({{}}).then((tabs) => chrome.action.getTitle({{ tabId: tabs.find((tab) => tab.url === {}).id }}))",
        json!(address)
    );
    session.evaluate_in_worker(&find).unwrap().as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_broken_device_is_named_and_the_session_plays() {
    let server = serve();
    let mut session = session();
    session.kill_client();
    let address = server.url("/pages/hostile.html");
    for (fault, codes) in [
        (Fault::Garbage, &["OFS-1003", "OFS-1004"][..]),
        (Fault::Version, &["OFS-1010"]),
        (Fault::Silence, &["OFS-1001", "OFS-1011"]),
        (Fault::Unanswered, &[]),
        (Fault::Nonsense, &[]),
        (Fault::Lies, &[]),
    ] {
        let fake = FakeClient::start(session.socket(), fault);
        if codes.is_empty() {
            wait_for(|| status(&session).0, "the fake device to be ready");
        } else {
            wait_for(|| codes.contains(&status(&session).1.as_str()), &format!("{codes:?} after {fault:?}"));
        }
        let page = session.open(&address).unwrap();
        let playing = Instant::now();
        plays(&page);
        println!("{fault:?}: plays after {:?}, {:?}", playing.elapsed(), status(&session));
        if !codes.is_empty() {
            wait_for(
                || codes.iter().any(|code| icon(&session, &address).contains(code)),
                "the code in the icon's title",
            );
        }
        page.close().unwrap();
        drop(fake);
        wait_for(|| !status(&session).0, "the end of the fake device");
    }
    session.close();
}

/// Starts the client on the session's socket with more arguments, without a display.
fn client(session: &Session, folder: &Path, arguments: &[&str]) -> Process {
    let installation = Installation::from_env().unwrap();
    let mut client = command(&installation.client);
    client
        .arg("run")
        .arg("--socket")
        .arg(session.socket())
        .arg("--profile")
        .arg(folder)
        .arg("--stage-dir")
        .arg(&installation.stage);
    client.args(arguments).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    Process::spawn("offstage-client", &mut client).unwrap()
}

#[test]
fn a_missing_engine_or_display_is_named_and_the_session_plays() {
    let server = serve();
    let mut session = session();
    session.kill_client();
    let address = server.url("/pages/hostile.html");
    for (arguments, code) in [
        (&["--engine", "/nonexistent", "--windows", "none"][..], "OFS-1206"),
        (&["--windows", "x11"], "OFS-1211"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut process = client(&session, folder.path(), arguments);
        wait_for(|| status(&session).1 == code, code);
        let page = session.open(&address).unwrap();
        plays(&page);
        wait_for(|| icon(&session, &address).contains(code), "the code in the icon's title");
        page.close().unwrap();
        process.end(Duration::from_secs(5));
    }
    session.close();
}
