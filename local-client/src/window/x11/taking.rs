//! Takes the engine's windows before anybody sees them and finds out whose they are.
//!
//! The engine makes a window, sets its properties, and maps it some hundred milliseconds later. In
//! between it is reparented into a frame of ours below a window that is never mapped.

use std::collections::BTreeSet;

use x11rb::protocol::xproto::AtomEnum;
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::protocol::xproto::EventMask;
use x11rb::protocol::xproto::Window;
use x11rb::rust_connection::RustConnection;

use crate::window::x11::DisplayError;
use crate::window::x11::gone_is_none;
use crate::window::x11::parent::window_pid;

/// The class that the engine is started with.
const CLASS: &[u8] = b"offstage";
/// How the instance names of windows with a page of the stage's begin: with the page's host.
const INSTANCE: &[u8] = b"127.0.0.1__";

/// Recognises the engine's windows among all that are made.
#[derive(Debug, Default)]
pub struct Watch {
    engine: Option<u32>,
    /// The engine's windows that have no class yet.
    unclassified: BTreeSet<Window>,
}

impl Watch {
    pub fn engine_started(&mut self, pid: u32) {
        self.engine = Some(pid);
        self.unclassified.clear();
    }

    pub fn engine_gone(&mut self) {
        self.engine = None;
        self.unclassified.clear();
    }

    /// A window was made below the root; true if it is to be taken now.
    pub fn created(&mut self, conn: &RustConnection, window: Window) -> Result<bool, DisplayError> {
        let Some(engine) = self.engine else {
            return Ok(false);
        };
        let Some(pid) = window_pid(conn, window)? else {
            return Ok(false);
        };
        if !belongs(pid, engine) {
            return Ok(false);
        }
        conn.change_window_attributes(
            window,
            &x11rb::protocol::xproto::ChangeWindowAttributesAux::new()
                .event_mask(EventMask::PROPERTY_CHANGE | EventMask::STRUCTURE_NOTIFY),
        )?;
        // The class may have been set before the events were asked for.
        self.unclassified.insert(window);
        self.classified(conn, window)
    }

    /// The window's class may have been set; true if the window is to be taken now.
    pub fn classified(&mut self, conn: &RustConnection, window: Window) -> Result<bool, DisplayError> {
        if !self.unclassified.contains(&window) {
            return Ok(false);
        }
        let property =
            conn.get_property(false, window, AtomEnum::WM_CLASS, AtomEnum::STRING, 0, 256)?.reply();
        let Some(property) = gone_is_none(property)? else {
            self.unclassified.remove(&window);
            return Ok(false);
        };
        let mut parts = property.value.split(|byte| *byte == 0);
        let (instance, class) = (parts.next().unwrap_or_default(), parts.next());
        tracing::trace!(window, instance = %String::from_utf8_lossy(instance), "a window of the engine");
        // Windows without a page (of the toolkit, of dialogs) are named after the program.
        if class != Some(CLASS) || !instance.starts_with(INSTANCE) {
            return Ok(false);
        }
        self.unclassified.remove(&window);
        Ok(true)
    }

    /// A window of the engine appears on the screen untaken: true if it is to be taken off it.
    pub fn appeared(&mut self, window: Window) -> bool {
        self.unclassified.remove(&window)
    }

    pub fn forget(&mut self, window: Window) {
        self.unclassified.remove(&window);
    }
}

/// The engine is a process group of its own; its launcher may have started the real program.
pub(super) fn belongs(pid: u32, engine: u32) -> bool {
    if pid == engine {
        return true;
    }
    let group = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .and_then(|pid| rustix::process::getpgid(Some(pid)).ok());
    group.is_some_and(|group| u32::try_from(group.as_raw_nonzero().get()) == Ok(engine))
}
