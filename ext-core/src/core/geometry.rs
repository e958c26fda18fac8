//! The message that tells the device where a picture is and how it looks.

use std::borrow::Cow;

use offstage_protocol::message::{Clip, Rect, SetGeometry, Turn, Veil, WindowHint};

use super::frames::{Located, Nowhere};
use super::{MOST_RECTS, to_u32};
use crate::hook::{Box4, Geometry, VeilReport, to_i32};
use crate::link::DeviceLink;
use crate::shape::{Outline, half_up};

/// A device that knows no shapes can't show them.
pub(super) fn matched(located: Result<Located, Nowhere>, link: &DeviceLink) -> Result<Located, Nowhere> {
    located.and_then(|at| {
        if at.shape.is_plain() || link.knows_shapes() { Ok(at) } else { Err(Nowhere::Unmatched) }
    })
}

/// Before the element knows its picture's size the device does.
pub(super) fn with_size(geometry: &Geometry, size: Option<(u32, u32)>) -> Cow<'_, Geometry> {
    if geometry.natural.is_some() || geometry.place.visible.is_empty() {
        return Cow::Borrowed(geometry);
    }
    let mut geometry = geometry.clone();
    geometry.natural = size.map(|(width, height)| [width, height].map(f64::from));
    Cow::Owned(geometry)
}

pub(super) fn set_geometry(player: u32, seq: u32, geometry: &Geometry, located: Located) -> SetGeometry {
    let short = |text: &str| text.chars().take(100).collect();
    let Located { rect: place, visible, shape, fills, window, lift } = located;
    let (place, turn) = match shape.turn {
        Some((bounds, turn)) => {
            let (bounds, turn) = soft_edges_outside(bounds, turn);
            let (x, y) = (bounds.x.floor(), bounds.y.floor());
            let width = (bounds.x + bounds.width).ceil() - x;
            let height = (bounds.y + bounds.height).ceil() - y;
            let turn = steady(Turn { e: turn.e + bounds.x - x, f: turn.f + bounds.y - y, ..turn });
            (Some(Box4 { x, y, width, height }), Some(turn))
        }
        None => (place, None),
    };
    let (fit, position) =
        if fills { ("fill", "") } else { (&*geometry.object_fit, &*geometry.object_position) };
    SetGeometry {
        player,
        seq,
        rect: place.map(rect),
        visible: visible.iter().take(MOST_RECTS).map(|b| rect(*b)).collect(),
        window: window.map(|w| WindowHint {
            outer: Some(rect(w.outer)),
            viewport_x: to_i32(w.viewport_x),
            viewport_y: to_i32(w.viewport_y),
            viewport_width: to_u32(w.viewport_width),
            viewport_height: to_u32(w.viewport_height),
            calibrated: w.calibrated,
            screen: None,
        }),
        object_fit: short(fit),
        object_position: short(position),
        clips: shape.clips.iter().map(clip).collect(),
        turn,
        blend: shape.blend,
        filter: shape.filter,
        veils: place.map_or_else(Vec::new, |place| veils(geometry, place, lift)),
        ..SetGeometry::default()
    }
}

/// Most tints of one picture, and longest text of one.
const MOST_VEILS: usize = 8;
const LONGEST_VEIL: usize = 600;

fn veils(geometry: &Geometry, place: Box4, lift: Option<(Box4, f64)>) -> Vec<Veil> {
    // Lengths in their texts are the frame's: where that is drawn larger, or turned, nothing is said of them.
    let Some((at, scale)) = lift.filter(|(_, scale)| (scale - 1.0).abs() < 1e-3) else { return Vec::new() };
    let fits =
        |veil: &&VeilReport| veil.background.len() <= LONGEST_VEIL && veil.radius.len() <= LONGEST_VEIL;
    let known = geometry.veils.iter().filter(fits).take(MOST_VEILS);
    known
        .map(|veil| {
            // Edges are where the browser draws them: on whole pixels of the screen.
            let edges = |from: f64, side: f64| [half_up(from), half_up(from + side)];
            let [left, right] = edges(at.x + veil.at.x * scale, veil.at.width * scale);
            let [top, bottom] = edges(at.y + veil.at.y * scale, veil.at.height * scale);
            Veil {
                x: to_i32((left - place.x) * 16.0),
                y: to_i32((top - place.y) * 16.0),
                width: to_u32((right - left) * 16.0),
                height: to_u32((bottom - top) * 16.0),
                background: veil.background.clone(),
                radius: veil.radius.clone(),
                opacity: veil.opacity,
            }
        })
        .collect()
}

/// The engine blends a slanting edge with what is behind the picture, which is black: larger by half a pixel at each side, that lies outside
/// of the outline.
fn soft_edges_outside(bounds: Box4, turn: Turn) -> (Box4, Turn) {
    const BY: f64 = 0.5;
    let Turn { width, height, a, b, c, d, e, f } = turn;
    let is_straight = a.abs().max(d.abs()) < 1e-6 || b.abs().max(c.abs()) < 1e-6;
    if is_straight {
        return (bounds, turn);
    }
    let Box4 { x, y, width: across, height: down } = bounds;
    let around = Box4 { x: x - 1.0, y: y - 1.0, width: across + 2.0, height: down + 2.0 };
    let (width, height) = (width + 2.0 * BY, height + 2.0 * BY);
    (around, Turn { width, height, e: e + 1.0 - BY * (a + c), f: f + 1.0 - BY * (b + d), ..turn })
}

/// Rounded, so that what is only moved is not laid out anew.
fn steady(turn: Turn) -> Turn {
    let [pixels, part] = [64.0, 1e6].map(|steps| move |value: f64| (value * steps).round() / steps);
    Turn {
        width: pixels(turn.width),
        height: pixels(turn.height),
        a: part(turn.a),
        b: part(turn.b),
        c: part(turn.c),
        d: part(turn.d),
        e: pixels(turn.e),
        f: pixels(turn.f),
    }
}

fn clip(outline: &Outline) -> Clip {
    let sixteenths = |at: &f64| to_i32((at * 16.0).round());
    Clip { corners: outline.corners.iter().flatten().map(sixteenths).collect(), even_odd: outline.even_odd }
}

fn rect(b: Box4) -> Rect {
    Rect { x: to_i32(b.x), y: to_i32(b.y), width: to_u32(b.width), height: to_u32(b.height) }
}
