//! Boxes with rounded corners and the shapes of `clip-path`, as closed lines.

use super::css::{self, Length, parts, words};
use super::{Node, Outline};
use crate::hook::Box4;

type Radii = [[f64; 2]; 4];
/// Left, top, right, bottom.
type Edges = [f64; 4];

/// Lines for a quarter of an ellipse: with 24 of them 800 pixels of radius are off by less than half a pixel.
const MOST_LINES: f64 = 24.0;

/// The computed `border-radius` of a box of that size: upper left, upper right, lower right, lower left, horizontal and vertical.
pub(super) fn radii(text: &str, [width, height]: [f64; 2]) -> Option<Radii> {
    if text.is_empty() {
        return Some(Radii::default());
    }
    let mut halves = text.split('/');
    let four = |half: &str| -> Option<[Length; 4]> {
        let given = words(half).map(css::length).collect::<Option<Vec<_>>>()?;
        let at = |index: usize| given.get(index).copied();
        let first = at(0)?;
        let second = at(1).unwrap_or(first);
        Some([first, second, at(2).unwrap_or(first), at(3).unwrap_or(second)])
    };
    let x = four(halves.next()?)?;
    let y = halves.next().map_or(Some(x), four)?;
    let mut radii = Radii::default();
    for (radius, (x, y)) in radii.iter_mut().zip(x.into_iter().zip(y)) {
        *radius = [x.of(width).max(0.0), y.of(height).max(0.0)];
    }
    // Corners that meet are made smaller, all alike (CSS Backgrounds 3, section 4.5).
    let [a, b, c, d] = radii;
    let sums = [(a[0] + b[0], width), (d[0] + c[0], width), (a[1] + d[1], height), (b[1] + c[1], height)];
    let factor = sums.iter().filter(|(sum, _)| *sum > 0.0).map(|(sum, side)| side / sum).fold(1.0, f64::min);
    Some(radii.map(|radius| radius.map(|r| r * factor)))
}

/// The corners of a box inside of the one that is rounded.
pub(super) fn shrunk(radii: Radii, [left, top, right, bottom]: Edges) -> Radii {
    let [a, b, c, d] = radii;
    [
        [a[0] - left, a[1] - top],
        [b[0] - right, b[1] - top],
        [c[0] - right, c[1] - bottom],
        [d[0] - left, d[1] - bottom],
    ]
    .map(|radius| radius.map(|r| r.max(0.0)))
}

pub(super) fn rounded([left, top, right, bottom]: Edges, [a, b, c, d]: Radii) -> Outline {
    let mut corners = Vec::new();
    quarter(&mut corners, [left + a[0], top + a[1]], a, 2.0);
    quarter(&mut corners, [right - b[0], top + b[1]], b, 3.0);
    quarter(&mut corners, [right - c[0], bottom - c[1]], c, 0.0);
    quarter(&mut corners, [left + d[0], bottom - d[1]], d, 1.0);
    Outline { corners, even_odd: false }
}

/// Boxes that don't overlap as one outline: the lines between them are drawn there and back, and hold nothing.
pub(super) fn joined(boxes: &[Box4]) -> Outline {
    let mut corners = Vec::new();
    let first = boxes.first().map(|b| [b.x, b.y]);
    for Box4 { x, y, width, height } in boxes {
        let (right, bottom) = (x + width, y + height);
        corners.extend([[*x, *y], [right, *y], [right, bottom], [*x, bottom], [*x, *y]]);
        corners.extend(first);
    }
    Outline { corners, even_odd: false }
}

/// A quarter of an ellipse, clockwise, from so many right angles on.
fn quarter(corners: &mut Vec<[f64; 2]>, [x, y]: [f64; 2], [rx, ry]: [f64; 2], from: f64) {
    if rx <= 0.0 || ry <= 0.0 {
        corners.push([x, y]);
        return;
    }
    let lines = (rx.max(ry).sqrt() * 1.5).clamp(2.0, MOST_LINES).round();
    let mut line = 0.0;
    while line <= lines {
        let (sin, cos) = ((from + line / lines) * core::f64::consts::FRAC_PI_2).sin_cos();
        corners.push([x + rx * cos, y + ry * sin]);
        line += 1.0;
    }
}

/// The computed `clip-path` of a node, in the node's own coordinates (CSS Masking 1, section 5; CSS Shapes 1, section 3).
pub(super) fn clip_path(text: &str, node: &Node, radii: Radii) -> Option<Outline> {
    let [width, height] = node.own;
    let mut edges = [0.0, 0.0, width, height];
    let mut outline = None;
    let mut boxed = false;
    for word in words(text) {
        match word {
            // Of an SVG's boxes these are what an element of HTML has.
            "border-box" | "stroke-box" | "view-box" => boxed = true,
            "content-box" | "fill-box" if node.inner == [0.0; 4] => boxed = true,
            "padding-box" if node.inner == [0.0; 4] => boxed = true,
            _ if outline.is_none() => outline = Some(word),
            _ => return None,
        }
    }
    let Some(outline) = outline else {
        return boxed.then(|| rounded(edges, radii));
    };
    let (name, arguments) = outline.strip_suffix(')')?.split_once('(')?;
    match name {
        "inset" => {
            let (insets, round) = arguments.split_once("round").unwrap_or((arguments, ""));
            let given = words(insets).map(css::length).collect::<Option<Vec<_>>>()?;
            let top = *given.first()?;
            let right = given.get(1).copied().unwrap_or(top);
            let bottom = given.get(2).copied().unwrap_or(top);
            let left = given.get(3).copied().unwrap_or(right);
            edges = [left.of(width), top.of(height), width - right.of(width), height - bottom.of(height)];
            if edges[2] < edges[0] || edges[3] < edges[1] {
                return Some(Outline::default());
            }
            let size = [edges[2] - edges[0], edges[3] - edges[1]];
            Some(rounded(edges, self::radii(round.trim(), size)?))
        }
        "circle" => {
            let (radius, [x, y]) = centred(arguments, width, height)?;
            let diagonal = (width * width + height * height).sqrt() / core::f64::consts::SQRT_2;
            let sides = [x.abs(), (width - x).abs(), y.abs(), (height - y).abs()];
            let r = match radius.trim() {
                "" | "closest-side" => sides.into_iter().fold(f64::INFINITY, f64::min),
                "farthest-side" => sides.into_iter().fold(0.0, f64::max),
                length => css::length(length)?.of(diagonal),
            };
            Some(ellipse([x, y], [r, r]))
        }
        "ellipse" => {
            let (radii, [x, y]) = centred(arguments, width, height)?;
            let mut given = words(radii);
            let (rx, ry) = (given.next().unwrap_or("closest-side"), given.next().unwrap_or("closest-side"));
            let side = |text: &str, at: f64, whole: f64| match text {
                "closest-side" => Some(at.abs().min((whole - at).abs())),
                "farthest-side" => Some(at.abs().max((whole - at).abs())),
                length => Some(css::length(length)?.of(whole)),
            };
            Some(ellipse([x, y], [side(rx, x, width)?, side(ry, y, height)?]))
        }
        "polygon" => {
            let mut even_odd = false;
            let mut corners = Vec::new();
            for part in parts(arguments, |letter| letter == ',') {
                match part.trim() {
                    "evenodd" if corners.is_empty() => even_odd = true,
                    "nonzero" if corners.is_empty() => {}
                    corner => {
                        let mut at = words(corner).map(css::length);
                        let (x, y) = (at.next()??, at.next()??);
                        corners.push([x.of(width), y.of(height)]);
                    }
                }
            }
            Some(Outline { corners, even_odd })
        }
        _ => None,
    }
}

fn ellipse([x, y]: [f64; 2], [rx, ry]: [f64; 2]) -> Outline {
    rounded([x - rx, y - ry, x + rx, y + ry], [[rx, ry]; 4])
}

/// What stands before `at`, and the point after it.
fn centred(arguments: &str, width: f64, height: f64) -> Option<(&str, [f64; 2])> {
    let (before, at) = match arguments.strip_prefix("at ") {
        Some(at) => ("", at),
        None => arguments.split_once(" at ").unwrap_or((arguments, "50% 50%")),
    };
    let mut at = words(at).map(css::length);
    let (x, y) = (at.next()??, at.next()??);
    at.next().is_none().then(|| (before, [x.of(width), y.of(height)]))
}
