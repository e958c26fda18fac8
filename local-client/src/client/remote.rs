//! Pictures in the window of a remote desktop, which shows all of the session's screen, scaled to its own size.

use offstage_protocol::FEATURE_REMOTE_WINDOW;
use offstage_protocol::FEATURE_SINGLE_WINDOWS;
use offstage_protocol::Monotonic;
use offstage_protocol::message::Clip;
use offstage_protocol::message::Rect;
use offstage_protocol::message::SetGeometry;
use offstage_protocol::message::Turn;
use offstage_protocol::message::Veil;
use offstage_protocol::message::WindowHint;

use super::Client;

/// Corners of outlines are told in parts of a pixel.
const PARTS: i64 = 16;

/// What the pictures lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Surface {
    /// The browser's own window.
    #[default]
    Browser,
    /// A remote desktop's window of that size; `None` while it isn't there.
    Remote(Option<(u32, u32)>),
    /// Windows that each show one of the session's, as large as it is there.
    Single,
    /// A page that shows all of the session's screen, and scales what lies on it by itself.
    Canvas,
}

impl Client {
    /// All pictures lie in a remote desktop's window, of which [`WindowEvent::Bound`](crate::window::WindowEvent::Bound) tells. To be
    /// called before sessions come: it is told them.
    pub fn show_in_remote_window(&mut self) {
        self.surface = Surface::Remote(None);
    }

    /// Each picture lies in the window that shows the window of the session in which it is. To be called before sessions come: it is told
    /// them.
    pub fn show_in_single_windows(&mut self) {
        self.surface = Surface::Single;
    }

    /// All pictures lie in a page that shows the session's screen. To be called before sessions come: it is told them.
    pub fn show_in_page(&mut self) {
        self.surface = Surface::Canvas;
    }

    /// The remote desktop's window has that size now, or is gone.
    pub(super) fn bound(&mut self, now: Monotonic, size: Option<(u32, u32)>) {
        if !matches!(self.surface, Surface::Remote(_)) {
            return;
        }
        self.surface = Surface::Remote(size);
        let players: Vec<u32> = self.players.keys().copied().collect();
        for player in players {
            if let Some(state) = self.players.get_mut(&player) {
                let steps = state.picture.handle_surface(now, self.surface);
                self.carry_out(player, steps);
            }
        }
    }
}

impl Surface {
    /// What the sessions are told of it.
    pub(super) fn features(self) -> &'static [&'static str] {
        match self {
            Self::Browser => &[],
            Self::Remote(_) | Self::Canvas => &[FEATURE_REMOTE_WINDOW],
            Self::Single => &[FEATURE_REMOTE_WINDOW, FEATURE_SINGLE_WINDOWS],
        }
    }

    /// A place on this surface from what the session tells of its own screen; `None` where nobody can say.
    pub(crate) fn place(self, geometry: &SetGeometry) -> Option<SetGeometry> {
        if matches!(self, Self::Browser | Self::Canvas) {
            return Some(geometry.clone());
        }
        let hint = geometry.window.as_ref()?;
        let (screen, outer) = (hint.screen?, hint.outer?);
        let Self::Remote(size) = self else { return Some(geometry.clone()) };
        let size = size?;
        let origin = |outer: i32, viewport: i32, screen: i32| {
            i64::from(outer) + i64::from(viewport) - i64::from(screen)
        };
        let scale = Scale {
            x: Axis::new(origin(outer.x, hint.viewport_x, screen.x), screen.width, size.0)?,
            y: Axis::new(origin(outer.y, hint.viewport_y, screen.y), screen.height, size.1)?,
        };
        let visible = geometry.visible.iter().map(|part| scale.rect(part));
        Some(SetGeometry {
            rect: geometry.rect.as_ref().map(|rect| scale.rect(rect)),
            visible: visible.filter(|part| part.width > 0 && part.height > 0).collect(),
            clips: geometry.clips.iter().map(|clip| scale.clip(clip)).collect(),
            turn: geometry
                .turn
                .as_ref()
                .map(|turn| scale.turn(turn))
                .or_else(|| scale.stretch(geometry.rect?)),
            veils: geometry.veils.iter().map(|veil| scale.veil(veil)).collect(),
            window: Some(WindowHint::default()),
            ..geometry.clone()
        })
    }
}

/// From a viewport to the remote desktop's window.
#[derive(Debug, Clone, Copy)]
struct Scale {
    x: Axis,
    y: Axis,
}

/// One direction: smart sizing stretches each to the window's.
#[derive(Debug, Clone, Copy)]
struct Axis {
    /// Where the viewport begins on the screen.
    origin: i64,
    /// The screen's length, and the window's.
    from: i64,
    to: i64,
}

impl Axis {
    fn new(origin: i64, from: u32, to: u32) -> Option<Self> {
        // No screen and no window is longer; the products below stay far from overflow.
        let fits = |length: u32| (1..=0xffff).contains(&length).then_some(i64::from(length));
        Some(Self { origin, from: fits(from)?, to: fits(to)? })
    }

    /// The nearest pixel's edge. Each edge is rounded for itself, so neighbours stay neighbours.
    fn edge(self, at: i64) -> i32 {
        self.part(at, 1)
    }

    /// The same in parts of a pixel.
    fn part(self, at: i64, parts: i64) -> i32 {
        let scaled = (at + self.origin * parts) * self.to;
        let rounded = (2 * scaled + self.from).div_euclid(2 * self.from);
        i32::try_from(rounded).unwrap_or(if rounded < 0 { i32::MIN } else { i32::MAX })
    }

    fn span(self, at: i32, length: u32) -> (i32, u32) {
        let (from, to) = (self.edge(at.into()), self.edge(i64::from(at) + i64::from(length)));
        (from, to.saturating_sub(from).unsigned_abs())
    }

    #[expect(clippy::cast_precision_loss, reason = "both have 16 bits")]
    fn factor(self) -> f64 {
        self.to as f64 / self.from as f64
    }
}

impl Scale {
    fn rect(&self, rect: &Rect) -> Rect {
        let (x, width) = self.x.span(rect.x, rect.width);
        let (y, height) = self.y.span(rect.y, rect.height);
        Rect { x, y, width, height }
    }

    fn clip(&self, clip: &Clip) -> Clip {
        let axes = [self.x, self.y].into_iter().cycle();
        let corners = clip.corners.iter().zip(axes).map(|(at, axis)| axis.part(i64::from(*at), PARTS));
        Clip { corners: corners.collect(), even_odd: clip.even_odd }
    }

    /// Relative to a picture's corner; lengths in its texts have no direction, and take the middle of both.
    fn veil(&self, veil: &Veil) -> Veil {
        let (x, y) = (self.x.factor(), self.y.factor());
        let middle = f64::midpoint(x, y);
        Veil {
            x: scaled(veil.x.into(), x),
            y: scaled(veil.y.into(), y),
            width: scaled(veil.width.into(), x).unsigned_abs(),
            height: scaled(veil.height.into(), y).unsigned_abs(),
            background: scaled_lengths(&veil.background, middle),
            radius: scaled_lengths(&veil.radius, middle),
            opacity: veil.opacity,
        }
    }

    /// A box that keeps its proportions is laid out as large as it gets. One that doesn't is laid out as in the session and stretched,
    /// so that `object-fit` fits the video into the box that the page means.
    fn stretch(&self, rect: Rect) -> Option<Turn> {
        let (a, d) = (self.x.factor(), self.y.factor());
        let [width, height] = [rect.width, rect.height].map(f64::from);
        let is_stretched = (a - d).abs() * width.max(height) > 1.0;
        is_stretched.then_some(Turn { width, height, a, b: 0.0, c: 0.0, d, e: 0.0, f: 0.0 })
    }

    /// The box is laid out as large as in the session; scaling is one more factor of the matrix.
    fn turn(&self, turn: &Turn) -> Turn {
        let (x, y) = (self.x.factor(), self.y.factor());
        let Turn { a, b, c, d, e, f, .. } = *turn;
        Turn { a: a * x, b: b * y, c: c * x, d: d * y, e: e * x, f: f * y, ..*turn }
    }
}

fn scaled(length: i64, factor: f64) -> i32 {
    // INVARIANT: `as` saturates where a session has told lengths beyond all screens.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::as_conversions,
        reason = "see above"
    )]
    let scaled = (length as f64 * factor).round() as i32;
    scaled
}

/// CSS text with its lengths in pixels made longer or shorter.
fn scaled_lengths(text: &str, factor: f64) -> String {
    let mut parts = text.split("px").peekable();
    let mut all = String::new();
    while let Some(part) = parts.next() {
        let number = part.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.').len();
        let (before, length) = part.split_at(number);
        match length.parse::<f64>() {
            Ok(length) if parts.peek().is_some() => {
                all.push_str(before);
                all.push_str(&format!("{:.3}px", length * factor));
            }
            Ok(_) | Err(_) => {
                all.push_str(part);
                if parts.peek().is_some() {
                    all.push_str("px");
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::Strategy;
    use proptest::prelude::any;
    use proptest::prelude::prop_oneof;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::*;

    fn rect(x: i32, y: i32, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    /// A viewport at 100, 80 of a screen of 1280x1024 that begins at `left`.
    fn told(left: i32, visible: &[Rect]) -> SetGeometry {
        let hint = WindowHint {
            outer: Some(rect(100 + left, 40, 1000, 800)),
            viewport_y: 40,
            screen: Some(rect(left, 0, 1280, 1024)),
            ..WindowHint::default()
        };
        SetGeometry {
            rect: visible.first().copied(),
            visible: visible.to_vec(),
            window: Some(hint),
            ..SetGeometry::default()
        }
    }

    fn check(size: (u32, u32), left: i32, visible: &[Rect], expected: &[Rect]) {
        let placed = Surface::Remote(Some(size)).place(&told(left, visible)).unwrap();
        assert_eq!((placed.rect, placed.visible.as_slice()), (expected.first().copied(), expected));
        assert_eq!(placed.window, Some(WindowHint::default()), "the window itself is known");
    }

    #[test]
    fn lengths_in_texts_are_scaled_and_nothing_else_of_them() {
        assert_eq!(
            scaled_lengths("linear-gradient(90deg, red 10.5px, rgb(1, 2, 3) 50%)", 2.0),
            "linear-gradient(90deg, red 21.000px, rgb(1, 2, 3) 50%)"
        );
        assert_eq!(scaled_lengths("4px 8px", 0.5), "2.000px 4.000px");
        for other in ["", "px", "50%", "rgba(0, 0, 0, 0.5)", "apx.px"] {
            assert_eq!(scaled_lengths(other, 2.0), other);
        }
    }

    #[test]
    fn a_window_as_large_as_the_screen_shows_things_where_they_are() {
        check((1280, 1024), 0, &[rect(10, 20, 100, 50)], &[rect(110, 100, 100, 50)]);
        check((1280, 1024), -1920, &[rect(10, 20, 100, 50)], &[rect(110, 100, 100, 50)]);
    }

    #[test]
    fn smart_sizing_stretches_each_direction_by_itself() {
        check((960, 512), 0, &[rect(10, 20, 100, 50)], &[rect(83, 50, 75, 25)]);
    }

    #[test]
    fn neighbours_stay_neighbours() {
        let parts = [rect(0, 0, 7, 5), rect(7, 0, 1, 5), rect(8, 0, 3, 5)];
        let placed = Surface::Remote(Some((853, 683))).place(&told(0, &parts)).unwrap().visible;
        for pair in placed.windows(2) {
            assert_eq!(pair[0].x + i32::try_from(pair[0].width).unwrap(), pair[1].x);
        }
    }

    #[test]
    fn outlines_and_turned_boxes_are_scaled_with_the_place() {
        let clips = vec![Clip { corners: vec![0, 0, 160, 16], even_odd: true }];
        let turn = Turn { width: 4.0, height: 3.0, a: 1.0, b: 2.0, c: 3.0, d: 4.0, e: 5.0, f: 6.0 };
        let geometry = SetGeometry { clips, turn: Some(turn), ..told(0, &[rect(0, 0, 9, 9)]) };
        let placed = Surface::Remote(Some((640, 2048))).place(&geometry).unwrap();
        assert_eq!(placed.clips[0].corners, [50 * 16, 160 * 16, 55 * 16, 162 * 16]);
        let turned = Turn { a: 0.5, b: 4.0, c: 1.5, d: 8.0, e: 2.5, f: 12.0, ..turn };
        assert_eq!(placed.turn, Some(turned));
    }

    #[test]
    fn a_box_that_loses_its_proportions_is_stretched_as_a_whole() {
        let turn = |size| Surface::Remote(Some(size)).place(&told(0, &[rect(0, 0, 100, 50)])).unwrap().turn;
        let stretched = Turn { width: 100.0, height: 50.0, a: 0.5, b: 0.0, c: 0.0, d: 2.0, e: 0.0, f: 0.0 };
        assert_eq!(turn((640, 2048)), Some(stretched));
        assert_eq!(turn((960, 768)), None);
        assert_eq!(turn((960, 770)), None, "less than a pixel");
    }

    #[test]
    fn without_a_window_or_the_sessions_screen_there_is_no_place() {
        let geometry = told(0, &[rect(10, 20, 100, 50)]);
        assert_eq!(Surface::Remote(None).place(&geometry), None);
        assert_eq!(Surface::Remote(Some((0, 5))).place(&geometry), None);
        let hint = geometry.window.map(|hint| WindowHint { screen: None, ..hint });
        assert_eq!(
            Surface::Remote(Some((5, 5))).place(&SetGeometry { window: hint, ..geometry.clone() }),
            None
        );
        for surface in [Surface::Browser, Surface::Single] {
            assert_eq!(surface.place(&geometry), Some(geometry.clone()), "where the session has it");
        }
        let unsure = SetGeometry { window: Some(WindowHint::default()), ..geometry };
        assert_eq!(Surface::Single.place(&unsure), None);
    }

    fn any_rect() -> impl Strategy<Value = Rect> {
        prop_oneof![
            (any::<i32>(), any::<i32>(), any::<u32>(), any::<u32>()),
            (-50..50_i32, -50..50_i32, 0..5000_u32, 0..5000_u32)
        ]
        .prop_map(|(x, y, width, height)| rect(x, y, width, height))
    }

    proptest! {
        #[test]
        fn any_numbers_give_an_answer(
            rects in proptest::collection::vec(any_rect(), 3),
            viewport in (any::<i32>(), any::<i32>()),
            corners in proptest::collection::vec(any::<i32>(), 0..9),
            size in (any::<u32>(), 1..70_000_u32),
        ) {
            let mut geometry = told(0, &rects[..1]);
            let hint = geometry.window.as_mut().unwrap();
            (hint.outer, hint.screen) = (Some(rects[1]), Some(rects[2]));
            (hint.viewport_x, hint.viewport_y) = viewport;
            geometry.clips = vec![Clip { corners: corners.clone(), even_odd: false }];
            if let Some(placed) = Surface::Remote(Some(size)).place(&geometry) {
                prop_assert_eq!(placed.clips[0].corners.len(), corners.len());
            }
        }
    }
}
