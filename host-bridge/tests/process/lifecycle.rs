//! Hello, channel up and down, and the end.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::thread;

use offstage_protocol::ErrorCode;
use offstage_protocol::frame::Frame;
use offstage_protocol::message::BridgeKind;
use offstage_protocol::message::Hello;
use rustix::process::Uid;

use crate::host::Client;
use crate::host::Host;
use crate::host::hello;
use crate::host::hello_frame;
use crate::host::read_exactly;

#[test]
fn says_hello_and_what_it_knows_of_the_session() {
    let mut host = Host::start();
    let BridgeKind::Hello(said) = host.next_said() else { panic!("hello comes first") };
    assert_eq!((said.component.as_str(), said.version.as_str()), ("bridge", env!("CARGO_PKG_VERSION")));
    host.say(BridgeKind::Hello(hello("extension")));
    let BridgeKind::Session(session) = host.next_said() else { panic!("the session comes next") };
    assert_eq!((session.os.as_str(), session.session_type.as_str()), (std::env::consts::OS, "local"));
    assert_eq!(session.browser_pid, std::process::id());
    assert!(host.end().success());
}

#[test]
fn a_missing_client_is_told_and_found_when_it_comes() {
    let host = Host::start_known();
    let BridgeKind::ChannelDown(down) = host.next_said() else { panic!("there is no client") };
    assert_eq!(down.code, ErrorCode::CLIENT_UNREACHABLE.number());
    assert!(down.detail.contains("client.sock"), "{}", down.detail);
    assert_eq!(down.retry_ms, 100);
    let client = Client::listen(&host.socket());
    let first = host.wait_up();
    // It goes away and comes back.
    drop(client.accept());
    assert!(host.wait_down(ErrorCode::LINK_CLOSED) >= 100);
    assert!(host.wait_up() > first);
}

#[test]
fn waits_grow_to_two_seconds_while_there_is_no_client() {
    let host = Host::start_known();
    let mut waits = Vec::new();
    while waits.last() != Some(&2000) {
        waits.push(host.wait_down(ErrorCode::CLIENT_UNREACHABLE));
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 2000]);
}

#[test]
fn an_extension_of_another_age_is_told_and_gets_no_channel() {
    let mut host = Host::start();
    let _client = Client::listen(&host.socket());
    host.say(BridgeKind::Hello(Hello { protocol_min: 7, protocol_max: 9, ..hello("extension") }));
    assert!(matches!(host.next_said(), BridgeKind::Hello(_)));
    let BridgeKind::ChannelDown(down) = host.next_said() else { panic!("no channel for it") };
    assert_eq!((down.code, down.retry_ms), (ErrorCode::BRIDGE_OUTDATED.number(), 0));
    assert!(host.end().success());
}

#[test]
fn the_end_of_input_is_a_clean_end_whatever_the_channel_does() {
    assert!(Host::start().end().success());
    assert!(Host::start_known().end().success());
    let host = Host::start_known();
    let _client = Client::listen(&host.socket());
    host.wait_up();
    assert!(host.end().success());
}

#[test]
fn last_words_reach_the_client_after_the_browser_has_gone() {
    let mut host = Host::start_known();
    let client = Client::listen(&host.socket());
    let epoch = host.wait_up();
    let mut stream = client.accept();
    let mut words = hello_frame("extension", epoch);
    words.extend(Frame::whole(16, 0, &[7; 9000]).encode());
    host.send(&words);
    drop(host.input.take());
    assert_eq!(read_exactly(&mut stream, words.len()).unwrap(), words);
    assert!(host.wait().success());
}

#[test]
fn frames_of_an_older_epoch_are_not_forwarded() {
    let mut host = Host::start_known();
    let client = Client::listen(&host.socket());
    host.wait_up();
    drop(client.accept());
    let epoch = host.wait_up();
    let mut stream = client.accept();
    host.send(&Frame::whole(16, 41, b"of the epoch before").encode());
    host.send(&hello_frame("extension", epoch - 1));
    let begin = hello_frame("extension", epoch);
    host.send(&begin);
    assert_eq!(read_exactly(&mut stream, begin.len()).unwrap(), begin);
}

#[test]
fn a_stray_line_on_standard_output_goes_to_standard_error() {
    // /proc shows where the process's standard output leads.
    let host = Host::start_known();
    let target = |fd: u32| std::fs::read_link(format!("/proc/{}/fd/{fd}", host.pid())).unwrap();
    assert_eq!(target(1), target(2));
    assert_ne!(target(1), target(0));
}

#[test]
fn a_listener_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        // Only root can start a listener as somebody else.
        return;
    }
    let host = Host::start_known();
    host.wait_down(ErrorCode::CLIENT_UNREACHABLE);
    std::fs::set_permissions(host.dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let path = host.socket();
    // Users belong to threads on Linux, and the kernel notes who called listen.
    let listener = thread::spawn(move || {
        let nobody = Uid::from_raw(65534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        UnixListener::bind(path).unwrap()
    });
    let _listener = listener.join().unwrap();
    let down = loop {
        let BridgeKind::ChannelDown(down) = host.next_said() else { panic!("the listener was accepted") };
        if down.code != ErrorCode::CLIENT_UNREACHABLE.number() {
            break down;
        }
    };
    assert_eq!(down.code, ErrorCode::PEER_OF_ANOTHER_USER.number(), "{}", down.detail);
}
