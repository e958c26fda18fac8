//! The dynamic virtual channel of a Windows session, by the remote desktop's own service (WTS).
//!
//! Windows puts a header before each piece of a message that comes from the device:
//! <https://learn.microsoft.com/windows/win32/api/pchannel/ns-pchannel-channel_pdu_header>. [`Pieces`] takes it off, so that this channel
//! is a stream of bytes like the others; where a message begins and ends means nothing here. What is written has no header.

#[cfg(windows)]
mod windows;

#[cfg(windows)]
pub use self::windows::WtsChannel;

/// A header: the whole message's length and the piece's flags, 32 bits each, the lowest first.
pub const HEADER: usize = 8;
/// Most bytes of a piece, without the header.
pub const PIECE: usize = 1600;

/// Flags of a piece.
const FIRST: u32 = 1;
const LAST: u32 = 2;
/// Asked for by nobody here, and not to be understood without being asked for.
const COMPRESSED: u32 = 0x0020_0000;

/// What can't be the channel's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("a piece of {0} bytes has no whole header")]
    Short(usize),
    #[error("a piece is compressed (flags {0:#x})")]
    Compressed(u32),
    #[error("a piece doesn't begin a message, and none has begun (flags {0:#x})")]
    NoBeginning(u32),
    #[error("a message begins while {missing} bytes of the one before are missing")]
    Cut { missing: u32 },
    #[error("a piece belongs to a message of {found} bytes, not of {expected}")]
    OtherLength { expected: u32, found: u32 },
    #[error("{piece} bytes came for a message that lacks {missing}")]
    TooLong { missing: u32, piece: usize },
    #[error("a message ends while {missing} bytes of it are missing")]
    TooShort { missing: u32 },
}

/// Takes the headers off, piece by piece, and makes sure that nothing was lost between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    message: Option<Message>,
}

/// A message that has begun and not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message {
    length: u32,
    missing: u32,
}

impl Pieces {
    /// What one read has brought, without its header.
    ///
    /// # Errors
    /// If it can't be a piece that follows what came before. Nothing can be read of the channel any more then.
    pub fn payload<'a>(&mut self, read: &'a [u8]) -> Result<&'a [u8], HeaderError> {
        let (Some((length, rest)), whole) = (read.split_first_chunk::<4>(), read.len()) else {
            return Err(HeaderError::Short(read.len()));
        };
        let Some((flags, payload)) = rest.split_first_chunk::<4>() else {
            return Err(HeaderError::Short(whole));
        };
        let (length, flags) = (u32::from_le_bytes(*length), u32::from_le_bytes(*flags));
        if flags & COMPRESSED != 0 {
            return Err(HeaderError::Compressed(flags));
        }
        let Message { length: expected, missing } = match self.message {
            Some(Message { missing, .. }) if flags & FIRST != 0 => return Err(HeaderError::Cut { missing }),
            Some(message) => message,
            None if flags & FIRST == 0 => return Err(HeaderError::NoBeginning(flags)),
            None => Message { length, missing: length },
        };
        if length != expected {
            return Err(HeaderError::OtherLength { expected, found: length });
        }
        let too_long = HeaderError::TooLong { missing, piece: payload.len() };
        let piece = u32::try_from(payload.len()).map_err(|_| too_long)?;
        let missing = missing.checked_sub(piece).ok_or(too_long)?;
        let ends = flags & LAST != 0;
        if ends && missing != 0 {
            return Err(HeaderError::TooShort { missing });
        }
        self.message = (!ends).then_some(Message { length, missing });
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::*;

    fn piece(length: u32, flags: u32, payload: &[u8]) -> Vec<u8> {
        [&length.to_le_bytes()[..], &flags.to_le_bytes(), payload].concat()
    }

    fn all(reads: &[Vec<u8>]) -> Result<Vec<u8>, HeaderError> {
        let mut pieces = Pieces::default();
        let mut bytes = Vec::new();
        for read in reads {
            bytes.extend_from_slice(pieces.payload(read)?);
        }
        Ok(bytes)
    }

    #[test]
    fn headers_are_taken_off() {
        let reads = [
            piece(3, FIRST | LAST, b"one"),
            piece(5, FIRST, b"tw"),
            piece(5, 0, b"o"),
            piece(5, LAST, b"s!"),
            piece(0, FIRST | LAST, b""),
            // Shown to the program because it asked to see flags; nothing else.
            piece(1, FIRST | LAST | 0x10, b"."),
        ];
        assert_eq!(all(&reads).unwrap(), b"onetwos!.");
    }

    #[test]
    fn what_is_no_piece_is_named() {
        let check = |reads: &[Vec<u8>], error| assert_eq!(all(reads), Err(error));
        check(&[vec![]], HeaderError::Short(0));
        check(&[vec![1, 0, 0, 0, 3, 0, 0]], HeaderError::Short(7));
        check(&[piece(1, FIRST | LAST | COMPRESSED, b"x")], HeaderError::Compressed(0x20_0003));
        check(&[piece(1, LAST, b"x")], HeaderError::NoBeginning(LAST));
        check(&[piece(1, FIRST | LAST, b"x"), piece(1, 0, b"x")], HeaderError::NoBeginning(0));
        check(&[piece(3, FIRST, b"x"), piece(3, FIRST, b"x")], HeaderError::Cut { missing: 2 });
        check(
            &[piece(3, FIRST, b"x"), piece(4, 0, b"x")],
            HeaderError::OtherLength { expected: 3, found: 4 },
        );
        check(&[piece(1, FIRST, b"xy")], HeaderError::TooLong { missing: 1, piece: 2 });
        check(&[piece(9, FIRST | LAST, b"xy")], HeaderError::TooShort { missing: 7 });
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(reads in vec(vec(any::<u8>(), 0..40), 0..8)) {
            all(&reads).ok();
        }

        #[test]
        fn messages_in_pieces_of_any_size_are_the_same_bytes(messages in vec(vec(any::<u8>(), 1..200), 0..6), size in 1_usize..50) {
            let mut reads = Vec::new();
            for message in &messages {
                let length = u32::try_from(message.len()).unwrap();
                let last = message.len().div_ceil(size) - 1;
                for (at, part) in message.chunks(size).enumerate() {
                    let flags = if at == 0 { FIRST } else { 0 } | if at == last { LAST } else { 0 };
                    reads.push(piece(length, flags, part));
                }
            }
            prop_assert_eq!(all(&reads), Ok(messages.concat()));
        }
    }
}
