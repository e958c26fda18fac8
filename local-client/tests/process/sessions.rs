//! Sessions that behave badly, and their neighbours.

use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream;

use offstage_protocol::ErrorCode;
use offstage_protocol::Frame;
use offstage_protocol::FrameReader;
use offstage_protocol::frame::CONTROL_STREAM;
use offstage_protocol::frame::FIRST_BUFFER_STREAM;
use offstage_protocol::frame::PLAYER_STREAM;
use offstage_protocol::message::AddSourceBuffer;
use offstage_protocol::message::Append;
use offstage_protocol::message::Control;
use offstage_protocol::message::ControlKind;
use offstage_protocol::message::Hello;
use offstage_protocol::message::ToDeviceKind;
use offstage_protocol::prost::Message as _;

use crate::client::Client;
use crate::client::Options;
use crate::session::Session;

/// A client without an engine: sessions don't need one to misbehave.
fn client() -> Client {
    let arguments = vec!["--windows=none".to_owned(), "--engine=/nonexistent".to_owned()];
    Client::start(Options { arguments, ..Options::default() })
}

fn is_served(session: &mut Session) {
    session.open(77);
    assert_eq!(session.wait_failed().player, 77);
}

#[test]
fn garbage_ends_its_own_session_only() {
    let client = client();
    let mut good = client.session();
    good.wait_device("first state", |_| true);

    let mut garbage = UnixStream::connect(client.socket()).unwrap();
    garbage.write_all(&[0xff; 4096]).ok();
    let mut answer = Vec::new();
    // Ends: that is all that garbage is owed.
    garbage.read_to_end(&mut answer).ok();

    let mut nonsense = client.session();
    nonsense.wait_device("first state", |_| true);
    nonsense.send_raw(PLAYER_STREAM, &[0xff, 0xff, 0xff]);
    assert_eq!(nonsense.wait_end(), Some(ErrorCode::MALFORMED_MESSAGE));

    let mut late_garbage = client.session();
    late_garbage.wait_device("first state", |_| true);
    late_garbage.write(&[0xff; 64]);
    assert!(late_garbage.wait_end().is_some());

    is_served(&mut good);
}

#[test]
fn another_protocol_version_is_refused_with_its_code() {
    let client = client();
    let hello = Hello { protocol_min: 1000, protocol_max: 1001, ..Hello::default() };
    let hello = Control { kind: Some(ControlKind::Hello(hello)) }.encode_to_vec();
    let mut stream = UnixStream::connect(client.socket()).unwrap();
    stream.write_all(&Frame::whole(CONTROL_STREAM, 0, &hello).encode()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let mut frames = FrameReader::new();
    frames.push(&answer);
    let codes: Vec<u32> = std::iter::from_fn(|| frames.next().unwrap())
        .filter_map(|frame| match Control::decode(frame.payload.as_slice()).unwrap().kind {
            Some(ControlKind::Close(close)) => Some(close.code),
            _ => None,
        })
        .collect();
    assert_eq!(codes, [ErrorCode::VERSION_MISMATCH.number()]);
}

#[test]
fn too_many_sessions_are_told_so() {
    let client = client();
    let mut sessions: Vec<Session> = (0..offstage_client::client::MAX_SESSIONS)
        .map(|_| {
            let mut session = client.session();
            session.wait_device("first state", |_| true);
            session
        })
        .collect();
    assert_eq!(client.session().wait_end(), Some(ErrorCode::CLIENT_BUSY));
    is_served(&mut sessions[0]);
    sessions.pop();
    client.wait_for_log("the session is gone session=16");
    client.session().wait_device("room again", |_| true);
}

#[test]
fn media_reaches_the_stage_and_its_answer_comes_back_under_the_sessions_id() {
    let client = Client::headless();
    let mut session = client.ready_session();
    for player in [5, 6] {
        session.open(player);
        let add = AddSourceBuffer { player, buffer: 2, mime: "video/mp4".to_owned() };
        session.send(PLAYER_STREAM, ToDeviceKind::AddSourceBuffer(add));
        for op in 0..8 {
            let append =
                Append { player, buffer: 2, op, last: true, data: vec![7; 500_000], ..Append::default() };
            session.send(FIRST_BUFFER_STREAM + player, ToDeviceKind::Append(append));
        }
    }
    // The streams of the two share the link in turns: either may be done first.
    let mut ended = Vec::new();
    while ended.len() < 2 {
        let last = session.wait_changed(|changed| changed.op == 7);
        assert_eq!(last.buffer, 2);
        ended.push(last.player);
    }
    ended.sort_unstable();
    assert_eq!(ended, [5, 6]);
    // An operation on a buffer that does not exist is answered with its code.
    let append = Append { player: 5, buffer: 99, op: 3, last: true, ..Append::default() };
    session.send(FIRST_BUFFER_STREAM + 50, ToDeviceKind::Append(append));
    let refused = session.wait_changed(|changed| changed.buffer == 99);
    assert_eq!(refused.code, ErrorCode::BUFFER_UNKNOWN.number());
}

#[test]
fn a_second_client_on_the_same_socket_gives_up() {
    let first = client();
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_offstage-client"))
        .args(["run", "--windows=none", "--engine=/nonexistent", "--stage-dir"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/process/stage"))
        .arg("--socket")
        .arg(first.socket())
        .output()
        .unwrap();
    assert!(!second.status.success());
    let log = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(log.contains("OFS-1204"), "{log}");
    is_served(&mut first.session());
}
