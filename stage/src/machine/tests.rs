//! The machine against a browser that is played by the test.

mod calls;
mod fake;
mod random;

use offstage_protocol::message::{
    Append, AppendSettings, BufferChanged, ChangeType, Clip, EndOfStream, HidePicture, Layout, OpenFile,
    OpenPlayer, PlacePicture, PlayerState, Rect, SetDuration, SetPlayback, ToDeviceKind, ToStageKind, Tracks,
    WatchFrames,
};
use offstage_protocol::{ErrorCode, Monotonic};

use crate::machine::event::{
    BufferSnapshot, Command, Event, Exception, Outcome, PresentedFrame, ProbeResult, VideoMoment,
    VideoSnapshot,
};
use crate::machine::tests::fake::{Bench, Said, open, piece};

const MIME: &str = "video/mp4; codecs=\"avc1.64001f, mp4a.40.2\"";

/// An initialization segment as far as the machine looks.
fn init_segment() -> Vec<u8> {
    b"\0\0\0\x08ftyp\0\0\0\x10moov\0\0\0\x08trak".to_vec()
}

fn done(player: u32, buffer: u32, end: f64) -> Event {
    let snapshot = BufferSnapshot { ranges: vec![(0.0, end)], timestamp_offset: 0.5, parsing: end > 1.5 };
    Event::BufferDone { player, buffer, snapshot, outcome: Outcome::Done }
}

/// A player with an open source and one buffer.
fn playing_bench() -> Bench {
    let mut bench = Bench::default();
    open(&mut bench, 1, 16, MIME);
    bench.event(Event::WindowReady { player: 1 });
    bench.event(Event::SourceOpen { player: 1 });
    bench.event(Event::BufferAdded { player: 1, buffer: 16 });
    bench.commands();
    bench.said();
    bench
}

fn video(current_time: f64, ready_state: u16, paused: bool) -> VideoSnapshot {
    let micros = format!("{:.0}", current_time * 1e6).parse::<u64>().unwrap();
    VideoSnapshot {
        current_time,
        ready_state,
        paused,
        wall_us: 1_000_000 + micros,
        ..VideoSnapshot::default()
    }
}

#[test]
fn a_window_is_announced_before_it_is_asked_for_and_the_next_one_waits() {
    let mut bench = Bench::default();
    open(&mut bench, 1, 16, MIME);
    open(&mut bench, 2, 16, MIME);
    assert_eq!(bench.said(), [Said::WindowAsked(1)]);
    assert!(bench.commands().contains(&Command::OpenWindow { player: 1, width: 1280, height: 720 }));
    bench.event(Event::WindowReady { player: 1 });
    assert_eq!(bench.said(), [Said::WindowAsked(2)]);
}

#[test]
fn a_window_that_never_loads_fails_its_player_only() {
    let mut bench = Bench::default();
    open(&mut bench, 1, 16, MIME);
    open(&mut bench, 2, 16, MIME);
    bench.commands();
    bench.said();
    assert_eq!(bench.stage.poll_timeout().unwrap().1, "window");
    bench.pass_to_timeout();
    assert_eq!(bench.said(), [Said::Failed(1, ErrorCode::WINDOW_NOT_ADOPTED.number()), Said::WindowAsked(2)]);
    assert_eq!(bench.commands().first(), Some(&Command::CloseWindow { player: 1 }));
}

#[test]
fn pieces_are_appended_as_they_come_and_answered_once() {
    let mut bench = playing_bench();
    bench.send(piece(1, 16, 9, b"\0\0\0\x08moof", false));
    let Some(Command::Append { settings: Some(_), data, .. }) = bench.commands().pop() else {
        panic!("no append")
    };
    assert_eq!(data.len(), 8);
    // Two pieces come while the first one is at work: they go on together.
    bench.send(piece(1, 16, 9, b"ab", false));
    bench.send(piece(1, 16, 9, b"cd", true));
    assert_eq!(bench.commands(), []);
    bench.event(done(1, 16, 1.0));
    assert_eq!(
        bench.commands(),
        [Command::Append { player: 1, buffer: 16, settings: None, data: b"abcd".to_vec() }]
    );
    assert_eq!(bench.said(), []);
    bench.event(done(1, 16, 2.000_000_4));
    let answer = BufferChanged {
        player: 1,
        buffer: 16,
        op: 9,
        ranges_us: vec![0, 2_000_000],
        timestamp_offset: 0.5,
        parsing: true,
        ..BufferChanged::default()
    };
    assert_eq!(bench.said(), [Said::Changed(answer)]);
}

#[test]
fn an_initialization_segment_is_probed_once_and_remembered() {
    let mut bench = playing_bench();
    bench.send(piece(1, 16, 1, &init_segment(), true));
    let commands = bench.commands();
    let [Command::Append { .. }, Command::Probe { probe, bytes, .. }] = commands.as_slice() else {
        panic!("{commands:?}")
    };
    assert_eq!(*bytes, init_segment());
    bench.event(done(1, 16, 0.0));
    assert_eq!(bench.said(), [], "the answer waits for the probe");
    let result = ProbeResult { width: 640, height: 360, duration: 12.5, has_audio: None };
    bench.event(Event::Probed { probe: *probe, result: Some(result) });
    let tracks = Tracks { width: 640, height: 360, has_audio: true, duration_us: Some(12_500_000) };
    let told = |said: Vec<Said>| match said.as_slice() {
        [Said::Changed(changed)] => changed.tracks,
        other => panic!("{other:?}"),
    };
    assert_eq!(told(bench.said()), Some(tracks));

    let with_media = [init_segment(), b"\0\0\0\x09moof!".to_vec()].concat();
    bench.send(piece(1, 16, 2, &with_media, true));
    bench.event(done(1, 16, 1.0));
    assert_eq!(told(bench.said()), Some(tracks));
    assert!(!bench.commands().iter().any(|command| matches!(command, Command::Probe { .. })));
}

fn probed(commands: &[Command]) -> Vec<&[u8]> {
    commands
        .iter()
        .filter_map(
            |command| {
                if let Command::Probe { bytes, .. } = command { Some(bytes.as_slice()) } else { None }
            },
        )
        .collect()
}

#[test]
fn an_initialization_segment_may_come_in_several_appends() {
    let init = init_segment();
    let mut bench = playing_bench();
    let (first, second) = init.split_at(init.len() - 5);
    bench.send(piece(1, 16, 1, first, true));
    bench.event(done(1, 16, 0.0));
    assert_eq!(probed(&bench.commands()), [[0_u8; 0]; 0]);
    bench.send(piece(1, 16, 2, &[second, b"\0\0\0\x09moof!".as_slice()].concat(), true));
    assert_eq!(probed(&bench.commands()), [init.as_slice()]);
}

#[test]
fn media_without_initialization_segments_are_probed_by_their_first_append() {
    let mut bench = playing_bench();
    bench.send(ToDeviceKind::ChangeType(ChangeType {
        player: 1,
        buffer: 16,
        op: 1,
        mime: "video/mp2t; codecs=\"avc1.64001e\"".to_owned(),
    }));
    bench.event(done(1, 16, 0.0));
    bench.commands();
    for op in [2, 3] {
        bench.send(piece(1, 16, op, &[0x47; 376], true));
        let commands = bench.commands();
        let wanted: &[&[u8]] = if op == 2 { &[&[0x47; 376]] } else { &[] };
        assert_eq!(probed(&commands), wanted, "{op}");
        bench.event(done(1, 16, 1.0));
        if op == 2 {
            bench.pass_to_timeout();
        }
    }
}

#[test]
fn a_probe_that_takes_too_long_is_answered_without_tracks() {
    let mut bench = playing_bench();
    bench.send(piece(1, 16, 1, &init_segment(), true));
    bench.event(done(1, 16, 0.0));
    bench.commands();
    bench.pass_to_timeout();
    assert!(matches!(bench.said().as_slice(), [Said::Changed(changed)] if changed.tracks.is_none()));
    assert!(matches!(bench.commands().as_slice(), [Command::DropProbe { .. }]));
}

#[test]
fn an_exception_in_the_middle_of_an_append_resets_the_parser() {
    let mut bench = playing_bench();
    bench.send(piece(1, 16, 3, b"first piece", false));
    bench.event(done(1, 16, 1.0));
    bench.send(piece(1, 16, 3, b"second", false));
    bench.commands();
    let exception = Exception { name: "QuotaExceededError".to_owned(), message: String::new() };
    let snapshot = BufferSnapshot::default();
    bench.event(Event::BufferDone { player: 1, buffer: 16, snapshot, outcome: Outcome::Threw(exception) });
    assert_eq!(bench.commands(), [Command::Abort { player: 1, buffer: 16 }]);
    bench.event(done(1, 16, 1.0));
    assert_eq!(bench.said(), [], "answered after the last piece");
    bench.send(piece(1, 16, 3, b"third", true));
    assert_eq!(bench.commands(), []);
    assert!(matches!(bench.said().as_slice(), [Said::Changed(changed)]
        if changed.code == ErrorCode::QUOTA_EXCEEDED.number() && changed.exception == "QuotaExceededError"));
}

#[test]
fn what_is_asked_of_a_player_that_is_gone_is_answered_as_unknown() {
    let mut bench = Bench::default();
    bench.send(piece(5, 16, 1, b"x", false));
    assert_eq!(bench.said(), []);
    bench.send(piece(5, 16, 1, b"x", true));
    let answer = BufferChanged {
        player: 5,
        buffer: 16,
        op: 1,
        code: ErrorCode::PLAYER_UNKNOWN.number(),
        ..Default::default()
    };
    assert_eq!(bench.said(), [Said::Changed(answer)]);
}

#[test]
fn a_failed_element_ends_its_player_and_answers_what_waits() {
    let mut bench = playing_bench();
    bench.send(piece(1, 16, 1, b"garbage!", true));
    bench.send(piece(1, 16, 2, b"more", true));
    bench.event(Event::BufferDone {
        player: 1,
        buffer: 16,
        snapshot: BufferSnapshot::default(),
        outcome: Outcome::Failed,
    });
    let snapshot = VideoSnapshot { error: Some((3, "bad".to_owned())), ..VideoSnapshot::default() };
    bench.event(Event::Video { player: 1, moment: VideoMoment::Changed, snapshot });
    let codes: Vec<u32> = bench.said().iter().filter_map(Said::code).collect();
    assert_eq!(
        codes,
        [ErrorCode::APPEND_FAILED, ErrorCode::DECODE_ERROR, ErrorCode::PLAYER_UNKNOWN].map(ErrorCode::number)
    );
    assert_eq!(bench.commands().last(), Some(&Command::CloseWindow { player: 1 }));
}

#[test]
fn an_unsupported_type_fails_before_the_window_is_there() {
    let mut bench = Bench::default();
    open(&mut bench, 1, 16, "video/x-nothing");
    assert!(matches!(bench.commands().as_slice(), [Command::OpenWindow { .. }, Command::CheckType { .. }]));
    let exception = Exception { name: "NotSupportedError".to_owned(), message: String::new() };
    bench.event(Event::BufferRefused { player: 1, buffer: 16, exception });
    assert_eq!(bench.said().last(), Some(&Said::Failed(1, ErrorCode::UNSUPPORTED_TYPE.number())));
}

#[test]
fn the_end_of_the_stream_waits_for_what_came_before_and_can_be_taken_back() {
    let mut bench = playing_bench();
    bench.send(piece(1, 16, 1, b"12345678", true));
    bench.send(ToDeviceKind::EndOfStream(EndOfStream { player: 1, ended: true }));
    bench.send(ToDeviceKind::SetDuration(SetDuration { player: 1, seconds: None }));
    assert!(matches!(bench.commands().as_slice(), [Command::Append { .. }]));
    bench.event(done(1, 16, 1.0));
    let duration = Command::SetDuration { player: 1, seconds: f64::INFINITY };
    assert_eq!(bench.commands(), [Command::EndOfStream { player: 1 }, duration]);
    bench.send(ToDeviceKind::EndOfStream(EndOfStream { player: 1, ended: false }));
    assert_eq!(
        bench.commands(),
        [Command::Append { player: 1, buffer: 16, settings: None, data: Vec::new() }],
        "an empty append opens the source again"
    );
    bench.said();
    bench.event(done(1, 16, 1.0));
    assert_eq!(bench.said(), [], "and is not answered");
}

#[test]
fn an_append_that_comes_while_the_end_waits_to_be_taken_back_is_not_cut() {
    let mut bench = playing_bench();
    bench.send(piece(1, 16, 1, b"12345678", true));
    for ended in [true, false] {
        bench.send(ToDeviceKind::EndOfStream(EndOfStream { player: 1, ended }));
    }
    bench.send(piece(1, 16, 2, b"1234", false));
    bench.commands();
    bench.event(done(1, 16, 1.0));
    assert!(
        matches!(bench.commands().as_slice(), [Command::EndOfStream { .. }, Command::Append { data, .. }] if data.is_empty())
    );
    bench.event(done(1, 16, 1.0));
    assert!(matches!(bench.commands().as_slice(), [Command::Append { data, .. }] if data == b"1234"));
    bench.said();
    bench.send(piece(1, 16, 2, b"5678", true));
    bench.event(done(1, 16, 2.0));
    assert!(matches!(bench.commands().as_slice(), [Command::Append { data, .. }] if data == b"5678"));
    bench.event(done(1, 16, 2.0));
    let said = bench.said();
    assert!(matches!(said.as_slice(), [Said::Changed(BufferChanged { op: 2, code: 0, .. })]), "{said:?}");
}

#[test]
fn what_the_buffers_hold_at_the_end_of_the_stream_is_told() {
    let mut bench = playing_bench();
    let snapshot = BufferSnapshot { ranges: vec![(0.0, 30.021)], ..BufferSnapshot::default() };
    bench.event(Event::SourceEnded { player: 1, buffers: vec![(16, snapshot.clone()), (99, snapshot)] });
    let told =
        BufferChanged { player: 1, buffer: 16, ranges_us: vec![0, 30_021_000], ..BufferChanged::default() };
    assert_eq!(bench.said(), [Said::Changed(told)]);
}

#[test]
fn settings_that_would_throw_are_made_harmless() {
    let mut bench = playing_bench();
    let settings = AppendSettings {
        timestamp_offset: Some(f64::NAN),
        append_window_start: 5.0,
        append_window_end: Some(4.0),
        sequence_mode: true,
    };
    let append = Append {
        player: 1,
        buffer: 16,
        op: 1,
        last: true,
        settings: Some(settings),
        data: b"12345678".to_vec(),
    };
    bench.send(ToDeviceKind::Append(append));
    let Some(Command::Append { settings: Some(clean), .. }) = bench.commands().pop() else {
        panic!("no append")
    };
    assert_eq!((clean.timestamp_offset, clean.append_window_end), (None, f64::INFINITY));
}

#[test]
fn frames_are_told_on_demand_and_one_of_a_seek_after_the_seek() {
    let mut bench = playing_bench();
    let shown = |media_time| Event::Frame {
        player: 1,
        frame: PresentedFrame { media_time, count: 5, ..PresentedFrame::default() },
    };
    let frames = |bench: &mut Bench| {
        let told = bench.said().into_iter().filter_map(Said::into_frame);
        told.map(|frame| (frame.seek_id, frame.media_time_us)).collect::<Vec<_>>()
    };
    bench.event(shown(1.0));
    assert_eq!(frames(&mut bench), []);
    bench.commands();
    bench.send(ToDeviceKind::WatchFrames(WatchFrames { player: 1, on: true }));
    assert_eq!(bench.commands(), [Command::WatchFrames { player: 1, on: true }]);
    bench.event(shown(1.0));
    assert_eq!(frames(&mut bench), [(0, 1_000_000)]);
    bench.event(Event::Video { player: 1, moment: VideoMoment::Changed, snapshot: video(1.0, 4, true) });
    let seek = SetPlayback {
        player: 1,
        seq: 1,
        paused: true,
        rate: 1.0,
        seek_id: 1,
        seek_to: 7.0,
        ..Default::default()
    };
    bench.send(ToDeviceKind::SetPlayback(seek));
    bench.event(shown(1.033));
    bench.event(shown(6.99));
    assert_eq!(frames(&mut bench), []);
    bench.event(Event::Video { player: 1, moment: VideoMoment::Seeked, snapshot: video(7.0, 4, true) });
    assert_eq!(frames(&mut bench), [(1, 6_990_000)]);
    bench.send(ToDeviceKind::WatchFrames(WatchFrames { player: 1, on: false }));
    bench.event(shown(7.033));
    assert_eq!(frames(&mut bench), []);
}

#[test]
fn a_seek_waits_for_metadata_and_is_told_when_it_has_ended() {
    let mut bench = playing_bench();
    let wish = SetPlayback {
        player: 1,
        seq: 1,
        rate: 1.0,
        volume: 1.0,
        seek_id: 1,
        seek_to: 7.0,
        ..Default::default()
    };
    bench.send(ToDeviceKind::SetPlayback(wish));
    let first = bench.commands();
    assert!(
        first.contains(&Command::Play { player: 1 })
            && !first.iter().any(|c| matches!(c, Command::Seek { .. }))
    );
    bench.event(Event::Video { player: 1, moment: VideoMoment::Changed, snapshot: video(0.0, 1, false) });
    assert_eq!(bench.commands(), [Command::Seek { player: 1, to: 7.0 }]);
    let seeking = VideoSnapshot { seeking: true, ..video(7.0, 1, false) };
    bench.event(Event::Video { player: 1, moment: VideoMoment::Seeked, snapshot: seeking });
    assert_eq!(bench.state().seek_id, 0, "another seek goes on");
    bench.event(Event::Video { player: 1, moment: VideoMoment::Seeked, snapshot: video(7.0, 4, false) });
    let state = bench.state();
    assert_eq!((state.seek_id, state.seq, state.media_time_us), (1, 1, 7_000_000));
}

#[test]
fn the_newest_wish_wins_and_an_older_one_is_ignored() {
    let mut bench = playing_bench();
    bench.send(ToDeviceKind::SetPlayback(SetPlayback { player: 1, seq: 5, rate: 1.0, ..Default::default() }));
    bench.event(Event::Video { player: 1, moment: VideoMoment::Changed, snapshot: video(0.0, 4, false) });
    bench.commands();
    let older = SetPlayback { player: 1, seq: 4, paused: true, rate: 1.0, ..Default::default() };
    bench.send(ToDeviceKind::SetPlayback(older));
    assert_eq!(bench.commands(), []);
    bench.send(ToDeviceKind::SetPlayback(SetPlayback { seq: 6, ..older }));
    assert_eq!(bench.commands(), [Command::Pause { player: 1 }, Command::Sample { player: 1 }]);
    // The rejection of the interrupted play() is no failure.
    let exception = Exception { name: "AbortError".to_owned(), message: String::new() };
    bench.event(Event::PlayRefused { player: 1, exception });
    assert!(!bench.said().iter().any(|said| matches!(said, Said::Failed(..))));
}

#[test]
fn media_that_need_keys_fail_the_player_once() {
    let mut bench = playing_bench();
    bench.event(Event::Encrypted { player: 1 });
    bench.event(Event::Encrypted { player: 1 });
    let failed = Said::Failed(1, ErrorCode::ENCRYPTED_MEDIA.number());
    assert_eq!(bench.said().iter().filter(|said| **said == failed).count(), 1);
}

#[test]
fn playback_that_is_not_allowed_fails_the_player() {
    let mut bench = playing_bench();
    bench.send(ToDeviceKind::SetPlayback(SetPlayback { player: 1, seq: 1, rate: 1.0, ..Default::default() }));
    let exception = Exception { name: "NotAllowedError".to_owned(), message: String::new() };
    bench.event(Event::PlayRefused { player: 1, exception });
    assert_eq!(bench.said().last(), Some(&Said::Failed(1, ErrorCode::PLAYBACK_REFUSED.number())));
}

#[test]
fn advancing_is_said_only_of_a_position_that_was_seen_to_move() {
    let mut bench = playing_bench();
    bench.send(ToDeviceKind::SetPlayback(SetPlayback { player: 1, seq: 1, rate: 1.0, ..Default::default() }));
    bench.event(Event::Video { player: 1, moment: VideoMoment::Playing, snapshot: video(0.0, 4, false) });
    assert!(!bench.state().advancing);
    bench.pass_to_timeout();
    assert!(bench.commands().contains(&Command::Sample { player: 1 }));
    // 10 ms of media in 40 ms: it stumbles. Then it runs.
    let stumbling = VideoSnapshot { wall_us: 1_040_000, ..video(0.01, 4, false) };
    bench.event(Event::Video { player: 1, moment: VideoMoment::Sampled, snapshot: stumbling });
    assert!(!bench.state().advancing);
    let running = VideoSnapshot { wall_us: 1_080_000, ..video(0.05, 4, false) };
    bench.event(Event::Video { player: 1, moment: VideoMoment::Sampled, snapshot: running });
    assert!(bench.state().advancing);
    bench.event(Event::Video { player: 1, moment: VideoMoment::Waiting, snapshot: video(0.5, 2, false) });
    assert!(!bench.state().advancing);
}

#[test]
fn reports_come_often_at_first_and_every_quarter_of_a_second_then() {
    let mut bench = playing_bench();
    bench.send(ToDeviceKind::SetPlayback(SetPlayback { player: 1, seq: 1, rate: 1.0, ..Default::default() }));
    bench.event(Event::Video { player: 1, moment: VideoMoment::Playing, snapshot: video(0.0, 4, false) });
    let mut reports: Vec<PlayerState> = Vec::new();
    let mut at = 0.0;
    while at < 3.0 {
        let before = bench.now;
        bench.pass_to_timeout();
        let passed: Monotonic = bench.now;
        let millis = u32::try_from(passed.since(before).as_millis()).unwrap();
        at += f64::from(millis) / 1000.0;
        bench.event(Event::Video { player: 1, moment: VideoMoment::Sampled, snapshot: video(at, 4, false) });
        reports.extend(bench.said().into_iter().filter_map(Said::into_state));
    }
    let gaps: Vec<i64> = reports
        .windows(2)
        .filter(|pair| pair[0].advancing)
        .map(|pair| (pair[1].media_time_us - pair[0].media_time_us) / 1000)
        .collect();
    assert_eq!(gaps, [[50; 10].as_slice(), [250; 10].as_slice()].concat()[..gaps.len()]);
    assert!(gaps.len() > 15, "{gaps:?}");
}

#[test]
fn a_layout_is_told_when_it_has_been_seen_or_no_frame_comes() {
    let mut bench = playing_bench();
    let layout = Layout { player: 1, width: 300, height: 200, ..Layout::default() };
    bench.layout(&layout);
    let Some(Command::Layout { serial, layout: set, .. }) = bench.commands().pop() else {
        panic!("no layout")
    };
    assert_eq!(
        (set.width, set.object_fit.as_str(), set.object_position.as_str()),
        (300, "contain", "50% 50%")
    );
    bench.event(Event::Painted { player: 1, serial });
    assert_eq!(bench.said(), [Said::LaidOut(layout.clone())]);
    let second = Layout { width: 301, ..layout };
    bench.layout(&second);
    bench.pass_to_timeout();
    assert_eq!(bench.said(), [Said::LaidOut(second)]);
}

#[test]
fn a_session_that_sends_too_much_loses_the_player() {
    let mut bench = Bench::default();
    open(&mut bench, 1, 16, MIME);
    bench.said();
    let block = vec![0; 2 << 20];
    for op in 0..33 {
        bench.send(piece(1, 16, op, &block, false));
    }
    let failed = Said::Failed(1, ErrorCode::TOO_MANY_BYTES.number());
    assert!(bench.said().contains(&failed));
}

#[test]
fn a_lost_socket_closes_every_player_and_sends_nothing() {
    let mut bench = playing_bench();
    bench.send(piece(1, 16, 1, b"12345678", true));
    bench.commands();
    bench.stage.handle_disconnected(bench.now);
    assert_eq!(bench.commands(), [Command::CloseWindow { player: 1 }]);
    assert_eq!(bench.said(), []);
    assert_eq!(bench.stage.poll_timeout(), None);
}

#[test]
fn a_file_is_given_to_the_element_once_and_what_is_loaded_of_it_is_told_when_it_changes() {
    let mut bench = Bench::default();
    bench.send(ToDeviceKind::OpenPlayer(OpenPlayer { player: 1, ..OpenPlayer::default() }));
    let file = OpenFile { player: 1, resource: 3, extension: "m3u8/../x".to_owned() };
    bench.send(ToDeviceKind::OpenFile(file.clone()));
    bench.commands();
    bench.event(Event::WindowReady { player: 1 });
    let opened = Command::OpenFile { player: 1, resource: 3, extension: "m3u8x".to_owned() };
    assert_eq!(bench.commands(), std::slice::from_ref(&opened));
    bench.send(ToDeviceKind::OpenFile(file));
    assert_eq!(bench.commands(), []);
    bench.said();
    let mut seen = VideoSnapshot { held: vec![(0.0, 2.5)], duration: 30.0, ..video(0.0, 4, true) };
    let held = |bench: &mut Bench, seen: &VideoSnapshot| {
        let (moment, snapshot) = (VideoMoment::Changed, seen.clone());
        bench.event(Event::Video { player: 1, moment, snapshot });
        let changed = bench
            .said()
            .into_iter()
            .find_map(|said| if let Said::Changed(changed) = said { Some(changed) } else { None });
        changed.map(|changed| (changed.buffer, changed.op, changed.ranges_us, changed.tracks.unwrap()))
    };
    let tracks = Tracks { duration_us: Some(30_000_000), ..Tracks::default() };
    assert_eq!(held(&mut bench, &seen), Some((1, 0, vec![0, 2_500_000], tracks)));
    assert_eq!(held(&mut bench, &seen), None);
    seen.has_audio = true;
    assert_eq!(
        held(&mut bench, &seen),
        Some((1, 0, vec![0, 2_500_000], Tracks { has_audio: true, ..tracks }))
    );
    seen.has_audio = false;
    assert_eq!(held(&mut bench, &seen), None);
}

fn place(x: i32, visible: Vec<Rect>) -> ToStageKind {
    let rect = Rect { x, y: 7, width: 640, height: 360 };
    let clips = vec![Clip { corners: vec![0, -8, 160, 0, 161, 80], even_odd: true }];
    ToStageKind::PlacePicture(PlacePicture { player: 1, rect: Some(rect), visible, clips })
}

/// What the stage's page is told to show, as path or nothing.
fn shown(bench: &mut Bench) -> Vec<Option<String>> {
    let told = |command: Command| {
        if let Command::Place { place, .. } = &command {
            return Some(Some(format!("{},{} {}", place.x, place.y, place.paths().join(" "))));
        }
        matches!(command, Command::Hide { .. }).then_some(None)
    };
    bench.commands().into_iter().filter_map(told).collect()
}

#[test]
fn a_picture_in_a_page_is_hidden_when_its_place_is_not_said_again_or_makes_no_sense() {
    let part = Rect { x: 0, y: 1, width: 640, height: 300 };
    let seen = Some(
        "-5,7 path('M0 1h640v300h-640z') path(evenodd,'M 0.0000-0.5000L 10.0000 0.0000L 10.0625 5.0000z')"
            .to_owned(),
    );
    let mut bench = playing_bench();
    bench.send_stage(place(-5, vec![part]));
    assert_eq!(shown(&mut bench), std::slice::from_ref(&seen));
    bench.send_stage(ToStageKind::HidePicture(HidePicture { player: 1 }));
    bench.send_stage(ToStageKind::HidePicture(HidePicture { player: 1 }));
    assert_eq!(shown(&mut bench), [None]);
    for nonsense in [place(-5, vec![]), place(i32::MIN, vec![part]), place(-5, vec![part; 16_385])] {
        bench.send_stage(place(-5, vec![part]));
        bench.send_stage(nonsense);
        assert_eq!(shown(&mut bench), [seen.clone(), None]);
    }
    bench.send_stage(place(-5, vec![part]));
    bench.pass_to_timeout();
    assert_eq!(shown(&mut bench), [seen, None]);
}
