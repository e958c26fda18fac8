//! What has to be removed from and appended to a native `SourceBuffer` so that it holds the ranges of the device.

use offstage_protocol::ranges::Ranges;

use crate::standin::{PICTURE_US, SMALLEST_GAP_US};

/// One call on the native `SourceBuffer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `remove(start, end)`.
    Remove { start_us: u64, end_us: u64 },
    /// `appendBuffer` of the stand-in's media for the range.
    Append { start_us: u64, end_us: u64 },
}

/// The steps that lead from the native ranges to the device's: removes first, then appends, each in order of time.
///
/// A buffer that holds nothing but stand-in media is right after one pass. One that holds other media may lose
/// more by a remove than it was asked for (frames up to the next key frame); a second pass repairs that.
/// Gaps too small for the browser to show count as closed on both sides.
#[must_use]
pub fn reconcile(native: &Ranges, device: &Ranges) -> Vec<Step> {
    let (native, device) = (close_gaps(native), close_gaps(device));
    let mut steps = Vec::new();
    let mut missing: Vec<(u64, u64)> = device.subtract(&native).iter().collect();
    for (start, end) in native.subtract(&device).iter() {
        steps.push(Step::Remove { start_us: start, end_us: end });
        // A frame that starts before the removed stretch stays whole and sticks out into it: write the last
        // moments of what stays once more.
        if let Some((from, to)) = device.iter().find(|&(_, to)| to == start) {
            missing.push((to.saturating_sub(PICTURE_US).max(from), to));
        }
        // The first frames of what stays depend on a removed picture and are gone with it.
        if let Some((from, to)) = device.iter().find(|&(from, _)| from == end) {
            missing.push((from, from.saturating_add(2 * PICTURE_US).min(to)));
        }
    }
    let appends = Ranges::from_pairs(missing);
    steps.extend(appends.iter().map(|(start_us, end_us)| Step::Append { start_us, end_us }));
    steps
}

fn close_gaps(ranges: &Ranges) -> Ranges {
    Ranges::from_pairs(ranges.iter().map(|(from, to)| {
        let next = ranges.iter().find(|&(next, _)| next > to).map(|(next, _)| next);
        (from, next.filter(|next| next - to < SMALLEST_GAP_US).unwrap_or(to))
    }))
}
