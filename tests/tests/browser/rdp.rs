//! A real remote desktop by RDP: xrdp's session, FreeRDP's client on the device with the plug-in. Needs root, for the login.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use offstage_tests::cdp::Page;
use offstage_tests::process::listening_sockets_of_tree;
use offstage_tests::rdp::{Server, Viewer, is_possible};
use offstage_tests::server::{Response, Server as Pages};
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::shaped_line::{Shape, ShapedLine};
use offstage_tests::xvfb::{Camera, Picture, Screen};

use crate::scene::{PAGE, PATIENCE, STEADY, Scene, error, keep, picture_on};

/// The session's screen.
const SESSION: (u16, u16) = (1280, 1024);
const MEBIBYTE: usize = 1024 * 1024;

/// Fails where it can't run, and says what it needs.
fn assert_possible() {
    assert!(is_possible(), "needs root, namespaces (unshare) and what `cargo xtask setup` installs");
}

/// Gives back what comes, as much of it as is wanted.
fn echo(listener: &UnixListener) -> UnixStream {
    let stream = listener.accept().unwrap().0;
    let mut copy = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut reader = copy.try_clone().unwrap();
        std::io::copy(&mut reader, &mut copy).ok();
    });
    stream
}

#[test]
fn a_channel_reaches_the_clients_socket_and_again_after_a_new_connection() {
    assert_possible();
    let installation = Installation::from_env().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("client.sock");
    let device = Screen::start(1600, 1200).unwrap();
    let server = Server::start().unwrap();
    let mut viewer =
        Viewer::start(&server, server.port(), device.display(), SESSION, &installation.plugin, &socket)
            .unwrap();
    server.elsewhere().unwrap();
    // Nobody listens yet: the channel is refused at first.
    let listener = UnixListener::bind(&socket).unwrap();
    let mut channel = server.open_channel().unwrap();
    let client = echo(&listener);
    let mut took = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        channel.write_all(b"ping").unwrap();
        channel.read_exact(&mut [0; 4]).unwrap();
        took.push(began.elapsed());
    }
    took.sort();
    println!("round trip: {:?}, the slowest of 200 {:?}", took[100], took[199]);
    drop(client);

    // In a window of 64 KiB, there and back.
    let mut writer = channel.try_clone().unwrap();
    let began = Instant::now();
    let piece: Vec<u8> = (0..64 * 1024).map(|index: u32| index.to_le_bytes()[0]).collect();
    let mut back = vec![0; piece.len()];
    for _ in 0..16 * MEBIBYTE / piece.len() {
        writer.write_all(&piece).unwrap();
        channel.read_exact(&mut back).unwrap();
        assert!(back == piece);
    }
    println!("16 MiB there and back in {:?}", began.elapsed());

    viewer.close();
    viewer.open().unwrap();
    let mut channel = server.open_channel().unwrap();
    let _client = echo(&listener);
    channel.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    channel.write_all(b"again").unwrap();
    let mut back = [0; 5];
    channel.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"again");
}

#[test]
fn a_video_of_the_session_plays_on_the_device_and_again_after_a_new_connection() {
    assert_possible();
    let mut far = Far::open();
    far.assert_in_place("at the beginning");
    // The browser's own, for its debugger; no port of Offstage's on the host.
    assert_eq!(listening_sockets_of_tree(far.session.browser_pid()), 1);
    far.show("rdp.png");
    far.page.evaluate("globalThis.seen = 1; 0").unwrap();
    far.begin_anew();
    let before = far.position();
    // What the session's browser draws while nobody is connected fills such a line for good, as xrdp knows no order of importance:
    // the move back to the device has to make room for itself.
    far.line.set(Shape {
        rtt: Duration::from_millis(30),
        bits_per_second: Some(5_000_000),
        ..Shape::default()
    });
    far.viewer.close();
    let began = Instant::now();
    far.viewer.open().unwrap();
    let window = began.elapsed().as_millis();
    far.assert_in_place("connected again");
    let whole = began.elapsed().as_millis();
    println!("connected again: the window is there after {window} ms, the device's picture after {whole} ms");
    far.show("rdp-again.png");
    assert_eq!(far.page.evaluate("globalThis.seen").unwrap(), 1, "the page was loaded anew");
    far.page.wait_until("!video.paused && !demo.error", PATIENCE).unwrap();
    let now = far.position();
    far.page.wait_until(&format!("video.currentTime > {now}"), PATIENCE).unwrap();
    assert!(now > before, "{before} to {now}");

    // The person goes to another device and connects from there.
    far.line.set(Shape::default());
    far.begin_anew();
    far.viewer.close();
    let socket = far.session.start_other_client().unwrap();
    let installation = Installation::from_env().unwrap();
    let (port, display) = (far.line.port(), far.device.display());
    let other = Viewer::start(&far.server, port, display, SESSION, &installation.plugin, &socket).unwrap();
    far.assert_in_place("another device");
    assert_eq!(far.page.evaluate("globalThis.seen").unwrap(), 1, "the page was loaded anew");
    drop(other);
    far.session.close();
}

/// A video in the session, and the device.
struct Far {
    page: Page,
    session: Session,
    viewer: Viewer,
    line: ShapedLine,
    server: Server,
    camera: Camera,
    device: Screen,
    _pages: Pages,
}

impl Far {
    fn open() -> Self {
        let installation = Installation::from_env().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (files, clips) = (root.join("www/demo"), root.join("tests/clips"));
        let pages = Pages::start(move |request| match request.path.strip_prefix("/clips/") {
            Some(clip) => Response::file(&clips, clip),
            None if request.path == "/" => Response::html(PAGE),
            None => Response::file(&files, &request.path),
        })
        .unwrap();
        let device = Screen::start(1600, 1200).unwrap();
        let server = Server::start().unwrap();
        let profile = server.home().join("browser");
        let socket = profile.join("offstage/client.sock");
        let line = ShapedLine::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()))).unwrap();
        let viewer =
            Viewer::start(&server, line.port(), device.display(), SESSION, &installation.plugin, &socket)
                .unwrap();
        let options = SessionOptions {
            user_data_dir: Some(profile),
            headless: false,
            sites: Some(vec!["http://127.0.0.1/*".to_owned()]),
            // The container that tests run in need not let a user make namespaces, which Chromium's sandbox consists of.
            browser_args: [
                "--window-position=60,40",
                "--window-size=1000,800",
                "--no-sandbox",
                "--test-type",
            ]
            .map(str::to_owned)
            .into(),
            client_display: Some(device.display().to_owned()),
            client_args: vec![format!("--remote-window=class:{}", Viewer::CLASS)],
            elsewhere: Some(server.elsewhere().unwrap()),
            ..SessionOptions::default()
        };
        let session = Session::start(&installation, options).unwrap();
        session.wait_connected(PATIENCE).unwrap();
        let page = session.open(&pages.url("/?clip=h264")).unwrap();
        page.wait_until("!demo.error && video.readyState >= 3", PATIENCE).unwrap();
        let camera = device.camera().unwrap();
        Self { page, session, viewer, line, server, camera, device, _pages: pages }
    }

    /// So that the clip lasts.
    fn begin_anew(&self) {
        self.page.evaluate("video.currentTime = 1; video.play(); 0").unwrap();
        self.page.wait_until("!video.seeking", PATIENCE).unwrap();
    }

    fn position(&self) -> f64 {
        self.page.evaluate("video.currentTime").unwrap().as_f64().unwrap()
    }

    /// Waits until screenshots in a row of the device's screen show the picture where the viewer shows the element, and the
    /// session's browser draws none.
    fn assert_in_place(&self, when: &str) {
        let (mut steady, end) = (0, Instant::now() + PATIENCE);
        while steady < STEADY {
            let screen = self.camera.capture().unwrap();
            let seen = picture_on(&screen);
            let expected = Scene::origin(&screen).map(|[x, y]| [x + 100, y + 120, x + 740, y + 480]);
            let holds = seen.zip(expected).is_some_and(|(seen, expected)| error(expected, seen) <= 1);
            let own = || Picture::from_png(&self.page.screenshot_png().unwrap()).unwrap();
            steady = if holds && picture_on(&own()).is_none() { steady + 1 } else { 0 };
            if Instant::now() >= end {
                let reasons = self.session.status().unwrap();
                panic!(
                    "{when}: the picture is at {seen:?}, the element at {expected:?}; see {}; {reasons} {}",
                    keep(&screen).display(),
                    self.server.logs()
                );
            }
        }
    }

    /// Keeps what the device shows, where somebody wants to look at it.
    fn show(&self, name: &str) {
        if let Some(folder) = std::env::var_os("OFFSTAGE_SCREENSHOTS") {
            self.camera.capture().unwrap().write_png(&PathBuf::from(folder).join(name)).unwrap();
        }
    }
}
