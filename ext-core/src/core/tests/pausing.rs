//! The picture of a paused video is the one of the page's position.

use super::*;

#[test]
fn a_paused_picture_is_put_where_the_page_is() {
    let mut world = World::ready();
    world.hook(HookEvent::Playback(wish(1, true)));
    let first = world.last_playback();
    world.hook(HookEvent::Drift { ms: 1, drift_us: 30_000.0, paused: true, seek_id: 0 });
    assert_eq!(world.last_playback().seek_id, first.seek_id + 1);
    let near = HookEvent::Drift { ms: 1, drift_us: 500.0, paused: true, seek_id: 0 };
    world.hook(near.clone());
    assert_eq!(world.last_playback().seek_id, first.seek_id + 1);
    // Stopped in play: the picture may be one ahead, however near the position is.
    world.hook(HookEvent::Playback(wish(1, false)));
    world.hook(HookEvent::Playback(wish(1, true)));
    for _ in 0..2 {
        world.hook(near.clone());
        assert_eq!(world.last_playback().seek_id, first.seek_id + 2);
    }
}
