//! The session's screen in the window of a real remote desktop, and the client's pictures in that window: FreeRDP's server on the
//! session's screen, its viewer on the device's, which scales what it shows.

use std::time::Instant;

use offstage_tests::frame_number::BORDER;
use offstage_tests::remote_desktop::RemoteDesktop;
use offstage_tests::xvfb::{Camera, LOCKED, Picture, Screen, WindowManager, lock, xdotool};
use serde_json::{Value, json};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{ConnectionExt as _, CreateWindowAux, Window, WindowClass};
use x11rb::rust_connection::RustConnection;

use crate::scene::{Bounds, MARK, PATIENCE, STEADY, Scene, TOLERANCE, error, keep, picture_on, whole};

/// The session's screen.
const SESSION: (u16, u16) = (1280, 1024);
/// Colours of windows of the session's that lie over the browser.
const NOTE: [u8; 3] = [0xe0, 0x40, 0x20];
const MENU: [u8; 3] = [0xa0, 0x10, 0xc0];

#[test]
fn the_picture_lies_in_the_remote_desktops_window_as_the_session_shows_it() {
    let mut far = Far::open();
    far.assert_in_place("as large as the session's screen", 1);

    far.desktop.order(&["windowmove", "--sync", "%w", "200", "90"]).unwrap();
    far.assert_in_place("the remote desktop's window moved", 1);
    far.desktop.order(&["windowsize", "--sync", "%w", "960", "768"]).unwrap();
    far.assert_in_place("scaled to three quarters", 2);
    far.desktop.order(&["windowsize", "--sync", "%w", "1100", "700"]).unwrap();
    far.assert_in_place("each direction by its own factor", 2);
    far.scene.run("scrollTo(0, 150)");
    far.assert_in_place("scrolled, scaled", 2);
    far.scene.run("scrollTo(0, 0)");

    far.scene.set_window(json!({ "left": 160, "top": 110 }));
    far.assert_in_place("the session's browser moved", 2);
    far.scene.set_window(json!({ "left": 60, "top": 40 }));

    far.desktop.order(&["windowminimize", "%w"]).unwrap();
    far.assert_absent("the remote desktop minimised");
    xdotool(far.device.display(), &["search", "--class", RemoteDesktop::CLASS, "windowmap"]).unwrap();
    far.assert_in_place("restored", 2);

    far.desktop.order(&["windowsize", "--sync", "%w", "1280", "1024"]).unwrap();
    far.desktop.order(&["windowmove", "--sync", "%w", "20", "40"]).unwrap();
    far.assert_in_place("as large as the session's screen again", 1);
    far.desktop.close();
    far.assert_absent("the remote desktop closed");
    far.desktop.open().unwrap();
    far.assert_in_place("the remote desktop back", 1);
    far.scene.session.close();
}

#[test]
fn the_picture_follows_a_remote_desktop_to_full_screen_and_over_two_monitors() {
    let far = Far::open();
    far.assert_in_place("as a window", 1);
    // FreeRDP's own keys for it.
    let toggle = || far.desktop.order(&["windowactivate", "--sync", "%w", "key", "ctrl+alt+Return"]).unwrap();
    toggle();
    far.wait_size("full screen", [1600, 1200]);
    far.assert_in_place("full screen", 2);
    toggle();
    far.wait_size("a window again", [1280, 1024]);
    far.assert_in_place("a window again", 1);

    far.monitors(&[("left", 0, 900), ("right", 900, 700)]);
    far.desktop.order(&["windowmove", "--sync", "%w", "250", "60"]).unwrap();
    far.assert_in_place("on both monitors", 1);
    far.desktop.order(&["windowsize", "--sync", "%w", "640", "512"]).unwrap();
    far.desktop.order(&["windowmove", "--sync", "%w", "930", "60"]).unwrap();
    far.assert_in_place("on the right one", 2);
    toggle();
    // FreeRDP takes the first one, wherever its window is.
    far.wait_size("full screen on one monitor", [900, 1200]);
    far.assert_in_place("full screen on one monitor", 2);
    toggle();
    far.wait_size("a window at last", [640, 512]);
    far.assert_in_place("a window at last", 2);
    far.scene.session.close();
}

#[test]
fn what_lies_over_the_browser_stays_visible_and_clicks_reach_the_page() {
    let far = Far::open();
    far.assert_in_place("at the beginning", 1);
    let over = Over::new(far.scene.session.display().unwrap());

    let note = over.show(NOTE, (300, 300, 200, 150), false);
    far.assert_whole(NOTE, "a window of another program");
    over.move_to(note, 420, 380);
    far.assert_whole(NOTE, "that window moved");
    let menu = over.show(MENU, (600, 200, 120, 180), true);
    far.assert_whole(MENU, "a menu over it");
    keep_wanted(&far.camera, "remote-desktop.png");
    far.desktop.order(&["windowsize", "--sync", "%w", "960", "768"]).unwrap();
    far.assert_whole(MENU, "a menu, scaled");
    far.assert_whole(NOTE, "a window, scaled");
    over.close(note);
    over.close(menu);
    far.assert_in_place("alone again", 2);
    far.scene.cover_with_another_window();
    far.assert_absent("another window of the browser exactly over it");
    far.scene.page.call("Page.bringToFront", json!({})).unwrap();
    far.assert_in_place("above that one", 2);

    far.click_at(300, 200);
    far.desktop.order(&["windowsize", "--sync", "%w", "1280", "1024"]).unwrap();
    far.assert_in_place("as large as the session's screen", 1);
    far.click_at(820, 180);
    let clicks = far.scene.page.evaluate("clicks").unwrap();
    let at = |index: usize| -> (String, Vec<i64>) {
        let words: Vec<&str> = clicks[index].as_str().unwrap().split(' ').collect();
        (words[0].to_owned(), words[1..].iter().map(|number| number.parse().unwrap()).collect())
    };
    for (index, name, [x, y]) in [(0, "video", [300, 200]), (1, "button", [820, 180])] {
        let (target, place) = at(index);
        assert_eq!(target, name);
        assert!((place[0] - x).abs() <= 2 && (place[1] - y).abs() <= 2, "{clicks}");
    }
    far.scene.session.close();
}

#[test]
fn neither_ends_lock_screen_shows_the_picture() {
    let far = Far::open();
    far.assert_in_place("at the beginning", 1);

    let locker = lock(far.scene.session.display().unwrap()).unwrap();
    far.assert_screen("the session locked", |screen| {
        let (locked, seen) = (count(screen, LOCKED), picture_on(screen));
        // Its screen is as large in the remote desktop's window, of which a part may lie beyond the device's.
        let whole = usize::from(SESSION.0) * usize::from(SESSION.1) * 9 / 10;
        (
            seen.is_none() && locked >= whole,
            format!("{locked} pixels of the lock screen, the picture at {seen:?}"),
        )
    });
    drop(locker);
    far.assert_in_place("the session unlocked", 1);

    let locker = lock(far.device.display()).unwrap();
    far.assert_screen("the device locked", |screen| {
        let other = screen.rgb().chunks_exact(3).filter(|pixel| *pixel != LOCKED).count();
        (other == 0, format!("{other} pixels are not the lock screen's"))
    });
    far.scene.run("scrollTo(0, 150)");
    far.assert_screen("the device locked, the page scrolled", |screen| {
        let other = screen.rgb().chunks_exact(3).filter(|pixel| *pixel != LOCKED).count();
        (other == 0, format!("{other} pixels are not the lock screen's"))
    });
    drop(locker);
    far.assert_in_place("the device unlocked, scrolled", 1);
    far.scene.session.close();
}

/// A session on one screen, its remote desktop and the client on another.
pub(crate) struct Far {
    pub(crate) desktop: RemoteDesktop,
    pub(crate) scene: Scene,
    camera: Camera,
    device: Screen,
}

impl Far {
    fn open() -> Self {
        Self::open_with(WindowManager::Openbox, WindowManager::Openbox)
    }

    /// With these window managers in the session and on the device.
    pub(crate) fn open_with(session: WindowManager, device: WindowManager) -> Self {
        let device = Screen::start_with(1600, 1200, device).unwrap();
        let scene = Scene::open_with("", |options| {
            options.screen = Some(SESSION);
            options.window_manager = session;
            options.client_display = Some(device.display().to_owned());
            options.client_args.push(format!("--remote-window=class:{}", RemoteDesktop::CLASS));
        });
        let desktop = RemoteDesktop::start(scene.session.display().unwrap(), SESSION, &device).unwrap();
        let camera = device.camera().unwrap();
        Self { desktop, scene, camera, device }
    }

    /// How large the remote desktop's window is and where, on the device's screen.
    fn window(&self) -> Option<Bounds> {
        let window = self.desktop.window().ok()?;
        let told = xdotool(self.device.display(), &["getwindowgeometry", "--shell", &window]).ok()?;
        let number = |name: &str| {
            told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')?.parse::<i64>().ok())
        };
        Some([number("X")?, number("Y")?, number("WIDTH")?, number("HEIGHT")?])
    }

    /// The device's screen is that of these monitors side by side: name, left edge, width.
    fn monitors(&self, monitors: &[(&str, u16, u16)]) {
        for (index, (name, left, width)) in monitors.iter().enumerate() {
            // The first one takes the screen's only output, which otherwise is a monitor of its own.
            let output = if index == 0 { "screen" } else { "none" };
            let place = format!("{width}/300x1200/300+{left}+0");
            let mut xrandr = std::process::Command::new("xrandr");
            xrandr.args(["--setmonitor", name, &place, output]).env("DISPLAY", self.device.display());
            assert!(xrandr.status().unwrap().success(), "{place}");
        }
    }

    /// Waits until the remote desktop's window is so large.
    fn wait_size(&self, when: &str, size: [i64; 2]) {
        let end = Instant::now() + PATIENCE;
        while self.window().is_none_or(|[.., width, height]| [width, height] != size) {
            assert!(Instant::now() < end, "{when}: {:?}", self.window());
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    }

    /// From places of the session's screen to the device's: each direction by its own factor.
    fn factors(&self) -> Option<[f64; 2]> {
        let [.., width, height] = self.window()?;
        #[expect(clippy::cast_precision_loss, reason = "lengths of screens")]
        let factors = [width as f64 / f64::from(SESSION.0), height as f64 / f64::from(SESSION.1)];
        Some(factors)
    }

    /// Where the element is on the device's screen, by what the remote desktop itself shows of the page: its mark.
    fn expected(&self, screen: &Picture) -> Option<Bounds> {
        let [left, top, right, bottom] = screen.bounds_of(MARK, TOLERANCE)?.map(whole);
        let own = self.scene.screen();
        let [x, y] = Scene::origin(&own)?;
        let element = self.scene.expected(&own)?;
        let [across, down] = self.factors()?;
        let is_whole = [(right - left, across), (bottom - top, down)]
            .iter()
            .all(|(side, factor)| (scaled(8, *factor) - side).abs() <= 1);
        is_whole.then_some([
            left + scaled(element[0] - x, across),
            top + scaled(element[1] - y, down),
            left + scaled(element[2] - x, across),
            top + scaled(element[3] - y, down),
        ])
    }

    /// Waits until screenshots in a row of the device's screen show the picture where the remote desktop shows the element.
    pub(crate) fn assert_in_place(&self, when: &str, tolerance: i64) {
        self.assert_screen(when, |screen| {
            let (expected, seen) = (self.expected(screen), picture_on(screen));
            let holds = expected.zip(seen).is_some_and(|(expected, seen)| error(expected, seen) <= tolerance);
            let reasons = reasons(&self.scene);
            let what =
                format!("the picture is at {seen:?}, the element at {expected:?}, in the session: {reasons}");
            (holds && reasons == json!([]), what)
        });
    }

    pub(crate) fn assert_absent(&self, when: &str) {
        self.assert_screen(when, |screen| {
            let seen = picture_on(screen);
            (seen.is_none(), format!("the picture is at {seen:?}"))
        });
    }

    /// Waits until a window of that colour is seen on the device as large as it is in the session, with nothing of the picture in it.
    pub(crate) fn assert_whole(&self, colour: [u8; 3], when: &str) {
        self.assert_screen(when, |screen| {
            let own = self.scene.screen();
            let (inside, total) = (count(&own, colour), count(screen, colour));
            let factors = self.factors().unwrap_or([0.0; 2]);
            #[expect(clippy::cast_precision_loss, reason = "pixels of a screen")]
            let expected = inside as f64 * factors[0] * factors[1];
            // A row of pixels along each edge may be mixed by scaling.
            #[expect(clippy::cast_precision_loss, reason = "pixels of a screen")]
            let holds = inside > 0 && (total as f64 - expected).abs() <= expected * 0.04;
            let holds = holds && is_filled(screen, colour) && picture_on(screen).is_some();
            let reasons = reasons(&self.scene);
            let what = format!(
                "{total} pixels of the window are seen, {expected} should be, in the session: {reasons}"
            );
            (holds && reasons == json!([]), what)
        });
    }

    fn assert_screen(&self, when: &str, look: impl Fn(&Picture) -> (bool, String)) {
        assert_screen(&self.camera, when, look);
    }

    /// A person's click on the device at these coordinates of the remote page's viewport.
    fn click_at(&self, x: i64, y: i64) {
        let screen = self.camera.capture().unwrap();
        let [left, top, ..] = screen.bounds_of(MARK, TOLERANCE).unwrap().map(whole);
        let [across, down] = self.factors().unwrap();
        let [x, y] = [left + scaled(x, across), top + scaled(y, down)].map(|at| at.to_string());
        let before = self.scene.page.evaluate("clicks.length").unwrap();
        xdotool(self.device.display(), &["mousemove", &x, &y, "click", "1"]).unwrap();
        self.scene.page.wait_until(&format!("clicks.length > {before}"), PATIENCE).unwrap();
    }
}

/// Waits until screenshots in a row are as `look` wants them, which says what else they are.
pub(crate) fn assert_screen(camera: &Camera, when: &str, look: impl Fn(&Picture) -> (bool, String)) {
    let mut steady = 0;
    let began = Instant::now();
    while steady < STEADY {
        let screen = camera.capture().unwrap();
        let (holds, what) = look(&screen);
        steady = if holds { steady + 1 } else { 0 };
        if began.elapsed() >= PATIENCE {
            panic!("{when}: {what}; see {}", keep(&screen).display());
        }
    }
    println!("{when}: after {} ms", began.elapsed().as_millis());
}

/// Why video plays in the session, which would draw it below its other windows by itself: an empty list if it plays on the device.
pub(crate) fn reasons(scene: &Scene) -> Value {
    let mut status = scene.session.status().unwrap();
    if status["redirected"] == 1 { status["in_session"].take() } else { status }
}

/// Keeps what is on the screen, if somebody wants to look at it.
pub(crate) fn keep_wanted(camera: &Camera, name: &str) {
    if let Some(folder) = std::env::var_os("OFFSTAGE_SCREENSHOTS") {
        camera.capture().unwrap().write_png(&std::path::PathBuf::from(folder).join(name)).unwrap();
    }
}

/// Windows of another program on a screen.
pub(crate) struct Over {
    connection: RustConnection,
    root: Window,
}

impl Over {
    pub(crate) fn new(display: &str) -> Self {
        let (connection, screen) = x11rb::connect(Some(display)).unwrap();
        let root = connection.setup().roots[screen].root;
        Self { connection, root }
    }

    /// Shows a window of one colour; `unmanaged`, as menus are, without the window manager's frame.
    pub(crate) fn show(&self, colour: [u8; 3], place: (i16, i16, u16, u16), unmanaged: bool) -> Window {
        let window = self.connection.generate_id().unwrap();
        let pixel = u32::from_be_bytes([0, colour[0], colour[1], colour[2]]);
        let look = CreateWindowAux::new().background_pixel(pixel).override_redirect(u32::from(unmanaged));
        let (x, y, width, height) = place;
        self.connection
            .create_window(0, window, self.root, x, y, width, height, 0, WindowClass::INPUT_OUTPUT, 0, &look)
            .unwrap();
        self.connection.map_window(window).unwrap();
        self.connection.flush().unwrap();
        if !unmanaged {
            // Openbox puts a new window where it thinks best.
            self.move_to(window, x.into(), y.into());
        }
        window
    }

    fn move_to(&self, window: Window, x: i32, y: i32) {
        let place = x11rb::protocol::xproto::ConfigureWindowAux::new().x(x).y(y);
        self.connection.configure_window(window, &place).unwrap();
        self.connection.flush().unwrap();
    }

    pub(crate) fn close(&self, window: Window) {
        self.connection.destroy_window(window).unwrap();
        self.connection.flush().unwrap();
    }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "lengths of screens")]
fn scaled(length: i64, factor: f64) -> i64 {
    (length as f64 * factor).round() as i64
}

fn is_near(pixel: &[u8], colour: [u8; 3]) -> bool {
    pixel.iter().zip(colour).all(|(part, wanted)| part.abs_diff(wanted) <= TOLERANCE)
}

pub(crate) fn count(screen: &Picture, colour: [u8; 3]) -> usize {
    screen.rgb().chunks_exact(3).filter(|pixel| is_near(pixel, colour)).count()
}

/// Nothing of the picture's border is within the bounds of that colour.
pub(crate) fn is_filled(screen: &Picture, colour: [u8; 3]) -> bool {
    let Some([left, top, right, bottom]) = screen.bounds_of(colour, TOLERANCE) else { return false };
    let inside = screen.crop(left, top, right - left, bottom - top).unwrap();
    count(&inside, BORDER) == 0
}
