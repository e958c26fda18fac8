//! Calls, with a device that is played by the test.

use offstage_protocol::message::{CallAnswer, CallEvent, CallFailed};

use super::*;
use crate::hook::{RequestEvent, ScreenEvent, TrackName};

fn request(id: u32, verb: &str, target: u32) -> HookEvent {
    let data = if verb == "send" { ByteBuf::from(vec![7]) } else { ByteBuf::new() };
    HookEvent::Request(RequestEvent {
        id,
        verb: verb.to_owned(),
        target,
        transceiver: String::new(),
        arguments: "[]".to_owned(),
        data,
    })
}

/// What the hook has been told of calls, shortened, oldest first.
fn told(world: &World) -> Vec<String> {
    let of_call = |output: &Output| match output {
        Output::ToHook { command: HookCommand::CallOpened { code, .. }, .. } => {
            Some(format!("opened {code}"))
        }
        Output::ToHook { command: HookCommand::Called { id, exception, .. }, .. } => {
            Some(format!("called {id} {exception}"))
        }
        Output::ToHook { command: HookCommand::CallHappened { event, .. }, .. } => Some(event.clone()),
        Output::ToHook { command: HookCommand::ScreenSize { ms, width, height }, .. } => {
            Some(format!("{ms} is {width} x {height}"))
        }
        _ => None,
    };
    world.log.iter().filter_map(of_call).collect()
}

/// The document's calls may go to the device.
fn calling() -> World {
    let mut world = World::ready();
    world.core.handle_config(&sources(&json!({ "local": { "callsSites": ["example.org"] } })));
    world.core.handle_tab(1, "https://example.org/");
    world.run();
    world.received.clear();
    world
}

#[test]
fn a_call_is_opened_once_its_requests_are_passed_on_and_the_icon_shows_it() {
    let mut world = calling();
    world.hook(request(1, "connect", 1));
    world.hook(HookEvent::OpenCall {});
    world.hook(HookEvent::OpenCall {});
    world.hook(request(2, "connect", 1));
    world.hook(request(3, "send", 4));
    let verbs: Vec<String> = world
        .received
        .iter()
        .map(|kind| match kind {
            ToDeviceKind::OpenCall(open) => format!("open {}", open.origin),
            ToDeviceKind::CallRequest(asked) => format!("{} {:?}", asked.verb, asked.data),
            kind => format!("{kind:?}"),
        })
        .collect();
    assert_eq!(verbs, ["open https://example.org", "connect []", "send [7]"]);
    assert_eq!((world.icon(1), world.core.status().connections), (Some(IconState::Ready), 1));
    world.hook(request(4, "setLocalDescription", 1));
    assert_eq!(world.icon(1), Some(IconState::Call));
    world.device(FromDeviceKind::CallAnswer(CallAnswer { call: 1, request: 2, ..CallAnswer::default() }));
    world.device(FromDeviceKind::CallEvent(CallEvent {
        call: 1,
        event: "e".to_owned(),
        ..CallEvent::default()
    }));
    world.device(FromDeviceKind::CallEvent(CallEvent {
        call: 9,
        event: "f".to_owned(),
        ..CallEvent::default()
    }));
    assert_eq!(told(&world), ["opened 0", "called 2 ", "e"]);
    world.hook(request(5, "close", 1));
    assert_eq!((world.icon(1), world.core.status().connections), (Some(IconState::Ready), 0));
}

#[test]
fn a_document_that_is_not_covered_for_calls_is_told_so_and_nothing_is_passed_on() {
    let mut world = World::ready();
    world.received.clear();
    world.hook(HookEvent::OpenCall {});
    world.hook(request(1, "connect", 1));
    assert_eq!((told(&world), world.received.len()), (vec!["opened 1501".to_owned()], 0));
}

#[test]
fn a_page_that_is_covered_for_calls_alone_keeps_its_video_in_the_session() {
    let mut world = World::new(&[]);
    world.core.handle_config(&sources(&json!({ "local": { "callsSites": ["example.org"] } })));
    world.connect();
    world.open_player();
    assert!(!world.received.iter().any(|kind| matches!(kind, ToDeviceKind::OpenPlayer(_))));
    world.hook(HookEvent::OpenCall {});
    assert_eq!(told(&world), ["opened 0"]);
}

#[test]
fn elements_of_calls_are_players_with_a_place_a_volume_and_a_size() {
    let mut world = calling();
    world.hook(HookEvent::OpenCall {});
    let screen = |target: u32| {
        let tracks = vec![TrackName { target, transceiver: "mid:0".to_owned() }];
        HookEvent::Screen(ScreenEvent { ms: 9, tracks, sink: String::new() })
    };
    world.hook(screen(1));
    world.hook(screen(2));
    world.hook(HookEvent::Playback(PlaybackEvent { volume: 7.0, ..wish(9, false) }));
    let opened = world.received.iter().filter(|kind| matches!(kind, ToDeviceKind::OpenPlayer(_))).count();
    assert_eq!(opened, 1);
    let Some(ToDeviceKind::SetPlayback(playback)) = world.received.last() else {
        panic!("{:?}", world.received)
    };
    assert!((playback.volume - 1.0).abs() < f64::EPSILON && !playback.paused);
    let player = playback.player;
    for (width, height) in [(0, 0), (640, 480), (640, 480), (320, 240)] {
        let state = PlayerState { player, width, height, ..PlayerState::default() };
        world.device(FromDeviceKind::PlayerState(state));
    }
    assert_eq!(told(&world), ["opened 0", "9 is 640 x 480", "9 is 320 x 240"]);
    world.hook(HookEvent::CloseScreen { ms: 9 });
    assert!(
        matches!(world.received.last(), Some(ToDeviceKind::ClosePlayer(close)) if close.player == player)
    );
}

#[test]
fn a_player_sounds_at_an_output_of_its_calls_and_goes_on_with_what_it_plays() {
    let mut world = calling();
    let settings = json!({ "local": { "callsSites": ["example.org"], "videoSites": ["example.org"] } });
    world.core.handle_config(&sources(&settings));
    world.run();
    world.hook(HookEvent::OpenCall {});
    world.open_player();
    let sound =
        |sink: &str| HookEvent::Screen(ScreenEvent { ms: 1, tracks: Vec::new(), sink: sink.to_owned() });
    let opened = world.received.len();
    world.hook(sound("headset"));
    world.hook(sound(&"x".repeat(5000)));
    let sinks: Vec<_> = world
        .received
        .iter()
        .skip(opened)
        .map(|kind| match kind {
            ToDeviceKind::PlayTracks(play) => (play.player, play.tracks.len(), play.sink.as_str()),
            kind => panic!("{kind:?}"),
        })
        .collect();
    assert_eq!(sinks, [(2, 0, "headset")]);
}

#[test]
fn a_page_shows_the_sessions_screens_unless_the_devices_are_wanted() {
    let mut world = calling();
    world.hook(HookEvent::OpenCall {});
    world.hook(request(1, "captureScreen", 0));
    assert_eq!(told(&world), ["opened 0", "called 1 "]);
    let settings = json!({ "local": { "callsSites": ["example.org"], "callsShareDevice": true } });
    world.core.handle_config(&sources(&settings));
    world.run();
    world.hook(request(2, "captureScreen", 0));
    assert_eq!(told(&world).len(), 2);
    let Some(ToDeviceKind::CallRequest(asked)) = world.received.last() else {
        panic!("{:?}", world.received)
    };
    assert_eq!((asked.request, asked.verb.as_str()), (2, "captureScreen"));
}

#[test]
fn a_device_that_goes_or_refuses_ends_the_call_and_the_next_one_is_asked_for() {
    let mut world = calling();
    world.hook(HookEvent::OpenCall {});
    let failed = CallFailed { call: 1, code: ErrorCode::CONSENT_REFUSED.number(), detail: String::new() };
    world.device(FromDeviceKind::CallFailed(failed));
    world.hook(HookEvent::OpenCall {});
    world.bridge(BridgeKind::ChannelDown(ChannelDown { code: 1201, ..ChannelDown::default() }));
    assert_eq!(told(&world), ["opened 0", "opened 1507", "opened 0", "opened 1201"]);
    assert_eq!(world.core.status().connections, 0);
}

#[test]
fn what_is_too_large_is_answered_with_an_error() {
    let mut world = calling();
    world.hook(HookEvent::OpenCall {});
    let HookEvent::Request(small) = request(3, "createOffer", 1) else { panic!() };
    world.hook(HookEvent::Request(RequestEvent { arguments: "x".repeat(300_000), ..small }));
    assert_eq!(told(&world), ["opened 0", "called 3 OperationError"]);
}
