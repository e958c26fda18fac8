//! Any sequence of messages and events: no panic, every operation answered once, bounds kept, one thing at a time.

use std::collections::BTreeMap;

use offstage_protocol::Monotonic;
use offstage_protocol::message::{
    Abort, ChangeType, CloseAll, ClosePlayer, EndOfStream, Layout, Remove, RemoveSourceBuffer, SetDuration,
    SetPlayback, ToDeviceKind, ToStageKind,
};
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use crate::machine::event::{
    BufferSnapshot, Command, Event, Exception, Outcome, ProbeResult, VideoMoment, VideoSnapshot,
};
use crate::machine::limits::{MAX_PLAYERS, MAX_PROBES};
use crate::machine::tests::fake::{Bench, Said, open, piece};

type Key = (u32, u32);

#[derive(Clone, Debug)]
enum Step {
    Open(Key),
    Close(u32),
    CloseAll,
    RemoveBuffer(Key),
    Piece(Key, Vec<u8>, bool),
    /// The last piece of an append comes after another operation has cut it.
    Stray(Key),
    Remove(Key, f64, f64),
    Abort(Key),
    ChangeType(Key),
    Duration(u32, Option<f64>),
    End(u32, bool),
    Playback(SetPlayback),
    Layout(Layout),
    /// The browser carries out what is oldest; the number decides how it goes.
    Browser(u8),
    /// Something happens to an element that nobody asked for.
    Happen(u32, u8),
    Wait(u32),
    Disconnect,
}

fn step() -> impl Strategy<Value = Step> {
    let player = 1..4_u32;
    let key = || (1..4_u32, 16..18_u32);
    let data = prop_oneof![
        Just(b"\0\0\0\x08ftyp\0\0\0\x08moov\0\0\0\x08moof".to_vec()),
        Just(vec![0x1A, 0x45, 0xDF, 0xA3, 0x80]),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    prop_oneof![
        4 => key().prop_map(Step::Open),
        1 => player.clone().prop_map(Step::Close),
        1 => Just(Step::CloseAll),
        1 => key().prop_map(Step::RemoveBuffer),
        12 => (key(), data, any::<bool>()).prop_map(|(key, data, last)| Step::Piece(key, data, last)),
        2 => (key(), any::<f64>(), any::<f64>()).prop_map(|(key, start, end)| Step::Remove(key, start, end)),
        2 => key().prop_map(Step::Abort),
        1 => key().prop_map(Step::Stray),
        1 => key().prop_map(Step::ChangeType),
        2 => (player.clone(), any::<Option<f64>>()).prop_map(|(player, seconds)| Step::Duration(player, seconds)),
        2 => (player.clone(), any::<bool>()).prop_map(|(player, ended)| Step::End(player, ended)),
        4 => (player.clone(), any::<(u32, bool, f64, f64, u32, f64)>()).prop_map(
            |(player, (seq, paused, rate, volume, seek_id, seek_to))| Step::Playback(SetPlayback {
                player, seq, paused, rate, volume, seek_id, seek_to, ..SetPlayback::default()
            })
        ),
        2 => (player.clone(), any::<(u32, u32)>()).prop_map(|(player, (width, height))| {
            Step::Layout(Layout { player, width, height, ..Layout::default() })
        }),
        25 => any::<u8>().prop_map(Step::Browser),
        4 => (player, any::<u8>()).prop_map(|(player, how)| Step::Happen(player, how)),
        3 => (0..5_000_000_u32).prop_map(Step::Wait),
        1 => Just(Step::Disconnect),
    ]
}

/// The browser's side, and the count of what was asked and answered.
#[derive(Default)]
struct World {
    bench: Bench,
    todo: Vec<Command>,
    /// Windows that have been opened and not closed; true once they are ready.
    windows: BTreeMap<u32, bool>,
    /// The one operation that a buffer works on.
    running: BTreeMap<Key, Event>,
    next_op: u32,
    /// Appends whose last piece has not been sent.
    open_append: BTreeMap<Key, u32>,
    /// How many answers each operation must have and may have, and has.
    wanted: BTreeMap<(Key, u32), (u32, u32)>,
}

impl World {
    fn take(&mut self, step: Step) {
        match step {
            Step::Open((player, buffer)) => {
                open(&mut self.bench, player, buffer, "video/mp4; codecs=\"avc1\"")
            }
            Step::Close(player) => self.bench.send(ToDeviceKind::ClosePlayer(ClosePlayer { player })),
            Step::CloseAll => {
                self.bench.send_stage(ToStageKind::CloseAll(CloseAll { players: vec![1, 2, 3] }))
            }
            Step::RemoveBuffer((player, buffer)) => {
                self.bench.send(ToDeviceKind::RemoveSourceBuffer(RemoveSourceBuffer { player, buffer }));
            }
            Step::Piece(key, data, last) => {
                let op = *self.open_append.entry(key).or_insert_with(|| {
                    self.next_op += 1;
                    self.next_op
                });
                self.wanted.entry((key, op)).or_default().0 = u32::from(last);
                if last {
                    self.open_append.remove(&key);
                }
                self.bench.send(piece(key.0, key.1, op, &data, last));
            }
            Step::Remove(key, start, end) => {
                let op = self.op(key);
                let remove = Remove { player: key.0, buffer: key.1, op, start, end: Some(end) };
                self.bench.send(ToDeviceKind::Remove(remove));
            }
            Step::Abort(key) => {
                let op = self.op(key);
                self.bench.send(ToDeviceKind::Abort(Abort { player: key.0, buffer: key.1, op }));
            }
            Step::Stray(key) => {
                let cut = self.open_append.get(&key).copied();
                self.take(Step::Abort(key));
                let there = self.bench.stage.buffer(key.0, key.1).is_some();
                if let Some(op) = cut.filter(|_| there) {
                    self.bench.send(piece(key.0, key.1, op, b"late", true));
                }
            }
            Step::ChangeType(key) => {
                let op = self.op(key);
                let change = ChangeType { player: key.0, buffer: key.1, op, mime: "audio/mp4".to_owned() };
                self.bench.send(ToDeviceKind::ChangeType(change));
            }
            Step::Duration(player, seconds) => {
                self.bench.send(ToDeviceKind::SetDuration(SetDuration { player, seconds }));
            }
            Step::End(player, ended) => {
                self.bench.send(ToDeviceKind::EndOfStream(EndOfStream { player, ended }))
            }
            Step::Playback(wish) => self.bench.send(ToDeviceKind::SetPlayback(wish)),
            Step::Layout(layout) => self.bench.layout(&layout),
            Step::Browser(how) => self.browse(how),
            Step::Happen(player, how) => {
                let snapshot = snapshot(how);
                let moment =
                    [VideoMoment::Changed, VideoMoment::Waiting, VideoMoment::Seeked][usize::from(how % 3)];
                self.bench.event(Event::Video { player, moment, snapshot });
            }
            Step::Wait(micros) => {
                self.bench.now = Monotonic(self.bench.now.0 + u64::from(micros));
                self.bench.stage.handle_timeout(self.bench.now);
                let next = self.bench.stage.poll_timeout();
                assert!(
                    next.is_none_or(|(at, _)| at > self.bench.now),
                    "{next:?} would be called for in a loop"
                );
            }
            Step::Disconnect => {
                self.collect();
                self.bench.stage.handle_disconnected(self.bench.now);
                // Nobody is there to be answered.
                let open: Vec<_> = self.open_append.iter().map(|(key, op)| (*key, *op)).collect();
                self.wanted.retain(|op, _| open.contains(op));
                self.collect();
                assert_eq!(self.windows.len(), 0);
            }
        }
        self.collect();
    }

    /// A new operation, which cuts an append that has not ended.
    fn op(&mut self, key: Key) -> u32 {
        self.open_append.remove(&key);
        self.next_op += 1;
        self.wanted.insert((key, self.next_op), (1, 0));
        self.next_op
    }

    /// Looks at everything that came out.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only the commands that are counted matter here")]
    fn collect(&mut self) {
        for said in self.bench.said() {
            if let Said::Changed(changed) = said {
                let op = ((changed.player, changed.buffer), changed.op);
                let (_, answers) = self.wanted.get_mut(&op).expect("an operation that nobody asked for");
                *answers += 1;
                assert_eq!(*answers, 1, "{op:?} was answered twice");
            }
        }
        for command in self.bench.commands() {
            match &command {
                Command::OpenWindow { player, .. } => {
                    assert!(self.windows.values().all(|ready| *ready), "one window at a time");
                    assert!(self.windows.insert(*player, false).is_none());
                }
                Command::CloseWindow { player } => {
                    assert!(self.windows.remove(player).is_some(), "a window that is not open");
                    self.running.retain(|(owner, _), _| owner != player);
                    self.todo.retain(|command| target(command) != Some(*player));
                    continue;
                }
                Command::RemoveBuffer { player, buffer } => {
                    self.running.remove(&(*player, *buffer));
                }
                Command::Append { player, buffer, .. }
                | Command::Remove { player, buffer, .. }
                | Command::Abort { player, buffer }
                | Command::ChangeType { player, buffer, .. } => {
                    let done = Event::BufferDone {
                        player: *player,
                        buffer: *buffer,
                        snapshot: BufferSnapshot::default(),
                        outcome: Outcome::Done,
                    };
                    let before = self.running.insert((*player, *buffer), done);
                    assert!(before.is_none(), "two operations at once");
                }
                _ => {}
            }
            if let Some(player) = target(&command) {
                assert!(
                    self.windows.contains_key(&player) || matches!(command, Command::CheckType { .. }),
                    "{command:?}"
                );
            }
            self.todo.push(command);
        }
        let (players, bytes, probes) = self.bench.stage.sizes();
        assert!(players <= MAX_PLAYERS && bytes < 1 << 20 && probes <= MAX_PROBES);
    }

    /// The browser does one thing.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other commands have no answer")]
    fn browse(&mut self, how: u8) {
        let bad = how.is_multiple_of(8);
        let exception = || Exception { name: "InvalidStateError".to_owned(), message: String::new() };
        if self.todo.is_empty() {
            return;
        }
        let events = match self.todo.remove(0) {
            Command::OpenWindow { player, .. } if bad => {
                vec![Event::WindowGone { player, detail: String::new() }]
            }
            Command::OpenWindow { player, .. } => {
                self.windows.insert(player, true);
                vec![Event::WindowReady { player }, Event::SourceOpen { player }]
            }
            Command::AddBuffer { player, buffer, .. } if bad => {
                vec![Event::BufferRefused { player, buffer, exception: exception() }]
            }
            Command::AddBuffer { player, buffer, .. } => vec![Event::BufferAdded { player, buffer }],
            Command::Append { player, buffer, .. }
            | Command::Remove { player, buffer, .. }
            | Command::Abort { player, buffer }
            | Command::ChangeType { player, buffer, .. } => match self.running.remove(&(player, buffer)) {
                Some(Event::BufferDone { snapshot, .. }) => {
                    let outcome = match how % 8 {
                        0 => Outcome::Threw(exception()),
                        1 => Outcome::Failed,
                        _ => Outcome::Done,
                    };
                    vec![Event::BufferDone { player, buffer, snapshot, outcome }]
                }
                _ => vec![],
            },
            Command::EndOfStream { player } if bad => {
                vec![Event::SourceRefused { player, end: true, exception: exception() }]
            }
            Command::Play { player } if bad => vec![Event::PlayRefused { player, exception: exception() }],
            Command::Play { player } => vec![Event::PlayStarted { player }],
            Command::Sample { player } => {
                vec![Event::Video { player, moment: VideoMoment::Sampled, snapshot: snapshot(how) }]
            }
            Command::Layout { player, serial, .. } if !bad => vec![Event::Painted { player, serial }],
            Command::Probe { probe, .. } if how % 8 < 6 => {
                vec![Event::Probed { probe, result: (!bad).then(ProbeResult::default) }]
            }
            _ => vec![],
        };
        for event in events {
            self.bench.event(event);
            self.collect();
        }
    }

    /// Ends everything and counts.
    fn finish(mut self) {
        for (key, _) in core::mem::take(&mut self.open_append) {
            self.take(Step::Abort(key));
        }
        self.take(Step::CloseAll);
        assert_eq!(self.bench.stage.sizes().0, 0);
        for (op, (wanted, answers)) in self.wanted {
            assert!(answers >= wanted, "{op:?} was not answered");
        }
    }
}

/// Whose command it is, as far as it needs the player's window.
fn target(command: &Command) -> Option<u32> {
    match command {
        Command::OpenWindow { player, .. }
        | Command::CloseWindow { player }
        | Command::Layout { player, .. }
        | Command::Place { player, .. }
        | Command::Hide { player }
        | Command::CheckType { player, .. }
        | Command::AddBuffer { player, .. }
        | Command::RemoveBuffer { player, .. }
        | Command::Append { player, .. }
        | Command::Remove { player, .. }
        | Command::Abort { player, .. }
        | Command::ChangeType { player, .. }
        | Command::SetDuration { player, .. }
        | Command::OpenFile { player, .. }
        | Command::EndOfStream { player }
        | Command::Adjust { player, .. }
        | Command::Seek { player, .. }
        | Command::Play { player }
        | Command::Pause { player }
        | Command::WatchFrames { player, .. }
        | Command::Sample { player } => Some(*player),
        Command::PlayTracks(play) => Some(play.player),
        Command::OpenCall { .. } | Command::EndCall { .. } | Command::Call(_) => None,
        Command::Probe { .. } | Command::DropProbe { .. } | Command::Log { .. } => None,
    }
}

fn snapshot(how: u8) -> VideoSnapshot {
    VideoSnapshot {
        current_time: f64::from(how),
        wall_us: u64::from(how) * 1_000_000,
        paused: how & 1 != 0,
        seeking: how & 2 != 0,
        ended: how & 4 != 0,
        ready_state: u16::from(how % 5),
        error: (how > 250).then(|| (3, String::new())),
        ..VideoSnapshot::default()
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    #[test]
    fn every_operation_is_answered_once_whatever_happens(steps in proptest::collection::vec(step(), 0..200)) {
        let mut world = World::default();
        for step in steps {
            world.take(step);
        }
        world.finish();
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut bench = Bench::default();
        let taken = bench.stage.handle_message(Monotonic(1), &bytes);
        proptest::prop_assert!(taken.is_ok() || taken.is_err());
    }
}
