//! Frames: where in the page's top viewport a player is that may be any number of frames below it.
//!
//! A relay knows its own viewport only. It tells where its elements are in it and, asked for, where the frames in it are; a
//! document around a player that has no relay (it isn't covered, or nothing has played in it) is given one for as long. Which
//! frame is inside of which is the browser's word. All boxes here are in physical pixels.

use std::collections::VecDeque;
use std::time::Duration;

use offstage_protocol::{Monotonic, SortedMap};

use super::Output;
use crate::hook::{Box4, Child, FrameReport, Geometry, Place, RelayCommand, WindowReport};
use crate::shape::{self, Node, Shape, Unmatched, half_up};

const NOTHING: Box4 = Box4 { x: 0.0, y: 0.0, width: 0.0, height: 0.0 };
/// Longest chain of frames and most frames of one report that are looked at.
const MOST_DEEP: usize = 32;
const MOST_CHILDREN: usize = 100;
/// A frame that hasn't told for this long may be elsewhere by now; the client hides as late (`STALE_AFTER`).
const STALE: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Frame {
    tab: i32,
    frame: i32,
    /// The frame whose ancestors the browser has been asked for: it, or the one above.
    asked: Option<i32>,
    /// From its parent to the top.
    ancestors: Option<Vec<i32>>,
    report: Option<(Monotonic, FrameReport)>,
    told: Vec<Child>,
}

/// The documents that have a relay, by the relay's number.
#[derive(Debug, Default)]
pub(super) struct Frames {
    frames: SortedMap<u32, Frame>,
    /// Frames that a relay is on its way to.
    injected: Vec<(i32, i32)>,
    /// What was last told of a window's bars.
    pub(super) bars: Option<[f64; 3]>,
}

/// Where something is in the page's viewport; by default nowhere.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Located {
    pub(super) rect: Option<Box4>,
    pub(super) visible: Vec<Box4>,
    pub(super) shape: Shape,
    /// The rectangle is the video's own, which it fills.
    pub(super) fills: bool,
    pub(super) window: Option<WindowReport>,
    /// Where its own frame's viewport is and how much larger it is drawn; none if that is turned.
    pub(super) lift: Option<(Box4, f64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nowhere {
    /// For now nobody can say.
    Late,
    Unknown,
    /// Its style is beyond what a device can show.
    Unmatched,
}

impl From<Unmatched> for Nowhere {
    fn from(_: Unmatched) -> Self {
        Self::Unmatched
    }
}

impl Frames {
    pub(super) fn opened(&mut self, relay: u32, tab: i32, frame: i32) {
        self.injected.retain(|at| *at != (tab, frame));
        let ancestors = (frame == 0).then(Vec::new);
        self.frames
            .insert(relay, Frame { tab, frame, asked: None, ancestors, report: None, told: Vec::new() });
    }

    pub(super) fn closed(&mut self, relay: u32) {
        self.frames.remove(&relay);
    }

    pub(super) fn handle_report(&mut self, now: Monotonic, relay: u32, mut report: FrameReport) {
        report.children.truncate(MOST_CHILDREN);
        self.bars = report.window.and_then(|window| window.bars).or(self.bars);
        if let Some(frame) = self.frames.get_mut(&relay) {
            frame.report = Some((now, report));
        }
    }

    /// The browser's word on the frames around `frame`; empty if it doesn't know it, or it is the top.
    pub(super) fn handle_ancestors(&mut self, tab: i32, frame: i32, chain: &[i32]) {
        for known in self.frames.values_mut().filter(|known| known.tab == tab && known.asked == Some(frame)) {
            let mut chain = chain.to_vec();
            if known.frame != frame {
                chain.insert(0, frame);
            }
            known.ancestors = (chain.last() == Some(&0) && chain.len() <= MOST_DEEP).then_some(chain);
        }
    }

    /// The other documents of the relay's tab.
    pub(super) fn others(&self, relay: u32) -> Vec<u32> {
        let tab = self.frames.get(&relay).map(|frame| frame.tab);
        let is_other = |(id, frame): &(&u32, &Frame)| **id != relay && Some(frame.tab) == tab;
        self.frames.iter().filter(is_other).map(|(id, _)| *id).collect()
    }

    pub(super) fn locate(&self, now: Monotonic, relay: u32, geometry: &Geometry) -> Result<Located, Nowhere> {
        let mut inner = self.frames.get(&relay).ok_or(Nowhere::Unknown)?;
        let mut at = own(geometry)?;
        for parent in inner.ancestors.as_ref().ok_or(Nowhere::Unknown)? {
            let outer = self.at(inner.tab, *parent).ok_or(Nowhere::Unknown)?;
            let (_, inside) = inner.report.as_ref().ok_or(Nowhere::Unknown)?;
            let (told_at, around) = outer.report.as_ref().ok_or(Nowhere::Unknown)?;
            if now.since(*told_at) >= STALE {
                return Err(Nowhere::Late);
            }
            let child = around.children.iter().find(|child| child.frame == inner.frame);
            let Place { rect, visible, nodes, ground } = &child.ok_or(Nowhere::Unknown)?.place;
            if visible.is_empty() {
                at.visible.clear();
            } else {
                let frame = shape_of(nodes, *ground, &Geometry::default())?;
                if let Some(turn) = &frame.turn {
                    let own = at.rect.ok_or(Nowhere::Unknown)?;
                    at.shape = at.shape.turned(turn, inside.width, own, &at.visible)?;
                    at.rect = at.shape.turn.map(|(bounds, _)| bounds);
                    at.visible.clone_from(visible);
                    at.lift = None;
                } else {
                    let told = rect.ok_or(Nowhere::Unknown)?;
                    let content = frame.at.map_or(told, rounded);
                    let around = visible.iter().map(|b| moved_along(*b, told, content));
                    let scale = scale(inside, content).ok_or(Nowhere::Unknown)?;
                    at.rect = at.rect.map(|b| lift(b, content, scale));
                    at.visible = at.visible.iter().map(|b| lift(*b, content, scale)).collect();
                    at.visible = cut(&at.visible, &around.collect::<Vec<_>>());
                    at.shape = at.shape.lifted(content, scale);
                    at.lift = at.lift.map(|(inner, k)| {
                        let (x, y) = (content.x + inner.x * scale, content.y + inner.y * scale);
                        (Box4 { x, y, ..NOTHING }, k * scale)
                    });
                }
                at.shape = at.shape.within(frame)?;
            }
            inner = outer;
        }
        at.window = inner.report.as_ref().and_then(|(_, report)| report.window);
        Ok(at)
    }

    /// Sees to it that all frames around the documents in `playing` tell what is needed, and no others.
    pub(super) fn settle(&mut self, ready: bool, playing: &[u32], out: &mut VecDeque<Output>) {
        let mut wanted: SortedMap<(i32, i32), Vec<Child>> = SortedMap::new();
        for relay in playing {
            let Some(frame) = self.frames.get_mut(relay).filter(|frame| frame.frame != 0) else { continue };
            let above = frame.report.as_ref().and_then(|(_, report)| report.above);
            let from = above.unwrap_or(frame.frame);
            if frame.asked != Some(from) {
                frame.asked = Some(from);
                out.push_back(Output::FindAncestors { tab: frame.tab, frame: from });
            }
            let (tab, mut inner) = (frame.tab, frame.frame);
            for parent in frame.ancestors.clone().unwrap_or_default() {
                let children = wanted.get_or_insert_with((tab, parent), Vec::new);
                let report = self.at(tab, inner).and_then(|frame| frame.report.as_ref());
                if let Some((_, report)) = report
                    && !children.iter().any(|child| child.frame == inner)
                {
                    children.push(Child { frame: inner, index: report.index });
                }
                inner = parent;
            }
        }
        self.injected.retain(|at| wanted.contains_key(at));
        for (tab, frame) in wanted.keys() {
            if self.at(*tab, *frame).is_none() && !self.injected.contains(&(*tab, *frame)) {
                self.injected.push((*tab, *frame));
                out.push_back(Output::Inject { tab: *tab, frame: *frame });
            }
        }
        for (relay, frame) in self.frames.iter_mut() {
            let children = wanted.remove(&(frame.tab, frame.frame)).unwrap_or_default();
            if frame.told != children {
                frame.told.clone_from(&children);
                let command = RelayCommand { ready, children: Some(children), ..RelayCommand::default() };
                out.push_back(Output::ToRelay { relay: *relay, command });
            }
        }
    }

    /// The newest document of a frame.
    fn at(&self, tab: i32, frame: i32) -> Option<&Frame> {
        self.frames.values().filter(|known| (known.tab, known.frame) == (tab, frame)).last()
    }
}

/// Where a media element is in its own frame.
fn own(geometry: &Geometry) -> Result<Located, Nowhere> {
    let Place { rect, visible, nodes, ground } = &geometry.place;
    let mut at =
        Located { rect: *rect, visible: visible.clone(), lift: Some((NOTHING, 1.0)), ..Located::default() };
    if visible.is_empty() {
        return Ok(at);
    }
    at.shape = shape_of(nodes, *ground, geometry)?;
    if let Some((bounds, _)) = at.shape.turn {
        (at.rect, at.fills) = (Some(bounds), true);
        return Ok(at);
    }
    let Some(told) = at.rect else { return Ok(at) };
    let content = shape::whole(told);
    at.rect = Some(content);
    let moved = at.shape.at.map(rounded);
    if let Some(painted) = moved.or_else(|| shape::painted(told, geometry.fit())) {
        if moved.is_some() {
            at.visible = at.visible.iter().map(|b| moved_along(*b, content, painted)).collect();
        }
        // What the video leaves free shows the page, and there its stand-in leaves free the same.
        at.visible = cut(&at.visible, &[painted]);
        let inside =
            |one: f64, side: f64, other: f64, whole: f64| one >= other && one + side <= other + whole;
        let is_inside = inside(painted.x, painted.width, content.x, content.width)
            && inside(painted.y, painted.height, content.y, content.height);
        // Lengths in `object-position`, and the video's own size, are in the page's pixels: nothing the device knows.
        let is_the_pages = geometry.object_position.contains("px") || geometry.object_fit == "none";
        if is_inside || is_the_pages || moved.is_some() {
            (at.rect, at.fills) = (Some(painted), true);
        }
    }
    Ok(at)
}

fn shape_of(nodes: &[Node], ground: Option<[u8; 3]>, geometry: &Geometry) -> Result<Shape, Unmatched> {
    let ground = ground.map(|[red, green, blue]| u32::from_be_bytes([0, red, green, blue]));
    shape::shape(nodes, ground, geometry.fit())
}

/// An edge of what is seen that is the content's is the picture's, which a transform may have moved by a pixel.
fn moved_along(b: Box4, content: Box4, picture: Box4) -> Box4 {
    let along = |at: f64, side: f64, [from, length]: [f64; 2], [to, long]: [f64; 2]| {
        let near = |one: f64, other: f64, to: f64| {
            if (one - other).abs() < 0.5 && (to - other).abs() < 2.5 { to } else { one }
        };
        let begin = near(at, from, to);
        (begin, near(at + side, from + length, to + long) - begin)
    };
    let (x, width) = along(b.x, b.width, [content.x, content.width], [picture.x, picture.width]);
    let (y, height) = along(b.y, b.height, [content.y, content.height], [picture.y, picture.height]);
    Box4 { x, y, width, height }
}

fn rounded(b: Box4) -> Box4 {
    lift(b, NOTHING, 1.0)
}

/// How much larger the frame above draws this one; the same in both directions, or nobody knows where things are.
fn scale(inside: &FrameReport, content: Box4) -> Option<f64> {
    // Boxes are rounded, and a frame begins and ends at whole pixels: one more or less is no scale.
    if (content.width - inside.width).abs() <= 1.0 && (content.height - inside.height).abs() <= 1.0 {
        return Some(1.0);
    }
    let scale = content.width / inside.width;
    let is_even = (inside.height * scale - content.height).abs() <= 2.0 * scale.max(1.0);
    (scale.is_finite() && scale > 0.0 && is_even).then_some(scale)
}

fn lift(b: Box4, content: Box4, scale: f64) -> Box4 {
    let [x, y] = [content.x + b.x * scale, content.y + b.y * scale].map(half_up);
    let right = half_up(content.x + (b.x + b.width) * scale);
    let bottom = half_up(content.y + (b.y + b.height) * scale);
    Box4 { x, y, width: right - x, height: bottom - y }
}

/// What both regions hold.
fn cut(a: &[Box4], b: &[Box4]) -> Vec<Box4> {
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
    let common = pairs.filter_map(|(a, b)| {
        let (x, y) = (a.x.max(b.x), a.y.max(b.y));
        let width = (a.x + a.width).min(b.x + b.width) - x;
        let height = (a.y + a.height).min(b.y + b.height) - y;
        (width > 0.0 && height > 0.0).then_some(Box4 { x, y, width, height })
    });
    common.take(super::MOST_RECTS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::ChildPlace;

    const NOW: Monotonic = Monotonic(1_000_000);

    fn b(x: f64, y: f64, width: f64, height: f64) -> Box4 {
        Box4 { x, y, width, height }
    }

    fn seen(rect: Box4) -> Place {
        Place { rect: Some(rect), visible: vec![rect], ..Place::default() }
    }

    fn shown(place: Place) -> Geometry {
        Geometry { place, ..Geometry::default() }
    }

    fn report(index: i32, size: [f64; 2], children: &[(i32, Place)]) -> FrameReport {
        let child = |(frame, place): &(i32, Place)| ChildPlace { frame: *frame, place: place.clone() };
        FrameReport {
            index,
            above: None,
            width: size[0],
            height: size[1],
            children: children.iter().map(child).collect(),
            window: None,
        }
    }

    /// Relay 1 is the top, 2 its frame 20, 3 that one's frame 30; a video in 3.
    fn nested(top: Place, middle: Place) -> Frames {
        let mut frames = Frames::default();
        for (relay, frame, chain) in [(1, 0, &[][..]), (2, 20, &[0]), (3, 30, &[20, 0])] {
            frames.opened(relay, 7, frame);
            if frame != 0 {
                frames.frames.get_mut(&relay).unwrap().asked = Some(frame);
                frames.handle_ancestors(7, frame, chain);
            }
        }
        frames.handle_report(NOW, 1, report(-1, [1000.0, 800.0], &[(20, top)]));
        frames.handle_report(NOW, 2, report(0, [400.0, 300.0], &[(30, middle)]));
        frames.handle_report(NOW, 3, report(1, [200.0, 100.0], &[]));
        frames
    }

    fn check(frames: &Frames, video: Box4, expected: (Box4, &[Box4])) {
        let Ok(Located { rect, visible, .. }) = frames.locate(NOW, 3, &shown(seen(video))) else {
            panic!("not located")
        };
        assert_eq!((rect, visible.as_slice()), (Some(expected.0), expected.1));
    }

    #[test]
    fn a_video_is_found_through_frames_that_clip_it() {
        let top = Place {
            rect: Some(b(10.0, -50.0, 400.0, 300.0)),
            visible: vec![b(10.0, 0.0, 400.0, 250.0)],
            ..Place::default()
        };
        let frames = nested(top, seen(b(100.0, 20.0, 200.0, 100.0)));
        check(&frames, b(5.0, 6.0, 90.0, 60.0), (b(115.0, -24.0, 90.0, 60.0), &[b(115.0, 0.0, 90.0, 36.0)]));
    }

    #[test]
    fn a_video_is_as_large_as_its_rounded_size_and_halves_are_rounded_up() {
        for (told, painted) in [(62.5, 63.0), (-188.5, -188.0), (-188.75, -189.0)] {
            let place = Place {
                rect: Some(b(50.0, told, 600.0, 337.5)),
                visible: vec![b(50.0, painted, 600.0, 338.0)],
                ..Place::default()
            };
            let at = own(&shown(place)).unwrap();
            assert_eq!(at.rect, Some(b(50.0, painted, 600.0, 338.0)));
        }
    }

    #[test]
    fn what_is_seen_goes_along_with_a_picture_that_a_transform_has_moved() {
        let node = Node {
            own: [600.0, 338.0],
            translate: "0px 0.25px".into(),
            origin: "0px 0px".into(),
            ..Node::default()
        };
        let node = Node { x: 50.0, y: 62.5 + 0.25, width: 600.0, height: 338.0, ..node };
        let told = b(50.0, 63.0, 600.0, 338.0);
        let place = Place {
            rect: Some(Box4 { y: 62.75, ..told }),
            visible: vec![Box4 { height: 100.0, ..told }, Box4 { y: 200.0, height: 201.0, ..told }],
            nodes: vec![node],
            ground: None,
        };
        let at = own(&shown(place)).unwrap();
        assert_eq!(at.rect, Some(told), "63 and a quarter");
        let told_lower = Box4 { y: 62.0, ..told };
        assert_eq!(moved_along(told_lower, told_lower, told), told);
        assert_eq!(at.visible.len(), 2);
    }

    #[test]
    fn a_frame_that_is_drawn_larger_enlarges_the_video() {
        let frames = nested(seen(b(0.0, 0.0, 800.0, 600.0)), seen(b(100.0, 20.0, 100.0, 50.0)));
        let video = b(200.0 + 10.0, 40.0 + 20.0, 40.0, 20.0);
        check(&frames, b(10.0, 20.0, 40.0, 20.0), (video, &[video]));
    }

    #[test]
    fn nothing_is_seen_in_a_hidden_frame() {
        let hidden = Place { visible: vec![], ..seen(b(0.0, 0.0, 0.0, 0.0)) };
        let video = b(0.0, 0.0, 10.0, 10.0);
        let located = nested(hidden, seen(b(0.0, 0.0, 200.0, 100.0))).locate(NOW, 3, &shown(seen(video)));
        assert!(matches!(located, Ok(Located { visible, .. }) if visible.is_empty()));
    }

    #[test]
    fn what_is_stretched_is_nowhere_and_what_stands_askew_is_turned() {
        let (straight, video) = (seen(b(0.0, 0.0, 400.0, 300.0)), shown(seen(b(0.0, 0.0, 10.0, 10.0))));
        let node = Node {
            rotate: "5deg".into(),
            width: 200.0,
            height: 100.0,
            own: [200.0, 100.0],
            ..Node::default()
        };
        let turned = Place { nodes: vec![node], ..seen(b(0.0, 0.0, 200.0, 100.0)) };
        let askew = nested(straight.clone(), turned.clone()).locate(NOW, 3, &video).unwrap();
        assert!(askew.shape.turn.is_some_and(|(_, turn)| turn.b > 0.08), "{askew:?}");
        let stretched = seen(b(0.0, 0.0, 200.0, 300.0));
        assert_eq!(nested(straight.clone(), stretched).locate(NOW, 3, &video), Err(Nowhere::Unknown));
        let frames = nested(straight, seen(b(0.0, 0.0, 200.0, 100.0)));
        assert!(frames.locate(NOW, 3, &shown(turned)).is_ok_and(|at| at.shape.turn.is_some()));
        assert_eq!(frames.locate(NOW.after(STALE), 3, &video), Err(Nowhere::Late));
    }

    #[test]
    fn frames_around_a_player_are_asked_for_it_and_only_as_long() {
        let mut frames = Frames::default();
        frames.opened(1, 7, 30);
        frames.handle_report(NOW, 1, report(4, [1.0, 1.0], &[]));
        let orders = |frames: &mut Frames, playing: &[u32]| {
            let mut out = VecDeque::new();
            frames.settle(true, playing, &mut out);
            Vec::from(out)
        };
        assert_eq!(orders(&mut frames, &[]), []);
        assert_eq!(orders(&mut frames, &[1]), [Output::FindAncestors { tab: 7, frame: 30 }]);
        // The browser doesn't know frame 30, the relay knows the one above.
        frames.handle_ancestors(7, 30, &[]);
        assert_eq!(orders(&mut frames, &[1]), []);
        frames.handle_report(NOW, 1, FrameReport { above: Some(20), ..report(4, [1.0, 1.0], &[]) });
        assert_eq!(orders(&mut frames, &[1]), [Output::FindAncestors { tab: 7, frame: 20 }]);
        frames.handle_ancestors(7, 20, &[0]);
        assert_eq!(frames.frames.get(&1).unwrap().ancestors, Some(vec![20, 0]));
        frames.frames.get_mut(&1).unwrap().ancestors = Some(vec![0]);
        assert_eq!(orders(&mut frames, &[1]), [Output::Inject { tab: 7, frame: 0 }]);
        assert_eq!(orders(&mut frames, &[1]), [], "once");
        frames.opened(2, 7, 0);
        let asks = |children: Vec<Child>| {
            let command = RelayCommand { ready: true, children: Some(children), ..RelayCommand::default() };
            vec![Output::ToRelay { relay: 2, command }]
        };
        assert_eq!(orders(&mut frames, &[1]), asks(vec![Child { frame: 30, index: 4 }]));
        assert_eq!(orders(&mut frames, &[]), asks(vec![]));
    }

    proptest::proptest! {
        #[test]
        fn any_numbers_give_an_answer(n in proptest::collection::vec(proptest::num::f64::ANY, 12)) {
            let frames = nested(seen(b(n[0], n[1], n[2], n[3])), seen(b(n[4], n[5], n[6], n[7])));
            let _located = frames.locate(NOW, 3, &shown(seen(b(n[8], n[9], n[10], n[11]))));
        }
    }
}
