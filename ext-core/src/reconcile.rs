//! What has to be removed from and appended to a native `SourceBuffer` so that it holds the ranges of the device.

use offstage_protocol::ranges::Ranges;

use crate::standin::{MAX_APPEND_US, SEAM_US, StandInConfig};

/// Most appends of one pass. A device that answers with absurd ranges costs no more than this; more than ten hours are
/// reached by further passes.
const MAX_APPENDS: usize = 64;

/// One call on the native `SourceBuffer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `remove(start, end)`.
    Remove { start_us: u64, end_us: u64 },
    /// `appendBuffer` of `media_segments` for the range, which is at most `MAX_APPEND_US` long.
    Append { start_us: u64, end_us: u64 },
}

/// The steps that lead from the native ranges to the device's for a buffer of pictures, or of both kinds.
#[must_use]
pub fn reconcile(native: &Ranges, device: &Ranges) -> Vec<Step> {
    let config = StandInConfig { video: Some((16, 16)), audio: true, duration_us: None };
    reconcile_for(&config, native, device, 0)
}

/// The steps that lead from the native ranges to the device's: removes first, then appends, each in order of time.
///
/// A buffer that holds nothing but stand-in media is right after one pass. One that holds other media may lose
/// more by a remove than it was asked for (frames up to the next key frame): a second pass repairs that. Gaps too
/// small for the browser to show count as closed, so the result is `with_gaps_closed(device)`.
/// `appended_to` is where the last append ended; 0 if there was none.
#[must_use]
pub fn reconcile_for(
    config: &StandInConfig,
    native: &Ranges,
    device: &Ranges,
    appended_to: u64,
) -> Vec<Step> {
    let device = &with_gaps_closed(config, device);
    let mut steps = Vec::new();
    let mut missing = device.subtract(native);
    for (start, end) in native.subtract(device).iter() {
        steps.push(Step::Remove { start_us: start, end_us: end });
        // A sample that starts before the removed stretch stays whole and sticks out into it, and the picture that
        // a seek to the new end needs is gone: write the last moments of what stays once more.
        if let Some((from, to)) = start.checked_sub(1).and_then(|last| device.range_at(last)) {
            missing.insert(from.max(to.saturating_sub(SEAM_US) / SEAM_US * SEAM_US), to);
        }
        // The sample that reaches from the removed stretch into what stays is gone: write the first moments too, or all
        // of a range so short that its last sample could lie across the seam.
        if let Some((from, to)) = device.range_at(end) {
            let seam = (from / SEAM_US + 2).saturating_mul(SEAM_US);
            missing.insert(from, if to.saturating_sub(seam) < SEAM_US { to } else { seam });
        }
    }
    let pieces = joined(config, &missing, &native.intersect(device), appended_to);
    let pieces = pieces.iter().flat_map(|(start, end)| pieces_of(start, end));
    steps.extend(pieces.take(MAX_APPENDS).map(|(start_us, end_us)| Step::Append { start_us, end_us }));
    steps
}

/// The stretches to append, grown over what little lies between one's end and the next one, or the end of the range that
/// it becomes part of; so is the first one over what little lies behind the append before. Else the next append there
/// would look to the browser like a continuation with a long step between two samples, and it bridges gaps of twice the
/// longest step that it has ever seen.
fn joined(config: &StandInConfig, missing: &Ranges, kept: &Ranges, appended_to: u64) -> Ranges {
    let little = config.smallest_gap_us();
    let mut joined = Ranges::new();
    if let Some((start, _)) = missing.iter().next()
        && start.checked_sub(appended_to).is_some_and(|step| step < little)
        && appended_to.checked_sub(1).and_then(|last| kept.range_at(last)).is_some_and(|(_, to)| start <= to)
    {
        joined.insert(appended_to, start);
    }
    let mut next = missing.iter().map(|(start, _)| start).skip(1);
    for (start, end) in missing.iter() {
        let held_to = kept.range_at(end).map_or(end, |(_, to)| to);
        let to = next.next().map_or(held_to, |next| next.min(held_to));
        joined.insert(start, if to - end < little { to } else { end });
    }
    joined
}

/// A range cut into what one append may hold.
fn pieces_of(start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut from = start;
    std::iter::from_fn(move || {
        let piece = (from, end.min(from.saturating_add(MAX_APPEND_US)));
        from = piece.1;
        (piece.0 < piece.1).then_some(piece)
    })
}

/// The ranges as a buffer of the stand-in's media shows them: gaps shorter than its smallest are closed.
#[must_use]
pub fn with_gaps_closed(config: &StandInConfig, ranges: &Ranges) -> Ranges {
    let smallest = config.smallest_gap_us();
    let mut joined: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges.iter() {
        match joined.last_mut() {
            Some(last) if start - last.1 < smallest => last.1 = end,
            _ => joined.push((start, end)),
        }
    }
    Ranges::from_pairs(joined)
}

#[cfg(test)]
mod tests;
