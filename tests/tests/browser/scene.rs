//! A redirected video on a screen with a real window manager, and where on that screen the picture is.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use offstage_tests::cdp::Page;
use offstage_tests::frame_number;
use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::stage_probe::StageProbe;
use offstage_tests::xvfb::{Camera, Picture, xdotool};
use serde_json::{Value, json};

/// How long anything may take on a busy machine before the test says that it does not happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// How many screenshots in a row have to show the same.
pub(crate) const STEADY: usize = 3;

/// How far a channel of a colour may be off after compression of the clip.
pub(crate) const TOLERANCE: u8 = 40;

/// The colour of the page's mark in the viewport's top left corner: tells where on the screen the page is.
pub(crate) const MARK: [u8; 3] = [255, 0, 255];

/// A page that plays a clip as the demo does, with nothing in the clip's or the mark's colours.
pub(crate) const PAGE: &str = r#"<!doctype html><title>overlay</title>
<style>
  html { background: white } body { margin: 0; height: 3000px }
  video { position: absolute; left: 100px; top: 120px; width: 640px; height: 360px }
  button { position: absolute; left: 760px; top: 160px; width: 120px; height: 40px }
  #mark { position: fixed; left: 0; top: 0; width: 8px; height: 8px; background: #f0f; z-index: 9 }
  #state { position: absolute; top: 700px; z-index: -1 }
</style>
<div id="box"><video id="video" muted playsinline></video></div><button id="button">Press</button><div id="mark"></div><div id="state"></div>
<script>
  const clicks = [], video = document.getElementById('video');
  /** The box that clips the video, without its border, or else the viewport without its scroll bars. */
  const clip = () => {
    const { width, height } = visualViewport;
    if (getComputedStyle(box).overflow === 'visible') return { left: 0, top: 0, right: width, bottom: height };
    const { left, top } = box.getBoundingClientRect();
    const [x, y] = [left + box.clientLeft, top + box.clientTop];
    return { left: x, top: y, right: Math.min(width, x + box.clientWidth), bottom: Math.min(height, y + box.clientHeight) };
  };
  addEventListener('click', (event) => clicks.push(`${event.target.id} ${event.clientX} ${event.clientY}`), true);
</script>
<script type="module" src="player.js"></script>"#;

/// Left, top, right, bottom in pixels of the screen.
pub(crate) type Bounds = [i64; 4];

/// A session whose browser plays a redirected clip.
pub(crate) struct Scene {
    pub(crate) page: Page,
    pub(crate) session: Session,
    camera: Camera,
    _server: Server,
}

impl Scene {
    /// Plays `query`'s clip (see the demo's player) until the session's browser says that it plays.
    pub(crate) fn open(query: &str) -> Self {
        Self::open_with(query, |_options| {})
    }

    /// The same in a session that is another than usual.
    pub(crate) fn open_with(query: &str, adjust: impl FnOnce(&mut SessionOptions)) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (pages, clips) = (root.join("www/demo"), root.join("tests/clips"));
        let server = Server::start(move |request| match request.path.strip_prefix("/clips/") {
            Some(clip) => Response::file(&clips, clip),
            None if request.path == "/" => Response::html(PAGE),
            None => Response::file(&pages, &request.path),
        })
        .unwrap();
        let url = server.url(&format!("/?{query}"));
        Self::open_page_with(server, &url, "!demo.error && video.readyState >= 3", adjust)
    }

    /// Opens a page with the mark, a `video` that has a box and a `clip()`, and waits until `ready` holds in it.
    pub(crate) fn open_page(server: Server, url: &str, ready: &str) -> Self {
        Self::open_page_with(server, url, ready, |_options| {})
    }

    fn open_page_with(
        server: Server,
        url: &str,
        ready: &str,
        adjust: impl FnOnce(&mut SessionOptions),
    ) -> Self {
        let mut options = SessionOptions {
            headless: false,
            screen: Some((1280, 1024)),
            sites: Some(vec!["http://127.0.0.1/*".to_owned()]),
            browser_args: vec!["--window-position=60,40".to_owned(), "--window-size=1000,800".to_owned()],
            client_args: StageProbe::client_args(),
            ..SessionOptions::default()
        };
        adjust(&mut options);
        let session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
        session.wait_connected(PATIENCE).unwrap();
        let camera = session.screen().unwrap().camera().unwrap();
        let page = session.open(url).unwrap();
        let scene = Self { page, session, camera, _server: server };
        // The pointer is out of the way until a test wants it.
        scene.point(&["mousemove", "1270", "1010"]);
        scene.page.wait_until(ready, PATIENCE).unwrap();
        scene
    }

    pub(crate) fn run(&self, script: &str) {
        self.page.evaluate(&format!("{script}; 0")).unwrap();
    }

    pub(crate) fn point(&self, arguments: &[&str]) {
        xdotool(self.session.display().unwrap(), arguments).unwrap();
    }

    /// A person's click at these coordinates of the viewport; the pointer leaves afterwards.
    pub(crate) fn click_at(&self, x: i64, y: i64) {
        let [left, top] = Self::origin(&self.camera.capture().unwrap()).expect("the page's mark is not seen");
        let [x, y] = [left + x, top + y].map(|at| at.to_string());
        self.point(&["mousemove", &x, &y, "click", "1", "mousemove", "1270", "1010"]);
    }

    /// The whole screen at this moment.
    pub(crate) fn screen(&self) -> Picture {
        self.camera.capture().unwrap()
    }

    /// Moves and resizes the browser's window, as far as the window manager allows.
    pub(crate) fn set_window(&self, bounds: Value) {
        let answer = self.page.call("Browser.getWindowForTarget", json!({})).unwrap();
        let bounds = json!({ "windowId": answer["windowId"], "bounds": bounds });
        self.page.call("Browser.setWindowBounds", bounds).unwrap();
    }

    /// Moves and sizes the window; the picture has to stay with it.
    pub(crate) fn move_window_about(&self) {
        for (bounds, when) in [
            (json!({ "left": 180, "top": 130 }), "the window moved"),
            (json!({ "width": 820, "height": 640 }), "the window made smaller"),
            (json!({ "windowState": "maximized" }), "the window maximised"),
            (json!({ "windowState": "normal" }), "the window as before"),
        ] {
            self.set_window(bounds);
            self.assert_in_place(when);
        }
    }

    /// Opens another window of the session's browser exactly over this one.
    pub(crate) fn cover_with_another_window(&self) {
        let new = json!({ "url": "data:text/html,<title>Another</title>", "newWindow": true });
        let opened = self.session.cdp().call("Target.createTarget", new).unwrap();
        let other = Page::attach(self.session.cdp(), opened["targetId"].as_str().unwrap()).unwrap();
        let window = |page: &Page| page.call("Browser.getWindowForTarget", json!({})).unwrap();
        let mut bounds = window(&self.page)["bounds"].clone();
        // Only one of both may be told.
        bounds.as_object_mut().unwrap().remove("windowState");
        let bounds = json!({ "windowId": window(&other)["windowId"], "bounds": bounds });
        other.call("Browser.setWindowBounds", bounds).unwrap();
    }

    /// Where the viewport begins on the screen, by the page's own mark.
    pub(crate) fn origin(screen: &Picture) -> Option<[i64; 2]> {
        let [left, top, right, bottom] = screen.bounds_of(MARK, 2)?;
        // Half-painted or covered: not now.
        (right - left == 8 && bottom - top == 8).then_some([left, top].map(whole))
    }

    /// Where on `screen` the element's visible part is.
    pub(crate) fn expected(&self, screen: &Picture) -> Option<Bounds> {
        let [x, y] = Self::origin(screen)?;
        let answer = self
            .page
            .evaluate(
                "(({ left, top, right, bottom }, clip) => [Math.max(clip.left, left), Math.max(clip.top, top), \
                 Math.min(clip.right, right), Math.min(clip.bottom, bottom)].map(Math.round))(video.getBoundingClientRect(), clip())",
            )
            .unwrap();
        let side = |index: usize| answer[index].as_i64().unwrap();
        Some([x + side(0), y + side(1), x + side(2), y + side(3)])
    }

    /// Waits until screenshots in a row show the picture where the element is; gives the largest error of a side in pixels.
    pub(crate) fn assert_in_place(&self, when: &str) -> i64 {
        let (mut steady, mut worst) = (0, 0);
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = self.camera.capture().unwrap();
            let (expected, seen) = (self.expected(&screen), picture_on(&screen));
            match (expected, seen) {
                (Some(expected), Some(seen)) if error(expected, seen) <= 1 => {
                    steady += 1;
                    worst = worst.max(error(expected, seen));
                }
                _ => (steady, worst) = (0, 0),
            }
            if steady == STEADY {
                return worst;
            }
            if Instant::now() >= end {
                let file = keep(&screen);
                panic!(
                    "{when}: the picture is at {seen:?}, the element at {expected:?}; see {}",
                    file.display()
                );
            }
        }
    }

    /// Waits until screenshots in a row satisfy `holds`, which gets the screen and where on it the viewport begins.
    pub(crate) fn assert_screen(&self, when: &str, holds: impl Fn(&Picture, [i64; 2]) -> bool) {
        let mut steady = 0;
        let end = Instant::now() + PATIENCE;
        while steady < STEADY {
            let screen = self.camera.capture().unwrap();
            steady = if Self::origin(&screen).is_some_and(|origin| holds(&screen, origin)) {
                steady + 1
            } else {
                0
            };
            if Instant::now() >= end {
                panic!(
                    "{when}: the picture is at {:?}; see {}",
                    picture_on(&screen),
                    keep(&screen).display()
                );
            }
        }
    }

    /// Waits until screenshots in a row show the picture there.
    pub(crate) fn assert_at(&self, expected: Bounds, when: &str) {
        let mut steady = 0;
        let end = Instant::now() + PATIENCE;
        while steady < STEADY {
            let screen = self.camera.capture().unwrap();
            let seen = picture_on(&screen);
            steady = if seen.is_some_and(|seen| error(expected, seen) <= 1) { steady + 1 } else { 0 };
            if Instant::now() >= end {
                let file = keep(&screen);
                panic!("{when}: the picture is at {seen:?}, not at {expected:?}; see {}", file.display());
            }
        }
    }

    /// Waits until what the session's browser itself has drawn shows the video, or the stand-in.
    pub(crate) fn wait_drawn_by_session(&self, wanted: bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            let own = Picture::from_png(&self.page.screenshot_png().unwrap()).unwrap();
            if picture_on(&own).is_some() == wanted {
                return;
            }
            assert!(
                Instant::now() < end,
                "whether the session's browser draws the video itself is not {wanted}: {}",
                self.session.status().unwrap()
            );
        }
    }

    /// Waits until screenshots in a row show nothing of the picture.
    pub(crate) fn assert_absent(&self, when: &str) {
        let mut steady = 0;
        let end = Instant::now() + PATIENCE;
        while steady < STEADY {
            let screen = self.camera.capture().unwrap();
            let seen = picture_on(&screen);
            steady = if seen.is_none() { steady + 1 } else { 0 };
            if Instant::now() >= end {
                panic!("{when}: the picture is still at {seen:?}; see {}", keep(&screen).display());
            }
        }
    }
}

pub(crate) fn whole(value: usize) -> i64 {
    i64::try_from(value).unwrap()
}

pub(crate) fn picture_on(screen: &Picture) -> Option<Bounds> {
    screen.bounds_of(frame_number::BORDER, TOLERANCE).map(|bounds| bounds.map(whole))
}

pub(crate) fn error(expected: Bounds, seen: Bounds) -> i64 {
    expected.iter().zip(seen).map(|(expected, seen)| (expected - seen).abs()).max().unwrap()
}

/// Keeps the screenshot of a failure.
pub(crate) fn keep(screen: &Picture) -> PathBuf {
    let file = std::env::temp_dir().join(format!("offstage-overlay-{}.png", std::process::id()));
    screen.write_png(&file).unwrap();
    file
}
