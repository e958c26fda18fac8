//! Frames: what a link carries.
//!
//! A frame is `u32 length | u32 stream | u32 sequence | u8 flags | payload`, little endian, where
//! `length` counts everything after itself. A message is the concatenation of the payloads of one
//! stream up to a frame that is marked as the last one.

use thiserror::Error;

use crate::error::ErrorCode;

/// Control of the connection ([`crate::message::Control`]).
pub const CONTROL_STREAM: u32 = 0;
/// Between the extension and its bridge ([`crate::message::BridgeMessage`]); never crosses the channel.
pub const BRIDGE_STREAM: u32 = 1;
/// Where the pictures are ([`crate::message::SetGeometry`]).
pub const GEOMETRY_STREAM: u32 = 2;
/// Players: opening, closing, source buffers, playback, duration, end of stream.
pub const PLAYER_STREAM: u32 = 3;
/// From here on, one stream for each source buffer, so that the order of its operations is kept.
pub const FIRST_BUFFER_STREAM: u32 = 16;

/// The most payload that one frame carries.
pub const MAX_PAYLOAD: usize = 16_384;
/// Bytes of a frame before its payload.
pub const HEADER: usize = 13;
/// The largest message that may be put together from frames.
pub const MAX_MESSAGE: usize = 2 * 1024 * 1024;

/// Bytes of the length field itself.
const LENGTH_FIELD: usize = 4;
/// Bytes that the length field counts besides the payload.
const COUNTED_HEADER: usize = HEADER - LENGTH_FIELD;
const PRIORITY_MASK: u8 = 0b11;
const LAST_FLAG: u8 = 0b100;
/// Consumed bytes that a reader keeps before it moves the rest to the front.
const COMPACT_AT: usize = 256 * 1024;

/// In which order waiting frames leave; lower goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    Control,
    Interactive,
    Bulk,
    Background,
}

impl Priority {
    /// The priority that frames of a stream have.
    #[must_use]
    pub fn of_stream(stream: u32) -> Self {
        match stream {
            CONTROL_STREAM | BRIDGE_STREAM => Self::Control,
            GEOMETRY_STREAM..FIRST_BUFFER_STREAM => Self::Interactive,
            FIRST_BUFFER_STREAM.. => Self::Bulk,
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::Control => 0,
            Self::Interactive => 1,
            Self::Bulk => 2,
            Self::Background => 3,
        }
    }

    fn from_bits(bits: u8) -> Self {
        match bits & PRIORITY_MASK {
            0 => Self::Control,
            1 => Self::Interactive,
            2 => Self::Bulk,
            _ => Self::Background,
        }
    }
}

/// A frame whose payload lies elsewhere, for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub stream: u32,
    pub sequence: u32,
    pub priority: Priority,
    /// True on the last slice of a message.
    pub last: bool,
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The one frame of a message that fits into one.
    #[must_use]
    pub fn whole(stream: u32, sequence: u32, payload: &'a [u8]) -> Self {
        Self { stream, sequence, priority: Priority::of_stream(stream), last: true, payload }
    }

    /// Appends the frame's bytes to `out`. Never writes a frame that a reader would refuse: of a payload
    /// above [`MAX_PAYLOAD`] only that much is written, so slice before.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let payload = self.payload.get(..MAX_PAYLOAD).unwrap_or(self.payload);
        // INVARIANT: at most MAX_PAYLOAD + COUNTED_HEADER, which is far below u32::MAX.
        let length = u32::try_from(COUNTED_HEADER + payload.len()).unwrap_or(u32::MAX);
        let flags = self.priority.bits() | if self.last { LAST_FLAG } else { 0 };
        out.reserve(HEADER + payload.len());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&self.stream.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.push(flags);
        out.extend_from_slice(payload);
    }

    /// The frame's bytes alone; see [`Self::encode_into`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }
}

/// A frame with its own payload, as a reader gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedFrame {
    pub stream: u32,
    pub sequence: u32,
    pub priority: Priority,
    pub last: bool,
    pub payload: Vec<u8>,
}

impl OwnedFrame {
    /// The same frame for writing or for [`crate::Mux::handle_frame`].
    #[must_use]
    pub fn as_frame(&self) -> Frame<'_> {
        Frame {
            stream: self.stream,
            sequence: self.sequence,
            priority: self.priority,
            last: self.last,
            payload: &self.payload,
        }
    }
}

/// A frame with all its bytes as they came, for passing it on unchanged (unknown flags included).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    pub stream: u32,
    pub sequence: u32,
    pub priority: Priority,
    pub last: bool,
    /// Header and payload.
    pub bytes: Vec<u8>,
}

impl RawFrame {
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or(&[])
    }

    /// The same frame for [`crate::Mux::handle_frame`].
    #[must_use]
    pub fn as_frame(&self) -> Frame<'_> {
        Frame {
            stream: self.stream,
            sequence: self.sequence,
            priority: self.priority,
            last: self.last,
            payload: self.payload(),
        }
    }
}

/// Why bytes are not frames. There is no way to find the next frame after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    #[error("frame of {0} counted bytes is shorter than its header")]
    TooShort(u32),
    #[error("frame of {0} counted bytes is longer than allowed")]
    TooLong(u32),
}

impl FrameError {
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TooShort(_) => ErrorCode::MALFORMED_FRAME,
            Self::TooLong(_) => ErrorCode::OVERSIZE_FRAME,
        }
    }
}

/// Cuts a byte stream into frames, however the bytes arrive.
///
/// Holds what was pushed and not yet taken; a caller that takes frames until `None` after each push
/// leaves at most one unfinished frame in it. After an error every further call gives the same error.
#[derive(Clone, Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    /// Bytes at the front of `buffer` that have been taken.
    taken: usize,
    failed: Option<FrameError>,
}

/// Where the next frame ends and what its header says.
#[derive(Clone, Copy, Debug)]
struct Head {
    size: usize,
    stream: u32,
    sequence: u32,
    flags: u8,
}

impl FrameReader {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes that came from the link. Ignored after an error.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if self.taken >= self.buffer.len() {
            self.buffer.clear();
            self.taken = 0;
        } else if self.taken >= COMPACT_AT {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, `None` while it is incomplete.
    ///
    /// # Errors
    /// If the bytes can't be a frame.
    #[expect(clippy::should_implement_trait, reason = "fallible, and more bytes may follow a None")]
    pub fn next(&mut self) -> Result<Option<OwnedFrame>, FrameError> {
        Ok(self.take()?.map(|(head, bytes)| OwnedFrame {
            stream: head.stream,
            sequence: head.sequence,
            priority: Priority::from_bits(head.flags),
            last: head.flags & LAST_FLAG != 0,
            payload: bytes.get(HEADER..).unwrap_or(&[]).to_vec(),
        }))
    }

    /// The next whole frame with all its bytes, for passing it on.
    ///
    /// # Errors
    /// If the bytes can't be a frame.
    pub fn next_raw(&mut self) -> Result<Option<RawFrame>, FrameError> {
        Ok(self.take()?.map(|(head, bytes)| RawFrame {
            stream: head.stream,
            sequence: head.sequence,
            priority: Priority::from_bits(head.flags),
            last: head.flags & LAST_FLAG != 0,
            bytes: bytes.to_vec(),
        }))
    }

    /// Bytes that wait for the rest of their frame.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.taken
    }

    fn take(&mut self) -> Result<Option<(Head, &[u8])>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let rest = self.buffer.get(self.taken..).unwrap_or(&[]);
        let head = match parse_head(rest) {
            Ok(Some(head)) if head.size <= rest.len() => head,
            Ok(_) => return Ok(None),
            Err(error) => {
                self.failed = Some(error);
                self.buffer = Vec::new();
                self.taken = 0;
                return Err(error);
            }
        };
        let start = self.taken;
        self.taken += head.size;
        Ok(self.buffer.get(start..self.taken).map(|bytes| (head, bytes)))
    }
}

/// Reads the header as soon as it is there; refuses a bad length before the rest has come.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, FrameError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length);
    let counted = usize::try_from(length).unwrap_or(usize::MAX);
    if counted < COUNTED_HEADER {
        return Err(FrameError::TooShort(length));
    }
    if counted > COUNTED_HEADER + MAX_PAYLOAD {
        return Err(FrameError::TooLong(length));
    }
    let Some((stream, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let Some((sequence, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let Some(flags) = rest.first() else { return Ok(None) };
    Ok(Some(Head {
        size: LENGTH_FIELD + counted,
        stream: u32::from_le_bytes(*stream),
        sequence: u32::from_le_bytes(*sequence),
        flags: *flags,
    }))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    fn read_all(reader: &mut FrameReader) -> Vec<OwnedFrame> {
        let mut frames = Vec::new();
        while let Some(frame) = reader.next().unwrap() {
            frames.push(frame);
        }
        frames
    }

    #[test]
    fn header_is_little_endian_in_the_documented_order() {
        let frame = Frame {
            stream: 0x0403_0201,
            sequence: 0x0807_0605,
            priority: Priority::Bulk,
            last: true,
            payload: b"hi",
        };
        expect![[r#"
            [
                11,
                0,
                0,
                0,
                1,
                2,
                3,
                4,
                5,
                6,
                7,
                8,
                6,
                104,
                105,
            ]
        "#]]
        .assert_debug_eq(&frame.encode());
    }

    #[test]
    fn a_bad_length_is_refused_at_once_and_for_good() {
        for (length, wanted) in [
            (8_u32, FrameError::TooShort(8)),
            (0, FrameError::TooShort(0)),
            (16_394, FrameError::TooLong(16_394)),
            (u32::MAX, FrameError::TooLong(u32::MAX)),
        ] {
            let mut reader = FrameReader::new();
            reader.push(&length.to_le_bytes());
            assert_eq!(reader.next(), Err(wanted));
            reader.push(&Frame::whole(2, 0, b"later").encode());
            assert_eq!(reader.next_raw(), Err(wanted));
            assert_eq!(reader.buffered(), 0);
        }
    }

    #[test]
    fn the_largest_and_the_empty_payload_pass() {
        let full = vec![7; MAX_PAYLOAD];
        let mut reader = FrameReader::new();
        reader.push(&Frame::whole(16, 0, &full).encode());
        reader.push(&Frame::whole(16, 1, &[]).encode());
        let frames = read_all(&mut reader);
        assert_eq!(frames.iter().map(|frame| frame.payload.len()).collect::<Vec<_>>(), [MAX_PAYLOAD, 0]);
    }

    #[test]
    fn a_raw_frame_keeps_flags_that_are_not_known_here() {
        let mut bytes = Frame::whole(16, 9, b"x").encode();
        bytes[12] |= 0b1111_1000;
        let mut reader = FrameReader::new();
        reader.push(&bytes);
        let raw = reader.next_raw().unwrap().unwrap();
        assert_eq!(raw.bytes, bytes);
        assert_eq!(raw.as_frame(), Frame::whole(16, 9, b"x"));
    }

    #[test]
    fn priority_follows_from_the_stream() {
        let of = Priority::of_stream;
        assert_eq!(
            [of(0), of(1), of(2), of(3), of(15), of(16), of(u32::MAX)],
            [
                Priority::Control,
                Priority::Control,
                Priority::Interactive,
                Priority::Interactive,
                Priority::Interactive,
                Priority::Bulk,
                Priority::Bulk
            ]
        );
    }

    proptest! {
        #[test]
        fn frames_come_back_however_the_bytes_are_cut(
            frames in proptest::collection::vec(
                (any::<u32>(), any::<u32>(), 0_u8..8, proptest::collection::vec(any::<u8>(), 0..300)), 0..20),
            cuts in proptest::collection::vec(1_usize..700, 1..20),
        ) {
            let frames: Vec<OwnedFrame> = frames
                .into_iter()
                .map(|(stream, sequence, flags, payload)| OwnedFrame {
                    stream, sequence, priority: Priority::from_bits(flags), last: flags & LAST_FLAG != 0, payload,
                })
                .collect();
            let mut bytes = Vec::new();
            for frame in &frames {
                frame.as_frame().encode_into(&mut bytes);
            }
            let mut reader = FrameReader::new();
            let mut seen = Vec::new();
            let mut rest = bytes.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                reader.push(now);
                seen.extend(read_all(&mut reader));
                rest = later;
            }
            prop_assert_eq!(seen, frames);
            prop_assert_eq!(reader.buffered(), 0);
        }
    }
}
