//! What breaks the rules gets its code, and the bridge goes on or ends in good order.

use std::io::Read as _;
use std::io::Write as _;

use offstage_bridge::native_message::MAX_INBOUND;
use offstage_protocol::ErrorCode;
use offstage_protocol::frame::BRIDGE_STREAM;
use offstage_protocol::frame::Frame;
use offstage_protocol::message::BridgeKind;
use offstage_protocol::message::BridgeMessage;
use offstage_protocol::prost::Message as _;

use crate::host::Client;
use crate::host::Host;

/// Sends bytes as they are; the bridge must tell the code and end, not cleanly.
fn check(raw: &[u8], code: ErrorCode) {
    let mut host = Host::start_known();
    host.send_raw(raw);
    let said: Vec<_> = host
        .drain()
        .iter()
        .filter(|frame| frame.stream == BRIDGE_STREAM)
        .map(|frame| BridgeMessage::decode(frame.payload()).unwrap().kind.unwrap())
        .collect();
    let down = said.iter().rev().find_map(|kind| {
        if let BridgeKind::ChannelDown(down) = kind { Some((down.code, down.retry_ms)) } else { None }
    });
    assert_eq!(down, Some((code.number(), 0)), "{said:?}");
    assert!(
        said.iter()
            .any(|kind| matches!(kind, BridgeKind::Log(line) if line.text.contains(&code.to_string()))),
        "{said:?}"
    );
    assert_eq!(host.wait().code(), Some(1));
}

fn framed(json: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(json.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend_from_slice(json);
    bytes
}

#[test]
fn an_oversize_message_from_the_browser() {
    let length = u32::try_from(MAX_INBOUND + 1).unwrap();
    check(&length.to_ne_bytes(), ErrorCode::NATIVE_MESSAGE_TOO_LARGE);
}

#[test]
fn malformed_json_and_base64_from_the_browser() {
    for json in [&b"{\"f\":"[..], b"[1]", b"{}", b"{\"f\":\"?\"}", b"\xff"] {
        check(&framed(json), ErrorCode::NATIVE_MESSAGING_BROKEN);
    }
}

#[test]
fn malformed_frames_from_the_browser() {
    check(&framed(br#"{"f":"/////w=="}"#), ErrorCode::OVERSIZE_FRAME);
    check(&framed(br#"{"f":"AAAAAA=="}"#), ErrorCode::MALFORMED_FRAME);
}

#[test]
fn a_malformed_message_to_the_bridge() {
    let mut message = Vec::new();
    offstage_bridge::native_message::encode(&Frame::whole(BRIDGE_STREAM, 1, b"\xff").encode(), &mut message);
    check(&message, ErrorCode::MALFORMED_MESSAGE);
}

#[test]
fn frames_before_the_hello() {
    let mut host = Host::start();
    host.send(&Frame::whole(0, 0, b"").encode());
    host.wait_down(ErrorCode::HELLO_MISSING);
    assert_eq!(host.wait().code(), Some(1));
}

#[test]
fn malformed_frames_from_the_client_make_it_reopen_the_channel() {
    let host = Host::start_known();
    let client = Client::listen(&host.socket());
    host.wait_up();
    for bytes in [&[0xff; 4][..], &[0; 4], &Frame::whole(BRIDGE_STREAM, 0, b"").encode()] {
        let mut stream = client.accept();
        stream.write_all(bytes).unwrap();
        let BridgeKind::Log(line) = host.next_said_or_log() else { panic!("a line first") };
        assert_eq!(line.level, "warn");
        let BridgeKind::ChannelDown(down) = host.next_said() else { panic!("then it is down") };
        assert!(line.text.starts_with(&format!("OFS-{}", down.code)), "{}", line.text);
        assert!(down.retry_ms > 0);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the bridge closes it");
        host.wait_up();
    }
    assert!(host.end().success());
}

#[test]
fn the_largest_message_from_the_browser_is_taken() {
    let mut host = Host::start_known();
    let mut json = br#"{"f":""}"#.to_vec();
    json.resize(MAX_INBOUND, b' ');
    host.send_json(&json);
    assert!(host.end().success());
}
