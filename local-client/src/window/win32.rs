//! Windows on Windows: a thread of its own, so that a slow desktop stops nothing else.
//!
//! The engine's windows can't lie in another program's, as on X11 they do. They are laid over it instead: owned by it, so that they
//! are stacked, covered and minimised with it; let through by the pointer; cut to what is seen of the picture. Nothing tells of another
//! program's windows without a hook in it, so the desktop is looked at at a pace. From Microsoft's documentation and Chromium's source;
//! it has run under wine, with windows that stand for the engine's, and on no Windows yet.

use std::sync::Arc;
use std::time::Instant;

use offstage_support::win32::window;
use tokio::sync::Notify;
use tokio::sync::mpsc;

pub(super) use self::above::put_above;
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

/// How the windows are set up.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// All pictures lie over this window, which shows the sessions' screen.
    pub remote: Option<RemoteWindow>,
    /// Each picture lies over the one of these windows that shows its window of the session.
    pub single: Option<RemoteWindow>,
}

/// The thread's work, until nobody sends commands any more.
pub(super) async fn run(
    config: Config,
    events: mpsc::Sender<WindowEvent>,
    mut commands: mpsc::Receiver<WindowCommand>,
    drained: Arc<Notify>,
) {
    window::physical_pixels();
    let mut overlay = Overlay::new(config);
    if events.send(WindowEvent::Ready).await.is_err() {
        return;
    }
    let mut looked = Instant::now();
    overlay.handle_tick(looked);
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
            () = tokio::time::sleep_until((looked + overlay.pace()).into()) => {
                looked = Instant::now();
                overlay.handle_tick(looked);
            }
        }
    }
}
