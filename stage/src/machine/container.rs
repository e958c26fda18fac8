//! Finds the initialization segment at the start of an append: fragmented MP4 and WebM.
//!
//! Only far enough to know where it ends and whether it has sound; what it means is the engine's to say. ISO/IEC 14496-12
//! section 4.2 for boxes, RFC 8794 section 4 for EBML, RFC 9559 for the Matroska ids.

/// What the first bytes of an append are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Init {
    /// More bytes are needed to say.
    Incomplete,
    /// There is no complete initialization segment at the start.
    None,
    /// The first `length` bytes are one.
    Complete { length: usize, sound: bool },
}

const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1F43_B675;
const TRACKS: u32 = 0x1654_AE6B;
const TRACK_ENTRY: u32 = 0xAE;
const TRACK_TYPE: u32 = 0x83;
/// Matroska's number for an audio track.
const TYPE_AUDIO: u8 = 2;

/// Looks at the start of an append.
pub(crate) fn find_init(bytes: &[u8]) -> Init {
    let Some(first) = bytes.first_chunk::<4>() else {
        return Init::Incomplete;
    };
    if u32::from_be_bytes(*first) == EBML {
        return find_webm(bytes);
    }
    match bytes.get(4..8) {
        None => Init::Incomplete,
        Some(b"ftyp" | b"moov") => find_mp4(bytes),
        Some(_) => Init::None,
    }
}

/// One box: its type, where its payload begins, where it ends.
fn next_box(bytes: &[u8], at: usize) -> Option<([u8; 4], usize, u64)> {
    let size = u32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?);
    let kind = *bytes.get(at.checked_add(4)?..)?.first_chunk::<4>()?;
    let start = u64::try_from(at).ok()?;
    match size {
        // To the end of the file: no box of an initialization segment may be so.
        0 => Some((kind, at + 8, u64::MAX)),
        1 => {
            let large = u64::from_be_bytes(*bytes.get(at.checked_add(8)?..)?.first_chunk::<8>()?);
            Some((kind, at + 16, start.saturating_add(large.max(16))))
        }
        _ => Some((kind, at + 8, start.saturating_add(u64::from(size.max(8))))),
    }
}

fn find_mp4(bytes: &[u8]) -> Init {
    let mut at = 0;
    let mut moov = None;
    loop {
        let Some((kind, body, end)) = next_box(bytes, at) else {
            // The data ends here or in a header: good enough when the movie box was complete.
            return moov.map_or(Init::Incomplete, |sound| Init::Complete { length: at, sound });
        };
        if matches!(&kind, b"moof" | b"styp" | b"sidx" | b"emsg" | b"mdat" | b"prft") {
            return moov.map_or(Init::None, |sound| Init::Complete { length: at, sound });
        }
        let end = match usize::try_from(end) {
            Ok(end) if end <= bytes.len() => end,
            _ => return moov.map_or(Init::Incomplete, |sound| Init::Complete { length: at, sound }),
        };
        if &kind == b"moov" {
            moov = Some(has_sound_track(bytes.get(body..end).unwrap_or_default()));
        }
        at = end;
    }
}

/// Whether media of this type begin with an initialization segment. MPEG-2 TS, MP3 and ADTS don't: their byte stream formats
/// <https://www.w3.org/TR/mse-byte-stream-format-registry/> carry all that is needed with the media.
pub(crate) fn has_init_segments(mime: &str) -> bool {
    let container = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    !matches!(container.as_str(), "video/mp2t" | "audio/mp2t" | "audio/mpeg" | "audio/aac")
}

/// Whether a movie box has a track whose handler is `soun`.
fn has_sound_track(moov: &[u8]) -> bool {
    boxes(moov).filter(|(kind, _)| kind == b"trak").any(|(_, trak)| {
        boxes(trak).filter(|(kind, _)| kind == b"mdia").any(|(_, mdia)| {
            boxes(mdia).any(|(kind, hdlr)| &kind == b"hdlr" && hdlr.get(8..12) == Some(b"soun"))
        })
    })
}

/// The boxes inside a box; stops at the first one that does not fit.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let (kind, body, end) = next_box(bytes, at)?;
        let end = usize::try_from(end).ok()?;
        let content = bytes.get(body..end)?;
        at = end;
        Some((kind, content))
    })
}

/// An EBML number: its value without the length marker (ids keep it) and its length. All ones mean "unknown".
fn vint(bytes: &[u8], at: usize, keep_marker: bool) -> Option<(u64, usize)> {
    let first = *bytes.get(at)?;
    let length = usize::try_from(first.leading_zeros()).ok()?.checked_add(1)?;
    if length > 8 {
        return None;
    }
    let raw = bytes.get(at..at.checked_add(length)?)?;
    let value = raw.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    if keep_marker {
        return Some((value, length));
    }
    let mask = (1_u64 << (7 * length)) - 1;
    let value = value & mask;
    Some((if value == mask { u64::MAX } else { value }, length))
}

/// One element: its id, where its payload begins, its size (`u64::MAX` when unknown).
fn next_element(bytes: &[u8], at: usize) -> Option<(u32, usize, u64)> {
    let (id, id_length) = vint(bytes, at, true)?;
    let (size, size_length) = vint(bytes, at + id_length, false)?;
    Some((u32::try_from(id).ok()?, at + id_length + size_length, size))
}

fn find_webm(bytes: &[u8]) -> Init {
    let mut at = 0;
    let mut tracks = None;
    let found = |tracks: Option<bool>, at, otherwise| {
        tracks.map_or(otherwise, |sound| Init::Complete { length: at, sound })
    };
    while at < bytes.len() {
        let Some((id, body, size)) = next_element(bytes, at) else {
            // A number longer than eight bytes is garbage; a cut one only wants more data.
            let garbage = bytes.len() - at > 16;
            return found(tracks, at, if garbage { Init::None } else { Init::Incomplete });
        };
        match id {
            // Its children follow at this level of the loop.
            SEGMENT => {
                at = body;
                continue;
            }
            CLUSTER => return found(tracks, at, Init::None),
            _ => {}
        }
        let end = usize::try_from(size).ok().and_then(|size| body.checked_add(size));
        let Some(end) = end.filter(|end| *end <= bytes.len()) else {
            let endless = size == u64::MAX;
            return found(tracks, at, if endless { Init::None } else { Init::Incomplete });
        };
        if id == TRACKS {
            tracks = Some(has_audio_entry(bytes.get(body..end).unwrap_or_default()));
        }
        at = end;
    }
    found(tracks, at, Init::Incomplete)
}

/// Whether a Tracks element has an entry of the type audio.
fn has_audio_entry(tracks: &[u8]) -> bool {
    elements(tracks).filter(|(id, _)| *id == TRACK_ENTRY).any(|(_, entry)| {
        elements(entry).any(|(id, value)| id == TRACK_TYPE && value.last() == Some(&TYPE_AUDIO))
    })
}

/// The elements inside an element; stops at the first one that does not fit.
fn elements(bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let (id, body, size) = next_element(bytes, at)?;
        let end = body.checked_add(usize::try_from(size).ok()?)?;
        let content = bytes.get(body..end)?;
        at = end;
        Some((id, content))
    })
}

/// Whether a MIME type says that there is sound: by its codecs, else by its top-level type. `None`: it doesn't say.
pub(crate) fn mime_has_audio(mime: &str) -> Option<bool> {
    let lower = mime.to_ascii_lowercase();
    if lower.trim_start().starts_with("audio/") {
        return Some(true);
    }
    let codecs = lower.split_once("codecs").and_then(|(_, rest)| rest.trim_start().strip_prefix('='))?;
    let list = codecs.trim_start().trim_start_matches(['"', '\'']);
    let list = list.split(['"', '\'', ';']).next().unwrap_or_default();
    Some(list.split(',').any(|codec| {
        let name = codec.trim().split('.').next().unwrap_or_default();
        matches!(
            name,
            "mp4a"
                | "opus"
                | "vorbis"
                | "flac"
                | "alac"
                | "mp3"
                | "ac-3"
                | "ec-3"
                | "ac-4"
                | "mhm1"
                | "mha1"
                | "dtsc"
                | "dtse"
                | "dtsx"
                | "iamf"
                | "ipcm"
                | "fpcm"
                | "ulaw"
                | "pcm"
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::{Init, find_init, mime_has_audio};

    fn mp4_box(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 8).unwrap();
        [&size.to_be_bytes(), kind.as_slice(), body].concat()
    }

    fn movie(handler: &[u8; 4]) -> Vec<u8> {
        let hdlr = mp4_box(b"hdlr", &[&[0; 8], handler.as_slice(), &[0; 12]].concat());
        mp4_box(b"moov", &mp4_box(b"trak", &mp4_box(b"mdia", &hdlr)))
    }

    fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
        let size = u8::try_from(body.len()).unwrap() | 0x80;
        [id, &[size], body].concat()
    }

    #[test]
    fn an_mp4_init_ends_before_the_first_fragment() {
        let init = [mp4_box(b"ftyp", b"isom"), movie(b"soun")].concat();
        let whole = [init.clone(), mp4_box(b"moof", &[0; 40])].concat();
        assert_eq!(find_init(&whole), Init::Complete { length: init.len(), sound: true });
        assert_eq!(find_init(&init), Init::Complete { length: init.len(), sound: true });
        for cut in 0..init.len() {
            assert_eq!(find_init(&init[..cut]), Init::Incomplete, "{cut}");
        }
    }

    #[test]
    fn a_silent_mp4_has_no_sound_and_a_fragment_is_no_init() {
        assert!(matches!(find_init(&movie(b"vide")), Init::Complete { sound: false, .. }));
        assert_eq!(find_init(&mp4_box(b"moof", &[0; 9])), Init::None);
        assert_eq!(find_init(&[mp4_box(b"ftyp", b""), mp4_box(b"mdat", b"")].concat()), Init::None);
    }

    #[test]
    fn a_webm_init_ends_before_the_first_cluster() {
        let entry = element(&[0xAE], &element(&[0x83], &[2]));
        let init = [
            element(&[0x1A, 0x45, 0xDF, 0xA3], &[0; 3]),
            vec![0x18, 0x53, 0x80, 0x67, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            element(&[0x16, 0x54, 0xAE, 0x6B], &entry),
        ]
        .concat();
        let whole = [init.clone(), vec![0x1F, 0x43, 0xB6, 0x75, 0xFF, 1, 2]].concat();
        assert_eq!(find_init(&whole), Init::Complete { length: init.len(), sound: true });
        assert_eq!(find_init(&init), Init::Complete { length: init.len(), sound: true });
        for cut in 0..init.len() {
            assert_eq!(find_init(&init[..cut]), Init::Incomplete, "{cut}");
        }
    }

    #[test]
    fn the_mime_type_says_whether_there_is_sound() {
        assert_eq!(mime_has_audio("video/mp4; codecs=\"avc1.64001f, mp4a.40.2\""), Some(true));
        assert_eq!(mime_has_audio("video/webm;codecs=vp9"), Some(false));
        assert_eq!(mime_has_audio("audio/webm"), Some(true));
        assert_eq!(mime_has_audio("video/mp4"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_an_answer_inside_them(
            start in proptest::sample::select(vec![
                vec![], vec![0x1A, 0x45, 0xDF, 0xA3], b"\0\0\0\x08ftyp".to_vec(), b"\0\0\0\x20moov".to_vec(),
            ]),
            rest in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        ) {
            let bytes = [start, rest].concat();
            if let Init::Complete { length, .. } = find_init(&bytes) {
                assert!(length <= bytes.len());
            }
        }
    }
}
