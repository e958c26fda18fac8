//! What the page's own element decodes while the device plays the real media: a flat dark picture of the true
//! size and digital silence, as fragmented MP4 for the page's native `SourceBuffer`s.
//!
//! Times are microseconds and come out exact: after an append of `media_segments(config, start, end)` the buffer's
//! `buffered` holds `[start, end)` to the microsecond.

use std::sync::atomic::{AtomicU64,Ordering::Relaxed};
pub static FILL: AtomicU64 = AtomicU64::new(0);
pub static VFRAME: AtomicU64 = AtomicU64::new(31_250);
pub static AFRAME: AtomicU64 = AtomicU64::new(20_000);
pub static PICT: AtomicU64 = AtomicU64::new(1_000_000);
pub static NARROW: AtomicU64 = AtomicU64::new(1);
pub static LASTPIC: AtomicU64 = AtomicU64::new(0);
mod avc;
mod bits;
mod flac;
mod mp4;

use self::avc::Picture;
use self::mp4::{Sample, TrackHeader, TrackRun};

/// Longest stretch that one call turns into segments; callers append longer ranges in pieces.
pub const MAX_APPEND_US: u64 = 600_000_000;

/// Distance of the pictures, at multiples of which a `media_segments` holds one.
pub const PICTURE_US: u64 = 1_000_000;
/// Gaps shorter than this are closed by the browser: it bridges twice the longest frame.
pub const SMALLEST_GAP_US: u64 = 2 * (VIDEO_FRAME_US + SHORTEST_US);

const VIDEO_TRACK: u32 = 1;
const AUDIO_TRACK: u32 = 2;
/// Samples start on multiples of these, wherever a range begins, so that overlapping appends fit together.
const VIDEO_FRAME_US: u64 = 1_000_000;
const AUDIO_FRAME_US: u64 = 20_000;
/// A shorter rest is added to its neighbour.
const SHORTEST_US: u64 = 1_000;
/// Length of one `moof`.
const FRAGMENT_US: u64 = 10_000_000;

/// What one `SourceBuffer`'s stand-in holds: the same kinds of tracks as the page's own media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandInConfig {
    /// Natural size of the picture, each side 1 to 16384 (values outside are moved to the nearest end).
    pub video: Option<(u32, u32)>,
    pub audio: bool,
    /// Duration written into the initialization segment; `None` for a live presentation.
    pub duration_us: Option<u64>,
}

impl StandInConfig {
    fn picture(&self) -> Option<Picture> {
        self.video.map(|(w, h)| if NARROW.load(Relaxed)==1 {Picture::narrow} else {Picture::new}(w.clamp(1, 16384), h.clamp(1, 16384)))
    }
}

/// The type for `addSourceBuffer` and `changeType`.
#[must_use]
pub fn mime(config: &StandInConfig) -> String {
    match (config.picture(), config.audio) {
        (Some(p), true) => format!("video/mp4; codecs=\"avc1.6400{:02x},flac\"", p.level()),
        (Some(p), false) => format!("video/mp4; codecs=\"avc1.6400{:02x}\"", p.level()),
        (None, _) => "audio/mp4; codecs=\"flac\"".to_owned(),
    }
}

/// `ftyp` and `moov`: to be appended before the first media segment and after each `changeType`.
#[must_use]
pub fn init_segment(config: &StandInConfig) -> Vec<u8> {
    let mut tracks = Vec::new();
    if let (Some(picture), Some((width, height))) = (config.picture(), config.video) {
        let entry = video_entry(picture);
        tracks.push(TrackHeader { id: VIDEO_TRACK, size: Some((width.min(0xffff), height.min(0xffff))), entry });
    }
    if config.audio || config.video.is_none() {
        tracks.push(TrackHeader { id: AUDIO_TRACK, size: None, entry: audio_entry() });
    }
    mp4::initialization(&tracks, config.duration_us)
}

/// Media whose `buffered` is exactly `[start_us, end_us)`. Empty for an empty range; at most `MAX_APPEND_US` from
/// the start on.
#[must_use]
pub fn media_segments(config: &StandInConfig, start_us: u64, end_us: u64) -> Vec<u8> {
    let end_us = end_us.min(start_us.saturating_add(MAX_APPEND_US));
    let mut out = Vec::new();
    let mut from = start_us;
    while from < end_us {
        // A rest too short for a fragment of its own stays with the last one.
        let cut = (from / FRAGMENT_US + 1).saturating_mul(FRAGMENT_US);
        let to = if cut.saturating_add(2 * SHORTEST_US) >= end_us { end_us } else { cut };
        let mut runs = Vec::new();
        if let Some(picture) = config.picture() {
            let coded = [with_length(&picture.idr(0)), with_length(&picture.idr(1))];
            let (grid, pict, fill) = (VFRAME.load(Relaxed), PICT.load(Relaxed), FILL.load(Relaxed));
            let mut last = None; let mut fnum = 0;
            let samples = cut_at_grid(from, to, grid)
                .map(|(at, duration)| {
                    let n = (at + SHORTEST_US) / pict;
                    let sync = (last != Some(n) && (fill != 2 || last.is_some() || at % pict < SHORTEST_US)) || fill == 0 || (LASTPIC.load(Relaxed)==1 && at + u64::from(duration) == end_us);
                    last = Some(n);
                    if sync { fnum = 0; return Sample { duration, sync: true, data: coded[usize::from(n % 2 == 1)].clone() } }
                    fnum += 1;
                    match fill {
                        1 => Sample { duration, sync: false, data: with_length(&[0x0a]) },
                        2 => Sample { duration, sync: true, data: with_length(&[0x0a]) },
                        3 => Sample { duration, sync: false, data: with_length(&picture.skip(fnum)) },
                        4 => Sample { duration, sync: false, data: with_length(&[9, 0xf0]) },
                        5 => Sample { duration, sync: false, data: [with_length(&[9, 0xf0]), with_length(&[0x0a])].concat() },
                        _ => Sample { duration, sync: false, data: with_length(&[12, 0xff, 0x80]) },
                    }
                })
                .collect();
            runs.push(TrackRun { id: VIDEO_TRACK, start: from, samples });
        }
        if config.audio || config.video.is_none() {
            let samples = cut_at_grid(from, to, AFRAME.load(Relaxed))
                .map(|(_, duration)| Sample { duration, sync: true, data: flac::silence(duration.into()) })
                .collect();
            runs.push(TrackRun { id: AUDIO_TRACK, start: from, samples });
        }
        out.extend(mp4::fragment(&runs));
        from = to;
    }
    out
}

/// Samples (start, duration) that cover `[from, to)` with cuts at multiples of `grid`, none shorter than
/// `SHORTEST_US` unless the range is.
fn cut_at_grid(from: u64, to: u64, grid: u64) -> impl Iterator<Item = (u64, u32)> {
    let mut at = from;
    std::iter::from_fn(move || {
        if at >= to {
            return None;
        }
        let mut cut = (at / grid + 1).saturating_mul(grid);
        if cut - at < SHORTEST_US {
            cut = cut.saturating_add(grid);
        }
        if cut.saturating_add(SHORTEST_US) > to {
            cut = to;
        }
        let start = at;
        at = cut;
        // INVARIANT: two grid steps at most, far below u32::MAX.
        Some((start, u32::try_from(cut - start).unwrap_or(u32::MAX)))
    })
}

/// A NAL unit as samples carry it.
fn with_length(nal: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(nal.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    out.extend_from_slice(nal);
    out
}

fn video_entry(picture: Picture) -> Vec<u8> {
    let (sps, pps) = (picture.sps(), picture.pps());
    let size = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
    let avcc = mp4::boxed(
        b"avcC",
        &[
            &[1, 100, 0, picture.level(), 0xff, 0xe1],
            &size(sps.len()),
            &sps,
            &[1],
            &size(pps.len()),
            &pps,
            // chroma_format, bit depths and no SPS extension: High profile has them.
            &[if picture.monochrome { 0xfc } else { 0xfd }, 0xf8, 0xf8, 0],
        ],
    );
    let pasp = mp4::boxed(b"pasp", &[&mp4::words(&[picture.aspect.0, picture.aspect.1])]);
    mp4::boxed(
        b"avc1",
        &[
            &mp4::words(&[0, 1]),
            &mp4::words(&[0; 4]),
            &mp4::words(&[(picture.width << 16) | picture.height, 0x48_0000, 0x48_0000, 0]),
            &mp4::words(&[0x1_0000, 0, 0, 0, 0, 0, 0, 0]),
            &[0, 0, 0, 0x18, 0xff, 0xff],
            &avcc,
            &pasp,
        ],
    )
}

fn audio_entry() -> Vec<u8> {
    let dfla = mp4::boxed(b"dfLa", &[&mp4::words(&[0]), &flac::stream_info()]);
    mp4::boxed(
        b"fLaC",
        &[
            &mp4::words(&[0, 1]),
            &mp4::words(&[0, 0, 0x1_0010, 0]),
            &mp4::words(&[flac::SAMPLE_RATE << 16]),
            &dfla,
        ],
    )
}
