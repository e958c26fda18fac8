//! Native messaging as the browser speaks it: a length of 4 bytes in the machine's byte order, then JSON.
//!
//! The JSON is `{"f": "<base64>"}` in both directions, `f` being one or more whole frames. Unknown fields are ignored.
//! The limits are the browser's own: <https://developer.chrome.com/docs/extensions/develop/concepts/native-messaging>.

use std::borrow::Cow;
use std::io;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use offstage_protocol::error::ErrorCode;
use serde::Deserialize;

/// The longest JSON that a browser may send: 64 MiB.
pub const MAX_INBOUND: usize = 64 << 20;

/// The longest JSON that a browser takes: 1 MiB. A host that sends more is ended.
pub const MAX_OUTBOUND: usize = 1 << 20;

/// The most frame bytes that one JSON toward the browser holds; base64 makes 683 KiB of them.
pub const MAX_BATCH: usize = 512 << 10;

const PREFIX: &[u8] = br#"{"f":""#;
const SUFFIX: &[u8] = br#""}"#;

/// Why what came from the browser can't be understood. The byte stream has no way back to a message's start, so each of
/// them ends the conversation.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    #[error("message of {length} bytes, {MAX_INBOUND} are allowed")]
    TooLong { length: usize },
    #[error("input ended after {received} of {expected} bytes")]
    Truncated { received: usize, expected: usize },
    #[error("message is not the expected JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("field f is not base64: {0}")]
    NotBase64(base64::DecodeError),
    #[error("standard input failed: {0}")]
    Read(io::Error),
}

impl NativeError {
    /// The code that people and the extension see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TooLong { .. } => ErrorCode::NATIVE_MESSAGE_TOO_LARGE,
            Self::Truncated { .. } | Self::NotJson(_) | Self::NotBase64(_) | Self::Read(_) => {
                ErrorCode::NATIVE_MESSAGING_BROKEN
            }
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    f: Cow<'a, str>,
}

/// Reads one message's JSON into `json`, whose old content is dropped; false when the input ended between two messages.
///
/// Memory grows with the bytes that really come, not with the length that is promised.
///
/// # Errors
/// [`NativeError`] for a length over the limit, an input that ends inside a message, and a failing read.
pub fn read_message(input: &mut impl Read, json: &mut Vec<u8>) -> Result<bool, NativeError> {
    json.clear();
    read_up_to(input, 4, json)?;
    let length = match <[u8; 4]>::try_from(json.as_slice()) {
        Ok(length) => usize::try_from(u32::from_ne_bytes(length)).unwrap_or(usize::MAX),
        Err(_) if json.is_empty() => return Ok(false),
        Err(_) => return Err(NativeError::Truncated { received: json.len(), expected: 4 }),
    };
    if length > MAX_INBOUND {
        return Err(NativeError::TooLong { length });
    }
    json.clear();
    read_up_to(input, length, json)?;
    if json.len() < length {
        return Err(NativeError::Truncated { received: json.len(), expected: length });
    }
    Ok(true)
}

fn read_up_to(input: &mut impl Read, length: usize, out: &mut Vec<u8>) -> Result<(), NativeError> {
    let limit = u64::try_from(length).unwrap_or(u64::MAX);
    input.by_ref().take(limit).read_to_end(out).map_err(NativeError::Read)?;
    Ok(())
}

/// The frame bytes in one message's JSON.
///
/// # Errors
/// [`NativeError::NotJson`] and [`NativeError::NotBase64`].
pub fn decode(json: &[u8]) -> Result<Vec<u8>, NativeError> {
    let envelope: Envelope<'_> = serde_json::from_slice(json).map_err(NativeError::NotJson)?;
    STANDARD.decode(envelope.f.as_bytes()).map_err(NativeError::NotBase64)
}

/// Makes one whole message, length included, out of at most [`MAX_BATCH`] frame bytes. `out`'s old content is dropped.
pub fn encode(frames: &[u8], out: &mut Vec<u8>) {
    debug_assert!(frames.len() <= MAX_BATCH, "a batch of {} bytes", frames.len());
    out.clear();
    let body = frames.len().div_ceil(3) * 4;
    let length = PREFIX.len() + body + SUFFIX.len();
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    out.extend_from_slice(PREFIX);
    let start = out.len();
    out.resize(start + body, 0);
    // The space is exact, so the encoder cannot refuse it.
    let written = STANDARD.encode_slice(frames, &mut out[start..]).unwrap_or(0);
    debug_assert_eq!(written, body);
    out.extend_from_slice(SUFFIX);
}

#[cfg(test)]
mod tests {
    use expect_test::Expect;
    use expect_test::expect;
    use proptest::prelude::any;
    use proptest::proptest;

    use super::*;

    fn framed(json: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(json.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend_from_slice(json);
        bytes
    }

    fn check(input: &[u8], expected: Expect) {
        let mut input = input;
        let mut json = Vec::new();
        let said = match read_message(&mut input, &mut json) {
            Ok(false) => "end".to_owned(),
            Ok(true) => match decode(&json) {
                Ok(frames) => format!("{frames:?}"),
                Err(error) => format!("{}: {error}", error.code()),
            },
            Err(error) => format!("{}: {error}", error.code()),
        };
        expected.assert_eq(&said);
    }

    #[test]
    fn a_message_gives_its_frames() {
        check(&framed(br#"{"f":"AQID"}"#), expect!["[1, 2, 3]"]);
        check(&framed(br#" { "later": [1], "f" : "\u0041QID" } "#), expect!["[1, 2, 3]"]);
        check(&framed(br#"{"f":""}"#), expect!["[]"]);
    }

    #[test]
    fn the_input_may_end_between_messages_only() {
        check(b"", expect!["end"]);
        check(&[1, 0], expect!["OFS-1102: input ended after 2 of 4 bytes"]);
        check(&framed(b"{}")[..5], expect!["OFS-1102: input ended after 1 of 2 bytes"]);
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_anything_is_read() {
        let length = u32::try_from(MAX_INBOUND + 1).unwrap().to_ne_bytes();
        check(&length, expect!["OFS-1103: message of 67108865 bytes, 67108864 are allowed"]);
        check(&[0xff; 4], expect!["OFS-1103: message of 4294967295 bytes, 67108864 are allowed"]);
    }

    #[test]
    fn anything_else_is_malformed() {
        check(
            &framed(b""),
            expect![
                "OFS-1102: message is not the expected JSON: EOF while parsing a value at line 1 column 0"
            ],
        );
        check(
            &framed(b"{}"),
            expect!["OFS-1102: message is not the expected JSON: missing field `f` at line 1 column 2"],
        );
        check(
            &framed(b"[]"),
            expect![
                "OFS-1102: message is not the expected JSON: invalid length 0, expected struct Envelope with 1 element at line 1 column 2"
            ],
        );
        check(
            &framed(br#"{"f":1}"#),
            expect![
                "OFS-1102: message is not the expected JSON: invalid type: integer `1`, expected a string at line 1 column 6"
            ],
        );
        check(&framed(br#"{"f":"A"}"#), expect!["OFS-1102: field f is not base64: Invalid input length: 1"]);
        check(
            &framed(br#"{"f":"AQ_D"}"#),
            expect!["OFS-1102: field f is not base64: Invalid symbol 95, offset 2."],
        );
        check(
            &framed(b"\xff\xfe"),
            expect!["OFS-1102: message is not the expected JSON: expected value at line 1 column 1"],
        );
    }

    #[test]
    fn a_full_batch_stays_below_the_browsers_limit() {
        let mut out = Vec::new();
        encode(&vec![0xa5; MAX_BATCH], &mut out);
        assert!(out.len() - 4 <= MAX_OUTBOUND);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(frames: Vec<u8>) {
            let mut out = Vec::new();
            encode(&frames, &mut out);
            let mut json = Vec::new();
            assert!(read_message(&mut out.as_slice(), &mut json).unwrap());
            assert_eq!(decode(&json).unwrap(), frames);
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut json = Vec::new();
            if read_message(&mut bytes.as_slice(), &mut json).is_ok() {
                drop(decode(&json));
            }
            drop(decode(&bytes));
        }
    }
}
