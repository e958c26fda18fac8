//! A player that the session plays moves to the device.

use std::time::Duration;

use super::*;

#[test]
fn kept_bytes_move_to_the_device_and_the_swap_covers_its_ranges() {
    let mut world = World::new(&["https://*/*"]);
    world.connect();
    world.open(true);
    world.hook(HookEvent::AddBuffer { ms: 1, sb: 1, mime: "video/webm".into() });
    world.append(1, &[7; 100]);
    world.device(changed(1, &[0, 8_000_000]));
    let Some(HookCommand::Done { r#type: None, steps, .. }) = world.last_command() else {
        panic!("no answer")
    };
    assert_eq!(steps, []);
    let buffers = vec![NativeRanges { sb: 1, ranges: vec![0.0, 8e6] }];
    world.hook(HookEvent::Caught { ms: 1, buffers, ended: false });
    let Some(HookCommand::Swap { buffers, .. }) = world.last_command() else { panic!("no swap") };
    assert_eq!((buffers.len(), buffers[0].steps.len()), (1, 2));
    world.hook(HookEvent::Playback(wish(1, false)));
    assert!(world.last_playback().paused, "silent until the swap is done");
    world.hook(HookEvent::Swapped { ms: 1 });
    world.hook(HookEvent::Playback(wish(1, false)));
    assert!(!world.last_playback().paused);
}

#[test]
fn an_ended_stream_that_moves_keeps_the_end_of_its_longer_track() {
    let fixed = |ended, device_end| {
        let mut world = World::new(&["https://*/*"]);
        world.connect();
        world.open(true);
        world.hook(HookEvent::AddBuffer { ms: 1, sb: 1, mime: "video/webm".into() });
        world.append(1, &[7; 100]);
        world.device(changed(1, &[0, device_end]));
        let buffers = vec![NativeRanges { sb: 1, ranges: vec![0.0, 8e6] }];
        world.hook(HookEvent::Caught { ms: 1, buffers, ended });
        world.hook(HookEvent::Swapped { ms: 1 });
        world.native(&[0, 8_000_000]);
        world.commands().iter().any(|command| matches!(command, HookCommand::Fix { .. }))
    };
    assert!(!fixed(true, 7_950_000));
    assert!(fixed(false, 7_950_000), "only the end of a stream joins the tracks");
    assert!(fixed(true, 7_800_000), "more is missing than a frame");
}

#[test]
fn what_the_device_lost_is_not_swapped_in() {
    let mut world = World::new(&["https://*/*"]);
    world.connect();
    world.open(true);
    world.hook(HookEvent::AddBuffer { ms: 1, sb: 1, mime: "video/webm".into() });
    let buffers = vec![NativeRanges { sb: 1, ranges: vec![0.0, 8e6] }];
    world.hook(HookEvent::Caught { ms: 1, buffers, ended: false });
    assert_eq!(world.last_command(), Some(HookCommand::Revert { ms: 1, code: 1305, retry: false }));
}

fn stills(world: &World) -> Vec<HookCommand> {
    world.commands().into_iter().filter(|command| matches!(command, HookCommand::Slew { .. })).collect()
}

#[test]
fn a_move_that_takes_long_has_the_sessions_picture_stand_still_once() {
    let mut world = World::new(&["https://*/*"]);
    world.connect();
    world.open(true);
    world.hook(HookEvent::AddBuffer { ms: 1, sb: 1, mime: "video/webm".into() });
    let limit = world.now.after(Duration::from_millis(1500));
    assert_eq!(world.core.players.poll_timeout(), Some((limit, "move ends")));
    world.after(Duration::from_secs(1));
    assert_eq!(stills(&world), []);
    world.after(Duration::from_millis(500));
    assert_eq!(stills(&world), [HookCommand::Slew { ms: 1, factor: 0.0, for_ms: 12_000.0 }]);
    world.after(Duration::from_secs(5));
    assert_eq!(stills(&world).len(), 1);
}

#[test]
fn a_player_that_is_on_the_device_stands_still_for_no_move() {
    let mut begun = World::ready();
    begun.after(Duration::from_secs(2));
    assert_eq!(stills(&begun), []);
    let mut moved = World::new(&["https://*/*"]);
    moved.connect();
    moved.open(true);
    moved.hook(HookEvent::AddBuffer { ms: 1, sb: 1, mime: "video/webm".into() });
    moved.append(1, &[7; 100]);
    moved.device(changed(1, &[0, 8_000_000]));
    let buffers = vec![NativeRanges { sb: 1, ranges: vec![0.0, 8e6] }];
    moved.hook(HookEvent::Caught { ms: 1, buffers, ended: false });
    moved.hook(HookEvent::Swapped { ms: 1 });
    moved.after(Duration::from_secs(2));
    assert_eq!(stills(&moved), []);
}
