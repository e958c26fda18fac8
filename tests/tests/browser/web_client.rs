//! The picture in the page of a web client: noVNC shows a session's screen on a canvas, the video lies over it.

use std::path::Path;
use std::time::Instant;

use offstage_tests::calls::{callee, connect, fake_devices};
use offstage_tests::cdp::Page;
use offstage_tests::server::{Response, Server};
use offstage_tests::session::Installation;
use offstage_tests::web_client::{WebDesk, WebDeskOptions, element_on_screen, error_px};
use offstage_tests::xvfb::{Camera, Picture, xdotool};
use serde_json::json;

use crate::remote_desktop::Over;
use crate::scene::{PAGE, PATIENCE, picture_on};

/// How far a side may be off: a pixel of the session is not a whole one of the device's.
const TOLERANCE: f64 = 2.0;
/// How far a channel of the border's colour may be off.
const COLOUR: u8 = 40;
/// How many looks in a row have to show the same.
const STEADY: usize = 3;

struct Scene {
    desk: WebDesk,
    /// The session's page, with the video.
    page: Page,
    camera: Camera,
    _server: Server,
}

fn options() -> WebDeskOptions {
    let sites = "http://127.0.0.1/*".to_owned();
    WebDeskOptions { sites, device_screen: Some((1280, 1024)), ..WebDeskOptions::default() }
}

impl Scene {
    /// A session with a page that plays by Media Source Extensions.
    fn open() -> Self {
        Self::open_page(PAGE.to_owned(), "!demo.error && video.readyState >= 3", "1")
    }

    /// A session with this page; `ready` holds in it when its video plays. The canvas has `size`.
    fn open_page(html: String, ready: &str, size: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (pages, clips) = (root.join("www/demo"), root.join("tests/clips"));
        let server = Server::start(move |request| match request.path.strip_prefix("/clips/") {
            Some(clip) => Response::file(&clips, clip),
            None if request.path == "/" => Response::html(html.clone()),
            None => Response::file(&pages, &request.path),
        })
        .unwrap();
        let installation = Installation::from_env().unwrap();
        let desk = WebDesk::start(&installation, options()).unwrap();
        desk.open_client(&format!("size={size}")).unwrap();
        let page = desk.session.open(&server.url("/")).unwrap();
        let camera = desk.camera().unwrap();
        let scene = Self { desk, page, camera, _server: server };
        scene.point(&["mousemove", "1270", "1015"]);
        scene.page.wait_until(ready, PATIENCE).unwrap();
        scene
    }

    fn run(&self, script: &str) {
        self.page.evaluate(&format!("{script}; 0")).unwrap();
    }

    fn run_in_tab(&self, script: &str) {
        self.desk.tab.evaluate(&format!("{script}; 0")).unwrap();
    }

    fn point(&self, arguments: &[&str]) {
        xdotool(self.desk.device.display().unwrap(), arguments).unwrap();
    }

    /// Where on the device's screen the session's element is.
    fn expected(&self) -> [f64; 4] {
        let element = element_on_screen(&self.page, "#video").unwrap();
        self.desk.mapping().unwrap().bounds(element)
    }

    /// Waits until looks in a row satisfy `holds`.
    fn assert_screen(&self, when: &str, holds: impl Fn(&Picture) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut steady = 0;
        while steady < STEADY {
            let screen = self.camera.capture().unwrap();
            steady = if holds(&screen) { steady + 1 } else { 0 };
            if Instant::now() >= end {
                let file = std::env::temp_dir().join(format!("offstage-web-{}.png", std::process::id()));
                screen.write_png(&file).unwrap();
                let (seen, expected) = (picture_on(&screen), self.expected());
                panic!(
                    "{when}: the picture is at {seen:?}, the element at {expected:?}; see {}",
                    file.display()
                );
            }
        }
    }

    fn assert_in_place(&self, when: &str) {
        self.assert_screen(when, |screen| {
            error_px(self.expected(), screen, COLOUR).is_some_and(|error| error <= TOLERANCE)
        });
    }

    fn assert_absent(&self, when: &str) {
        self.assert_screen(when, |screen| picture_on(screen).is_none());
    }

    /// Waits until the session's browser itself draws the video, or the stand-in.
    fn wait_drawn_by_session(&self, wanted: bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            let own = Picture::from_png(&self.page.screenshot_png().unwrap()).unwrap();
            if picture_on(&own).is_some() == wanted {
                return;
            }
            assert!(
                Instant::now() < end,
                "whether the session draws the video itself is not {wanted}: {}",
                self.desk.session.status().unwrap()
            );
        }
    }
}

#[test]
fn a_picture_lies_over_the_canvas_of_a_web_client_as_if_it_were_drawn_there() {
    let scene = Scene::open();
    scene.assert_in_place("at the beginning");
    scene.wait_drawn_by_session(false);

    scene.run("scrollTo(0, 60)");
    scene.assert_in_place("the session's page scrolled");
    scene.run("scrollTo(0, 300)");
    scene.assert_in_place("scrolled half out at the top");
    scene.run("scrollTo(0, 1500)");
    scene.assert_absent("scrolled out");
    scene.run("scrollTo(0, 0); video.style.width = '480px'; video.style.height = '270px'");
    scene.assert_in_place("a smaller element");
    scene.run("video.style.width = video.style.height = ''; video.style.visibility = 'hidden'");
    scene.assert_absent("a hidden element");
    scene.run("video.style.visibility = ''");
    scene.assert_in_place("the element as before");
    let [left, top, ..] = element_on_screen(&scene.page, "#video").unwrap();
    let over = Over::new(scene.desk.session.display().unwrap());
    let (x, y) = (
        format!("{left:.0}").parse::<i16>().unwrap() + 200,
        format!("{top:.0}").parse::<i16>().unwrap() + 100,
    );
    let colour = [255, 120, 0];
    let menu = over.show(colour, (x, y, 120, 90), true);
    let middle = scene.desk.mapping().unwrap().bounds([f64::from(x) + 60.0, f64::from(y) + 45.0, 0.0, 0.0]);
    let at = [middle[0], middle[1]].map(|at| format!("{at:.0}").parse::<usize>().unwrap());
    let shows_menu = |screen: &Picture| {
        screen
            .pixel(at[0], at[1])
            .is_some_and(|seen| seen.iter().zip(colour).all(|(one, other)| one.abs_diff(other) < 12))
    };
    scene.assert_screen("a menu of the session over the picture", shows_menu);
    scene.wait_drawn_by_session(false);
    over.close(menu);
    scene.assert_screen("without it", |screen| !shows_menu(screen));
    scene.run("video.style.borderRadius = '50px'");
    scene.assert_screen("round corners", |screen| {
        let expected = scene.expected();
        // The white page is seen in the corner, the picture's border in the middle of the side.
        let at = |x: f64, y: f64| {
            screen.pixel(format!("{x:.0}").parse().unwrap(), format!("{y:.0}").parse().unwrap())
        };
        let [left, top, ..] = expected;
        error_px(expected, screen, COLOUR).is_some_and(|error| error <= TOLERANCE)
            && at(left + 7.0, top + 7.0).is_some_and(|pixel| pixel.iter().all(|&channel| channel > 230))
    });
    scene.run("video.style.borderRadius = ''; video.style.transform = 'rotate(6deg)'");
    scene.assert_in_place("turned");
    scene.run("video.style.transform = ''");

    let choose = |size: &str| {
        scene.run_in_tab(&format!("size.value = '{size}'; size.dispatchEvent(new Event('change'))"));
    };
    choose("0.7");
    scene.assert_in_place("the canvas at 70 %");
    choose("fit");
    scene.assert_in_place("the canvas as large as there is room");
    choose("1");
    scene.run_in_tab("document.querySelector('#screen').style.width = '700px'");
    scene.assert_screen("the canvas in a box that is too small", |screen| {
        let [left, top, _, bottom] = scene.expected();
        let seen = error_px([left, top, right_of_box(&scene), bottom], screen, COLOUR);
        seen.is_some_and(|error| error <= TOLERANCE)
    });
    scene.run_in_tab("document.querySelector('canvas').parentElement.scrollLeft = 90");
    scene.assert_screen("scrolled in its box", |screen| {
        let [left, top, _, bottom] = scene.expected();
        let seen = error_px([left, top, right_of_box(&scene), bottom], screen, COLOUR);
        seen.is_some_and(|error| error <= TOLERANCE)
    });
    scene.run_in_tab("document.querySelector('canvas').parentElement.scrollLeft = 0");
    choose("1");
    scene.run_in_tab("document.body.style.paddingBottom = '900px'; scrollTo(0, 150)");
    scene.assert_in_place("the device's page scrolled");
    scene.run_in_tab("scrollTo(0, 0)");
    scene.assert_in_place("the device's page scrolled back");
    scene.desk.close();
}

/// Where what noVNC shows of the canvas ends on the screen.
fn right_of_box(scene: &Scene) -> f64 {
    let script = "((box) => box.getBoundingClientRect().left + box.clientWidth + screenX + (outerWidth - innerWidth) / 2)\
         (document.querySelector('canvas').parentElement)";
    scene.desk.tab.evaluate(script).unwrap().as_f64().unwrap()
}

#[test]
fn input_over_the_picture_reaches_the_session_and_the_video_goes_on_there_without_the_tab() {
    let scene = Scene::open();
    scene.assert_in_place("at the beginning");
    let [left, top, right, bottom] = scene.expected();
    let middle = [f64::midpoint(left, right), f64::midpoint(top, bottom)].map(|at| format!("{at:.0}"));
    scene.point(&["mousemove", &middle[0], &middle[1], "click", "1"]);
    let clicked = scene.page.wait_until("clicks.at(-1)", PATIENCE).unwrap();
    let middle_of_video = scene
        .page
        .evaluate("(({ left, top, width, height }) => [left + width / 2, top + height / 2])(video.getBoundingClientRect())")
        .unwrap();
    let words: Vec<&str> = clicked.as_str().unwrap().split(' ').collect();
    assert_eq!(words[0], "video");
    for (word, wanted) in words[1..].iter().zip(middle_of_video.as_array().unwrap()) {
        assert!((word.parse::<f64>().unwrap() - wanted.as_f64().unwrap()).abs() <= 1.0, "{clicked}");
    }
    scene.point(&["click", "5"]);
    scene.page.wait_until("scrollY > 0", PATIENCE).unwrap();
    scene.assert_in_place("scrolled by the wheel");

    let before = scene.page.evaluate("video.currentTime").unwrap().as_f64().unwrap();
    scene.desk.tab.navigate("about:blank").unwrap();
    scene.wait_drawn_by_session(true);
    scene.page.wait_until(&format!("!video.paused && video.currentTime > {before}"), PATIENCE).unwrap();
    // Not at its end when the tab is back.
    scene.run("video.currentTime = 1");
    scene.desk.open_client("size=1").unwrap();
    scene.wait_drawn_by_session(false);
    scene.assert_in_place("opened again");

    // Another tab takes over; the first one is told and has no picture any more.
    let url = scene.desk.tab.evaluate("location.href").unwrap();
    let other = scene.desk.device.open(url.as_str().unwrap()).unwrap();
    other.wait_until("globalThis.live?.stage?.shown === 1", PATIENCE).unwrap();
    scene
        .desk
        .tab
        .wait_until_untouched("live.stage.state === 'taken' && live.stage.shown === 0", PATIENCE)
        .unwrap();
    scene.desk.close();
}

#[test]
fn a_tab_that_nobody_has_touched_plays_without_sound_until_somebody_does() {
    let scene = Scene::open();
    scene.assert_in_place("at the beginning");
    scene.run("video.muted = false");
    let muted = "live.stage.silenced && document.querySelector('[data-offstage] video[src]').muted";
    scene.desk.tab.wait_until_untouched(muted, PATIENCE).unwrap();
    let position = scene.page.evaluate("video.currentTime").unwrap().as_f64().unwrap();
    scene
        .page
        .wait_until(&format!("video.currentTime > {} && !video.muted", position + 0.5), PATIENCE)
        .unwrap();
    scene.run("video.currentTime = 2");
    // The bar above the canvas.
    scene.point(&["mousemove", "760", "106", "click", "1"]);
    let sounds = "!live.stage.silenced && [...document.querySelectorAll('[data-offstage] video')].some((video) => !video.muted && !video.paused)";
    scene.desk.tab.wait_until_untouched(sounds, PATIENCE).unwrap();
    scene.desk.close();
}

#[test]
fn a_file_of_the_session_plays_in_the_tab() {
    let file = "<video id=\"video\" src=\"/clips/files/film.mp4\" muted autoplay loop playsinline></video>";
    let page = PAGE
        .replace("<video id=\"video\" muted playsinline></video>", file)
        .replace("<script type=\"module\" src=\"player.js\"></script>", "");
    let scene = Scene::open_page(page, "video.readyState >= 3", "fit");
    scene.wait_drawn_by_session(false);
    scene.assert_in_place("a file");
    let served = "[...document.querySelectorAll('[data-offstage] video')].some((video) => /\\/media\\/[0-9a-f]{64}\\/\\d+\\//.test(video.src))";
    scene.desk.tab.wait_until_untouched(served, PATIENCE).unwrap();
    scene.desk.close();
}

#[test]
fn calls_run_in_the_tab_which_asks_for_microphone_and_camera_itself() {
    let installation = Installation::from_env().unwrap();
    let options = WebDeskOptions {
        managed: Some(json!({ "callsAllSites": true })),
        device_args: fake_devices().unwrap(),
        ..options()
    };
    let desk = WebDesk::start(&installation, options).unwrap();
    desk.open_client("size=1").unwrap();
    let server = offstage_tests::calls::serve(&installation).unwrap();
    let url = server.url("/pages/call.html");
    let page = desk.session.open(&url).unwrap();
    // The client has no screen to ask on: that is a no, at once.
    let asked =
        "navigator.mediaDevices.getUserMedia({ audio: true }).then(() => 'yes', (error) => error.name)";
    assert_eq!(page.evaluate(asked).unwrap(), "NotAllowedError");
    desk.session.set_device(&json!({ "capture": "allow" })).unwrap();
    page.wait_until(&format!("{asked}.then((answer) => answer === 'yes')"), PATIENCE).unwrap();

    let other = callee(&installation).unwrap();
    let pages = [&desk.session, &other].map(|end| {
        let page = end.open(&url).unwrap();
        page.evaluate_within("begin()", PATIENCE).unwrap();
        page
    });
    connect(&pages[0], &pages[1], true).unwrap();
    for page in &pages {
        page.wait_until("theirs.videoWidth === 640 && channel.readyState === 'open'", PATIENCE).unwrap();
    }
    let shown = "[...document.querySelectorAll('[data-offstage] video')].some((video) => video.srcObject && video.videoWidth === 640)";
    desk.tab.wait_until_untouched(shown, PATIENCE).unwrap();
    other.close();
    desk.close();
}
