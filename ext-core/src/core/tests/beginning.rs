//! A player that begins on the device: page and picture begin together.

use std::time::Duration;

use offstage_protocol::message::SetGeometry;

use super::*;

/// A player whose element is seen on the screen, before it has any data.
fn seen() -> World {
    let mut world = World::ready();
    see(&mut world);
    world
}

fn see(world: &mut World) {
    let frame = json!({ "frame": { "index": -1, "width": 1000, "height": 713, "children": [] } });
    let rect = json!({ "x": 10, "y": 20, "width": 640, "height": 360 });
    let place = json!({ "geometry": { "ms": 1, "rect": rect, "visible": [rect], "objectFit": "contain", "objectPosition": "50% 50%", "scale": 1 } });
    for event in [frame, place] {
        world.core.handle_relay(world.now, 0, 1, serde_json::from_value(event).unwrap());
    }
    world.run();
}

/// The device is as far as that, in HTMLMediaElement.readyState.
fn device_is_at(world: &mut World, ready_state: u32, width: u32) {
    let state = PlayerState { player: 1, ready_state, width, height: 360, ..PlayerState::default() };
    world.device(FromDeviceKind::PlayerState(state));
}

/// The operations of which the page has been told that they are done.
fn done(world: &World) -> Vec<u32> {
    let op = |command| match command {
        HookCommand::Done { op, .. } => Some(op),
        _ => None,
    };
    world.commands().into_iter().filter_map(op).collect()
}

fn newest(world: &World) -> SetGeometry {
    let place = world.received.iter().rev().find_map(|kind| match kind {
        ToDeviceKind::SetGeometry(geometry) => Some((**geometry).clone()),
        _ => None,
    });
    place.expect("a place was told")
}

#[test]
fn the_page_has_its_first_data_when_the_device_has_its_first_picture() {
    let mut world = seen();
    world.append(1, &[1]);
    device_is_at(&mut world, 1, 640);
    world.device(changed(1, &[0, 4_000_000]));
    assert_eq!(done(&world), [0; 0]);
    let place = newest(&world);
    assert!(place.soon && place.visible.is_empty(), "{place:?}");
    assert_eq!(place.object_fit, "fill", "laid out as it will be, by the size that the device has told");
    device_is_at(&mut world, 2, 640);
    assert_eq!(done(&world), [1]);
    let shown = newest(&world);
    assert_eq!((shown.soon, shown.visible.len()), (false, 1));
    assert_eq!((shown.rect, shown.object_fit), (place.rect, place.object_fit), "no second layout");
    world.append(2, &[1]);
    world.device(changed(2, &[0, 8_000_000]));
    assert_eq!(done(&world), [1, 2]);
}

#[test]
fn what_the_device_says_meanwhile_comes_in_its_order() {
    let mut world = seen();
    world.append(1, &[1]);
    world.device(changed(1, &[0, 4_000_000]));
    world.device(changed(0, &[0, 4_100_000]));
    assert_eq!(done(&world), [0; 0]);
    device_is_at(&mut world, 4, 640);
    assert_eq!(done(&world), [1, 0]);
}

#[test]
fn a_picture_that_takes_long_keeps_the_page_for_half_a_second_once() {
    let mut world = seen();
    world.append(1, &[1]);
    world.device(changed(1, &[0, 4_000_000]));
    let limit = world.core.players.poll_timeout();
    assert_eq!(limit, Some((world.now.after(Duration::from_millis(500)), "device has its first picture")));
    world.after(Duration::from_millis(500));
    assert_eq!(done(&world), [1]);
    world.append(2, &[1]);
    world.device(changed(2, &[0, 8_000_000]));
    assert_eq!(done(&world), [1, 2]);
}

#[test]
fn a_page_that_fills_one_buffer_after_the_other_is_not_kept_waiting_by_the_first() {
    let mut world = seen();
    world.hook(HookEvent::AddBuffer { ms: 1, sb: 2, mime: "audio/mp4".into() });
    world.append(1, &[1]);
    world.device(changed(1, &[0, 4_000_000]));
    assert_eq!(done(&world), [1], "without sound the device has no picture either");
    let FromDeviceKind::BufferChanged(sound) = changed(2, &[0, 4_000_000]) else { unreachable!() };
    let tracks = Some(Tracks { has_audio: true, ..Tracks::default() });
    world.device(FromDeviceKind::BufferChanged(BufferChanged { buffer: 2, tracks, ..sound }));
    assert_eq!(done(&world), [1]);
    device_is_at(&mut world, 2, 640);
    assert_eq!(done(&world), [1, 2]);
}

#[test]
fn nothing_waits_for_a_picture_that_is_not_to_come() {
    // Nowhere on the screen; elsewhere than at the position; nothing but sound.
    let mut world = World::ready();
    world.append(1, &[1]);
    world.device(changed(1, &[0, 4_000_000]));
    assert_eq!(done(&world), [1]);
    let mut world = seen();
    world.append(1, &[1]);
    world.device(changed(1, &[60_000_000, 64_000_000]));
    assert_eq!(done(&world), [1]);
    let mut world = seen();
    world.append(1, &[1]);
    let FromDeviceKind::BufferChanged(sound) = changed(1, &[0, 4_000_000]) else { unreachable!() };
    let tracks = Some(Tracks { has_audio: true, ..Tracks::default() });
    world.device(FromDeviceKind::BufferChanged(BufferChanged { tracks, ..sound }));
    assert_eq!(done(&world), [1]);
    assert!(newest(&world).visible.is_empty());
}

#[test]
fn a_player_that_goes_back_meanwhile_is_told_nothing_else() {
    let mut world = seen();
    world.append(1, &[1]);
    world.device(changed(1, &[0, 4_000_000]));
    world.hook(HookEvent::Read { ms: 1, reader: Reader::Pixels });
    world.after(Duration::from_secs(1));
    assert_eq!(done(&world), [0; 0]);
}

#[test]
fn a_device_that_says_more_than_a_page_can_have_asked_is_not_kept() {
    let mut world = seen();
    world.append(1, &[1]);
    world.device(changed(1, &[0, 4_000_000]));
    for _ in 0..62 {
        world.device(changed(0, &[0, 4_100_000]));
    }
    assert_eq!(done(&world), [0; 0]);
    world.device(changed(0, &[0, 4_100_000]));
    assert_eq!(done(&world).len(), 64);
}
