//! The layout of a picture inside its popup, which layouts have reached the screen, and where a picture is in a web client's page.

use core::fmt::Write as _;
use std::collections::VecDeque;

use offstage_protocol::Monotonic;
use offstage_protocol::message;
use offstage_protocol::message::Rect;

use crate::machine::limits::{MAX_CSS, MAX_LAYOUTS, MAX_OFFSET, MAX_PARTS, MAX_SIDE, PAINT_TIMEOUT};

/// Where a picture is on the session's screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub x: i32,
    pub y: i32,
    /// What is seen, relative to the picture.
    pub parts: Vec<Rect>,
}

impl Place {
    /// A place that can be shown; none if that is not one.
    pub(crate) fn checked(asked: message::PlacePicture) -> Option<Self> {
        let near = |offset: i32| (-MAX_OFFSET..=MAX_OFFSET).contains(&offset);
        let fits = |rect: &Rect| near(rect.x) && near(rect.y) && rect.width.max(rect.height) <= MAX_SIDE;
        let Rect { x, y, .. } = asked.rect.filter(fits)?;
        let parts = asked.visible;
        let possible = !parts.is_empty() && parts.len() <= MAX_PARTS && parts.iter().all(fits);
        possible.then_some(Self { x, y, parts })
    }

    /// What is seen as the text of a CSS `path()`.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::new();
        for Rect { x, y, width, height } in &self.parts {
            // Writing to a string can't fail.
            let _infallible = write!(path, "M{x} {y}h{width}v{height}h-{width}z");
        }
        path
    }
}

/// How large the picture is and how the video fills it. CSS texts are the engine's to validate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub width: u32,
    pub height: u32,
    pub object_fit: String,
    pub object_position: String,
    /// Written over the picture.
    pub label: String,
    pub outline: bool,
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
        }
    }
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
