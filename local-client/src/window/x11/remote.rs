//! The window of a remote-desktop client: found, followed, and found again when it comes back.

use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::Atom;
use x11rb::protocol::xproto::AtomEnum;
use x11rb::protocol::xproto::ChangeWindowAttributesAux;
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::protocol::xproto::EventMask;
use x11rb::protocol::xproto::MapState;
use x11rb::protocol::xproto::Window;
use x11rb::protocol::xproto::WindowClass;
use x11rb::rust_connection::RustConnection;

use crate::window::RemoteWindow;
use crate::window::WindowEvent;
use crate::window::remote::Candidate;
use crate::window::x11::DisplayError;
use crate::window::x11::gone_is_none;
use crate::window::x11::parent::window_pid;

/// Windows that a window manager may list.
const MOST_WINDOWS: u32 = 4096;
/// A window's content is at most so many windows deep.
const MAX_DEPTH: u32 = 4;
/// Nothing smaller shows a desktop.
const LEAST_SIDE: u16 = 32;
/// Most words of a property that are read.
const MOST_NAME: u32 = 256;

/// The search and what it has found.
#[derive(Debug)]
pub struct Remote {
    names: Names,
    found: Option<Found>,
}

/// Knows windows by their names.
#[derive(Debug)]
pub struct Names {
    which: RemoteWindow,
    client_list: Atom,
    name: Atom,
    utf8: Atom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    /// The client's top-level window.
    top: Window,
    /// What shows the session's screen: it, or a window that covers it.
    content: Window,
    size: (u16, u16),
}

impl Remote {
    pub fn new(conn: &RustConnection, which: RemoteWindow) -> Result<Self, DisplayError> {
        Ok(Self { names: Names::new(conn, which)?, found: None })
    }

    /// The window that pictures are children of.
    #[must_use]
    pub fn content(&self) -> Option<Window> {
        self.found.map(|found| found.content)
    }

    /// Whether an event may say that the window has come, changed its size or gone.
    #[must_use]
    pub fn concerns(&self, event: &Event) -> bool {
        let is_found =
            |window: Window| self.found.is_some_and(|found| window == found.top || window == found.content);
        if let Event::ConfigureNotify(event) = event {
            is_found(event.window)
        } else if let Event::DestroyNotify(event) = event {
            is_found(event.window)
        } else if let Event::MapNotify(event) = event {
            self.found.is_none() || is_found(event.window)
        } else {
            false
        }
    }

    /// Looks again; what has changed.
    pub fn look(&mut self, conn: &RustConnection, root: Window) -> Result<Option<WindowEvent>, DisplayError> {
        let mut now = None;
        if let Some(known) = self.found {
            now = found(conn, known.top)?;
        }
        if now.is_none()
            && let Some(top) = self.search(conn, root)?
        {
            let mask = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
            conn.change_window_attributes(top, &mask)?;
            now = found(conn, top)?;
        }
        if now == self.found {
            return Ok(None);
        }
        if let Some(found) = &now {
            let mask = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
            conn.change_window_attributes(found.content, &mask)?;
        }
        tracing::debug!(?now, "the remote desktop's window");
        self.found = now;
        Ok(Some(match now {
            Some(Found { size: (width, height), .. }) => {
                WindowEvent::Bound { width: width.into(), height: height.into() }
            }
            None => WindowEvent::Unbound,
        }))
    }

    /// The largest window of that name that is on the screen.
    fn search(&self, conn: &RustConnection, root: Window) -> Result<Option<Window>, DisplayError> {
        let mut best = None;
        for window in self.names.windows(conn, root)? {
            if self.names.title_of(conn, window)?.is_none() {
                continue;
            }
            let Some(place) = shown(conn, window)? else { continue };
            let area = u32::from(place.2) * u32::from(place.3);
            if place.2.min(place.3) >= LEAST_SIDE && best.is_none_or(|(best, _)| area > best) {
                best = Some((area, window));
            }
        }
        Ok(best.map(|(_, window)| window))
    }
}

impl Names {
    pub fn new(conn: &RustConnection, which: RemoteWindow) -> Result<Self, DisplayError> {
        let (client_list, name, utf8) =
            (atom(conn, "_NET_CLIENT_LIST")?, atom(conn, "_NET_WM_NAME")?, atom(conn, "UTF8_STRING")?);
        Ok(Self { which, client_list, name, utf8 })
    }

    /// All windows that may be meant: what the window manager lists, and what it doesn't manage.
    pub(super) fn windows(&self, conn: &RustConnection, root: Window) -> Result<Vec<Window>, DisplayError> {
        let listed = conn.get_property(false, root, self.client_list, AtomEnum::WINDOW, 0, MOST_WINDOWS)?;
        let mut windows: Vec<Window> = gone_is_none(listed.reply())?
            .and_then(|reply| reply.value32().map(Iterator::collect))
            .unwrap_or_default();
        if let Some(tree) = gone_is_none(conn.query_tree(root)?.reply())? {
            windows.extend(tree.children);
        }
        if let RemoteWindow::Id(window) = self.which {
            windows.push(window);
        }
        windows.sort_unstable();
        windows.dedup();
        windows.retain(|window| !is_own(conn, *window));
        Ok(windows)
    }

    /// The title of a window that is meant.
    pub(super) fn title_of(
        &self,
        conn: &RustConnection,
        window: Window,
    ) -> Result<Option<String>, DisplayError> {
        let class = conn.get_property(false, window, AtomEnum::WM_CLASS, AtomEnum::STRING, 0, MOST_NAME)?;
        let title = conn.get_property(false, window, self.name, self.utf8, 0, MOST_NAME)?;
        let old_title =
            conn.get_property(false, window, AtomEnum::WM_NAME, AtomEnum::STRING, 0, MOST_NAME)?;
        let text = |reply: Option<x11rb::protocol::xproto::GetPropertyReply>| {
            String::from_utf8_lossy(&reply.map(|reply| reply.value).unwrap_or_default()).into_owned()
        };
        let class = text(gone_is_none(class.reply())?);
        let (title, old_title) = (text(gone_is_none(title.reply())?), text(gone_is_none(old_title.reply())?));
        let classes: Vec<&str> = class.split('\0').filter(|name| !name.is_empty()).collect();
        let process = match self.which {
            RemoteWindow::Process(_) => window_pid(conn, window)?,
            RemoteWindow::Id(_) | RemoteWindow::Class(_) | RemoteWindow::Title(_) => None,
        };
        let title = if title.is_empty() { old_title } else { title };
        let is_meant =
            self.which.matches(&Candidate { id: window, classes: &classes, title: &title, process });
        Ok(is_meant.then_some(title))
    }
}

fn atom(conn: &RustConnection, name: &str) -> Result<Atom, DisplayError> {
    Ok(gone_is_none(conn.intern_atom(false, name.as_bytes())?.reply())?.map_or(0, |reply| reply.atom))
}

/// What shows the desktop in a window; `None` if that has gone. One that is minimised is there still.
fn found(conn: &RustConnection, top: Window) -> Result<Option<Found>, DisplayError> {
    let Some(geometry) = gone_is_none(conn.get_geometry(top)?.reply())? else { return Ok(None) };
    let mut found = Found { top, content: top, size: (geometry.width, geometry.height) };
    for _ in 0..MAX_DEPTH {
        let Some(tree) = gone_is_none(conn.query_tree(found.content)?.reply())? else { break };
        let mut cover = None;
        for child in tree.children {
            if is_own(conn, child) {
                continue;
            }
            let Some((x, y, width, height)) = shown(conn, child)? else { continue };
            let reaches = |at: i16, length: u16, whole: u16| {
                at <= 0 && i32::from(at) + i32::from(length) >= whole.into()
            };
            if reaches(x, width, found.size.0) && reaches(y, height, found.size.1) {
                cover = Some(Found { top, content: child, size: (width, height) });
            }
        }
        match cover {
            Some(cover) => found = cover,
            None => break,
        }
    }
    Ok(Some(found))
}

/// Place and size of a window that something is drawn in.
fn shown(conn: &RustConnection, window: Window) -> Result<Option<(i16, i16, u16, u16)>, DisplayError> {
    let attributes = conn.get_window_attributes(window)?;
    let geometry = conn.get_geometry(window)?;
    let (Some(attributes), Some(geometry)) =
        (gone_is_none(attributes.reply())?, gone_is_none(geometry.reply())?)
    else {
        return Ok(None);
    };
    let is_shown =
        attributes.class == WindowClass::INPUT_OUTPUT && attributes.map_state == MapState::VIEWABLE;
    Ok(is_shown.then_some((geometry.x, geometry.y, geometry.width, geometry.height)))
}

/// The pictures' frames are no part of the desktop.
fn is_own(conn: &RustConnection, window: Window) -> bool {
    let setup = conn.setup();
    window & !setup.resource_id_mask == setup.resource_id_base
}
