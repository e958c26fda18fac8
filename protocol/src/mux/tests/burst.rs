//! What a small message waits for while a burst of media fills a link below which nobody limits a queue.

use core::time::Duration;
use std::collections::VecDeque;

use super::super::pair::{Link, Pair};
use crate::frame::{FIRST_BUFFER_STREAM, GEOMETRY_STREAM};
use crate::mux::MuxEvent;

/// 20 Mbit/s.
const BYTES_PER_MS: u64 = 2_500;
/// 50 MB in messages of 1 MB.
const MESSAGES: usize = 50;
const MESSAGE: usize = 1_000_000;
/// A place of a picture is told this often.
const EVERY: Duration = Duration::from_millis(16);

/// What a run has shown.
#[derive(Debug)]
struct Seen {
    /// The longest round trip of a geometry message beyond the link's own.
    worst: Duration,
    /// From the burst's first byte to its last message.
    took: Duration,
}

/// Sends the burst from `senders` on so many streams and bounces geometry messages off the other end all the while.
fn check(round_trip_ms: u64, senders: &[usize], streams: u32) -> Seen {
    let link = Link { latency: Duration::from_micros(round_trip_ms * 500), bytes_per_ms: BYTES_PER_MS };
    let mut pair = Pair::connected(link);
    let began = pair.now;
    for &from in senders {
        for stream in (FIRST_BUFFER_STREAM..FIRST_BUFFER_STREAM + streams).cycle().take(MESSAGES) {
            pair.ends[from].mux.send(stream, vec![7; MESSAGE]).unwrap();
        }
    }
    let own = Duration::from_millis(round_trip_ms);
    let (mut sent, mut added) = (VecDeque::new(), Vec::new());
    let (mut looked_at, mut arrived) = ([0, 0], [0, 0]);
    let mut next = pair.now;
    while senders.iter().any(|from| arrived[1 - from] < MESSAGES) {
        assert!(pair.now.since(began) < Duration::from_secs(60), "the burst does not end: {link:?}");
        if next <= pair.now {
            next = pair.now.after(EVERY);
            sent.push_back(pair.now);
            pair.send(0, GEOMETRY_STREAM, vec![1; 60]);
        }
        pair.run_for(Duration::from_millis(1));
        for end in [0, 1] {
            let new = pair.ends[end].events.split_off(looked_at[end]);
            for (at, event) in new {
                match event {
                    MuxEvent::Message { stream: GEOMETRY_STREAM, .. } if end == 0 => {
                        added.push(at.since(sent.pop_front().unwrap()).saturating_sub(own));
                    }
                    MuxEvent::Message { stream: GEOMETRY_STREAM, bytes } => {
                        pair.send(1, GEOMETRY_STREAM, bytes);
                    }
                    MuxEvent::Message { .. } => arrived[end] += 1,
                    MuxEvent::Connected { .. } | MuxEvent::Closed { .. } => {}
                }
            }
            looked_at[end] = pair.ends[end].events.len();
            assert_eq!(pair.ends[end].error, None);
        }
    }
    let seen = Seen { worst: added.into_iter().max().unwrap(), took: pair.now.since(began) };
    println!("{round_trip_ms} ms, from {senders:?} on {streams} streams: {seen:?}");
    seen
}

/// At 20 Mbit/s the burst takes 20 s at least.
#[test]
fn a_round_trip_is_short_while_a_burst_goes_either_way() {
    for round_trip in [0, 30, 80, 150] {
        for (sender, streams) in [(0, 1), (1, 1), (0, 2), (0, 6)] {
            let seen = check(round_trip, &[sender], streams);
            assert!(seen.worst <= Duration::from_millis(60), "{round_trip} ms: {seen:?}");
            assert!(seen.took <= Duration::from_millis(25_000), "{round_trip} ms: {seen:?}");
        }
    }
}

/// Credit waits behind the other direction's media then, and comes in bunches.
#[test]
fn a_round_trip_is_bounded_while_bursts_go_both_ways() {
    for round_trip in [0, 30, 80, 150] {
        let seen = check(round_trip, &[0, 1], 2);
        assert!(seen.worst <= Duration::from_millis(120), "{round_trip} ms: {seen:?}");
        assert!(seen.took <= Duration::from_millis(36_000), "{round_trip} ms: {seen:?}");
    }
}
