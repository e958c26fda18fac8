//! A session of xrdp's: the bridge opens its channel at a service that does what `xrdp-chansrv` does, and what it should not.

use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Instant;

use offstage_protocol::ErrorCode;
use offstage_protocol::frame::Frame;
use offstage_protocol::message::BridgeKind;

use crate::host::Client;
use crate::host::Host;
use crate::host::LIMIT;
use crate::host::hello;
use crate::host::hello_frame;
use crate::host::read_exactly;

/// A display of no session on the machine that runs this.
const DISPLAY: &str = ":60123.0";
const SOCKET: &str = "xrdpapi_60123";
/// What the bridge asks for: length, version, length of the name, name, flags.
const REQUEST: &[u8] = b"\x18\0\0\0\0\0\0\0\x08\0\0\0OFFSTAGE\x01\0\0\0";
/// What chansrv takes from its socket at once, and what it writes there at once.
const UP: usize = 32 << 10;
const DOWN: usize = 1590;

/// The service; it is there before the bridge is.
struct Chansrv {
    host: Host,
    service: Client,
}

impl Chansrv {
    fn start() -> Self {
        let mut service = None;
        let host = Host::start_known_with(|command, dir| {
            service = Some(Client::listen(&dir.join(SOCKET)));
            command.env_remove("OFFSTAGE_SOCKET");
            command.env("XRDP_SESSION", "1").env("XRDP_SOCKET_PATH", dir).env("DISPLAY", DISPLAY);
        });
        Self { host, service: service.unwrap() }
    }

    /// Takes the next request.
    fn asked(&self) -> UnixStream {
        let mut stream = self.service.accept();
        assert_eq!(read_exactly(&mut stream, REQUEST.len()).unwrap(), REQUEST);
        stream
    }

    /// Gives the next one that asks the channel.
    fn open(&self) -> (UnixStream, u64) {
        let mut stream = self.asked();
        stream.write_all(&[0; 4]).unwrap();
        (stream, self.host.wait_up_by("xrdp"))
    }
}

#[test]
fn the_session_tells_which_way_it_takes_and_why() {
    let mut host = Host::start_with(|command, dir| {
        command.env_remove("OFFSTAGE_SOCKET").env("XRDP_SOCKET_PATH", dir).env("DISPLAY", DISPLAY);
    });
    assert!(matches!(host.next_said(), BridgeKind::Hello(_)));
    host.say(BridgeKind::Hello(hello("extension")));
    let BridgeKind::Session(session) = host.next_said() else { panic!("the session comes next") };
    assert_eq!(session.channel, "xrdp");
    assert_eq!(session.channel_reason, "the session is one of xrdp's, as XRDP_SOCKET_PATH says");
    let BridgeKind::ChannelDown(down) = host.next_said() else { panic!("there is no service") };
    assert_eq!(down.code, ErrorCode::XRDP_UNREACHABLE.number());
    assert!(down.detail.contains(SOCKET), "{}", down.detail);
    // It comes later, as in a session that has just begun.
    let service = Client::listen(&host.dir.path().join(SOCKET));
    let mut stream = service.accept();
    assert_eq!(read_exactly(&mut stream, REQUEST.len()).unwrap(), REQUEST);
    stream.write_all(&[0; 4]).unwrap();
    host.wait_up_by("xrdp");
}

#[test]
fn a_socket_that_is_named_is_taken_in_a_session_of_xrdp_too() {
    let host = Host::start_known_with(|command, dir| {
        command.env("XRDP_SESSION", "1").env("XRDP_SOCKET_PATH", dir).env("DISPLAY", DISPLAY);
    });
    let _client = Client::listen(&host.socket());
    host.wait_up();
}

#[test]
fn frames_pass_in_both_directions_however_they_are_cut() {
    let Chansrv { mut host, service } = Chansrv::start();
    let mut stream = service.accept();
    assert_eq!(read_exactly(&mut stream, REQUEST.len()).unwrap(), REQUEST);
    // The answer comes byte by byte, and the client's first frames with its last byte.
    for byte in [0, 0, 0] {
        stream.write_all(&[byte]).unwrap();
    }
    let begin = hello_frame("client", 0);
    stream.write_all(&[&[0], begin.as_slice()].concat()).unwrap();
    let epoch = host.wait_up_by("xrdp");
    let mut frames = Vec::new();
    assert_eq!(host.next_frame().bytes, begin);
    for number in 0..40 {
        let byte = u8::try_from(number).unwrap();
        frames.push(Frame::whole(16, number, &vec![byte; 16_384]).encode());
    }
    let all = frames.concat();
    for (place, piece) in all.chunks(DOWN).enumerate() {
        // Some of it by single bytes.
        let size = if place % 40 == 0 { 1 } else { DOWN };
        for part in piece.chunks(size) {
            stream.write_all(part).unwrap();
        }
    }
    for frame in &frames {
        assert_eq!(&host.next_frame().bytes, frame);
    }
    // What the extension sends is merged to 32 KiB.
    let begin = hello_frame("extension", epoch);
    host.send(&begin);
    let up = thread::spawn(move || {
        for frame in frames.chunks(10) {
            host.send(&frame.concat());
        }
        host
    });
    let wanted = [begin, all].concat();
    let mut got = Vec::new();
    let mut buffer = vec![0; UP];
    while got.len() < wanted.len() {
        let read = stream.read(&mut buffer).unwrap();
        assert_ne!(read, 0);
        got.extend_from_slice(&buffer[..read]);
    }
    assert!(got == wanted);
    assert!(up.join().unwrap().end().success());
}

#[test]
fn every_refusal_has_its_code_and_is_tried_again() {
    let chansrv = Chansrv::start();
    for (answer, code) in [
        // No RDP client: closed without a word.
        (&b""[..], ErrorCode::RDP_CLIENT_MISSING),
        (b"\x01\0\0\xc0", ErrorCode::RDP_PLUGIN_MISSING),
        (b"\x01\0\0\xc0with more behind it", ErrorCode::RDP_PLUGIN_MISSING),
        (b"\x7f\0\0\0", ErrorCode::RDP_CHANNEL_REFUSED),
        (b"\xff\xff\xff\xff", ErrorCode::RDP_CHANNEL_REFUSED),
        (b"\0\0\0", ErrorCode::RDP_ANSWER_CUT),
    ] {
        let mut stream = chansrv.asked();
        stream.write_all(answer).unwrap();
        drop(stream);
        assert!(chansrv.host.wait_down(code) >= 100, "{answer:?}");
    }
    chansrv.open();
}

#[test]
fn a_service_that_closes_before_it_is_asked_has_no_client() {
    let chansrv = Chansrv::start();
    drop(chansrv.service.accept());
    chansrv.host.wait_down(ErrorCode::RDP_CLIENT_MISSING);
    chansrv.open();
}

#[test]
fn what_is_no_frame_ends_the_channel_and_not_the_bridge() {
    let chansrv = Chansrv::start();
    let (mut stream, _) = chansrv.open();
    stream.write_all(&[0xff; 64]).unwrap();
    chansrv.host.wait_down(ErrorCode::OVERSIZE_FRAME);
    let (stream, _) = chansrv.open();
    stream.shutdown(Shutdown::Both).unwrap();
    chansrv.host.wait_down(ErrorCode::LINK_CLOSED);
    chansrv.open();
}

#[test]
fn silence_instead_of_an_answer_ends_the_try() {
    let chansrv = Chansrv::start();
    let stream = chansrv.asked();
    chansrv.host.wait_down(ErrorCode::CLIENT_UNREACHABLE);
    assert_eof(stream);
    chansrv.open();
}

#[test]
fn a_client_that_went_away_without_a_sign_is_found_out_and_its_return_too() {
    let mut chansrv = Chansrv::start();
    let (mut stream, epoch) = chansrv.open();
    stream.write_all(&hello_frame("client", 0)).unwrap();
    assert_eq!(chansrv.host.next_frame().stream, 0);
    chansrv.host.send(&hello_frame("extension", epoch));
    // The RDP client is gone: the socket stays open, takes all, and says nothing.
    let since = Instant::now();
    let mut swallow = stream.try_clone().unwrap();
    let swallowed = thread::spawn(move || swallow.read_to_end(&mut Vec::new()));
    for sequence in 0..100 {
        chansrv.host.send(&Frame::whole(16, sequence, &[1; 16_384]).encode());
    }
    chansrv.host.wait_down(ErrorCode::LINK_DEAD);
    swallowed.join().unwrap().unwrap();
    // While nobody is connected each try ends at once.
    drop(chansrv.asked());
    chansrv.host.wait_down(ErrorCode::RDP_CLIENT_MISSING);
    // It is back. Nothing that was meant for the old channel comes to the new one.
    let (mut stream, epoch) = chansrv.open();
    assert!(since.elapsed() < LIMIT / 2, "{:?}", since.elapsed());
    chansrv.host.send(&Frame::whole(16, 100, b"of the channel before").encode());
    let begin = hello_frame("extension", epoch);
    chansrv.host.send(&begin);
    assert_eq!(read_exactly(&mut stream, begin.len()).unwrap(), begin);
}

#[test]
fn the_doctor_asks_the_service_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let service = Client::listen(&dir.path().join(SOCKET));
    let answers = doctor(dir.path());
    let detail = |subject: &str| {
        let check = answers.as_array().unwrap().iter().find(|check| check["subject"] == subject).unwrap();
        (check["status"].as_str().unwrap().to_owned(), check["detail"].as_str().unwrap().to_owned())
    };
    let (status, why) = detail("channel");
    assert_eq!(
        (status.as_str(), why.as_str()),
        ("ok", "xrdp: the session is one of xrdp's, as XRDP_SOCKET_PATH says")
    );
    let (status, found) = detail("xrdp channel service");
    assert!(status == "ok" && found.contains(SOCKET), "{found}");
    assert_eof(service.accept());
}

/// The doctor's checks in a session of xrdp's.
fn doctor(dir: &Path) -> serde_json::Value {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_offstage-bridge"))
        .args(["doctor", "--json"])
        .env_clear()
        .env("HOME", dir)
        .env("DISPLAY", DISPLAY)
        .env("XRDP_SOCKET_PATH", dir)
        .output()
        .unwrap();
    let answers: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    answers["checks"].clone()
}

/// The bridge has closed its end, having sent nothing more.
fn assert_eof(mut stream: UnixStream) {
    match stream.read(&mut [0; 1]) {
        Ok(read) => assert_eq!(read, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}
