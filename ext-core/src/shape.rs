//! What of an element's style an upright box with square corners does not show: rounded corners, `clip-path`, 2D transforms, opacity,
//! colour filters and what `object-fit` leaves free, for the element and all around it.
//!
//! The relay measures; here it becomes outlines, a matrix and a blend that the device can draw. What can't be matched there has no
//! answer, and the video plays in the session.

mod css;
mod outline;

use offstage_protocol::message::{Blend, Turn};
use serde::Deserialize;

use self::css::Linear;
use crate::hook::Box4;

/// More elements around a video than that are not looked at.
const MOST_NODES: usize = 100;
/// Most outlines of one picture, and most corners of all of them together.
const MOST_CLIPS: usize = 16;
const MOST_CORNERS: usize = 2000;
/// Further than any page in pixels: where an element cuts in one direction only.
const FAR: f64 = 50_000.0;
/// A corner moves by less than a fifth of a pixel in a thousand.
const UPRIGHT: f64 = 2e-4;

/// An element with something in its style that counts: the media element first, then those around it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    /// The upright box around its border box, in physical pixels of the viewport.
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    /// Its border box before any transform, in CSS pixels.
    pub own: [f64; 2],
    /// From the border box to what it cuts off at, or to the media element's content: left, top, right, bottom, in CSS pixels.
    pub inner: [f64; 4],
    /// Cuts off what is beside it, and what is above and below.
    pub cuts: [bool; 2],
    /// Computed values; empty for the initial ones.
    pub radius: String,
    pub clip_path: String,
    pub transform: String,
    pub rotate: String,
    pub scale: String,
    pub translate: String,
    /// `transform-origin`.
    pub origin: String,
    pub filter: String,
    pub opacity: Option<f64>,
    /// Something else that nothing here matches: a mask, a blend mode, perspective, a motion path.
    pub strange: bool,
}

/// No device draws it like the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unmatched;

/// Closed, in pixels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outline {
    pub corners: Vec<[f64; 2]>,
    pub even_odd: bool,
}

/// What is to be drawn in another way than an upright, opaque box.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    /// Only what is in all of them is seen.
    pub clips: Vec<Outline>,
    /// Where the video is painted, if it is moved or scaled by a transform and stands upright.
    pub at: Option<Box4>,
    /// With the upright box around it.
    pub turn: Option<(Box4, Turn)>,
    pub blend: Option<Blend>,
    pub filter: String,
}

/// How the video lies in its content box.
#[derive(Debug, Clone, Copy)]
pub struct Fit<'a> {
    pub object_fit: &'a str,
    pub object_position: &'a str,
    /// The video's own size in CSS pixels; nothing before it is known.
    pub natural: Option<[f64; 2]>,
    /// Physical pixels of a CSS pixel, where the box stands upright.
    pub scale: f64,
}

impl Shape {
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.clips.is_empty() && self.turn.is_none() && self.blend.is_none() && self.filter.is_empty()
    }

    /// The same, in a frame that is shown at `at`, so much larger.
    #[must_use]
    pub fn lifted(mut self, at: Box4, scale: f64) -> Self {
        for corner in self.clips.iter_mut().flat_map(|clip| clip.corners.iter_mut()) {
            *corner = [at.x + corner[0] * scale, at.y + corner[1] * scale];
        }
        if let Some((bounds, turn)) = &mut self.turn {
            let Box4 { x, y, width, height } = *bounds;
            *bounds = Box4 {
                x: at.x + x * scale,
                y: at.y + y * scale,
                width: width * scale,
                height: height * scale,
            };
            (turn.width, turn.height) = (turn.width * scale, turn.height * scale);
            (turn.e, turn.f) = (turn.e * scale, turn.f * scale);
        }
        self
    }

    /// The same, in a frame that is turned: `frame` tells how, `inside` how wide the frame's own viewport is. `rect` is the picture's
    /// upright box in it, `visible` what is seen of that.
    pub fn turned(
        mut self,
        frame: &(Box4, Turn),
        inside: f64,
        rect: Box4,
        visible: &[Box4],
    ) -> Result<Self, Unmatched> {
        let (at, around) = frame;
        let k = around.width / inside;
        let linear = Linear { a: around.a * k, b: around.b * k, c: around.c * k, d: around.d * k };
        let point = |[x, y]: [f64; 2]| {
            let (left, top) = (at.x + around.e, at.y + around.f);
            [left + linear.a * x + linear.c * y, top + linear.b * x + linear.d * y]
        };
        for corner in self.clips.iter_mut().flat_map(|clip| clip.corners.iter_mut()) {
            *corner = point(*corner);
        }
        let mut seen = outline::joined(visible);
        for corner in &mut seen.corners {
            *corner = point(*corner);
        }
        self.clips.push(seen);
        let (bounds, own) = self.turn.unwrap_or((
            rect,
            Turn { width: rect.width, height: rect.height, a: 1.0, b: 0.0, c: 0.0, d: 1.0, e: 0.0, f: 0.0 },
        ));
        let total = linear.then(Linear { a: own.a, b: own.b, c: own.c, d: own.d });
        let [left, top] = point([bounds.x + own.e, bounds.y + own.f]);
        let from_its_corner = Placed { centre: [left, top], linear: total, ..Placed::default() };
        self.turn = Some(from_its_corner.turn([0.0, 0.0, own.width, own.height]).ok_or(Unmatched)?);
        Ok(self)
    }

    /// What a frame around it adds.
    pub fn within(mut self, frame: Self) -> Result<Self, Unmatched> {
        if frame.blend.is_some() {
            return Err(Unmatched);
        }
        self.clips.extend(frame.clips);
        if !frame.filter.is_empty() {
            if self.blend.is_some() {
                return Err(Unmatched);
            }
            self.filter = format!("{} {}", self.filter, frame.filter).trim().to_owned();
        }
        if self.clips.len() > MOST_CLIPS { Err(Unmatched) } else { Ok(self) }
    }
}

/// The shape of the first of the nodes. `ground` is the one colour behind it, if there is one (0xRRGGBB).
///
/// The video's own lie in the content box is told by [`painted`] for boxes that stand upright; a turned one gets it here.
pub fn shape(nodes: &[Node], ground: Option<u32>, fit: Fit<'_>) -> Result<Shape, Unmatched> {
    if nodes.len() > MOST_NODES || nodes.iter().any(|node| node.strange) {
        return Err(Unmatched);
    }
    let mut shape = Shape::default();
    let placed = place(nodes).ok_or(Unmatched)?;
    for (index, (node, at)) in nodes.iter().zip(&placed).enumerate() {
        let is_media = index == 0;
        let turned = !at.linear.is_upright();
        let radii = outline::radii(&node.radius, node.own).ok_or(Unmatched)?;
        let rounded = radii.iter().any(|[x, y]| *x > 0.0 && *y > 0.0);
        if is_media || (node.cuts[0] || node.cuts[1]) {
            let [left, top, right, bottom] = node.inner;
            let mut edges = [left, top, node.own[0] - right, node.own[1] - bottom];
            if !is_media && !node.cuts[0] {
                (edges[0], edges[2]) = (-FAR, FAR);
            }
            if !is_media && !node.cuts[1] {
                (edges[1], edges[3]) = (-FAR, FAR);
            }
            let whole = at.whole(edges);
            if is_media && (turned || at.is_moved) {
                let painted = at.painted(edges, fit).ok_or(Unmatched)?;
                if turned {
                    shape.turn = Some(at.turn(painted).ok_or(Unmatched)?);
                    shape.clips.push(at.map(outline::rounded(painted, [[0.0; 2]; 4])));
                } else {
                    shape.at = Some(at.upright(painted));
                }
            }
            if rounded {
                shape.clips.push(at.map(outline::rounded(whole, outline::shrunk(radii, node.inner))));
            } else if turned && !is_media {
                shape.clips.push(at.map(outline::rounded(whole, [[0.0; 2]; 4])));
            }
        }
        if !node.clip_path.is_empty() {
            shape.clips.push(at.map(outline::clip_path(&node.clip_path, node, radii).ok_or(Unmatched)?));
        }
    }
    let corners: usize = shape.clips.iter().map(|clip| clip.corners.len()).sum();
    if shape.clips.len() > MOST_CLIPS || corners > MOST_CORNERS {
        return Err(Unmatched);
    }
    shape.filter = css::filters(nodes).ok_or(Unmatched)?;
    let opacity: f64 = nodes.iter().filter_map(|node| node.opacity).product();
    if opacity < 0.999 {
        // Whatever is behind it in several colours is the session's alone to blend; so is what a filter makes of both together.
        let ground = ground.filter(|_| shape.filter.is_empty()).ok_or(Unmatched)?;
        shape.blend = Some(Blend { opacity: opacity.max(0.0), ground });
    }
    Ok(shape)
}

/// Where in an upright content box the video is painted, if that is not all of it (CSS Images 3, section 4.5), and whether it is to
/// fill that box; `None` leaves it to `object-fit` on the device.
#[must_use]
pub fn painted(content: Box4, fit: Fit<'_>) -> Option<Box4> {
    let Box4 { x, y, width, height } = content;
    let [left, top, right, bottom] = painted_edges([x, y, x + width, y + height], fit, fit.scale)?;
    Some(whole(Box4 { x: left, y: top, width: right - left, height: bottom - top }))
}

/// What Chromium fills with a video or a frame: size and place are rounded, each by itself.
#[must_use]
pub fn whole(Box4 { x, y, width, height }: Box4) -> Box4 {
    Box4 { x: half_up(x), y: half_up(y), width: half_up(width), height: half_up(height) }
}

fn painted_edges(edges: [f64; 4], fit: Fit<'_>, scale: f64) -> Option<[f64; 4]> {
    let [left, top, right, bottom] = edges;
    let (width, height) = (right - left, bottom - top);
    let Some([natural_width, natural_height]) = fit.natural else { return Some(edges) };
    let natural = [natural_width * scale, natural_height * scale];
    let contain = (width / natural[0]).min(height / natural[1]);
    let factor = match fit.object_fit {
        "fill" => return Some(edges),
        "cover" => (width / natural[0]).max(height / natural[1]),
        "none" => 1.0,
        "scale-down" => contain.min(1.0),
        _ => contain,
    };
    let size = natural.map(|side| side * factor);
    if !(size[0] > 0.0 && size[1] > 0.0 && factor.is_finite()) {
        return Some(edges);
    }
    let mut at = css::words(fit.object_position).map(css::length);
    let (x, y) = (at.next()??, at.next()??);
    let place = |length: css::Length, free: f64| length.percent / 100.0 * free + length.px * scale;
    let (x, y) = (left + place(x, width - size[0]), top + place(y, height - size[1]));
    Some([x, y, x + size[0], y + size[1]])
}

/// Where Chromium paints the nodes. It lays out in physical pixels and their fractions; before a transform it moves the element to whole ones,
/// and begins to count anew inside of it. What the page is told of places knows nothing of that.
fn place(nodes: &[Node]) -> Option<Vec<Placed>> {
    let mut placed = Vec::new();
    // From the root inwards: what an element is turned by turns all that is in it.
    let mut total = Linear::default();
    let (mut corner, mut shift, mut is_moved) = ([0.0; 2], [0.0; 2], false);
    for node in nodes.iter().rev() {
        let (linear, by) = css::transform(node)?;
        let around = total;
        total = total.then(linear);
        let mut at = Placed::new(node, total)?;
        let [kx, ky] = at.k;
        let half = [node.own[0] * kx / 2.0, node.own[1] * ky / 2.0];
        at.centre = sum(at.centre, shift);
        // Its middle, counted from the corner of the next element around that has a transform.
        let middle = around.back(difference(at.centre, corner));
        let by = [by[0] * kx, by[1] * ky];
        let is_whole = by.iter().all(|side| (side - side.round()).abs() < UPRIGHT);
        if let Some(middle) = middle.filter(|_| linear != Linear::default() || !is_whole) {
            let origin = css::origin(node);
            let origin = [origin[0] * kx, origin[1] * ky];
            // Without its own transform.
            let upper_left =
                difference(difference(middle, by), sum(origin, linear.of(difference(half, origin))));
            let snapped = around.of(difference(upper_left.map(half_up), upper_left));
            at.centre = sum(at.centre, snapped);
            shift = sum(shift, snapped);
            corner = difference(at.centre, total.of(half));
            is_moved = true;
        } else if let Some(middle) = middle {
            at.from = difference(middle, half);
        }
        at.is_moved = is_moved;
        placed.push(at);
    }
    placed.reverse();
    Some(placed)
}

fn sum(one: [f64; 2], two: [f64; 2]) -> [f64; 2] {
    [one[0] + two[0], one[1] + two[1]]
}

fn difference(one: [f64; 2], two: [f64; 2]) -> [f64; 2] {
    [one[0] - two[0], one[1] - two[1]]
}

/// As the browser rounds: halves up, also below zero. What its layout, in 64ths, has as a half may be a little less here.
#[must_use]
pub fn half_up(value: f64) -> f64 {
    (value + 0.505).floor()
}

/// A node's own coordinates in the viewport: the centre of a box stays the centre of the upright box around it.
#[derive(Debug, Clone, Copy, Default)]
struct Placed {
    centre: [f64; 2],
    own: [f64; 2],
    /// Physical pixels in the viewport of one CSS pixel of the node.
    linear: Linear,
    /// Physical pixels of one CSS pixel in the layout, before all transforms.
    k: [f64; 2],
    /// Its upper left corner in the layout, from where that begins at the next transform.
    from: [f64; 2],
    /// It, or something around it, has a transform.
    is_moved: bool,
}

impl Placed {
    fn new(node: &Node, total: Linear) -> Option<Self> {
        let [width, height] = node.own;
        let Linear { a, b, c, d } = total;
        let [ax, bx, cx, dx] = [a, b, c, d].map(f64::abs);
        let det = ax * dx - bx * cx;
        // The box around tells the true, unrounded size; near 45° it tells the sum of the sides only.
        let (kx, ky) = if det.abs() > 0.1 * (ax * dx + bx * cx) {
            let own =
                [(dx * node.width - cx * node.height) / det, (ax * node.height - bx * node.width) / det];
            (own[0] / width, own[1] / height)
        } else {
            let k = node.width / (ax * width + cx * height);
            (k, k)
        };
        // Of a box without width or height its other side tells how large it is drawn.
        let (kx, ky) = match (width > 0.0, height > 0.0) {
            (true, true) => (kx, ky),
            (true, false) => (kx, kx),
            (false, true) => (ky, ky),
            (false, false) => (1.0, 1.0),
        };
        let linear = Linear { a: a * kx, b: b * kx, c: c * ky, d: d * ky };
        let centre = [node.x + node.width / 2.0, node.y + node.height / 2.0];
        let fine =
            [linear.a, linear.b, linear.c, linear.d, centre[0], centre[1]].iter().all(|n| n.is_finite());
        let (k, from) = ([kx, ky], [0.0; 2]);
        fine.then_some(Self { centre, own: node.own, linear, k, from, is_moved: false })
    }

    /// Edges of the node on whole pixels of the layout.
    fn whole(&self, edges: [f64; 4]) -> [f64; 4] {
        self.back(self.laid_out(edges).map(half_up))
    }

    /// Where in a content box the video is painted: its size is rounded before its place is.
    fn painted(&self, edges: [f64; 4], fit: Fit<'_>) -> Option<[f64; 4]> {
        let [left, top, right, bottom] = painted_edges(self.laid_out(edges), fit, self.k[0])?;
        let (x, y) = (half_up(left), half_up(top));
        Some(self.back([x, y, x + half_up(right - left), y + half_up(bottom - top)]))
    }

    fn laid_out(&self, [left, top, right, bottom]: [f64; 4]) -> [f64; 4] {
        let ([kx, ky], [x, y]) = (self.k, self.from);
        [x + left * kx, y + top * ky, x + right * kx, y + bottom * ky]
    }

    fn back(&self, [left, top, right, bottom]: [f64; 4]) -> [f64; 4] {
        let ([kx, ky], [x, y]) = (self.k, self.from);
        [(left - x) / kx, (top - y) / ky, (right - x) / kx, (bottom - y) / ky]
    }

    /// A box of a node that is not turned.
    fn upright(&self, [left, top, right, bottom]: [f64; 4]) -> Box4 {
        let ([left, top], [right, bottom]) = (self.point([left, top]), self.point([right, bottom]));
        Box4 { x: left, y: top, width: right - left, height: bottom - top }
    }

    fn point(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let (x, y) = (x - self.own[0] / 2.0, y - self.own[1] / 2.0);
        let Linear { a, b, c, d } = self.linear;
        [self.centre[0] + a * x + c * y, self.centre[1] + b * x + d * y]
    }

    fn map(&self, mut outline: Outline) -> Outline {
        for corner in &mut outline.corners {
            *corner = self.point(*corner);
        }
        outline
    }

    /// The matrix for a box of the node, and the upright box around it.
    fn turn(&self, [left, top, right, bottom]: [f64; 4]) -> Option<(Box4, Turn)> {
        let corners =
            [[left, top], [right, top], [right, bottom], [left, bottom]].map(|corner| self.point(corner));
        let least =
            |axis: usize| corners.iter().map(|corner| corner[axis]).fold(f64::INFINITY, f64::min).floor();
        let most =
            |axis: usize| corners.iter().map(|corner| corner[axis]).fold(f64::NEG_INFINITY, f64::max).ceil();
        let bounds = Box4 { x: least(0), y: least(1), width: most(0) - least(0), height: most(1) - least(1) };
        let Linear { a, b, c, d } = self.linear;
        // As large as it gets, so that the engine's picture is as sharp.
        let k = a.hypot(b).max(c.hypot(d));
        let turn = Turn {
            width: (right - left) * k,
            height: (bottom - top) * k,
            a: a / k,
            b: b / k,
            c: c / k,
            d: d / k,
            e: corners[0][0] - bounds.x,
            f: corners[0][1] - bounds.y,
        };
        let numbers = [
            turn.width,
            turn.height,
            turn.a,
            turn.b,
            turn.c,
            turn.d,
            turn.e,
            turn.f,
            bounds.width,
            bounds.height,
        ];
        (k > 0.0 && numbers.iter().all(|n| n.is_finite())).then_some((bounds, turn))
    }
}

#[cfg(test)]
mod tests;
