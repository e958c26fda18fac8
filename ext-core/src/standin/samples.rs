//! Which samples cover a stretch of time, and the sample entries that describe them.

use super::avc::Picture;
use super::flac;
use super::mp4::{self, Sample};

/// Samples start on multiples of these, wherever a range begins: 32 pictures a second, 50 blocks of sound. The
/// browser closes gaps of up to twice the longest sample, so they are short.
const VIDEO_SAMPLE_US: u64 = 31_250;
const AUDIO_SAMPLE_US: u64 = 20_000;
/// A shorter rest is added to its neighbour.
pub(super) const SHORTEST_US: u64 = 1_000;
/// Distance of the video samples that really hold a picture. Each picture is a repaint in the session.
const PICTURE_US: u64 = 1_000_000;

pub(super) const SMALLEST_VIDEO_GAP_US: u64 = 2 * (VIDEO_SAMPLE_US + SHORTEST_US);
pub(super) const SMALLEST_AUDIO_GAP_US: u64 = 2 * (AUDIO_SAMPLE_US + SHORTEST_US);

/// `end_of_seq_rbsp` (H.264 7.3.2.5): the one access unit without a picture that decoders take without complaint
/// (FFmpeg refuses a lone delimiter or filler with "no frame"). Only IDR pictures follow it.
const END_OF_SEQUENCE: &[u8] = &[0x0a];

/// The video samples of `[from, to)`, a part of the append of `whole`.
///
/// Most hold no picture. All are marked as places where decoding can start, so that removing or overwriting one
/// never takes another with it. A seek, or going on after a stall, waits for a picture that lasts until its target or
/// later: so the last sample of an append is one.
pub(super) fn video(picture: Picture, whole: (u64, u64), (from, to): (u64, u64)) -> Vec<Sample> {
    let nothing = with_length(END_OF_SEQUENCE);
    let pictures = [with_length(&picture.idr(0)), with_length(&picture.idr(1))];
    let mut since = whole.0.max(from.saturating_sub(PICTURE_US));
    let mut shown = 0;
    let samples = cut_at_grid(from, to, VIDEO_SAMPLE_US).map(|(at, duration)| {
        let end = at.saturating_add(duration.into());
        let due = end.saturating_sub(since) >= PICTURE_US && whole.1 - end >= PICTURE_US / 2;
        if !due && end != whole.1 {
            return Sample { duration, data: nothing.clone() };
        }
        since = end;
        shown += 1;
        // Pictures in a row have different idr_pic_ids.
        Sample { duration, data: pictures[usize::from(shown % 2 == 0)].clone() }
    });
    samples.collect()
}

/// The blocks of silence of `[from, to)`.
pub(super) fn audio(from: u64, to: u64) -> Vec<Sample> {
    let block = |(_, duration)| Sample { duration, data: flac::silence(u64::from(duration)) };
    cut_at_grid(from, to, AUDIO_SAMPLE_US).map(block).collect()
}

/// Samples (start, duration) that cover `[from, to)` with cuts at multiples of `grid`, none shorter than
/// `SHORTEST_US` unless the whole is.
fn cut_at_grid(from: u64, to: u64, grid: u64) -> impl Iterator<Item = (u64, u32)> {
    let mut at = from;
    std::iter::from_fn(move || {
        let start = at;
        let mut cut = (start / grid + 1).saturating_mul(grid);
        if cut - start < SHORTEST_US {
            cut = cut.saturating_add(grid);
        }
        if cut.saturating_add(SHORTEST_US) > to {
            cut = to;
        }
        at = cut;
        let duration = cut.checked_sub(start).filter(|&d| d > 0)?;
        Some((start, u32::try_from(duration).unwrap_or(u32::MAX)))
    })
}

/// A NAL unit as the samples carry it, after its length in four bytes: FFmpeg overlooks units at the end of less than
/// four bytes with their length.
fn with_length(nal: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(nal.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    out.extend_from_slice(nal);
    out
}

/// `avc1` (ISO/IEC 14496-15, 5.4.2.1) with the parameter sets.
pub(super) fn video_entry(picture: Picture) -> Vec<u8> {
    let (sps, pps) = (picture.sps(), picture.pps());
    // High profile also states the chroma format and the bit depths.
    let length = |nal: &[u8]| u16::try_from(nal.len()).unwrap_or(u16::MAX).to_be_bytes();
    let format = if picture.monochrome { 0xfc } else { 0xfd };
    let avcc = mp4::boxed(
        b"avcC",
        &[
            &[1, 100, 0, picture.level(), 0xff, 0xe1],
            &length(&sps),
            &sps,
            &[1],
            &length(&pps),
            &pps,
            &[format, 0xf8, 0xf8, 0],
        ],
    );
    let pasp = mp4::boxed(b"pasp", &[&mp4::words(&[picture.aspect.0, picture.aspect.1])]);
    mp4::boxed(
        b"avc1",
        &[
            &mp4::words(&[0, 1, 0, 0, 0, 0]),
            &mp4::words(&[(picture.width << 16) | picture.height, 0x48_0000, 0x48_0000, 0]),
            // One picture a sample, no compressor name, depth 24.
            &mp4::words(&[0x1_0000, 0, 0, 0, 0, 0, 0, 0]),
            &[0, 0, 0, 0x18, 0xff, 0xff],
            &avcc,
            &pasp,
        ],
    )
}

/// `fLaC`, as in "Encapsulation of FLAC in ISO Base Media File Format".
pub(super) fn audio_entry() -> Vec<u8> {
    let dfla = mp4::boxed(b"dfLa", &[&mp4::words(&[0]), &flac::stream_info()]);
    let format = (u32::from(flac::CHANNELS) << 16) | u32::from(flac::BITS);
    mp4::boxed(b"fLaC", &[&mp4::words(&[0, 1, 0, 0, format, 0, flac::SAMPLE_RATE << 16]), &dfla])
}
