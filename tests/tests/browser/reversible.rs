//! Playback survives every part: killed at any moment it goes on in the session from the same position; when the part is
//! back it moves to the device again, without a reload and unseen by the page.

use std::path::Path;
use std::time::{Duration, Instant};

use offstage_tests::cdp::Page;
use offstage_tests::frame_number;
use offstage_tests::process::kill_pid;
use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use serde_json::Value;

/// How long a part may take to come back on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Notes how far the position strays from time passing.
const WATCH: &str = "
    globalThis.watch = { ahead: 0, back: 0, last: null };
    const sample = () => {
        const now = performance.now(), position = video.currentTime, { last } = watch;
        if (last && !video.paused && !video.ended) {
            const strayed = (position - last.position) - (now - last.now) / 1000 * video.playbackRate;
            watch.ahead = Math.max(watch.ahead, strayed);
            watch.back = Math.max(watch.back, last.position - position);
        }
        watch.last = { now, position };
        requestAnimationFrame(sample);
    };
    sample();
    globalThis.goTo = (position) => new Promise((done) => {
        watch.last = null;
        video.addEventListener('seeked', () => { watch.last = null; done(); }, { once: true });
        video.currentTime = position;
    });";

/// Draws what the session's own element shows, unseen: a page that reads pixels has its video in the session.
const LOOK: &str = "
    globalThis.ownFrame = () => {
        const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
        const context = canvas.getContext('2d', { willReadFrequently: true });
        context.drawImage(video, 0, 0);
        const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
        return readFrameNumber(data, width, height);
    };";

/// What the page may hear while a part dies or comes back: nothing but time passing.
const QUIET: &str = "['timeupdate', 'progress']";

#[derive(Clone, Copy, Debug)]
enum Part {
    Bridge,
    Engine,
    Client,
    Worker,
}

#[test]
fn killing_each_part_three_times_loses_no_position_and_comes_back() {
    let mut stage = Play::start("clip=h264");
    for cycle in 0..3 {
        for part in [Part::Bridge, Part::Engine, Part::Client, Part::Worker] {
            stage.page.evaluate("goTo(2)").unwrap();
            stage.wait_redirected(&format!("before {part:?}, cycle {cycle}"));
            stage.listen();
            stage.kill(part);
            stage.wait_in_session(&format!("{part:?} killed, cycle {cycle}"));
            stage.plays_on(&format!("{part:?} killed, cycle {cycle}"));
            stage.bring_back(part);
            stage.wait_redirected(&format!("{part:?} back, cycle {cycle}"));
            stage.plays_on(&format!("{part:?} back, cycle {cycle}"));
            stage.check_position(&format!("{part:?}, cycle {cycle}"));
        }
    }
    stage.session.close();
}

#[test]
fn a_paused_video_that_has_ended_its_stream_survives_as_well() {
    let mut stage = Play::start("clip=vp9&tracks=muxed&ahead=60");
    stage.wait_redirected("at first");
    stage
        .page
        .wait_until("video.duration > 30.01 && video.buffered.end(0) === video.duration", PATIENCE)
        .unwrap();
    stage.page.evaluate("video.pause(); goTo(12.34)").unwrap();
    stage.listen();
    let before = stage.page.evaluate("[video.currentTime, video.duration, video.buffered.end(0)]").unwrap();
    stage.kill(Part::Client);
    stage.wait_in_session("killed while paused");
    stage
        .page
        .wait_until_unseen("Math.abs(ownFrame() - Math.floor(video.currentTime * 30 + 1e-3)) <= 1", PATIENCE)
        .unwrap();
    let after = stage.page.evaluate("[video.currentTime, video.duration, video.buffered.end(0)]").unwrap();
    assert_eq!(before, after);
    stage.bring_back(Part::Client);
    // A paused element goes on showing its last picture, below the device's.
    wait("back while paused", || stage.session.status().is_ok_and(|status| status["redirected"] == 1));
    let back = stage.page.evaluate("[video.currentTime, video.duration, video.buffered.end(0)]").unwrap();
    assert_eq!(before, back);
    assert_eq!(stage.heard(), Value::from(Vec::<String>::new()));
    stage.page.evaluate("goTo(28.5).then(() => video.play())").unwrap();
    stage.wait_redirected("plays on to the end");
    stage.page.wait_until("video.ended", PATIENCE).unwrap();
    stage.session.close();
}

#[test]
fn a_page_opened_without_a_client_moves_when_one_comes() {
    let mut stage = Play::start_with("clip=vp9", true);
    stage.wait_in_session("without a client");
    stage.plays_on("without a client");
    stage.listen();
    stage.bring_back(Part::Client);
    stage.wait_redirected("a client has come");
    stage.plays_on("a client has come");
    stage.check_position("a client has come");
    stage.session.close();
}

#[test]
fn a_worker_too_busy_to_answer_gets_the_player_later() {
    let stage = Play::start("clip=h264");
    stage.wait_redirected("at first");
    // The page asks while the worker is at this, and doesn't wait for it.
    let busy =
        "setTimeout(() => { const end = performance.now() + 4000; while (performance.now() < end); }, 0); 0";
    stage.session.evaluate_in_worker(busy).unwrap();
    stage.reload();
    stage.wait_in_session("the worker is busy");
    stage.listen();
    stage.wait_redirected("the worker has time again");
    stage.plays_on("the worker has time again");
    stage.check_position("the worker has time again");
    stage.session.close();
}

/// A page that plays in a session.
struct Play {
    session: Session,
    page: Page,
    url: String,
    _server: Server,
}

impl Play {
    fn start(query: &str) -> Self {
        Self::start_with(query, false)
    }

    fn start_with(query: &str, without_client: bool) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (pages, clips) = (root.join("www/demo"), root.join("tests/clips"));
        let server = Server::start(move |request| match request.path.strip_prefix("/clips/") {
            Some(clip) => Response::file(&clips, clip),
            None if request.path == "/" => Response::file(&pages, "index.html"),
            None => Response::file(&pages, &request.path),
        })
        .unwrap();
        let options =
            SessionOptions { sites: Some(vec!["http://127.0.0.1/*".into()]), ..SessionOptions::default() };
        let mut session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
        session.wait_connected(PATIENCE).unwrap();
        if without_client {
            session.kill_client();
            wait("the client is gone", || session.status().unwrap()["ready"] == false);
        }
        let url = server.url(&format!("/?{query}"));
        let page = session.open(&url).unwrap();
        let play = Self { session, page, url, _server: server };
        play.wait_playing();
        play
    }

    fn reload(&self) {
        self.page.navigate(&self.url).unwrap();
        self.wait_playing();
    }

    fn wait_playing(&self) {
        let reader =
            format!("{{ {}; globalThis.readFrameNumber = readFrameNumber; }}", frame_number::script());
        self.page.evaluate_unseen(&format!("{reader} {LOOK}; 0")).unwrap();
        self.page.evaluate(&format!("{WATCH}; 0")).unwrap();
        self.page
            .wait_until(
                "!demo.error && video.readyState >= 3 && !video.paused && video.currentTime > 0",
                PATIENCE,
            )
            .unwrap();
    }

    fn kill(&mut self, part: Part) {
        match part {
            Part::Bridge => self.session.kill_bridge(),
            Part::Engine => kill_pid(self.session.engine_pid().unwrap()),
            Part::Client => self.session.kill_client(),
            Part::Worker => self.session.kill_worker().unwrap(),
        }
    }

    /// The client is started again by hand; the other parts come back by themselves.
    fn bring_back(&mut self, part: Part) {
        match part {
            Part::Client => self.session.start_client().unwrap(),
            Part::Engine => self.session.refresh_client_ready(PATIENCE).unwrap(),
            Part::Bridge | Part::Worker => {}
        }
    }

    /// The element shows the real picture at its position: the session decodes.
    fn wait_in_session(&self, when: &str) {
        let shown = "(() => { const n = ownFrame(); return n !== null && Math.abs(n / 30 - video.currentTime) < 0.3; })()";
        self.page
            .wait_until_unseen(shown, PATIENCE)
            .unwrap_or_else(|error| panic!("{when}: {error:#} {}", self.state()));
    }

    /// The worker says that the device plays, and the element shows no real picture any more.
    fn wait_redirected(&self, when: &str) {
        wait(when, || self.session.status().is_ok_and(|status| status["redirected"] == 1));
        self.page
            .wait_until_unseen("ownFrame() === null", PATIENCE)
            .unwrap_or_else(|error| panic!("{when}: {error:#} {}", self.state()));
    }

    fn plays_on(&self, when: &str) {
        self.page.evaluate("globalThis.from = video.currentTime; 0").unwrap();
        self.page
            .wait_until("video.currentTime > from + 0.7", PATIENCE)
            .unwrap_or_else(|error| panic!("{when}: does not play on: {error:#} {}", self.state()));
    }

    /// From here on every event of the element is written down.
    fn listen(&self) {
        let listen = format!(
            "watch.ahead = watch.back = 0; globalThis.heard = [];
            if (!globalThis.listening) {{
                globalThis.listening = true;
                for (const name of ['durationchange', 'loadedmetadata', 'loadeddata', 'canplay', 'canplaythrough', 'play', 'playing',
                    'pause', 'waiting', 'seeking', 'seeked', 'ratechange', 'resize', 'ended', 'error', 'emptied', 'stalled',
                    'volumechange', 'suspend', 'abort', 'timeupdate', 'progress']) {{
                    video.addEventListener(name, () => {QUIET}.includes(name) || heard.push(name));
                }}
            }} 0"
        );
        self.page.evaluate(&listen).unwrap();
    }

    fn heard(&self) -> Value {
        self.page.evaluate("heard").unwrap()
    }

    fn check_position(&self, when: &str) {
        let strayed = self.page.evaluate("[watch.ahead, watch.back]").unwrap();
        let [ahead, back] = [0, 1].map(|i| strayed[i].as_f64().unwrap());
        assert!(ahead <= 0.5 && back <= 0.5, "{when}: the position jumped {ahead} s ahead, {back} s back");
        assert_eq!(self.heard(), Value::from(Vec::<String>::new()), "{when}: the page heard of it");
    }

    fn state(&self) -> String {
        let page = self.page.evaluate_unseen("JSON.stringify([video.currentTime, video.paused, video.readyState, video.error?.message, ownFrame()])");
        format!("page: {page:?}, worker: {:?}", self.session.status())
    }
}

fn wait(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
