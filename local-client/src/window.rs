//! The windows that hold the pictures, behind commands that every platform understands.

use std::io;
use std::sync::Arc;
use std::thread;

use offstage_protocol::message::{Clip, Rect};
use tokio::sync::{Notify, mpsc};

pub mod above;
pub mod matching;
pub mod region;
pub mod remote;
pub mod sizes;
pub mod web;
#[cfg(windows)]
pub mod win32;
#[cfg(unix)]
pub mod x11;

pub use self::remote::RemoteWindow;
/// The windows of the system that this is built for.
#[cfg(windows)]
pub use self::win32 as system;
#[cfg(unix)]
pub use self::x11 as system;

/// Commands that wait for the thread; the client's own queue comes before them.
const QUEUED_COMMANDS: usize = 64;

/// Starts the windows' thread. Dropping the sender ends it, and no picture is left on the screen.
///
/// `drained` is notified when a command has been taken.
///
/// # Errors
/// If there are no more threads or descriptors.
pub fn start(
    config: system::Config,
    events: mpsc::Sender<WindowEvent>,
    drained: Arc<Notify>,
) -> io::Result<(mpsc::Sender<WindowCommand>, thread::JoinHandle<()>)> {
    let (sender, commands) = mpsc::channel(QUEUED_COMMANDS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = thread::Builder::new()
        .name("windows".to_owned())
        .spawn(move || runtime.block_on(system::run(config, events, commands, drained)))?;
    Ok((sender, thread))
}

/// What the client asks of the windows. Players are named by their ids on this device.
#[derive(Debug, Clone, PartialEq)]
pub enum WindowCommand {
    /// An engine runs; its windows are to be taken before anybody sees them.
    EngineStarted {
        pid: u32,
    },
    EngineGone,
    /// The next window that the engine makes is this player's.
    Expect {
        player: u32,
    },
    /// Makes the player's window at least so large, unseen; before the layout inside it grows.
    Reserve {
        player: u32,
        width: u32,
        height: u32,
    },
    /// Shows the picture at this place and nowhere else.
    Place(Placement),
    Hide {
        player: u32,
    },
    /// The player is gone.
    Close {
        player: u32,
    },
    /// The engine asks the person which screen or window a call is to show, in the window of its own page: that is on the screen from now on,
    /// or not any more.
    Choose {
        on: bool,
    },
}

/// Where a picture is, relative to the origin of the browser window's outer rectangle.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    pub player: u32,
    pub parent: ParentHint,
    pub rect: Rect,
    /// The parts that are seen, in the same coordinates as `rect`; none while the window is only to be drawn ahead,
    /// which on Windows one does wherever it is.
    pub visible: Vec<Rect>,
    /// Outlines that cut it, in the same coordinates.
    pub clips: Vec<Clip>,
}

/// How to find the window that the picture lies in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ParentHint {
    /// Processes that may own the window, the likeliest first.
    pub pids: Vec<u32>,
    /// Its outer rectangle on the screen.
    pub outer: Option<Rect>,
    /// Where the page is in it is known; else the page takes its border at the bottom to be as wide as at the left.
    pub calibrated: bool,
    /// How its title begins, for windows that each show one of the session's; empty if nobody says.
    pub title: String,
}

/// What the windows tell the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowEvent {
    /// Windows can be shown.
    Ready,
    /// There is no display, it lacks something, or it has gone; it is tried again by itself.
    Failed { reason: DisplayFailure, detail: String },
    /// The remote desktop's window has come, or has another size: the size of what it shows the desktop in.
    Bound { width: u32, height: u32 },
    /// The remote desktop's window has gone; it is waited for.
    Unbound,
    /// The player's window is in our hands.
    Adopted { player: u32 },
    /// The player's window has gone, e.g. with the window that it lay in.
    Lost { player: u32 },
}

/// Why no window can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisplayFailure {
    Missing,
    /// An extension that the overlay needs is missing.
    Unsuitable,
    Gone,
}

/// Commands that wait for the windows' thread, at most one placement a player.
#[derive(Debug, Default)]
pub struct WindowQueue {
    commands: std::collections::VecDeque<WindowCommand>,
}

impl WindowQueue {
    /// Adds a command; what it makes pointless is forgotten.
    pub fn push(&mut self, command: WindowCommand) {
        match &command {
            WindowCommand::Place(Placement { player, .. }) | WindowCommand::Hide { player } => {
                self.forget(*player, false);
            }
            WindowCommand::Close { player } => self.forget(*player, true),
            WindowCommand::EngineGone => self.commands.clear(),
            WindowCommand::EngineStarted { .. }
            | WindowCommand::Expect { .. }
            | WindowCommand::Choose { .. }
            | WindowCommand::Reserve { .. } => {}
        }
        self.commands.push_back(command);
    }

    pub fn pop(&mut self) -> Option<WindowCommand> {
        self.commands.pop_front()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    fn forget(&mut self, gone: u32, closed: bool) {
        self.commands.retain(|command| match command {
            WindowCommand::Place(Placement { player, .. }) | WindowCommand::Hide { player } => {
                *player != gone
            }
            WindowCommand::Reserve { player, .. } => !closed || *player != gone,
            WindowCommand::EngineStarted { .. }
            | WindowCommand::EngineGone
            | WindowCommand::Expect { .. }
            | WindowCommand::Choose { .. }
            | WindowCommand::Close { .. } => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(player: u32, x: i32) -> WindowCommand {
        WindowCommand::Place(Placement {
            player,
            parent: ParentHint::default(),
            rect: Rect { x, y: 0, width: 1, height: 1 },
            visible: Vec::new(),
            clips: Vec::new(),
        })
    }

    fn check(pushed: Vec<WindowCommand>, left: &[WindowCommand]) {
        let mut queue = WindowQueue::default();
        for command in pushed {
            queue.push(command);
        }
        let popped: Vec<WindowCommand> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(popped, left);
    }

    #[test]
    fn only_the_newest_place_of_a_player_waits() {
        let expect = WindowCommand::Expect { player: 1 };
        check(
            vec![place(1, 1), expect.clone(), place(2, 1), place(1, 2)],
            &[expect, place(2, 1), place(1, 2)],
        );
    }

    #[test]
    fn closing_keeps_the_expectation_so_that_windows_stay_in_step() {
        let expect = WindowCommand::Expect { player: 1 };
        let close = WindowCommand::Close { player: 1 };
        check(vec![expect.clone(), place(1, 1), close.clone()], &[expect, close]);
    }
}
