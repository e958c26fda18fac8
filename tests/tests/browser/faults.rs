//! Playback survives a bad line, a device that is exchanged, and an extension that goes away: the page sees what a native
//! player on a slow network sees, and nothing is left behind.

use std::time::{Duration, Instant};

use offstage_tests::cdp::Page;
use offstage_tests::process::kill_pid;
use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::stage_probe::StageProbe;
use serde_json::{Value, json};

use crate::fidelity::{native_url, repository};

/// How long a part may take to come back on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// A stand-in runs on while the device is not heard of; this is more than the time after which the device counts as dead.
const STILL: f64 = 8.0;
/// How far the position may leap in one look at it, on a machine too busy to look often.
const LEAP: f64 = 1.0;
/// How far it may go back.
const BACK: f64 = 0.25;
/// How long a line takes that is very far, each way.
const FAR: Duration = Duration::from_millis(800);

/// Notes what the page sees: events, how far the position strays, how long it stands still.
const WATCH: &str = "
    globalThis.watch = { ahead: 0, back: 0, still: 0, last: null, moved: performance.now() };
    globalThis.heard = [];
    // Not `durationchange`: a page that ends its stream hears it natively.
    for (const name of ['loadedmetadata', 'play', 'pause', 'seeking', 'seeked', 'ratechange', 'resize', 'ended',
        'error', 'emptied', 'abort', 'volumechange', 'suspend']) video.addEventListener(name, () => heard.push(name));
    setInterval(() => {
        const now = performance.now(), position = video.currentTime, { last } = watch;
        if (last && !video.paused && !video.ended) {
            watch.ahead = Math.max(watch.ahead, (position - last.position) - (now - last.now) / 1000 * video.playbackRate);
            watch.back = Math.max(watch.back, last.position - position);
            watch.still = Math.max(watch.still, (now - watch.moved) / 1000);
        }
        if (!last || position !== last.position) watch.moved = now;
        watch.last = { now, position };
    }, 50);";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Muxed,
    /// All of the clip is buffered, which are thirty appends.
    Whole,
    Demuxed,
    Live,
    File,
    Framed,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Client,
    Bridge,
    Worker,
    Engine,
    Stall,
    Slow,
    Cut,
    Silence,
}

/// A page that plays in a session with a bad line.
struct Play {
    session: Session,
    probe: StageProbe,
    top: Page,
    page: Page,
    kind: Kind,
    _server: Server,
}

impl Play {
    fn start(kind: Kind) -> Self {
        let server = serve();
        let mut session = session();
        let probe = StageProbe::connect(&session).unwrap();
        session.link().unwrap();
        let path = match kind {
            Kind::Muxed => "/?clip=h264&tracks=muxed&ahead=20",
            Kind::Whole => "/?clip=vp9&tracks=muxed&ahead=60",
            Kind::Demuxed | Kind::Framed => "/?clip=vp9&ahead=20",
            Kind::Live => "/pages/faults.html",
            Kind::File => "/pages/faults.html?file=/clips/files/film.mp4",
        };
        let url = match kind {
            Kind::Framed => {
                format!(
                    "{}?frame={}",
                    native_url(&server, "/pages/faults.html"),
                    server.url(path).replace('&', "%26")
                )
            }
            Kind::Muxed | Kind::Whole | Kind::Demuxed | Kind::Live | Kind::File => server.url(path),
        };
        let top = session.open(&url).unwrap();
        let target = match kind {
            Kind::Framed => {
                let found =
                    session.cdp().wait_target(PATIENCE, |t| t.kind == "iframe" && t.url.contains("clip="));
                found.unwrap().id
            }
            Kind::Muxed | Kind::Whole | Kind::Demuxed | Kind::Live | Kind::File => top.target().to_owned(),
        };
        let page = Page::attach(session.cdp(), &target).unwrap();
        let playing = "globalThis.video?.readyState >= 3 && !video.paused && video.currentTime > 0";
        page.wait_until(playing, PATIENCE).unwrap();
        let play = Self { session, probe, top, page, kind, _server: server };
        play.wait_redirected("at first");
        play.page.evaluate(&format!("{WATCH}; globalThis.kept = true; 0")).unwrap();
        play
    }

    /// Something goes wrong, playback goes on; all is well again, and the device plays.
    fn suffers(&mut self, fault: Fault) {
        let when = format!("{:?}, {fault:?}", self.kind);
        self.begin();
        match fault {
            Fault::Client => {
                self.session.kill_client();
                self.wait_in_session(&when);
                self.plays_on(&when);
                self.session.start_client().unwrap();
                self.probe = StageProbe::connect(&self.session).unwrap();
            }
            Fault::Engine => {
                kill_pid(self.session.engine_pid().unwrap());
                self.wait_in_session(&when);
                self.session.refresh_client_ready(PATIENCE).unwrap();
                self.probe = StageProbe::connect(&self.session).unwrap();
            }
            Fault::Bridge => {
                let pids = self.session.bridge_pids();
                self.session.kill_bridge();
                wait(&when, || self.session.bridge_pids().iter().any(|pid| !pids.contains(pid)));
            }
            Fault::Worker => self.session.kill_worker().unwrap(),
            Fault::Stall => {
                self.session.link().unwrap().stall();
                self.wait_in_session(&when);
                self.lasts(Duration::from_secs(10));
                self.session.link().unwrap().go_on();
            }
            Fault::Slow => {
                self.session.link().unwrap().shape(Some(2_000_000), Duration::from_millis(75));
                self.lasts(Duration::from_secs(6));
                self.plays_on(&when);
                self.session.link().unwrap().shape(None, Duration::ZERO);
            }
            Fault::Cut => {
                self.session.link().unwrap().cut();
                self.wait_in_session(&when);
                self.lasts(Duration::from_secs(10));
                self.session.link().unwrap().restore().unwrap();
            }
            Fault::Silence => {
                self.session.link().unwrap().drop_silently();
                self.wait_in_session(&when);
            }
        }
        self.plays_on(&when);
        self.wait_redirected(&when);
        self.plays_on(&when);
        self.check(&when);
    }

    fn begin(&self) {
        if self.kind != Kind::Live {
            // So that the clip lasts.
            let back = "new Promise((done) => { video.addEventListener('seeked', done, { once: true }); video.currentTime = 1; })";
            self.page.evaluate(&format!("{back}.then(() => 0)")).unwrap();
        }
        let clear = "Object.assign(watch, { ahead: 0, back: 0, still: 0, last: null, moved: performance.now() }); heard.length = 0; 0";
        self.page.evaluate(clear).unwrap();
    }

    /// A fault that goes on for so long.
    fn lasts(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            std::thread::park_timeout(end - Instant::now());
        }
    }

    fn wait_in_session(&self, when: &str) {
        wait(when, || self.session.status().is_ok_and(|status| status["redirected"] == 0));
    }

    fn wait_redirected(&self, when: &str) {
        let end = Instant::now() + PATIENCE;
        while self.session.status().is_ok_and(|status| status["redirected"] != 1) {
            assert!(Instant::now() < end, "{when}: not redirected: {}", self.state());
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn plays_on(&self, when: &str) {
        self.page.evaluate("globalThis.from = video.currentTime; 0").unwrap();
        self.page
            .wait_until("video.currentTime > from + 0.7", PATIENCE)
            .unwrap_or_else(|error| panic!("{when}: does not play on: {error:#} {}", self.state()));
    }

    fn check(&self, when: &str) {
        self.sees_nothing(when);
        if self.kind == Kind::Live {
            let held = "live.error === null && video.buffered.length === 1 && video.buffered.end(0) > live.end - 1.1";
            self.page
                .wait_until(held, PATIENCE)
                .unwrap_or_else(|error| panic!("{when}: {error:#} {}", self.state()));
        }
        let frames = "document.querySelectorAll('iframe').length";
        assert_eq!(self.page.evaluate(frames).unwrap(), 0, "{when}: frames are left in the page");
        assert_eq!(self.top.evaluate(frames).unwrap(), u64::from(self.kind == Kind::Framed), "{when}");
        self.probe.wait_players(1).unwrap_or_else(|error| panic!("{when}: {error:#} {}", self.state()));
    }

    /// The page has seen no more than natively.
    fn sees_nothing(&self, when: &str) {
        let seen = self
            .page
            .evaluate(
                "({ ...watch, heard, kept, error: video.error?.message ?? null, live: globalThis.live })",
            )
            .unwrap();
        println!("{when}: {seen}");
        let [ahead, back, still] = ["ahead", "back", "still"].map(|name| seen[name].as_f64().unwrap());
        assert!(ahead <= LEAP && back <= BACK && still <= STILL, "{when}: {seen}");
        assert_eq!((&seen["heard"], &seen["error"]), (&json!([]), &Value::Null), "{when}: {seen}");
    }

    fn state(&self) -> String {
        let page = "JSON.stringify([video.currentTime, video.paused, video.readyState, video.error?.message, globalThis.demo?.error, globalThis.live])";
        format!("page: {:?}, worker: {:?}", self.page.evaluate_unseen(page), self.session.status())
    }
}

fn serve() -> Server {
    let (demo, pages, clips) = (
        repository().join("www/demo"),
        repository().join("tests/tests/pages"),
        repository().join("tests/clips"),
    );
    Server::start(move |request| {
        match request.path.split_once('/').and_then(|(_, path)| path.split_once('/')) {
            Some(("clips", file)) => Response::file(&clips, file),
            Some(("pages", file)) => Response::file(&pages, file),
            Some(_) => Response::not_found(),
            None if request.path == "/" => Response::file(&demo, "index.html"),
            None => Response::file(&demo, &request.path),
        }
    })
    .unwrap()
}

fn session() -> Session {
    let options = SessionOptions {
        sites: Some(vec!["http://127.0.0.1/*".to_owned()]),
        client_args: StageProbe::client_args(),
        faulty_link: true,
        ..SessionOptions::default()
    };
    let session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
    session.wait_connected(PATIENCE).unwrap();
    session
}

fn wait(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn plays_through(kind: Kind, faults: &[Fault]) {
    let mut play = Play::start(kind);
    for fault in faults {
        play.suffers(*fault);
    }
    play.session.close();
}

#[test]
fn one_buffer_survives_a_stalled_line_and_a_killed_client() {
    plays_through(Kind::Muxed, &[Fault::Stall, Fault::Client]);
}

/// One after the other, each would take a round trip: all of them longer than anything waits here.
#[test]
fn kept_appends_come_back_together_over_a_line_that_is_far() {
    let mut play = Play::start(Kind::Whole);
    play.page.wait_until("video.buffered.length === 1 && video.buffered.end(0) > 29", PATIENCE).unwrap();
    play.begin();
    play.page.evaluate("video.pause(); 0").unwrap();
    let line = play.session.link().unwrap();
    line.shape(None, FAR);
    line.hang_up();
    play.wait_in_session("far away");
    play.wait_redirected("far away");
    play.session.close();
}

/// Natively a slow network's seek takes long, and ends.
#[test]
fn a_seek_that_waits_when_the_line_dies_ends_in_the_session() {
    let mut play = Play::start(Kind::Muxed);
    play.begin();
    play.session.link().unwrap().stall();
    let seek = "heard.length = 0; globalThis.waits = false; video.addEventListener('waiting', () => { waits = true; });
        video.addEventListener('playing', () => { waits = false; }); video.currentTime = 27; 0";
    play.page.evaluate(seek).unwrap();
    play.wait_in_session("a seek waits");
    play.page
        .wait_until("heard.includes('seeked') && video.currentTime > 27.5 && !waits", PATIENCE)
        .unwrap_or_else(|error| {
            panic!(
                "{error:#} {} {}",
                play.state(),
                play.page.evaluate("JSON.stringify([heard, waits])").unwrap()
            )
        });
    let heard = play.page.evaluate("heard.filter((name) => name !== 'suspend')").unwrap();
    assert_eq!(heard, json!(["seeking", "seeked"]));
    play.session.close();
}

#[test]
fn two_buffers_survive_a_slow_line_and_a_killed_engine() {
    plays_through(Kind::Demuxed, &[Fault::Slow, Fault::Engine, Fault::Bridge]);
}

#[test]
fn a_live_stream_survives_a_line_that_is_cut_slow_or_silently_dead() {
    plays_through(Kind::Live, &[Fault::Slow, Fault::Silence, Fault::Cut, Fault::Worker]);
}

#[test]
fn a_file_survives_a_cut_line_and_a_killed_worker() {
    plays_through(Kind::File, &[Fault::Cut, Fault::Worker]);
}

#[test]
fn a_frame_of_another_origin_survives_a_stall_and_a_killed_bridge() {
    plays_through(Kind::Framed, &[Fault::Bridge, Fault::Worker, Fault::Silence]);
}

/// The person sits down at another device: the bridge's next connection ends there.
#[test]
fn playback_moves_to_another_device_and_back() {
    let mut play = Play::start(Kind::Demuxed);
    let first = play.session.socket().to_owned();
    let second = play.session.start_other_client().unwrap();
    let other = StageProbe::connect_other(&play.session).unwrap();
    play.begin();
    // One bridge has one channel: a device that is only there changes nothing.
    play.plays_on("both are there");
    other.wait_players(0).unwrap();
    play.probe.wait_players(1).unwrap();
    play.session.link().unwrap().lead_to(&second);
    play.session.link().unwrap().hang_up();
    other.wait_players(1).unwrap();
    play.probe.wait_players(0).unwrap();
    play.session.link().unwrap().lead_to(&first);
    play.session.link().unwrap().hang_up();
    play.probe.wait_players(1).unwrap();
    other.wait_players(0).unwrap();
    play.session.link().unwrap().lead_to(&second);
    play.session.kill_client();
    other.wait_players(1).unwrap();
    play.wait_redirected("the first device is gone");
    play.plays_on("the first device is gone");
    play.probe = other;
    play.check("the second device");
    play.session.close();
}

/// A page whose extension has gone plays on as if there had never been one; a new page has the new extension.
#[test]
fn an_extension_that_is_reloaded_or_disabled_leaves_the_page_playing() {
    let mut play = Play::start(Kind::Live);
    let id = play.session.describe().unwrap()["extension_id"].as_str().unwrap().to_owned();
    let settings = play.session.open("chrome://extensions/").unwrap();
    // An unpacked extension is reloaded for developers only.
    let developer =
        "chrome.developerPrivate.updateProfileConfiguration({ inDeveloperMode: true }).then(() => 0)";
    settings.evaluate(developer).unwrap();
    let url = play.page.evaluate("location.href").unwrap().as_str().unwrap().to_owned();
    for (what, goes, returns) in [
        (
            "reloaded",
            format!("chrome.developerPrivate.reload('{id}', {{ failQuietly: true }}).then(() => 0)"),
            None,
        ),
        (
            "disabled",
            format!("chrome.management.setEnabled('{id}', false).then(() => 0)"),
            Some(format!("chrome.management.setEnabled('{id}', true).then(() => 0)")),
        ),
    ] {
        // The browser itself pauses a silent video that nobody sees.
        play.top.call("Page.bringToFront", json!({})).unwrap();
        play.plays_on(what);
        let clear = "Object.assign(watch, { ahead: 0, back: 0, still: 0, last: null, moved: performance.now() }); heard.length = 0; 0";
        play.page.evaluate(clear).unwrap();
        settings.evaluate(&goes).unwrap_or_else(|error| panic!("{what}: {error:#}"));
        play.probe.wait_players(0).unwrap_or_else(|error| panic!("{what}: {error:#}"));
        play.plays_on(what);
        let appended = play.page.evaluate("live.appends").unwrap();
        play.page
            .wait_until(&format!("live.appends > {appended} + 2 && live.error === null"), PATIENCE)
            .unwrap();
        play.sees_nothing(what);
        if let Some(returns) = returns {
            settings.evaluate(&returns).unwrap();
        }
        play.session.wait_connected(PATIENCE).unwrap();
        play.session.wait_registered(PATIENCE).unwrap();
        let page = play.session.open(&url).unwrap();
        page.wait_until("globalThis.video?.readyState >= 3 && video.currentTime > 0", PATIENCE).unwrap();
        std::mem::replace(&mut play.top, Page::attach(play.session.cdp(), page.target()).unwrap())
            .close()
            .unwrap();
        play.page = page;
        play.wait_redirected(&format!("{what}, a new page"));
        play.page.evaluate(&format!("{WATCH}; globalThis.kept = true; 0")).unwrap();
    }
    play.session.close();
}

/// Wherever a move is when the line breaks again, the player ends on the device.
fn survives_breaks(kind: Kind) {
    let mut play = Play::start(kind);
    for step in 0..9 {
        let when = format!("{kind:?}, breaks again after {} ms", step * 55);
        // Some moves take long enough to be in the middle of sending then; others are at the swap, or beyond; and some pages hear all
        // of it at once, later.
        play.session.link().unwrap().shape((step % 3 == 0).then_some(4_000_000), Duration::ZERO);
        play.begin();
        if step % 3 == 2 {
            play.page.evaluate("setTimeout(() => { const end = performance.now() + 2500; while (performance.now() < end); }, 0); 0").unwrap();
        }
        play.session.link().unwrap().hang_up();
        play.wait_in_session(&when);
        wait(&when, || play.session.status().is_ok_and(|status| status["ready"] == true));
        play.lasts(Duration::from_millis(step * 55));
        play.session.link().unwrap().hang_up();
        // What was redirected before must have heard of it.
        play.lasts(Duration::from_millis(200));
        play.wait_redirected(&when);
        play.plays_on(&when);
        play.check(&when);
    }
    play.session.close();
}

/// The session's own picture would fill a remote desktop's line; standing still it leaves it to the move.
#[test]
fn a_move_that_takes_long_has_the_picture_stand_still_and_the_page_waits() {
    let mut play = Play::start(Kind::Demuxed);
    play.begin();
    play.session.link().unwrap().shape(Some(500_000), Duration::ZERO);
    play.session.link().unwrap().hang_up();
    play.wait_in_session("the line was cut");
    play.page.wait_until("!video.paused && video.readyState >= 3 && watch.still > 0.7", PATIENCE).unwrap();
    let wanted = "[video.playbackRate, video.paused, video.readyState >= 3]";
    assert_eq!(play.page.evaluate(wanted).unwrap(), json!([1, false, true]), "standing still");
    assert_eq!(play.session.status().unwrap()["redirected"], 0, "while it moves");
    play.wait_redirected("a thin line");
    play.plays_on("a thin line");
    // A page that wants another rate meanwhile gets it, and hears so.
    play.begin();
    play.session.link().unwrap().hang_up();
    play.wait_in_session("cut again");
    play.page.wait_until("watch.still > 0.7", PATIENCE).unwrap();
    play.page.evaluate("heard.length = 0; video.playbackRate = 1.25; 0").unwrap();
    play.page.wait_until("heard.length > 0", PATIENCE).unwrap();
    assert_eq!(play.page.evaluate("[video.playbackRate, ...heard]").unwrap(), json!([1.25, "ratechange"]));
    play.wait_redirected("cut again");
    play.plays_on("cut again");
    assert_eq!(play.page.evaluate("[video.playbackRate, ...heard]").unwrap(), json!([1.25, "ratechange"]));
    play.session.close();
}

#[test]
fn a_line_that_breaks_in_the_middle_of_a_move_leaves_the_player_on_the_device() {
    survives_breaks(Kind::Demuxed);
}

#[test]
fn a_line_that_breaks_in_the_middle_of_a_move_leaves_a_file_on_the_device() {
    survives_breaks(Kind::File);
}

/// Media that begin and end in the middle of a segment: a part was removed, and abort() cut another one.
#[test]
fn a_stream_with_cut_segments_moves_to_a_device_that_comes() {
    let (server, mut session) = (serve(), session());
    session.wait_connected(PATIENCE).unwrap();
    session.kill_client();
    wait("the client is gone", || session.status().unwrap()["ready"] == false);
    let page = session.open(&server.url("/pages/blank.html")).unwrap();
    let play = "(async () => {
        const { mime, init, segments } = (await (await fetch('/clips/index.json')).json())['aac.mp4'];
        const bytes = new Uint8Array(await (await fetch('/clips/aac.mp4')).arrayBuffer());
        globalThis.video = document.body.appendChild(document.createElement('video'));
        const source = new MediaSource();
        video.src = URL.createObjectURL(source);
        await new Promise((opened) => { source.onsourceopen = opened; });
        const buffer = source.addSourceBuffer(mime);
        const ends = (begin) => new Promise((ended, failed) => { [buffer.onupdateend, buffer.onerror] = [ended, failed]; begin(); });
        const append = async (start, end) => {
            for (let at = start; at < end; at += 1000) await ends(() => buffer.appendBuffer(bytes.subarray(at, Math.min(at + 1000, end))));
        };
        await append(init.start, init.end);
        await append(segments[0].start, segments[0].end);
        await ends(() => buffer.remove(0, 0.5));
        await append(segments[1].start, segments[1].start + 3000);
        buffer.abort();
        for (const { start, end } of segments.slice(1)) await append(start, end);
        [video.muted, video.currentTime] = [true, 0.7];
        await video.play();
        return [buffer.buffered.length, buffer.buffered.start(0) > 0.4, buffer.buffered.end(0) > 29];
    })()";
    assert_eq!(page.evaluate_within(play, PATIENCE).unwrap(), json!([1, true, true]));
    let before = page.evaluate("[video.buffered.start(0), video.buffered.end(0)]").unwrap();
    session.start_client().unwrap();
    wait("the device has it", || session.status().is_ok_and(|status| status["redirected"] == 1));
    page.wait_until("video.currentTime > 3 && !video.error", PATIENCE).unwrap();
    assert_eq!(page.evaluate("[video.buffered.start(0), video.buffered.end(0)]").unwrap(), before);
    // Back in the session the segments are cut in the same places.
    session.kill_client();
    wait("the client is gone again", || session.status().unwrap()["redirected"] == 0);
    page.wait_until("video.currentTime > 5 && !video.error", PATIENCE).unwrap();
    assert_eq!(page.evaluate("[video.buffered.start(0), video.buffered.end(0)]").unwrap(), before);
    session.close();
}
