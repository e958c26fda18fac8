//! Where the segments of a clip lie: an initialisation segment, then media segments that each begin with a key frame.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// The clips, in the order of the index, and the type that a page gives to `addSourceBuffer`.
const CLIPS: [(&str, &str); 6] = [
    ("h264-aac.mp4", "video/mp4; codecs=\"avc1.4d401e,mp4a.40.2\""),
    ("h264.mp4", "video/mp4; codecs=\"avc1.4d401e\""),
    ("aac.mp4", "audio/mp4; codecs=\"mp4a.40.2\""),
    ("vp9-opus.webm", "video/webm; codecs=\"vp9,opus\""),
    ("vp9.webm", "video/webm; codecs=\"vp9\""),
    ("opus.webm", "audio/webm; codecs=\"opus\""),
];

/// A segment: its first byte, the byte after its last, and the time of its first frame in microseconds.
#[derive(Debug, PartialEq)]
struct Segment {
    start: usize,
    end: usize,
    time_us: u64,
}

/// Writes `index.json` for the clips that `folder` holds.
pub(super) fn write(folder: &Path) -> Result<()> {
    let mut index = serde_json::Map::new();
    for (name, mime) in CLIPS {
        let Ok(bytes) = std::fs::read(folder.join(name)) else { continue };
        index.insert(name.to_owned(), describe(&bytes, name, mime).with_context(|| name.to_owned())?);
    }
    if index.is_empty() {
        bail!("no clip in {}", folder.display());
    }
    std::fs::write(folder.join("index.json"), serde_json::to_string_pretty(&Value::Object(index))? + "\n")?;
    Ok(())
}

fn describe(bytes: &[u8], name: &str, mime: &str) -> Result<Value> {
    let segments = if name.ends_with(".mp4") { mp4(bytes) } else { webm(bytes) };
    let segments = segments.context("cannot find the segments")?;
    let first = segments.first().context("no segments")?;
    let rows: Vec<Value> =
        segments.iter().map(|s| json!({ "start": s.start, "end": s.end, "time_us": s.time_us })).collect();
    Ok(
        json!({ "mime": mime, "bytes": bytes.len(), "init": { "start": 0, "end": first.start }, "segments": rows }),
    )
}

/// Movie fragments (`moof` and what follows it up to the next); ISO/IEC 14496-12. The time is the first track's.
fn mp4(bytes: &[u8]) -> Option<Vec<Segment>> {
    let timescale = find(bytes, &[b"moov", b"trak", b"mdia", b"mdhd"])?;
    // Version 1 has times of 64 bits before the timescale, version 0 of 32 bits.
    let timescale = big_endian(timescale, if timescale.first()? & 1 == 1 { 20 } else { 12 }, 4)?;
    let mut segments: Vec<Segment> = Vec::new();
    for (kind, start, content) in boxes(bytes)? {
        if kind == *b"moof" {
            let decode_time = find(content, &[b"traf", b"tfdt"])?;
            let ticks = big_endian(decode_time, 4, if decode_time.first()? & 1 == 1 { 8 } else { 4 })?;
            if let Some(last) = segments.last_mut() {
                last.end = start;
            }
            segments.push(Segment { start, end: bytes.len(), time_us: microseconds(ticks, timescale) });
        } else if kind == *b"mfra"
            && let Some(last) = segments.last_mut()
        {
            last.end = start;
        }
    }
    Some(segments)
}

/// A box of an MP4 file: type, position, content.
type MediaBox<'a> = ([u8; 4], usize, &'a [u8]);

/// The boxes side by side in `bytes`.
fn boxes(bytes: &[u8]) -> Option<Vec<MediaBox<'_>>> {
    let mut found = Vec::new();
    let mut position = 0;
    while position < bytes.len() {
        let size = usize::try_from(big_endian(bytes, position, 4)?).ok()?;
        let kind = bytes.get(position + 4..position + 8)?.try_into().ok()?;
        let end = if size == 0 { bytes.len() } else { position.checked_add(size)? };
        found.push((kind, position, bytes.get(position + 8..end)?));
        position = end;
    }
    Some(found)
}

/// The content of the first box on a path of types.
fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    let (first, rest) = path.split_first()?;
    let content = boxes(bytes)?.into_iter().find(|(kind, ..)| kind == *first)?.2;
    if rest.is_empty() { Some(content) } else { find(content, rest) }
}

/// Clusters of a WebM file; RFC 8794 for the bytes, RFC 9559 for the elements.
fn webm(bytes: &[u8]) -> Option<Vec<Segment>> {
    const SEGMENT: u64 = 0x1853_8067;
    const INFO: u64 = 0x1549_a966;
    const TIMESTAMP_SCALE: u64 = 0x002a_d7b1;
    const CLUSTER: u64 = 0x1f43_b675;
    const TIMESTAMP: u64 = 0xe7;

    let mut position = 0;
    // Nanoseconds in a tick.
    let mut scale = 1_000_000;
    let mut segments: Vec<Segment> = Vec::new();
    while position < bytes.len() {
        let (id, size, content) = element(bytes, position)?;
        match id {
            // The segment is entered, all else on its level is passed over.
            SEGMENT => {
                position = content;
                continue;
            }
            INFO => scale = child(bytes.get(content..content + size?)?, TIMESTAMP_SCALE).unwrap_or(scale),
            CLUSTER => {
                let ticks = child(bytes.get(content..content + size?)?, TIMESTAMP)?;
                segments.push(Segment {
                    start: position,
                    end: content + size?,
                    time_us: ticks * scale / 1000,
                });
            }
            // The header before the segment, and all that helps seeking in a file.
            _ => {}
        }
        position = content + size?;
    }
    (position == bytes.len()).then_some(segments)
}

/// The unsigned number in the first child `wanted` of `bytes`.
fn child(bytes: &[u8], wanted: u64) -> Option<u64> {
    let mut position = 0;
    loop {
        let (id, size, content) = element(bytes, position)?;
        let size = size?;
        if id == wanted {
            return big_endian(bytes, content, size);
        }
        position = content + size;
    }
}

/// The element at `position`: its id, its size (`None`: unknown) and where its content begins.
fn element(bytes: &[u8], position: usize) -> Option<(u64, Option<usize>, usize)> {
    let id_length = usize::try_from(bytes.get(position)?.leading_zeros()).ok()? + 1;
    let id = big_endian(bytes, position, id_length)?;
    let at = position + id_length;
    let length = usize::try_from(bytes.get(at)?.leading_zeros()).ok()? + 1;
    let mask = (1_u64 << (7 * length)) - 1;
    let size = big_endian(bytes, at, length)? & mask;
    let size = if size == mask { None } else { Some(usize::try_from(size).ok()?) };
    Some((id, size, at + length))
}

fn big_endian(bytes: &[u8], position: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(position..position.checked_add(length)?)?;
    (length <= 8).then(|| bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn microseconds(ticks: u64, per_second: u64) -> u64 {
    ticks.saturating_mul(1_000_000) / per_second.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checked-in clips: every segment is found, they touch, and together they are the whole of the media.
    #[test]
    fn the_index_of_the_clips_is_what_their_bytes_say() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clips");
        let index: Value =
            serde_json::from_str(&std::fs::read_to_string(folder.join("index.json")).unwrap()).unwrap();
        for (name, mime) in CLIPS {
            let bytes = std::fs::read(folder.join(name)).unwrap();
            assert_eq!(index[name], describe(&bytes, name, mime).unwrap(), "{name}");
            let segments = index[name]["segments"].as_array().unwrap();
            assert!(segments.len() >= 15 && segments.len() <= 32, "{name}: {} segments", segments.len());
            for (one, next) in segments.iter().zip(&segments[1..]) {
                assert_eq!(one["end"], next["start"], "{name}");
                assert!(one["time_us"].as_u64() < next["time_us"].as_u64(), "{name}");
            }
        }
    }

    #[test]
    fn half_a_file_is_no_clip() {
        assert_eq!(mp4(b"\0\0\0\x10ftyp"), None);
        assert_eq!(webm(b"\x1a\x45\xdf\xa3\x84"), None);
        assert_eq!(webm(b"\0"), None);
    }
}
