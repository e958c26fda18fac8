//! Players of files.

use offstage_protocol::message::FetchRange;

use super::*;
use crate::hook::{FetchedEvent, FileEvent};

/// A player of a file on its way to the device.
fn moving_file(duration: Option<f64>) -> World {
    moving_file_in(World::new(&["https://*/*"]), duration)
}

fn moving_file_in(world: World, duration: Option<f64>) -> World {
    moving_file_at(world, "https://a.example/film.mp4", duration)
}

fn moving_file_at(mut world: World, url: &str, duration: Option<f64>) -> World {
    world.connect();
    world.open(true);
    let url = url.to_owned();
    let (width, height) = (640.0, 360.0);
    let (reads, plain, audio) = (true, true, true);
    world.hook(HookEvent::File(FileEvent { ms: 1, url, reads, plain, width, height, audio, duration }));
    world.hook(HookEvent::Playback(PlaybackEvent { position: 4.0, ..wish(1, false) }));
    world
}

fn loaded(ranges: &[u64]) -> FromDeviceKind {
    changed(0, ranges)
}

#[test]
fn a_file_moves_when_the_device_is_ready_and_has_what_comes_next() {
    let mut world = moving_file(Some(30.0));
    assert!(
        world
            .received
            .iter()
            .any(|kind| matches!(kind, ToDeviceKind::OpenFile(file) if file.extension == "mp4"))
    );
    let range = FetchRange { player: 1, request: 7, resource: 0, start: 0, end: 3, refused: 0 };
    world.device(FromDeviceKind::FetchRange(range));
    let Some(HookCommand::Fetch { request: 7, end: Some(3.0), .. }) = world.last_command() else {
        panic!("no fetch")
    };
    let data = ByteBuf::from(vec![1, 2, 3]);
    let (url, range, mime) = (String::new(), "bytes 0-2/9".to_owned(), "video/mp4".to_owned());
    let got = FetchedEvent { ms: 1, request: 7, status: 206, url, range, length: None, mime, data };
    world.hook(HookEvent::Fetched(got));
    assert!(
        world
            .received
            .iter()
            .any(|kind| matches!(kind, ToDeviceKind::FetchedRange(got) if got.total == Some(9)))
    );
    world.device(loaded(&[0, 4_500_000]));
    let told = world.last_playback();
    assert!(told.paused, "the session still plays");
    let (seq, seek_id) = (told.seq, told.seek_id);
    let there = PlayerState { player: 1, seq, seek_id, ready_state: 4, ..PlayerState::default() };
    world.device(FromDeviceKind::PlayerState(there));
    assert!(!world.commands().iter().any(|c| matches!(c, HookCommand::Swap { .. })), "too little is loaded");
    world.device(loaded(&[0, 29_900_000]));
    let Some(HookCommand::Swap { buffers, .. }) = world.last_command() else { panic!("no swap") };
    assert!(buffers[0].r#type.as_ref().unwrap().contains("flac"));
    world.hook(HookEvent::Swapped { ms: 1 });
    world.native(&[0, 20_000_000]);
    let Some(HookCommand::Fix { steps, .. }) = world.last_command() else { panic!("not corrected") };
    assert_eq!(steps.len(), 1);
    world.native(&[0, 30_000_000]);
    assert_eq!(
        world.commands().iter().filter(|c| matches!(c, HookCommand::Fix { .. })).count(),
        1,
        "to its very end"
    );
}

#[test]
fn a_playlist_is_loaded_to_its_end_before_its_last_frames_are_told() {
    let swaps = |url| {
        let mut world = moving_file_at(World::new(&["https://*/*"]), url, Some(6.0));
        world.device(loaded(&[0, 5_767_000]));
        let told = world.last_playback();
        let (seq, seek_id) = (told.seq, told.seek_id);
        let there = PlayerState { player: 1, seq, seek_id, ready_state: 4, ..PlayerState::default() };
        world.device(FromDeviceKind::PlayerState(there));
        world.hook(HookEvent::Swapped { ms: 1 });
        world.native(&[0, 6_000_000]);
        let commands = world.commands();
        let count = |wanted: fn(&HookCommand) -> bool| commands.iter().filter(|c| wanted(c)).count();
        (count(|c| matches!(c, HookCommand::Swap { .. })), count(|c| matches!(c, HookCommand::Fix { .. })))
    };
    assert_eq!(swaps("https://a.example/film.m3u8"), (1, 0));
    assert_eq!(swaps("https://a.example/film.mp4"), (1, 1), "a part is missing");
}

#[test]
fn a_file_that_cannot_be_wound_or_fetched_stays_in_the_session() {
    let world = moving_file(None);
    assert!(world.commands().contains(&HookCommand::Revert { ms: 1, code: 1331, retry: false }));
    let mut world = moving_file(Some(30.0));
    world.device(FromDeviceKind::FetchRange(FetchRange {
        player: 1,
        request: 7,
        resource: 0,
        start: 0,
        end: 3,
        refused: 0,
    }));
    let got = FetchedEvent {
        ms: 1,
        request: 7,
        status: 0,
        url: String::new(),
        range: String::new(),
        length: None,
        mime: String::new(),
        data: ByteBuf::new(),
    };
    world.hook(HookEvent::Fetched(got.clone()));
    let asked = world
        .log
        .iter()
        .any(|output| matches!(output, Output::Fetch { player: 1, relay: 1, request: 7, .. }));
    assert!(asked, "the worker tries");
    world.core.handle_fetched(world.now, 0, 1, got);
    world.run();
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1, code: 1330, retry: false }));
}

/// A world in which policy has the device fetch the files of some documents.
fn fetching(pattern: &str) -> World {
    let mut world = World::new(&["https://*/*"]);
    let managed = json!({ "videoAllSites": true, "fetchDevice": [pattern] });
    world.core.handle_config(&sources(&json!({ "managed": managed })));
    moving_file_in(world, Some(30.0))
}

fn ask(world: &mut World, request: u32, refused: u32) {
    world.device(FromDeviceKind::FetchRange(FetchRange {
        player: 1,
        request,
        resource: 0,
        start: 100,
        end: 300,
        refused,
    }));
}

fn probed(request: u32) -> HookEvent {
    let (url, range, mime) = (String::new(), "bytes 0-7/900".to_owned(), "video/mp4".to_owned());
    let data = ByteBuf::from(vec![1; 8]);
    HookEvent::Fetched(FetchedEvent { ms: 1, request, status: 206, url, range, length: None, mime, data })
}

#[test]
fn where_policy_says_so_the_device_is_sent_to_the_file_and_its_refusal_is_told() {
    let mut world = fetching("https://example.org/*");
    ask(&mut world, 7, 0);
    let Some(HookCommand::Fetch { request: 7, end: Some(8.0), .. }) = world.last_command() else {
        panic!("the session doesn't look at it")
    };
    world.hook(probed(7));
    let sent = world.received.iter().any(|kind| {
        matches!(kind, ToDeviceKind::FetchedRange(got) if got.location == "https://a.example/film.mp4"
            && got.referer == "https://example.org/" && got.total == Some(900) && got.data.is_empty())
    });
    assert!(sent, "{:?}", world.received);
    assert_eq!(world.core.status().fetch_refused, []);
    ask(&mut world, 8, 1350);
    let Some(HookCommand::Fetch { request: 8, start: 100.0, .. }) = world.last_command() else {
        panic!("the session doesn't fetch")
    };
    let refused: Vec<String> = world.core.status().fetch_refused.into_iter().map(|why| why.code).collect();
    assert_eq!(refused, ["OFS-1350"]);
    let told = |output: &&Output| matches!(output, Output::Log { text, .. } if text.starts_with("OFS-1350"));
    assert_eq!(world.log.iter().filter(told).count(), 1);
    ask(&mut world, 9, 1350);
    assert_eq!(world.log.iter().filter(told).count(), 1, "said once");
    world.core.handle_relay_closed(1);
    assert_eq!(world.core.status().fetch_refused, []);
}

#[test]
fn other_documents_files_are_fetched_by_the_session() {
    let mut world = fetching("https://example.com/*");
    ask(&mut world, 7, 0);
    assert!(matches!(world.last_command(), Some(HookCommand::Fetch { request: 7, start: 100.0, .. })));
}
