//! Windows on X11 (and XWayland): a thread of its own, so that a slow display stops nothing else.
//!
//! The thread connects, reports, and connects again when the display goes away. Every request about
//! somebody else's window can fail because the window has just gone: such failures are events here,
//! never the end of the thread.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use x11rb::connection::Connection as _;

use crate::window::DisplayFailure;
use crate::window::RemoteWindow;
use crate::window::WindowCommand;
use crate::window::WindowEvent;
use crate::window::x11::overlay::Overlay;

pub mod above;
pub mod overlay;
pub mod parent;
pub mod remote;
pub mod taking;

const RETRY: Duration = Duration::from_secs(2);
/// How often a missing parent is looked for and old expectations are dropped.
const TICK: Duration = Duration::from_millis(250);

pub use self::X11Config as Config;
pub(super) use self::above::put_above;

/// What this way of showing pictures is called.
pub const NAME: &str = "x11";

/// How the windows are set up.
#[derive(Debug, Clone, Default)]
pub struct X11Config {
    /// The display's name; `None` means the environment's.
    pub display: Option<String>,
    /// All pictures lie in this window, by the places that the sessions tell: for tests.
    pub fixed_parent: Option<u32>,
    /// All pictures lie in this window, which shows the sessions' screen.
    pub remote: Option<RemoteWindow>,
    /// Each picture lies in the one of these windows that shows its window of the session.
    pub single: Option<RemoteWindow>,
}

/// The display can't be used any more; reported with its reason.
#[derive(Debug)]
pub struct DisplayError {
    pub reason: DisplayFailure,
    pub detail: String,
}

impl From<x11rb::errors::ConnectionError> for DisplayError {
    fn from(error: x11rb::errors::ConnectionError) -> Self {
        Self { reason: DisplayFailure::Gone, detail: error.to_string() }
    }
}

impl From<x11rb::errors::ReplyOrIdError> for DisplayError {
    fn from(error: x11rb::errors::ReplyOrIdError) -> Self {
        Self { reason: DisplayFailure::Gone, detail: error.to_string() }
    }
}

impl From<io::Error> for DisplayError {
    fn from(error: io::Error) -> Self {
        Self { reason: DisplayFailure::Gone, detail: error.to_string() }
    }
}

/// `Ok(None)` when the thing asked about has gone, an error when the display has.
pub(crate) fn gone_is_none<T>(
    reply: Result<T, x11rb::errors::ReplyError>,
) -> Result<Option<T>, DisplayError> {
    match reply {
        Ok(reply) => Ok(Some(reply)),
        Err(x11rb::errors::ReplyError::X11Error(error)) => {
            tracing::trace!(?error, "asked about something that has gone");
            Ok(None)
        }
        Err(x11rb::errors::ReplyError::ConnectionError(error)) => Err(error.into()),
    }
}

/// The thread's work, until nobody sends commands any more.
pub(super) async fn run(
    config: X11Config,
    events: mpsc::Sender<WindowEvent>,
    mut commands: mpsc::Receiver<WindowCommand>,
    drained: Arc<Notify>,
) {
    loop {
        let Err(error) = session(&config, &events, &mut commands, &drained).await else {
            return;
        };
        let failed = WindowEvent::Failed { reason: error.reason, detail: error.detail };
        if events.send(failed).await.is_err() {
            return;
        }
        let pause = tokio::time::sleep(RETRY);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                command = commands.recv() => match command {
                    Some(_unseen) => drained.notify_one(),
                    None => return,
                },
            }
        }
    }
}

/// One connection to the display. `Ok` means that the client has ended.
async fn session(
    config: &X11Config,
    events: &mpsc::Sender<WindowEvent>,
    commands: &mut mpsc::Receiver<WindowCommand>,
    drained: &Notify,
) -> Result<(), DisplayError> {
    let (conn, screen) = x11rb::connect(config.display.as_deref())
        .map_err(|error| DisplayError { reason: DisplayFailure::Missing, detail: error.to_string() })?;
    let mut overlay = Overlay::new(&conn, screen, config)?;
    conn.flush()?;
    // A second descriptor of the display's socket, for nothing but its readiness.
    let readiness = conn.stream().as_fd().try_clone_to_owned()?;
    let readiness = UnixStream::from_std(readiness.into())?;
    if events.send(WindowEvent::Ready).await.is_err() {
        return Ok(());
    }
    overlay.look_for_remote()?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // Replies that were waited for may have brought events with them: first look, then wait.
        while let Some(event) = conn.poll_for_event()? {
            overlay.handle_event(&event)?;
        }
        conn.flush()?;
        for event in overlay.take_events() {
            if events.send(event).await.is_err() {
                return Ok(());
            }
        }
        tokio::select! {
            biased;
            command = commands.recv() => match command {
                Some(command) => {
                    drained.notify_one();
                    overlay.handle_command(command)?;
                }
                None => {
                    overlay.finish()?;
                    conn.flush()?;
                    return Ok(());
                }
            },
            ready = readiness.readable() => {
                ready?;
                // Everything is read above; what comes from now on makes it ready again.
                let nothing_left = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                readiness.try_io(Interest::READABLE, nothing_left).ok();
            }
            _ = tick.tick() => overlay.handle_tick()?,
        }
    }
}
