//! Finds the window that a picture lies in: the browser's (or the remote-desktop client's) own top-level
//! window, below whatever frame the window manager has put around it.

use offstage_protocol::message::Rect;
use x11rb::cookie::Cookie;
use x11rb::protocol::res;
use x11rb::protocol::res::ConnectionExt as _;
use x11rb::protocol::xproto::Atom;
use x11rb::protocol::xproto::AtomEnum;
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::protocol::xproto::MapState;
use x11rb::protocol::xproto::Window;
use x11rb::protocol::xproto::WindowClass;
use x11rb::rust_connection::RustConnection;

use crate::window::ParentHint;
use crate::window::remote::the_one;
use crate::window::x11::DisplayError;
use crate::window::x11::gone_is_none;
use crate::window::x11::remote::Names;

/// A window manager's frames are one to three windows deep.
const MAX_DEPTH: u32 = 4;
/// A display with more windows than that is searched in part.
const MAX_VISITED: usize = 4096;
/// A window of a likely process may differ so much from the hint (it may just be resized).
const TOLERANCE: u32 = 400;
/// A window of a less likely process (an ancestor) must fit better.
const STRICT_TOLERANCE: u32 = GOOD_FIT;

/// So little is the difference between news of different age.
pub const GOOD_FIT: u32 = 64;

/// A window that a picture can lie in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parent {
    pub window: Window,
    /// The window's origin relative to the outer rectangle's origin.
    pub left: i32,
    pub top: i32,
    /// How much wider than at the left the border is at the bottom that the outer rectangle has beyond the window's content: so much lower than
    /// it is does a page take its viewport to be that knows neither.
    pub lower: i32,
    /// How badly it fits the hint; 0 is a perfect fit.
    pub misfit: u32,
}

/// Decorations that may or may not be part of what the browser calls its outer rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extents {
    pub(crate) left: u32,
    pub(crate) right: u32,
    pub(crate) top: u32,
    pub(crate) bottom: u32,
}

/// The process that made the window; `None` when the server doesn't know or the window has gone.
pub fn window_pid(conn: &RustConnection, window: Window) -> Result<Option<u32>, DisplayError> {
    pid_in(ask_pid(conn, window)?)
}

type PidCookie<'c> = Cookie<'c, RustConnection, res::QueryClientIdsReply>;

fn ask_pid(conn: &RustConnection, window: Window) -> Result<PidCookie<'_>, DisplayError> {
    let spec = res::ClientIdSpec { client: window, mask: res::ClientIdMask::LOCAL_CLIENT_PID };
    Ok(conn.res_query_client_ids(&[spec])?)
}

fn pid_in(answer: PidCookie<'_>) -> Result<Option<u32>, DisplayError> {
    let Some(reply) = gone_is_none(answer.reply())? else {
        return Ok(None);
    };
    Ok(reply.ids.iter().find_map(|id| id.value.first().copied()).filter(|pid| *pid != 0))
}

/// The best window for the hint; `None` when no window fits.
pub fn find(
    conn: &RustConnection,
    root: Window,
    atoms: &ExtentAtoms,
    hint: &ParentHint,
) -> Result<Option<Parent>, DisplayError> {
    // Without the outer rectangle nobody knows where in the window the page is.
    let Some(outer) = hint.outer.as_ref().filter(|_| !hint.pids.is_empty()) else {
        return Ok(None);
    };
    let mut best: Option<(usize, Parent)> = None;
    let mut level = vec![root];
    let mut visited = 0_usize;
    for _ in 0..MAX_DEPTH {
        // All of a level is asked before the first answer is read: a busy server takes as long for one of them as for a hundred.
        let trees = level.iter().map(|window| Ok(conn.query_tree(*window)?));
        let trees = trees.collect::<Result<Vec<_>, DisplayError>>()?;
        let mut children = Vec::new();
        for tree in trees {
            children.extend(gone_is_none(tree.reply())?.into_iter().flat_map(|tree| tree.children));
        }
        children.truncate(MAX_VISITED - visited);
        visited += children.len();
        let pids = children.iter().map(|child| ask_pid(conn, *child));
        let pids = pids.collect::<Result<Vec<_>, DisplayError>>()?;
        level.clear();
        for (child, pid) in children.into_iter().zip(pids) {
            let rank = pid_in(pid)?.and_then(|pid| hint.pids.iter().position(|wanted| *wanted == pid));
            let Some(rank) = rank else {
                level.push(child);
                continue;
            };
            let Some(parent) = judge(conn, root, atoms, child, Some(outer))? else {
                continue;
            };
            let tolerance = if rank == 0 { TOLERANCE } else { STRICT_TOLERANCE };
            let better = best.as_ref().is_none_or(|(best_rank, best_parent)| {
                (rank, parent.misfit) < (*best_rank, best_parent.misfit)
            });
            if better && parent.misfit <= tolerance {
                best = Some((rank, parent));
            }
        }
    }
    Ok(best.map(|(_, parent)| parent))
}

/// Of windows that each show one of the session's, the one that shows the hint's; `None` when none does, or when several can't be told apart.
pub fn find_named(
    conn: &RustConnection,
    root: Window,
    atoms: &ExtentAtoms,
    hint: &ParentHint,
    names: &Names,
) -> Result<Option<Parent>, DisplayError> {
    let Some(outer) = &hint.outer else { return Ok(None) };
    let mut named = Vec::new();
    for window in names.windows(conn, root)? {
        let Some(title) = names.title_of(conn, window)? else { continue };
        let parent = judge(conn, root, atoms, window, Some(outer))?;
        named.extend(parent.map(|parent| (title, parent.misfit, parent)));
    }
    Ok(the_one(&hint.title, GOOD_FIT, named))
}

/// How well a window fits the hint; `None` for one that can't hold a picture.
pub fn judge(
    conn: &RustConnection,
    root: Window,
    atoms: &ExtentAtoms,
    window: Window,
    outer: Option<&Rect>,
) -> Result<Option<Parent>, DisplayError> {
    let attributes = conn.get_window_attributes(window)?;
    let geometry = conn.get_geometry(window)?;
    let place = conn.translate_coordinates(window, root, 0, 0)?;
    let shadow = atoms.read(conn, window, atoms.gtk_frame)?;
    let frame = atoms.read(conn, window, atoms.net_frame)?;
    let (Some(attributes), Some(geometry), Some(place)) =
        (gone_is_none(attributes.reply())?, gone_is_none(geometry.reply())?, gone_is_none(place.reply())?)
    else {
        return Ok(None);
    };
    let usable = attributes.class == WindowClass::INPUT_OUTPUT
        && attributes.map_state == MapState::VIEWABLE
        && geometry.width >= 32
        && geometry.height >= 32;
    if !usable {
        return Ok(None);
    }
    let own = Rect {
        x: i32::from(place.dst_x),
        y: i32::from(place.dst_y),
        width: u32::from(geometry.width),
        height: u32::from(geometry.height),
    };
    Ok(Some(Parent { window, ..fit(&own, outer, shadow, frame) }))
}

/// Where a window of that rectangle is in the outer one, and how badly the two fit; which window it is is left open.
///
/// What a browser calls outer can be the window itself, shadow and all (Chromium's with decorations of its own), the window without its
/// shadow, or the window with the window manager's frame: whichever fits the size best. Size counts more than position, because the
/// position is older news.
pub(crate) fn fit(own: &Rect, outer: Option<&Rect>, shadow: Extents, frame: Extents) -> Parent {
    let small = |length: u32| i32::try_from(length).unwrap_or(0);
    let without_shadow = Parent { left: -small(shadow.left), top: -small(shadow.top), ..Parent::default() };
    let Some(outer) = outer else { return without_shadow };
    let lower = |border: Extents| small(border.bottom) - small(border.left);
    let framed =
        Parent { left: small(frame.left), top: small(frame.top), lower: lower(frame), ..Parent::default() };
    let candidates = [
        (Parent { lower: lower(shadow), ..Parent::default() }, 0, 0),
        (
            without_shadow,
            -i64::from(shadow.left) - i64::from(shadow.right),
            -i64::from(shadow.top) - i64::from(shadow.bottom),
        ),
        (
            framed,
            i64::from(frame.left) + i64::from(frame.right),
            i64::from(frame.top) + i64::from(frame.bottom),
        ),
    ];
    let judged = candidates.into_iter().map(|(parent, wider, higher)| {
        let (width, height) = (i64::from(own.width) + wider, i64::from(own.height) + higher);
        let size = (width - i64::from(outer.width)).abs() + (height - i64::from(outer.height)).abs();
        let place = (i64::from(own.x) - i64::from(parent.left) - i64::from(outer.x)).abs()
            + (i64::from(own.y) - i64::from(parent.top) - i64::from(outer.y)).abs();
        Parent {
            misfit: u32::try_from(size.saturating_add(place.min(512) / 8)).unwrap_or(u32::MAX),
            ..parent
        }
    });
    judged.min_by_key(|parent| parent.misfit).unwrap_or_default()
}

/// The properties in which decorations are announced.
#[derive(Debug, Clone, Copy)]
pub struct ExtentAtoms {
    gtk_frame: Atom,
    net_frame: Atom,
}

impl ExtentAtoms {
    pub fn new(conn: &RustConnection) -> Result<Self, DisplayError> {
        let gtk = conn.intern_atom(false, b"_GTK_FRAME_EXTENTS")?;
        let net = conn.intern_atom(false, b"_NET_FRAME_EXTENTS")?;
        Ok(Self {
            gtk_frame: gone_is_none(gtk.reply())?.map_or(0, |reply| reply.atom),
            net_frame: gone_is_none(net.reply())?.map_or(0, |reply| reply.atom),
        })
    }

    fn read(&self, conn: &RustConnection, window: Window, atom: Atom) -> Result<Extents, DisplayError> {
        let reply = conn.get_property(false, window, atom, AtomEnum::CARDINAL, 0, 4)?.reply();
        let Some(reply) = gone_is_none(reply)? else {
            return Ok(Extents::default());
        };
        // Nobody's decorations are wider than that; a property can hold anything.
        let numbers: Vec<u32> =
            reply.value32().map(|values| values.filter(|value| *value <= 512).collect()).unwrap_or_default();
        Ok(match numbers.as_slice() {
            [left, right, top, bottom] => Extents { left: *left, right: *right, top: *top, bottom: *bottom },
            _ => Extents::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Rect = Rect { x: 101, y: 220, width: 1000, height: 800 };
    const NONE: Extents = Extents { left: 0, right: 0, top: 0, bottom: 0 };
    const FRAME: Extents = Extents { left: 1, right: 1, top: 20, bottom: 5 };

    fn check(outer: Rect, shadow: Extents, frame: Extents, left: i32, top: i32, lower: i32) {
        assert_eq!(fit(&OWN, Some(&outer), shadow, frame), Parent { window: 0, left, top, lower, misfit: 0 });
    }

    #[test]
    fn outer_may_be_the_window_itself() {
        check(OWN, NONE, FRAME, 0, 0, 0);
    }

    #[test]
    fn outer_may_contain_the_window_managers_frame() {
        check(Rect { x: 100, y: 200, width: 1002, height: 825 }, NONE, FRAME, 1, 20, 4);
    }

    #[test]
    fn outer_may_leave_out_the_shadow() {
        let shadow = Extents { left: 10, right: 10, top: 12, bottom: 8 };
        check(Rect { x: 111, y: 232, width: 980, height: 780 }, shadow, NONE, -10, -12, 0);
    }

    #[test]
    fn outer_may_contain_the_shadow() {
        // Chromium's below mutter and xfwm4.
        check(OWN, Extents { left: 16, right: 16, top: 10, bottom: 32 }, NONE, 0, 0, 16);
    }

    #[test]
    fn position_counts_less_than_size() {
        let misfit = |outer: Rect| fit(&OWN, Some(&outer), NONE, NONE).misfit;
        assert!(misfit(Rect { x: 501, ..OWN }) < misfit(Rect { width: 900, ..OWN }));
    }

    #[test]
    fn extreme_hints_are_a_bad_fit_and_no_overflow() {
        let wild = Rect { x: i32::MIN, y: i32::MAX, width: u32::MAX, height: u32::MAX };
        assert!(fit(&OWN, Some(&wild), NONE, FRAME).misfit > 1_000_000);
    }
}
