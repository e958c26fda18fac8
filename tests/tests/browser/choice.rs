//! A player that does badly on the device goes back to the session, says why, stays there for a while, and is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use offstage_tests::cdp::Page;
use offstage_tests::process::{descendants_with, freeze_pid};
use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use serde_json::Value;

use crate::fidelity::repository;

/// How long a part may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The shortest time for which a player stays in the session (ext-core/src/choice.rs), less what a look at it may be late.
const REST: Duration = Duration::from_secs(58);

struct Play {
    session: Session,
    page: Page,
    _server: Server,
}

impl Play {
    fn start(query: &str) -> Self {
        let (pages, clips) = (repository().join("tests/tests/pages"), repository().join("tests/clips"));
        let server = Server::start(move |request| match request.path.strip_prefix("/clips/") {
            Some(clip) => Response::file(&clips, clip),
            None => Response::file(&pages, request.path.strip_prefix("/pages/").unwrap_or_default()),
        })
        .unwrap();
        let options = SessionOptions {
            sites: Some(vec!["http://127.0.0.1/*".to_owned()]),
            faulty_link: true,
            ..SessionOptions::default()
        };
        let session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
        session.wait_connected(PATIENCE).unwrap();
        let page = session.open(&server.url(&format!("/pages/faults.html{query}"))).unwrap();
        let play = Self { session, page, _server: server };
        play.wait("it plays on the device", PATIENCE, |status| status["redirected"] == 1);
        play.plays_on(1.0);
        play
    }

    fn wait(&self, what: &str, time: Duration, is_so: impl Fn(&Value) -> bool) {
        let end = Instant::now() + time;
        loop {
            let status = self.session.status().unwrap();
            if is_so(&status) {
                return;
            }
            assert!(Instant::now() < end, "not in time: {what}: {status}");
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    fn plays_on(&self, seconds: f64) {
        self.page.evaluate("globalThis.from = video.currentTime; 0").unwrap();
        let played =
            format!("live.error !== null || video.error !== null || video.currentTime > from + {seconds}");
        self.page.wait_until(&played, PATIENCE).unwrap();
        assert_eq!(self.page.evaluate("live.error ?? video.error?.message ?? null").unwrap(), Value::Null);
    }

    fn title(&self) -> String {
        let script = "chrome.tabs.query({}).then((tabs) => chrome.action.getTitle({ tabId: tabs.find((tab) => tab.url.includes('faults')).id }))";
        self.session.evaluate_in_worker(script).unwrap().as_str().unwrap_or_default().to_owned()
    }

    /// Goes back for that reason and says so, to the status and to the person.
    fn goes_back(&self, code: &str, sentence: &str) -> Instant {
        self.wait(code, PATIENCE, |status| status["redirected"] == 0);
        let began = Instant::now();
        let status = self.session.status().unwrap();
        let reason = &status["in_session"][0];
        assert_eq!(
            (reason["code"].as_str(), reason["sentence"].as_str()),
            (Some(code), Some(sentence)),
            "{status}"
        );
        assert!(status["ready"] == true, "the device itself is there: {status}");
        let title = self.title();
        assert!(title.contains(sentence) && title.contains(code), "{title}");
        began
    }

    /// All is well again, but the player rests first; then it is tried again, and stays.
    fn rests_and_returns(&self, began: Instant) {
        self.plays_on(2.0);
        self.wait("it is tried again", REST + PATIENCE, |status| status["redirected"] == 1);
        assert!(began.elapsed() >= REST, "it came back after {:?}", began.elapsed());
        for _ in 0..10 {
            self.plays_on(1.0);
            let status = self.session.status().unwrap();
            assert_eq!(status["redirected"], 1, "{status}");
        }
        assert_eq!(self.title(), "Offstage: Video plays on your device.");
    }
}

/// Gives the engine only a part of the time, as a weak device does.
struct Weak {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Weak {
    /// Of each `of`, the engine's processes stand still for `still`.
    fn begin(session: &Session, still: Duration, of: Duration) -> Self {
        let engine = session.engine_pid().unwrap();
        let pids: Vec<u32> = ["--type=renderer", "--type=gpu-process"]
            .iter()
            .flat_map(|kind| descendants_with(engine, kind))
            .collect();
        assert!(pids.len() >= 2, "the engine has its processes: {pids:?}");
        let over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                pids.iter().for_each(|pid| freeze_pid(*pid, true));
                std::thread::park_timeout(still);
                pids.iter().for_each(|pid| freeze_pid(*pid, false));
                std::thread::park_timeout(of - still);
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Weak {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

#[test]
fn a_link_below_the_streams_rate_gives_the_player_to_the_session() {
    let mut play = Play::start("?rate=2");
    // Far, and not much more than the stream needs: nothing happens.
    play.session.link().unwrap().shape(Some(1_500_000), Duration::from_millis(20));
    for _ in 0..10 {
        play.plays_on(2.0);
        let status = play.session.status().unwrap();
        assert_eq!(status["redirected"], 1, "{status}");
    }
    play.session.link().unwrap().shape(Some(200_000), Duration::from_millis(20));
    play.goes_back("OFS-1322", "The connection to your device is too slow for this video.");
    play.session.link().unwrap().shape(None, Duration::ZERO);
    // The minute of its rest, the same for all reasons, is waited for in the next test.
    play.plays_on(2.0);
    assert_eq!(play.session.status().unwrap()["redirected"], 0);
    play.session.close();
}

#[test]
fn a_device_that_drops_pictures_gives_the_player_to_the_session_for_a_while() {
    // Without sound: where there is no sound device, the clock of sound would stand still with the engine.
    let play = Play::start("?clip=h264.mp4");
    let weak = Weak::begin(&play.session, Duration::from_millis(200), Duration::from_millis(260));
    let began = play.goes_back("OFS-1321", "Your device drops too many pictures of this video.");
    drop(weak);
    play.rests_and_returns(began);
    play.session.close();
}
