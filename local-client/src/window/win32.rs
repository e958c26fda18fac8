//! Windows on Windows: a thread of its own, so that a slow desktop stops nothing else.
//!
//! The engine's windows can't lie in another program's, as on X11 they do. They are laid over it instead: owned by it, so that they
//! are stacked, covered and minimised with it; let through by the pointer; cut to what is seen of the picture. Nothing tells of another
//! program's windows without a hook in it, so the desktop is looked at at a pace. From Microsoft's documentation and Chromium's source;
//! it has run under wine, with windows that stand for the engine's, and on no Windows yet.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use offstage_support::win32::window;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

pub use self::above::keep_above;
use self::overlay::Overlay;
use crate::window::RemoteWindow;
use crate::window::WindowCommand;
use crate::window::WindowEvent;

mod above;
mod overlay;
mod parent;
mod remote;

/// What this way of showing pictures is called.
pub const NAME: &str = "win32";

/// Commands that wait for the thread; the client's own queue comes before them.
const QUEUED_COMMANDS: usize = 64;
/// How often the desktop is looked at while an engine runs: two frames of a screen.
const PACE: Duration = Duration::from_millis(33);

/// How the windows are set up.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// All pictures lie over this window, which shows the sessions' screen.
    pub remote: Option<RemoteWindow>,
}

/// Starts the thread. Dropping the sender ends it, and pictures are taken off the screen.
///
/// `drained` is notified when a command has been taken.
pub fn start(
    config: Config,
    events: mpsc::Sender<WindowEvent>,
    drained: Arc<Notify>,
) -> io::Result<(mpsc::Sender<WindowCommand>, thread::JoinHandle<()>)> {
    let (sender, mut commands) = mpsc::channel(QUEUED_COMMANDS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = thread::Builder::new().name("windows".to_owned()).spawn(move || {
        window::physical_pixels();
        runtime.block_on(run(config, &events, &mut commands, &drained));
    })?;
    Ok((sender, thread))
}

async fn run(
    config: Config,
    events: &mpsc::Sender<WindowEvent>,
    commands: &mut mpsc::Receiver<WindowCommand>,
    drained: &Notify,
) {
    let mut overlay = Overlay::new(config.remote);
    if events.send(WindowEvent::Ready).await.is_err() {
        return;
    }
    let mut tick = tokio::time::interval(PACE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for event in overlay.take_events() {
            if events.send(event).await.is_err() {
                return;
            }
        }
        tokio::select! {
            biased;
            command = commands.recv() => match command {
                Some(command) => {
                    drained.notify_one();
                    overlay.handle_command(command, Instant::now());
                }
                None => return overlay.finish(),
            },
            _ = tick.tick() => overlay.handle_tick(Instant::now()),
        }
    }
}
