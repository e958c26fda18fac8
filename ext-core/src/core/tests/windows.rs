//! A device whose client shows all of the session's screen: the bridge is asked for the windows, and they decide what is seen.

use offstage_protocol::message::{Rect, SessionWindow, SessionWindows};
use offstage_protocol::{FEATURE_REMOTE_WINDOW, FEATURE_SINGLE_WINDOWS, FEATURE_WINDOWS};

use super::*;

const OUTER: Rect = Rect { x: 60, y: 40, width: 1000, height: 800 };
const PICTURE: Rect = Rect { x: 10, y: 20, width: 100, height: 50 };

#[test]
fn windows_are_asked_for_only_while_a_picture_is_placed_in_a_remote_window() {
    let mut world = remote(&[FEATURE_WINDOWS], &[FEATURE_REMOTE_WINDOW]);
    assert_eq!(asked(&world), [true; 0]);
    geometry(&mut world);
    assert_eq!(asked(&world), [true]);
    world.hook(HookEvent::Close { ms: 1 });
    assert_eq!(asked(&world), [true, false]);
    for (bridge, client) in [(&[FEATURE_WINDOWS][..], &[][..]), (&[], &[FEATURE_REMOTE_WINDOW])] {
        let mut world = remote(bridge, client);
        geometry(&mut world);
        assert_eq!(asked(&world), [true; 0]);
    }
}

#[test]
fn news_of_the_windows_places_the_pictures_anew() {
    let mut world = remote(&[FEATURE_WINDOWS], &[FEATURE_REMOTE_WINDOW]);
    geometry(&mut world);
    assert_eq!(newest(&world).visible, [], "nobody knows yet where the window is");
    let state = PlayerState { player: 1, ready_state: 2, width: 100, height: 50, ..PlayerState::default() };
    world.device(FromDeviceKind::PlayerState(state));
    let moved = Rect { x: 90, ..OUTER };
    world.bridge(windows(&[(moved, vec![])]));
    let place = newest(&world);
    let hint = place.window.unwrap();
    assert_eq!((place.visible, hint.outer), (vec![PICTURE], Some(moved)));
    assert_eq!(hint.screen.map(|screen| screen.width), Some(1280));
    world.bridge(windows(&[(moved, vec![Rect { x: 0, y: 0, width: 150, height: 999 }])]));
    assert_eq!(newest(&world).visible, [Rect { x: 60, width: 50, ..PICTURE }]);
    assert_eq!(newest(&world).seq, place.seq + 1);
}

#[test]
fn a_picture_whose_window_is_nowhere_goes_back_to_the_session() {
    let mut world = remote(&[FEATURE_WINDOWS], &[FEATURE_REMOTE_WINDOW]);
    geometry(&mut world);
    world.bridge(windows(&[]));
    geometry(&mut world);
    world.after(std::time::Duration::from_secs(4));
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1, code: 1411, retry: false }));
    let mut world = remote(&[], &[FEATURE_REMOTE_WINDOW]);
    geometry(&mut world);
    world.after(std::time::Duration::from_secs(4));
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1, code: 1411, retry: false }));
}

#[test]
fn a_picture_that_went_with_the_remote_desktops_window_is_tried_again() {
    let failed = |client: &[&str]| {
        let mut world = remote(&[FEATURE_WINDOWS], client);
        let detail = String::new();
        world.device(FromDeviceKind::PlayerFailed(PlayerFailed { player: 1, code: 1214, detail }));
        world.last_command()
    };
    let back = |retry| Some(HookCommand::Revert { ms: 1, code: 1214, retry });
    assert_eq!(failed(&[FEATURE_REMOTE_WINDOW]), back(true));
    assert_eq!(failed(&[]), back(false));
}

#[test]
fn only_a_device_that_shows_single_windows_is_told_the_pages_title() {
    for (client, told) in [
        (&[FEATURE_REMOTE_WINDOW][..], ""),
        (&[FEATURE_REMOTE_WINDOW, FEATURE_SINGLE_WINDOWS], "Film"),
        (&[], ""),
    ] {
        let mut world = remote(&[FEATURE_WINDOWS], client);
        world.core.handle_tab(1, "https://video.example/");
        world.core.handle_tab_title(1, "Film");
        geometry(&mut world);
        assert_eq!(newest(&world).title, told, "{client:?}");
    }
}

#[test]
fn a_new_document_is_told_what_another_has_seen_of_its_windows_bars() {
    let mut world = remote(&[], &[]);
    let told = |world: &mut World, relay| {
        world.core.handle_relay_opened(world.now, relay, place(2), String::new());
        world.run();
        let bars_for = |output: &Output| match output {
            Output::ToRelay { relay: to, command } if *to == relay => Some(command.bars),
            _ => None,
        };
        world.log.iter().rev().find_map(bars_for).unwrap()
    };
    assert_eq!(told(&mut world, 8), None);
    for (bars, known) in [
        (json!(null), None),
        (json!([4, 87, 0]), Some([4.0, 87.0, 0.0])),
        (json!(null), Some([4.0, 87.0, 0.0])),
    ] {
        report_window(&mut world, &bars);
        assert_eq!(told(&mut world, 9), known);
        world.core.handle_relay_closed(9);
    }
}

fn remote(bridge: &[&str], client: &[&str]) -> World {
    let features = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut world = World::new(&["https://*/*"]);
    world.epoch = 1;
    let (component, features_of_bridge) = ("bridge".to_owned(), features(bridge));
    world.bridge(BridgeKind::Hello(Hello {
        component,
        protocol_min: 1,
        protocol_max: 1,
        features: features_of_bridge,
        ..Hello::default()
    }));
    let mut config = MuxConfig::of_component("client", "1.2.3");
    config.hello.features = features(client);
    world.device = Some(Mux::new(world.now, config));
    world.bridge(BridgeKind::ChannelUp(ChannelUp { kind: "unix".into(), epoch: 1 }));
    world.device(FromDeviceKind::DeviceChanged(DeviceChanged { ready: true, ..DeviceChanged::default() }));
    world.open_player();
    world
}

/// The page's word: a picture in its viewport, and what it takes for its window.
fn geometry(world: &mut World) {
    report_window(world, &serde_json::Value::Null);
    let geometry =
        json!({ "geometry": { "ms": 1, "rect": json_box(PICTURE), "visible": [json_box(PICTURE)] } });
    world.core.handle_relay(world.now, 0, 1, serde_json::from_value(geometry).unwrap());
    world.run();
}

fn report_window(world: &mut World, bars: &serde_json::Value) {
    let window = json!({
        "outer": json_box(OUTER), "viewportX": 0, "viewportY": 87, "viewportWidth": 1000, "viewportHeight": 713, "calibrated": false, "bars": bars,
    });
    let frame =
        json!({ "frame": { "index": -1, "width": 1000, "height": 713, "children": [], "window": window } });
    world.core.handle_relay(world.now, 0, 1, serde_json::from_value(frame).unwrap());
}

fn json_box(rect: Rect) -> serde_json::Value {
    json!({ "x": rect.x, "y": rect.y, "width": rect.width, "height": rect.height })
}

fn windows(windows: &[(Rect, Vec<Rect>)]) -> BridgeKind {
    let window = |(outer, covered): &(Rect, Vec<Rect>)| SessionWindow {
        inner: Some(*outer),
        outer: Some(*outer),
        shown: true,
        covered: covered.clone(),
        title: String::new(),
    };
    let screen = Some(Rect { x: 0, y: 0, width: 1280, height: 1024 });
    BridgeKind::Windows(SessionWindows { seq: 1, screen, windows: windows.iter().map(window).collect() })
}

fn newest(world: &World) -> SetGeometry {
    let place = world.received.iter().rev().find_map(|kind| match kind {
        ToDeviceKind::SetGeometry(geometry) => Some((**geometry).clone()),
        _ => None,
    });
    place.expect("a place was told")
}

/// What the bridge has been told of watching.
fn asked(world: &World) -> Vec<bool> {
    let mut asked = Vec::new();
    for output in &world.log {
        let Output::Link(LinkAction::Send(bytes)) = output else { continue };
        let mut reader = FrameReader::new();
        reader.push(bytes);
        while let Some(frame) = reader.next().unwrap() {
            if frame.stream != BRIDGE_STREAM {
                continue;
            }
            if let Some(BridgeKind::WatchWindows(watch)) =
                BridgeMessage::decode(&frame.payload[..]).unwrap().kind
            {
                asked.push(watch.on);
            }
        }
    }
    asked
}
