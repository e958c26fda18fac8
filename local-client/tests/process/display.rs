//! A private X display, with what tests look at and press.

use std::io::BufRead as _;
use std::io::BufReader;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Instant;

use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::AtomEnum;
use x11rb::protocol::xproto::ConfigureWindowAux;
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::protocol::xproto::CreateWindowAux;
use x11rb::protocol::xproto::EventMask;
use x11rb::protocol::xproto::ImageFormat;
use x11rb::protocol::xproto::MapState;
use x11rb::protocol::xproto::Window;
use x11rb::protocol::xproto::WindowClass;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::client::LIMIT;

pub(crate) const BACKGROUND: u32 = 0x0040_4040;

/// An Xvfb that ends with its value.
pub(crate) struct Display {
    server: Child,
    manager: Option<Child>,
    pub(crate) name: String,
    pub(crate) conn: RustConnection,
    pub(crate) root: Window,
}

impl Display {
    pub(crate) fn start() -> Self {
        // The server writes its number to the descriptor that the shell makes of its stdout.
        let mut server = Command::new("/bin/sh")
            .args(["-c", "exec Xvfb -displayfd 3 -screen 0 1200x900x24 -nolisten tcp 3>&1 >/dev/null 2>&1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Xvfb is installed");
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let name = format!(":{}", number.trim());
        let (conn, screen) = x11rb::connect(Some(&name)).unwrap();
        let root = conn.setup().roots[screen].root;
        Self { server, manager: None, name, conn, root }
    }

    /// Runs a window manager, from when it manages.
    pub(crate) fn manage(&mut self) {
        let manager = Command::new("openbox")
            .env("DISPLAY", &self.name)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openbox is installed");
        self.manager = Some(manager);
        let deadline = Instant::now() + LIMIT;
        while self.numbers("_NET_SUPPORTING_WM_CHECK", AtomEnum::WINDOW).is_empty() {
            assert!(Instant::now() < deadline, "openbox does not manage");
            std::thread::yield_now();
        }
    }

    /// The windows that the window manager knows.
    pub(crate) fn managed(&self) -> Vec<Window> {
        self.numbers("_NET_CLIENT_LIST", AtomEnum::WINDOW)
    }

    fn numbers(&self, property: &str, kind: AtomEnum) -> Vec<u32> {
        let atom = self.conn.intern_atom(false, property.as_bytes()).unwrap().reply().unwrap().atom;
        let reply = self.conn.get_property(false, self.root, atom, kind, 0, 1024).unwrap().reply().unwrap();
        reply.value32().map(Iterator::collect).unwrap_or_default()
    }

    /// The window's origin on the screen.
    pub(crate) fn origin(&self, window: Window) -> (i16, i16) {
        let place = self.conn.translate_coordinates(window, self.root, 0, 0).unwrap().reply().unwrap();
        (place.dst_x, place.dst_y)
    }

    /// A plain window that stands for a browser's: it belongs to this process.
    pub(crate) fn window(&self, x: i16, y: i16, width: u16, height: u16) -> Window {
        let window = self.conn.generate_id().unwrap();
        self.conn
            .create_window(
                x11rb::COPY_DEPTH_FROM_PARENT,
                window,
                self.root,
                x,
                y,
                width,
                height,
                0,
                WindowClass::INPUT_OUTPUT,
                x11rb::COPY_FROM_PARENT,
                &CreateWindowAux::new()
                    .background_pixel(BACKGROUND)
                    .event_mask(EventMask::BUTTON_PRESS | EventMask::KEY_PRESS),
            )
            .unwrap();
        self.conn.map_window(window).unwrap();
        self.conn.sync().unwrap();
        window
    }

    pub(crate) fn move_window(&self, window: Window, x: i32, y: i32) {
        self.conn.configure_window(window, &ConfigureWindowAux::new().x(x).y(y)).unwrap();
        self.conn.sync().unwrap();
    }

    /// The colour on the screen.
    pub(crate) fn pixel(&self, x: i16, y: i16) -> u32 {
        let image = self
            .conn
            .get_image(ImageFormat::Z_PIXMAP, self.root, x, y, 1, 1, u32::MAX)
            .unwrap()
            .reply()
            .unwrap();
        u32::from_le_bytes(image.data[..4].try_into().unwrap()) & 0x00ff_ffff
    }

    /// The top-level windows that can be seen, except those that this process has made.
    pub(crate) fn strays(&self, own: &[Window]) -> Vec<Window> {
        let tree = self.conn.query_tree(self.root).unwrap().reply().unwrap();
        tree.children
            .into_iter()
            .filter(|window| !own.contains(window))
            .filter(|window| {
                let attributes = self.conn.get_window_attributes(*window).unwrap().reply();
                attributes.is_ok_and(|attributes| {
                    attributes.map_state == MapState::VIEWABLE
                        && attributes.class == WindowClass::INPUT_OUTPUT
                })
            })
            .collect()
    }

    pub(crate) fn name_of(&self, window: Window) -> String {
        let property = self
            .conn
            .get_property(false, window, AtomEnum::WM_CLASS, AtomEnum::STRING, 0, 256)
            .unwrap()
            .reply()
            .unwrap();
        String::from_utf8_lossy(&property.value).into_owned()
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(manager) = &mut self.manager {
            manager.kill().ok();
            manager.wait().ok();
        }
        self.server.kill().ok();
        self.server.wait().ok();
    }
}
