//! The picture on the screen.

use std::time::Duration;
use std::time::Instant;

use offstage_protocol::frame::PLAYER_STREAM;
use offstage_protocol::message::ClosePlayer;
use offstage_protocol::message::Rect;
use offstage_protocol::message::ToDeviceKind;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::protocol::xproto::Window;
use x11rb::wrapper::ConnectionExt as _;

use crate::client::Client;
use crate::client::Options;
use crate::display::BACKGROUND;
use crate::display::Display;
use crate::session::Session;

/// The test stage's colour of the first player.
const GREEN: u32 = 0x0000_ff00;
const BLUE: u32 = 0x0000_00ff;
const OUTER: Rect = Rect { x: 100, y: 50, width: 900, height: 700 };

/// A display with a browser-like window, a client, and a session.
struct Scene {
    session: Session,
    client: Client,
    window: Window,
    display: Display,
}

impl Scene {
    /// The window is found by its process: this one is the session's ancestor and its owner.
    fn new() -> Self {
        Self::with_parent(|_window| Vec::new())
    }

    /// The window is named on the client's command line.
    fn fixed() -> Self {
        Self::with_parent(|window| vec![format!("--parent-window={window}")])
    }

    fn with_parent(arguments: impl Fn(Window) -> Vec<String>) -> Self {
        let display = Display::start();
        let window = display.window(100, 50, 900, 700);
        let arguments = arguments(window);
        let client = Client::start(Options { display: Some(&display), arguments, path: None });
        let session = client.ready_session();
        Self { session, client, window, display }
    }

    fn place(&mut self, rect: Rect) {
        self.session.place(1, OUTER, rect, &[rect]);
    }

    /// Waits until the screen shows `colour` at each place.
    fn wait_pixels(&mut self, what: &str, expected: &[(i16, i16, u32)]) {
        let display = &self.display;
        self.session.until(what, |_| {
            expected.iter().all(|(x, y, colour)| display.pixel(*x, *y) == *colour).then_some(())
        });
    }

    /// A picture of 200x100 at (20, 30) of the window, which is at (120, 80) of the screen.
    fn show(&mut self) {
        self.session.open(1);
        self.place(rect(20, 30, 200, 100));
        self.wait_pixels(
            "the picture is exactly there",
            &[
                (119, 79, BACKGROUND),
                (120, 80, GREEN),
                (319, 179, GREEN),
                (320, 179, BACKGROUND),
                (319, 180, BACKGROUND),
                (119, 100, BACKGROUND),
            ],
        );
    }
}

fn rect(x: i32, y: i32, width: u32, height: u32) -> Rect {
    Rect { x, y, width, height }
}

#[test]
fn the_picture_lies_where_the_page_shows_it_and_follows() {
    let mut scene = Scene::fixed();
    scene.show();
    assert_eq!(scene.display.strays(&[scene.window]), Vec::<Window>::new(), "nothing else is on the screen");

    // Moves.
    scene.place(rect(300, 200, 200, 100));
    scene.wait_pixels(
        "moved",
        &[(120, 80, BACKGROUND), (400, 250, GREEN), (599, 349, GREEN), (600, 349, BACKGROUND)],
    );

    // Has holes and is clipped.
    let area = rect(300, 200, 200, 100);
    scene.session.place(1, OUTER, area, &[rect(300, 200, 50, 100), rect(400, 200, 1000, 100)]);
    scene.wait_pixels(
        "holes",
        &[
            (449, 260, GREEN),
            (450, 260, BACKGROUND),
            (499, 260, BACKGROUND),
            (500, 260, GREEN),
            (600, 260, BACKGROUND),
        ],
    );

    // Grows beyond the size of its window, and shrinks.
    let area = rect(10, 10, 850, 600);
    scene.place(area);
    scene.wait_pixels(
        "grown",
        &[(110, 60, GREEN), (959, 659, GREEN), (960, 659, BACKGROUND), (959, 660, BACKGROUND)],
    );
    scene.place(rect(10, 10, 60, 40));
    scene.wait_pixels(
        "shrunk",
        &[(110, 60, GREEN), (169, 99, GREEN), (170, 99, BACKGROUND), (169, 100, BACKGROUND)],
    );

    // Is not visible.
    scene.session.place(1, OUTER, rect(10, 10, 60, 40), &[]);
    scene.wait_pixels("hidden", &[(110, 60, BACKGROUND)]);
    scene.place(rect(10, 10, 60, 40));
    scene.wait_pixels("back", &[(110, 60, GREEN)]);

    // Is closed.
    let close = ToDeviceKind::ClosePlayer(ClosePlayer { player: 1 });
    scene.session.send(PLAYER_STREAM, close);
    scene.wait_pixels("closed", &[(110, 60, BACKGROUND)]);
}

#[test]
fn the_browsers_window_is_found_by_its_process_and_moves_with_the_picture_in_it() {
    let mut scene = Scene::new();
    let smaller = scene.display.window(0, 780, 90, 90);
    scene.show();
    // The window moves; nobody reports anything.
    scene.display.move_window(scene.window, 200, 150);
    assert_eq!(scene.display.pixel(220, 180), GREEN);
    assert_eq!(scene.display.pixel(120, 80), 0);

    // Its end takes the picture along; the session is told.
    scene.display.conn.destroy_window(scene.window).unwrap();
    scene.display.conn.sync().unwrap();
    let failed = scene.session.wait_failed();
    assert_eq!(failed.player, 1);
    // A new player in a new window.
    scene.window = scene.display.window(100, 50, 900, 700);
    scene.session.open(2);
    scene.session.place(2, OUTER, rect(20, 30, 200, 100), &[rect(20, 30, 200, 100)]);
    scene.wait_pixels("the second player", &[(120, 80, BLUE), (319, 179, BLUE)]);
    let left = scene.display.strays(&[scene.window, smaller]);
    assert_eq!(
        left,
        Vec::<Window>::new(),
        "{:?}",
        left.iter().map(|w| scene.display.name_of(*w)).collect::<Vec<_>>()
    );
}

#[test]
fn stale_geometry_and_a_lost_connection_hide_the_picture() {
    let mut scene = Scene::fixed();
    scene.show();
    scene.session.fall_silent();
    let since = Instant::now();
    scene.wait_pixels("hidden without news", &[(120, 80, BACKGROUND), (319, 179, BACKGROUND)]);
    assert!(since.elapsed() > Duration::from_secs(2), "hidden after {:?}", since.elapsed());
    scene.place(rect(20, 30, 200, 100));
    scene.wait_pixels("back", &[(120, 80, GREEN)]);

    let Scene { session, client, display, .. } = scene;
    drop(session);
    let mut other = client.ready_session();
    other.until("hidden after the loss", |_| (display.pixel(120, 80) == BACKGROUND).then_some(()));
}

#[test]
fn two_sessions_with_the_same_player_id_have_a_picture_each() {
    let mut scene = Scene::fixed();
    scene.show();
    let mut second = scene.client.ready_session();
    second.open(1);
    second.place(1, OUTER, rect(400, 30, 200, 100), &[rect(400, 30, 200, 100)]);
    second.until("the second picture", |_| (scene.display.pixel(500, 80) == BLUE).then_some(()));
    drop(second);
    scene.place(rect(20, 30, 200, 100));
    scene.wait_pixels("only the first is left", &[(500, 80, BACKGROUND), (120, 80, GREEN)]);
}

#[test]
fn a_window_manager_never_sees_the_engine() {
    let mut display = Display::start();
    display.manage();
    let window = display.window(100, 50, 700, 500);
    let arguments = vec![format!("--parent-window={window}")];
    let client = Client::start(Options { display: Some(&display), arguments, path: None });
    let mut session = client.ready_session();
    session.open(1);
    let area = rect(20, 30, 200, 100);
    session.place(1, OUTER, area, &[area]);
    session.until("the picture is there", |_| {
        let (x, y) = display.origin(window);
        (display.pixel(x + 20, y + 30) == GREEN && display.pixel(x + 19, y + 30) == BACKGROUND).then_some(())
    });
    assert_eq!(display.managed(), [window]);
}

/// Prints a figure; asserts only that it isn't absurd, because the machine may be busy.
#[test]
fn a_move_is_on_the_screen_within_moments() {
    let mut scene = Scene::fixed();
    scene.show();
    let mut times = Vec::new();
    for step in 0..60_i16 {
        let x = 20 + i32::from(step % 2) * 300;
        let since = Instant::now();
        scene.place(rect(x, 30, 200, 100));
        let screen = (100 + i16::try_from(x).unwrap() + 100, 100);
        while scene.display.pixel(screen.0, screen.1) != GREEN {
            assert!(since.elapsed() < Duration::from_secs(10));
        }
        times.push(since.elapsed());
        scene.session.pump();
    }
    times.sort();
    println!("move, from the session's message to the screen: p50 {:?}, p95 {:?}", times[30], times[57]);
    scene.display.conn.flush().unwrap();
    assert!(times[30] < Duration::from_millis(500), "{times:?}");
}
