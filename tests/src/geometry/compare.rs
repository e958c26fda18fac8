//! Two pictures of a viewport, the one as the browser paints it and the one with the device's picture, compared pixel by pixel.

use crate::xvfb::Picture;

/// How much greener than red and than blue all of the chart is, also at half opacity over white, and nothing of the pages.
const GREENER: [u8; 2] = [30, 20];
/// How far a channel may be off where two decoders and two scalers have drawn the same.
const TOLERANCE: u8 = 48;
/// How far a channel may be off where the two are the same colour: a gradient is drawn with a level more or less here and there.
const SAME: u8 = 6;
/// Said of a picture that is not there at all.
const NOWHERE: i64 = 9999;

/// What differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub error_px: i64,
    pub content_px: i64,
    pub overlays: usize,
    pub overlays_damaged: usize,
    pub standin_px: usize,
}

impl Difference {
    /// The larger of each.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        Self {
            error_px: self.error_px.max(other.error_px),
            content_px: self.content_px.max(other.content_px),
            overlays: self.overlays.max(other.overlays),
            overlays_damaged: self.overlays_damaged.max(other.overlays_damaged),
            standin_px: self.standin_px.max(other.standin_px),
        }
    }
}

/// Whether a pixel is the chart's.
#[must_use]
pub fn is_picture([red, green, blue]: [u8; 3]) -> bool {
    green.saturating_sub(red) >= GREENER[0] && green.saturating_sub(blue) >= GREENER[1]
}

/// Compares `seen` with `native`, two pictures of the same size; what is in the boxes of overlays (left, top, right, bottom) doesn't
/// count as an edge of the picture.
#[must_use]
pub fn compare(native: &Picture, seen: &Picture, overlays: &[[f64; 4]]) -> Difference {
    let (width, height) = (native.width().min(seen.width()), native.height().min(seen.height()));
    let free = exempt(width, height, overlays);
    let pixels = |picture: &Picture| -> Vec<[u8; 3]> {
        (0..height).flat_map(|y| (0..width).map(move |x| picture.pixel(x, y).unwrap_or_default())).collect()
    };
    let (native, seen) = (pixels(native), pixels(seen));
    let mask = |pixels: &[[u8; 3]]| -> Vec<bool> { pixels.iter().map(|pixel| is_picture(*pixel)).collect() };
    let (wanted, mut there) = (mask(&native), mask(&seen));
    // A level of a colour is no edge, wherever it lets the one count as the picture and the other as the page.
    for at in 0..there.len() {
        if !differs_by(SAME, native[at], seen[at]) {
            there[at] = wanted[at];
        }
    }
    let mut extra = Vec::new();
    let mut missing = Vec::new();
    let mut other = vec![false; native.len()];
    let mut standin_px = 0;
    for at in 0..native.len() {
        match (wanted[at], there[at], free[at]) {
            (true, false, true) => standin_px += 1,
            (true, false, false) => missing.push(at),
            (false, true, false) => extra.push(at),
            (true, true, false) => other[at] = differs(native[at], seen[at]),
            (true | false, true, true) | (false, false, true | false) => {}
        }
    }
    let farthest = |points: &[usize], from: &[bool]| -> i64 {
        if points.is_empty() {
            return 0;
        }
        let distances = distances(from, width);
        points.iter().map(|at| i64::from(distances[*at])).max().unwrap_or(0).min(NOWHERE)
    };
    let error_px = farthest(&extra, &wanted).max(farthest(&missing, &there));
    let same: Vec<bool> = other.iter().map(|differs| !differs).collect();
    let different: Vec<usize> = (0..other.len()).filter(|at| other[*at]).collect();
    let content_px = farthest(&different, &same);
    Difference { error_px, content_px, overlays: overlays.len(), overlays_damaged: 0, standin_px }
}

/// How many overlays have a pixel in `seen` that is neither `own`'s, what the session's browser has drawn here, nor `native`'s.
#[must_use]
pub fn damaged(native: &Picture, own: &Picture, seen: &Picture, overlays: &[[f64; 4]]) -> usize {
    let is_damaged = |overlay: &&[f64; 4]| {
        let [left, top, right, bottom] = inner(overlay);
        (top..bottom).any(|y| {
            (left..right).any(|x| {
                // A picture that is a pixel off changes the soft edges of what lies on it.
                let has = |picture: &Picture, is: [u8; 3]| {
                    (y - 1..=y + 1).any(|y| {
                        (x - 1..=x + 1).any(|x| picture.pixel(x, y).is_some_and(|pixel| !differs(is, pixel)))
                    })
                };
                seen.pixel(x, y).is_some_and(|is| !has(own, is) && !has(native, is))
            })
        })
    };
    overlays.iter().filter(is_damaged).count()
}

fn differs(one: [u8; 3], other: [u8; 3]) -> bool {
    differs_by(TOLERANCE, one, other)
}

fn differs_by(levels: u8, one: [u8; 3], other: [u8; 3]) -> bool {
    one.iter().zip(other).any(|(one, other)| one.abs_diff(other) > levels)
}

/// The whole pixels of a box, without those on its edge.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a screen's size")]
fn inner(overlay: &[f64; 4]) -> [usize; 4] {
    let at = |side: f64| side.clamp(0.0, 20_000.0) as usize;
    [
        at(overlay[0].ceil() + 1.0).max(1),
        at(overlay[1].ceil() + 1.0).max(1),
        at(overlay[2].floor() - 1.0),
        at(overlay[3].floor() - 1.0),
    ]
}

/// The pixels of all boxes and the one around each.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a screen's size")]
fn exempt(width: usize, height: usize, overlays: &[[f64; 4]]) -> Vec<bool> {
    let mut free = vec![false; width * height];
    for overlay in overlays {
        let at = |side: f64, most: usize| (side.clamp(0.0, 20_000.0) as usize).min(most);
        let (left, right) = (at(overlay[0].floor() - 1.0, width), at(overlay[2].ceil() + 1.0, width));
        for y in at(overlay[1].floor() - 1.0, height)..at(overlay[3].ceil() + 1.0, height) {
            free[y * width + left..y * width + right.max(left)].fill(true);
        }
    }
    free
}

/// For each pixel the number of steps, also diagonal ones, to the next that is set.
fn distances(set: &[bool], width: usize) -> Vec<u16> {
    // More than any distance on a screen, and no overflow when one is added.
    let far = 20_000;
    let height = set.len().checked_div(width).unwrap_or(0);
    let mut steps: Vec<u16> = set.iter().map(|set| if *set { 0 } else { far }).collect();
    let nearer = |steps: &mut Vec<u16>, at: usize, other: usize| {
        steps[at] = steps[at].min(steps[other] + 1);
    };
    for y in 0..height {
        for x in 0..width {
            let at = y * width + x;
            if x > 0 {
                nearer(&mut steps, at, at - 1);
            }
            if y > 0 {
                for other in at - width - usize::from(x > 0)..=at - width + usize::from(x + 1 < width) {
                    nearer(&mut steps, at, other);
                }
            }
        }
    }
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            let at = y * width + x;
            if x + 1 < width {
                nearer(&mut steps, at, at + 1);
            }
            if y + 1 < height {
                for other in at + width - usize::from(x > 0)..=at + width + usize::from(x + 1 < width) {
                    nearer(&mut steps, at, other);
                }
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREEN: [u8; 3] = [0, 160, 60];
    const LIME: [u8; 3] = [60, 190, 0];
    const RED: [u8; 3] = [208, 32, 32];
    const DARK: [u8; 3] = [30, 30, 30];

    /// White, with boxes of a colour.
    fn painted(boxes: &[([usize; 4], [u8; 3])]) -> Picture {
        let (width, height) = (60, 40);
        let mut rgb = vec![255; width * height * 3];
        for ([left, top, right, bottom], colour) in boxes {
            for y in *top..*bottom {
                for x in *left..*right {
                    rgb[(y * width + x) * 3..][..3].copy_from_slice(colour);
                }
            }
        }
        Picture::new(width, height, rgb).unwrap()
    }

    fn error(native: &Picture, seen: &Picture) -> i64 {
        compare(native, seen, &[]).error_px
    }

    #[test]
    fn the_error_is_how_far_an_edge_is_off() {
        let native = painted(&[([10, 10, 40, 30], GREEN)]);
        assert_eq!(error(&native, &native), 0);
        assert_eq!(error(&native, &painted(&[([11, 10, 41, 30], GREEN)])), 1);
        assert_eq!(error(&native, &painted(&[([10, 10, 40, 33], GREEN)])), 3);
        assert_eq!(error(&native, &painted(&[([10, 10, 40, 25], GREEN)])), 5);
        assert!(error(&native, &painted(&[])) >= NOWHERE);
        assert!(error(&painted(&[]), &native) >= NOWHERE);
        // A hole, and a piece far off.
        assert_eq!(error(&native, &painted(&[([10, 10, 40, 30], GREEN), ([20, 15, 26, 21], DARK)])), 3);
        assert_eq!(error(&native, &painted(&[([10, 10, 40, 30], GREEN), ([50, 0, 51, 1], GREEN)])), 11);
    }

    #[test]
    fn a_level_of_a_colour_is_no_edge() {
        let dim = |green: u8| painted(&[([10, 10, 40, 30], [91, green, 5])]);
        assert!(is_picture([91, 121, 5]) && !is_picture([91, 120, 5]));
        assert_eq!(error(&dim(121), &dim(120)), 0);
        assert!(error(&dim(130), &dim(120)) >= NOWHERE);
    }

    #[test]
    fn another_picture_in_the_same_place_is_seen() {
        let (native, seen) = (painted(&[([10, 10, 40, 30], GREEN)]), painted(&[([10, 10, 40, 30], LIME)]));
        let found = compare(&native, &seen, &[]);
        assert_eq!((found.error_px, found.content_px), (0, 10));
    }

    #[test]
    fn overlays_are_whole_as_drawn_or_as_natively_and_damaged_otherwise() {
        let picture = ([10, 10, 40, 30], GREEN);
        let native = painted(&[picture, ([20, 20, 30, 26], RED)]);
        let own = painted(&[([10, 10, 40, 30], DARK), ([20, 20, 30, 26], RED)]);
        let boxes = [[20.0, 20.0, 30.0, 26.0]];
        assert_eq!(damaged(&native, &own, &native, &boxes), 0);
        assert_eq!(damaged(&native, &own, &painted(&[picture]), &boxes), 1);
        assert_eq!(compare(&native, &painted(&[picture]), &boxes).error_px, 0);
        let larger = painted(&[picture, ([15, 20, 30, 26], RED)]);
        assert_eq!(compare(&native, &larger, &boxes).error_px, 3);
        let rounded = [[18.0, 18.0, 32.0, 28.0]];
        let square = painted(&[picture, ([18, 18, 32, 28], DARK), ([20, 20, 30, 26], RED)]);
        assert_eq!(damaged(&native, &square, &square, &rounded), 0);
        assert_eq!(compare(&native, &square, &rounded).standin_px, 14 * 10 - 10 * 6);
    }
}
