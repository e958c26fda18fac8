//! One player's picture: from the page's geometry to the steps that bring it on the screen.
//!
//! Moving and clipping is the window's matter and takes effect at once. A new size takes three steps:
//! the window grows, the stage lays the picture out in it, and only when that has reached the screen
//! the window shows it at its new place. Geometry that has become old hides the picture.

use std::time::Duration;

use offstage_protocol::Monotonic;
use offstage_protocol::message::{Blend, Clip, Layout, Rect, SetGeometry, Turn, Veil};

use crate::client::remote::Surface;
use crate::window::region;

/// The page's side repeats its geometry every second; without three of them it is not to be trusted.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(3);
/// How long a picture of the old size may stay while the new one is laid out (measured: 32 ms).
pub(crate) const LAYOUT_LIMIT: Duration = Duration::from_millis(500);
/// CSS texts longer than that are not what a page's style computes to.
const MAX_TEXT: usize = 256;
/// Tints of one picture, and bytes of one text of them.
const MAX_VEILS: usize = 8;
const MAX_VEIL: usize = 1024;

/// A step to be taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// The window has to be at least so large.
    Reserve {
        width: u32,
        height: u32,
    },
    /// Ask the stage for this layout.
    LayOut(Layout),
    Place(Place),
    Hide,
}

/// Where the picture belongs, relative to the browser window's outer rectangle.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    pub(crate) rect: Rect,
    pub(crate) visible: Vec<Rect>,
    pub(crate) clips: Vec<Clip>,
    pub(crate) outer: Option<Rect>,
    pub(crate) calibrated: bool,
    pub(crate) title: String,
    /// It is drawn there though nothing of it is seen: it will be, as soon as there is a picture.
    pub(crate) soon: bool,
}

/// How a picture is laid out.
#[derive(Debug, Clone, PartialEq)]
struct Look {
    width: u32,
    height: u32,
    object_fit: String,
    object_position: String,
    label: String,
    outline: bool,
    turn: Option<Turn>,
    blend: Option<Blend>,
    filter: String,
    veils: Vec<Veil>,
}

#[derive(Debug, Clone)]
struct Wanted {
    place: Place,
    look: Look,
}

#[derive(Debug)]
struct Asked {
    wanted: Wanted,
    at: Monotonic,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Picture {
    /// The player's id on this device.
    player: u32,
    surface: Surface,
    seq: Option<u32>,
    heard: Monotonic,
    /// As the session has told it last.
    told: Option<SetGeometry>,
    newest: Option<Wanted>,
    asked: Option<Asked>,
    laid_out: Option<Look>,
    placed: bool,
}

impl Picture {
    #[must_use]
    pub(crate) fn new(player: u32, surface: Surface) -> Self {
        Self {
            player,
            surface,
            seq: None,
            heard: Monotonic::default(),
            told: None,
            newest: None,
            asked: None,
            laid_out: None,
            placed: false,
        }
    }

    /// Takes the page's geometry; one that is older than the newest seen changes nothing.
    pub(crate) fn handle_geometry(&mut self, now: Monotonic, geometry: SetGeometry) -> Vec<Step> {
        if self.seq.is_some_and(|seq| older(geometry.seq, seq)) {
            return Vec::new();
        }
        self.seq = Some(geometry.seq);
        self.heard = now;
        self.newest = self.surface.place(&geometry).map(wanted);
        self.told = Some(geometry);
        self.steps(now)
    }

    /// What the picture lies on has changed its size, has come or gone.
    pub(crate) fn handle_surface(&mut self, now: Monotonic, surface: Surface) -> Vec<Step> {
        self.surface = surface;
        self.newest = self.told.as_ref().and_then(|told| surface.place(told)).map(wanted);
        // What is shown is meant for the surface as it was, and so is a layout that is on its way: nobody knows whether it is done.
        if self.asked.take().is_some() {
            self.laid_out = None;
        }
        let mut steps = Vec::new();
        self.hide(&mut steps);
        steps.extend(self.steps(now));
        steps
    }

    /// The stage's layout has reached the screen.
    pub(crate) fn handle_laid_out(&mut self, now: Monotonic, layout: &Layout) -> Vec<Step> {
        // The stage answers with what it was asked. Of the same size there may be others on their way.
        let player = self.player;
        let matches = |asked: &mut Asked| asked.wanted.look.clone().layout(player) == *layout;
        let Some(asked) = self.asked.take_if(matches) else {
            return Vec::new();
        };
        self.laid_out = Some(asked.wanted.look.clone());
        let same = self.newest.as_ref().is_some_and(|newest| newest.look == asked.wanted.look);
        let mut steps = Vec::new();
        if self.newest.is_some() && !same && !self.is_stale(now) {
            // It is behind already, but nearer than what is shown.
            self.place(&asked.wanted.place, &mut steps);
        }
        steps.extend(self.steps(now));
        steps
    }

    pub(crate) fn handle_timeout(&mut self, now: Monotonic) -> Vec<Step> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        let mut steps = Vec::new();
        self.hide(&mut steps);
        steps
    }

    /// When `handle_timeout` wants to be called; only a picture that is shown can become wrong.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        if !self.placed {
            return None;
        }
        let stale = self.heard.after(STALE_AFTER);
        let late = self.asked.as_ref().map(|asked| asked.at.after(LAYOUT_LIMIT));
        Some(late.map_or(stale, |late| late.min(stale)))
    }

    fn is_stale(&self, now: Monotonic) -> bool {
        now.since(self.heard) >= STALE_AFTER
    }

    fn steps(&mut self, now: Monotonic) -> Vec<Step> {
        let mut steps = Vec::new();
        let Some(newest) = self.newest.clone() else {
            self.hide(&mut steps);
            return steps;
        };
        let possible = region::sensible(newest.look.width, newest.look.height);
        let is_drawn = newest.place.soon || !newest.place.visible.is_empty();
        if !is_drawn || !possible || self.is_stale(now) {
            self.hide(&mut steps);
        } else if newest.place.soon || self.laid_out.as_ref() == Some(&newest.look) {
            self.place(&newest.place, &mut steps);
        }
        // Laid out even while it is hidden, so that it is there when it scrolls into view.
        if !possible || self.laid_out.as_ref() == Some(&newest.look) {
            return steps;
        }
        // An engine draws nothing in a window that is not on the screen.
        let ahead = (is_drawn && !self.placed && !self.is_stale(now)).then(|| Place {
            visible: Vec::new(),
            soon: true,
            ..newest.place.clone()
        });
        match &mut self.asked {
            Some(asked) if asked.wanted.look == newest.look => asked.wanted = newest,
            // One at a time: the newest follows when this one is on the screen.
            Some(_) => {}
            None => {
                let look = newest.look.clone();
                steps.push(Step::Reserve { width: look.width, height: look.height });
                steps.push(Step::LayOut(look.layout(self.player)));
                self.asked = Some(Asked { wanted: newest, at: now });
            }
        }
        if let Some(ahead) = ahead {
            self.place(&ahead, &mut steps);
        }
        steps
    }

    fn place(&mut self, place: &Place, steps: &mut Vec<Step>) {
        if place.visible.is_empty() && !place.soon {
            self.hide(steps);
            return;
        }
        self.placed = true;
        steps.push(Step::Place(place.clone()));
    }

    fn hide(&mut self, steps: &mut Vec<Step>) {
        if std::mem::take(&mut self.placed) {
            steps.push(Step::Hide);
        }
    }
}

/// Sequence numbers wrap.
fn older(candidate: u32, newest: u32) -> bool {
    newest.wrapping_sub(candidate).wrapping_sub(1) < u32::MAX / 2
}

fn wanted(geometry: SetGeometry) -> Wanted {
    let SetGeometry {
        rect,
        visible,
        window,
        object_fit,
        object_position,
        label,
        outline,
        mut clips,
        turn,
        blend,
        filter,
        mut veils,
        soon,
        title,
        player: _,
        seq: _,
    } = geometry;
    let rect = rect.unwrap_or_default();
    let (left, top) = window.map_or((0, 0), |window| (window.viewport_x, window.viewport_y));
    let moved = |rect: Rect| Rect { x: rect.x.saturating_add(left), y: rect.y.saturating_add(top), ..rect };
    let too_many = visible.len() > region::MAX_RECTANGLES || region::is_too_much(&clips);
    let visible = if too_many { Vec::new() } else { visible.into_iter().map(moved).collect() };
    if too_many {
        clips.clear();
    }
    region::move_by(&mut clips, left, top);
    veils.truncate(MAX_VEILS);
    veils.retain(|veil| {
        veil.background.len() <= MAX_VEIL && veil.radius.len() <= MAX_VEIL && veil.opacity.is_finite()
    });
    let short = |text: String| if text.len() > MAX_TEXT { String::new() } else { text };
    Wanted {
        place: Place {
            rect: moved(rect),
            soon: soon && visible.is_empty() && !too_many,
            visible,
            clips,
            outer: window.and_then(|window| window.outer),
            calibrated: window.is_some_and(|window| window.calibrated),
            title: short(title),
        },
        look: Look {
            width: rect.width,
            height: rect.height,
            object_fit: short(object_fit),
            object_position: short(object_position),
            label: short(label),
            outline,
            // What is no number is not equal to itself, and would be laid out again and again.
            turn: turn.filter(is_finite),
            blend: blend.filter(|blend| blend.opacity.is_finite()),
            filter: short(filter),
            veils,
        },
    }
}

fn is_finite(turn: &Turn) -> bool {
    let Turn { width, height, a, b, c, d, e, f } = *turn;
    [width, height, a, b, c, d, e, f].iter().all(|number| number.is_finite())
}

impl Look {
    fn layout(self, player: u32) -> Layout {
        let Self { width, height, object_fit, object_position, label, outline, turn, blend, filter, veils } =
            self;
        Layout {
            player,
            width,
            height,
            object_fit,
            object_position,
            label,
            outline,
            turn,
            blend,
            filter,
            veils,
        }
    }
}

#[cfg(test)]
mod tests {
    use offstage_protocol::message::WindowHint;

    use super::*;

    const START: Monotonic = Monotonic(1_000_000);

    fn rect(x: i32, y: i32, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    fn geometry(seq: u32, rect: Rect, visible: &[Rect]) -> SetGeometry {
        let window = WindowHint {
            outer: Some(Rect { x: 0, y: 0, width: 1000, height: 800 }),
            viewport_x: 10,
            viewport_y: 100,
            ..WindowHint::default()
        };
        SetGeometry {
            player: 1,
            seq,
            rect: Some(rect),
            visible: visible.to_vec(),
            window: Some(window),
            ..SetGeometry::default()
        }
    }

    fn shown(steps: &[Step]) -> Vec<String> {
        steps
            .iter()
            .map(|step| match step {
                Step::Reserve { width, height } => format!("reserve {width}x{height}"),
                Step::LayOut(layout) => format!("lay out {}x{}", layout.width, layout.height),
                Step::Place(place) => {
                    let Rect { x, y, width, height } = place.rect;
                    let how = if place.visible.is_empty() { "draw" } else { "place" };
                    format!("{how} {width}x{height} at {x},{y}")
                }
                Step::Hide => "hide".to_owned(),
            })
            .collect()
    }

    fn laid_out(width: u32, height: u32) -> Layout {
        Layout { player: 7, width, height, ..Layout::default() }
    }

    /// A picture of 100x50 that is shown.
    fn placed() -> Picture {
        let mut picture = Picture::new(7, Surface::Browser);
        let area = rect(5, 6, 100, 50);
        let steps = picture.handle_geometry(START, geometry(1, area, &[area]));
        assert_eq!(shown(&steps), ["reserve 100x50", "lay out 100x50", "draw 100x50 at 15,106"]);
        let steps = picture.handle_laid_out(START, &laid_out(100, 50));
        assert_eq!(shown(&steps), ["place 100x50 at 15,106"]);
        picture
    }

    #[test]
    fn a_picture_that_is_to_come_is_drawn_and_laid_out_before_it_is_shown() {
        let mut picture = Picture::new(7, Surface::Browser);
        let area = rect(5, 6, 100, 50);
        let soon = SetGeometry { soon: true, ..geometry(1, area, &[]) };
        let steps = picture.handle_geometry(START, soon.clone());
        assert_eq!(shown(&steps), ["draw 100x50 at 15,106", "reserve 100x50", "lay out 100x50"]);
        let steps = picture.handle_laid_out(START, &laid_out(100, 50));
        assert_eq!(shown(&steps), ["draw 100x50 at 15,106"]);
        let steps = picture.handle_geometry(START, geometry(2, area, &[area]));
        assert_eq!(shown(&steps), ["place 100x50 at 15,106"]);
        // What isn't to come after all is not drawn any more.
        let mut picture = Picture::new(7, Surface::Browser);
        picture.handle_geometry(START, soon);
        let steps = picture.handle_geometry(START, geometry(2, area, &[]));
        assert_eq!(shown(&steps), ["hide"]);
    }

    #[test]
    fn a_move_takes_effect_at_once() {
        let area = rect(50, 60, 100, 50);
        let steps = placed().handle_geometry(START, geometry(2, area, &[area]));
        assert_eq!(shown(&steps), ["place 100x50 at 60,160"]);
    }

    #[test]
    fn in_a_remote_desktops_window_a_picture_is_scaled_and_hidden_while_that_changes() {
        let mut picture = Picture::new(7, Surface::Remote(None));
        let screen = Some(rect(0, 0, 1000, 800));
        let area = rect(10, 100, 100, 50);
        let mut told = geometry(1, area, &[area]);
        told.window = told.window.map(|hint| WindowHint { screen, ..hint });
        assert!(picture.handle_geometry(START, told).is_empty());
        let steps = picture.handle_surface(START, Surface::Remote(Some((1000, 800))));
        assert_eq!(shown(&steps), ["reserve 100x50", "lay out 100x50", "draw 100x50 at 20,200"]);
        let steps = picture.handle_laid_out(START, &laid_out(100, 50));
        assert_eq!(shown(&steps), ["place 100x50 at 20,200"]);
        let steps = picture.handle_surface(START, Surface::Remote(Some((500, 800))));
        assert_eq!(shown(&steps), ["hide", "reserve 50x50", "lay out 50x50", "draw 50x50 at 10,200"]);
        assert_eq!(shown(&picture.handle_surface(START, Surface::Remote(None))), ["hide"]);
        assert!(picture.handle_laid_out(START, &laid_out(50, 50)).is_empty(), "too late");
        let steps = picture.handle_surface(START, Surface::Remote(Some((1000, 800))));
        assert_eq!(
            shown(&steps),
            ["reserve 100x50", "lay out 100x50", "draw 100x50 at 20,200"],
            "the stage may have done the other one"
        );
    }

    #[test]
    fn a_resize_waits_for_the_layout_and_takes_the_newest_place_of_that_size() {
        let mut picture = placed();
        let area = rect(0, 0, 200, 90);
        assert_eq!(
            shown(&picture.handle_geometry(START, geometry(2, area, &[area]))),
            ["reserve 200x90", "lay out 200x90"]
        );
        let area = rect(1, 1, 200, 90);
        assert!(picture.handle_geometry(START, geometry(3, area, &[area])).is_empty());
        let steps = picture.handle_laid_out(START, &laid_out(200, 90));
        assert_eq!(shown(&steps), ["place 200x90 at 11,101"]);
    }

    #[test]
    fn one_layout_at_a_time() {
        let mut picture = placed();
        let area = rect(0, 0, 200, 90);
        picture.handle_geometry(START, geometry(2, area, &[area]));
        let area = rect(0, 0, 300, 90);
        assert!(picture.handle_geometry(START, geometry(3, area, &[area])).is_empty());
        assert!(picture.handle_laid_out(START, &laid_out(1, 1)).is_empty());
        assert_eq!(
            shown(&picture.handle_laid_out(START, &laid_out(200, 90))),
            ["place 200x90 at 10,100", "reserve 300x90", "lay out 300x90"]
        );
    }

    #[test]
    fn a_layout_is_the_one_that_was_asked_for_whatever_its_size() {
        let mut picture = placed();
        let area = rect(5, 6, 100, 50);
        let turned = Turn { a: -1.0, d: 1.0, e: 100.0, width: 100.0, height: 50.0, ..Turn::default() };
        let mirrored = SetGeometry { turn: Some(turned), ..geometry(2, area, &[area]) };
        let steps = picture.handle_geometry(START, mirrored);
        assert_eq!(shown(&steps), ["reserve 100x50", "lay out 100x50"]);
        assert!(picture.handle_laid_out(START, &laid_out(100, 50)).is_empty(), "an older one");
        let layout = Layout { turn: Some(turned), ..laid_out(100, 50) };
        assert_eq!(shown(&picture.handle_laid_out(START, &layout)), ["place 100x50 at 15,106"]);
    }

    #[test]
    fn what_is_no_number_is_left_out_and_laid_out_once() {
        let mut picture = placed();
        let area = rect(5, 6, 100, 50);
        let odd = SetGeometry {
            turn: Some(Turn { a: f64::NAN, ..Turn::default() }),
            blend: Some(Blend { opacity: f64::NAN, ground: 0 }),
            veils: vec![Veil { opacity: f64::INFINITY, ..Veil::default() }],
            ..geometry(2, area, &[area])
        };
        assert_eq!(shown(&picture.handle_geometry(START, odd)), ["place 100x50 at 15,106"]);
    }

    #[test]
    fn older_geometry_is_ignored_across_the_wrap() {
        let mut picture = placed();
        let area = rect(9, 9, 100, 50);
        assert!(picture.handle_geometry(START, geometry(0, area, &[area])).is_empty());
        assert!(older(u32::MAX, 0));
        assert!(!older(0, u32::MAX));
        assert!(!older(5, 5));
    }

    #[test]
    fn nothing_visible_hides() {
        let steps = placed().handle_geometry(START, geometry(2, rect(5, 6, 100, 50), &[]));
        assert_eq!(shown(&steps), ["hide"]);
    }

    #[test]
    fn an_impossible_size_hides() {
        let area = rect(0, 0, u32::MAX, 50);
        let steps = placed().handle_geometry(START, geometry(2, area, &[area]));
        assert_eq!(shown(&steps), ["hide"]);
    }

    #[test]
    fn old_geometry_hides_until_the_next_report() {
        let mut picture = placed();
        assert_eq!(picture.deadline(), Some(START.after(STALE_AFTER)));
        let late = START.after(STALE_AFTER);
        assert_eq!(shown(&picture.handle_timeout(late)), ["hide"]);
        assert_eq!(picture.deadline(), None);
        let area = rect(5, 6, 100, 50);
        let steps = picture.handle_geometry(late, geometry(1, area, &[area]));
        assert_eq!(shown(&steps), ["place 100x50 at 15,106"]);
    }

    #[test]
    fn a_layout_that_does_not_come_hides() {
        let mut picture = placed();
        let area = rect(0, 0, 200, 90);
        picture.handle_geometry(START, geometry(2, area, &[area]));
        assert_eq!(shown(&picture.handle_timeout(START.after(LAYOUT_LIMIT))), ["hide"]);
        let steps = picture.handle_laid_out(START.after(LAYOUT_LIMIT), &laid_out(200, 90));
        assert_eq!(shown(&steps), ["place 200x90 at 10,100"]);
    }
}
