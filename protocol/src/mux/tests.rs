//! Two ends that keep to the protocol, over links of several kinds.

mod burst;
mod hostile;

use core::time::Duration;

use proptest::prelude::*;
use prost::Message as _;

use super::pair::{FAST, Link, Pair, config};
use super::{
    INITIAL_CONNECTION_CREDIT, INITIAL_STREAM_CREDIT, MAX_ADDED_DELAY, MAX_WINDOW, Mux, MuxError, MuxEvent,
};
use crate::error::ErrorCode;
use crate::frame::{FIRST_BUFFER_STREAM, Frame, GEOMETRY_STREAM, MAX_MESSAGE, PLAYER_STREAM};
use crate::message::{Control, ControlKind, Hello};
use crate::time::Monotonic;

const MEBIBYTE: usize = 1024 * 1024;
/// As of the remote desktop link on which a control message once waited 4.7 s behind 8 MiB.
const SLOW: Link = Link { latency: Duration::from_millis(20), bytes_per_ms: 2_500 };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn pattern(size: usize, seed: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from((at * 31 + seed * 17 + at / 251) % 256).unwrap()).collect()
}

#[test]
fn both_ends_meet_before_anything_else() {
    let mut pair = Pair::new(FAST);
    pair.ends[0].mux.send(PLAYER_STREAM, b"early".to_vec()).unwrap();
    assert!(pair.ends[0].mux.version().is_none());
    pair.run_for(seconds(1));
    for (at, name) in [(0, "client"), (1, "extension")] {
        let Some((_, MuxEvent::Connected { hello })) = pair.ends[at].events.first() else { panic!() };
        assert_eq!(hello.component, name);
        assert_eq!(pair.ends[at].mux.version(), Some(1));
    }
    assert_eq!(pair.messages(1)[0].2, b"early");
}

#[test]
fn messages_of_every_size_come_back_whole() {
    let mut pair = Pair::connected(FAST);
    let mut sent = Vec::new();
    for stream in [GEOMETRY_STREAM, PLAYER_STREAM, FIRST_BUFFER_STREAM, 17, u32::MAX] {
        for size in [1, 16_383, 16_384, 16_385, 70_000, MAX_MESSAGE] {
            if stream < FIRST_BUFFER_STREAM && size == MAX_MESSAGE {
                continue;
            }
            let message = pattern(size, sent.len());
            pair.send(0, stream, message.clone());
            sent.push((stream, message));
        }
    }
    pair.run_for(seconds(5));
    for stream in [GEOMETRY_STREAM, PLAYER_STREAM, FIRST_BUFFER_STREAM, 17, u32::MAX] {
        let wanted: Vec<_> =
            sent.iter().filter(|(of, _)| *of == stream).map(|(_, message)| message).collect();
        let seen: Vec<_> =
            pair.messages(1).iter().filter(|found| found.1 == stream).map(|found| found.2.to_vec()).collect();
        assert_eq!(seen.len(), wanted.len());
        assert!(seen.iter().zip(wanted).all(|(seen, wanted)| seen == wanted));
    }
    assert_eq!(pair.ends[0].mux.queued_bytes(), 0);
}

#[test]
fn too_large_messages_and_full_queues_are_refused_without_harm() {
    let mut pair = Pair::connected(FAST);
    let mux = &mut pair.ends[0].mux;
    assert_eq!(mux.send(16, vec![0; MAX_MESSAGE + 1]), Err(MuxError::OversizeMessage { stream: 16 }));
    assert_eq!(mux.send(0, vec![1]), Err(MuxError::UnexpectedMessage { stream: 0 }));
    assert_eq!(mux.send(1, vec![0; 16_385]), Err(MuxError::OversizeMessage { stream: 1 }));
    mux.send(2, vec![0; 2 * MEBIBYTE]).unwrap();
    mux.send(3, vec![0; 2 * MEBIBYTE]).unwrap();
    assert_eq!(mux.send(3, vec![0]), Err(MuxError::QueueFull { stream: 3 }));
    let accepted = (0..100).take_while(|_| mux.send(16, vec![0; MAX_MESSAGE]).is_ok()).count();
    assert_eq!(accepted, super::BULK_QUEUE / MAX_MESSAGE);
    assert_eq!((mux.queued_bytes_on(3), mux.queued_bytes_on(16)), (2 * MEBIBYTE, super::BULK_QUEUE));
    pair.run_for(seconds(10));
    assert_eq!(pair.messages(1).len(), 2 + accepted);
}

#[test]
fn a_geometry_message_overtakes_eight_mebibytes() {
    let mut pair = Pair::connected(SLOW);
    for _ in 0..4 {
        pair.send(0, 16, vec![7; 2 * MEBIBYTE]);
    }
    for pause in [0_u64, 100, 500, 1000] {
        pair.run_for(Duration::from_millis(pause));
        let sent = pair.now;
        pair.send(0, GEOMETRY_STREAM, vec![1; 60]);
        pair.run_for(Duration::from_millis(600));
        let arrived = pair.messages(1).iter().rev().find(|found| found.1 == GEOMETRY_STREAM).unwrap().0;
        let bound = SLOW.latency + MAX_ADDED_DELAY;
        assert!(arrived.since(sent) <= bound, "{:?} after {pause} ms", arrived.since(sent));
    }
    pair.run_for(seconds(10));
    assert_eq!(pair.messages(1).iter().filter(|found| found.1 == 16).count(), 4);
}

#[test]
fn a_ping_is_not_held_up_by_media_either() {
    let mut pair = Pair::connected(SLOW);
    for _ in 0..8 {
        pair.send(0, 16, vec![7; 2 * MEBIBYTE]);
        pair.send(0, 17, vec![7; 2 * MEBIBYTE]);
    }
    pair.run_for(seconds(8));
    assert!(pair.ends.iter().all(|end| end.error.is_none()));
    assert!(pair.ends[0].mux.round_trip().unwrap() < Duration::from_millis(200));
}

#[test]
fn the_window_grows_where_it_is_the_limit_and_only_there() {
    // 40 ms there and back; a window of 64 KiB allows 1.6 MB/s of the 50 MB/s.
    let far = Link { latency: Duration::from_millis(20), bytes_per_ms: 50_000 };
    let mut pair = Pair::connected(far);
    for _ in 0..30 {
        pair.send(0, 16, vec![7; 2 * MEBIBYTE]);
    }
    pair.run_for(seconds(4));
    assert_eq!(pair.ends[1].mux.receiver.window_sizes(), [MAX_WINDOW, MAX_WINDOW]);
    assert!(pair.ends[0].most_in_flight <= MAX_WINDOW + u64::try_from(MAX_MESSAGE).unwrap());
    assert!(pair.ends[0].bulk_sent > 40 * 1024 * 1024, "{}", pair.ends[0].bulk_sent);

    // The slow link queues instead: the windows stay where the added delay is small. 40 ms of its own, 30 ms in the queue.
    let mut pair = Pair::connected(SLOW);
    for _ in 0..10 {
        pair.send(0, 16, vec![7; 2 * MEBIBYTE]);
    }
    pair.run_for(seconds(6));
    let sizes = pair.ends[1].mux.receiver.window_sizes();
    assert!(sizes.iter().all(|size| *size <= 80 * SLOW.bytes_per_ms), "{sizes:?}");
    // Small windows don't starve it: 2.5 MB/s for 6 s.
    assert!(pair.ends[0].bulk_sent > 13_000_000, "{}", pair.ends[0].bulk_sent);

    // A quiet stream's window stays as it is.
    let mut pair = Pair::connected(far);
    for _ in 0..40 {
        pair.send(0, 16, vec![7; 10_000]);
        pair.run_for(Duration::from_millis(100));
    }
    assert_eq!(pair.ends[1].mux.receiver.window_sizes(), [INITIAL_CONNECTION_CREDIT, INITIAL_STREAM_CREDIT]);
}

#[test]
fn an_application_that_does_not_read_stops_the_other_end() {
    let mut pair = Pair::connected(FAST);
    pair.ends[1].reads = false;
    for number in 0..100 {
        pair.send(0, 16 + number % 10, vec![7; 100_000]);
    }
    pair.run_for(seconds(5));
    // Whole messages count as held; the ones that are not whole yet do not.
    let most = INITIAL_CONNECTION_CREDIT + 10 * 100_000;
    assert!(pair.ends[0].bulk_sent <= most, "{}", pair.ends[0].bulk_sent);
    pair.ends[1].reads = true;
    pair.run_for(seconds(5));
    assert_eq!(pair.messages(1).len(), 100);
    assert!(pair.ends.iter().all(|end| end.error.is_none()));
}

#[test]
fn bulk_streams_take_turns() {
    let mut pair = Pair::connected(SLOW);
    for stream in 16..20 {
        pair.ends[0].mux.send(stream, vec![7; MEBIBYTE]).unwrap();
    }
    pair.run_for(Duration::from_millis(800));
    let count = |stream| pair.ends[0].frames_sent.iter().filter(|(_, of)| *of == stream).count();
    let counts: Vec<_> = (16..20).map(count).collect();
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 2, "{counts:?}");
}

#[test]
fn many_long_messages_at_once_do_not_block_each_other() {
    let mut pair = Pair::connected(FAST);
    for stream in 16..76 {
        pair.send(0, stream, pattern(MEBIBYTE, 3));
    }
    pair.run_for(seconds(30));
    assert!(pair.ends[1].error.is_none(), "{:?}", pair.ends[1].error);
    assert_eq!(pair.messages(1).len(), 60);
}

#[test]
fn an_idle_link_carries_a_ping_every_two_seconds() {
    let mut pair = Pair::connected(FAST);
    let before = pair.ends[0].frames_sent.len();
    pair.run_for(seconds(60));
    // A ping and a pong from each end.
    let sent = pair.ends[0].frames_sent.len() - before;
    assert!((59..=61).contains(&sent), "{sent}");
}

#[test]
fn a_silent_link_is_dead_after_six_seconds() {
    let mut pair = Pair::connected(FAST);
    pair.run_for(seconds(3));
    pair.ends[0].cut = true;
    let cut = pair.now;
    pair.run_for(seconds(20));
    let (at, error) = pair.ends[1].error.clone().unwrap();
    assert_eq!(error.code(), ErrorCode::LINK_DEAD);
    assert!(at.since(cut) <= seconds(6) && at.since(cut) >= seconds(4), "{:?}", at.since(cut));
    let mux = &mut pair.ends[1].mux;
    assert_eq!(mux.send(2, vec![1]), Err(error));
    assert_eq!((mux.poll_transmit(100_000), mux.poll_timeout(), mux.queued_bytes()), (None, None, 0));
}

#[test]
fn an_end_that_never_answers_is_dead_as_well() {
    let start = Monotonic(5);
    let mut mux = Mux::new(start, config("client"));
    assert_eq!(mux.poll_timeout(), Some((start, "ping")));
    mux.handle_timeout(start, 0).unwrap();
    for at in [2, 4] {
        assert_eq!(mux.poll_timeout(), Some((start.after(seconds(at)), "ping")));
        mux.handle_timeout(start.after(seconds(at)), 0).unwrap();
    }
    assert_eq!(mux.poll_timeout(), Some((start.after(seconds(6)), "dead link")));
    assert_eq!(mux.handle_timeout(start.after(seconds(6)), 0), Err(MuxError::LinkDead { seconds: 6 }));
}

#[test]
fn the_other_clock_is_known_to_the_microsecond_on_an_even_link() {
    let mut pair = Pair::new(Link { latency: Duration::from_millis(30), bytes_per_ms: 1_000_000 });
    pair.ends[0].wall_offset_us = 1_700_000_000_000_000;
    pair.ends[1].wall_offset_us = 1_699_999_000_000_123;
    pair.run_for(seconds(5));
    assert_eq!(pair.ends[0].mux.peer_clock_offset_us(), Some(-999_999_877));
    assert_eq!(pair.ends[1].mux.peer_clock_offset_us(), Some(999_999_877));
    assert_eq!(pair.ends[0].mux.round_trip(), Some(Duration::from_millis(60)));
}

#[test]
fn versions_that_do_not_overlap_part_with_a_reason() {
    let mut new = config("client");
    (new.hello.protocol_min, new.hello.protocol_max) = (2, 3);
    let mut pair = Pair::with(FAST, config("extension"), new);
    pair.run_for(seconds(1));
    for end in &mut pair.ends {
        assert_eq!(end.error.clone().unwrap().1.code(), ErrorCode::VERSION_MISMATCH);
        assert!(end.mux.is_closed());
    }
    // An end whose partner alone sees the mismatch learns it from the close message.
    let mut mux = Mux::new(Monotonic(0), config("extension"));
    let close = Control::decode(close_of(&mut pair).as_slice()).unwrap();
    let payload = close.encode_to_vec();
    mux.handle_frame(Monotonic(0), 0, Frame::whole(0, 0, &payload)).unwrap();
    let Some(MuxEvent::Closed { code, detail }) = mux.poll_event() else { panic!() };
    assert_eq!(code, ErrorCode::VERSION_MISMATCH);
    assert_eq!(detail, "protocol 1 to 1 here, 2 to 3 there");
}

/// The close message that an end with protocol 1 sends to one with 2 to 3.
fn close_of(_pair: &mut Pair) -> Vec<u8> {
    let mut mux = Mux::new(Monotonic(0), config("extension"));
    let hello = Hello { protocol_min: 2, protocol_max: 3, ..Hello::default() };
    let payload = Control { kind: Some(ControlKind::Hello(hello)) }.encode_to_vec();
    mux.handle_frame(Monotonic(0), 0, Frame::whole(0, 0, &payload)).unwrap_err();
    hostile::frames(&mut mux).pop().unwrap().payload
}

#[test]
fn versions_one_apart_work_with_fields_and_kinds_unknown_here() {
    let mut mux = Mux::new(Monotonic(0), config("extension"));
    let hello = Hello {
        component: "client".into(),
        protocol_min: 1,
        protocol_max: 2,
        features: vec!["not-thought-of-yet".into()],
        ..Hello::default()
    };
    // Field 99 of the hello, field 50 beside it in the control message.
    let mut inner = hello.encode_to_vec();
    prost::encoding::string::encode(99, &"later".to_owned(), &mut inner);
    let mut payload = Vec::new();
    prost::encoding::bytes::encode(1, &inner, &mut payload);
    prost::encoding::uint64::encode(50, &7, &mut payload);
    mux.handle_frame(Monotonic(0), 0, Frame::whole(0, 0, &payload)).unwrap();
    let mut unknown_kind = Vec::new();
    prost::encoding::bytes::encode(77, &vec![1, 2, 3], &mut unknown_kind);
    mux.handle_frame(Monotonic(0), 0, Frame::whole(0, 1, &unknown_kind)).unwrap();
    mux.handle_frame(Monotonic(0), 0, Frame::whole(2, 0, b"works")).unwrap();
    assert_eq!(mux.version(), Some(1));
    assert_eq!(mux.poll_event(), Some(MuxEvent::Connected { hello }));
    assert_eq!(mux.poll_event(), Some(MuxEvent::Message { stream: 2, bytes: b"works".to_vec() }));
}

#[test]
fn a_close_reaches_the_other_end_with_its_reason() {
    let mut pair = Pair::connected(FAST);
    pair.send(0, 16, vec![0; MEBIBYTE]);
    pair.ends[0].mux.close(ErrorCode::GOING_AWAY, &"é".repeat(2000));
    assert_eq!(pair.ends[0].mux.send(2, vec![1]), Err(MuxError::Closed));
    pair.run_for(seconds(30));
    let Some((_, MuxEvent::Closed { code, detail })) = pair.ends[1].events.last() else { panic!() };
    assert_eq!((*code, detail.len()), (ErrorCode::GOING_AWAY, 1024));
    assert!(pair.ends.iter().all(|end| end.error.is_none() && end.mux.is_closed()));
}

#[test]
fn a_closed_stream_leaves_nothing_behind_and_stops_nothing() {
    let mut pair = Pair::connected(SLOW);
    for stream in 16..200 {
        // In the middle of a long message, from either end or both.
        pair.send(0, stream, vec![1; 2 * MEBIBYTE]);
        pair.send(1, stream, vec![2; 100_000]);
        pair.run_for(Duration::from_millis(50));
        if stream % 3 != 0 {
            pair.ends[0].mux.close_stream(stream);
        }
        if stream % 3 != 1 {
            pair.ends[1].mux.close_stream(stream);
        }
        assert_eq!(pair.ends[usize::from(stream % 3 == 0)].mux.queued_bytes_on(stream), 0);
        pair.run_for(Duration::from_millis(20));
    }
    pair.run_for(seconds(5));
    pair.send(0, 500, vec![3; 2 * MEBIBYTE]);
    pair.send(1, 500, vec![4; 2 * MEBIBYTE]);
    pair.run_for(seconds(10));
    for end in [0, 1] {
        assert!(pair.ends[end].error.is_none(), "{:?}", pair.ends[end].error);
        assert_eq!(pair.messages(end).iter().filter(|found| found.1 == 500).count(), 1);
        assert_eq!(pair.ends[end].mux.queued_bytes(), 0);
    }
    assert_eq!(pair.ends[0].mux.send(16, vec![1]), Err(MuxError::StreamClosed { stream: 16 }));
    pair.ends[0].mux.send(18, vec![1]).unwrap();
    assert_eq!(pair.ends[0].mux.queued_bytes(), 0, "the other end alone had closed it");
}

#[test]
fn streams_may_come_and_go_without_end() {
    let mut pair = Pair::connected(FAST);
    for stream in 16..12_000 {
        pair.send(0, stream, vec![1; 10]);
        pair.run_for(Duration::from_millis(2));
        pair.send(1, stream, vec![1; 10]);
        pair.run_for(Duration::from_millis(2));
        pair.ends[0].mux.close_stream(stream);
    }
    pair.run_for(seconds(1));
    assert!(pair.ends.iter().all(|end| end.error.is_none()));
    assert_eq!((pair.messages(0).len(), pair.messages(1).len()), (11_984, 11_984));
}

#[test]
fn closing_a_low_stream_drops_what_waits_and_keeps_it_open() {
    let mut pair = Pair::new(FAST);
    pair.ends[0].mux.send(GEOMETRY_STREAM, vec![1]).unwrap();
    pair.ends[0].mux.close_stream(GEOMETRY_STREAM);
    pair.ends[0].mux.send(GEOMETRY_STREAM, vec![2]).unwrap();
    pair.run_for(seconds(1));
    assert_eq!(pair.messages(1).iter().map(|found| found.2).collect::<Vec<_>>(), [[2]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_traffic_arrives_in_order_and_within_its_credit(
        sends in proptest::collection::vec(
            (0..2_usize, prop_oneof![2_u32..4, 16_u32..40], 1..120_000_usize, 0..30_u64, any::<bool>()), 1..60),
        latency_us in 0..50_000_u64,
        bytes_per_ms in 500..50_000_u64,
    ) {
        let mut pair = Pair::connected(Link { latency: Duration::from_micros(latency_us), bytes_per_ms });
        let mut wanted = [Vec::new(), Vec::new()];
        for (number, (from, stream, size, pause, reads)) in sends.into_iter().enumerate() {
            let message = pattern(size, number);
            pair.send(from, stream, message.clone());
            wanted[1 - from].push((stream, message));
            pair.ends[from].reads = reads;
            pair.run_for(Duration::from_millis(pause));
        }
        pair.ends[0].reads = true;
        pair.ends[1].reads = true;
        pair.run_for(seconds(60));
        for end in [0, 1] {
            // The receiving machine checks the credit.
            prop_assert_eq!(&pair.ends[end].error, &None);
            let mut seen: Vec<_> =
                pair.messages(end).iter().map(|(_, stream, bytes)| (*stream, bytes.to_vec())).collect();
            // Order is kept within a stream.
            seen.sort_by_key(|(stream, _)| *stream);
            wanted[end].sort_by_key(|(stream, _)| *stream);
            prop_assert!(seen == wanted[end]);
        }
    }
}
