//! The windows of a Windows session, from the documentation of `EnumWindows`, `DwmGetWindowAttribute` and `GetWindowRect`; it has not
//! run on a Windows machine yet.
//!
//! A hook of window events (`SetWinEventHook`) needs a message loop and tells nothing of stacking by itself, so the desktop is looked at
//! at a pace while somebody asks for it.

use std::time::Duration;

use offstage_protocol::message::Rect;
use offstage_protocol::message::SessionWindow;
use offstage_protocol::message::SessionWindows;
use offstage_support::win32::window;
use offstage_support::win32::window::Window;

use super::Desktop;
use super::DesktopError;
use super::MOST_TITLE;
use super::MOST_WINDOWS;
use super::covered;

/// How often the desktop is looked at: two frames of a screen.
const PACE: Duration = Duration::from_millis(33);

/// The desktop of this session.
#[derive(Debug)]
pub struct Win32 {
    browser: u32,
}

/// A visible window.
struct Seen {
    process: u32,
    /// With the borders that only the pointer notices.
    outer: Rect,
    inner: Rect,
    shown: bool,
    title: String,
}

impl Desktop for Win32 {
    fn open(browser: u32) -> Result<Self, DesktopError> {
        Ok(Self { browser })
    }

    fn look(&mut self) -> Result<SessionWindows, DesktopError> {
        window::physical_pixels();
        let seen: Vec<Seen> = window::top_level().into_iter().filter_map(seen).collect();
        let mut windows = Vec::new();
        for (at, window) in seen.iter().enumerate() {
            if window.process == self.browser && windows.len() < MOST_WINDOWS {
                let above = seen.iter().take(at).filter(|above| above.shown).map(|above| above.inner);
                let covered = if window.shown { covered(&window.inner, above) } else { Vec::new() };
                let (inner, outer) = (Some(window.inner), Some(window.outer));
                let title = window.title.clone();
                windows.push(SessionWindow { inner, outer, shown: window.shown, covered, title });
            }
        }
        Ok(SessionWindows { seq: 0, screen: Some(window::screens()), windows })
    }

    async fn changed(&mut self) -> Result<(), DesktopError> {
        tokio::time::sleep(PACE).await;
        Ok(())
    }
}

fn seen(window: Window) -> Option<Seen> {
    if !window::is_visible(window) {
        return None;
    }
    let outer = window::bounds(window)?;
    let shown = !window::is_minimised(window) && !window::is_cloaked(window);
    // A letter takes four bytes at most.
    let title = window::title(window).chars().take(MOST_TITLE / 4).collect();
    let inner = window::seen_bounds(window).unwrap_or(outer);
    Some(Seen { process: window::process(window), outer, inner, shown, title })
}
