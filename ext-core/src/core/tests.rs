//! The core against a device that is played by the test, over the real frames and the real connection.

use offstage_protocol::frame::BRIDGE_STREAM;
use offstage_protocol::message::{
    BridgeKind, BridgeMessage, BufferChanged, ChannelDown, ChannelUp, DeviceChanged, FromDevice,
    FromDeviceKind, Hello, PlayerFailed, PlayerState, SessionInfo, ToDevice, ToDeviceKind, Tracks,
};
use offstage_protocol::prost::Message as _;
use offstage_protocol::{
    ErrorCode, FEATURE_CALLS, FEATURE_FETCH, FEATURE_FILES, Frame, FrameReader, Monotonic, Mux, MuxConfig,
    MuxEvent,
};
use serde_bytes::ByteBuf;
use serde_json::json;

use super::*;
use crate::hook::{AppendEvent, HookStep, NativeRanges, PlaybackEvent, Reader};

mod beginning;
mod calls;
mod files;
mod leaving;
mod moving;
mod pausing;
mod sites;
mod windows;

#[test]
fn the_window_tells_which_way_the_session_takes() {
    let mut world = World::ready();
    assert_eq!(world.core.view(1).channel, "unix", "as the channel that came up says");
    let session = SessionInfo { channel: "xrdp".into(), ..SessionInfo::default() };
    world.bridge(BridgeKind::Session(session));
    assert_eq!(world.core.view(1).channel, "xrdp");
}

#[test]
fn a_page_that_is_not_covered_is_grey_and_nothing_is_registered_for_it() {
    let mut world = World::new(&[]);
    world.core.handle_tab(1, "https://example.org/");
    world.run();
    assert_eq!(world.icon(1), Some(IconState::Grey));
    let nothing = |output: &Output| matches!(output, Output::Register(scripts, _) if scripts.iter().all(|s| s.matches.is_empty()));
    assert!(world.log.iter().any(nothing));
    assert!(!world.log.contains(&Output::Link(LinkAction::Connect)));
}

#[test]
fn the_icon_follows_bridge_client_and_player() {
    let mut world = World::new(&["https://*/*"]);
    world.core.handle_tab(1, "https://example.org/");
    world.run();
    assert_eq!(world.icon(1), Some(IconState::Off));
    world.connect();
    assert_eq!(world.icon(1), Some(IconState::Ready));
    world.open_player();
    world.hook(HookEvent::Playback(wish(1, false)));
    assert_eq!(world.icon(1), Some(IconState::Video));
    world.bridge(BridgeKind::ChannelDown(ChannelDown { code: 1201, ..ChannelDown::default() }));
    assert_eq!(world.icon(1), Some(IconState::Off));
}

#[test]
fn the_reason_of_a_missing_bridge_is_told() {
    let mut world = World::new(&["https://*/*"]);
    world.core.handle_tab(1, "https://example.org/");
    world.core.handle_native_closed(world.now, 0, "Specified native messaging host not found.");
    world.run();
    assert_eq!(world.core.link.status(), ErrorCode::BRIDGE_NOT_INSTALLED);
    let why = world.log.iter().rev().find_map(|o| match o {
        Output::SetIcon { why, .. } => *why,
        _ => None,
    });
    assert_eq!(why, Some(ErrorCode::BRIDGE_NOT_INSTALLED));
}

#[test]
fn an_append_is_answered_with_steps_that_make_the_native_buffer_equal() {
    let mut world = World::ready();
    world.append(1, &[1; 1_200_000]);
    let pieces: Vec<(bool, usize)> = world
        .received
        .iter()
        .filter_map(|kind| match kind {
            ToDeviceKind::Append(append) => Some((append.last, append.data.len())),
            _ => None,
        })
        .collect();
    assert_eq!(pieces, [(false, 524_288), (false, 524_288), (true, 151_424)]);
    world.device(changed(1, &[0, 4_000_000]));
    let Some(HookCommand::Done { r#type, steps, op: 1, .. }) = world.last_command() else {
        panic!("no answer")
    };
    assert!(r#type.unwrap().starts_with("video/mp4"));
    assert!(matches!(steps.as_slice(), [HookStep::Append(_), HookStep::Append(_)]), "init and media");
    world.native(&[0, 4_000_000]);
    let before = world.commands().len();
    world.append(2, &[1; 10]);
    world.device(changed(2, &[0, 4_000_000]));
    let Some(HookCommand::Done { r#type: None, steps, op: 2, .. }) = world.last_command() else {
        panic!("no answer")
    };
    assert_eq!((steps.len(), world.commands().len()), (0, before + 1));
}

#[test]
fn native_ranges_that_differ_are_corrected_a_bounded_number_of_times() {
    let mut world = World::ready();
    world.append(1, &[1]);
    world.device(changed(1, &[0, 4_000_000]));
    for _ in 0..20 {
        world.native(&[0, 9_000_000]);
    }
    let fixes = world.commands().iter().filter(|c| matches!(c, HookCommand::Fix { .. })).count();
    assert_eq!(fixes, 4);
}

#[test]
fn a_failure_on_the_device_sends_the_player_back_with_its_code() {
    let mut world = World::ready();
    world.append(1, &[1]);
    let failed = PlayerFailed { player: 1, code: 1303, detail: String::new() };
    world.device(FromDeviceKind::PlayerFailed(failed));
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1, code: 1303, retry: false }));
    let codes = |world: &World| -> Vec<String> {
        world.core.status().in_session.into_iter().map(|reason| reason.code).collect()
    };
    assert_eq!(codes(&world), ["OFS-1303"]);
    world.open(true);
    assert_eq!(codes(&world), [""; 0], "it is on its way to the device again");
}

#[test]
fn a_lost_client_sends_every_player_back_and_a_new_one_is_told_to_the_relays() {
    let mut world = World::ready();
    world.bridge(BridgeKind::ChannelDown(ChannelDown { code: 1201, ..ChannelDown::default() }));
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1, code: 1201, retry: true }));
    assert_eq!(world.last_ready(), Some(false));
    world.connect();
    assert_eq!(world.last_ready(), Some(true));
}

/// The client says nothing for ten seconds.
fn assert_given_up(world: &mut World) {
    world.deaf = true;
    for _ in 0..100 {
        world.now = Monotonic(world.now.0 + 100_000);
        world.core.handle_timeout(world.now, world.now.0);
        world.run();
    }
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1, code: 1001, retry: true }));
}

#[test]
fn a_silent_client_is_given_up() {
    let mut world = World::ready();
    assert_given_up(&mut world);
}

#[test]
fn a_link_that_falls_silent_after_a_seek_is_no_slow_device() {
    let mut world = World::ready();
    world.append(1, &[1]);
    world.hook(HookEvent::Playback(wish(1, false)));
    assert_given_up(&mut world);
}

#[test]
fn the_stand_in_waits_for_the_device_and_is_trimmed_to_it() {
    let mut world = World::ready();
    world.hook(HookEvent::Playback(wish(1, false)));
    let seq = world.last_playback().seq;
    let state = |advancing, media_time_us| {
        FromDeviceKind::PlayerState(PlayerState {
            player: 1,
            seq,
            seek_id: 1,
            media_time_us,
            advancing,
            ready_state: 4,
            ..PlayerState::default()
        })
    };
    world.device(state(false, 0));
    assert!(matches!(world.last_command(), Some(HookCommand::Sync { advancing: false, .. })));
    world.hook(HookEvent::Drift { ms: 1, drift_us: 0.0, paused: false, seek_id: 0 });
    assert_eq!(world.last_command(), Some(HookCommand::Slew { ms: 1, factor: 0.0, for_ms: 0.0 }));
    world.device(state(true, 1000));
    world.hook(HookEvent::Drift { ms: 1, drift_us: 1000.0, paused: false, seek_id: 0 });
    assert_eq!(world.last_command(), Some(HookCommand::Slew { ms: 1, factor: 1.0, for_ms: 0.0 }));
    let count = world.commands().len();
    world.device(FromDeviceKind::PlayerState(PlayerState {
        player: 1,
        seq: seq + 1,
        ..PlayerState::default()
    }));
    assert_eq!(world.commands().len(), count, "a state of another wish says nothing");
}

#[test]
fn a_stand_in_is_not_held_any_more_once_the_device_has_played_to_its_end() {
    let mut world = World::ready();
    world.hook(HookEvent::Playback(wish(1, false)));
    let seq = world.last_playback().seq;
    let state = PlayerState { player: 1, seq, seek_id: 1, ready_state: 4, ..PlayerState::default() };
    world.device(FromDeviceKind::PlayerState(PlayerState { advancing: true, ..state }));
    world.device(FromDeviceKind::PlayerState(PlayerState { ended: true, ..state }));
    let free = Some(HookCommand::Slew { ms: 1, factor: 1.0, for_ms: 0.0 });
    assert_eq!(world.last_command(), free);
    // The hook answers what it heard before.
    world.hook(HookEvent::Drift { ms: 1, drift_us: -200_000.0, paused: false, seek_id: 0 });
    assert_eq!(world.last_command(), free);
}

#[test]
fn an_answer_across_a_seek_is_no_drift() {
    let mut world = World::ready();
    world.hook(HookEvent::Playback(PlaybackEvent { seek_id: 3, ..wish(1, false) }));
    let told = world.last_playback();
    let (seq, seek_id) = (told.seq, told.seek_id);
    let state = PlayerState { player: 1, seq, seek_id, ready_state: 4, ..PlayerState::default() };
    world.device(FromDeviceKind::PlayerState(PlayerState { advancing: true, ..state }));
    let asked = world.last_command();
    assert!(matches!(asked, Some(HookCommand::Sync { seek_id: 3, .. })), "{asked:?}");
    // The page seeks before it hears that, and its stand-in is there at once.
    world.hook(HookEvent::Playback(PlaybackEvent { seek_id: 4, ..wish(1, false) }));
    world.hook(HookEvent::Drift { ms: 1, drift_us: 6_200_000.0, paused: false, seek_id: 3 });
    assert_eq!(world.last_command(), asked);
}

#[test]
fn a_device_that_should_play_and_does_not_gives_the_player_back() {
    let mut world = World::ready();
    world.hook(HookEvent::Playback(wish(1, false)));
    let seq = world.last_playback().seq;
    let state = PlayerState { player: 1, seq, seek_id: 1, ready_state: 4, ..PlayerState::default() };
    world.device(FromDeviceKind::PlayerState(state));
    for _ in 0..12 {
        world.now = Monotonic(world.now.0 + 500_000);
        world.core.handle_timeout(world.now, world.now.0);
        world.run();
    }
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1, code: 1314, retry: false }));
}

#[test]
fn a_device_that_drops_pictures_rests_and_is_tried_again() {
    let mut world = World::ready();
    world.hook(HookEvent::Playback(wish(1, false)));
    let seq = world.last_playback().seq;
    for second in 0..20 {
        let state = PlayerState {
            player: 1,
            seq,
            seek_id: 1,
            ready_state: 4,
            advancing: true,
            frames_presented: second * 20,
            frames_dropped: second * 10,
            ..PlayerState::default()
        };
        world.device(FromDeviceKind::PlayerState(state));
        world.after(std::time::Duration::from_secs(1));
    }
    let code = ErrorCode::PICTURES_DROPPED;
    let back = HookCommand::Revert { ms: 1, code: code.number(), retry: false };
    assert_eq!(world.last_command(), Some(back.clone()));
    assert_eq!(world.core.status().in_session[0].code, code.to_string());
    world.open(true);
    assert_eq!(world.last_command(), Some(back), "not yet");
    world.after(std::time::Duration::from_secs(60));
    assert_eq!(world.last_command(), Some(HookCommand::Return { ms: 1 }));
    world.open(true);
    assert_eq!(world.last_command(), Some(HookCommand::Accept { ms: 1 }));
}

#[test]
fn frames_are_counted_by_the_device_as_long_as_the_player_is_open() {
    let mut world = World::ready();
    let counted = |world: &World| {
        let status = world.core.status();
        (status.frames_presented, status.frames_dropped)
    };
    let state = PlayerState { player: 1, frames_presented: 300, frames_dropped: 2, ..PlayerState::default() };
    world.device(FromDeviceKind::PlayerState(state));
    assert_eq!(counted(&world), (300, 2));
    world.hook(HookEvent::Close { ms: 1 });
    assert_eq!(counted(&world), (0, 0));
}

#[test]
fn an_operation_that_is_never_answered_gives_the_player_back() {
    let mut world = World::ready();
    world.append(1, &[1; 10]);
    for _ in 0..20 {
        world.now = Monotonic(world.now.0 + 500_000);
        world.core.handle_timeout(world.now, world.now.0);
        world.run();
    }
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1, code: 1219, retry: false }));
}

#[test]
fn only_a_word_that_was_given_out_binds_a_port_and_only_once() {
    let mut world = World::new(&["https://*/*"]);
    world.connect();
    assert_eq!(world.core.handle_media_offered("guess"), None);
    world.core.handle_relay_opened(world.now, 9, place(2), "secret".into());
    assert_eq!(world.core.handle_media_offered("secret"), Some(9));
    assert_eq!(world.core.handle_media_offered("secret"), None);
}

#[test]
fn a_document_without_a_bound_port_is_not_listened_to() {
    let mut world = World::new(&["https://*/*"]);
    world.connect();
    world.core.handle_relay_opened(world.now, 9, place(2), "secret".into());
    world.core.handle_hook(world.now, 0, 9, HookEvent::Open { ms: 1, replay: false });
    world.run();
    assert_eq!(world.received, []);
}

#[test]
fn a_flood_costs_the_page_its_own_players_only() {
    let mut world = World::ready();
    world.core.handle_relay_opened(world.now, 2, place(2), "other".into());
    assert_eq!(world.core.handle_media_offered("other"), Some(2));
    world.core.handle_hook(world.now, 0, 2, HookEvent::Open { ms: 1, replay: false });
    for _ in 0..10_000 {
        world.core.handle_nonsense(world.now, 1, "x");
    }
    world.run();
    assert_eq!(world.commands_of(1).last(), Some(&HookCommand::Revert { ms: 1, code: 1401, retry: false }));
    assert_eq!(world.commands_of(2).last(), Some(&HookCommand::Accept { ms: 1 }));
}

#[test]
fn players_and_buffers_of_a_page_are_bounded() {
    let mut world = World::ready();
    for ms in 2..100 {
        world.hook(HookEvent::Open { ms, replay: false });
    }
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 99, code: 1402, retry: false }));
    for sb in 2..100 {
        world.hook(HookEvent::AddBuffer { ms: 1, sb, mime: "video/mp4".into() });
    }
    assert!(world.commands().contains(&HookCommand::Revert { ms: 1, code: 1403, retry: false }));
}

#[test]
fn a_player_that_is_read_goes_back_once_and_returns_when_it_is_quiet_each_time_after_twice_as_long() {
    let mut world = World::ready();
    for wait in [10, 20, 40] {
        for _ in 0..5 {
            world.after(std::time::Duration::from_secs(1));
            world.hook(HookEvent::Read { ms: 1, reader: Reader::Pixels });
        }
        assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1, code: 1308, retry: false }));
        world.hook(HookEvent::Open { ms: 1, replay: true });
        assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1, code: 1308, retry: false }));
        let (due, _) = world.core.players.poll_timeout().unwrap();
        assert_eq!(due.since(world.now).as_secs(), wait);
        let count = world.commands().len();
        world.after(due.since(world.now));
        assert_eq!(world.commands()[count..], [HookCommand::Return { ms: 1 }]);
        world.hook(HookEvent::Open { ms: 1, replay: true });
        assert_eq!(world.last_command(), Some(HookCommand::Accept { ms: 1 }));
    }
}

#[test]
fn a_graph_of_sounds_and_a_captured_stream_keep_the_player_for_good() {
    for (reader, code) in [(Reader::Sound, 1309), (Reader::Stream, 1310)] {
        let mut world = World::ready();
        world.hook(HookEvent::Read { ms: 1, reader });
        world.hook(HookEvent::Read { ms: 1, reader: Reader::Pixels });
        world.after(std::time::Duration::from_secs(2000));
        world.hook(HookEvent::Open { ms: 1, replay: true });
        assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1, code, retry: false }));
    }
}

#[test]
fn the_next_video_of_a_page_that_reads_begins_in_the_session() {
    let mut world = World::ready();
    world.hook(HookEvent::Read { ms: 1, reader: Reader::Pixels });
    world.hook(HookEvent::Open { ms: 2, replay: false });
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 2, code: 1308, retry: false }));
    world.core.handle_relay_opened(
        world.now,
        2,
        Place { origin: "https://other.example".into(), ..place(2) },
        "other".into(),
    );
    assert_eq!(world.core.handle_media_offered("other"), Some(2));
    world.core.handle_hook(world.now, 0, 2, HookEvent::Open { ms: 1, replay: false });
    world.run();
    assert_eq!(world.commands_of(2), [HookCommand::Accept { ms: 1 }]);
}

#[test]
fn a_video_in_a_window_of_its_own_returns_when_that_is_closed() {
    let mut world = World::ready();
    world.hook(HookEvent::ReadEnded { ms: 1 });
    world.hook(HookEvent::Read { ms: 1, reader: Reader::Window });
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1, code: 1318, retry: false }));
    world.hook(HookEvent::ReadEnded { ms: 1 });
    assert_eq!(world.last_command(), Some(HookCommand::Return { ms: 1 }));
    world.hook(HookEvent::Open { ms: 1, replay: true });
    assert_eq!(world.last_command(), Some(HookCommand::Accept { ms: 1 }));
}

#[test]
fn a_muted_tab_is_silent_on_the_device_whatever_the_page_wishes() {
    let mut world = World::new(&["https://*/*"]);
    world.connect();
    world.core.handle_tab_muted(world.now, 0, 1, true);
    world.open_player();
    world.hook(HookEvent::Playback(wish(1, false)));
    assert!(world.last_playback().muted);
    let seq = world.last_playback().seq;
    for (tab, muted, heard) in [(2, true, false), (1, false, true), (1, true, false)] {
        world.core.handle_tab_muted(world.now, 0, tab, muted);
        world.run();
        assert_eq!(world.last_playback().muted, !heard);
    }
    assert_eq!(world.last_playback().seq, seq + 2);
}

#[test]
fn a_source_of_a_worker_is_told_until_the_document_has_another_player() {
    let mut world = World::ready();
    world.hook(HookEvent::InWorker {});
    assert_eq!(world.core.status().in_session[0].code, "OFS-1340");
    world.hook(HookEvent::Open { ms: 2, replay: false });
    assert_eq!(world.core.status().in_session, []);
}

#[test]
fn nothing_plays_on_the_device_while_any_page_shares_a_screen() {
    let mut world = World::ready();
    world.core.handle_relay_opened(
        world.now,
        2,
        Place { origin: "https://other.example".into(), ..place(2) },
        "other".into(),
    );
    assert_eq!(world.core.handle_media_offered("other"), Some(2));
    world.core.handle_hook(world.now, 0, 2, HookEvent::Sharing { live: true });
    world.run();
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1, code: 1320, retry: false }));
    world.hook(HookEvent::Open { ms: 2, replay: false });
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 2, code: 1320, retry: false }));
    world.core.handle_relay_closed(2);
    world.run();
    let commands = world.commands();
    assert_eq!(
        commands[commands.len() - 2..],
        [HookCommand::Return { ms: 1 }, HookCommand::Return { ms: 2 }]
    );
    world.hook(HookEvent::Open { ms: 1, replay: true });
    assert_eq!(world.last_command(), Some(HookCommand::Accept { ms: 1 }));
}

#[test]
fn what_is_remembered_of_a_page_that_reads_is_bounded() {
    let mut world = World::ready();
    for ms in 0..1500 {
        world.now = Monotonic(world.now.0 + 1_000_000);
        world.hook(HookEvent::Read { ms, reader: Reader::Sound });
    }
    let (due, _) = world.core.players.poll_timeout().unwrap_or_default();
    assert_eq!(due, Monotonic::default());
    world.hook(HookEvent::Open { ms: 1499, replay: false });
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1499, code: 1309, retry: false }));
}

proptest::proptest! {
    #[test]
    fn no_order_of_events_breaks_the_core(steps in proptest::collection::vec((0u8..17, 0u32..3, 0u32..3, proptest::num::f64::ANY), 0..60)) {
        let mut world = World::ready();
        for (what, ms, sb, value) in steps {
            let data = ByteBuf::from(vec![0; 10]);
            let event = match what {
                0 => HookEvent::Open { ms, replay: value > 0.0 },
                1 => HookEvent::AddBuffer { ms, sb, mime: "x".into() },
                2 => HookEvent::RemoveBuffer { ms, sb },
                3 => HookEvent::Append(AppendEvent { ms, sb, op: 1, replay: false, data, offset: Some(value), window_start: value, window_end: None, sequence: false }),
                4 => HookEvent::Remove { ms, sb, op: 1, start: value, end: Some(value) },
                5 => HookEvent::Native { ms, sb, ranges: vec![0.0, value, value, 7e6] },
                6 => HookEvent::Duration { ms, seconds: Some(value) },
                7 => HookEvent::Drift { ms, drift_us: value, paused: sb > 0, seek_id: 0 },
                8 => HookEvent::Caught { ms, buffers: vec![NativeRanges { sb, ranges: vec![value, value] }], ended: true },
                9 => HookEvent::Swapped { ms },
                10 => HookEvent::Close { ms },
                11 => HookEvent::Playback(PlaybackEvent { rate: value, volume: value, position: value, ..wish(ms, sb > 0) }),
                14 => HookEvent::Read { ms, reader: if sb == 0 { Reader::Pixels } else { Reader::Window } },
                15 => HookEvent::ReadEnded { ms },
                16 => HookEvent::Sharing { live: sb == 0 },
                12 => { world.device(changed(ms, &[0, 4_000_000])); HookEvent::Abort { ms, sb, op: 2 } }
                _ => { world.device(FromDeviceKind::PlayerState(PlayerState { player: ms, seq: sb, ready_state: 4, ..PlayerState::default() })); HookEvent::End { ms, ended: true } }
            };
            world.hook(event);
        }
    }

    #[test]
    fn no_bytes_of_the_native_host_break_the_core(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let mut world = World::ready();
        world.core.handle_native_bytes(world.now, 0, &bytes);
        world.run();
    }
}

fn place(tab: i32) -> Place {
    Place { tab, frame: 0, origin: "https://example.org".into(), url: "https://example.org/".into() }
}

fn wish(ms: u32, paused: bool) -> PlaybackEvent {
    PlaybackEvent {
        ms,
        paused,
        rate: 1.0,
        volume: 1.0,
        muted: false,
        preserves_pitch: true,
        seek_id: 0,
        position: 0.0,
    }
}

fn changed(op: u32, ranges: &[u64]) -> FromDeviceKind {
    let tracks = Tracks { width: 640, height: 360, has_audio: false, duration_us: None };
    let ranges_us = ranges.to_vec();
    FromDeviceKind::BufferChanged(BufferChanged {
        player: 1,
        buffer: 1,
        op,
        ranges_us,
        tracks: Some(tracks),
        ..BufferChanged::default()
    })
}

fn sources(json: &serde_json::Value) -> Sources {
    serde_json::from_value(json.clone()).unwrap()
}

/// An entry of the list that is shipped.
fn site(kind: &str, pages: &[&str]) -> serde_json::Value {
    json!({ "id": kind, "name": "A site", "kind": kind, "pages": pages })
}

/// The core, a bridge and a client, with what each has got.
struct World {
    core: Core,
    now: Monotonic,
    device: Option<Mux>,
    /// A client that no longer answers.
    deaf: bool,
    epoch: u64,
    bridge_sequence: u32,
    log: Vec<Output>,
    received: Vec<ToDeviceKind>,
}

impl World {
    fn new(sites: &[&str]) -> Self {
        let mut core = Core::new("1.2.3", "On your device");
        core.handle_config(&sources(&json!({ "shipped": { "sites": [site("video", sites)] } })));
        let now = Monotonic(1_000_000);
        let mut world = Self {
            core,
            now,
            device: None,
            deaf: false,
            epoch: 0,
            bridge_sequence: 0,
            log: vec![],
            received: vec![],
        };
        world.run();
        world
    }

    /// Connected, document 1 in tab 1 bound, player 1 open with one buffer.
    fn ready() -> Self {
        let mut world = Self::new(&["https://*/*"]);
        world.connect();
        world.open_player();
        world
    }

    fn connect(&mut self) {
        self.epoch += 1;
        self.bridge(BridgeKind::Hello(Hello {
            component: "bridge".into(),
            protocol_min: 1,
            protocol_max: 1,
            ..Hello::default()
        }));
        let mut config = MuxConfig::of_component("client", "1.2.3");
        config.hello.features.extend([FEATURE_FILES, FEATURE_FETCH, FEATURE_CALLS].map(str::to_owned));
        self.device = Some(Mux::new(self.now, config));
        self.bridge(BridgeKind::ChannelUp(ChannelUp { kind: "unix".into(), epoch: self.epoch }));
        self.device(FromDeviceKind::DeviceChanged(DeviceChanged { ready: true, ..DeviceChanged::default() }));
    }

    fn open(&mut self, replay: bool) {
        self.core.handle_relay_opened(self.now, 1, place(1), "word".into());
        assert_eq!(self.core.handle_media_offered("word"), Some(1));
        self.hook(HookEvent::Open { ms: 1, replay });
    }

    fn open_player(&mut self) {
        self.open(false);
        self.hook(HookEvent::AddBuffer { ms: 1, sb: 1, mime: "video/webm".into() });
    }

    fn append(&mut self, op: u32, data: &[u8]) {
        let data = ByteBuf::from(data.to_vec());
        self.hook(HookEvent::Append(AppendEvent {
            ms: 1,
            sb: 1,
            op,
            replay: false,
            data,
            offset: None,
            window_start: 0.0,
            window_end: None,
            sequence: false,
        }));
    }

    /// Lets time pass with nothing else happening.
    fn after(&mut self, duration: std::time::Duration) {
        let end = self.now.after(duration);
        while self.now < end {
            self.now = self.now.after(std::time::Duration::from_millis(500)).min(end);
            self.core.handle_timeout(self.now, self.now.0);
            if let Some(device) = &mut self.device {
                device.handle_timeout(self.now, self.now.0).unwrap();
            }
            self.run();
        }
    }

    fn native(&mut self, ranges: &[u32]) {
        self.hook(HookEvent::Native { ms: 1, sb: 1, ranges: ranges.iter().map(|r| f64::from(*r)).collect() });
    }

    fn hook(&mut self, event: HookEvent) {
        self.core.handle_hook(self.now, self.now.0, 1, event);
        self.run();
    }

    fn bridge(&mut self, kind: BridgeKind) {
        let payload = BridgeMessage { kind: Some(kind) }.encode_to_vec();
        let frame = Frame::whole(BRIDGE_STREAM, self.bridge_sequence, &payload).encode();
        self.bridge_sequence += 1;
        self.core.handle_native_bytes(self.now, self.now.0, &frame);
        self.run();
    }

    fn device(&mut self, kind: FromDeviceKind) {
        if let Some(device) = &mut self.device {
            device.send(3, FromDevice { kind: Some(kind) }.encode_to_vec()).unwrap();
        }
        self.run();
    }

    /// Passes bytes to and fro until nothing moves.
    fn run(&mut self) {
        loop {
            let mut moved = false;
            while let Some(output) = self.core.poll_output() {
                moved = true;
                if let Output::Link(LinkAction::Send(bytes)) = &output {
                    let mut reader = FrameReader::new();
                    reader.push(bytes);
                    while let Some(frame) = reader.next().unwrap() {
                        if let Some(device) =
                            self.device.as_mut().filter(|_| frame.stream != BRIDGE_STREAM && !self.deaf)
                        {
                            device.handle_frame(self.now, self.now.0, frame.as_frame()).unwrap();
                        }
                    }
                }
                self.log.push(output);
            }
            let Some(device) = self.device.as_mut().filter(|_| !self.deaf) else { break };
            while let Some(event) = device.poll_event() {
                moved = true;
                if let MuxEvent::Message { bytes, .. } = event {
                    self.received.extend(ToDevice::decode(bytes.as_slice()).unwrap().kind);
                }
            }
            while let Some(bytes) = device.poll_transmit(100_000) {
                moved = true;
                self.core.handle_native_bytes(self.now, self.now.0, &bytes);
            }
            if !moved {
                break;
            }
        }
    }

    fn commands_of(&self, document: u32) -> Vec<HookCommand> {
        let of = |output: &Output| match output {
            Output::ToHook { relay, command } if *relay == document => Some(command.clone()),
            _ => None,
        };
        self.log.iter().filter_map(of).collect()
    }

    fn commands(&self) -> Vec<HookCommand> {
        self.commands_of(1)
    }

    fn last_command(&self) -> Option<HookCommand> {
        self.commands().pop()
    }

    fn last_ready(&self) -> Option<bool> {
        self.log.iter().rev().find_map(|output| match output {
            Output::ToRelay { command, .. } => Some(command.ready),
            _ => None,
        })
    }

    fn last_playback(&self) -> offstage_protocol::message::SetPlayback {
        let found = self.received.iter().rev().find_map(|kind| match kind {
            ToDeviceKind::SetPlayback(playback) => Some(*playback),
            _ => None,
        });
        found.expect("a playback wish was sent")
    }

    fn icon(&self, wanted: i32) -> Option<IconState> {
        self.log.iter().rev().find_map(|output| match output {
            Output::SetIcon { tab, state, .. } if *tab == wanted => Some(*state),
            _ => None,
        })
    }
}
