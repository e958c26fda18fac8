//! How the picture follows a page that scrolls, and what is seen while it comes and goes: a strip of the screen, looked at sixty
//! times a second.
//!
//! Beside the video the page has a marker of the same height. In each frame the picture's edges are compared with the marker's of the
//! same frame and of the frames before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use serde_json::json;

use super::compare::is_picture;
use super::stage::{PATIENCE, Side, Stage};
use crate::xvfb::{Camera, Picture, xdotool};

/// Time from one frame to the next.
const FRAME: Duration = Duration::from_micros(16_667);
/// The marker, in the page's style.
const CSS: &str = "#a::before { content: ''; position: absolute; left: -30px; top: 0; width: 20px; height: 100%; background: #22c } body { height: 4000px }";
/// Columns of the viewport that are looked at: the strip's first, the marker's and the picture's.
const STRIP: usize = 10;
const MARKER: usize = 20;
const PICTURE: usize = 60;
const STRIP_WIDTH: u16 = 60;
/// The video's height.
const HEIGHT: usize = 270;
/// A picture that is where the page was longer ago is in the wrong place: one frame for the way, one for each of three clocks that don't
/// know of each other (the session's screen, the device's, and the camera's).
const MOST_LAG: usize = 4;
/// The page's places are known before the browser has drawn them.
const MOST_AHEAD: usize = 1;
/// How far back and ahead is looked at all.
const LOOK_BACK: usize = 30;
/// How long each way of scrolling is looked at.
const LOOK: Duration = Duration::from_secs(6);
/// How far down the page goes.
const AMPLITUDE: u32 = 210;
/// Ends what a script scrolls.
pub(super) const STOP: &str = "globalThis.scrolling = null; scrollTo(0, 0); 0";
/// As dark as the stand-in or darker.
const DARK: u8 = 60;

/// What was seen while something scrolled.
#[derive(Clone, Debug, Serialize)]
pub struct Scrolled {
    pub how: String,
    pub frames: usize,
    /// Frames in which the page had moved since the one before.
    pub moving: usize,
    pub px_per_frame: f64,
    /// Frames by which the picture is behind the page, or ahead of it, over the moving ones.
    pub lag_frames_p50: usize,
    pub lag_frames_p99: usize,
    pub lag_frames_max: usize,
    /// Moving frames in which the picture is ahead of what the browser has drawn.
    pub ahead_frames: usize,
    /// Frames in which the picture is neither where the page is, was in one of the last four or is in the next one, or is broken.
    pub wrong_place_frames: usize,
    /// Of those, the broken ones: a gap in it, or another height.
    pub broken_frames: usize,
    /// Frames without a picture though the element is in the viewport.
    pub hidden_frames: usize,
    /// The frames in a wrong place that aren't broken: which, where the page's edge is and where the picture's.
    pub wrong_at: Vec<[i64; 3]>,
}

/// What was seen while the picture came or went.
#[derive(Clone, Debug, Serialize)]
pub struct Blinked {
    pub when: String,
    pub frames: usize,
    /// Frames in which the element shows the dark stand-in, or nothing, after it has shown a picture or before.
    pub blink_frames: usize,
}

/// Ways of scrolling: by a script, slowly and fast, by two of which the later one in each frame counts, and by the wheel.
pub fn scrolls(stage: &mut Stage, redirected: bool) -> Result<Vec<Scrolled>> {
    let (side, place) =
        if redirected { (stage.covered.clone(), "redirected") } else { (stage.native.clone(), "native") };
    let mut rows = Vec::new();
    for (how, speeds) in [
        ("script, 3 px a frame", &[3][..]),
        ("script, 12 px a frame", &[12]),
        ("scripts, 3 then 12 px in each frame", &[3, 12]),
    ] {
        show(stage, CSS)?;
        side.page.evaluate(&script(speeds))?;
        let frames = record_for(stage, &side, LOOK)?;
        side.page.evaluate(STOP)?;
        rows.push(judge(&format!("{how}, {place}"), &frames)?);
    }
    show(stage, CSS)?;
    let frames = record_while(stage, &side, |stage| wheel(stage, &side))?;
    rows.push(judge(&format!("wheel, {place}"), &frames)?);
    stage.pointer_away()?;
    Ok(rows)
}

/// Scrolls up and down by this many pixels a frame. Of several speeds each has a loop of its own, which begins when the one before is at work, so
/// that it comes later in the frame; the first when nothing has moved for a while, so that the extension begins to look between them. What
/// scrolled before stops, even if no frame came in between.
pub(super) fn script(speeds: &[u32]) -> String {
    format!(
        "{{ const mine = globalThis.scrolling = {{}}; const begin = (step) => {{ let y = 0; const next = () => {{ if (scrolling !== mine) return; y += step; \
         if (y <= 0 || y >= {AMPLITUDE}) step = -step; scrollTo({{ top: y, behavior: 'instant' }}); requestAnimationFrame(next); }}; next(); }}; \
         {speeds:?}.forEach((speed, i) => setTimeout(begin, 700 + 100 * i, speed)); }} 0"
    )
}

/// A person's wheel over the picture, down and up.
fn wheel(stage: &Stage, side: &Side) -> Result<()> {
    let display = stage.session.display().context("no display")?;
    let [left, top] = side.origin();
    let [x, y] = [left + 200, top + 150].map(|at| at.to_string());
    xdotool(display, &["mousemove", &x, &y])?;
    for button in ["5", "4", "5", "4"] {
        xdotool(display, &["click", "--repeat", "4", "--delay", "90", button])?;
    }
    Ok(())
}

fn show(stage: &Stage, css: &str) -> Result<()> {
    let case = json!({ "css": css, "near": "", "far": "", "script": "" });
    for side in [&stage.covered, &stage.native] {
        side.page.evaluate(&format!("show({case}).then(() => 0)"))?;
    }
    // The picture is where it is before anything moves.
    let end = Instant::now() + PATIENCE;
    while !in_place(&strip(stage.camera(), &stage.covered)?) {
        ensure!(Instant::now() < end, "the picture is not beside the marker");
    }
    Ok(())
}

fn in_place(strip: &Picture) -> bool {
    match (marker(strip), picture(strip)) {
        (Some(marker), Seen::At(at)) => marker == at,
        (Some(_) | None, _) => false,
    }
}

const READ: &str =
    "new OffscreenCanvas(8, 8).getContext('2d').drawImage(document.querySelector('video'), 0, 0)";

/// What happens when the picture comes, goes and comes back.
pub fn blinks(stage: &mut Stage) -> Result<Vec<Blinked>> {
    let mut rows = Vec::new();
    show(stage, CSS)?;
    let covered = stage.covered.clone();
    let placed = |stage: &Stage, wanted: &str| -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while stage.placed()? != wanted || !shows(stage, &covered)? {
            if Instant::now() >= end {
                bail!("the picture does not come to the {wanted}");
            }
        }
        Ok(())
    };
    for (side, how, place) in
        [(stage.native.clone(), "natively", None), (covered.clone(), "on the device", Some("device"))]
    {
        let url = side.page.evaluate("location.href")?;
        let url = url.as_str().context("no address")?.to_owned();
        let frames = record_while(stage, &side, |stage| {
            side.page.navigate("about:blank")?;
            let end = Instant::now() + PATIENCE;
            while marker(&strip(stage.camera(), &side)?).is_some() {
                ensure!(Instant::now() < end, "the page is still seen");
            }
            Ok(())
        })?;
        rows.push(blinked(&format!("a page that plays {how} is left"), &frames));
        // The second time the same page is there before.
        for when in [format!("a page begins {how}"), format!("a page that plays {how} is loaded anew")] {
            let frames = record_while(stage, &side, |stage| {
                side.page.navigate(&url)?;
                side.page
                    .evaluate(&format!("document.getElementById('style').textContent = {}", json!(CSS)))?;
                let end = Instant::now() + PATIENCE;
                while !shows(stage, &side)? {
                    ensure!(Instant::now() < end, "the chart does not play {how}");
                }
                place.map_or(Ok(()), |place| placed(stage, place))
            })?;
            rows.push(blinked(&when, &frames));
        }
    }
    let frames = record_while(stage, &covered, |stage| {
        stage.session.kill_client();
        let end = Instant::now() + PATIENCE;
        while stage.placed()? == "device" || !shows(stage, &covered)? {
            ensure!(Instant::now() < end, "the session does not play");
        }
        Ok(())
    })?;
    rows.push(blinked("the client killed", &frames));
    let frames = record_while(stage, &covered, |stage| {
        stage.session.start_client()?;
        placed(stage, "device")
    })?;
    rows.push(blinked("the client back", &frames));
    // The last: from then on this origin's videos play in the session.
    let frames = record_while(stage, &covered, |stage| {
        covered.page.evaluate(READ)?;
        let end = Instant::now() + PATIENCE;
        while stage.session.status()?["placed"] != 0 || !shows(stage, &covered)? {
            ensure!(Instant::now() < end, "the device still plays");
        }
        Ok(())
    })?;
    rows.push(blinked("the page reads the picture", &frames));
    Ok(rows)
}

fn shows(stage: &Stage, side: &Side) -> Result<bool> {
    Ok(matches!(picture(&strip(stage.camera(), side)?), Seen::At(_)))
}

fn blinked(when: &str, frames: &[Picture]) -> Blinked {
    let dark = |strip: &&Picture| {
        let column = |y: usize| strip.pixel(PICTURE - STRIP, y).unwrap_or([255; 3]);
        marker(strip).is_some_and(|[top, bottom]| {
            (top..bottom).filter(|y| column(*y).iter().all(|channel| *channel <= DARK)).count() * 2
                > bottom - top
        })
    };
    Blinked { when: when.to_owned(), frames: frames.len(), blink_frames: frames.iter().filter(dark).count() }
}

/// Frames of a side's strip for that long.
fn record_for(stage: &mut Stage, side: &Side, time: Duration) -> Result<Vec<Picture>> {
    record_while(stage, side, |_| {
        let began = Instant::now();
        // Parking ends early when the thread was woken before.
        while began.elapsed() < time {
            thread::park_timeout(time.saturating_sub(began.elapsed()));
        }
        Ok(())
    })
}

/// Frames of a side's strip while something is done, and a little longer.
fn record_while(
    stage: &mut Stage,
    side: &Side,
    work: impl FnOnce(&mut Stage) -> Result<()>,
) -> Result<Vec<Picture>> {
    let camera = Camera::new(stage.session.display().context("no display")?)?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let recorder = scope.spawn(|| -> Result<Vec<Picture>> {
            let mut frames = Vec::new();
            let mut next = Instant::now();
            while !done.load(Ordering::Relaxed) {
                frames.push(strip(&camera, side)?);
                next += FRAME;
                let now = Instant::now();
                if next > now {
                    thread::park_timeout(next - now);
                } else {
                    next = now;
                }
            }
            Ok(frames)
        });
        let worked = work(stage);
        done.store(true, Ordering::Relaxed);
        let frames = recorder.join().map_err(|_| anyhow::anyhow!("the recording broke off"))??;
        worked.map(|()| frames)
    })
}

fn strip(camera: &Camera, side: &Side) -> Result<Picture> {
    let [left, top] = side.origin();
    let (x, y) = (i16::try_from(left + STRIP)?, i16::try_from(top)?);
    camera.capture_part(x, y, STRIP_WIDTH, u16::try_from(side.size()[1])?)
}

/// Top and bottom of the marker.
fn marker(strip: &Picture) -> Option<[usize; 2]> {
    let is_marker = |y: &usize| {
        strip.pixel(MARKER - STRIP, *y).is_some_and(|[red, green, blue]| {
            red.abs_diff(0x22) < 8 && green.abs_diff(0x22) < 8 && blue.abs_diff(0xcc) < 8
        })
    };
    let top = (0..strip.height()).find(is_marker)?;
    let bottom = (0..strip.height()).rev().find(is_marker)? + 1;
    Some([top, bottom])
}

/// A picture in a strip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nowhere,
    At([usize; 2]),
    /// With a gap in it.
    Broken,
}

fn picture(strip: &Picture) -> Seen {
    let is_there = |y: &usize| strip.pixel(PICTURE - STRIP, *y).is_some_and(is_picture);
    let Some(top) = (0..strip.height()).find(is_there) else { return Seen::Nowhere };
    let bottom = (0..strip.height()).rev().find(is_there).unwrap_or(top) + 1;
    if (top..bottom).all(|y| is_there(&y)) { Seen::At([top, bottom]) } else { Seen::Broken }
}

/// Where the element's upper edge is, from whichever edge is inside of the viewport; `None` if the box can't be the element's.
fn upper_edge([top, bottom]: [usize; 2], height: usize) -> Option<i64> {
    let (top_edge, tall) = (i64::try_from(top).ok()?, i64::try_from(HEIGHT).ok()?);
    let bottom_edge = i64::try_from(bottom).ok()?;
    match (top > 0, bottom < height) {
        (true, true) => (bottom - top).abs_diff(HEIGHT).le(&1).then_some(top_edge),
        (true, false) => Some(top_edge),
        (false, true) => Some(bottom_edge - tall),
        (false, false) => None,
    }
}

fn judge(how: &str, frames: &[Picture]) -> Result<Scrolled> {
    let height = frames.first().context("no frames")?.height();
    let markers: Vec<Option<i64>> =
        frames.iter().map(|frame| marker(frame).and_then(|at| upper_edge(at, height))).collect();
    let mut lags = Vec::new();
    let mut steps = Vec::new();
    let mut wrong_at = Vec::new();
    let (mut wrong, mut broken, mut hidden, mut ahead_frames) = (0, 0, 0, 0);
    for (index, frame) in frames.iter().enumerate().skip(1) {
        let (Some(now), Some(before)) = (markers[index], markers[index - 1]) else { continue };
        let at = match picture(frame) {
            Seen::Nowhere => {
                hidden += 1;
                continue;
            }
            Seen::At(at) => upper_edge(at, height),
            Seen::Broken => None,
        };
        let Some(at) = at else {
            broken += 1;
            wrong += 1;
            continue;
        };
        // At or between the places of the page in two frames that follow each other.
        let between = |first: usize, second: usize| match (markers.get(first), markers.get(second)) {
            (Some(Some(one)), Some(Some(other))) => (one.min(other) - 1..=one.max(other) + 1).contains(&at),
            (Some(_) | None, _) => false,
        };
        // The page may have been in places that the camera has missed.
        let behind = |back: usize| index >= back && between(index - back, (index + 1 - back).min(index));
        let ahead = |on: usize| {
            // The camera may take the same frame of the page twice.
            let later = markers[index..].iter().flatten().copied();
            let mut places = later.collect::<Vec<i64>>();
            places.dedup();
            places
                .get(on)
                .zip(places.get(on - 1))
                .is_some_and(|(one, other)| (*one.min(other) - 1..=*one.max(other) + 1).contains(&at))
        };
        // The nearest counts; what could be either is behind.
        let distance = (0..LOOK_BACK).find(|frames| behind(*frames) || (*frames > 0 && ahead(*frames)));
        let is_ahead = distance.is_some_and(|frames| !behind(frames));
        let most = if is_ahead { MOST_AHEAD } else { MOST_LAG };
        if distance.is_none_or(|frames| frames > most) {
            wrong += 1;
            wrong_at.push([i64::try_from(index)?, now, at]);
        }
        if now != before {
            steps.push(now.abs_diff(before));
            lags.push(distance.unwrap_or(LOOK_BACK));
            ahead_frames += usize::from(is_ahead);
        }
    }
    ensure!(!lags.is_empty(), "{how}: nothing has moved");
    lags.sort_unstable();
    let at = |share: usize| lags[(lags.len() - 1) * share / 100];
    #[expect(clippy::cast_precision_loss, reason = "a few thousand frames")]
    let px_per_frame = steps.iter().sum::<u64>() as f64 / steps.len() as f64;
    Ok(Scrolled {
        how: how.to_owned(),
        frames: frames.len(),
        moving: lags.len(),
        px_per_frame,
        lag_frames_p50: at(50),
        lag_frames_p99: at(99),
        lag_frames_max: at(100),
        ahead_frames,
        wrong_place_frames: wrong,
        broken_frames: broken,
        hidden_frames: hidden,
        wrong_at,
    })
}
