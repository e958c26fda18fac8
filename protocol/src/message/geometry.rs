//! Where a picture is and what is seen of it; the session's windows.

use prost::Message;

// ---------------------------------------------------------------------------------------------
// Streams 1 and 2: where pictures are.

/// Where the picture is. All lengths in physical pixels of the session.
#[derive(Clone, PartialEq, Message)]
pub struct SetGeometry {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    /// Counts up; older ones are ignored.
    #[prost(uint32, tag = "2")]
    pub seq: u32,
    /// The element's content box, relative to the top-level viewport.
    #[prost(message, optional, tag = "3")]
    pub rect: Option<Rect>,
    /// The parts of it that can be seen, relative to the top-level viewport; empty hides the picture.
    #[prost(message, repeated, tag = "4")]
    pub visible: Vec<Rect>,
    #[prost(message, optional, tag = "5")]
    pub window: Option<WindowHint>,
    /// `object-fit` as CSS text; empty means `contain`.
    #[prost(string, tag = "6")]
    pub object_fit: String,
    /// `object-position` as CSS text; empty means `50% 50%`.
    #[prost(string, tag = "7")]
    pub object_position: String,
    /// Written over the picture: what the session's person wants to be told of it; empty for nothing.
    #[prost(string, tag = "8")]
    pub label: String,
    /// A line around the picture.
    #[prost(bool, tag = "9")]
    pub outline: bool,
    /// Only what lies inside of all of them is seen: rounded corners, `clip-path`, boxes that stand askew. Relative to the top-level
    /// viewport. Feature `shapes`, as all that follows.
    #[prost(message, repeated, tag = "10")]
    pub clips: Vec<Clip>,
    /// How the picture is turned, stretched or mirrored; `rect` is then the upright box around it.
    #[prost(message, optional, tag = "11")]
    pub turn: Option<Turn>,
    /// The picture lets through what is behind it.
    #[prost(message, optional, tag = "12")]
    pub blend: Option<Blend>,
    /// `filter` as CSS text, of functions that change colours only. Empty for none.
    #[prost(string, tag = "13")]
    pub filter: String,
    /// What tints the picture, from below to above.
    #[prost(message, repeated, tag = "14")]
    pub veils: Vec<Veil>,
    /// Nothing is seen of it yet because the device has no picture; when it has, it will be seen here. The window may be drawn ahead.
    #[prost(bool, tag = "15")]
    pub soon: bool,
    /// How the title of the page's window begins, at most 60 characters; for a device whose windows each show one of the session's (feature
    /// `single-windows`), and so show its title as well.
    #[prost(string, tag = "16")]
    pub title: String,
}

/// Something of the page above a picture that lets it through: a colour or gradients.
#[derive(Clone, PartialEq, Message)]
pub struct Veil {
    /// Relative to the upper left corner of the picture's `rect`, in sixteenths of a pixel.
    #[prost(sint32, tag = "1")]
    pub x: i32,
    #[prost(sint32, tag = "2")]
    pub y: i32,
    #[prost(uint32, tag = "3")]
    pub width: u32,
    #[prost(uint32, tag = "4")]
    pub height: u32,
    /// `background` as CSS text: colours and gradients only.
    #[prost(string, tag = "5")]
    pub background: String,
    /// `border-radius` as CSS text, in pixels of the screen.
    #[prost(string, tag = "6")]
    pub radius: String,
    /// From 0 to 1.
    #[prost(double, tag = "7")]
    pub opacity: f64,
}

/// A closed outline of straight lines.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Clip {
    /// x, y, x, y, … in sixteenths of a pixel; the last corner is joined to the first.
    #[prost(sint32, repeated, tag = "1")]
    pub corners: Vec<i32>,
    /// What is inside where lines cross: `evenodd` instead of `nonzero` (CSS Shapes 1, section 3.1).
    #[prost(bool, tag = "2")]
    pub even_odd: bool,
}

/// A content box before it is turned, and what it becomes: the matrix of a CSS `transform` whose origin is the box's upper left corner
/// (CSS Transforms 1, section 8), and whose target is relative to the upper left corner of `rect`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Turn {
    #[prost(double, tag = "1")]
    pub width: f64,
    #[prost(double, tag = "2")]
    pub height: f64,
    #[prost(double, tag = "3")]
    pub a: f64,
    #[prost(double, tag = "4")]
    pub b: f64,
    #[prost(double, tag = "5")]
    pub c: f64,
    #[prost(double, tag = "6")]
    pub d: f64,
    #[prost(double, tag = "7")]
    pub e: f64,
    #[prost(double, tag = "8")]
    pub f: f64,
}

/// A picture that is not opaque, on a ground of one colour.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Blend {
    /// From 0 to 1.
    #[prost(double, tag = "1")]
    pub opacity: f64,
    /// 0xRRGGBB.
    #[prost(uint32, tag = "2")]
    pub ground: u32,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Rect {
    #[prost(sint32, tag = "1")]
    pub x: i32,
    #[prost(sint32, tag = "2")]
    pub y: i32,
    #[prost(uint32, tag = "3")]
    pub width: u32,
    #[prost(uint32, tag = "4")]
    pub height: u32,
}

/// What the page's side knows about the browser window that holds it, in physical pixels.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct WindowHint {
    /// Outer rectangle of the browser window on the session's screen.
    #[prost(message, optional, tag = "1")]
    pub outer: Option<Rect>,
    /// The viewport's origin relative to the outer rectangle's origin.
    #[prost(sint32, tag = "2")]
    pub viewport_x: i32,
    #[prost(sint32, tag = "3")]
    pub viewport_y: i32,
    #[prost(uint32, tag = "4")]
    pub viewport_width: u32,
    #[prost(uint32, tag = "5")]
    pub viewport_height: u32,
    /// True once pointer events, or what the bridge sees, have confirmed the viewport's origin. Until then `viewport_y` is what is right if the
    /// window's border is as wide at the bottom as at the left.
    #[prost(bool, tag = "6")]
    pub calibrated: bool,
    /// All of the session's screen, whatever monitors it is made of; only where the session's windows are watched
    /// ([`SessionWindows`]). Then `outer` is exact, too.
    #[prost(message, optional, tag = "7")]
    pub screen: Option<Rect>,
}

/// The bridge: the browser's windows on the session's screen, whenever something of them has changed, as long as
/// [`WatchWindows`] asks for it. All lengths in physical pixels of the screen.
#[derive(Clone, PartialEq, Message)]
pub struct SessionWindows {
    /// Counts up.
    #[prost(uint32, tag = "1")]
    pub seq: u32,
    #[prost(message, optional, tag = "2")]
    pub screen: Option<Rect>,
    /// The browser's own; at most 64.
    #[prost(message, repeated, tag = "3")]
    pub windows: Vec<SessionWindow>,
}

/// A top-level window of the browser.
#[derive(Clone, PartialEq, Message)]
pub struct SessionWindow {
    /// The window itself, without what the window manager has put around it and without a shadow of its own.
    #[prost(message, optional, tag = "1")]
    pub inner: Option<Rect>,
    /// With the window manager's frame, or its own shadow.
    #[prost(message, optional, tag = "2")]
    pub outer: Option<Rect>,
    /// On the screen: not minimised, not on another workspace.
    #[prost(bool, tag = "3")]
    pub shown: bool,
    /// What other windows cover of it; at most 256 rectangles, else it counts as covered whole.
    #[prost(message, repeated, tag = "4")]
    pub covered: Vec<Rect>,
    /// As the window manager shows it, the browser's own name at its end; at most 256 bytes. It tells apart windows that lie exactly over
    /// each other, and never leaves the session.
    #[prost(string, tag = "5")]
    pub title: String,
}

/// The extension: whether it wants [`SessionWindows`].
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct WatchWindows {
    #[prost(bool, tag = "1")]
    pub on: bool,
}
