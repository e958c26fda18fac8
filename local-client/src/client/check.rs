//! What a message from a session must be like before it goes anywhere.

use offstage_protocol::ErrorCode;
use offstage_protocol::frame::FIRST_BUFFER_STREAM;
use offstage_protocol::frame::GEOMETRY_STREAM;
use offstage_protocol::frame::PLAYER_STREAM;
use offstage_protocol::message::ToDeviceKind;

use super::fetches::MAX_FETCH;

/// Longest MIME type; real ones stay below 200 bytes.
const MAX_MIME: usize = 1024;
/// Longest address that is fetched from, and longest origin.
const MAX_ADDRESS: usize = 16 * 1024;
const MAX_REFERER: usize = 512;
/// Longest arguments of a request, of a name in one, and most tracks of a player.
const MAX_ARGUMENTS: usize = 512 * 1024;
const MAX_WORD: usize = 256;
const MAX_TRACKS: usize = 64;
/// Longest extension of a file's name.
const MAX_EXTENSION: usize = 8;
/// The number under which a player's file has its ranges and its stream.
pub(crate) const FILE_BUFFER: u32 = 1;

/// The player that a message is about, if it is about one.
pub(crate) fn player_of(kind: &mut ToDeviceKind) -> Option<&mut u32> {
    Some(match kind {
        ToDeviceKind::LogControl(_)
        | ToDeviceKind::OpenCall(_)
        | ToDeviceKind::CloseCall(_)
        | ToDeviceKind::CallRequest(_) => return None,
        ToDeviceKind::PlayTracks(message) => &mut message.player,
        ToDeviceKind::OpenPlayer(message) => &mut message.player,
        ToDeviceKind::ClosePlayer(message) => &mut message.player,
        ToDeviceKind::AddSourceBuffer(message) => &mut message.player,
        ToDeviceKind::RemoveSourceBuffer(message) => &mut message.player,
        ToDeviceKind::Append(message) => &mut message.player,
        ToDeviceKind::Remove(message) => &mut message.player,
        ToDeviceKind::Abort(message) => &mut message.player,
        ToDeviceKind::ChangeType(message) => &mut message.player,
        ToDeviceKind::SetDuration(message) => &mut message.player,
        ToDeviceKind::EndOfStream(message) => &mut message.player,
        ToDeviceKind::SetPlayback(message) => &mut message.player,
        ToDeviceKind::SetGeometry(message) => &mut message.player,
        ToDeviceKind::WatchFrames(message) => &mut message.player,
        ToDeviceKind::OpenFile(message) => &mut message.player,
        ToDeviceKind::FetchedRange(message) => &mut message.player,
    })
}

/// An operation on a source buffer: which buffer, which operation, whether it is to be answered.
pub(crate) fn operation(kind: &ToDeviceKind) -> Option<(u32, u32, bool)> {
    match kind {
        ToDeviceKind::Append(message) => Some((message.buffer, message.op, message.last)),
        ToDeviceKind::Remove(message) => Some((message.buffer, message.op, true)),
        ToDeviceKind::Abort(message) => Some((message.buffer, message.op, true)),
        ToDeviceKind::ChangeType(message) => Some((message.buffer, message.op, true)),
        // A file's bytes have a stream of their own as well.
        ToDeviceKind::FetchedRange(message) => Some((FILE_BUFFER, message.request, false)),
        ToDeviceKind::OpenPlayer(_)
        | ToDeviceKind::OpenFile(_)
        | ToDeviceKind::ClosePlayer(_)
        | ToDeviceKind::AddSourceBuffer(_)
        | ToDeviceKind::RemoveSourceBuffer(_)
        | ToDeviceKind::SetDuration(_)
        | ToDeviceKind::EndOfStream(_)
        | ToDeviceKind::SetPlayback(_)
        | ToDeviceKind::SetGeometry(_)
        | ToDeviceKind::LogControl(_)
        | ToDeviceKind::OpenCall(_)
        | ToDeviceKind::CloseCall(_)
        | ToDeviceKind::CallRequest(_)
        | ToDeviceKind::PlayTracks(_)
        | ToDeviceKind::WatchFrames(_) => None,
    }
}

/// Whether the message makes sense where it came; a session whose messages don't is closed.
pub(crate) fn check(stream: u32, kind: &ToDeviceKind) -> Result<(), ErrorCode> {
    // The table of streams in PROTOCOL.md; above all, media must not get around the credit.
    let (in_place, sensible) = match kind {
        ToDeviceKind::Append(message) => {
            let sensible = message.settings.is_none_or(|settings| {
                settings.timestamp_offset.is_none_or(f64::is_finite)
                    && settings.append_window_start.is_finite()
                    && settings.append_window_end.is_none_or(|end| !end.is_nan())
            });
            (stream >= FIRST_BUFFER_STREAM, sensible)
        }
        ToDeviceKind::Remove(message) => {
            let sensible = message.start.is_finite() && message.end.is_none_or(|end| !end.is_nan());
            (stream >= FIRST_BUFFER_STREAM, sensible)
        }
        ToDeviceKind::ChangeType(message) => (stream >= FIRST_BUFFER_STREAM, message.mime.len() <= MAX_MIME),
        ToDeviceKind::Abort(_) => (stream >= FIRST_BUFFER_STREAM, true),
        ToDeviceKind::SetGeometry(_) => (stream == GEOMETRY_STREAM, true),
        ToDeviceKind::AddSourceBuffer(message) => (stream == PLAYER_STREAM, message.mime.len() <= MAX_MIME),
        ToDeviceKind::SetDuration(message) => {
            (stream == PLAYER_STREAM, message.seconds.is_none_or(|seconds| !seconds.is_nan()))
        }
        ToDeviceKind::SetPlayback(message) => {
            let sensible = message.rate.is_finite()
                && (0.0..=1.0).contains(&message.volume)
                && message.seek_to.is_finite();
            (stream == PLAYER_STREAM, sensible)
        }
        ToDeviceKind::OpenFile(message) => {
            let letters = message.extension.bytes().all(|letter| letter.is_ascii_alphanumeric());
            (stream == PLAYER_STREAM, letters && message.extension.len() <= MAX_EXTENSION)
        }
        ToDeviceKind::FetchedRange(message) => {
            let sensible = message.data.len() as u64 <= MAX_FETCH
                && message.mime.len() <= MAX_MIME
                && message.location.len() <= MAX_ADDRESS
                && message.referer.len() <= MAX_REFERER;
            (stream >= FIRST_BUFFER_STREAM, sensible)
        }
        ToDeviceKind::CallRequest(message) => {
            let sensible = message.arguments.len() <= MAX_ARGUMENTS
                && message.verb.len() <= MAX_WORD
                && message.transceiver.len() <= MAX_WORD;
            let bulk = stream >= FIRST_BUFFER_STREAM;
            (if message.data.is_empty() { bulk || stream == PLAYER_STREAM } else { bulk }, sensible)
        }
        ToDeviceKind::PlayTracks(message) => {
            let short = message.tracks.iter().all(|track| track.transceiver.len() <= MAX_WORD);
            let sensible = short && message.tracks.len() <= MAX_TRACKS && message.sink.len() <= MAX_WORD;
            (stream == PLAYER_STREAM, sensible)
        }
        ToDeviceKind::OpenPlayer(_)
        | ToDeviceKind::OpenCall(_)
        | ToDeviceKind::CloseCall(_)
        | ToDeviceKind::ClosePlayer(_)
        | ToDeviceKind::RemoveSourceBuffer(_)
        | ToDeviceKind::EndOfStream(_)
        | ToDeviceKind::LogControl(_)
        | ToDeviceKind::WatchFrames(_) => (stream == PLAYER_STREAM, true),
    };
    match (in_place, sensible) {
        (true, true) => Ok(()),
        (true, false) => Err(ErrorCode::MALFORMED_MESSAGE),
        (false, _) => Err(ErrorCode::UNEXPECTED_MESSAGE),
    }
}

#[cfg(test)]
mod tests {
    use offstage_protocol::message::Append;
    use offstage_protocol::message::SetPlayback;

    use super::*;

    #[test]
    fn media_comes_on_bulk_streams_only() {
        let append = ToDeviceKind::Append(Append::default());
        assert_eq!(check(FIRST_BUFFER_STREAM, &append), Ok(()));
        assert_eq!(check(3, &append), Err(ErrorCode::UNEXPECTED_MESSAGE));
    }

    #[test]
    fn numbers_are_numbers() {
        let playback = SetPlayback { rate: 1.0, volume: 0.5, ..SetPlayback::default() };
        assert_eq!(check(3, &ToDeviceKind::SetPlayback(playback)), Ok(()));
        for wrong in [
            SetPlayback { rate: f64::NAN, ..playback },
            SetPlayback { volume: 2.0, ..playback },
            SetPlayback { seek_to: f64::INFINITY, ..playback },
        ] {
            let kind = ToDeviceKind::SetPlayback(wrong);
            assert_eq!(check(3, &kind), Err(ErrorCode::MALFORMED_MESSAGE));
        }
    }
}
