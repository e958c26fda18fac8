//! Screens of the device that pages show.

use super::*;

#[test]
fn a_screen_is_asked_for_each_time_and_is_the_sessions_where_the_device_shows_none() {
    let mut world = World::new(&[1]);
    world.received(1);
    open_call(&mut world, 1, "https://a.example");
    let asked = |world: &mut World| match world.client.poll_question() {
        Some(Asking::Ask(question)) => question.screen && !question.microphone && !question.camera,
        _ => false,
    };
    let answer = |world: &mut World, request, track: u32| {
        let result = format!("{{\"value\":[{{\"track\":{track},\"kind\":\"video\"}}]}}");
        let answer = CallAnswer { call: 1, request, result, ..CallAnswer::default() };
        world
            .stage_says(FromStageKind::Device(FromDevice { kind: Some(FromDeviceKind::CallAnswer(answer)) }));
    };
    let shown = |world: &mut World| {
        world
            .client
            .poll_uses()
            .map(|uses| uses.iter().map(|one| [one.camera, one.screen]).collect::<Vec<_>>())
    };
    for (number, track) in [(5, 1), (6, 3)] {
        request(&mut world, 1, number, "captureScreen", "[{\"video\":true},1,2]");
        assert!(asked(&mut world));
        world.client.answered(1, true);
        told_of_calls(&mut world);
        answer(&mut world, number, track);
    }
    assert_eq!(shown(&mut world), Some(vec![[false, true]]));
    // One that is asked for has no second beside it; a microphone waits for its turn.
    request(&mut world, 1, 7, "captureScreen", "[{},5,6]");
    request(&mut world, 1, 8, "captureScreen", "[{},7,8]");
    request(&mut world, 1, 9, "capture", "[{\"audio\":true},9,10]");
    assert!(asked(&mut world));
    world.received(1);
    world.client.answered(1, false);
    world.exchange();
    assert_eq!(world.received(1), ["call 1 answer 7: NotAllowedError"]);
    assert!(matches!(world.client.poll_question(), Some(Asking::Ask(Question { microphone: true, .. }))));
    world.client.answered(1, true);
    assert_eq!(told_of_calls(&mut world), ["call 1 permitted true", "capture of 1"]);
    // The settings end what is shown, and nobody is asked any more.
    world.client.set_policy(NOW, policy(&serde_json::json!({ "screens": "deny" })));
    world.exchange();
    assert_eq!(world.received(1), ["call 1 target 1: track.ended", "call 1 target 3: track.ended"]);
    assert_eq!(told_of_calls(&mut world), ["stopTrack of 1", "stopTrack of 1"]);
    assert_eq!(shown(&mut world), Some(vec![]));
    request(&mut world, 1, 10, "captureScreen", "[{},11,12]");
    assert_eq!(world.client.poll_question(), None);
    assert_eq!(world.received(1), ["call 1 answer 10: {\"value\":null}"]);
}
