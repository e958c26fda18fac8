//! The icon says what is so, in every tab and at every moment.

use std::path::Path;
use std::time::{Duration, Instant};

use offstage_tests::cdp::Page;
use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::xvfb::Picture;
use serde_json::json;

use crate::scene::PATIENCE;

const NOT_COVERED: &str = "Offstage: This page is not redirected.";
const READY: &str = "Offstage: Ready: video on this page will play on your device.";
const VIDEO: &str = "Offstage: Video plays on your device.";
/// How the title begins while the client can't be reached; the rest says why, and gives the code.
const OFF: &str = "Offstage: ";

/// A covered page without video.
const STILL: &str = "<!doctype html><title>still</title><p>Nothing plays here.";

/// The demo's page and a still one.
fn serve() -> Server {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (pages, clips) = (root.join("www/demo"), root.join("tests/clips"));
    Server::start(move |request| match request.path.strip_prefix("/clips/") {
        Some(clip) => Response::file(&clips, clip),
        None if request.path == "/still" => Response::html(STILL),
        None if request.path == "/" => Response::file(&pages, "index.html"),
        None => Response::file(&pages, &request.path),
    })
    .unwrap()
}

struct Tabs {
    session: Session,
    server: Server,
}

impl Tabs {
    fn start() -> Self {
        let server = serve();
        let options = SessionOptions {
            sites: Some(vec!["http://127.0.0.1/*".to_owned()]),
            ..SessionOptions::default()
        };
        let session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
        session.wait_connected(PATIENCE).unwrap();
        Self { session, server }
    }

    /// The icon's title in the tab that shows `page`, found by the mark that the page's title carries.
    fn title(&self, mark: &str) -> String {
        let script = format!(
            "chrome.tabs.query({{}}).then(async (tabs) => {{
               const tab = tabs.find((tab) => tab.url.includes({mark:?}));
               return tab ? chrome.action.getTitle({{ tabId: tab.id }}) : '';
             }})"
        );
        self.session.evaluate_in_worker(&script).unwrap().as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the icon of the tab whose address has `mark` in it says what `is_so`; gives how long that took.
    fn wait(&self, mark: &str, what: &str, is_so: impl Fn(&str) -> bool) -> Duration {
        let start = Instant::now();
        loop {
            let title = self.title(mark);
            if is_so(&title) {
                return start.elapsed();
            }
            assert!(start.elapsed() < PATIENCE, "{mark}: the icon says {title:?}, not that {what}");
        }
    }

    fn wait_title(&self, mark: &str, title: &str) -> Duration {
        self.wait(mark, title, |said| said == title)
    }

    fn open(&self, path: &str) -> Page {
        self.session.open(&self.server.url(path)).unwrap()
    }
}

/// Whether a title says that there is no client, with a code.
fn is_off(title: &str) -> bool {
    title.starts_with(OFF) && title.ends_with(')') && title.contains("(OFS-")
}

#[test]
fn the_icon_says_what_is_so_in_each_tab_and_at_each_moment() {
    let mut tabs = Tabs::start();
    let still = tabs.open("/still?tab=still");
    let video = tabs.open("/?tab=video");
    tabs.wait_title("about:blank", NOT_COVERED);
    tabs.wait_title("tab=still", READY);
    tabs.wait_title("tab=video", VIDEO);

    tabs.session.kill_client();
    let killed = tabs.wait("tab=video", "the client is gone", is_off);
    tabs.wait("tab=still", "the client is gone", is_off);
    tabs.wait_title("about:blank", NOT_COVERED);
    video.wait_until("!video.paused && video.currentTime > 0", PATIENCE).unwrap();

    tabs.session.start_client().unwrap();
    let back = tabs.wait_title("tab=video", VIDEO);
    tabs.wait_title("tab=still", READY);
    println!(
        "the icon changed {} ms after the client was killed, {} ms after it was ready again",
        killed.as_millis(),
        back.as_millis()
    );

    video.navigate(&tabs.server.url("/still?tab=video")).unwrap();
    tabs.wait_title("tab=video", READY);
    // The browser loads no media in a tab that has never been looked at since it went to the page.
    still.call("Page.bringToFront", json!({})).unwrap();
    still.navigate(&tabs.server.url("/?tab=still")).unwrap();
    tabs.wait_title("tab=still", VIDEO);
    tabs.wait_title("tab=video", READY);
    // A page that isn't covered: another host.
    let elsewhere = tabs.server.url("/?tab=video").replace("127.0.0.1", "localhost");
    video.navigate(&elsewhere).unwrap();
    tabs.wait_title("tab=video", NOT_COVERED);
    tabs.wait_title("tab=still", VIDEO);
    still.evaluate("video.removeAttribute('src'); video.load(); 0").unwrap();
    tabs.wait_title("tab=still", READY);
    tabs.session.close();
}

/// An icon's pixels that hide what is below: place in it, colour.
type Pixels = Vec<([usize; 2], [u8; 3])>;

fn opaque(state: &str) -> Pixels {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../www/icons/{state}-16.png"));
    let mut reader =
        png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).unwrap())).read_info().unwrap();
    let mut data = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut data).unwrap();
    assert_eq!((info.color_type, info.width), (png::ColorType::Rgba, 16));
    let pixels = data.chunks_exact(4).take(256).enumerate().filter(|(_, pixel)| pixel[3] == 255);
    pixels.map(|(at, pixel)| ([at % 16, at / 16], [pixel[0], pixel[1], pixel[2]])).collect()
}

/// Whether the toolbar shows the icon somewhere, unscaled.
fn shows(screen: &Picture, icon: &Pixels) -> bool {
    let is_at = |x: usize, y: usize| {
        icon.iter().all(|([dx, dy], colour)| {
            let seen = screen.pixel(x + dx, y + dy).unwrap();
            seen.iter().zip(colour).all(|(seen, wanted)| seen.abs_diff(*wanted) <= 2)
        })
    };
    assert!(icon.len() > 60, "an icon of nothing is everywhere");
    (40..160).any(|y| (200..screen.width() - 16).any(|x| is_at(x, y)))
}

/// What a person sees in the toolbar: the picture of the state and of no other, in light and dark.
#[test]
fn the_toolbar_shows_each_states_picture() {
    for (scheme, more) in [("light", None), ("dark", Some("--force-dark-mode".to_owned()))] {
        let server = serve();
        let window = ["--window-position=0,0", "--window-size=1000,700"].map(str::to_owned);
        let options = SessionOptions {
            headless: false,
            screen: Some((1000, 700)),
            sites: Some(vec!["http://127.0.0.1/*".to_owned()]),
            browser_args: window.into_iter().chain(more).collect(),
            ..SessionOptions::default()
        };
        let session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
        session.wait_connected(PATIENCE).unwrap();
        let camera = session.screen().unwrap().camera().unwrap();
        let icons = ["grey", "off", "ready", "video", "call"].map(|state| (state, opaque(state)));
        let wait_for = |wanted: &str| {
            let end = Instant::now() + PATIENCE;
            loop {
                let screen = camera.capture().unwrap();
                let seen: Vec<&str> =
                    icons.iter().filter(|(_, icon)| shows(&screen, icon)).map(|(state, _)| *state).collect();
                if seen == [wanted] {
                    if let Some(folder) = std::env::var_os("OFFSTAGE_SCREENSHOTS") {
                        let file = Path::new(&folder).join(format!("icon-{scheme}-{wanted}.png"));
                        screen.crop(600, 0, 400, 110).unwrap().write_png(&file).unwrap();
                    }
                    return;
                }
                assert!(Instant::now() < end, "{scheme}: the toolbar shows {seen:?} instead of {wanted}");
            }
        };
        let page = session.open("about:blank").unwrap();
        wait_for("grey");
        page.navigate(&server.url("/still")).unwrap();
        wait_for("ready");
        page.navigate(&server.url("/")).unwrap();
        wait_for("video");
        let mut session = session;
        session.kill_client();
        wait_for("off");
        session.start_client().unwrap();
        wait_for("video");
        page.navigate(&server.url("/still").replace("127.0.0.1", "localhost")).unwrap();
        wait_for("grey");
        session.close();
    }
}
