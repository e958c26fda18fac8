//! A player that goes back to the session is on the device until the page has its own picture.

use std::time::Duration;

use super::*;

fn playing() -> World {
    let mut world = World::ready();
    world.hook(HookEvent::Playback(wish(1, false)));
    world
}

fn read(world: &mut World) {
    world.hook(HookEvent::Read { ms: 1, reader: Reader::Pixels });
}

fn closes(world: &World) -> usize {
    world.received.iter().filter(|kind| matches!(kind, ToDeviceKind::ClosePlayer(_))).count()
}

fn reverts(world: &World) -> usize {
    world.commands().iter().filter(|command| matches!(command, HookCommand::Revert { .. })).count()
}

#[test]
fn the_device_plays_on_until_the_page_says_that_it_has_its_picture() {
    let mut world = playing();
    let before = world.received.len();
    read(&mut world);
    assert_eq!((reverts(&world), closes(&world)), (1, 0));
    assert_eq!(world.core.status().redirected, 0);
    assert!(world.received.get(before..).unwrap().is_empty(), "nothing is said to the device");
    // The person pauses meanwhile.
    world.hook(HookEvent::Playback(wish(1, true)));
    assert!(world.last_playback().paused);
    world.hook(HookEvent::Close { ms: 1 });
    assert_eq!((reverts(&world), closes(&world)), (1, 1));
}

#[test]
fn a_page_that_says_nothing_has_the_device_stop() {
    let mut world = playing();
    read(&mut world);
    world.after(Duration::from_secs(1));
    assert_eq!(closes(&world), 0);
    world.after(Duration::from_secs(2));
    assert_eq!((reverts(&world), closes(&world)), (1, 1));
}

#[test]
fn what_else_happens_meanwhile_is_not_told_again() {
    let mut world = playing();
    read(&mut world);
    read(&mut world);
    world.append(9, b"late");
    world.hook(HookEvent::Sharing { live: true });
    assert_eq!((reverts(&world), closes(&world)), (1, 0));
    world.device = None;
    world.bridge(BridgeKind::ChannelDown(ChannelDown::default()));
    assert_eq!(reverts(&world), 1);
}

#[test]
fn a_device_that_fails_meanwhile_stops_at_once() {
    let mut world = playing();
    read(&mut world);
    let code = ErrorCode::DECODE_ERROR.number();
    world.device(FromDeviceKind::PlayerFailed(PlayerFailed { player: 1, code, ..PlayerFailed::default() }));
    assert_eq!((reverts(&world), closes(&world)), (1, 1));
}

#[test]
fn what_only_got_ready_on_the_device_ends_there_at_once() {
    let mut world = World::new(&["https://*/*"]);
    world.connect();
    world.open(true);
    read(&mut world);
    assert_eq!((reverts(&world), closes(&world)), (1, 1));
}
