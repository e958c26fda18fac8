//! Which pixels lie inside of outlines: a pixel counts if its middle does, as where a browser fills a path without smoothing it.

use offstage_protocol::message::Clip;

use super::{MAX_PIECES, Piece};

/// Outlines of a picture, and corners of all of them, that are looked at; more is nothing that a page's style makes.
const MAX_CLIPS: usize = 32;
const MAX_CORNERS: usize = 2048;
/// A pixel, in the units of corners.
const PIXEL: i64 = 16;

/// First column inside, first column not inside.
type Range = (i64, i64);

/// Whether these are more outlines than anybody draws.
#[must_use]
pub fn is_too_much(clips: &[Clip]) -> bool {
    clips.len() > MAX_CLIPS || clips.iter().map(|clip| clip.corners.len()).sum::<usize>() > 2 * MAX_CORNERS
}

/// Moves outlines by whole pixels.
pub fn move_by(clips: &mut [Clip], x: i32, y: i32) {
    for corner in clips.iter_mut().flat_map(|clip| clip.corners.chunks_exact_mut(2)) {
        for (at, by) in corner.iter_mut().zip([x, y]) {
            *at = at.saturating_add(by.saturating_mul(16));
        }
    }
}

/// What is inside of all outlines, for each line of pixels of a picture.
pub(super) struct Lines {
    lines: Vec<Vec<Range>>,
}

impl Lines {
    pub(super) fn of(clips: &[Clip], left: i64, top: i64, width: u32, height: u32) -> Self {
        let width = i64::from(width);
        let lines = (0..i64::from(height)).map(|y| {
            let mut inside = vec![(0, width)];
            for clip in clips {
                inside = common(&inside, &line(clip, left, (top + y) * PIXEL + PIXEL / 2));
            }
            inside
        });
        Self { lines: lines.collect() }
    }

    /// The parts of disjoint pieces that are inside; lines that are alike become one piece.
    pub(super) fn cut(&self, pieces: &[Piece]) -> Vec<Piece> {
        let mut all = Vec::new();
        for piece in pieces {
            let columns = [(i64::from(piece.x), i64::from(piece.x) + i64::from(piece.width))];
            let first = usize::try_from(piece.y).unwrap_or(0);
            let lines = self.lines.iter().skip(first).take(usize::from(piece.height));
            let mut run: Option<(usize, Vec<Range>)> = None;
            let mut below = first;
            for (y, line) in (first..).zip(lines) {
                let ranges = common(line, &columns);
                below = y + 1;
                if run.as_ref().is_some_and(|(_, known)| *known == ranges) {
                    continue;
                }
                if let Some((from, known)) = run.replace((y, ranges)) {
                    all.extend(known.iter().filter_map(|range| piece_of(*range, from, y)));
                }
                if all.len() > MAX_PIECES {
                    return all;
                }
            }
            if let Some((from, known)) = run {
                all.extend(known.iter().filter_map(|range| piece_of(*range, from, below)));
            }
        }
        all
    }
}

fn piece_of((left, right): Range, top: usize, bottom: usize) -> Option<Piece> {
    Some(Piece {
        x: i16::try_from(left).ok()?,
        y: i16::try_from(top).ok()?,
        width: u16::try_from(right - left).ok().filter(|width| *width > 0)?,
        height: u16::try_from(bottom - top).ok().filter(|height| *height > 0)?,
    })
}

/// What of a horizontal line at `y` (in sixteenths) is inside of one outline, in pixels from `left` on.
fn line(clip: &Clip, left: i64, y: i64) -> Vec<Range> {
    let corners: Vec<[i64; 2]> =
        clip.corners.chunks_exact(2).map(|at| [i64::from(at[0]), i64::from(at[1])]).collect();
    let mut crossings: Vec<(i64, i64)> = Vec::new();
    let next = corners.iter().cycle().skip(1);
    for ([x0, y0], [x1, y1]) in corners.iter().zip(next) {
        if (*y0 <= y) == (*y1 <= y) {
            continue;
        }
        // 32-bit corners: no product leaves 128 bits.
        let [x0, y0, x1, y1, y] = [*x0, *y0, *x1, *y1, y].map(i128::from);
        let x = x0 + (x1 - x0) * (y - y0) / (y1 - y0);
        // The first pixel whose middle is not to the left of the crossing.
        let column = (x - i128::from(PIXEL / 2)).div_euclid(16) + i128::from((x - 8).rem_euclid(16) != 0);
        crossings.push((i64::try_from(column).unwrap_or(0), if y1 > y0 { 1 } else { -1 }));
    }
    crossings.sort_unstable();
    let mut inside = Vec::new();
    let mut turns = 0;
    let mut from = 0;
    for (column, turn) in crossings {
        let was = is_inside(turns, clip.even_odd);
        turns += turn;
        let is = is_inside(turns, clip.even_odd);
        match (was, is) {
            (false, true) => from = column,
            (true, false) if column > from => inside.push((from - left, column - left)),
            _ => {}
        }
    }
    inside
}

fn is_inside(turns: i64, even_odd: bool) -> bool {
    if even_odd { turns % 2 != 0 } else { turns != 0 }
}

/// Both, in order.
fn common(one: &[Range], other: &[Range]) -> Vec<Range> {
    let mut both: Vec<Range> = one
        .iter()
        .flat_map(|a| other.iter().map(move |b| (a.0.max(b.0), a.1.min(b.1))))
        .filter(|(from, to)| from < to)
        .collect();
    both.sort_unstable();
    both
}

#[cfg(test)]
mod tests {
    use offstage_protocol::message::Rect;

    use super::super::shape;
    use super::*;

    fn clip(corners: &[[i32; 2]], even_odd: bool) -> Clip {
        Clip { corners: corners.iter().flatten().map(|at| at * 16).collect(), even_odd }
    }

    /// The pixels that are seen of a picture of 8 × 4 at 10, 20.
    fn check(clips: &[Clip], expected: [&str; 4]) {
        let rect = Rect { x: 10, y: 20, width: 8, height: 4 };
        let mut seen = vec![vec!['.'; 8]; 4];
        for piece in shape(&rect, &[rect], clips, 0, 0).map(|shape| shape.pieces).unwrap_or_default() {
            for y in piece.y..piece.y + i16::try_from(piece.height).unwrap() {
                for x in piece.x..piece.x + i16::try_from(piece.width).unwrap() {
                    let pixel = &mut seen[usize::try_from(y).unwrap()][usize::try_from(x).unwrap()];
                    assert_eq!(*pixel, '.', "twice");
                    *pixel = '#';
                }
            }
        }
        let seen: Vec<String> = seen.into_iter().map(String::from_iter).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn pixels_whose_middle_is_inside_are_seen() {
        check(&[], ["########"; 4]);
        check(
            &[clip(&[[12, 21], [16, 21], [16, 23], [12, 23]], false)],
            ["........", "..####..", "..####..", "........"],
        );
        check(
            &[clip(&[[10, 20], [18, 20], [10, 24]], false)],
            ["#######.", "#####...", "###.....", "#......."],
        );
        check(
            &[clip(&[[10, 20], [10, 24], [18, 20]], false)],
            ["#######.", "#####...", "###.....", "#......."],
        );
        check(&[Clip::default()], ["........"; 4]);
        check(&[clip(&[[0, 0], [40, 40]], false)], ["........"; 4]);
    }

    #[test]
    fn lines_that_cross_count_as_the_rule_says() {
        let twice = [[10, 20], [18, 20], [18, 24], [10, 24], [10, 21], [16, 21], [16, 23], [10, 23]];
        check(&[clip(&twice, true)], ["########", "......##", "......##", "########"]);
        check(&[clip(&twice, false)], ["########"; 4]);
    }

    #[test]
    fn what_is_in_all_outlines_is_seen() {
        let [one, other] = [[10, 14], [12, 18]]
            .map(|[left, right]| clip(&[[left, 20], [right, 20], [right, 24], [left, 24]], false));
        check(&[one, other], ["..##...."; 4]);
    }

    #[test]
    fn outlines_move_with_the_picture() {
        let mut clips = [clip(&[[2, 1], [6, 1], [6, 3], [2, 3]], false)];
        move_by(&mut clips, 10, 20);
        check(&clips, ["........", "..####..", "..####..", "........"]);
    }
}
