//! Where the browser's windows are on the session's screen, and what lies over them, for a device whose client shows all of that screen.
//!
//! The bridge sees the windows exactly; a page knows only roughly where its own is. The one that fits the page's word best is taken,
//! and what the page has told is put right by it. All boxes are in physical pixels of the session's screen.

use offstage_protocol::Span;
use offstage_protocol::message::{Rect, SessionWindow, SessionWindows, SetGeometry};

/// A window may differ so much from what the page says: it may just be resized.
const TOLERANCE: u64 = 400;
/// So little does the page's word on a window that stands still differ from what the bridge sees. Windows that fit equally well can't be
/// told apart.
const SAME: u64 = 8;
/// No window's shadow or frame is wider.
const WIDEST_BORDER: i64 = 512;
/// Most characters of a page's title that are compared.
pub(super) const MOST_TITLE: usize = 60;
/// Most pieces of a picture: more are not drawn by the device.
const MOST_PIECES: usize = 2000;

/// What became of a picture's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is exact now, or hidden for a reason that ends.
    Placed,
    /// No window is known that it can be in.
    Lost,
}

/// Puts right a place that the page of that title has told by what the bridge sees; `None` for the windows means that it hasn't told yet.
/// `single`: the device has a window for each of these, and itself knows what covers which.
pub(super) fn bind(
    geometry: &mut SetGeometry,
    title: &str,
    windows: Option<&SessionWindows>,
    single: bool,
) -> Fate {
    let Some(windows) = windows else {
        geometry.visible.clear();
        return Fate::Placed;
    };
    let told = geometry.window.as_ref().and_then(|hint| hint.outer);
    let fitting = told.map_or_else(Vec::new, |told| fitting(&told, title, &windows.windows));
    let (Some(screen), Some(hint), Some((own, window))) =
        (windows.screen, geometry.window.as_mut(), fitting.first())
    else {
        geometry.visible.clear();
        return Fate::Lost;
    };
    hint.outer = Some(*own);
    hint.screen = Some(screen);
    if !hint.calibrated {
        hint.viewport_y = hint.viewport_y.saturating_sub(lower(own, window));
        hint.calibrated = true;
    }
    let left = i64::from(own.x) + i64::from(hint.viewport_x);
    let top = i64::from(own.y) + i64::from(hint.viewport_y);
    let pieces: Vec<Span> = geometry.visible.iter().map(|rect| Span::of(rect).moved(left, top)).collect();
    let mut seen = fitting.iter().map(|(_, window)| seen_in(window, &pieces));
    let first = seen.next().unwrap_or_default();
    // Windows that lie exactly over each other can be mistaken for each other, and what is seen in the upper one is not in the lower.
    if seen.any(|other| other != first) {
        geometry.visible.clear();
        return Fate::Lost;
    }
    let is_shown = fitting.first().is_some_and(|(_, window)| window.shown);
    let pieces = if single && is_shown { pieces } else { first };
    geometry.visible = pieces.iter().filter_map(|piece| piece.moved(-left, -top).rect()).collect();
    Fate::Placed
}

/// How much lower than it is a page takes its viewport to be in that rectangle: it knows its borders at the sides, and takes the one at the
/// bottom to be as wide.
fn lower(own: &Rect, window: &SessionWindow) -> i32 {
    let Some(inner) = window.inner.map(|inner| Span::of(&inner)) else { return 0 };
    let own = Span::of(own);
    let (left, bottom) = (inner.left - own.left, own.bottom - inner.bottom);
    let is_border = |width: i64| (0..=WIDEST_BORDER).contains(&width);
    if is_border(left) && is_border(bottom) { i32::try_from(bottom - left).unwrap_or(0) } else { 0 }
}

/// What of the pieces is seen, if they are in that window.
fn seen_in(window: &SessionWindow, pieces: &[Span]) -> Vec<Span> {
    let mut pieces = if window.shown { pieces.to_vec() } else { Vec::new() };
    for covered in &window.covered {
        pieces = without(&pieces, &Span::of(covered));
        if pieces.len() > MOST_PIECES {
            pieces.clear();
        }
    }
    pieces
}

/// The windows that fit what the page calls outer, each with the rectangle that is meant: itself, or with its frame. If windows have the
/// page's title it is one of them. Several only if they fit equally well.
fn fitting<'a>(told: &Rect, title: &str, windows: &'a [SessionWindow]) -> Vec<(Rect, &'a SessionWindow)> {
    let mut fitting: Vec<(u64, Rect, &SessionWindow)> = windows
        .iter()
        .filter_map(|window| {
            let candidates = [window.inner, window.outer].into_iter().flatten();
            let (misfit, own) =
                candidates.map(|own| (misfit(told, &own), own)).min_by_key(|(misfit, _)| *misfit)?;
            (misfit <= TOLERANCE).then_some((misfit, own, window))
        })
        .collect();
    if fitting.iter().any(|(.., window)| is_titled(window, title)) {
        fitting.retain(|(.., window)| is_titled(window, title));
    }
    let best = fitting.iter().map(|(misfit, ..)| *misfit).min().unwrap_or(0);
    let same = fitting.into_iter().filter(|(misfit, ..)| *misfit <= best + SAME);
    same.map(|(_, own, window)| (own, window)).collect()
}

/// Browsers show the title of the page, and their own name after it.
fn is_titled(window: &SessionWindow, title: &str) -> bool {
    let rest = window.title.strip_prefix(title).filter(|_| !title.is_empty());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" -") || title.chars().count() >= MOST_TITLE)
}

/// How badly a rectangle fits. Size counts more than place, because the place is older news.
fn misfit(told: &Rect, own: &Rect) -> u64 {
    let sizes = u64::from(told.width.abs_diff(own.width)) + u64::from(told.height.abs_diff(own.height));
    let places = u64::from(told.x.abs_diff(own.x)) + u64::from(told.y.abs_diff(own.y));
    sizes + places.min(512).div_ceil(8)
}

/// What `hole` leaves of the pieces: rows above and below it, and what is left and right of it between them.
fn without(pieces: &[Span], hole: &Span) -> Vec<Span> {
    let mut left_over = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let Some(cut) = piece.common(hole) else {
            left_over.push(*piece);
            continue;
        };
        let parts = [
            Span { bottom: cut.top, ..*piece },
            Span { left: piece.left, right: cut.left, ..cut },
            Span { left: cut.right, right: piece.right, ..cut },
            Span { top: cut.bottom, ..*piece },
        ];
        left_over.extend(parts.into_iter().filter(|part| part.left < part.right && part.top < part.bottom));
    }
    left_over
}

#[cfg(test)]
mod tests {
    use offstage_protocol::message::WindowHint;
    use proptest::prelude::{Strategy, any, prop, prop_oneof};
    use proptest::{prop_assert, proptest};

    use super::*;

    const SCREEN: Rect = Rect { x: 0, y: 0, width: 1280, height: 1024 };
    const INNER: Rect = Rect { x: 61, y: 60, width: 1000, height: 800 };
    const OUTER: Rect = Rect { x: 60, y: 40, width: 1002, height: 825 };

    fn rect(x: i32, y: i32, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    fn window(inner: Rect, outer: Rect, covered: &[Rect]) -> SessionWindow {
        SessionWindow {
            inner: Some(inner),
            outer: Some(outer),
            shown: true,
            covered: covered.to_vec(),
            title: "Film - Chromium".to_owned(),
        }
    }

    fn seen(windows: Vec<SessionWindow>) -> SessionWindows {
        SessionWindows { seq: 1, screen: Some(SCREEN), windows }
    }

    /// A picture of 100x50 at 10, 20 of a viewport that begins at 0, 87 of the window.
    fn told(outer: Rect) -> SetGeometry {
        let picture = rect(10, 20, 100, 50);
        let hint = WindowHint { outer: Some(outer), viewport_y: 87, ..WindowHint::default() };
        SetGeometry {
            rect: Some(picture),
            visible: vec![picture],
            window: Some(hint),
            ..SetGeometry::default()
        }
    }

    fn check(outer: Rect, windows: Vec<SessionWindow>, fate: Fate, at: Option<Rect>, visible: &[Rect]) {
        let mut geometry = told(outer);
        assert_eq!(bind(&mut geometry, "Film", Some(&seen(windows)), false), fate);
        let hint = geometry.window.unwrap();
        assert_eq!(geometry.visible, visible);
        if let Some(at) = at {
            // The frame is four pixels wider at the bottom than at the left.
            let top = if at == OUTER { 83 } else { 87 };
            assert_eq!((hint.outer, hint.screen, hint.viewport_y), (Some(at), Some(SCREEN), top));
        }
    }

    #[test]
    fn the_page_may_mean_the_window_or_its_frame() {
        let whole = [rect(10, 20, 100, 50)];
        check(rect(60, 60, 1000, 800), vec![window(INNER, OUTER, &[])], Fate::Placed, Some(INNER), &whole);
        check(rect(50, 40, 1002, 825), vec![window(INNER, OUTER, &[])], Fate::Placed, Some(OUTER), &whole);
    }

    #[test]
    fn the_pages_guess_of_where_it_is_in_a_shadow_is_put_right_and_the_pointers_word_is_not() {
        let whole = rect(45, 50, 1032, 842);
        for (calibrated, top) in [(false, 71), (true, 87)] {
            let mut geometry = told(whole);
            geometry.window.as_mut().unwrap().calibrated = calibrated;
            bind(&mut geometry, "Film", Some(&seen(vec![window(INNER, whole, &[])])), false);
            let hint = geometry.window.unwrap();
            assert_eq!((hint.outer, hint.viewport_y, hint.calibrated), (Some(whole), top, true));
        }
    }

    #[test]
    fn what_lies_over_the_browser_is_cut_out() {
        // The picture is at 71, 167 of the screen.
        let covered = [rect(91, 0, 20, 1024), rect(0, 187, 1280, 10)];
        let left = [rect(10, 20, 20, 20), rect(10, 50, 20, 20), rect(50, 20, 60, 20), rect(50, 50, 60, 20)];
        let mut geometry = told(INNER);
        bind(&mut geometry, "Film", Some(&seen(vec![window(INNER, OUTER, &covered)])), false);
        geometry.visible.sort_by_key(|rect| (rect.x, rect.y));
        assert_eq!(geometry.visible, left);
        check(INNER, vec![window(INNER, OUTER, &[SCREEN])], Fate::Placed, Some(INNER), &[]);
    }

    #[test]
    fn a_window_that_is_not_on_the_screen_shows_no_picture() {
        let minimised = SessionWindow { shown: false, ..window(INNER, OUTER, &[]) };
        check(INNER, vec![minimised], Fate::Placed, Some(INNER), &[]);
    }

    #[test]
    fn the_window_whose_size_fits_is_taken_wherever_it_is() {
        let smaller = window(rect(61, 60, 700, 500), rect(60, 40, 702, 525), &[SCREEN]);
        let moved = rect(300, 200, 1000, 800);
        let whole = [rect(10, 20, 100, 50)];
        check(INNER, vec![smaller, window(moved, moved, &[])], Fate::Placed, Some(moved), &whole);
    }

    #[test]
    fn no_fitting_window_shows_nothing() {
        check(INNER, vec![], Fate::Lost, None, &[]);
        check(INNER, vec![window(rect(0, 0, 400, 300), rect(0, 0, 402, 325), &[])], Fate::Lost, None, &[]);
        let mut geometry = told(INNER);
        assert_eq!(bind(&mut geometry, "Film", None, false), Fate::Placed, "nobody knows yet");
        assert_eq!(geometry.visible, []);
    }

    #[test]
    fn windows_that_lie_over_each_other_are_not_mistaken_for_each_other() {
        let lower = window(INNER, OUTER, &[INNER]);
        check(INNER, vec![window(INNER, OUTER, &[]), lower.clone()], Fate::Lost, Some(INNER), &[]);
        check(INNER, vec![lower.clone(), lower.clone()], Fate::Placed, Some(INNER), &[]);
        let mut upper = window(INNER, OUTER, &[]);
        upper.title = "Film club - Chromium".to_owned();
        check(INNER, vec![upper.clone(), lower.clone()], Fate::Placed, Some(INNER), &[]);
        let mine = SessionWindow { title: lower.title.clone(), ..upper };
        let other = SessionWindow { title: "News - Chromium".to_owned(), ..lower };
        check(INNER, vec![other, mine], Fate::Placed, Some(INNER), &[rect(10, 20, 100, 50)]);
    }

    #[test]
    fn what_covers_a_single_window_is_the_devices_business() {
        let check = |windows: Vec<SessionWindow>, fate: Fate, visible: &[Rect]| {
            let mut geometry = told(INNER);
            assert_eq!(bind(&mut geometry, "Film", Some(&seen(windows)), true), fate);
            assert_eq!(geometry.visible, visible);
        };
        let whole = [rect(10, 20, 100, 50)];
        let covered = window(INNER, OUTER, &[SCREEN]);
        check(vec![covered.clone()], Fate::Placed, &whole);
        check(vec![SessionWindow { shown: false, ..covered.clone() }], Fate::Placed, &[]);
        // The device could not tell them apart either.
        check(vec![window(INNER, OUTER, &[]), covered], Fate::Lost, &[]);
    }

    fn any_rect() -> impl Strategy<Value = Rect> {
        prop_oneof![
            (any::<i32>(), any::<i32>(), any::<u32>(), any::<u32>()),
            (-50..50_i32, -50..50_i32, 0..100_u32, 0..100_u32)
        ]
        .prop_map(|(x, y, width, height)| rect(x, y, width, height))
    }

    fn any_window() -> impl Strategy<Value = SessionWindow> {
        let optional = || prop::option::of(any_rect());
        (optional(), optional(), any::<bool>(), prop::collection::vec(any_rect(), 0..20)).prop_map(
            |(inner, outer, shown, covered)| SessionWindow {
                inner,
                outer,
                shown,
                covered,
                title: String::new(),
            },
        )
    }

    proptest! {
        #[test]
        fn nothing_that_is_covered_is_seen(
            own in (-50..50_i32, -50..50_i32, 0..100_u32, 0..100_u32),
            covered in prop::collection::vec((-50..50_i32, -50..50_i32, 0..60_u32, 0..60_u32), 0..12),
            at in (-60..160_i32, -60..160_i32),
        ) {
            let holds = |rect: &Rect, x: i32, y: i32| Span::of(rect).left <= x.into() && i64::from(x) < Span::of(rect).right
                && Span::of(rect).top <= y.into() && i64::from(y) < Span::of(rect).bottom;
            let covered: Vec<Rect> = covered.into_iter().map(|(x, y, w, h)| rect(x, y, w, h)).collect();
            let picture = rect(own.0, own.1, own.2, own.3);
            let mut geometry = told(rect(0, 0, 500, 500));
            geometry.window.as_mut().unwrap().viewport_y = 0;
            geometry.visible = vec![picture];
            let windows = seen(vec![window(rect(0, 0, 500, 500), rect(0, 0, 500, 500), &covered)]);
            bind(&mut geometry, "Film", Some(&windows), false);
            let is_seen = geometry.visible.iter().filter(|piece| holds(piece, at.0, at.1)).count();
            let should = holds(&picture, at.0, at.1) && !covered.iter().any(|hole| holds(hole, at.0, at.1));
            prop_assert!(is_seen == usize::from(should));
        }

        #[test]
        fn any_numbers_give_an_answer(
            outer in prop::option::of(any_rect()),
            viewport in (any::<i32>(), any::<i32>()),
            visible in prop::collection::vec(any_rect(), 0..20),
            screen in prop::option::of(any_rect()),
            windows in prop::collection::vec(any_window(), 0..6),
            single in any::<bool>(),
        ) {
            let mut geometry = told(INNER);
            let hint = geometry.window.as_mut().unwrap();
            (hint.outer, hint.viewport_x, hint.viewport_y) = (outer, viewport.0, viewport.1);
            geometry.visible = visible;
            bind(&mut geometry, "Film", Some(&SessionWindows { seq: 0, screen, windows }), single);
            prop_assert!(geometry.visible.len() <= MOST_PIECES);
        }
    }
}
