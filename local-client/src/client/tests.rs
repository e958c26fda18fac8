//! The machine with sessions that speak the real protocol, without any I/O.

mod channels;
mod screens;

use offstage_protocol::frame::GEOMETRY_STREAM;
use offstage_protocol::message::AddSourceBuffer;
use offstage_protocol::message::Append;
use offstage_protocol::message::CallAnswer;
use offstage_protocol::message::CallEvent;
use offstage_protocol::message::CallRequest;
use offstage_protocol::message::ClosePlayer;
use offstage_protocol::message::FetchRange;
use offstage_protocol::message::Hello;
use offstage_protocol::message::Layout;
use offstage_protocol::message::LogChunk;
use offstage_protocol::message::OpenCall;
use offstage_protocol::message::OpenFile;
use offstage_protocol::message::OpenPlayer;
use offstage_protocol::message::PlayerState;
use offstage_protocol::message::Rect;
use offstage_protocol::message::SetGeometry;
use offstage_protocol::message::ToStage;
use offstage_protocol::message::WindowAsked;

use super::*;
use crate::policy::File;

const NOW: Monotonic = Monotonic(1_000_000);

/// A client with a stage that takes everything, and sessions.
struct World {
    client: Client,
    sessions: BTreeMap<u64, Mux>,
}

impl World {
    /// Ready, with these sessions.
    fn new(sessions: &[u64]) -> Self {
        let mut world = Self { client: Client::new(), sessions: BTreeMap::new() };
        world.client.window_event(NOW, WindowEvent::Ready);
        world.client.engine_changed(NOW, EngineState::Starting { pid: Some(1) });
        world.client.engine_changed(NOW, EngineState::Running { version: "Chrome/1".to_owned() });
        world.client.stage_opened();
        world.stage_says(FromStageKind::Hello(Hello {
            protocol_min: 1,
            protocol_max: 1,
            ..Hello::default()
        }));
        for session in sessions {
            world.connect(*session);
        }
        world.windows();
        world
    }

    fn connect(&mut self, session: u64) {
        self.client.session_opened(NOW, session, Peer::default());
        self.sessions.insert(session, Mux::new(NOW, MuxConfig::of_component("extension", "1.0.0")));
        self.exchange();
    }

    /// Carries bytes both ways until there are none.
    fn exchange(&mut self) {
        loop {
            let mut idle = true;
            for (id, mux) in &mut self.sessions {
                while let Some(bytes) = mux.poll_transmit(65536) {
                    idle = false;
                    self.client.session_bytes(NOW, 0, *id, &bytes);
                }
                while let Some(bytes) = self.client.poll_transmit(*id, 65536) {
                    idle = false;
                    mux.handle_bytes(NOW, 0, &bytes).unwrap();
                }
            }
            if idle {
                return;
            }
        }
    }

    fn send(&mut self, session: u64, stream: u32, kind: ToDeviceKind) {
        let message = ToDevice { kind: Some(kind) }.encode_to_vec();
        self.sessions.get_mut(&session).unwrap().send(stream, message).unwrap();
        self.exchange();
    }

    fn open(&mut self, session: u64, player: u32) {
        self.send(
            session,
            PLAYER_STREAM,
            ToDeviceKind::OpenPlayer(OpenPlayer { player, ..OpenPlayer::default() }),
        );
    }

    /// What the session has received since the last time, shortened.
    fn received(&mut self, session: u64) -> Vec<String> {
        let mux = self.sessions.get_mut(&session).unwrap();
        std::iter::from_fn(|| mux.poll_event())
            .filter_map(|event| match event {
                MuxEvent::Connected { .. } => None,
                MuxEvent::Closed { code, .. } => Some(format!("closed {code}")),
                MuxEvent::Message { bytes, .. } => {
                    Some(match FromDevice::decode(bytes.as_slice()).unwrap().kind.unwrap() {
                        FromDeviceKind::DeviceChanged(state) => {
                            format!("ready {} {}", state.ready, state.code)
                        }
                        FromDeviceKind::PlayerFailed(failed) => {
                            format!("player {} failed {}", failed.player, failed.code)
                        }
                        FromDeviceKind::BufferChanged(changed) => {
                            format!("player {} op {} code {}", changed.player, changed.op, changed.code)
                        }
                        FromDeviceKind::PlayerState(state) => format!("player {} state", state.player),
                        FromDeviceKind::FramePresented(frame) => format!("player {} frame", frame.player),
                        FromDeviceKind::LogChunk(chunk) => {
                            format!("collected {} {:?}", chunk.correlation, chunk.lines)
                        }
                        FromDeviceKind::FetchRange(range) => {
                            let FetchRange { player, request, resource, start, end, refused } = range;
                            let why = if refused == 0 { String::new() } else { format!(" {refused}") };
                            format!("player {player} fetch {request}: {resource} {start}-{end}{why}")
                        }
                        FromDeviceKind::FetchCancelled(cancelled) => {
                            format!("player {} drops {}", cancelled.player, cancelled.request)
                        }
                        FromDeviceKind::CallAnswer(answer) => {
                            let CallAnswer { call, request, exception, result, .. } = answer;
                            format!("call {call} answer {request}: {exception}{result}")
                        }
                        FromDeviceKind::CallEvent(event) => {
                            format!("call {} target {}: {}", event.call, event.target, event.event)
                        }
                        FromDeviceKind::CallFailed(failed) => {
                            format!("call {} failed {}", failed.call, failed.code)
                        }
                    })
                }
            })
            .collect()
    }

    fn stage_says(&mut self, kind: FromStageKind) {
        self.client.stage_message(NOW, &FromStage { kind: Some(kind) }.encode_to_vec()).unwrap();
        self.exchange();
    }

    fn state_of(&mut self, player: u32) {
        let state = PlayerState { player, ..PlayerState::default() };
        self.stage_says(FromStageKind::Device(FromDevice { kind: Some(FromDeviceKind::PlayerState(state)) }));
    }

    /// What has gone to the stage since the last time.
    fn stage_takes(&mut self) -> Vec<ToStageKind> {
        let client = &mut self.client;
        let messages: Vec<ToStageKind> = std::iter::from_fn(|| client.poll_stage(NOW))
            .filter_map(|bytes| ToStage::decode(bytes.as_slice()).unwrap().kind)
            .collect();
        self.exchange();
        messages
    }

    fn opened(&mut self) -> Vec<u32> {
        self.stage_takes()
            .into_iter()
            .filter_map(|kind| match kind {
                ToStageKind::Device(ToDevice { kind: Some(ToDeviceKind::OpenPlayer(open)) }) => {
                    Some(open.player)
                }
                ToStageKind::Device(_)
                | ToStageKind::Layout(_)
                | ToStageKind::Call(_)
                | ToStageKind::EndCall(_)
                | ToStageKind::PlacePicture(_)
                | ToStageKind::HidePicture(_)
                | ToStageKind::CloseAll(_) => None,
            })
            .collect()
    }

    fn windows(&mut self) -> Vec<WindowCommand> {
        std::iter::from_fn(|| self.client.poll_window()).collect()
    }
}

#[test]
fn a_session_is_told_the_state_when_it_comes_and_when_it_changes() {
    let mut world = World::new(&[1]);
    assert_eq!(world.received(1), ["ready true 0"]);
    let code = ErrorCode::ENGINE_CRASHED;
    world.client.engine_changed(NOW, EngineState::Failed { code, detail: "x".to_owned() });
    world.client.stage_gone(NOW);
    world.exchange();
    assert_eq!(world.received(1), ["ready false 1208"]);
    world.client.engine_changed(NOW, EngineState::Starting { pid: None });
    world.exchange();
    assert_eq!(world.received(1), ["ready false 0"]);
}

#[test]
fn equal_ids_of_two_sessions_are_two_players() {
    let mut world = World::new(&[1, 2]);
    world.open(1, 7);
    world.open(2, 7);
    let players = world.opened();
    assert_eq!(players.len(), 2);
    assert_ne!(players[0], players[1]);
    world.received(1);
    world.received(2);
    world.state_of(players[1]);
    assert_eq!(world.received(1), Vec::<String>::new());
    assert_eq!(world.received(2), ["player 7 state"]);
    world.state_of(999);
    assert_eq!(world.received(2), Vec::<String>::new());
}

#[test]
fn a_lost_session_closes_its_players_and_no_other() {
    let mut world = World::new(&[1, 2]);
    world.open(1, 7);
    world.open(2, 7);
    let players = world.opened();
    world.sessions.remove(&1);
    world.client.session_gone(NOW, 1);
    assert_eq!(world.windows(), [WindowCommand::Close { player: players[0] }]);
    assert_eq!(world.stage_takes(), [ToStageKind::CloseAll(CloseAll { players: vec![players[0]] })]);
    assert_eq!(world.client.player_count(), 1);
}

#[test]
fn lines_are_collected_for_one_session_at_a_time_and_the_level_stays_the_devices() {
    let mut world = World::new(&[1, 2]);
    let control = |level: &str, correlation: &str| {
        let (level, correlation) = (level.to_owned(), correlation.to_owned());
        ToDeviceKind::LogControl(LogControl { level, correlation })
    };
    world.received(1);
    world.received(2);
    world.send(1, PLAYER_STREAM, control("trace", "a1"));
    let wanted = LogControl { level: String::new(), correlation: "a1".into() };
    assert_eq!(world.client.poll_log_order(), Some((1, wanted)));
    world.send(2, PLAYER_STREAM, control("", "b2"));
    assert_eq!(world.client.poll_log_order(), None);
    assert_eq!(world.received(2), ["collected b2 [\"another session collects\"]"]);
    world.client.collected(1, LogChunk { correlation: "a1".into(), lines: vec!["x".into()], last: true });
    world.exchange();
    assert_eq!(world.received(1), ["collected a1 [\"x\"]"]);
    // A session that goes leaves it to others, who get nothing of what was kept for it.
    world.client.session_gone(NOW, 1);
    assert_eq!(world.client.poll_log_order(), None);
    world.send(2, PLAYER_STREAM, control("", "b2"));
    assert_eq!(world.client.poll_log_order(), Some((1, LogControl::default())));
    assert!(matches!(world.client.poll_log_order(), Some((2, control)) if control.correlation == "b2"));
    // One that comes back in time goes on; one that does not is forgotten.
    world.client.session_gone(NOW, 2);
    world.connect(3);
    world.received(3);
    world.send(3, PLAYER_STREAM, control("", "b2"));
    let orders: Vec<_> = std::iter::from_fn(|| world.client.poll_log_order()).collect();
    assert!(matches!(orders.as_slice(), [(3, control)] if control.correlation == "b2"), "{orders:?}");
    world.send(3, GEOMETRY_STREAM, control("", ""));
    assert_eq!(world.received(3), [format!("closed {}", ErrorCode::UNEXPECTED_MESSAGE)]);
    world.client.session_gone(NOW, 3);
    let (deadline, _) = world.client.poll_timeout().unwrap();
    world.client.handle_timeout(deadline, 0);
    assert_eq!(world.client.poll_log_order(), Some((3, LogControl::default())));
}

#[test]
fn nonsense_closes_its_session_and_no_other() {
    let mut world = World::new(&[1, 2]);
    world.open(1, 7);
    world.received(1);
    world.sessions.get_mut(&1).unwrap().send(PLAYER_STREAM, vec![0xff]).unwrap();
    world.exchange();
    assert_eq!(world.received(1), ["closed OFS-1012"]);
    assert!(world.client.is_finished(1));
    assert_eq!(world.client.player_count(), 0);
    world.open(2, 7);
    assert_eq!(world.client.player_count(), 1);
}

#[test]
fn players_have_a_limit() {
    let mut world = World::new(&[1]);
    world.received(1);
    for player in 0..=u32::try_from(MAX_PLAYERS).unwrap() {
        world.open(1, player);
        world.stage_takes();
    }
    assert_eq!(world.received(1), ["player 64 failed 1402"]);
    assert_eq!(world.client.player_count(), MAX_PLAYERS);
}

#[test]
fn source_buffers_have_a_limit() {
    let mut world = World::new(&[1]);
    world.open(1, 7);
    world.received(1);
    for buffer in 0..=u32::try_from(MAX_BUFFERS).unwrap() {
        let add = AddSourceBuffer { player: 7, buffer, mime: String::new() };
        world.send(1, PLAYER_STREAM, ToDeviceKind::AddSourceBuffer(add));
    }
    assert_eq!(world.received(1), ["player 7 failed 1403"]);
    assert_eq!(world.client.player_count(), 0);
}

#[test]
fn an_unknown_player_is_named_once() {
    let mut world = World::new(&[1]);
    world.received(1);
    for _ in 0..3 {
        let append = Append { player: 9, last: true, ..Append::default() };
        world.send(1, FIRST_BUFFER_STREAM, ToDeviceKind::Append(append));
    }
    assert_eq!(world.received(1), ["player 9 failed 1306"]);
}

#[test]
fn what_comes_late_for_a_closed_player_is_dropped_in_silence() {
    let mut world = World::new(&[1]);
    world.open(1, 7);
    world.received(1);
    world.send(1, PLAYER_STREAM, ToDeviceKind::ClosePlayer(ClosePlayer { player: 7 }));
    let append = Append { player: 7, last: true, ..Append::default() };
    world.send(1, FIRST_BUFFER_STREAM, ToDeviceKind::Append(append));
    assert_eq!(world.received(1), Vec::<String>::new());
}

#[test]
fn a_stage_that_takes_nothing_stops_the_sender() {
    let mut world = World::new(&[1]);
    world.open(1, 7);
    let add = AddSourceBuffer { player: 7, buffer: 1, mime: String::new() };
    world.send(1, PLAYER_STREAM, ToDeviceKind::AddSourceBuffer(add));
    for op in 0..64 {
        let append =
            Append { player: 7, buffer: 1, op, last: true, data: vec![0; 100_000], ..Append::default() };
        world.send(1, FIRST_BUFFER_STREAM, ToDeviceKind::Append(append));
    }
    let waiting = world.sessions[&1].queued_bytes();
    assert!(waiting > 3_000_000, "{waiting} bytes wait at the sender");
    while !world.stage_takes().is_empty() {}
    assert_eq!(world.sessions[&1].queued_bytes(), 0);
}

#[test]
fn geometry_becomes_layout_and_window_commands() {
    let mut world = World::new(&[1]);
    world.open(1, 7);
    let player = world.opened()[0];
    let area = Rect { x: 1, y: 2, width: 30, height: 40 };
    let geometry =
        SetGeometry { player: 7, seq: 1, rect: Some(area), visible: vec![area], ..SetGeometry::default() };
    world.send(1, GEOMETRY_STREAM, ToDeviceKind::SetGeometry(Box::new(geometry)));
    let layout = Layout { player, width: 30, height: 40, ..Layout::default() };
    assert_eq!(world.stage_takes(), [ToStageKind::Layout(layout.clone())]);
    let place = Placement {
        player,
        parent: ParentHint::default(),
        rect: area,
        visible: vec![area],
        clips: Vec::new(),
    };
    let ahead = WindowCommand::Place(Placement { visible: Vec::new(), ..place.clone() });
    assert_eq!(world.windows(), [WindowCommand::Reserve { player, width: 30, height: 40 }, ahead]);
    world.stage_says(FromStageKind::LaidOut(layout));
    assert_eq!(world.windows(), [WindowCommand::Place(place)]);
    let (deadline, timer) = world.client.poll_timeout().unwrap();
    assert!(timer == "ping" || timer == "picture");
    assert!(deadline <= NOW.after(picture::STALE_AFTER));
    world.client.handle_timeout(NOW.after(picture::STALE_AFTER), 0);
    assert_eq!(world.windows(), [WindowCommand::Hide { player }]);
}

#[test]
fn a_spare_player_with_its_window_is_taken_first_and_replaced_once_playback_runs() {
    let mut world = World::new(&[1]);
    let spare = world.opened();
    assert_eq!(spare.len(), 1, "one spare as soon as the device is ready");
    world.stage_says(FromStageKind::WindowAsked(WindowAsked { player: spare[0] }));
    assert_eq!(world.windows(), [WindowCommand::Expect { player: spare[0] }]);
    world.open(1, 7);
    assert_eq!(world.opened(), Vec::<u32>::new(), "nothing is opened: the spare is there");
    world.state_of(spare[0]);
    assert_eq!(world.received(1).last().map(String::as_str), Some("player 7 state"));
    assert_eq!(world.opened(), Vec::<u32>::new(), "not before the first frame");
    let state = PlayerState { player: spare[0], advancing: true, ..PlayerState::default() };
    world.stage_says(FromStageKind::Device(FromDevice { kind: Some(FromDeviceKind::PlayerState(state)) }));
    assert_eq!(world.opened().len(), 1);
}

#[test]
fn a_spare_player_that_loses_its_window_is_given_up() {
    let mut world = World::new(&[1]);
    let spare = world.opened()[0];
    world.client.window_event(NOW, WindowEvent::Lost { player: spare });
    assert_eq!(world.windows(), [WindowCommand::Close { player: spare }]);
    world.open(1, 7);
    let opened = world.opened();
    assert!(opened.len() == 1 && opened[0] != spare);
}

#[test]
fn a_window_for_a_closed_player_is_expected_and_given_up() {
    let mut world = World::new(&[]);
    world.stage_says(FromStageKind::WindowAsked(WindowAsked { player: 5 }));
    assert_eq!(world.windows(), [WindowCommand::Expect { player: 5 }, WindowCommand::Close { player: 5 }]);
}

#[test]
fn a_stage_of_another_version_or_without_sense_is_refused() {
    let mut client = Client::new();
    client.stage_opened();
    assert_eq!(client.stage_message(NOW, &[0xff]), Err(ErrorCode::MALFORMED_MESSAGE));
    let hello = FromStage { kind: Some(FromStageKind::Hello(Hello { protocol_min: 9, ..Hello::default() })) };
    assert_eq!(client.stage_message(NOW, &hello.encode_to_vec()), Err(ErrorCode::VERSION_MISMATCH));
}

fn policy(machine: &serde_json::Value) -> Policy {
    let given = serde_json::from_value(machine.clone()).unwrap();
    let offstage_settings::Value::Object(entries) = given else { panic!("{given:?}") };
    Policy::new(File::Object(entries), File::Missing, Vec::new())
}

#[test]
fn what_the_device_does_not_allow_fails_at_once_and_what_it_allows_goes_on() {
    let mut world = World::new(&[1]);
    let open = |world: &mut World, player: u32, origin: &str| {
        let open = OpenPlayer { player, origin: origin.to_owned() };
        world.send(1, PLAYER_STREAM, ToDeviceKind::OpenPlayer(open));
    };
    open(&mut world, 1, "https://a.example");
    open(&mut world, 2, "https://b.example");
    open(&mut world, 3, "");
    world.received(1);
    world.client.set_policy(NOW, policy(&serde_json::json!({ "sites": ["a.example"] })));
    world.exchange();
    assert_eq!(world.received(1), ["player 2 failed 1507", "player 3 failed 1507"]);
    open(&mut world, 4, "https://b.example");
    open(&mut world, 5, "https://x.a.example");
    open(&mut world, 6, &format!("https://{}a.example", "x".repeat(400)));
    assert_eq!(world.received(1), ["player 4 failed 1507", "player 6 failed 1507"]);
    assert_eq!(world.client.player_count(), 2);
    world.client.set_policy(NOW, policy(&serde_json::json!({ "play": false })));
    world.exchange();
    let told = world.received(1);
    assert_eq!(told, ["player 1 failed 1507", "player 5 failed 1507", "ready false 1507"]);
    world.client.set_policy(NOW, Policy::default());
    world.exchange();
    assert_eq!(world.received(1), ["ready true 0"]);
}

#[test]
fn a_lost_window_fails_its_player() {
    let mut world = World::new(&[1]);
    world.open(1, 7);
    let player = world.opened()[0];
    world.received(1);
    world.client.window_event(NOW, WindowEvent::Lost { player });
    world.exchange();
    assert_eq!(world.received(1), ["player 7 failed 1214"]);
    assert_eq!(world.stage_takes(), [ToStageKind::CloseAll(CloseAll { players: vec![player] })]);
}

proptest::proptest! {
    #[test]
    fn no_bytes_of_a_session_trip_the_machine(messages in proptest::collection::vec(
        (2_u32..40, proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..60)), 0..20)) {
        let mut world = World::new(&[1]);
        for (stream, bytes) in messages {
            world.sessions.get_mut(&1).unwrap().send(stream, bytes).ok();
            world.exchange();
        }
        world.client.session_bytes(NOW, 0, 1, &[0xff; 100]);
        world.client.handle_timeout(NOW.after(std::time::Duration::from_secs(10)), 0);
    }
}

#[test]
fn bytes_of_a_file_are_asked_of_its_own_session_and_of_no_player_without_one() {
    let mut world = World::new(&[1, 2]);
    world.open(2, 9);
    world.received(1);
    let device = *world.client.players.keys().next().unwrap();
    let fetch = |token| Fetch { token, player: device, resource: 3, start: 5, end: 8 };
    world.client.fetch(fetch(1));
    assert_eq!(world.client.poll_fetched().map(|(token, got)| (token, got.status)), Some((1, 404)));
    let file = OpenFile { player: 9, resource: 3, extension: "mp4".to_owned() };
    world.send(2, PLAYER_STREAM, ToDeviceKind::OpenFile(file));
    world.received(2);
    for token in 2..=4 {
        world.client.fetch(fetch(token));
    }
    world.exchange();
    let asked = ["player 9 fetch 1: 3 5-8", "player 9 fetch 2: 3 5-8", "player 9 fetch 3: 3 5-8"];
    assert_eq!(world.received(2), asked);
    world.client.drop_fetch(3);
    world.exchange();
    assert_eq!(world.received(2), ["player 9 drops 2"]);
    let answer = |request| FetchedRange {
        player: 9,
        request,
        status: 200,
        data: vec![1, 2, 3],
        ..FetchedRange::default()
    };
    for request in [1, 2] {
        world.send(2, 16, ToDeviceKind::FetchedRange(answer(request)));
    }
    assert_eq!(world.client.poll_fetched().map(|(token, got)| (token, got.data)), Some((2, vec![1, 2, 3])));
    world.send(2, PLAYER_STREAM, ToDeviceKind::ClosePlayer(ClosePlayer { player: 9 }));
    assert_eq!(world.client.poll_fetched().map(|(token, got)| (token, got.status)), Some((4, 410)));
    assert_eq!(world.received(1), [""; 0]);
}

#[test]
fn an_offered_address_is_fetched_from_only_where_the_device_allows_it() {
    for allowed in [false, true] {
        let mut world = World::new(&[1]);
        if allowed {
            world.client.set_policy(NOW, policy(&serde_json::json!({ "fetch": "device" })));
        }
        world.open(1, 9);
        let device = *world.client.players.keys().next().unwrap();
        world.send(1, PLAYER_STREAM, ToDeviceKind::OpenFile(OpenFile { player: 9, ..OpenFile::default() }));
        world.received(1);
        world.client.fetch(Fetch { token: 5, player: device, resource: 0, start: 0, end: 8 });
        world.exchange();
        assert_eq!(world.received(1), ["player 9 fetch 1: 0 0-8"]);
        let location = "https://a.example/film.mp4".to_owned();
        let offer = FetchedRange { player: 9, request: 1, status: 307, location, ..FetchedRange::default() };
        world.send(1, 16, ToDeviceKind::FetchedRange(offer));
        let own = world.client.poll_own_fetch();
        if allowed {
            let Some(OwnCommand::Fetch(own)) = own else { panic!("not fetched") };
            assert_eq!((own.url.as_str(), own.start, own.end), ("https://a.example/film.mp4", 0, 8));
            world.client.own_fetched(own.request, Err(ErrorCode::FETCH_REFUSED));
            world.exchange();
            assert_eq!(world.received(1), ["player 9 fetch 3: 0 0-8 1355"]);
        } else {
            assert_eq!(own, None);
            assert_eq!(world.received(1), ["player 9 fetch 2: 0 0-8 1350"]);
        }
    }
}

fn open_call(world: &mut World, call: u32, origin: &str) {
    let open = OpenCall { call, origin: origin.to_owned() };
    world.send(1, PLAYER_STREAM, ToDeviceKind::OpenCall(open));
}

fn request(world: &mut World, call: u32, request: u32, verb: &str, arguments: &str) {
    let request = CallRequest {
        call,
        request,
        verb: verb.to_owned(),
        arguments: arguments.to_owned(),
        ..CallRequest::default()
    };
    world.send(1, PLAYER_STREAM, ToDeviceKind::CallRequest(request));
}

/// What the stage has been told of calls, shortened.
fn told_of_calls(world: &mut World) -> Vec<String> {
    let of_call = |kind| match kind {
        ToStageKind::Call(call) => Some(format!("call {} permitted {}", call.call, call.permitted)),
        ToStageKind::EndCall(end) => Some(format!("end {}", end.call)),
        ToStageKind::Device(ToDevice { kind: Some(ToDeviceKind::CallRequest(asked)) }) => {
            Some(format!("{} of {}", asked.verb, asked.call))
        }
        ToStageKind::Device(_)
        | ToStageKind::Layout(_)
        | ToStageKind::PlacePicture(_)
        | ToStageKind::HidePicture(_)
        | ToStageKind::CloseAll(_) => None,
    };
    world.stage_takes().into_iter().filter_map(of_call).collect()
}

#[test]
fn microphone_and_camera_are_asked_for_once_and_are_refused_where_the_person_does_not_want() {
    let mut world = World::new(&[1]);
    world.received(1);
    open_call(&mut world, 1, "https://a.example");
    request(&mut world, 1, 5, "createOffer", "[{}]");
    request(&mut world, 1, 6, "capture", "[{\"audio\":true,\"video\":false},1,2]");
    request(&mut world, 1, 7, "capture", "[{\"video\":{}},3,4]");
    assert_eq!(told_of_calls(&mut world), ["call 1 permitted false", "createOffer of 1"]);
    let question = Question {
        call: 1,
        origin: "https://a.example".to_owned(),
        microphone: true,
        camera: false,
        screen: false,
    };
    assert_eq!(world.client.poll_question(), Some(Asking::Ask(question)));
    assert_eq!(world.client.poll_question(), None);
    world.client.answered(1, false);
    world.exchange();
    assert_eq!(world.received(1), ["call 1 answer 6: NotAllowedError", "call 1 answer 7: NotAllowedError"]);
    request(&mut world, 1, 8, "capture", "nonsense");
    assert!(matches!(
        world.client.poll_question(),
        Some(Asking::Ask(Question { microphone: true, camera: true, .. }))
    ));
    world.client.answered(1, true);
    assert_eq!(told_of_calls(&mut world), ["call 1 permitted true", "capture of 1"]);
    request(&mut world, 1, 9, "capture", "[{\"audio\":true},5,6]");
    assert_eq!(
        (world.client.poll_question(), told_of_calls(&mut world)),
        (None, vec!["capture of 1".to_owned()])
    );
}

#[test]
fn what_the_person_has_allowed_counts_for_the_site_and_for_no_more_than_that() {
    let mut world = World::new(&[1]);
    world.received(1);
    open_call(&mut world, 1, "https://a.example");
    request(&mut world, 1, 5, "capture", "[{\"audio\":true},1,2]");
    let asked = |world: &mut World| match world.client.poll_question() {
        Some(Asking::Ask(question)) => {
            Some((question.call, question.origin, question.microphone, question.camera))
        }
        _ => None,
    };
    let a = || "https://a.example".to_owned();
    assert_eq!(asked(&mut world), Some((1, a(), true, false)));
    // A camera, while the microphone is asked for: another question.
    request(&mut world, 1, 6, "capture", "[{\"video\":true},3,4]");
    world.client.answered(1, true);
    assert_eq!(
        told_of_calls(&mut world),
        ["call 1 permitted false", "call 1 permitted true", "capture of 1"]
    );
    assert_eq!(asked(&mut world), Some((1, a(), false, true)));
    world.client.answered(1, false);
    // Another document of the site, and one of another.
    open_call(&mut world, 2, "https://a.example");
    open_call(&mut world, 3, "https://b.example");
    request(&mut world, 2, 7, "capture", "[{\"audio\":true},1,2]");
    request(&mut world, 3, 8, "capture", "[{\"audio\":true},1,2]");
    assert_eq!(
        told_of_calls(&mut world),
        ["call 2 permitted true", "call 3 permitted false", "capture of 2"]
    );
    assert_eq!(asked(&mut world), Some((3, "https://b.example".to_owned(), true, false)));
}

#[test]
fn the_devices_settings_decide_before_the_person_and_end_what_they_forbid() {
    let mut world = World::new(&[1]);
    world.received(1);
    let settings = |capture: &str| serde_json::json!({ "capture": capture, "captureSites": ["a.example"], "captureBlocked": ["b.example"] });
    world.client.set_policy(NOW, policy(&settings("allow")));
    for (call, origin) in [(1, "https://a.example"), (2, "https://b.example"), (3, "https://c.example")] {
        open_call(&mut world, call, origin);
        request(&mut world, call, 4, "capture", "[{\"audio\":true},1,2]");
    }
    assert_eq!(
        told_of_calls(&mut world),
        [
            "call 1 permitted true",
            "capture of 1",
            "call 2 permitted false",
            "call 3 permitted true",
            "capture of 3"
        ]
    );
    assert_eq!(world.received(1), ["call 2 answer 4: NotAllowedError"]);
    world.client.set_policy(NOW, policy(&settings("deny")));
    world.exchange();
    assert_eq!(world.received(1), ["call 3 failed 1507"]);
    assert_eq!(told_of_calls(&mut world), ["end 3"]);
    assert_eq!(world.client.poll_question(), None);
}

#[test]
fn what_the_stage_says_of_a_call_goes_to_its_session_and_ends_with_it() {
    let mut world = World::new(&[1, 2]);
    world.received(1);
    world.received(2);
    open_call(&mut world, 7, "https://a.example");
    told_of_calls(&mut world);
    let event = |call: u32| {
        let event = CallEvent { call, event: "track.ended".to_owned(), ..CallEvent::default() };
        FromStageKind::Device(FromDevice { kind: Some(FromDeviceKind::CallEvent(event)) })
    };
    world.stage_says(event(1));
    world.stage_says(event(9));
    assert_eq!(
        (world.received(1), world.received(2)),
        (vec!["call 7 target 0: track.ended".to_owned()], vec![])
    );
    world.client.session_gone(NOW, 1);
    world.sessions.remove(&1);
    assert_eq!(told_of_calls(&mut world), ["end 1"]);
}

#[test]
fn what_is_on_is_shown_and_the_person_can_turn_it_off() {
    let mut world = World::new(&[1]);
    world.received(1);
    let settings = serde_json::json!({ "capture": "allow" });
    world.client.set_policy(NOW, policy(&settings));
    open_call(&mut world, 1, "https://a.example");
    open_call(&mut world, 2, "https://b.example");
    let stage_says =
        |world: &mut World, kind| world.stage_says(FromStageKind::Device(FromDevice { kind: Some(kind) }));
    let captured = |world: &mut World, call, number, tracks: &str| {
        request(world, call, number, "capture", "[{\"audio\":true,\"video\":true},1,2]");
        let result = format!("{{\"value\":[{tracks}]}}");
        let answer = CallAnswer { call, request: number, result, ..CallAnswer::default() };
        stage_says(world, FromDeviceKind::CallAnswer(answer));
    };
    let on = |world: &mut World| {
        let uses = world.client.poll_uses()?;
        let shown = |one: &Use| format!("{} {} {}", one.origin, one.microphone, one.camera);
        Some(uses.iter().map(shown).collect::<Vec<_>>())
    };
    assert_eq!(on(&mut world), None);
    captured(&mut world, 1, 4, "{\"track\":1,\"kind\":\"audio\"},{\"track\":2,\"kind\":\"video\"}");
    captured(&mut world, 2, 5, "{\"track\":1,\"kind\":\"audio\"}");
    let both =
        Some(vec!["https://a.example true true".to_owned(), "https://b.example true false".to_owned()]);
    assert_eq!((on(&mut world), on(&mut world)), (both, None));
    // A clone keeps the camera on; one that can't be counted is refused.
    for (arguments, target) in [("[9,\"x\"]", 2), ("[9.5,\"x\"]", 2)] {
        let verb = "cloneTrack".to_owned();
        let clone = CallRequest {
            call: 1,
            request: 6,
            verb,
            target,
            arguments: arguments.to_owned(),
            ..CallRequest::default()
        };
        world.send(1, PLAYER_STREAM, ToDeviceKind::CallRequest(clone));
    }
    let stop = CallRequest {
        call: 1,
        request: 7,
        verb: "stopTrack".to_owned(),
        target: 2,
        ..CallRequest::default()
    };
    world.send(1, PLAYER_STREAM, ToDeviceKind::CallRequest(stop));
    assert_eq!(on(&mut world), None);
    let ended = CallEvent { call: 1, target: 9, event: "track.ended".to_owned(), ..CallEvent::default() };
    stage_says(&mut world, FromDeviceKind::CallEvent(ended));
    let a = "https://a.example true false".to_owned();
    assert_eq!(on(&mut world), Some(vec![a, "https://b.example true false".to_owned()]));
    world.received(1);
    told_of_calls(&mut world);
    world.client.stop_captures();
    world.exchange();
    assert_eq!(world.received(1), ["call 1 target 1: track.ended", "call 2 target 1: track.ended"]);
    assert_eq!(told_of_calls(&mut world), ["stopTrack of 1", "stopTrack of 2"]);
    assert_eq!(on(&mut world), Some(vec![]));
    // The answer to the client's own request is nobody's.
    stage_says(&mut world, FromDeviceKind::CallAnswer(CallAnswer { call: 1, ..CallAnswer::default() }));
    assert_eq!(world.received(1), Vec::<String>::new());
    // From now on it has to ask, whatever the settings allow.
    request(&mut world, 1, 8, "capture", "[{\"audio\":true},3,4]");
    assert!(matches!(world.client.poll_question(), Some(Asking::Ask(Question { microphone: true, .. }))));
}
