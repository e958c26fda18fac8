//! Debian's xfreerdp and the plug-in.

use std::time::Instant;

use offstage_ironrdp_test::drdynvc::Event;
use offstage_ironrdp_test::rdp_server::LIMIT;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::time::timeout;

use crate::desk::{Desk, take, until_end};

const MIB: usize = 1024 * 1024;
/// What may be on its way, as the two ends' credit allows it.
const WINDOW: usize = MIB;
/// The most that the plug-in holds for the client.
const PLUGIN_QUEUE: usize = 8 * MIB;

#[tokio::test(flavor = "multi_thread")]
async fn bytes_go_there_and_back_in_order() {
    let mut desk = Desk::start().await;
    let channel = desk.session.opened().await.unwrap();
    let mut client = desk.client().await;
    let mut times = Vec::new();
    for round in 0..200_u8 {
        let begin = Instant::now();
        desk.session.send(channel, vec![round]).await.unwrap();
        let got = take(&mut client, 1).await;
        client.write_all(&got).await.unwrap();
        desk.session.expect(&Event::Data(channel, vec![round])).await.unwrap();
        times.push(begin.elapsed());
    }
    times.sort();
    println!("a byte there and back: {:?} in the middle of {}", times[times.len() / 2], times.len());

    let echo = tokio::spawn(async move {
        let (mut reader, mut writer) = client.split();
        tokio::io::copy(&mut reader, &mut writer).await
    });
    let all = pattern(16 * MIB);
    let begin = Instant::now();
    // Below, at and above what one part of a message holds, and a whole payload.
    let mut sizes = [1, 700, 1589, 1590, 1591, 4096, 16 * 1024, 65_536].into_iter().cycle();
    let (mut sent, mut back) = (0, Vec::new());
    while back.len() < all.len() {
        while sent < all.len() && sent - back.len() < WINDOW {
            let end = all.len().min(sent + sizes.next().unwrap());
            desk.session.send(channel, all[sent..end].to_vec()).await.unwrap();
            sent = end;
        }
        back.extend(desk.session.receive(channel, 1).await.unwrap());
    }
    println!("16 MiB there and back: {:?}", begin.elapsed());
    assert!(back == all, "something was lost, changed or came in another order");
    desk.session.close(channel).await.unwrap();
    let ended = timeout(LIMIT, echo).await;
    ended.expect("the plug-in keeps the client's socket open").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_gets_all_and_then_the_end_when_the_server_closes_the_channel() {
    let mut desk = Desk::start().await;
    let channel = desk.session.opened().await.unwrap();
    let mut client = desk.client().await;
    let all = pattern(MIB);
    for part in all.chunks(16 * 1024) {
        desk.session.send(channel, part.to_vec()).await.unwrap();
    }
    desk.session.close(channel).await.unwrap();
    assert!(until_end(&mut client).await == all, "the end came before the last byte");
    desk.works(channel).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_sees_the_channel_closed_when_the_client_ends() {
    let mut desk = Desk::start().await;
    let channel = desk.session.opened().await.unwrap();
    let mut client = desk.client().await;
    let last = pattern(100_000);
    client.write_all(&last).await.unwrap();
    drop(client);
    assert!(desk.session.receive(channel, last.len()).await.unwrap() == last, "the last bytes are lost");
    desk.session.until_closed(channel).await.unwrap();
    desk.works(channel).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_refused_as_long_as_there_is_no_client() {
    let mut desk = Desk::start().await;
    let first = desk.session.opened().await.unwrap();
    drop(desk.client().await);
    desk.session.until_closed(first).await.unwrap();
    let path = desk.folder.path().join("client.sock");
    std::fs::remove_file(&path).unwrap();
    desk.session.open().await.unwrap();
    let Event::Refused(refused) = desk.session.next().await.unwrap() else { panic!("there is no client") };
    desk.listener = UnixListener::bind(&path).unwrap();
    desk.works(refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_channels_are_two_connections_to_the_client() {
    let mut desk = Desk::start().await;
    let first = desk.session.opened().await.unwrap();
    let mut one = desk.client().await;
    let second = desk.session.opened().await.unwrap();
    let mut two = desk.client().await;
    one.write_all(b"one").await.unwrap();
    desk.session.expect(&Event::Data(first, b"one".to_vec())).await.unwrap();
    two.write_all(b"two").await.unwrap();
    desk.session.expect(&Event::Data(second, b"two".to_vec())).await.unwrap();
    desk.session.close(first).await.unwrap();
    assert_eq!(until_end(&mut one).await, b"");
    desk.session.send(second, b"still".to_vec()).await.unwrap();
    assert_eq!(take(&mut two, 5).await, b"still");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_is_killed_ends_the_client_and_the_next_has_the_channel_again() {
    let mut desk = Desk::start().await;
    desk.session.opened().await.unwrap();
    let mut client = desk.client().await;
    for _ in 0..2 {
        desk.viewer = None;
        assert_eq!(until_end(&mut client).await, b"");
        while desk.session.next().await.unwrap() != Event::Gone {}
        desk.connect().await;
        let channel = desk.session.opened().await.unwrap();
        client = desk.client().await;
        desk.session.send(channel, b"again".to_vec()).await.unwrap();
        assert_eq!(take(&mut client, 5).await, b"again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_does_the_remote_desktop_no_harm() {
    let mut desk = Desk::start().await;

    // The plug-in looks at nothing: garbage is the client's to judge.
    let channel = desk.session.opened().await.unwrap();
    let mut client = desk.client().await;
    for length in [1, 2, 3, 1589, 1590, 1600, 65_537, MIB] {
        let garbage = pattern(length);
        desk.session.send(channel, garbage.clone()).await.unwrap();
        assert!(take(&mut client, length).await == garbage, "{length} bytes came as others");
    }
    // A message of no bytes, which IronRDP doesn't send by itself: command 3 (data), a channel's number of one byte.
    let number = u8::try_from(channel).unwrap();
    desk.session.send_raw(vec![0x30, number]).await.unwrap();
    // Data for a channel that nobody has opened.
    desk.session.send_raw(vec![0x30, 250, 1, 2, 3]).await.unwrap();
    // The beginning of a message (command 2) of 1000 bytes, of which 3 come, and then the channel's end.
    desk.session.send_raw(vec![0x24, number, 0xe8, 0x03, 1, 2, 3]).await.unwrap();
    desk.session.close(channel).await.unwrap();
    assert_eq!(until_end(&mut client).await, b"");
    desk.works(channel).await;

    // One message that is more than the plug-in holds.
    let channel = desk.session.opened().await.unwrap();
    let mut client = desk.client().await;
    desk.session.send(channel, pattern(PLUGIN_QUEUE + MIB)).await.unwrap();
    desk.session.until_closed(channel).await.unwrap();
    until_end(&mut client).await;
    desk.works(channel).await;

    // Many messages that nobody reads.
    let channel = desk.session.opened().await.unwrap();
    let client = desk.client().await;
    let part = pattern(16 * 1024);
    for _ in 0..(PLUGIN_QUEUE + 4 * MIB) / part.len() {
        desk.session.send(channel, part.clone()).await.unwrap();
    }
    desk.session.until_closed(channel).await.unwrap();
    drop(client);
    desk.works(channel).await;
}

/// Bytes that tell what is lost or in another order: a linear congruential generator (Knuth's MMIX).
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}
