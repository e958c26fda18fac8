//! The windows of an X11 session (xrdp, X over VNC, XWayland for what is on it).
//!
//! Stacking is the order of the root's children, in which a managed window is represented by its window manager's frame. Every request
//! about somebody else's window can fail because it has just gone; then it is as if it had not been there.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::os::fd::AsFd as _;

use offstage_protocol::message::Rect;
use offstage_protocol::message::SessionWindow;
use offstage_protocol::message::SessionWindows;
use tokio::io::Interest;
use tokio::net::UnixStream;
use x11rb::connection::Connection as _;
use x11rb::connection::RequestConnection as _;
use x11rb::errors::ConnectionError;
use x11rb::errors::ReplyError;
use x11rb::protocol::res;
use x11rb::protocol::res::ConnectionExt as _;
use x11rb::protocol::shape;
use x11rb::protocol::shape::ConnectionExt as _;
use x11rb::protocol::xproto::Atom;
use x11rb::protocol::xproto::AtomEnum;
use x11rb::protocol::xproto::ChangeWindowAttributesAux;
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::protocol::xproto::EventMask;
use x11rb::protocol::xproto::MapState;
use x11rb::protocol::xproto::Window;
use x11rb::protocol::xproto::WindowClass;
use x11rb::rust_connection::RustConnection;

use super::Desktop;
use super::DesktopError;
use super::MOST_COVERED;
use super::MOST_TITLE;
use super::MOST_WINDOWS;
use super::covered;

/// Windows that are looked at; a display with more is looked at in part, from the top.
const MOST_VISITED: usize = 2048;
/// A shape of more rectangles counts as the box around it.
const MOST_PIECES: usize = 64;
/// The state of a window that its manager has put away (ICCCM, section 4.1.3.1).
const ICONIC: u32 = 3;
/// A window manager's frames are one to three windows deep.
const MAX_DEPTH: usize = 4;
/// Nobody's decorations are wider than that; a property can hold anything.
const WIDEST_SHADOW: u32 = 512;
/// Of an XID the bits that name a client and one of its things (X11 protocol, chapter 8).
const XID_BITS: u32 = 0x1fff_ffff;

/// A connection to the display that looks and never touches.
#[derive(Debug)]
pub struct X11 {
    conn: RustConnection,
    readiness: Option<UnixStream>,
    root: Window,
    browser: u32,
    atoms: Atoms,
    /// Children of the root that tell of their shapes.
    heard_tops: BTreeSet<Window>,
    /// Windows of the browser's that tell of their places in their frames, and of their states.
    heard_clients: BTreeSet<Window>,
}

#[derive(Debug)]
struct Atoms {
    client_list: Atom,
    state: Atom,
    hidden: Atom,
    iconic: Atom,
    shadow: Atom,
    name: Atom,
    utf8: Atom,
}

/// A child of the root.
#[derive(Debug)]
struct Top {
    window: Window,
    rect: Rect,
    /// It can cover something.
    is_seen: bool,
    override_redirect: bool,
}

impl From<ConnectionError> for DesktopError {
    fn from(error: ConnectionError) -> Self {
        Self::Gone(error.to_string())
    }
}

/// `Ok(None)` when the thing asked about has gone, an error when the display has.
fn gone_is_none<T>(reply: Result<T, ReplyError>) -> Result<Option<T>, DesktopError> {
    match reply {
        Ok(reply) => Ok(Some(reply)),
        Err(ReplyError::X11Error(_)) => Ok(None),
        Err(ReplyError::ConnectionError(error)) => Err(error.into()),
    }
}

impl Desktop for X11 {
    fn open(browser: u32) -> Result<Self, DesktopError> {
        Self::open_display(None, browser)
    }

    fn look(&mut self) -> Result<SessionWindows, DesktopError> {
        // What has come until now is in what is seen now.
        while self.conn.poll_for_event()?.is_some() {}
        let Some(screen) = gone_is_none(self.conn.get_geometry(self.root)?.reply())? else {
            return Err(DesktopError::Gone("the root window has gone".to_owned()));
        };
        let screen = Rect { x: 0, y: 0, width: screen.width.into(), height: screen.height.into() };
        let tops = self.tops()?;
        let mut owners = BTreeMap::new();
        let mut windows = Vec::new();
        let clients = self.clients(&tops)?;
        self.heard_clients.retain(|window| clients.contains(window));
        for client in clients {
            if windows.len() < MOST_WINDOWS
                && self.owner(&mut owners, client)? == Some(self.browser)
                && let Some((place, window)) = self.window(client, &tops)?
            {
                windows.push((place, window));
            }
        }
        // The topmost first.
        windows.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
        let windows = windows.into_iter().map(|(_, window)| window).collect();
        Ok(SessionWindows { seq: 0, screen: Some(screen), windows })
    }

    async fn changed(&mut self) -> Result<(), DesktopError> {
        self.conn.flush()?;
        if self.readiness.is_none() {
            let gone = |error: std::io::Error| DesktopError::Gone(error.to_string());
            // A second descriptor of the display's socket, for nothing but its readiness.
            let socket = self.conn.stream().as_fd().try_clone_to_owned().map_err(gone)?;
            self.readiness = Some(UnixStream::from_std(socket.into()).map_err(gone)?);
        }
        loop {
            // Replies that were waited for may have brought events with them: first look, then wait.
            if self.conn.poll_for_event()?.is_some() {
                return Ok(());
            }
            if let Some(readiness) = &self.readiness {
                readiness.readable().await.map_err(|error| DesktopError::Gone(error.to_string()))?;
                let nothing_left = || Err::<(), _>(std::io::ErrorKind::WouldBlock.into());
                readiness.try_io(Interest::READABLE, nothing_left).ok();
            }
        }
    }
}

impl X11 {
    /// On the display of that name; `None` means the environment's.
    pub fn open_display(display: Option<&str>, browser: u32) -> Result<Self, DesktopError> {
        let (conn, screen) =
            x11rb::connect(display).map_err(|error| DesktopError::Missing(error.to_string()))?;
        for (name, extension) in
            [("SHAPE", shape::X11_EXTENSION_NAME), ("X-Resource", res::X11_EXTENSION_NAME)]
        {
            if conn.extension_information(extension)?.is_none() {
                return Err(DesktopError::Unsuitable(name));
            }
        }
        let Some(root) = conn.setup().roots.get(screen).map(|screen| screen.root) else {
            return Err(DesktopError::Unsuitable("such a screen"));
        };
        let mask = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::STRUCTURE_NOTIFY | EventMask::PROPERTY_CHANGE;
        conn.change_window_attributes(root, &ChangeWindowAttributesAux::new().event_mask(mask))?;
        let atom = |name: &str| -> Result<Atom, DesktopError> {
            Ok(gone_is_none(conn.intern_atom(false, name.as_bytes())?.reply())?.map_or(0, |reply| reply.atom))
        };
        let atoms = Atoms {
            client_list: atom("_NET_CLIENT_LIST")?,
            state: atom("_NET_WM_STATE")?,
            hidden: atom("_NET_WM_STATE_HIDDEN")?,
            iconic: atom("WM_STATE")?,
            shadow: atom("_GTK_FRAME_EXTENTS")?,
            name: atom("_NET_WM_NAME")?,
            utf8: atom("UTF8_STRING")?,
        };
        Ok(Self {
            conn,
            readiness: None,
            root,
            browser,
            atoms,
            heard_tops: BTreeSet::new(),
            heard_clients: BTreeSet::new(),
        })
    }

    /// The root's children, from the lowest to the highest.
    fn tops(&mut self) -> Result<Vec<Top>, DesktopError> {
        let Some(tree) = gone_is_none(self.conn.query_tree(self.root)?.reply())? else {
            return Ok(Vec::new());
        };
        let from = tree.children.len().saturating_sub(MOST_VISITED);
        let children: Vec<Window> = tree.children.into_iter().skip(from).collect();
        self.heard_tops.retain(|window| children.contains(window));
        let mut asked = Vec::new();
        for window in children {
            if self.heard_tops.insert(window) {
                self.conn.shape_select_input(window, true)?;
            }
            asked.push((window, self.conn.get_window_attributes(window)?, self.conn.get_geometry(window)?));
        }
        let mut tops = Vec::new();
        for (window, attributes, geometry) in asked {
            let (Some(attributes), Some(geometry)) =
                (gone_is_none(attributes.reply())?, gone_is_none(geometry.reply())?)
            else {
                continue;
            };
            let around = 2 * u32::from(geometry.border_width);
            let rect = Rect {
                x: geometry.x.into(),
                y: geometry.y.into(),
                width: u32::from(geometry.width) + around,
                height: u32::from(geometry.height) + around,
            };
            let is_seen = attributes.class == WindowClass::INPUT_OUTPUT
                && attributes.map_state == MapState::VIEWABLE
                && !self.is_servers(window);
            let override_redirect = attributes.override_redirect;
            tops.push(Top { window, rect, is_seen, override_redirect });
        }
        Ok(tops)
    }

    /// Windows of the server itself: a compositor's overlay window (Composite 0.3), which shows the others and covers none.
    fn is_servers(&self, window: Window) -> bool {
        let client = |xid: u32| xid & XID_BITS & !self.conn.setup().resource_id_mask;
        client(window) == client(self.root)
    }

    /// What a window manager lists, and what nobody manages.
    fn clients(&self, tops: &[Top]) -> Result<Vec<Window>, DesktopError> {
        let length = u32::try_from(MOST_VISITED).unwrap_or(u32::MAX);
        let listed =
            self.conn.get_property(false, self.root, self.atoms.client_list, AtomEnum::WINDOW, 0, length)?;
        let mut clients: Vec<Window> = gone_is_none(listed.reply())?
            .and_then(|reply| reply.value32().map(Iterator::collect))
            .unwrap_or_default();
        for top in tops.iter().filter(|top| top.is_seen && !top.override_redirect) {
            if !clients.contains(&top.window) {
                clients.push(top.window);
            }
        }
        Ok(clients)
    }

    /// The process that made a window; asked once for each client of the display.
    fn owner(
        &self,
        known: &mut BTreeMap<u32, Option<u32>>,
        window: Window,
    ) -> Result<Option<u32>, DesktopError> {
        let client = window & !self.conn.setup().resource_id_mask;
        if let Some(owner) = known.get(&client) {
            return Ok(*owner);
        }
        let spec = res::ClientIdSpec { client: window, mask: res::ClientIdMask::LOCAL_CLIENT_PID };
        let reply = gone_is_none(self.conn.res_query_client_ids(&[spec])?.reply())?;
        let owner = reply.and_then(|reply| reply.ids.iter().find_map(|id| id.value.first().copied()));
        known.insert(client, owner);
        Ok(owner)
    }

    /// A window of the browser's, with its place in the stack; `None` if it has gone.
    fn window(
        &mut self,
        client: Window,
        tops: &[Top],
    ) -> Result<Option<(usize, SessionWindow)>, DesktopError> {
        if self.heard_clients.insert(client) {
            let mask = EventMask::STRUCTURE_NOTIFY | EventMask::PROPERTY_CHANGE;
            let attributes = ChangeWindowAttributesAux::new().event_mask(mask);
            self.conn.change_window_attributes(client, &attributes)?;
            self.conn.shape_select_input(client, true)?;
        }
        let attributes = self.conn.get_window_attributes(client)?;
        let geometry = self.conn.get_geometry(client)?;
        let place = self.conn.translate_coordinates(client, self.root, 0, 0)?;
        let state = self.conn.get_property(false, client, self.atoms.state, AtomEnum::ATOM, 0, 64)?;
        let iconic = self.conn.get_property(false, client, self.atoms.iconic, self.atoms.iconic, 0, 1)?;
        let shadow = self.conn.get_property(false, client, self.atoms.shadow, AtomEnum::CARDINAL, 0, 4)?;
        let words = u32::try_from(MOST_TITLE / 4).unwrap_or(0);
        let title = self.conn.get_property(false, client, self.atoms.name, self.atoms.utf8, 0, words)?;
        let (Some(attributes), Some(geometry), Some(place)) = (
            gone_is_none(attributes.reply())?,
            gone_is_none(geometry.reply())?,
            gone_is_none(place.reply())?,
        ) else {
            self.heard_clients.remove(&client);
            return Ok(None);
        };
        let states = gone_is_none(state.reply())?;
        let is_hidden = states
            .as_ref()
            .and_then(|state| state.value32())
            .is_some_and(|mut states| states.any(|state| state == self.atoms.hidden));
        // Who composes the screen may keep the window of what is on another workspace.
        let is_iconic = gone_is_none(iconic.reply())?
            .as_ref()
            .and_then(|reply| reply.value32())
            .is_some_and(|mut state| state.next() == Some(ICONIC));
        let shadow = gone_is_none(shadow.reply())?;
        let shadow: Vec<u32> =
            shadow.as_ref().and_then(|reply| reply.value32()).map(Iterator::collect).unwrap_or_default();
        let own = Rect {
            x: place.dst_x.into(),
            y: place.dst_y.into(),
            width: geometry.width.into(),
            height: geometry.height.into(),
        };
        let inner = without_shadow(own, &shadow);
        let Some(at) = self.top_of(client, tops)? else { return Ok(None) };
        let Some((frame, above)) = tops.get(at).zip(tops.get(at + 1..)) else { return Ok(None) };
        let shown = attributes.map_state == MapState::VIEWABLE && !is_hidden && !is_iconic;
        // Shadow and all, as is a frame without a visible rim.
        let outer = if frame.window == client { own } else { frame.rect };
        let mut pieces = Vec::new();
        if shown {
            for top in above.iter().filter(|top| top.is_seen && overlap(&top.rect, &inner)) {
                pieces.extend(self.pieces(top)?);
                if pieces.len() > MOST_COVERED * MOST_PIECES {
                    break;
                }
            }
        }
        let covered = covered(&inner, pieces);
        let title = gone_is_none(title.reply())?.map(|title| title.value).unwrap_or_default();
        // A character that is cut at the end is no part of it.
        let title = title.utf8_chunks().next().map(|chunk| chunk.valid().to_owned()).unwrap_or_default();
        Ok(Some((at, SessionWindow { inner: Some(inner), outer: Some(outer), shown, covered, title })))
    }

    /// Which child of the root holds a window.
    fn top_of(&self, window: Window, tops: &[Top]) -> Result<Option<usize>, DesktopError> {
        let mut window = window;
        for _ in 0..=MAX_DEPTH {
            if let Some(at) = tops.iter().position(|top| top.window == window) {
                return Ok(Some(at));
            }
            let Some(tree) = gone_is_none(self.conn.query_tree(window)?.reply())? else { return Ok(None) };
            window = tree.parent;
        }
        Ok(None)
    }

    /// What is seen of a child of the root, if it is not the whole rectangle.
    fn pieces(&self, top: &Top) -> Result<Vec<Rect>, DesktopError> {
        let Some(extents) = gone_is_none(self.conn.shape_query_extents(top.window)?.reply())? else {
            return Ok(Vec::new());
        };
        if !extents.bounding_shaped {
            return Ok(vec![top.rect]);
        }
        let shape = self.conn.shape_get_rectangles(top.window, shape::SK::BOUNDING)?.reply();
        let Some(shape) = gone_is_none(shape)? else { return Ok(Vec::new()) };
        let moved = |x: i16, y: i16, width: u16, height: u16| Rect {
            x: top.rect.x.saturating_add(x.into()),
            y: top.rect.y.saturating_add(y.into()),
            width: width.into(),
            height: height.into(),
        };
        if shape.rectangles.len() > MOST_PIECES {
            return Ok(vec![moved(
                extents.bounding_shape_extents_x,
                extents.bounding_shape_extents_y,
                extents.bounding_shape_extents_width,
                extents.bounding_shape_extents_height,
            )]);
        }
        Ok(shape.rectangles.iter().map(|piece| moved(piece.x, piece.y, piece.width, piece.height)).collect())
    }
}

fn overlap(a: &Rect, b: &Rect) -> bool {
    super::common(a, b).is_some()
}

/// A window that draws its own decorations is larger than what it calls its outer rectangle by its shadow: left, right, top, bottom.
fn without_shadow(own: Rect, shadow: &[u32]) -> Rect {
    let [left, right, top, bottom] = match shadow {
        [left, right, top, bottom] if shadow.iter().all(|side| *side <= WIDEST_SHADOW) => {
            [*left, *right, *top, *bottom]
        }
        _ => [0; 4],
    };
    Rect {
        x: own.x.saturating_add_unsigned(left),
        y: own.y.saturating_add_unsigned(top),
        width: own.width.saturating_sub(left + right),
        height: own.height.saturating_sub(top + bottom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shadow_is_no_part_of_the_window() {
        let own = Rect { x: 100, y: 50, width: 400, height: 300 };
        let inner = Rect { x: 110, y: 58, width: 370, height: 280 };
        assert_eq!(without_shadow(own, &[10, 20, 8, 12]), inner);
        assert_eq!(without_shadow(own, &[]), own);
        assert_eq!(without_shadow(own, &[10, 20, 8, u32::MAX]), own);
    }
}
