//! What must hold for any input, as plain functions: the tests replay a corpus through them and the
//! fuzz targets are one line each. They panic where something is wrong and do nothing otherwise.

mod link;

use prost::Message;

pub use self::link::mux;

use crate::frame::{FrameReader, HEADER, MAX_PAYLOAD, RawFrame};
use crate::message::{BridgeMessage, Control, FromDevice, FromStage, ToDevice, ToStage};
use crate::ranges::Ranges;

/// Bits of the flags that a frame's fields stand for.
const KNOWN_FLAGS: u8 = 0b111;
/// Where the flags are in a frame.
const FLAGS_AT: usize = 12;

/// Any bytes are frames or an error, the same however they are cut; a frame written again is itself.
pub fn frames(bytes: &[u8]) {
    let (whole, whole_failed) = read(bytes, bytes.len());
    let step = bytes.first().map_or(1, |first| usize::from(*first % 7) + 1);
    let (cut, cut_failed) = read(bytes, step);
    assert_eq!((&whole, whole_failed), (&cut, cut_failed), "the cutting of the bytes changes the frames");
    for raw in &whole {
        let mut wanted = raw.bytes.clone();
        if let Some(flags) = wanted.get_mut(FLAGS_AT) {
            *flags &= KNOWN_FLAGS;
        }
        assert_eq!(raw.as_frame().encode(), wanted, "a frame written again differs");
    }
}

/// All frames of the bytes, given in pieces, and whether the bytes then failed.
fn read(bytes: &[u8], piece: usize) -> (Vec<RawFrame>, bool) {
    let mut reader = FrameReader::new();
    let mut copy = FrameReader::new();
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        reader.push(piece);
        copy.push(piece);
        loop {
            let (raw, owned) = (reader.next_raw(), copy.next());
            match (raw, owned) {
                (Ok(Some(raw)), Ok(Some(owned))) => {
                    assert_eq!(raw.as_frame(), owned.as_frame());
                    frames.push(raw);
                }
                (Ok(None), Ok(None)) => break,
                (raw, owned) => {
                    assert_eq!(raw.err(), owned.err(), "the two ways to read differ");
                    return (frames, true);
                }
            }
        }
        assert!(reader.buffered() < HEADER + MAX_PAYLOAD, "a whole frame is kept back");
    }
    (frames, false)
}

/// Any bytes are a message or an error; a message written and read again is itself.
pub fn messages(bytes: &[u8]) {
    message::<Control>(bytes);
    message::<BridgeMessage>(bytes);
    message::<ToDevice>(bytes);
    message::<FromDevice>(bytes);
    message::<ToStage>(bytes);
    message::<FromStage>(bytes);
}

fn message<M: Message + Default>(bytes: &[u8]) {
    let Ok(message) = M::decode(bytes) else { return };
    let written = message.encode_to_vec();
    assert_eq!(written.len(), message.encoded_len());
    // By bytes, because a float may be NaN.
    let again = M::decode(written.as_slice()).map(|again| again.encode_to_vec());
    assert_eq!(again.as_ref(), Ok(&written), "a message written again differs");
}

/// Any bytes, taken as numbers, small and large, are ranges that obey the laws of sets.
pub fn ranges(bytes: &[u8]) {
    let small: Vec<u64> = bytes.iter().map(|byte| u64::from(*byte)).collect();
    let (left, right) = small.split_at(small.len() / 2);
    ranges_of(left, right);
    let (words, _) = bytes.as_chunks::<8>();
    let large: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let (left, right) = large.split_at(large.len() / 2);
    ranges_of(left, right);
}

/// Ranges of any numbers obey the laws of sets and stay normal.
pub fn ranges_of(a: &[u64], b: &[u64]) {
    let (a, b) = (Ranges::from_flat(a), Ranges::from_flat(b));
    let (both, either, left) = (a.intersect(&b), a.union(&b), a.subtract(&b));
    for ranges in [&a, &b, &both, &either, &left] {
        assert!(ranges.iter().all(|(start, end)| start < end), "an empty range: {ranges:?}");
        let mut pairs = ranges.as_slice().iter().zip(ranges.as_slice().iter().skip(1));
        assert!(pairs.all(|(one, next)| one.1 < next.0), "out of order or touching: {ranges:?}");
    }
    assert_eq!(left.union(&both), a, "a is not what is left of it and what is shared");
    assert!(left.intersect(&b).is_empty(), "something of b is left");
    assert_eq!(either.subtract(&b), left, "the union minus b is not a minus b");
    assert_eq!(u128::from(either.total()), u128::from(left.total()) + u128::from(b.total()));
    assert!(a.iter().all(|(start, end)| either.covers(start, end)));
    let mut sum = b;
    for (start, end) in a.iter() {
        sum.insert(start, end);
    }
    assert_eq!(sum, either, "inserting one by one is not the union");
}
