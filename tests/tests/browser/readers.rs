//! What reads a video's pixels or sound gets the real ones, in the session: nothing at first, then the right frame at each read.

use std::time::{Duration, Instant};

use offstage_tests::cdp::Page;
use offstage_tests::server::Server;
use offstage_tests::session::Session;
use serde_json::{Value, json};

use crate::fidelity::{serve, session};
use crate::scene::PATIENCE;

/// How many frames a read may be away from the position at which it was made: natively the clock is ahead of the picture as well,
/// on a busy machine now and then by much more.
const FRAMES_OFF: f64 = 3.5;
const MOST_FRAMES_OFF: f64 = 15.0;

/// A page of an origin of its own whose video plays on the device.
struct Reading<'a> {
    session: &'a Session,
    page: Page,
    _server: Server,
}

impl<'a> Reading<'a> {
    fn start(session: &'a Session) -> Self {
        let server = serve();
        let reading = Self {
            session,
            page: session.open(&server.url("/pages/readers.html")).unwrap(),
            _server: server,
        };
        reading.run("begin('h264 demuxed')");
        reading.wait_redirected(1);
        reading.page.wait_until("video.currentTime > 0.3", PATIENCE).unwrap();
        reading.run("listen()");
        reading
    }

    fn run(&self, script: &str) -> Value {
        self.page.evaluate_within(script, PATIENCE).unwrap()
    }

    fn redirected(&self) -> Value {
        self.session.status().unwrap()["redirected"].clone()
    }

    fn wait_redirected(&self, count: u64) {
        let end = Instant::now() + PATIENCE;
        while self.redirected() != json!(count) {
            assert!(Instant::now() < end, "not {count} players on the device: {:?}", self.session.status());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn quiet(&self, when: &str) {
        // A busy machine's own decoder runs dry now and then; that begins with `waiting`, and what a hidden seek leaves behind doesn't.
        let heard = self.run("heard");
        let mut left: Vec<&str> = heard.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        while let Some(at) = left.iter().position(|name| *name == "waiting") {
            left.remove(at);
            for follows in ["canplay", "playing", "canplaythrough"] {
                if left.get(at) == Some(&follows) {
                    left.remove(at);
                }
            }
        }
        assert!(left.is_empty(), "{when}: the page heard of it: {heard}");
    }

    /// Every answer that was a frame is the one of its position; none is another picture. Gives how many there were.
    fn check_answers(&self, when: &str) -> usize {
        let answers = self.run("reading.answers");
        let mut off = Vec::new();
        for answer in answers.as_array().unwrap() {
            let [before, number, after] = [0, 1, 2].map(|i| answer[i].as_f64());
            assert_ne!(answer[1], "wrong", "{when}: the page has seen the stand-in: {answers}");
            let Some(number) = number else { continue };
            let (from, to) = (before.unwrap() * 30.0, after.unwrap() * 30.0);
            off.push((from - number).max(number - to).max(0.0));
        }
        off.sort_by(f64::total_cmp);
        assert!(off.last().is_none_or(|off| *off < MOST_FRAMES_OFF), "{when}: a wrong frame in {answers}");
        assert!(
            off.get(off.len() / 2).is_none_or(|off| *off < FRAMES_OFF),
            "{when}: wrong frames in {answers}"
        );
        off.len()
    }

    fn close(self) {
        self.page.close().unwrap();
    }
}

#[test]
fn each_reader_of_pixels_gets_nothing_first_and_then_the_frame_of_the_position() {
    let session = session();
    for reader in [
        "drawImage",
        "onscreen",
        "createPattern",
        "webgl",
        "webgl2",
        "webgl2Sub",
        "webgl2Layer",
        "createImageBitmap",
        "VideoFrame",
    ] {
        let reading = Reading::start(&session);
        let first = reading.run(&format!("readers.{reader}()"));
        if reader == "createImageBitmap" {
            assert!(first.is_number(), "{reader}: a promise waits for the frame, it gave {first}");
        } else {
            assert_eq!(first, "nothing", "{reader}: the first read");
        }
        reading.run(&format!("globalThis.reading = readOn('{reader}'); 0"));
        let until = "reading.answers.filter(([, answer]) => typeof answer === 'number').length >= 10";
        reading.page.wait_until(until, PATIENCE).unwrap();
        assert!(reading.check_answers(reader) >= 10);
        assert_eq!(reading.redirected(), 0, "{reader}");
        reading.quiet(reader);
        reading.close();
    }
    session.close();
}

#[test]
fn a_page_that_reads_on_stays_in_the_session_and_returns_when_it_stops() {
    let session = session();
    let reading = Reading::start(&session);
    reading.run("globalThis.reading = readOn('drawImage'); 0");
    reading.wait_redirected(0);
    reading.run("reading.until = video.currentTime + 12; 0");
    while reading.run("video.currentTime < reading.until") == true {
        assert_eq!(reading.redirected(), 0, "it went to the device while it was read");
    }
    assert!(reading.check_answers("reads on") > 60);
    reading.quiet("reads on");
    reading.run("reading.stop()");
    reading.wait_redirected(1);
    reading.quiet("moved back");
    // A second document of this origin: its first read is right.
    let page = session
        .open(&reading.page.evaluate("location.href").unwrap().as_str().unwrap().replace("#", ""))
        .unwrap();
    page.evaluate("begin('vp9 muxed')").unwrap();
    page.wait_until("video.currentTime > 0.3", PATIENCE).unwrap();
    let first = page.evaluate("readers.drawImage()").unwrap();
    assert!(first.is_number(), "the first read of the next video gave {first}");
    session.close();
}

#[test]
fn a_graph_of_sounds_sounds_and_a_captured_stream_shows_the_picture() {
    let session = session();
    let reading = Reading::start(&session);
    reading.run("globalThis.context = new AudioContext(); context.resume()");
    let silent = reading.run("silence(context.createMediaElementSource(video), context)").as_f64().unwrap();
    println!("a graph of sounds was silent for {silent:.0} ms");
    assert!(silent < 3000.0, "silent for {silent} ms");
    assert_eq!(reading.redirected(), 0);
    reading.quiet("sound");
    // The element's next media plays in the session from its beginning.
    reading.run("recorder.open('again').then(() => recorder.fill(0, 4)).then(() => video.play())");
    reading.page.wait_until("video.currentTime > 0.3", PATIENCE).unwrap();
    assert_eq!(reading.redirected(), 0);
    reading.close();

    let reading = Reading::start(&session);
    reading.run(
        "globalThis.second = document.createElement('video'); second.muted = true; second.srcObject = video.captureStream(); second.play();
         globalThis.streamed = () => shown((context) => context.drawImage(second, 0, 0, WIDTH, HEIGHT)); 0",
    );
    reading.page.wait_until("Math.abs(streamed() - video.currentTime * 30) < 10", PATIENCE).unwrap();
    assert_eq!(reading.redirected(), 0);
    reading.quiet("stream");
    session.close();
}
