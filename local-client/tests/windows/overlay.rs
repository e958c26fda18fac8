//! Pictures over a remote desktop's window.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

use offstage_client::window::ParentHint;
use offstage_client::window::Placement;
use offstage_client::window::RemoteWindow;
use offstage_client::window::WindowCommand;
use offstage_client::window::WindowEvent;
use offstage_client::window::win32;
use offstage_protocol::message::Rect;
use offstage_support::win32::window;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use crate::LIMIT;
use crate::stand_in;
use crate::until;

const NOWHERE: i32 = -32000;
/// A page's place in its window, and how much larger that is.
const FRAME: [i32; 2] = [8, 40];
const AROUND: [u32; 2] = [16, 48];

/// A program with windows; they go with it.
struct Program {
    child: Child,
    answers: Receiver<String>,
}

impl Program {
    fn start() -> Self {
        let mut child =
            Command::new(stand_in()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        // Reading can't be given a deadline, waiting for what was read can.
        let (sender, answers) = std::sync::mpsc::sync_channel(16);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, answers }
    }

    fn say(&mut self, line: &str) -> u32 {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        self.answers.recv_timeout(LIMIT).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The client's windows, with an engine that has its own page and one for player 1.
struct Test {
    engine: Program,
    page: u32,
    picture: u32,
    commands: Option<mpsc::Sender<WindowCommand>>,
    events: mpsc::Receiver<WindowEvent>,
    thread: Option<JoinHandle<()>>,
}

impl Test {
    fn start(config: win32::Config) -> Self {
        window::physical_pixels();
        let mut engine = Program::start();
        let (sender, events) = mpsc::channel(16);
        let (commands, thread) =
            offstage_client::window::start(config, sender, Arc::new(Notify::new())).unwrap();
        let page = engine.say("page 50 50 400 300");
        let mut test =
            Self { engine, page, picture: 0, commands: Some(commands), events, thread: Some(thread) };
        assert_eq!(test.event(), WindowEvent::Ready);
        test.send(WindowCommand::EngineStarted { pid: test.engine.child.id() });
        until("the engine's page is off the screen", || is_nowhere(page) && window::lets_through(page));
        test.send(WindowCommand::Expect { player: 1 });
        test.picture = test.engine.say("page 60 60 100 100");
        assert_eq!(test.event(), WindowEvent::Adopted { player: 1 });
        let picture = test.picture;
        until("the picture's window has its size, off the screen", || {
            is_nowhere(picture) && size(picture) == [800 + AROUND[0], 450 + AROUND[1]]
        });
        test
    }

    fn send(&self, command: WindowCommand) {
        self.commands.as_ref().unwrap().blocking_send(command).unwrap();
    }

    fn event(&mut self) -> WindowEvent {
        let mut event = None;
        until("the windows tell something", || {
            event = match self.events.try_recv() {
                Ok(event) => Some(event),
                Err(error) => {
                    assert_eq!(error, TryRecvError::Empty, "the windows' thread has ended");
                    None
                }
            };
            event.is_some()
        });
        event.unwrap()
    }

    fn place(&self, parent: ParentHint, rect: Rect, visible: Rect) {
        let placement = Placement { player: 1, parent, rect, visible: vec![visible], clips: Vec::new() };
        self.send(WindowCommand::Place(placement));
    }

    /// Waits until the picture's page is there on the screen, above its owner, and no more of it is seen than that.
    fn is_at(&self, left: i32, top: i32, seen: Rect, owner: u32) {
        let seen = Rect { x: seen.x + FRAME[0], y: seen.y + FRAME[1], ..seen };
        until(&format!("the picture is at {left}, {top}"), || {
            origin(self.picture) == [left - FRAME[0], top - FRAME[1]]
                && window::has_region(self.picture, &[seen])
                && window::owner(self.picture) == Some(owner)
                && above(self.picture, owner)
        });
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        self.commands = None;
        self.thread.take().map(JoinHandle::join);
    }
}

fn origin(window: u32) -> [i32; 2] {
    window::bounds(window).map_or([i32::MIN; 2], |bounds| [bounds.x, bounds.y])
}

fn size(window: u32) -> [u32; 2] {
    window::bounds(window).map_or([0; 2], |bounds| [bounds.width, bounds.height])
}

fn is_nowhere(window: u32) -> bool {
    origin(window) == [NOWHERE; 2]
}

fn above(higher: u32, lower: u32) -> bool {
    let all = window::top_level();
    let place = |window| all.iter().position(|found| *found == window).unwrap();
    place(higher) < place(lower)
}

fn rect(x: i32, y: i32, width: u32, height: u32) -> Rect {
    Rect { x, y, width, height }
}

#[test]
fn a_picture_lies_over_the_remote_desktops_window_and_follows_it() {
    let mut test = Test::start(win32::Config { remote: Some(mstsc()), single: None });
    let mut desktop = Program::start();
    let remote = desktop.say("remote 100 100 640 480 office");
    assert_eq!(test.event(), WindowEvent::Bound { width: 640, height: 480 });
    let (picture, hint) = (test.picture, ParentHint::default);
    test.place(hint(), rect(20, 30, 200, 100), rect(20, 30, 150, 100));
    test.is_at(120, 130, rect(0, 0, 150, 100), remote);
    assert!(window::lets_through(picture));

    desktop.say(&format!("move {remote} 150 120 640 480"));
    test.is_at(170, 150, rect(0, 0, 150, 100), remote);
    // What leaves the window is not seen beside it.
    test.place(hint(), rect(-50, -10, 200, 100), rect(-50, -10, 200, 100));
    test.is_at(100, 110, rect(50, 10, 150, 90), remote);
    // A larger picture gets a larger page.
    test.send(WindowCommand::Reserve { player: 1, width: 1000, height: 500 });
    test.place(hint(), rect(0, 0, 1000, 500), rect(0, 0, 600, 400));
    test.is_at(150, 120, rect(0, 0, 600, 400), remote);
    until("the page is large enough", || size(picture) == [1024 + AROUND[0], 512 + AROUND[1]]);

    // Another window over the remote desktop is over the picture, too, and stays so while that moves.
    let cover = desktop.say("cover 0 0 900 700");
    desktop.say(&format!("move {remote} 160 130 640 480"));
    test.is_at(160, 130, rect(0, 0, 600, 400), remote);
    assert!(above(cover, picture));
    desktop.say(&format!("close {cover}"));

    desktop.say(&format!("minimise {remote}"));
    until("a minimised desktop shows no picture", || is_nowhere(picture));
    desktop.say(&format!("restore {remote}"));
    test.is_at(160, 130, rect(0, 0, 600, 400), remote);

    // Of another size, the window has to be told of first.
    desktop.say(&format!("move {remote} 160 130 700 500"));
    assert_eq!(test.event(), WindowEvent::Bound { width: 700, height: 500 });
    until("the old place is none any more", || is_nowhere(picture));
    test.place(hint(), rect(10, 10, 200, 100), rect(10, 10, 200, 100));
    test.is_at(170, 140, rect(0, 0, 200, 100), remote);

    desktop.say(&format!("close {remote}"));
    assert_eq!(test.event(), WindowEvent::Unbound);
    until("the picture is off the screen", || is_nowhere(picture));
    assert!(window::exists(picture), "it belongs to the engine");
    let remote = desktop.say("remote 10 10 640 480 office");
    assert_eq!(test.event(), WindowEvent::Bound { width: 640, height: 480 });
    test.place(hint(), rect(0, 0, 200, 100), rect(0, 0, 200, 100));
    test.is_at(10, 10, rect(0, 0, 200, 100), remote);

    test.engine.say(&format!("close {picture}"));
    assert_eq!(test.event(), WindowEvent::Lost { player: 1 });
    assert!(is_nowhere(test.page));
}

#[test]
fn a_picture_lies_over_the_window_that_shows_its_window_of_the_session() {
    let test = Test::start(win32::Config { remote: None, single: Some(mstsc()) });
    let mut device = Program::start();
    let film = device.say("remote 100 100 640 480 Film");
    let news = device.say("remote 100 100 640 480 News");
    let picture = test.picture;
    let hint = |title: &str| ParentHint {
        outer: Some(rect(100, 100, 640, 480)),
        title: title.to_owned(),
        ..ParentHint::default()
    };
    let place = rect(20, 30, 200, 100);
    for (title, window) in [("Film", film), ("News", news)] {
        test.place(hint(title), place, place);
        test.is_at(120, 130, rect(0, 0, 200, 100), window);
    }
    // The device's window goes first, the session's follows.
    device.say(&format!("move {news} 130 100 640 480"));
    test.is_at(150, 130, rect(0, 0, 200, 100), news);
    device.say(&format!("move {news} 100 100 640 480"));
    let twin = device.say("remote 100 100 640 480 News");
    until("two that can't be told apart show nothing", || is_nowhere(picture));
    device.say(&format!("close {twin}"));
    test.is_at(120, 130, rect(0, 0, 200, 100), news);
    device.say(&format!("move {news} 100 100 800 480"));
    until("one of another size shows nothing", || is_nowhere(picture));
}

fn mstsc() -> RemoteWindow {
    RemoteWindow::Class("TscShellContainerClass".to_owned())
}

#[test]
fn a_picture_lies_over_the_window_of_a_browser_on_the_same_machine() {
    let mut test = Test::start(win32::Config::default());
    let mut browser = Program::start();
    let other = browser.say("cover 600 20 300 300");
    let window = browser.say("cover 30 40 500 400");
    let hint = ParentHint {
        pids: vec![browser.child.id()],
        outer: Some(rect(30, 40, 500, 400)),
        ..ParentHint::default()
    };
    test.place(hint.clone(), rect(20, 30, 200, 100), rect(20, 30, 200, 100));
    test.is_at(50, 70, rect(0, 0, 200, 100), window);
    assert_ne!(window, other);
    test.send(WindowCommand::Hide { player: 1 });
    until("a picture that is hidden is off the screen", || is_nowhere(test.picture));
    // Whatever the engine does with its windows, nobody sees them.
    for window in [test.page, test.picture] {
        test.engine.say(&format!("move {window} 70 80 400 300"));
        until("a window that comes back is off the screen again", || is_nowhere(window));
    }
    let strange = ParentHint { pids: vec![std::process::id()], ..hint };
    test.place(strange, rect(20, 30, 200, 100), rect(20, 30, 200, 100));
    test.send(WindowCommand::Choose { on: true });
    until("the engine's page is shown, and takes the pointer", || {
        !is_nowhere(test.page) && !window::lets_through(test.page)
    });
    test.send(WindowCommand::Choose { on: false });
    until("and goes again", || is_nowhere(test.page) && window::lets_through(test.page));
    assert!(is_nowhere(test.picture), "no process of that number has such a window");
}
