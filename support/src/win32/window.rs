//! Windows of whatever process: what they are and where, and bringing them somewhere else.
//!
//! Any of them may go at any moment, and what is asked of one that has gone fails or does nothing. Any may belong to a program that doesn't
//! answer. Reading waits for none, and [`place`] is asynchronous; but regions and styles send messages to the window's thread, and an owner
//! in another process attaches the input queues of both threads to each other. So these three leave a window alone that Windows has found
//! hung; one that hangs since a moment ago can still hold them up. Windows are known by numbers of 32 bits, of which their handles have no more.

#![expect(unsafe_code, reason = "calls into Windows")]

use std::ffi::c_void;
use std::ptr::null_mut;

use offstage_protocol::message::Rect;
use windows_sys::Win32::Foundation::HWND;
use windows_sys::Win32::Foundation::LPARAM;
use windows_sys::Win32::Foundation::POINT;
use windows_sys::Win32::Foundation::RECT;
use windows_sys::Win32::Graphics::Dwm::DWMWA_CLOAKED;
use windows_sys::Win32::Graphics::Dwm::DWMWA_EXTENDED_FRAME_BOUNDS;
use windows_sys::Win32::Graphics::Dwm::DwmGetWindowAttribute;
use windows_sys::Win32::Graphics::Gdi::ClientToScreen;
use windows_sys::Win32::Graphics::Gdi::CreateRectRgn;
use windows_sys::Win32::Graphics::Gdi::DeleteObject;
use windows_sys::Win32::Graphics::Gdi::EqualRgn;
use windows_sys::Win32::Graphics::Gdi::ExtCreateRegion;
use windows_sys::Win32::Graphics::Gdi::GetWindowRgn;
use windows_sys::Win32::Graphics::Gdi::HRGN;
use windows_sys::Win32::Graphics::Gdi::RDH_RECTANGLES;
use windows_sys::Win32::Graphics::Gdi::RGN_ERROR;
use windows_sys::Win32::Graphics::Gdi::SetWindowRgn;
use windows_sys::Win32::UI::HiDpi::DPI_AWARENESS_CONTEXT_PER_MONITOR_AWARE_V2;
use windows_sys::Win32::UI::HiDpi::SetThreadDpiAwarenessContext;
use windows_sys::Win32::UI::WindowsAndMessaging::EnumWindows;
use windows_sys::Win32::UI::WindowsAndMessaging::GW_CHILD;
use windows_sys::Win32::UI::WindowsAndMessaging::GW_HWNDNEXT;
use windows_sys::Win32::UI::WindowsAndMessaging::GW_OWNER;
use windows_sys::Win32::UI::WindowsAndMessaging::GWL_EXSTYLE;
use windows_sys::Win32::UI::WindowsAndMessaging::GWLP_HWNDPARENT;
use windows_sys::Win32::UI::WindowsAndMessaging::GetClassNameW;
use windows_sys::Win32::UI::WindowsAndMessaging::GetClientRect;
use windows_sys::Win32::UI::WindowsAndMessaging::GetSystemMetrics;
use windows_sys::Win32::UI::WindowsAndMessaging::GetWindow;
use windows_sys::Win32::UI::WindowsAndMessaging::GetWindowLongPtrW;
use windows_sys::Win32::UI::WindowsAndMessaging::GetWindowRect;
use windows_sys::Win32::UI::WindowsAndMessaging::GetWindowTextW;
use windows_sys::Win32::UI::WindowsAndMessaging::GetWindowThreadProcessId;
use windows_sys::Win32::UI::WindowsAndMessaging::HWND_TOP;
use windows_sys::Win32::UI::WindowsAndMessaging::HWND_TOPMOST;
use windows_sys::Win32::UI::WindowsAndMessaging::IsHungAppWindow;
use windows_sys::Win32::UI::WindowsAndMessaging::IsIconic;
use windows_sys::Win32::UI::WindowsAndMessaging::IsWindow;
use windows_sys::Win32::UI::WindowsAndMessaging::IsWindowVisible;
use windows_sys::Win32::UI::WindowsAndMessaging::LWA_ALPHA;
use windows_sys::Win32::UI::WindowsAndMessaging::SM_CXVIRTUALSCREEN;
use windows_sys::Win32::UI::WindowsAndMessaging::SM_CYVIRTUALSCREEN;
use windows_sys::Win32::UI::WindowsAndMessaging::SM_XVIRTUALSCREEN;
use windows_sys::Win32::UI::WindowsAndMessaging::SM_YVIRTUALSCREEN;
use windows_sys::Win32::UI::WindowsAndMessaging::SPI_GETWORKAREA;
use windows_sys::Win32::UI::WindowsAndMessaging::SWP_ASYNCWINDOWPOS;
use windows_sys::Win32::UI::WindowsAndMessaging::SWP_NOACTIVATE;
use windows_sys::Win32::UI::WindowsAndMessaging::SWP_NOOWNERZORDER;
use windows_sys::Win32::UI::WindowsAndMessaging::SWP_NOSIZE;
use windows_sys::Win32::UI::WindowsAndMessaging::SWP_NOZORDER;
use windows_sys::Win32::UI::WindowsAndMessaging::SetForegroundWindow;
use windows_sys::Win32::UI::WindowsAndMessaging::SetLayeredWindowAttributes;
use windows_sys::Win32::UI::WindowsAndMessaging::SetWindowLongPtrW;
use windows_sys::Win32::UI::WindowsAndMessaging::SetWindowPos;
use windows_sys::Win32::UI::WindowsAndMessaging::SystemParametersInfoW;
use windows_sys::Win32::UI::WindowsAndMessaging::WS_EX_APPWINDOW;
use windows_sys::Win32::UI::WindowsAndMessaging::WS_EX_LAYERED;
use windows_sys::Win32::UI::WindowsAndMessaging::WS_EX_NOACTIVATE;
use windows_sys::Win32::UI::WindowsAndMessaging::WS_EX_TOOLWINDOW;
use windows_sys::Win32::UI::WindowsAndMessaging::WS_EX_TRANSPARENT;
use windows_sys::core::BOOL;

/// A window's number.
pub type Window = u32;

/// Windows that are looked at, from the top.
const MOST_VISITED: usize = 4096;
/// Characters of a name that are read.
const MOST_NAME: usize = 256;
/// What lets the pointer through to another program's window below, keeps the keyboard where it is, and stays off the task bar.
const LETS_THROUGH: u32 = WS_EX_LAYERED | WS_EX_TRANSPARENT | WS_EX_NOACTIVATE | WS_EX_TOOLWINDOW;

/// Where a window is put among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Where it is.
    Keep,
    /// Right above that one.
    Above(Window),
    /// Above all that are not to stay above the others.
    Topmost,
}

/// Has this thread told of coordinates in physical pixels, on each screen. Threads start with what the program is declared to
/// understand, which is scaled.
pub fn physical_pixels() {
    // SAFETY: changes nothing but this thread's view.
    unsafe { SetThreadDpiAwarenessContext(DPI_AWARENESS_CONTEXT_PER_MONITOR_AWARE_V2) };
}

/// All windows that lie in no other, from the highest to the lowest.
#[must_use]
pub fn top_level() -> Vec<Window> {
    let mut found: Vec<HWND> = Vec::new();
    let target: *mut Vec<HWND> = &raw mut found;
    // SAFETY: `note` is called during this call only, with this pointer, which nothing else uses meanwhile.
    unsafe { EnumWindows(Some(note), target.expose_provenance().cast_signed()) };
    found.into_iter().map(number).collect()
}

/// From the highest to the lowest, as `EnumWindows` gives them.
unsafe extern "system" fn note(window: HWND, target: LPARAM) -> BOOL {
    // SAFETY: `top_level` passes a pointer to its vector, which outlives the enumeration.
    let found = unsafe { &mut *std::ptr::with_exposed_provenance_mut::<Vec<HWND>>(target.cast_unsigned()) };
    found.push(window);
    BOOL::from(found.len() < MOST_VISITED)
}

/// The windows that lie directly in this one, from the highest to the lowest.
#[must_use]
pub fn children(window: Window) -> Vec<Window> {
    // SAFETY: takes any handle and gives null where there is nothing.
    let first = unsafe { GetWindow(handle(window), GW_CHILD) };
    // SAFETY: as above.
    let next =
        |window: &HWND| Some(unsafe { GetWindow(*window, GW_HWNDNEXT) }).filter(|next| !next.is_null());
    let all = std::iter::successors(Some(first).filter(|first| !first.is_null()), next);
    all.take(MOST_VISITED).map(number).collect()
}

#[must_use]
pub fn exists(window: Window) -> bool {
    // SAFETY: takes any handle.
    unsafe { IsWindow(handle(window)) != 0 }
}

/// Whether it is shown, as far as it is on the screen and nothing covers it.
#[must_use]
pub fn is_visible(window: Window) -> bool {
    // SAFETY: takes any handle.
    unsafe { IsWindowVisible(handle(window)) != 0 }
}

#[must_use]
pub fn is_minimised(window: Window) -> bool {
    // SAFETY: takes any handle.
    unsafe { IsIconic(handle(window)) != 0 }
}

/// On another virtual desktop, or of an app that sleeps.
#[must_use]
pub fn is_cloaked(window: Window) -> bool {
    let mut cloaked = 0_u32;
    attribute(window, DWMWA_CLOAKED, &mut cloaked) && cloaked != 0
}

/// The process that the window belongs to; 0 if it has gone.
#[must_use]
pub fn process(window: Window) -> u32 {
    let mut process = 0;
    // SAFETY: writes where it is told, and nothing for a window that has gone.
    unsafe { GetWindowThreadProcessId(handle(window), &raw mut process) };
    process
}

/// The window above which it stays, if there is one.
#[must_use]
pub fn owner(window: Window) -> Option<Window> {
    // SAFETY: takes any handle and gives null where there is nothing.
    let owner = unsafe { GetWindow(handle(window), GW_OWNER) };
    (!owner.is_null()).then(|| number(owner))
}

#[must_use]
pub fn class(window: Window) -> String {
    // SAFETY: writes at most so many characters.
    name(|text, room| unsafe { GetClassNameW(handle(window), text, room) })
}

/// What its title bar shows; nothing is asked of its program.
#[must_use]
pub fn title(window: Window) -> String {
    // SAFETY: writes at most so many characters.
    name(|text, room| unsafe { GetWindowTextW(handle(window), text, room) })
}

fn name(ask: impl FnOnce(*mut u16, i32) -> i32) -> String {
    let mut text = [0_u16; MOST_NAME];
    let room = i32::try_from(text.len()).unwrap_or(0);
    let length = usize::try_from(ask(text.as_mut_ptr(), room)).unwrap_or(0);
    String::from_utf16_lossy(text.get(..length).unwrap_or_default())
}

/// Its rectangle on the screen, with borders that only the pointer notices.
#[must_use]
pub fn bounds(window: Window) -> Option<Rect> {
    let mut bounds = RECT::default();
    // SAFETY: writes where it is told, and fails for a window that has gone.
    let done = unsafe { GetWindowRect(handle(window), &raw mut bounds) } != 0;
    rect(&bounds).filter(|_| done)
}

/// What of it is drawn on the screen.
#[must_use]
pub fn seen_bounds(window: Window) -> Option<Rect> {
    let mut bounds = RECT::default();
    attribute(window, DWMWA_EXTENDED_FRAME_BOUNDS, &mut bounds).then(|| rect(&bounds)).flatten()
}

/// The rectangle of its content on the screen: without its frame.
#[must_use]
pub fn client_bounds(window: Window) -> Option<Rect> {
    let (mut size, mut origin) = (RECT::default(), POINT::default());
    // SAFETY: both write where they are told, and fail for a window that has gone.
    let done = unsafe {
        GetClientRect(handle(window), &raw mut size) != 0
            && ClientToScreen(handle(window), &raw mut origin) != 0
    };
    let size = rect(&size).filter(|_| done)?;
    Some(Rect { x: origin.x, y: origin.y, ..size })
}

/// All screens together.
#[must_use]
pub fn screens() -> Rect {
    let [x, y, width, height] =
        // SAFETY: reads numbers of the session.
        [SM_XVIRTUALSCREEN, SM_YVIRTUALSCREEN, SM_CXVIRTUALSCREEN, SM_CYVIRTUALSCREEN].map(|which| unsafe { GetSystemMetrics(which) });
    let side = |length: i32| u32::try_from(length).unwrap_or(0);
    Rect { x, y, width: side(width), height: side(height) }
}

/// The first screen without its task bar.
#[must_use]
pub fn work_area() -> Option<Rect> {
    let mut area = RECT::default();
    // SAFETY: writes one rectangle where it is told.
    let done = unsafe { SystemParametersInfoW(SPI_GETWORKAREA, 0, (&raw mut area).cast(), 0) } != 0;
    rect(&area).filter(|_| done)
}

/// Whether pointer and keyboard go past it.
#[must_use]
pub fn lets_through(window: Window) -> bool {
    style(window) & (LETS_THROUGH | WS_EX_APPWINDOW) == LETS_THROUGH
}

/// Whether its program has not asked for messages for so long that Windows takes it for hung.
fn is_hung(window: Window) -> bool {
    // SAFETY: takes any handle.
    unsafe { IsHungAppWindow(handle(window)) != 0 }
}

/// Has pointer and keyboard go past it, and the task bar not name it; or takes that back. Not of one that hangs.
pub fn let_through(window: Window, on: bool) {
    if is_hung(window) {
        return;
    }
    let style = style(window) & !(LETS_THROUGH | WS_EX_APPWINDOW);
    let style = if on { style | LETS_THROUGH } else { style };
    let style = isize::try_from(style).unwrap_or(0);
    // SAFETY: changes bits of a window, and fails for one that has gone.
    unsafe {
        SetWindowLongPtrW(handle(window), GWL_EXSTYLE, style);
        if on {
            SetLayeredWindowAttributes(handle(window), 0, 255, LWA_ALPHA);
        }
    }
}

fn style(window: Window) -> u32 {
    // SAFETY: reads bits of a window, none for one that has gone.
    let style = unsafe { GetWindowLongPtrW(handle(window), GWL_EXSTYLE) };
    u32::try_from(style & 0xffff_ffff).unwrap_or(0)
}

/// Has it stay above that window from now on, and be hidden with it; or above none. Not one that hangs.
pub fn set_owner(window: Window, owner: Option<Window>) {
    if is_hung(window) {
        return;
    }
    let owner = owner.map_or(0, |owner| handle(owner).addr().cast_signed());
    // SAFETY: for a window that lies in no other, this word is its owner.
    unsafe { SetWindowLongPtrW(handle(window), GWLP_HWNDPARENT, owner) };
}

/// Moves it, resizes it if a size is given, without making it the active one and without waiting for its program.
pub fn place(window: Window, left: i32, top: i32, size: Option<(u32, u32)>, order: Order) {
    let mut flags = SWP_NOACTIVATE | SWP_ASYNCWINDOWPOS | SWP_NOOWNERZORDER;
    let after = match order {
        Order::Keep => {
            flags |= SWP_NOZORDER;
            null_mut()
        }
        Order::Above(lower) => above(lower, window).map_or(HWND_TOP, handle),
        Order::Topmost => HWND_TOPMOST,
    };
    if size.is_none() {
        flags |= SWP_NOSIZE;
    }
    let side = |side: u32| i32::try_from(side).unwrap_or(i32::MAX);
    let (width, height) = size.unwrap_or_default();
    // SAFETY: takes any handles, and fails for those that have gone.
    unsafe { SetWindowPos(handle(window), after, left, top, side(width), side(height), flags) };
}

/// The next higher window than that, another one than `except`.
fn above(lower: Window, except: Window) -> Option<Window> {
    let all = top_level();
    let at = all.iter().position(|window| *window == lower)?;
    all.get(..at)?.iter().rev().find(|window| **window != except).copied()
}

/// Gives it the keyboard, if Windows lets this program do so.
pub fn activate(window: Window) {
    // SAFETY: takes any handle.
    unsafe { SetForegroundWindow(handle(window)) };
}

/// Shows those parts of it alone, relative to its upper left corner. Not of one that hangs.
pub fn set_region(window: Window, parts: &[Rect]) {
    if is_hung(window) {
        return;
    }
    let Some(region) = Region::of(parts) else { return };
    // SAFETY: the region is one, and Windows' own from now on if it takes it.
    if unsafe { SetWindowRgn(handle(window), region.0, 1) } != 0 {
        std::mem::forget(region);
    }
}

/// Whether those parts of it are shown and no others.
#[must_use]
pub fn has_region(window: Window, parts: &[Rect]) -> bool {
    let (Some(wanted), Some(found)) = (Region::of(parts), Region::of(&[])) else { return false };
    // SAFETY: both are regions of this process's; what is found is written into the second.
    unsafe { GetWindowRgn(handle(window), found.0) != RGN_ERROR && EqualRgn(wanted.0, found.0) != 0 }
}

/// A region of this process's.
struct Region(HRGN);

impl Region {
    fn of(parts: &[Rect]) -> Option<Self> {
        let region = if parts.is_empty() {
            // SAFETY: takes numbers.
            unsafe { CreateRectRgn(0, 0, 0, 0) }
        } else {
            let edges = |part: &Rect| -> Option<[i32; 4]> {
                let end = |from: i32, length: u32| from.checked_add(i32::try_from(length).ok()?);
                Some([part.x, part.y, end(part.x, part.width)?, end(part.y, part.height)?])
            };
            let parts: Vec<[i32; 4]> = parts.iter().filter_map(edges).collect();
            let number = |value: usize| i32::try_from(value).ok();
            let reach = |index: usize, of: fn(i32, i32) -> i32| {
                parts.iter().filter_map(|part| part.get(index).copied()).reduce(of)
            };
            // `RGNDATAHEADER`: its size, what follows, how many, how long, and the rectangle around.
            let mut data = vec![
                number(HEADER)?,
                i32::try_from(RDH_RECTANGLES).ok()?,
                number(parts.len())?,
                number(parts.len() * 16)?,
                reach(0, i32::min)?,
                reach(1, i32::min)?,
                reach(2, i32::max)?,
                reach(3, i32::max)?,
            ];
            data.extend(parts.iter().flatten());
            let bytes = u32::try_from(data.len() * 4).ok()?;
            // SAFETY: the data are a header and as many rectangles as it says, and have so many bytes.
            unsafe { ExtCreateRegion(std::ptr::null(), bytes, data.as_ptr().cast()) }
        };
        (!region.is_null()).then_some(Self(region))
    }
}

/// Bytes of a region's header.
const HEADER: usize = 32;

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: made by this module, and given to nobody.
        unsafe { DeleteObject(self.0) };
    }
}

fn attribute<T>(window: Window, which: i32, value: &mut T) -> bool {
    let size = u32::try_from(size_of::<T>()).unwrap_or(0);
    let target: *mut c_void = std::ptr::from_mut(value).cast();
    // SAFETY: the value has the size that is told, and takes whatever bytes come.
    unsafe { DwmGetWindowAttribute(handle(window), which.cast_unsigned(), target, size) == 0 }
}

fn rect(bounds: &RECT) -> Option<Rect> {
    let side = |from: i32, to: i32| u32::try_from(i64::from(to) - i64::from(from)).ok();
    let (width, height) = (side(bounds.left, bounds.right)?, side(bounds.top, bounds.bottom)?);
    Some(Rect { x: bounds.left, y: bounds.top, width, height })
}

fn handle(window: Window) -> HWND {
    let extended = isize::try_from(window.cast_signed()).unwrap_or(0);
    std::ptr::without_provenance_mut(extended.cast_unsigned())
}

fn number(window: HWND) -> Window {
    u32::try_from(window.addr() & 0xffff_ffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_window_is_none() {
        assert!(!exists(1) && !is_visible(1));
        assert_eq!((process(1), owner(1), bounds(1), class(1)), (0, None, None, String::new()));
        place(1, 0, 0, Some((1, 1)), Order::Above(2));
        set_region(1, &[Rect { x: 0, y: 0, width: 1, height: 1 }]);
        assert!(!has_region(1, &[]));
    }

    #[test]
    fn regions_take_what_a_rectangle_can_be_and_nothing_else() {
        let part = |x, width| Rect { x, y: 0, width, height: 1 };
        assert!(Region::of(&[part(-5, 10), part(20, 3)]).is_some());
        assert!(Region::of(&[part(i32::MAX, 10)]).is_none());
    }
}
