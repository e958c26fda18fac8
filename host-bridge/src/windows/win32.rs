//! The windows of a Windows session, from the documentation of `EnumWindows`, `DwmGetWindowAttribute` and `GetWindowRect`; it has not
//! run on a Windows machine yet.
//!
//! A hook of window events (`SetWinEventHook`) needs a message loop and tells nothing of stacking by itself, so the desktop is looked at
//! at a pace while somebody asks for it.

#![expect(unsafe_code, reason = "calls into Windows")]

use std::ffi::c_void;
use std::time::Duration;

use offstage_protocol::message::Rect;
use offstage_protocol::message::SessionWindow;
use offstage_protocol::message::SessionWindows;
use windows_sys::Win32::Foundation::HWND;
use windows_sys::Win32::Foundation::LPARAM;
use windows_sys::Win32::Foundation::RECT;
use windows_sys::Win32::Graphics::Dwm::DWMWA_CLOAKED;
use windows_sys::Win32::Graphics::Dwm::DWMWA_EXTENDED_FRAME_BOUNDS;
use windows_sys::Win32::Graphics::Dwm::DwmGetWindowAttribute;
use windows_sys::Win32::UI::HiDpi::DPI_AWARENESS_CONTEXT_PER_MONITOR_AWARE_V2;
use windows_sys::Win32::UI::HiDpi::SetThreadDpiAwarenessContext;
use windows_sys::Win32::UI::WindowsAndMessaging::EnumWindows;
use windows_sys::Win32::UI::WindowsAndMessaging::GetSystemMetrics;
use windows_sys::Win32::UI::WindowsAndMessaging::GetWindowRect;
use windows_sys::Win32::UI::WindowsAndMessaging::GetWindowTextW;
use windows_sys::Win32::UI::WindowsAndMessaging::GetWindowThreadProcessId;
use windows_sys::Win32::UI::WindowsAndMessaging::IsIconic;
use windows_sys::Win32::UI::WindowsAndMessaging::IsWindowVisible;
use windows_sys::Win32::UI::WindowsAndMessaging::SM_CXVIRTUALSCREEN;
use windows_sys::Win32::UI::WindowsAndMessaging::SM_CYVIRTUALSCREEN;
use windows_sys::Win32::UI::WindowsAndMessaging::SM_XVIRTUALSCREEN;
use windows_sys::Win32::UI::WindowsAndMessaging::SM_YVIRTUALSCREEN;
use windows_sys::core::BOOL;

use super::Desktop;
use super::DesktopError;
use super::MOST_TITLE;
use super::MOST_WINDOWS;
use super::covered;

/// How often the desktop is looked at: two frames of a screen.
const PACE: Duration = Duration::from_millis(33);
/// Windows that are looked at, from the top.
const MOST_VISITED: usize = 2048;

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
        // SAFETY: changes nothing but how this thread is told of coordinates: in physical pixels.
        unsafe { SetThreadDpiAwarenessContext(DPI_AWARENESS_CONTEXT_PER_MONITOR_AWARE_V2) };
        let mut handles: Vec<HWND> = Vec::new();
        let target: *mut Vec<HWND> = &raw mut handles;
        // SAFETY: `note` is called during this call only, with this pointer, which nothing else uses meanwhile.
        unsafe { EnumWindows(Some(note), target as LPARAM) };
        let seen: Vec<Seen> = handles.into_iter().filter_map(seen).collect();
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
        Ok(SessionWindows { seq: 0, screen: Some(screen()), windows })
    }

    async fn changed(&mut self) -> Result<(), DesktopError> {
        tokio::time::sleep(PACE).await;
        Ok(())
    }
}

/// From the highest to the lowest, as `EnumWindows` gives them.
unsafe extern "system" fn note(window: HWND, target: LPARAM) -> BOOL {
    // SAFETY: `look` passes a pointer to its vector, which outlives the enumeration.
    let handles = unsafe { &mut *(target as *mut Vec<HWND>) };
    handles.push(window);
    BOOL::from(handles.len() < MOST_VISITED)
}

fn seen(window: HWND) -> Option<Seen> {
    // SAFETY: these take any handle and fail for one that has gone.
    let (is_visible, is_iconic) = unsafe { (IsWindowVisible(window) != 0, IsIconic(window) != 0) };
    if !is_visible {
        return None;
    }
    let mut process = 0;
    let mut bounds = RECT { left: 0, top: 0, right: 0, bottom: 0 };
    // SAFETY: both write to what they are given, and fail for a window that has gone.
    let has_bounds = unsafe {
        GetWindowThreadProcessId(window, &raw mut process);
        GetWindowRect(window, &raw mut bounds) != 0
    };
    let outer = rect(&bounds).filter(|_| has_bounds)?;
    let mut frame = RECT { left: 0, top: 0, right: 0, bottom: 0 };
    let inner = attribute(window, DWMWA_EXTENDED_FRAME_BOUNDS, &mut frame).then(|| rect(&frame)).flatten();
    let mut cloaked = 0_u32;
    // On another virtual desktop, or of an app that sleeps.
    let is_cloaked = attribute(window, DWMWA_CLOAKED, &mut cloaked) && cloaked != 0;
    let shown = !is_iconic && !is_cloaked;
    let mut title = [0_u16; MOST_TITLE / 4];
    let room = i32::try_from(title.len()).unwrap_or(0);
    // SAFETY: writes at most so many characters, and fails for a window that has gone.
    let length = unsafe { GetWindowTextW(window, title.as_mut_ptr(), room) };
    let length = usize::try_from(length).unwrap_or(0);
    let title = String::from_utf16_lossy(title.get(..length).unwrap_or_default());
    Some(Seen { process, outer, inner: inner.unwrap_or(outer), shown, title })
}

fn attribute<T>(window: HWND, which: i32, value: &mut T) -> bool {
    let size = u32::try_from(size_of::<T>()).unwrap_or(0);
    let target: *mut c_void = std::ptr::from_mut(value).cast();
    // SAFETY: the value has the size that is told, and takes whatever bytes come.
    unsafe { DwmGetWindowAttribute(window, which.cast_unsigned(), target, size) == 0 }
}

fn screen() -> Rect {
    // SAFETY: reads numbers of the session.
    let [x, y, width, height] =
        [SM_XVIRTUALSCREEN, SM_YVIRTUALSCREEN, SM_CXVIRTUALSCREEN, SM_CYVIRTUALSCREEN]
            .map(|which| unsafe { GetSystemMetrics(which) });
    let side = |length: i32| u32::try_from(length).unwrap_or(0);
    Rect { x, y, width: side(width), height: side(height) }
}

fn rect(bounds: &RECT) -> Option<Rect> {
    let side = |from: i32, to: i32| u32::try_from(i64::from(to) - i64::from(from)).ok();
    let (width, height) = (side(bounds.left, bounds.right)?, side(bounds.top, bounds.bottom)?);
    Some(Rect { x: bounds.left, y: bounds.top, width, height })
}
