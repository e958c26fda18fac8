//! The browser's windows on the session's screen, and what lies over them.
//!
//! A desktop is looked at only while the extension asks for it, on a thread of its own, so that a slow display stops nothing else.
//! News is what differs from the last look; of several that nobody has taken the newest counts.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use offstage_protocol::Span;
use offstage_protocol::message::Rect;
use offstage_protocol::message::SessionWindows;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep_until;

#[cfg(windows)]
pub mod win32;
#[cfg(unix)]
pub mod x11;

/// The shortest time between two looks: a screen shows no more than one in it.
pub const PACE: Duration = Duration::from_millis(16);
/// How long a desktop that could not be looked at is left alone.
const RETRY: Duration = Duration::from_secs(2);
/// How long a display may take to answer before it counts as none.
const OPEN_LIMIT: Duration = Duration::from_millis(500);
/// Most windows of the browser that are told.
pub const MOST_WINDOWS: usize = 64;
/// Most bytes of a title.
pub const MOST_TITLE: usize = 256;
/// Most rectangles that cover one of them.
pub const MOST_COVERED: usize = 256;

/// Why a desktop can't be looked at.
#[derive(Debug, thiserror::Error)]
pub enum DesktopError {
    #[error("no display: {0}")]
    Missing(String),
    #[error("the display lacks {0}")]
    Unsuitable(&'static str),
    #[error("the display has gone: {0}")]
    Gone(String),
}

/// What shows the session's windows.
pub trait Desktop: Sized {
    /// For the windows of the process `browser`.
    fn open(browser: u32) -> Result<Self, DesktopError>;

    /// What is there now; `seq` is the caller's.
    fn look(&mut self) -> Result<SessionWindows, DesktopError>;

    /// Waits until something may differ from the last look.
    fn changed(&mut self) -> impl Future<Output = Result<(), DesktopError>>;
}

#[cfg(unix)]
type OwnDesktop = x11::X11;
#[cfg(windows)]
type OwnDesktop = win32::Win32;

/// Whether this session has a desktop that can be looked at.
#[must_use]
pub fn is_there(browser: u32) -> bool {
    let (sender, answer) = mpsc::sync_channel(1);
    let asked = thread::Builder::new().name("display".to_owned()).spawn(move || {
        let opened = OwnDesktop::open(browser).map(drop);
        // Nobody waits for an answer that is too late.
        sender.send(opened).ok();
    });
    match asked.ok().and_then(|_thread| answer.recv_timeout(OPEN_LIMIT).ok()) {
        Some(Ok(())) => true,
        Some(Err(error)) => {
            tracing::debug!(%error, "windows can't be watched");
            false
        }
        None => {
            tracing::debug!("the display doesn't answer");
            false
        }
    }
}

/// A running watch; it ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    news: watch::Receiver<Option<SessionWindows>>,
}

impl Watch {
    pub fn start(browser: u32) -> io::Result<Self> {
        let (sender, news) = watch::channel(None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("windows".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = sender.closed() => {}
                    () = keep_looking::<OwnDesktop>(browser, &sender) => {}
                }
            });
        })?;
        Ok(Self { news })
    }

    /// The newest state that was not taken yet.
    pub async fn next(&mut self) -> SessionWindows {
        loop {
            if self.news.changed().await.is_err() {
                // The thread has ended by itself; there is nothing to wait for.
                std::future::pending::<()>().await;
            }
            if let Some(windows) = self.news.borrow_and_update().clone() {
                return windows;
            }
        }
    }
}

/// [`Watch::next`] where there may be none.
pub async fn next_of(watch: &mut Option<Watch>) -> SessionWindows {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

async fn keep_looking<D: Desktop>(browser: u32, news: &watch::Sender<Option<SessionWindows>>) {
    loop {
        let Err(error) = look_until_it_fails::<D>(browser, news).await;
        tracing::debug!(%error, "windows are not watched");
        // Nobody knows where they are now: nothing is shown of what lies in them.
        news.send_replace(Some(SessionWindows::default()));
        sleep_until(Instant::now() + RETRY).await;
    }
}

async fn look_until_it_fails<D: Desktop>(
    browser: u32,
    news: &watch::Sender<Option<SessionWindows>>,
) -> Result<std::convert::Infallible, DesktopError> {
    let mut desktop = D::open(browser)?;
    loop {
        let next = Instant::now() + PACE;
        let windows = desktop.look()?;
        news.send_if_modified(|known| {
            let differs = known.as_ref() != Some(&windows);
            if differs {
                *known = Some(windows);
            }
            differs
        });
        desktop.changed().await?;
        sleep_until(next).await;
    }
}

/// The parts of `window` that lie below `above`; all of it if they are too many to tell.
#[must_use]
pub fn covered(window: &Rect, above: impl IntoIterator<Item = Rect>) -> Vec<Rect> {
    let mut parts: Vec<Rect> = Vec::new();
    for part in above.into_iter().filter_map(|rect| common(window, &rect)) {
        if !parts.contains(&part) {
            parts.push(part);
        }
        if parts.len() > MOST_COVERED {
            return vec![*window];
        }
    }
    parts
}

/// What two rectangles share.
fn common(a: &Rect, b: &Rect) -> Option<Rect> {
    Span::of(a).common(&Span::of(b))?.rect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use offstage_protocol::message::SessionWindow;
    use proptest::prelude::any;
    use proptest::proptest;

    use super::*;

    fn rect(x: i32, y: i32, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    #[test]
    fn what_lies_over_a_window_is_cut_to_it_and_told_once() {
        let window = rect(100, 100, 200, 100);
        let above =
            [rect(0, 0, 50, 50), rect(250, 50, 100, 100), rect(250, 90, 900, 60), rect(300, 0, 9, 999)];
        assert_eq!(covered(&window, above), [rect(250, 100, 50, 50)]);
    }

    #[test]
    fn a_window_below_too_many_counts_as_covered_whole() {
        let window = rect(0, 0, 1000, 10);
        assert_eq!(covered(&window, (0..257).map(|x| rect(x * 2, 0, 1, 10))), [window]);
    }

    /// A desktop whose windows are the script's, one look after the other.
    struct Scripted;

    static SCRIPT: Mutex<Vec<u32>> = Mutex::new(Vec::new());

    impl Desktop for Scripted {
        fn open(_browser: u32) -> Result<Self, DesktopError> {
            Ok(Self)
        }

        fn look(&mut self) -> Result<SessionWindows, DesktopError> {
            let windows = SCRIPT.lock().unwrap().pop().ok_or(DesktopError::Unsuitable("patience"))?;
            let window = SessionWindow { shown: windows > 0, ..SessionWindow::default() };
            Ok(SessionWindows { windows: vec![window], ..SessionWindows::default() })
        }

        async fn changed(&mut self) -> Result<(), DesktopError> {
            Ok(())
        }
    }

    #[test]
    fn only_what_differs_is_news_and_looks_keep_their_distance() {
        *SCRIPT.lock().unwrap() = vec![1, 0, 0, 0];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (sender, mut news) = watch::channel(None::<SessionWindows>);
        let began = Instant::now();
        runtime.block_on(async {
            let seen = async {
                let mut seen = Vec::new();
                while seen.last() != Some(&0) {
                    news.changed().await.unwrap();
                    let windows = news.borrow_and_update().clone().unwrap().windows;
                    seen.push(windows.iter().filter(|window| window.shown).count() + windows.len());
                }
                seen
            };
            tokio::select! {
                seen = seen => assert_eq!(seen, [1, 2, 0], "hidden, shown, unknown"),
                () = keep_looking::<Scripted>(7, &sender) => {}
            }
        });
        assert!(began.elapsed() >= 4 * PACE);
    }

    proptest! {
        #[test]
        fn any_rectangles_are_cut_without_overflow(numbers in proptest::collection::vec((any::<i32>(), any::<i32>(), any::<u32>(), any::<u32>()), 2..9)) {
            let rects: Vec<Rect> = numbers.into_iter().map(|(x, y, width, height)| rect(x, y, width, height)).collect();
            for part in covered(&rects[0], rects[1..].iter().copied()) {
                proptest::prop_assert_eq!(common(&rects[0], &part), Some(part));
            }
        }
    }
}
