//! Single windows of the session on the device's screen, by xpra, and the client's pictures in those.

use offstage_tests::single_windows::SingleWindows;
use offstage_tests::xvfb::{Camera, Picture, Screen, WindowManager, xdotool};
use serde_json::json;

use crate::remote_desktop::{Over, assert_screen, count, is_filled, keep_wanted, reasons};
use crate::scene::{MARK, PATIENCE, Scene, TOLERANCE, error, picture_on};

/// Colours of windows of the device's and of the session's.
const NOTE: [u8; 3] = [0xe0, 0x40, 0x20];
const MENU: [u8; 3] = [0xa0, 0x10, 0xc0];

#[test]
fn the_picture_lies_in_the_window_that_shows_the_sessions_and_stays_with_it() {
    let mut apart = Apart::open();
    apart.assert_in_place("at the beginning");
    let order = |apart: &Apart, words: &[&str]| apart.windows.order("overlay", words).unwrap();

    order(&apart, &["windowmove", "--sync", "%w", "300", "220"]);
    apart.assert_in_place("moved on the device");
    order(&apart, &["windowsize", "--sync", "%w", "900", "640"]);
    apart.scene.page.wait_until("outerWidth < 1000", PATIENCE).unwrap();
    apart.assert_in_place("made smaller on the device");
    apart.scene.run("scrollTo(0, 150)");
    apart.assert_in_place("scrolled");
    apart.scene.run("scrollTo(0, 0)");

    order(&apart, &["windowminimize", "%w"]);
    apart.assert_absent("minimised");
    order(&apart, &["windowmap", "--sync", "%w"]);
    apart.assert_in_place("restored");

    apart.windows.close();
    apart.assert_absent("no window on the device any more");
    apart.windows.open().unwrap();
    apart.assert_in_place("all windows back");
    apart.scene.session.close();
}

#[test]
fn what_lies_over_the_window_stays_visible_and_clicks_reach_the_page() {
    let mut apart = Apart::open();
    apart.assert_in_place("at the beginning");

    let device = Over::new(apart.device.display());
    let note = device.show(NOTE, (300, 300, 200, 150), false);
    apart.assert_whole(NOTE, 200 * 150, "a window of the device's");
    device.close(note);
    apart.assert_in_place("alone again");
    let session = Over::new(apart.scene.session.display().unwrap());
    let menu = session.show(MENU, (400, 250, 120, 180), true);
    apart.assert_whole(MENU, 120 * 180, "a menu of the session's");
    keep_wanted(&apart.camera, "single-windows.png");
    session.close(menu);
    apart.assert_in_place("alone at last");

    let [x, y] = Scene::origin(&apart.camera.capture().unwrap()).unwrap();
    for (index, name, [across, down]) in [(0, "video", [300, 200]), (1, "button", [820, 180])] {
        let [x, y] = [x + across, y + down].map(|at| at.to_string());
        xdotool(apart.device.display(), &["mousemove", &x, &y, "click", "1"]).unwrap();
        apart.scene.page.wait_until(&format!("clicks.length > {index}"), PATIENCE).unwrap();
        let clicks = apart.scene.page.evaluate("clicks").unwrap();
        assert_eq!(clicks[index], json!(format!("{name} {across} {down}")), "{clicks}");
    }

    apart.scene.cover_with_another_window();
    apart.assert_screen("another window of the browser exactly over it", |screen| {
        let (mark, seen) = (screen.bounds_of(MARK, TOLERANCE), picture_on(screen));
        (mark.is_none() && seen.is_none(), format!("the page's mark is at {mark:?}, the picture at {seen:?}"))
    });
    let to_front =
        |apart: &Apart| apart.windows.order("overlay", &["windowactivate", "--sync", "%w"]).unwrap();
    to_front(&apart);
    apart.assert_in_place("above that one");
    apart.windows.close();
    apart.assert_absent("no window on the device any more");
    apart.windows.open().unwrap();
    for title in ["Another", "overlay"] {
        apart.windows.wait_seen(title).unwrap();
    }
    to_front(&apart);
    apart.assert_in_place("found by its title");
    apart.scene.session.close();
}

/// A session without a desktop, of which the device shows each window.
struct Apart {
    windows: SingleWindows,
    scene: Scene,
    camera: Camera,
    device: Screen,
}

impl Apart {
    fn open() -> Self {
        let device = Screen::start(1600, 1200).unwrap();
        let scene = Scene::open_with("", |options| {
            options.window_manager = WindowManager::None;
            options.client_display = Some(device.display().to_owned());
            options.client_args.push("--remote-windows=class:Chromium".to_owned());
        });
        let windows = SingleWindows::start(scene.session.display().unwrap(), &device).unwrap();
        let camera = device.camera().unwrap();
        Self { windows, scene, camera, device }
    }

    /// Waits until screenshots of the device's screen show the picture where its window shows the element.
    fn assert_in_place(&self, when: &str) {
        self.assert_screen(when, |screen| {
            let (expected, seen) = (self.scene.expected(screen), picture_on(screen));
            let holds = expected.zip(seen).is_some_and(|(expected, seen)| error(expected, seen) <= 1);
            let reasons = reasons(&self.scene);
            let what =
                format!("the picture is at {seen:?}, the element at {expected:?}, in the session: {reasons}");
            (holds && reasons == json!([]), what)
        });
    }

    fn assert_absent(&self, when: &str) {
        self.assert_screen(when, |screen| {
            let seen = picture_on(screen);
            (seen.is_none(), format!("the picture is at {seen:?}"))
        });
    }

    /// Waits until a window of that colour is seen whole, with nothing of the picture in it, and the picture around it.
    fn assert_whole(&self, colour: [u8; 3], pixels: usize, when: &str) {
        self.assert_screen(when, |screen| {
            let (seen, picture) = (count(screen, colour), picture_on(screen));
            let holds = seen == pixels && is_filled(screen, colour) && picture.is_some();
            (holds, format!("{seen} of {pixels} pixels are seen, the picture at {picture:?}"))
        });
    }

    fn assert_screen(&self, when: &str, look: impl Fn(&Picture) -> (bool, String)) {
        assert_screen(&self.camera, when, look);
    }
}
