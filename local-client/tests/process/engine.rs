//! The engine's life, and its absence.

use offstage_protocol::ErrorCode;
use offstage_protocol::frame::PLAYER_STREAM;
use offstage_protocol::message::EndOfStream;
use offstage_protocol::message::ToDeviceKind;
use rustix::process::Signal;

use crate::client::Client;
use crate::client::Options;
use crate::client::kill;

#[test]
fn a_killed_engine_is_reported_and_replaced() {
    let client = Client::headless();
    let first = client.ready();
    let mut session = client.ready_session();
    session.open(1);
    for _ in 0..2 {
        let pid = client_engine(&client, &first);
        kill(pid, Signal::KILL);
        let state = session.wait_device("not ready", |state| !state.ready && state.code != 0);
        assert_eq!(state.code, ErrorCode::ENGINE_CRASHED.number());
        session.wait_ready();
    }
    let second = client.ready();
    assert_ne!(first["engine_pid"], second["engine_pid"]);
    // The player went with its engine: its id is free.
    session.open(1);
    session.send(PLAYER_STREAM, ToDeviceKind::EndOfStream(EndOfStream { player: 2, ended: true }));
    let failed = session.wait_failed();
    assert_eq!((failed.player, failed.code), (2, ErrorCode::PLAYER_UNKNOWN.number()));
}

/// The process id of the engine that runs now.
fn client_engine(client: &Client, first: &serde_json::Value) -> u32 {
    let lock = std::fs::read_link(client.folder.path().join("profile/SingletonLock"));
    let pid = lock.ok().and_then(|link| link.to_str()?.rsplit('-').next()?.parse().ok());
    pid.unwrap_or_else(|| u32::try_from(first["engine_pid"].as_u64().unwrap()).unwrap())
}

#[test]
fn a_missing_engine_is_reported_and_the_client_stays() {
    let arguments = vec!["--windows=none".to_owned(), "--engine=/nonexistent/engine".to_owned()];
    let client = Client::start(Options { arguments, ..Options::default() });
    let mut session = client.session();
    let state = session.wait_device("not ready", |state| state.code != 0);
    assert_eq!((state.ready, state.code), (false, ErrorCode::ENGINE_MISSING.number()));
    session.open(7);
    let failed = session.wait_failed();
    assert_eq!((failed.player, failed.code), (7, ErrorCode::ENGINE_MISSING.number()));
}

#[test]
fn an_engine_that_ends_at_once_is_reported() {
    let arguments = vec!["--windows=none".to_owned(), "--engine=/bin/false".to_owned()];
    let client = Client::start(Options { arguments, ..Options::default() });
    let state = client.session().wait_device("not ready", |state| state.code != 0);
    assert_eq!(state.code, ErrorCode::ENGINE_FAILED_TO_START.number());
}

#[test]
fn a_missing_display_is_reported_and_the_client_stays() {
    let client = Client::start(Options::default());
    let mut session = client.session();
    let state = session.wait_device("not ready", |state| state.code != 0);
    assert_eq!((state.ready, state.code), (false, ErrorCode::DISPLAY_MISSING.number()));
}

#[test]
fn a_signal_ends_client_and_engine_and_removes_the_socket() {
    let mut client = Client::headless();
    let pid = client.ready()["engine_pid"].as_u64().unwrap();
    let mut session = client.ready_session();
    client.signal(Signal::TERM);
    assert_eq!(session.wait_end(), Some(ErrorCode::GOING_AWAY));
    assert!(client.wait().success());
    assert!(!client.socket().exists());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_killed_client_leaves_no_engine() {
    let mut client = Client::headless();
    let pid = client.ready()["engine_pid"].as_u64().unwrap();
    let mut session = client.ready_session();
    client.signal(Signal::KILL);
    client.wait();
    session.until("the engine ends by itself", |_| {
        (!std::path::Path::new(&format!("/proc/{pid}")).exists() || is_zombie(pid)).then_some(())
    });
}

/// Nobody may be there to collect a process whose parent was killed.
fn is_zombie(pid: u64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}
