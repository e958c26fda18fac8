//! `cargo xtask icons`: the extension's icons, drawn here so that every size is sharp and a change is a line in a diff.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::run::say;
use crate::workspace::Workspace;

/// Draws the icons into www/icons/. They are checked in: run this only to change them.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Draws all of them, in every size and on light and dark grounds, into this one file instead, to be looked at.
    #[arg(long)]
    sheet: Option<PathBuf>,
}

/// Pixels in a row; what browsers ask for in toolbars, lists and stores.
const SIZES: [u16; 4] = [16, 32, 48, 128];

/// Samples in each direction within a pixel.
const SAMPLES: u16 = 8;

type Colour = [u8; 3];

const BLUE: Colour = [47, 103, 224];
const GREY: Colour = [138, 143, 152];
const RED: Colour = [211, 47, 47];
const GREEN: Colour = [0, 137, 82];
const WHITE: Colour = [255, 255, 255];

/// Shapes on a square of 16 by 16 units, so that edges on whole numbers are sharp in every size.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Left, top, right, bottom, radius of the corners.
    Box(f64, f64, f64, f64, f64),
    /// From one point to another, this wide, with round ends.
    Line(f64, f64, f64, f64, f64),
    /// Three corners, clockwise on the screen, rounded by the radius.
    Triangle([(f64, f64); 3], f64),
}

/// A shape in a colour; without a colour it takes away what lies below.
type Layer = (Shape, Option<Colour>);

/// The states, by the names that the extension uses.
fn states() -> [(&'static str, Vec<Layer>); 5] {
    let tile = Shape::Box(1.0, 1.0, 15.0, 15.0, 2.5);
    [
        // Both screens empty: told from "ready" without its colour, too.
        ("grey", [mark(GREY), vec![(Shape::Box(8.0, 9.0, 13.0, 12.0, 0.5), None)]].concat()),
        ("ready", mark(BLUE)),
        (
            "off",
            vec![
                (tile, Some(RED)),
                (Shape::Line(5.0, 5.0, 11.0, 11.0, 2.0), Some(WHITE)),
                (Shape::Line(11.0, 5.0, 5.0, 11.0, 2.0), Some(WHITE)),
            ],
        ),
        (
            "video",
            vec![
                (tile, Some(GREEN)),
                (Shape::Triangle([(6.0, 4.5), (12.0, 8.0), (6.0, 11.5)], 0.5), Some(WHITE)),
            ],
        ),
        // A handset: a bent grip with an ear and a mouth piece.
        (
            "call",
            vec![
                (tile, Some(GREEN)),
                (Shape::Line(4.7, 5.6, 5.6, 8.4, 1.9), Some(WHITE)),
                (Shape::Line(5.6, 8.4, 7.6, 10.4, 1.9), Some(WHITE)),
                (Shape::Line(7.6, 10.4, 10.4, 11.3, 1.9), Some(WHITE)),
                (Shape::Line(5.0, 4.9, 6.3, 6.3, 2.4), Some(WHITE)),
                (Shape::Line(9.7, 9.7, 11.1, 11.0, 2.4), Some(WHITE)),
            ],
        ),
    ]
}

/// The mark: the session's screen as an outline behind, the device's in front and filled.
fn mark(colour: Colour) -> Vec<Layer> {
    vec![
        (Shape::Box(1.0, 2.0, 12.0, 11.0, 2.0), Some(colour)),
        (Shape::Box(3.0, 4.0, 10.0, 9.0, 0.5), None),
        (Shape::Box(5.0, 6.0, 16.0, 15.0, 2.0), None),
        (Shape::Box(6.0, 7.0, 15.0, 14.0, 1.5), Some(colour)),
    ]
}

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if let Some(path) = &options.sheet {
        return write_sheet(path);
    }
    let folder = workspace.path("www/icons");
    std::fs::create_dir_all(&folder)?;
    for (state, layers) in states() {
        for size in SIZES {
            write_png(&folder.join(format!("{state}-{size}.png")), [size, size], &draw(&layers, size))?;
        }
    }
    say(format!("icons: drawn into {}", folder.display()));
    Ok(())
}

/// Red, green, blue and opacity of each pixel.
fn draw(layers: &[Layer], size: u16) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..size {
        for x in 0..size {
            pixels.extend(pixel(layers, size, x, y));
        }
    }
    pixels
}

fn pixel(layers: &[Layer], size: u16, x: u16, y: u16) -> [u8; 4] {
    let (mut sum, mut covered) = ([0_u32; 3], 0_u32);
    for sample in 0..SAMPLES * SAMPLES {
        let unit = |pixel: u16, part: u16| {
            (f64::from(pixel) + (f64::from(part) + 0.5) / f64::from(SAMPLES)) * 16.0 / f64::from(size)
        };
        let (u, v) = (unit(x, sample % SAMPLES), unit(y, sample / SAMPLES));
        let top = layers.iter().rev().find(|(shape, _)| shape.contains(u, v)).and_then(|(_, colour)| *colour);
        if let Some(colour) = top {
            covered += 1;
            for (total, part) in sum.iter_mut().zip(colour) {
                *total += u32::from(part);
            }
        }
    }
    let mean = |total: u32, count: u32| u8::try_from(total / count.max(1)).unwrap_or(u8::MAX);
    let [red, green, blue] = sum.map(|total| mean(total, covered));
    [red, green, blue, mean(covered * 255, u32::from(SAMPLES * SAMPLES))]
}

impl Shape {
    fn contains(self, x: f64, y: f64) -> bool {
        match self {
            Self::Box(left, top, right, bottom, radius) => {
                let dx = (left + radius - x).max(x - (right - radius)).max(0.0);
                let dy = (top + radius - y).max(y - (bottom - radius)).max(0.0);
                dx.hypot(dy) <= radius
            }
            Self::Line(from_x, from_y, to_x, to_y, width) => {
                let (dx, dy) = (to_x - from_x, to_y - from_y);
                let along = ((x - from_x) * dx + (y - from_y) * dy) / (dx * dx + dy * dy);
                let along = along.clamp(0.0, 1.0);
                (x - from_x - dx * along).hypot(y - from_y - dy * along) <= width / 2.0
            }
            Self::Triangle([a, b, c], radius) => {
                let inside = [(a, b), (b, c), (c, a)].iter().all(|((ax, ay), (bx, by))| {
                    let (dx, dy) = (bx - ax, by - ay);
                    dx * (y - ay) - dy * (x - ax) >= 0.0
                });
                let near = |(ax, ay): (f64, f64), (bx, by): (f64, f64)| {
                    Self::Line(ax, ay, bx, by, radius * 2.0).contains(x, y)
                };
                inside || near(a, b) || near(b, c) || near(c, a)
            }
        }
    }
}

/// A row for each ground and state, in it a cell for each size.
fn write_sheet(path: &Path) -> Result<()> {
    const CELL: u16 = 144;
    let mut pixels = Vec::new();
    let grounds: [Colour; 4] = [[255, 255, 255], [222, 225, 230], [60, 64, 67], [32, 33, 36]];
    let states = states();
    for ground in grounds {
        let rows = states.each_ref().map(|(_, layers)| SIZES.map(|size| (size, draw(layers, size))));
        for size in 0..SIZES.len() {
            for y in 0..CELL {
                for row in &rows {
                    let Some((size, icon)) = row.get(size) else { continue };
                    for x in 0..CELL {
                        pixels.extend(over(ground, icon, *size, x, y));
                    }
                }
            }
        }
    }
    let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    write_png(path, [CELL * count(states.len()), CELL * count(grounds.len() * SIZES.len())], &pixels)?;
    say(format!("icons: sheet drawn into {}", path.display()));
    Ok(())
}

/// The pixel of a cell with an icon near its left upper corner.
fn over(ground: Colour, icon: &[u8], size: u16, x: u16, y: u16) -> [u8; 4] {
    let (x, y) = (x.wrapping_sub(8), y.wrapping_sub(8));
    let at = (usize::from(y) * usize::from(size) + usize::from(x)) * 4;
    let top = if x < size && y < size { icon.get(at..at + 4) } else { None };
    let (colour, opacity) = match top {
        Some(&[red, green, blue, opacity]) => ([red, green, blue], u16::from(opacity)),
        _ => (ground, 0),
    };
    let mixed = |i: usize| {
        let (over, below) = (u16::from(colour[i]) * opacity, u16::from(ground[i]) * (255 - opacity));
        u8::try_from((over + below) / 255).unwrap_or(u8::MAX)
    };
    [mixed(0), mixed(1), mixed(2), 255]
}

fn write_png(path: &Path, [width, height]: [u16; 2], pixels: &[u8]) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), u32::from(width), u32::from(height));
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(state: &str, size: u16, x: u16, y: u16) -> [u8; 4] {
        let layers = states().into_iter().find(|(name, _)| *name == state).unwrap().1;
        pixel(&layers, size, x, y)
    }

    #[test]
    fn each_state_is_told_by_its_colour_and_sign() {
        assert_eq!(at("off", 16, 8, 8), [255, 255, 255, 255]);
        assert_eq!(at("off", 16, 8, 2), [RED[0], RED[1], RED[2], 255]);
        assert_eq!(at("video", 16, 7, 7), [255, 255, 255, 255]);
        assert_eq!(at("video", 16, 3, 8), [GREEN[0], GREEN[1], GREEN[2], 255]);
        assert_eq!(at("call", 16, 6, 9), [255, 255, 255, 255]);
        assert_eq!(at("call", 16, 11, 5), [GREEN[0], GREEN[1], GREEN[2], 255]);
        assert_eq!(at("grey", 16, 2, 6), [GREY[0], GREY[1], GREY[2], 255]);
        assert_eq!((at("grey", 16, 10, 10)[3], at("ready", 16, 10, 10)[3]), (0, 255));
        assert_eq!(at("ready", 16, 0, 0)[3], 0);
    }
}
