//! The picture is where the element is, or nowhere: read from screenshots of a whole screen with a real window manager.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use offstage_tests::cdp::Page;
use offstage_tests::frame_number;
use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::stage_probe::StageProbe;
use offstage_tests::xvfb::{Camera, Picture, xdotool};
use serde_json::json;

/// How long anything may take on a busy machine before the test says that it does not happen.
const PATIENCE: Duration = Duration::from_secs(40);

/// How many screenshots in a row have to show the same.
const STEADY: usize = 3;

/// How far a channel of a colour may be off after compression of the clip.
const TOLERANCE: u8 = 40;

/// The colour of the page's mark in the viewport's top left corner: tells where on the screen the page is.
const MARK: [u8; 3] = [255, 0, 255];

/// A page that plays a clip as the demo does, with nothing in the clip's or the mark's colours.
const PAGE: &str = r#"<!doctype html><title>overlay</title>
<style>
  html { background: white } body { margin: 0; height: 3000px }
  video { position: absolute; left: 100px; top: 120px; width: 640px; height: 360px }
  button { position: absolute; left: 760px; top: 160px; width: 120px; height: 40px }
  #mark { position: fixed; left: 0; top: 0; width: 8px; height: 8px; background: #f0f; z-index: 9 }
  #state { position: absolute; top: 700px }
</style>
<video id="video" muted playsinline></video><button id="button">Press</button><div id="mark"></div><div id="state"></div>
<script>
  const clicks = [];
  addEventListener('click', (event) => clicks.push(`${event.target.id} ${event.clientX} ${event.clientY}`), true);
</script>
<script type="module" src="player.js"></script>"#;

/// Left, top, right, bottom in pixels of the screen.
type Bounds = [i64; 4];

struct Scene {
    page: Page,
    camera: Camera,
    session: Session,
    _server: Server,
}

impl Scene {
    fn open() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (pages, clips) = (root.join("www/demo"), root.join("tests/clips"));
        let server = Server::start(move |request| match request.path.strip_prefix("/clips/") {
            Some(clip) => Response::file(&clips, clip),
            None if request.path == "/" => Response::html(PAGE),
            None => Response::file(&pages, &request.path),
        })
        .unwrap();
        let options = SessionOptions {
            headless: false,
            screen: Some((1280, 1024)),
            sites: Some(vec!["http://127.0.0.1/*".to_owned()]),
            browser_args: vec!["--window-position=60,40".to_owned(), "--window-size=1000,800".to_owned()],
            client_args: StageProbe::client_args(),
            ..SessionOptions::default()
        };
        let session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
        session.wait_connected(PATIENCE).unwrap();
        let camera = session.screen().unwrap().camera().unwrap();
        let page = session.open(&server.url("/")).unwrap();
        let scene = Self { page, camera, session, _server: server };
        // The pointer is out of the way until a test wants it.
        scene.point(&["mousemove", "1270", "1010"]);
        scene.page.wait_until("!demo.error && video.readyState >= 3", PATIENCE).unwrap();
        scene
    }

    fn run(&self, script: &str) {
        self.page.evaluate(&format!("{script}; 0")).unwrap();
    }

    fn point(&self, arguments: &[&str]) {
        xdotool(self.session.display().unwrap(), arguments).unwrap();
    }

    /// Moves and resizes the browser's window, as far as the window manager allows.
    fn set_window(&self, bounds: serde_json::Value) {
        let answer = self.page.call("Browser.getWindowForTarget", json!({})).unwrap();
        let bounds = json!({ "windowId": answer["windowId"], "bounds": bounds });
        self.page.call("Browser.setWindowBounds", bounds).unwrap();
    }

    /// Where the viewport begins on the screen, by the page's own mark.
    fn origin(screen: &Picture) -> Option<[i64; 2]> {
        let [left, top, right, bottom] = screen.bounds_of(MARK, 2)?;
        // Half-painted or covered: not now.
        (right - left == 8 && bottom - top == 8).then_some([left, top].map(whole))
    }

    /// Where on `screen` the element's visible part is.
    fn expected(&self, screen: &Picture) -> Option<Bounds> {
        let [x, y] = Self::origin(screen)?;
        let answer = self
            .page
            .evaluate(
                "(({ left, top, right, bottom }) => [Math.max(0, left), Math.max(0, top), Math.min(visualViewport.width, right), \
                 Math.min(visualViewport.height, bottom)].map(Math.round))(video.getBoundingClientRect())",
            )
            .unwrap();
        let side = |index: usize| answer[index].as_i64().unwrap();
        Some([x + side(0), y + side(1), x + side(2), y + side(3)])
    }

    /// Waits until screenshots in a row show the picture where the element is; gives the largest error of a side in pixels.
    fn assert_in_place(&self, when: &str) -> i64 {
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
                panic!("{when}: the picture is at {seen:?}, the element at {expected:?}; see {}", file.display());
            }
        }
    }

    /// Waits until screenshots in a row show nothing of the picture.
    fn assert_absent(&self, when: &str) {
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

fn whole(value: usize) -> i64 {
    i64::try_from(value).unwrap()
}

fn picture_on(screen: &Picture) -> Option<Bounds> {
    screen.bounds_of(frame_number::BORDER, TOLERANCE).map(|bounds| bounds.map(whole))
}

fn error(expected: Bounds, seen: Bounds) -> i64 {
    expected.iter().zip(seen).map(|(expected, seen)| (expected - seen).abs()).max().unwrap()
}

/// Keeps the screenshot of a failure.
fn keep(screen: &Picture) -> PathBuf {
    let file = std::env::temp_dir().join(format!("offstage-overlay-{}.png", std::process::id()));
    screen.write_png(&file).unwrap();
    file
}

#[test]
fn the_picture_lies_on_the_element_and_follows_it() {
    let scene = Scene::open();
    scene.assert_in_place("at the beginning");
    // What the session's browser itself has drawn is the stand-in: the picture comes from the device.
    let own = Picture::from_png(&scene.page.screenshot_png().unwrap()).unwrap();
    assert_eq!(picture_on(&own), None, "the session's browser shows the video itself");

    scene.run("scrollTo(0, 60)");
    scene.assert_in_place("scrolled");
    scene.run("scrollTo(0, 300)");
    scene.assert_in_place("scrolled half out at the top");
    scene.run("scrollTo(0, 1200)");
    scene.assert_absent("scrolled out");
    scene.run("scrollTo(0, 0)");
    scene.assert_in_place("scrolled back");
    scene.run("video.style.left = '700px'");
    scene.assert_in_place("reaching out at the right");
    scene.run("video.style.left = '-200px'; video.style.top = '500px'");
    scene.assert_in_place("reaching out at the left and the bottom");
    scene.run("video.style.left = ''; video.style.top = ''");

    scene.run("video.style.width = '480px'; video.style.height = '270px'");
    scene.assert_in_place("a smaller element");
    scene.run("video.style.width = '800px'; video.style.height = '450px'");
    scene.assert_in_place("a larger element");
    scene.run("video.style.width = ''; video.style.height = ''");
    scene.assert_in_place("the element as before");

    scene.set_window(json!({ "left": 180, "top": 130 }));
    scene.assert_in_place("the window moved");
    scene.set_window(json!({ "width": 820, "height": 640 }));
    scene.assert_in_place("the window made smaller");
    scene.set_window(json!({ "windowState": "maximized" }));
    scene.assert_in_place("the window maximised");
    scene.set_window(json!({ "windowState": "normal" }));
    scene.assert_in_place("the window as before");
    scene.session.close();
}
