//! The layout of a picture inside its popup, which layouts have reached the screen, and where a picture is in a web client's page.

use core::fmt::Write as _;
use std::collections::VecDeque;

use offstage_protocol::Monotonic;
use offstage_protocol::message;
use offstage_protocol::message::{Clip, Rect};

use crate::machine::limits::{
    MAX_CLIPS, MAX_CORNERS, MAX_CSS, MAX_LAYOUTS, MAX_OFFSET, MAX_PARTS, MAX_SIDE, MAX_VEIL, MAX_VEILS,
    PAINT_TIMEOUT,
};

/// Where a picture is on the session's screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub x: i32,
    pub y: i32,
    /// What is seen, relative to the picture.
    pub parts: Vec<Rect>,
    /// What is seen of those, if anything cuts them.
    pub clips: Vec<Clip>,
}

impl Place {
    /// A place that can be shown; none if that is not one.
    pub(crate) fn checked(asked: message::PlacePicture) -> Option<Self> {
        let near = |offset: i32| (-MAX_OFFSET..=MAX_OFFSET).contains(&offset);
        let fits = |rect: &Rect| near(rect.x) && near(rect.y) && rect.width.max(rect.height) <= MAX_SIDE;
        let Rect { x, y, .. } = asked.rect.filter(fits)?;
        let message::PlacePicture { visible: parts, clips, .. } = asked;
        let possible = !parts.is_empty() && parts.len() <= MAX_PARTS && parts.iter().all(fits);
        let cuts = clips.len() <= MAX_CLIPS && clips.iter().all(|clip| clip.corners.len() <= MAX_CORNERS);
        (possible && cuts).then_some(Self { x, y, parts, clips })
    }

    /// What is seen, and what cuts that, as CSS texts of `clip-path`.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        core::iter::once(self.path()).chain(self.clips.iter().map(outline)).collect()
    }

    fn path(&self) -> String {
        let mut path = "path('".to_owned();
        for Rect { x, y, width, height } in &self.parts {
            // Writing to a string can't fail.
            let _infallible = write!(path, "M{x} {y}h{width}v{height}h-{width}z");
        }
        path + "')"
    }
}

fn outline(clip: &Clip) -> String {
    let mut path = if clip.even_odd { "path(evenodd,'" } else { "path(nonzero,'" }.to_owned();
    let mut letter = 'M';
    for corner in clip.corners.as_chunks::<2>().0 {
        path.push(letter);
        letter = 'L';
        for side in corner {
            // Sixteenths: at most four decimals. Rust's own way of writing fractions weighs 25 kB here.
            let (sign, size) = (if *side < 0 { "-" } else { " " }, side.unsigned_abs());
            let _infallible = write!(path, "{sign}{}.{:04}", size / 16, size % 16 * 625);
        }
    }
    path + "z')"
}

/// How large the picture is and how the video fills it. CSS texts are the engine's to validate.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    pub width: u32,
    pub height: u32,
    pub object_fit: String,
    pub object_position: String,
    /// Written over the picture.
    pub label: String,
    pub outline: bool,
    pub turn: Option<message::Turn>,
    pub blend: Option<message::Blend>,
    pub filter: String,
    pub veils: Vec<message::Veil>,
}

impl Layout {
    /// A layout that can be set whatever was asked for.
    pub(crate) fn clean(asked: &message::Layout) -> Self {
        let css = |text: &str, otherwise: &str| {
            if text.is_empty() || text.len() > MAX_CSS { otherwise.to_owned() } else { text.to_owned() }
        };
        Self {
            width: asked.width.min(MAX_SIDE),
            height: asked.height.min(MAX_SIDE),
            object_fit: css(&asked.object_fit, "contain"),
            object_position: css(&asked.object_position, "50% 50%"),
            label: css(&asked.label, ""),
            outline: asked.outline,
            turn: asked.turn.filter(is_drawable),
            blend: asked.blend.filter(|blend| (0.0..=1.0).contains(&blend.opacity)),
            filter: if calls_only(&asked.filter, &FILTERS) { css(&asked.filter, "") } else { String::new() },
            veils: asked.veils.iter().filter(|veil| is_tint(veil)).take(MAX_VEILS).cloned().collect(),
        }
    }
}

/// Functions of CSS that make colours of nothing but numbers; all others could fetch something.
const COLOURS: [&str; 15] = [
    "linear-gradient",
    "radial-gradient",
    "conic-gradient",
    "repeating-linear-gradient",
    "repeating-radial-gradient",
    "repeating-conic-gradient",
    "rgb",
    "rgba",
    "hsl",
    "hwb",
    "lab",
    "lch",
    "oklab",
    "oklch",
    "color",
];

/// Functions of `filter` that change colours and nothing else.
const FILTERS: [&str; 7] =
    ["brightness", "contrast", "grayscale", "hue-rotate", "invert", "saturate", "sepia"];

/// Numbers, names and calls of these functions. Letters that could end a declaration, quote something or escape are not among it.
fn calls_only(text: &str, functions: &[&str]) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || " ,.%()#+-/".contains(letter);
    let ends_in_function = |before: &str| {
        let name = before.rsplit(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-')).next();
        name.is_some_and(|name| functions.contains(&name))
    };
    let calls = text.matches('(').count();
    text.chars().all(plain) && text.split('(').take(calls).all(ends_in_function)
}

fn is_tint(veil: &message::Veil) -> bool {
    calls_only(&veil.background, &COLOURS)
        && calls_only(&veil.radius, &[])
        && veil.background.len() + veil.radius.len() <= MAX_VEIL
        && (0.0..=1.0).contains(&veil.opacity)
}

fn is_drawable(turn: &message::Turn) -> bool {
    let message::Turn { width, height, a, b, c, d, e, f } = *turn;
    let side = 0.0..=f64::from(MAX_SIDE);
    [a, b, c, d, e, f].iter().all(|number| number.is_finite())
        && side.contains(&width)
        && side.contains(&height)
}

/// The layouts of one player.
#[derive(Debug, Default)]
pub(crate) struct Layouts {
    serial: u64,
    current: Option<message::Layout>,
    /// Set and not seen on the screen yet, oldest first.
    unseen: VecDeque<(u64, message::Layout, Monotonic)>,
}

impl Layouts {
    /// Keeps the wish; [`Self::apply`] sets it.
    pub(crate) fn wish(&mut self, layout: message::Layout) {
        self.current = Some(layout);
    }

    /// The size for a new window.
    pub(crate) fn window_size(&self) -> (u32, u32) {
        match self.current.as_ref().map(Layout::clean) {
            Some(layout) if layout.width > 0 && layout.height > 0 => (layout.width, layout.height),
            _ => (1280, 720),
        }
    }

    /// What to set now, with its number.
    pub(crate) fn apply(&mut self, now: Monotonic) -> Option<(u64, Layout)> {
        let layout = self.current.clone()?;
        let clean = Layout::clean(&layout);
        self.serial += 1;
        if self.unseen.len() >= MAX_LAYOUTS {
            self.unseen.pop_front();
        }
        self.unseen.push_back((self.serial, layout, now.after(PAINT_TIMEOUT)));
        Some((self.serial, clean))
    }

    /// A layout has been seen, and with it every older one: the newest of them is told.
    pub(crate) fn painted(&mut self, serial: u64) -> Option<message::Layout> {
        let mut seen = None;
        while self.unseen.front().is_some_and(|(first, _, _)| *first <= serial) {
            seen = self.unseen.pop_front().map(|(_, layout, _)| layout);
        }
        seen
    }

    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        self.unseen.front().map(|(_, _, until)| *until)
    }

    /// The newest layout whose time is over.
    pub(crate) fn overdue(&self, now: Monotonic) -> Option<u64> {
        self.unseen.iter().take_while(|(_, _, until)| *until <= now).last().map(|(serial, _, _)| *serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_those_of_colours_and_fetch_nothing() {
        assert!(calls_only("grayscale(0.5) hue-rotate(90deg)", &FILTERS) && calls_only("", &FILTERS));
        for other in
            ["blur(2px)", "URL(https://example.com/f.svg#a)", "\\75rl(#a)", "invert(1);x", "url(\"#a\")"]
        {
            assert!(!calls_only(other, &FILTERS), "{other}");
        }
    }

    #[test]
    fn tints_are_colours_and_gradients_and_nothing_that_fetches() {
        let is_tint = |background: &str| {
            is_tint(&message::Veil {
                background: background.into(),
                opacity: 0.5,
                ..message::Veil::default()
            })
        };
        assert!(is_tint("rgba(0, 0, 0, 0.5)"));
        assert!(is_tint("linear-gradient(to right bottom, rgba(0, 0, 0, 0), rgb(1, 2, 3) 50%), transparent"));
        for other in [
            "url(http://a.example/x)",
            "linear-gradient(red, blue), URL(x)",
            "image-set(x)",
            "rgb(0, 0, 0); background-image: none",
            "paint(x)",
            "(x)",
            "linear-gradient(\\75rl(x))",
        ] {
            assert!(!is_tint(other), "{other}");
        }
    }
}
