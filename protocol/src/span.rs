//! Rectangles by their edges, for arithmetic on what the wire says.

use crate::message::Rect;

/// Edges wide enough that no sum of wire values overflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub left: i64,
    pub top: i64,
    pub right: i64,
    pub bottom: i64,
}

impl Span {
    #[must_use]
    pub fn of(rect: &Rect) -> Self {
        let (left, top) = (i64::from(rect.x), i64::from(rect.y));
        Self { left, top, right: left + i64::from(rect.width), bottom: top + i64::from(rect.height) }
    }

    /// `x` and `y` are sums of a few wire values at most.
    #[must_use]
    pub fn moved(self, x: i64, y: i64) -> Self {
        Self { left: self.left + x, top: self.top + y, right: self.right + x, bottom: self.bottom + y }
    }

    /// What both hold; `None` if that is nothing.
    #[must_use]
    pub fn common(&self, other: &Self) -> Option<Self> {
        let common = Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        };
        (common.left < common.right && common.top < common.bottom).then_some(common)
    }

    /// `None` for an empty one, and for what the wire can't say.
    #[must_use]
    pub fn rect(self) -> Option<Rect> {
        let side = |from: i64, to: i64| u32::try_from(to - from).ok().filter(|side| *side > 0);
        Some(Rect {
            x: i32::try_from(self.left).ok()?,
            y: i32::try_from(self.top).ok()?,
            width: side(self.left, self.right)?,
            height: side(self.top, self.bottom)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::{prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn what_only_touches_has_nothing_in_common() {
        let span = |x, width| Span::of(&Rect { x, y: 0, width, height: 5 });
        assert_eq!(span(0, 10).common(&span(10, 5)), None);
        assert_eq!(span(0, 10).common(&span(8, 5)), Some(span(8, 2)));
    }

    proptest! {
        #[test]
        fn what_is_moved_there_and_back_is_the_same(n in any::<(i32, i32, u32, u32)>(), x in any::<i32>(), y in any::<i32>()) {
            let rect = Rect { x: n.0, y: n.1, width: n.2.max(1), height: n.3.max(1) };
            let (x, y) = (i64::from(x), i64::from(y));
            prop_assert_eq!(Span::of(&rect).moved(x, y).moved(-x, -y).rect(), Some(rect));
        }
    }
}
