//! The picture is the one that the page's position says: frame numbers read in the stage against the page's currentTime.

use offstage_tests::cdp::Page;
use offstage_tests::frame_number;
use offstage_tests::stage_probe::StageProbe;
use serde_json::Value;

use crate::scene::{PATIENCE, Scene};

/// Frames in a second of the clips.
const RATE: f64 = 30.0;

/// Ticks of a second in which the clips' files give a frame's time: WebM's are milliseconds, so that a frame may begin a third of one
/// before its thirtieth of a second.
const MATROSKA: f64 = 1000.0;
const MP4: f64 = 15360.0;

/// Times are told in microseconds, in seconds.
const MICROSECOND: f64 = 1e-6;

/// How far picture and position may be apart, in milliseconds, at the 99th percentile. Of the media's own time, or of the wall clock
/// where the media runs faster: what a person hears before it is seen is time on their own clock, and a display that refreshes 60
/// times a second shows a frame up to 33 ms of media late at rate 2, however right the clock is.
const LIMIT_MS: f64 = 40.0;

/// How long after a command, and after a stop of the machine, the two clocks may take to come together: the page learns that the
/// device plays from its first reports, some hundred milliseconds after it does.
const SETTLE_MS: f64 = 1000.0;

/// How often a stretch is measured before it counts as wrong.
const MEASUREMENTS: usize = 3;

/// A side that gives no sign for so long was stopped.
const STOP_MS: f64 = 120.0;

/// An engine whose own position moves by so much more or less than the time that has passed was stopped.
const STUMBLE_MS: f64 = 30.0;

/// Milliseconds since the epoch, finer than `Date.now()`: where that one steps is found by waiting for it.
const CLOCK: &str = "
  const now = (() => {
    const before = Date.now();
    let step, at;
    do { step = Date.now(); at = performance.now(); } while (step === before);
    return () => performance.now() + step - at;
  })();";

/// Writes down each frame that the stage presents: when it is seen, its number, and the element's own position then.
const FRAMES: &str = "
  const video = document.querySelector('video');
  const canvas = new OffscreenCanvas(video.videoWidth, Math.ceil(video.videoWidth / 40 * 3));
  const context = canvas.getContext('2d', { willReadFrequently: true });
  globalThis.readNumber = () => {
    context.drawImage(video, 0, 0);
    const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
    return readFrameNumber(data, width, height);
  };
  globalThis.samples = [];
  const look = (_, { expectedDisplayTime }) => {
    samples.push([now() + expectedDisplayTime - performance.now(), readNumber(), now(), video.currentTime]);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);";

/// Writes down where the page is.
const POSITIONS: &str = "
  globalThis.samples = [];
  setInterval(() => samples.push([now(), video.currentTime]), 10);";

struct Ruler {
    scene: Scene,
    stage: Page,
    what: &'static str,
}

impl Ruler {
    fn start(what: &'static str) -> Self {
        let scene = Scene::open(what);
        let stage = StageProbe::connect(&scene.session).unwrap().player().unwrap();
        let number = frame_number::script();
        let reader =
            format!("{{ {number} {CLOCK} globalThis.readFrameNumber = readFrameNumber; {FRAMES} }} 0");
        stage.evaluate(&reader).unwrap();
        scene.page.evaluate(&format!("{{ {CLOCK} {POSITIONS} }} 0")).unwrap();
        Self { scene, stage, what }
    }

    /// Does `script` in the page, then compares picture and position for `seconds` of the wall clock at the page's `rate`.
    fn watch(&self, script: &str, rate: f64, seconds: f64) -> Comparison {
        self.stage.evaluate("samples.length = 0").unwrap();
        let wait = SETTLE_MS + seconds * 1000.0;
        let script = format!("{script}; samples.length = 0; new Promise((done) => setTimeout(done, {wait}))");
        self.scene.page.evaluate_within(&script, PATIENCE).unwrap();
        let positions = rows(&self.scene.page.evaluate("samples").unwrap());
        let frames = rows(&self.stage.evaluate("samples").unwrap());
        Comparison { off_ms: compare(&frames, &positions, rate), frames: frames.len() }
    }

    /// Judges stretches of play together. A machine that is busy elsewhere spoils a measurement, a clock that is wrong spoils
    /// each: so a failed one is made again, and only [`MEASUREMENTS`] that all fail are a failure.
    fn check(&self, when: &str, measure: impl Fn() -> Vec<Comparison>) {
        let mut told = Vec::new();
        for _ in 0..MEASUREMENTS {
            let stretches = measure();
            let frames: usize = stretches.iter().map(|stretch| stretch.frames).sum();
            let mut off_ms: Vec<f64> = stretches.into_iter().flat_map(|stretch| stretch.off_ms).collect();
            off_ms.sort_by(f64::total_cmp);
            let (p50, p99, counted) = (percentile(&off_ms, 50), percentile(&off_ms, 99), off_ms.len());
            let figures = format!("{counted} of {frames} frames, p50 {p50:.1} ms, p99 {p99:.1} ms");
            println!("{} {when}: {figures}", self.what);
            if counted * 3 > frames && p99 <= LIMIT_MS {
                return;
            }
            told.push(figures);
        }
        panic!(
            "{} {when}: picture and position are too far apart, or too few could be compared: {told:?}",
            self.what
        );
    }

    /// Waits until the stage shows exactly the frame of the page's position.
    fn check_still(&self) {
        let position = self.scene.page.evaluate("video.currentTime").unwrap().as_f64().unwrap();
        let wanted = frame_at(position, if self.what.contains("vp9") { MATROSKA } else { MP4 });
        if let Err(error) = self.stage.wait_until(&format!("readNumber() === {wanted}"), PATIENCE) {
            let state = "(({ currentTime, paused, seeking }) => [currentTime, paused, seeking])";
            let page = self.scene.page.evaluate(&format!("{state}(video)")).unwrap();
            let device = format!("[readNumber(), ...{state}(document.querySelector('video'))]");
            let device = self.stage.evaluate(&device).unwrap();
            panic!(
                "{}: the page is in frame {wanted}, {page}; the device shows {device}: {error}",
                self.what
            );
        }
    }
}

/// One stretch of play.
struct Comparison {
    off_ms: Vec<f64>,
    /// How many frames were presented, whether they could be judged or not.
    frames: usize,
}

/// How far picture and position are apart at each frame that can be judged, in milliseconds without sign.
///
/// A machine that is busy elsewhere stops the engine or the page for a while. The clocks come together again afterwards, so what
/// follows such a stop within [`SETTLE_MS`] is left out, like what follows a command.
fn compare(frames: &[Vec<f64>], positions: &[Vec<f64>], rate: f64) -> Vec<f64> {
    let mut from = positions.first().map_or(f64::MAX, |row| row[0]) + SETTLE_MS;
    let mut stops: Vec<f64> =
        positions.windows(2).filter(|two| two[1][0] - two[0][0] > STOP_MS).map(|two| two[1][0]).collect();
    for two in frames.windows(2) {
        let (passed, moved) = (two[1][2] - two[0][2], 1000.0 * (two[1][3] - two[0][3]));
        if passed > STOP_MS || (moved - passed * rate).abs() > STUMBLE_MS {
            stops.push(two[1][2]);
        }
    }
    stops.sort_by(f64::total_cmp);
    let mut stops = stops.into_iter().peekable();
    let mut counted = Vec::new();
    for row in frames {
        while let Some(stop) = stops.next_if(|stop| *stop <= row[0]) {
            from = from.max(stop + SETTLE_MS);
        }
        if row[0] >= from
            && let Some(position) = position_at(positions, row[0])
        {
            counted.push(off_by_ms(row[1], position).abs() / rate.max(1.0));
        }
    }
    counted.sort_by(f64::total_cmp);
    counted
}

/// The position at a moment between two that were written down.
fn position_at(positions: &[Vec<f64>], at: f64) -> Option<f64> {
    let next = positions.partition_point(|row| row[0] < at);
    let (before, after) = (positions.get(next.checked_sub(1)?)?, positions.get(next)?);
    Some(before[1] + (after[1] - before[1]) * (at - before[0]) / (after[0] - before[0]))
}

/// The frame that a player shows at `position`: the last whose own time, in ticks of the file, is not after it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "frames of a clip"
)]
fn frame_at(position: f64, ticks_per_second: f64) -> u64 {
    let after = (position * RATE) as u64 + 2;
    let begins = |frame: u64| (frame as f64 / RATE * ticks_per_second).round() / ticks_per_second;
    (0..after).rev().find(|frame| begins(*frame) <= position + MICROSECOND).unwrap_or(0)
}

/// How far `position` is from the stretch in which a player shows `frame`: from its own time to the next frame's.
fn off_by_ms(frame: f64, position: f64) -> f64 {
    let (from, to) = (frame / RATE, (frame + 1.0) / RATE);
    1000.0
        * if position < from {
            position - from
        } else if position > to {
            position - to
        } else {
            0.0
        }
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::INFINITY)
}

fn rows(samples: &Value) -> Vec<Vec<f64>> {
    let rows = samples.as_array().unwrap();
    rows.iter()
        .map(|row| row.as_array().unwrap().iter().filter_map(Value::as_f64).collect::<Vec<f64>>())
        .filter(|row| row.len() == rows[0].as_array().unwrap().len())
        .collect()
}

fn check(query: &'static str, seconds: f64) {
    let ruler = Ruler::start(query);
    let from_start = "video.currentTime = 0.5; video.play()";
    ruler.check("in play", || vec![ruler.watch(from_start, 1.0, seconds)]);
    let seek = |position: f64| ruler.watch(&format!("video.currentTime = {position}"), 1.0, 2.0);
    ruler.check("after seeks", || [24.01, 5.02, 27.0, 2.0].map(seek).into());
    let run = |rate: f64| ruler.watch(&format!("video.playbackRate = {rate}"), rate, 2.5);
    ruler.check("at other rates", || {
        ruler.scene.run("video.currentTime = 4");
        [0.5, 1.5, 2.0, 1.0].map(run).into()
    });
    ruler.scene.run("video.pause()");
    ruler.check_still();
    for position in [3.21, 25.55, 11.0] {
        ruler.scene.run(&format!("video.currentTime = {position}"));
        ruler.check_still();
    }
    ruler.check("after a pause", || {
        ruler.scene.run("video.pause()");
        vec![ruler.watch("video.play()", 1.0, 2.0)]
    });
    ruler.scene.session.close();
}

#[test]
fn h264_in_two_tracks_shows_the_frame_of_the_pages_position() {
    check("clip=h264&tracks=demuxed", 20.0);
}

#[test]
fn vp9_in_one_stream_shows_the_frame_of_the_pages_position() {
    check("clip=vp9&tracks=muxed", 8.0);
}
