//! An end that breaks the protocol: each way has its error, and the other end is told.

use core::time::Duration;

use prost::Message as _;

use super::super::pair::config;
use super::super::{
    CONTROL_QUEUE, INITIAL_CONNECTION_CREDIT, INITIAL_STREAM_CREDIT, MAX_STREAMS, MAX_UNFINISHED, Mux,
    MuxError, MuxEvent,
};
use crate::error::ErrorCode;
use crate::frame::{Frame, FrameError, FrameReader, MAX_MESSAGE, MAX_PAYLOAD, OwnedFrame, Priority};
use crate::message::{Close, Control, ControlKind, Credit, Hello, Ping, Pong};
use crate::time::Monotonic;

const NOW: Monotonic = Monotonic(10);

/// What a machine wants to send, as frames.
pub(super) fn frames(mux: &mut Mux) -> Vec<OwnedFrame> {
    let mut reader = FrameReader::new();
    while let Some(bytes) = mux.poll_transmit(MAX_PAYLOAD) {
        reader.push(&bytes);
    }
    core::iter::from_fn(|| reader.next().unwrap()).collect()
}

/// The other end, written by hand.
struct Peer {
    mux: Mux,
    control: u32,
}

impl Peer {
    fn new() -> Self {
        Self { mux: Mux::new(NOW, config("client")), control: 0 }
    }

    fn met() -> Self {
        let mut peer = Self::new();
        peer.control(ControlKind::Hello(config("extension").hello)).unwrap();
        peer
    }

    fn control(&mut self, kind: ControlKind) -> Result<(), MuxError> {
        let payload = Control { kind: Some(kind) }.encode_to_vec();
        self.control += 1;
        self.mux.handle_frame(NOW, 7, Frame::whole(0, self.control - 1, &payload))
    }

    fn slice(&mut self, stream: u32, sequence: u32, last: bool, size: usize) -> Result<(), MuxError> {
        let payload = vec![1; size];
        let priority = Priority::of_stream(stream);
        self.mux.handle_frame(NOW, 7, Frame { stream, sequence, priority, last, payload: &payload })
    }

    /// The connection has failed with this, for good, and says so.
    fn check(mut self, result: Result<(), MuxError>, wanted: MuxError) {
        assert_eq!(result, Err(wanted.clone()));
        assert_eq!(self.mux.handle_bytes(NOW, 7, &[1, 2, 3]), Err(wanted.clone()));
        assert_eq!(self.mux.send(2, vec![1]), Err(wanted.clone()));
        assert_eq!(self.mux.poll_timeout(), None);
        let last = Control::decode(frames(&mut self.mux).pop().unwrap().payload.as_slice()).unwrap();
        let close = Close { code: wanted.code().number(), detail: wanted.to_string() };
        assert_eq!(last.kind, Some(ControlKind::Close(close)));
    }
}

#[test]
fn nothing_but_a_hello_comes_first() {
    let mut peer = Peer::new();
    let result = peer.slice(2, 0, true, 4);
    peer.check(result, MuxError::HelloMissing { stream: 2 });

    let mut peer = Peer::new();
    let result = peer.control(ControlKind::Ping(Ping::default()));
    peer.check(result, MuxError::HelloMissing { stream: 0 });

    let mut peer = Peer::met();
    let result = peer.control(ControlKind::Hello(Hello::default()));
    peer.check(result, MuxError::UnexpectedMessage { stream: 0 });
}

#[test]
fn a_hello_without_versions_does_not_overlap() {
    let mut peer = Peer::new();
    let result = peer.control(ControlKind::Hello(Hello::default()));
    peer.check(result, MuxError::VersionMismatch { own_min: 1, own_max: 1, peer_min: 0, peer_max: 0 });
}

#[test]
fn bytes_that_are_no_frames_or_messages_end_it() {
    let mut peer = Peer::met();
    let result = peer.mux.handle_bytes(NOW, 7, b"GET / HTTP/1.1\r\n");
    peer.check(result, MuxError::Frame(FrameError::TooLong(u32::from_le_bytes(*b"GET "))));

    let mut peer = Peer::met();
    let result = peer.mux.handle_frame(NOW, 7, Frame::whole(0, 1, &[0xff; 9]));
    peer.check(result, MuxError::MalformedMessage { stream: 0 });

    let mut peer = Peer::met();
    let result = peer.slice(0, 1, false, 9);
    peer.check(result, MuxError::OversizeMessage { stream: 0 });

    let mut peer = Peer::met();
    let result = peer.slice(1, 0, false, 9);
    peer.check(result, MuxError::OversizeMessage { stream: 1 });
}

#[test]
fn gaps_and_repeats_are_seen() {
    for (stream, found) in [(0, 0), (0, 5), (2, 1), (16, 3)] {
        let mut peer = Peer::met();
        let expected = u32::from(stream == 0);
        let result = peer.slice(stream, found, true, 5);
        peer.check(result, MuxError::SequenceGap { stream, expected, found });
    }
}

#[test]
fn more_than_the_credit_is_refused() {
    let frames = u32::try_from(INITIAL_STREAM_CREDIT).unwrap() / 16_384;
    let mut peer = Peer::met();
    for sequence in 0..frames {
        peer.slice(16, sequence, false, MAX_PAYLOAD).unwrap();
    }
    let result = peer.slice(16, frames, true, 1);
    peer.check(result, MuxError::CreditExceeded { stream: 16 });

    let streams = u32::try_from(INITIAL_CONNECTION_CREDIT).unwrap() / 16_384;
    let mut peer = Peer::met();
    for stream in 16..16 + streams {
        peer.slice(stream, 0, true, MAX_PAYLOAD).unwrap();
    }
    let result = peer.slice(100, 0, true, 1);
    peer.check(result, MuxError::CreditExceeded { stream: 0 });
}

#[test]
fn what_a_sender_can_make_a_receiver_hold_is_bounded() {
    let mut peer = Peer::met();
    let unfinished = u32::try_from(MAX_UNFINISHED).unwrap();
    for stream in 16..16 + unfinished {
        peer.slice(stream, 0, false, 1).unwrap();
    }
    let result = peer.slice(200, 0, false, 1);
    peer.check(result, MuxError::TooManyUnfinished { stream: 200 });

    let mut peer = Peer::met();
    let slices = u32::try_from(MAX_MESSAGE / MAX_PAYLOAD).unwrap();
    for sequence in 0..slices {
        peer.slice(3, sequence, false, MAX_PAYLOAD).unwrap();
    }
    let result = peer.slice(3, slices, true, 1);
    peer.check(result, MuxError::OversizeMessage { stream: 3 });

    let mut peer = Peer::met();
    let streams = u32::try_from(MAX_STREAMS).unwrap();
    for stream in 16..16 + streams {
        peer.slice(stream, 0, true, 0).unwrap();
    }
    let result = peer.slice(16 + streams, 0, true, 0);
    peer.check(result, MuxError::TooManyStreams { stream: 16 + streams });

    // Messages that no credit bounds, for an application that doesn't take them.
    let mut peer = Peer::met();
    let result =
        (0..2000).map(|sequence| peer.slice(2, sequence, true, MAX_PAYLOAD)).find(Result::is_err).unwrap();
    peer.check(result, MuxError::QueueFull { stream: 2 });
}

#[test]
fn what_comes_on_a_stream_closed_here_is_dropped_and_still_credited() {
    let mut peer = Peer::met();
    assert!(matches!(peer.mux.poll_event(), Some(MuxEvent::Connected { .. })));
    peer.slice(16, 0, true, 100).unwrap();
    peer.slice(16, 1, false, MAX_PAYLOAD).unwrap();
    peer.mux.close_stream(16);
    for sequence in 2..40 {
        peer.slice(16, sequence, sequence % 3 == 0, MAX_PAYLOAD).unwrap();
        frames(&mut peer.mux);
    }
    // One that begins only after it was closed.
    peer.mux.close_stream(17);
    peer.slice(17, 0, true, 100).unwrap();
    assert_eq!(peer.mux.poll_event(), None);
}

#[test]
fn an_application_that_takes_its_messages_may_get_any_number() {
    let mut peer = Peer::met();
    for sequence in 0..2000 {
        peer.slice(2, sequence, true, MAX_PAYLOAD).unwrap();
        while peer.mux.poll_event().is_some() {}
    }
}

#[test]
fn empty_messages_are_no_events() {
    let mut peer = Peer::met();
    for sequence in 0..100_000 {
        peer.slice(16, sequence, true, 0).unwrap();
        peer.slice(2, sequence, sequence % 2 == 0, 0).unwrap();
    }
    assert!(matches!(peer.mux.poll_event(), Some(MuxEvent::Connected { .. })));
    assert_eq!(peer.mux.poll_event(), None);
}

#[test]
fn a_flood_of_pings_gets_few_answers() {
    let mut peer = Peer::met();
    for id in 0..10_000 {
        peer.control(ControlKind::Ping(Ping { id, wall_us: 3 })).unwrap();
    }
    let answers = frames(&mut peer.mux);
    // The hello and the newest answers.
    assert_eq!(answers.len(), 1 + CONTROL_QUEUE);
    let last = Control::decode(answers.last().unwrap().payload.as_slice()).unwrap();
    assert_eq!(last.kind, Some(ControlKind::Pong(Pong { id: 9_999, ping_wall_us: 3, wall_us: 7 })));
}

#[test]
fn answers_to_nothing_and_credit_for_nothing_are_ignored() {
    let mut peer = Peer::met();
    peer.control(ControlKind::Pong(Pong { id: 9, ping_wall_us: 0, wall_us: u64::MAX })).unwrap();
    for stream in [0, 2, 99] {
        peer.control(ControlKind::Credit(Credit { stream, total_bytes: u64::MAX })).unwrap();
    }
    assert_eq!(peer.mux.peer_clock_offset_us(), None);
    // A clock at the end of its range is no trap.
    peer.mux.handle_timeout(NOW, u64::MAX).unwrap();
    peer.control(ControlKind::Pong(Pong { id: 1, ping_wall_us: 0, wall_us: 0 })).unwrap();
    assert_eq!(peer.mux.peer_clock_offset_us(), Some(i64::MIN));
}

#[test]
fn a_reason_that_is_not_known_here_is_passed_on_in_words() {
    let mut peer = Peer::met();
    peer.control(ControlKind::Close(Close { code: 1999, detail: "moon phase".into() })).unwrap();
    peer.slice(2, 77, true, 5).unwrap();
    assert!(matches!(peer.mux.poll_event(), Some(MuxEvent::Connected { .. })));
    let detail = "OFS-1999: moon phase".to_owned();
    assert_eq!(peer.mux.poll_event(), Some(MuxEvent::Closed { code: ErrorCode::LINK_CLOSED, detail }));
    assert_eq!(peer.mux.poll_event(), None);
    assert_eq!(peer.mux.handle_timeout(NOW.after(Duration::from_secs(60)), 0), Ok(()));
}

#[test]
fn an_absurdly_long_hello_loses_its_texts() {
    let mut long = config("client");
    long.hello.features = vec!["x".repeat(1000); 40];
    let mut mux = Mux::new(NOW, long);
    let hello = Control::decode(frames(&mut mux)[0].payload.as_slice()).unwrap();
    let wanted = Hello { protocol_min: 1, protocol_max: 1, ..Hello::default() };
    assert_eq!(hello.kind, Some(ControlKind::Hello(wanted)));
}
