//! Puts a window above all others.

use std::ops::ControlFlow;

use x11rb::connection::Connection as _;
use x11rb::errors::ReplyOrIdError;
use x11rb::protocol::xproto::AtomEnum;
use x11rb::protocol::xproto::ClientMessageEvent;
use x11rb::protocol::xproto::ConfigureWindowAux;
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::protocol::xproto::EventMask;
use x11rb::protocol::xproto::Window;
use x11rb::rust_connection::RustConnection;

use crate::window::x11::DisplayError;
use crate::window::x11::gone_is_none;
use crate::window::x11::parent::window_pid;
use crate::window::x11::taking::belongs;

/// Pixels from the screen's right and lower edges: a task bar may be there.
const MARGINS: [u16; 2] = [16, 64];
/// Windows that a window manager may list.
const MOST_WINDOWS: u32 = 4096;
/// `_NET_WM_STATE_ADD` of the Extended Window Manager Hints.
const ADD: u32 = 1;

/// Asks the window manager to keep the window of a process above all others and on every workspace (EWMH, `_NET_WM_STATE_ABOVE` and
/// `_NET_WM_STATE_STICKY`), if it lists one by now.
pub(crate) fn put_above(process: u32) -> ControlFlow<()> {
    match ask(process) {
        Ok(true) => ControlFlow::Break(()),
        Ok(false) => ControlFlow::Continue(()),
        Err(error) => {
            tracing::warn!(detail = error.detail, "a window can't be kept above the others");
            ControlFlow::Break(())
        }
    }
}

/// `false` if no window of the process is listed.
fn ask(process: u32) -> Result<bool, DisplayError> {
    let (conn, screen) = RustConnection::connect(None).map_err(|error| DisplayError {
        reason: crate::window::DisplayFailure::Missing,
        detail: error.to_string(),
    })?;
    let Some(screen) = conn.setup().roots.get(screen) else { return Ok(false) };
    let atom = |name: &str| -> Result<u32, DisplayError> {
        Ok(conn.intern_atom(false, name.as_bytes())?.reply().map_err(ReplyOrIdError::from)?.atom)
    };
    let list = atom("_NET_CLIENT_LIST")?;
    let listed = conn.get_property(false, screen.root, list, AtomEnum::WINDOW, 0, MOST_WINDOWS)?;
    let listed = listed.reply().map_err(ReplyOrIdError::from)?;
    let windows: Vec<Window> = listed.value32().into_iter().flatten().collect();
    for window in windows {
        if window_pid(&conn, window)?.is_none_or(|pid| !belongs(pid, process)) {
            continue;
        }
        let Some(size) = gone_is_none(conn.get_geometry(window)?.reply())? else { continue };
        let states = [ADD, atom("_NET_WM_STATE_ABOVE")?, atom("_NET_WM_STATE_STICKY")?, 1, 0];
        let event = ClientMessageEvent::new(32, window, atom("_NET_WM_STATE")?, states);
        let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
        conn.send_event(false, screen.root, mask, event)?;
        let place =
            |whole: u16, part: u16, margin| i32::from(whole.saturating_sub(part).saturating_sub(margin));
        let left = place(screen.width_in_pixels, size.width, MARGINS[0]);
        let top = place(screen.height_in_pixels, size.height, MARGINS[1]);
        conn.configure_window(window, &ConfigureWindowAux::new().x(left).y(top))?;
        // An answer means that the server has taken all of it.
        conn.get_input_focus()?.reply().map_err(ReplyOrIdError::from)?;
        return Ok(true);
    }
    Ok(false)
}
