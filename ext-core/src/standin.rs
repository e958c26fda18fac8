//! What the page's own element decodes while the device plays the real media: a flat dark picture of the true
//! size and digital silence, as fragmented MP4 for the page's native `SourceBuffer`s.
//!
//! Times are microseconds and come out exact: after an append of `media_segments(config, start, end)` the buffer's
//! `buffered` holds `[start, end)` to the microsecond. Why the samples are as they are, with figures, is in
//! `docs/decisions/0002-stand-in.md`.

mod avc;
mod bits;
mod flac;
mod mp4;
#[cfg(test)]
pub(crate) mod parsed;
mod samples;

use self::avc::Picture;
use self::mp4::{TrackHeader, TrackRun};

/// Longest stretch that one call turns into segments (about 0.7 MB with picture and sound); callers append longer
/// ranges in pieces, as the steps of `reconcile` do.
pub const MAX_APPEND_US: u64 = 600_000_000;
/// Samples of picture and of sound both start on every multiple of this inside an append, wherever it begins, so
/// that a later append which begins or ends here fits what is there without an overlap.
pub const SEAM_US: u64 = 500_000;

const VIDEO_TRACK: u32 = 1;
const AUDIO_TRACK: u32 = 2;
/// Length of one `moof`: a multiple of `SEAM_US`.
const FRAGMENT_US: u64 = 10_000_000;
/// The largest side of a picture that a page can see here.
const LARGEST_SIDE: u32 = 16_384;

/// What one `SourceBuffer`'s stand-in holds: the same kinds of tracks as the page's own media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandInConfig {
    /// Natural size of the picture, each side 1 to 16384 (values outside are moved to the nearest end).
    pub video: Option<(u32, u32)>,
    /// Whether there is a sound track. Without a picture there always is one.
    pub audio: bool,
    /// Duration written into the initialization segment. Better `None`, with `MediaSource.duration` set by script
    /// before the segment is appended: then the browser plays with one picture ahead, else it waits for four seconds.
    pub duration_us: Option<u64>,
}

impl StandInConfig {
    /// Gaps shorter than this vanish from `buffered`: the browser bridges twice the longest sample.
    #[must_use]
    pub fn smallest_gap_us(&self) -> u64 {
        if self.video.is_some() { samples::SMALLEST_VIDEO_GAP_US } else { samples::SMALLEST_AUDIO_GAP_US }
    }

    fn picture(&self) -> Option<(Picture, (u32, u32))> {
        let (width, height) = self.video?;
        let size = (width.clamp(1, LARGEST_SIDE), height.clamp(1, LARGEST_SIDE));
        Some((Picture::new(size.0, size.1), size))
    }

    fn has_sound(&self) -> bool {
        self.audio || self.video.is_none()
    }
}

/// The type for `addSourceBuffer` and `changeType`.
#[must_use]
pub fn mime(config: &StandInConfig) -> String {
    match config.picture() {
        Some((picture, _)) => {
            let sound = if config.audio { ",flac" } else { "" };
            format!("video/mp4; codecs=\"avc1.6400{:02x}{sound}\"", picture.level())
        }
        None => "audio/mp4; codecs=\"flac\"".to_owned(),
    }
}

/// `ftyp` and `moov`: to be appended before the first media segment and after each `changeType`.
#[must_use]
pub fn init_segment(config: &StandInConfig) -> Vec<u8> {
    let mut tracks = Vec::new();
    if let Some((picture, size)) = config.picture() {
        tracks.push(TrackHeader { id: VIDEO_TRACK, size: Some(size), entry: samples::video_entry(picture) });
    }
    if config.has_sound() {
        tracks.push(TrackHeader { id: AUDIO_TRACK, size: None, entry: samples::audio_entry() });
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
        let next = (from / FRAGMENT_US + 1).saturating_mul(FRAGMENT_US);
        // Rests too short for samples of their own stay with the fragment before.
        let next =
            if next - from < 2 * samples::SHORTEST_US { next.saturating_add(FRAGMENT_US) } else { next };
        let to = if next.saturating_add(2 * samples::SHORTEST_US) > end_us { end_us } else { next };
        let mut runs = Vec::new();
        if let Some((picture, _)) = config.picture() {
            let samples = samples::video(picture, (start_us, end_us), (from, to));
            runs.push(TrackRun { id: VIDEO_TRACK, start: from, samples });
        }
        if config.has_sound() {
            let samples = samples::audio(from, to);
            runs.push(TrackRun { id: AUDIO_TRACK, start: from, samples });
        }
        out.extend(mp4::fragment(&runs));
        from = to;
    }
    out
}

#[cfg(test)]
mod tests;
