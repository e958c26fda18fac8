//! Stands for a browser in the tests of Windows, where none runs: it answers on the debugging pipe, or makes windows like those of an
//! engine and of a remote desktop's client.
//!
//! Without the pipe's handles in its arguments it carries out lines of standard input and answers each with a line: `page LEFT TOP WIDTH
//! HEIGHT`, `remote LEFT TOP WIDTH HEIGHT TITLE` and `cover LEFT TOP WIDTH HEIGHT` make a window and tell its number; `move NUMBER LEFT
//! TOP WIDTH HEIGHT`, `minimise NUMBER`, `restore NUMBER` and `close NUMBER` change one.

#[cfg(windows)]
mod stand_in {
    #![expect(unsafe_code, reason = "calls into Windows")]

    use std::fs::File;
    use std::io;
    use std::io::BufRead as _;
    use std::io::Read as _;
    use std::io::Write as _;
    use std::os::windows::io::FromRawHandle as _;
    use std::path::Path;
    use std::ptr::null;
    use std::ptr::null_mut;
    use std::sync::mpsc;

    use offstage_support::win32::wide;
    use serde_json::Value;
    use serde_json::json;
    use windows_sys::Win32::Foundation::HWND;
    use windows_sys::Win32::Foundation::LPARAM;
    use windows_sys::Win32::Foundation::LRESULT;
    use windows_sys::Win32::Foundation::RECT;
    use windows_sys::Win32::Foundation::WPARAM;
    use windows_sys::Win32::UI::WindowsAndMessaging::CreateWindowExW;
    use windows_sys::Win32::UI::WindowsAndMessaging::DefWindowProcW;
    use windows_sys::Win32::UI::WindowsAndMessaging::DestroyWindow;
    use windows_sys::Win32::UI::WindowsAndMessaging::DispatchMessageW;
    use windows_sys::Win32::UI::WindowsAndMessaging::GW_CHILD;
    use windows_sys::Win32::UI::WindowsAndMessaging::GetClientRect;
    use windows_sys::Win32::UI::WindowsAndMessaging::GetWindow;
    use windows_sys::Win32::UI::WindowsAndMessaging::MSG;
    use windows_sys::Win32::UI::WindowsAndMessaging::MsgWaitForMultipleObjects;
    use windows_sys::Win32::UI::WindowsAndMessaging::PM_REMOVE;
    use windows_sys::Win32::UI::WindowsAndMessaging::PeekMessageW;
    use windows_sys::Win32::UI::WindowsAndMessaging::QS_ALLINPUT;
    use windows_sys::Win32::UI::WindowsAndMessaging::RegisterClassW;
    use windows_sys::Win32::UI::WindowsAndMessaging::SW_MINIMIZE;
    use windows_sys::Win32::UI::WindowsAndMessaging::SW_RESTORE;
    use windows_sys::Win32::UI::WindowsAndMessaging::SWP_NOACTIVATE;
    use windows_sys::Win32::UI::WindowsAndMessaging::SWP_NOZORDER;
    use windows_sys::Win32::UI::WindowsAndMessaging::SetWindowPos;
    use windows_sys::Win32::UI::WindowsAndMessaging::ShowWindow;
    use windows_sys::Win32::UI::WindowsAndMessaging::WM_SIZE;
    use windows_sys::Win32::UI::WindowsAndMessaging::WNDCLASSW;
    use windows_sys::Win32::UI::WindowsAndMessaging::WS_CHILD;
    use windows_sys::Win32::UI::WindowsAndMessaging::WS_POPUP;
    use windows_sys::Win32::UI::WindowsAndMessaging::WS_VISIBLE;

    /// What the frame of a page takes on the left, at the top, on the right and below, as Chromium draws it.
    const FRAME: [i32; 4] = [8, 40, 8, 8];
    /// An engine's window and the one in it that has the page's place.
    const PAGE: [&str; 2] = ["Chrome_WidgetWin_1", "Chrome_RenderWidgetHostHWND"];
    /// A remote desktop's window and the one in it that shows the desktop.
    const REMOTE: [&str; 2] = ["TscShellContainerClass", "UIMainClass"];
    const OTHER: [&str; 2] = ["Other", "Inside"];
    /// How long the windows' thread sleeps when nothing happens, in milliseconds.
    const PACE: u32 = 5;

    pub(super) fn main() -> io::Result<()> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        match arguments.iter().find_map(|one| one.strip_prefix("--remote-debugging-io-pipes=")) {
            Some(handles) => engine(handles, &arguments),
            None => windows(),
        }
    }

    /// Answers every call, and keeps the script that carries the token.
    fn engine(handles: &str, arguments: &[String]) -> io::Result<()> {
        let wrong = || io::Error::other("not the arguments of an engine");
        let (read, written) = handles.split_once(',').ok_or_else(wrong)?;
        let (mut reader, mut writer) = (inherited(read)?, inherited(written)?);
        let profile = arguments.iter().find_map(|one| one.strip_prefix("--user-data-dir="));
        let profile = Path::new(profile.ok_or_else(wrong)?);
        let url = arguments.last().ok_or_else(wrong)?;
        let url = url.strip_prefix("--app=").unwrap_or(url);
        let mut buffer = Vec::new();
        loop {
            let mut byte = [0];
            if reader.read(&mut byte)? == 0 {
                // As engines do when nobody leads them any more.
                return Ok(());
            }
            if byte != [0] {
                buffer.extend(byte);
                continue;
            }
            let call: Value = serde_json::from_slice(&std::mem::take(&mut buffer))?;
            let method = call["method"].as_str().unwrap_or_default();
            if method == "Page.addScriptToEvaluateOnNewDocument" {
                let script = call["params"]["source"].as_str().unwrap_or_default();
                std::fs::write(profile.join("script.txt"), script)?;
            }
            let result = match method {
                "Browser.getVersion" => json!({ "product": "StandIn/1.0" }),
                "Target.attachToTarget" => json!({ "sessionId": "session" }),
                _ => json!({}),
            };
            send(&mut writer, &json!({ "id": call["id"], "result": result }))?;
            if method == "Target.setDiscoverTargets" {
                let info = json!({ "type": "page", "url": url, "targetId": "page" });
                let params = json!({ "targetInfo": info });
                send(&mut writer, &json!({ "method": "Target.targetCreated", "params": params }))?;
            }
            if method == "Browser.close" {
                return Ok(());
            }
        }
    }

    fn inherited(number: &str) -> io::Result<File> {
        let number: usize = number.parse().map_err(io::Error::other)?;
        // SAFETY: whoever has started this program gives it the handle and says so.
        Ok(unsafe { File::from_raw_handle(std::ptr::without_provenance_mut(number)) })
    }

    fn send(writer: &mut File, message: &Value) -> io::Result<()> {
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        writer.write_all(&bytes)
    }

    /// One thread has all windows, and hears of lines from another.
    fn windows() -> io::Result<()> {
        for [class, inside] in [PAGE, REMOTE, OTHER] {
            register(class, procedure);
            register(inside, DefWindowProcW);
        }
        let (sender, lines) = mpsc::sync_channel(16);
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        loop {
            match lines.try_recv() {
                Ok(line) => {
                    let answer = carry_out(&line);
                    let mut out = io::stdout().lock();
                    writeln!(out, "{answer}")?;
                    out.flush()?;
                }
                Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
                Err(mpsc::TryRecvError::Empty) => {}
            }
            let mut message = MSG::default();
            // SAFETY: messages of this thread's windows, one after the other; no handles are waited for.
            unsafe {
                MsgWaitForMultipleObjects(0, null(), 0, PACE, QS_ALLINPUT);
                while PeekMessageW(&raw mut message, null_mut(), 0, 0, PM_REMOVE) != 0 {
                    DispatchMessageW(&raw const message);
                }
            }
        }
    }

    type Procedure = unsafe extern "system" fn(HWND, u32, WPARAM, LPARAM) -> LRESULT;

    fn register(class: &str, procedure: Procedure) {
        let name = wide(class);
        let class =
            WNDCLASSW { lpfnWndProc: Some(procedure), lpszClassName: name.as_ptr(), ..WNDCLASSW::default() };
        // SAFETY: the name ends with a zero and is copied.
        unsafe { RegisterClassW(&raw const class) };
    }

    fn carry_out(line: &str) -> usize {
        let words: Vec<&str> = line.split(' ').collect();
        let numbers: Vec<i32> = words.iter().skip(1).filter_map(|word| word.parse().ok()).collect();
        match (words.first().copied().unwrap_or_default(), numbers.as_slice()) {
            ("page", place) => make(PAGE, "page", place),
            ("remote", place) => make(REMOTE, words.last().copied().unwrap_or_default(), place),
            ("cover", place) => make(OTHER, "cover", place),
            (word, [window, rest @ ..]) => {
                change(word, std::ptr::without_provenance_mut(usize::try_from(*window).unwrap_or(0)), rest);
                0
            }
            (_, []) => 0,
        }
    }

    fn change(word: &str, window: HWND, place: &[i32]) {
        // SAFETY: these take any handle.
        unsafe {
            match (word, place) {
                ("move", &[left, top, width, height]) => {
                    let flags = SWP_NOZORDER | SWP_NOACTIVATE;
                    SetWindowPos(window, null_mut(), left, top, width, height, flags)
                }
                ("minimise", _) => ShowWindow(window, SW_MINIMIZE),
                ("restore", _) => ShowWindow(window, SW_RESTORE),
                _ => DestroyWindow(window),
            };
        }
    }

    /// A window without a frame of Windows' own, with one in it.
    fn make([class, inside]: [&str; 2], title: &str, place: &[i32]) -> usize {
        let &[left, top, width, height] = place else { return 0 };
        let (class, inside, title) = (wide(class), wide(inside), wide(title));
        let none = null_mut();
        // SAFETY: the names end with a zero; nothing else is given.
        let window = unsafe {
            let style = WS_POPUP | WS_VISIBLE;
            let (class, title) = (class.as_ptr(), title.as_ptr());
            let window =
                CreateWindowExW(0, class, title, style, left, top, width, height, none, none, none, null());
            let style = WS_CHILD | WS_VISIBLE;
            CreateWindowExW(0, inside.as_ptr(), null(), style, 0, 0, 1, 1, window, none, none, null());
            window
        };
        lay_out(window);
        window.addr()
    }

    unsafe extern "system" fn procedure(window: HWND, message: u32, word: WPARAM, long: LPARAM) -> LRESULT {
        if message == WM_SIZE {
            lay_out(window);
        }
        // SAFETY: what Windows has passed.
        unsafe { DefWindowProcW(window, message, word, long) }
    }

    /// The window inside fills the other but for a page's frame.
    fn lay_out(window: HWND) {
        let number = u32::try_from(window.addr()).unwrap_or(0);
        let is_page = offstage_support::win32::window::class(number) == PAGE[0];
        let [left, top, right, below] = if is_page { FRAME } else { [0; 4] };
        let mut size = RECT::default();
        // SAFETY: takes any handles, and null for a window that has none inside.
        unsafe {
            GetClientRect(window, &raw mut size);
            let (width, height) = (size.right - left - right, size.bottom - top - below);
            let inside = GetWindow(window, GW_CHILD);
            SetWindowPos(inside, null_mut(), left, top, width, height, SWP_NOZORDER | SWP_NOACTIVATE);
        }
    }
}

#[cfg(windows)]
fn main() -> std::io::Result<()> {
    stand_in::main()
}

/// Nobody needs it elsewhere.
#[cfg(not(windows))]
fn main() {}
