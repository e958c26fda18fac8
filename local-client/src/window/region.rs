//! From the page's rectangles to what a window system takes: pure arithmetic on hostile numbers.

use offstage_protocol::Span;
use offstage_protocol::message::{Clip, Rect};

use self::outline::Lines;

mod outline;

pub use self::outline::{is_too_much, move_by};

/// More rectangles than that are not drawn exactly by anybody; the picture is hidden instead.
pub const MAX_RECTANGLES: usize = 2048;
/// As many pieces has a picture that is cut by outlines at most.
const MAX_PIECES: usize = 16_384;
/// Largest side of a window.
pub const MAX_SIDE: u32 = 8192;
/// Coordinates further out than that can't be on a screen.
const MAX_OFFSET: i64 = 16384;

/// A rectangle inside a window that a window system accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub x: i16,
    pub y: i16,
    pub width: u16,
    pub height: u16,
}

/// A window's place in its parent and the parts of it that are seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    pub x: i16,
    pub y: i16,
    pub width: u16,
    pub height: u16,
    /// Relative to the window, never outside it; empty only for what is drawn ahead.
    pub pieces: Vec<Piece>,
}

/// The window for `rect`, of which is seen what is `visible` and inside of all `clips`; `None` when nothing can be shown.
///
/// All are moved by `(-left, -top)` first: the parent's origin in the rectangles' coordinates.
#[must_use]
pub fn shape(rect: &Rect, visible: &[Rect], clips: &[Clip], left: i32, top: i32) -> Option<Shape> {
    if visible.len() > MAX_RECTANGLES || is_too_much(clips) || !sensible(rect.width, rect.height) {
        return None;
    }
    let own = Span::of(rect);
    let moved = own.moved(-i64::from(left), -i64::from(top));
    let mut pieces: Vec<Piece> = visible.iter().filter_map(|part| piece_of(&Span::of(part), &own)).collect();
    if !clips.is_empty() {
        let lines = Lines::of(clips, own.left, own.top, rect.width, rect.height);
        pieces = lines.cut(&pieces);
    }
    if pieces.is_empty() || pieces.len() > MAX_PIECES {
        return None;
    }
    Some(Shape {
        x: within(moved.left)?,
        y: within(moved.top)?,
        width: u16::try_from(rect.width).ok()?,
        height: u16::try_from(rect.height).ok()?,
        pieces,
    })
}

/// Whether a picture of that size can have a window.
#[must_use]
pub fn sensible(width: u32, height: u32) -> bool {
    (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height)
}

fn within(offset: i64) -> Option<i16> {
    if offset.abs() > MAX_OFFSET { None } else { i16::try_from(offset).ok() }
}

/// The part of `span` inside `outer`, relative to `outer`.
fn piece_of(span: &Span, outer: &Span) -> Option<Piece> {
    let Span { left, top, right, bottom } = span.common(outer)?.moved(-outer.left, -outer.top);
    Some(Piece {
        x: i16::try_from(left).ok()?,
        y: i16::try_from(top).ok()?,
        width: u16::try_from(right - left).ok()?,
        height: u16::try_from(bottom - top).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rect(x: i32, y: i32, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    #[test]
    fn moves_and_clips_the_visible_parts() {
        let shape = shape(&rect(100, 200, 50, 40), &[rect(90, 210, 30, 100)], &[], 10, 20).unwrap();
        assert_eq!((shape.x, shape.y, shape.width, shape.height), (90, 180, 50, 40));
        assert_eq!(shape.pieces, [Piece { x: 0, y: 10, width: 20, height: 30 }]);
    }

    #[test]
    fn nothing_visible_gives_no_window() {
        assert_eq!(shape(&rect(0, 0, 10, 10), &[], &[], 0, 0), None);
        assert_eq!(shape(&rect(0, 0, 10, 10), &[rect(10, 0, 5, 5)], &[], 0, 0), None);
        assert_eq!(shape(&rect(0, 0, 0, 10), &[rect(0, 0, 5, 5)], &[], 0, 0), None);
    }

    #[test]
    fn what_no_window_can_be_gives_no_window() {
        assert_eq!(shape(&rect(0, 0, MAX_SIDE + 1, 10), &[rect(0, 0, 5, 5)], &[], 0, 0), None);
        assert_eq!(shape(&rect(i32::MAX, 0, 10, 10), &[rect(i32::MAX, 0, 5, 5)], &[], i32::MIN, 0), None);
        assert_eq!(shape(&rect(0, 0, 10, 10), &vec![rect(0, 0, 5, 5); MAX_RECTANGLES + 1], &[], 0, 0), None);
    }

    fn any_rect() -> impl Strategy<Value = Rect> {
        prop_oneof![
            (any::<i32>(), any::<i32>(), any::<u32>(), any::<u32>()),
            (-50..50_i32, -50..50_i32, 0..100_u32, 0..100_u32)
        ]
        .prop_map(|(x, y, width, height)| rect(x, y, width, height))
    }

    fn any_clip() -> impl Strategy<Value = Clip> {
        let corner = prop_oneof![any::<i32>(), -1600..3200_i32];
        (proptest::collection::vec(corner, 0..20), any::<bool>())
            .prop_map(|(corners, even_odd)| Clip { corners, even_odd })
    }

    proptest! {
        #[test]
        fn pieces_never_leave_the_window(outer in any_rect(), parts in proptest::collection::vec(any_rect(), 0..20),
                                         clips in proptest::collection::vec(any_clip(), 0..3),
                                         left in any::<i32>(), top in -50..50_i32) {
            if let Some(shape) = shape(&outer, &parts, &clips, left, top) {
                prop_assert!(!shape.pieces.is_empty());
                for piece in &shape.pieces {
                    prop_assert!(piece.x >= 0 && piece.y >= 0 && piece.width > 0 && piece.height > 0);
                    prop_assert!(i32::from(piece.x) + i32::from(piece.width) <= i32::from(shape.width));
                    prop_assert!(i32::from(piece.y) + i32::from(piece.height) <= i32::from(shape.height));
                }
            }
        }
    }
}
