//! Messages of data channels.

use super::*;

#[test]
fn a_channel_that_brings_more_than_its_page_takes_is_closed_and_nothing_else_is() {
    let mut world = World::new(&[1]);
    world.received(1);
    open_call(&mut world, 1, "https://a.example");
    told_of_calls(&mut world);
    let event = |world: &mut World, target: u32, event: &str, bytes: usize| {
        let (event, detail, data) = (event.to_owned(), "{}".to_owned(), vec![0; bytes]);
        let kind = FromDeviceKind::CallEvent(CallEvent { call: 1, target, event, detail, data });
        world
            .client
            .stage_message(
                NOW,
                &FromStage { kind: Some(FromStageKind::Device(FromDevice { kind: Some(kind) })) }
                    .encode_to_vec(),
            )
            .unwrap();
    };
    // The session takes nothing all the while.
    for _ in 0..140 {
        event(&mut world, 5, "channel.message", 1 << 20);
    }
    event(&mut world, 6, "channel.open", 0);
    event(&mut world, 5, "channel.close", 0);
    assert_eq!(told_of_calls(&mut world), ["closeChannel of 1"]);
    let mut received = Vec::new();
    for _ in 0..1000 {
        world.exchange();
        received.extend(world.received(1));
    }
    let of = |text: &str| received.iter().filter(|line| line.ends_with(text)).count();
    assert_eq!(
        [of("target 5: channel.error"), of("target 5: channel.close"), of("target 6: channel.open")],
        [1, 1, 1]
    );
    assert!((100..130).contains(&of("target 5: channel.message")), "{}", received.len());
    request(&mut world, 1, 5, "createOffer", "[{}]");
    assert_eq!(told_of_calls(&mut world), ["createOffer of 1"]);
}
