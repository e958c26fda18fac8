//! One run of the demo's page, watched from outside: what the screen shows against what the page says.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use offstage_tests::cdp::Page;
use offstage_tests::frame_number;
use offstage_tests::process::cpu_seconds_of_tree;
use offstage_tests::session::{Installation, Session};
use offstage_tests::xvfb::{Camera, Picture, xdotool};
use serde_json::Value;

use super::{SCREEN, session_options};

/// Frames in a second of the clips.
pub(super) const RATE: u16 = 30;

/// How far a channel of the border's colour may be off after compression.
pub(super) const TOLERANCE: u8 = 40;

/// How far the page is scrolled to see whether the picture follows, in CSS pixels.
const SCROLL: u32 = 60;

/// What was seen in one run.
#[derive(Debug)]
pub(super) struct Run {
    /// From the player's start to the first frame on the screen.
    pub(super) first_frame_ms: f64,
    /// CPU seconds of the session's browser in the second half of the run.
    pub(super) cpu_seconds: f64,
    /// How far the frame on the screen was from the page's position, in milliseconds, sorted.
    pub(super) drift_ms: Vec<f64>,
    /// Where the picture was on the screen: left, top, right, bottom; before and after scrolling.
    pub(super) places: [[usize; 4]; 2],
    /// Whether the frame on the screen is missing from what the session's browser itself has drawn.
    pub(super) is_redirected: bool,
    /// What the extension's worker said at the end; null without the extension.
    pub(super) status: Value,
    /// The session's browser, as it names itself.
    pub(super) browser: String,
    /// The whole screen.
    pub(super) screenshot: Picture,
}

/// Plays the page at `url` for `seconds`.
pub(super) fn run(installation: &Installation, url: &str, redirect: bool, seconds: u64) -> Result<Run> {
    let mut session = Session::start(installation, session_options(redirect, Some(SCREEN)))?;
    let camera = session.screen().context("the session has no screen")?.camera()?;
    if redirect {
        session.wait_connected(Duration::from_secs(60))?;
    }
    // Out of the way: over the video it would call up the page's controls.
    let corner = [SCREEN.0 - 1, SCREEN.1 - 1].map(|at| at.to_string());
    xdotool(session.display().unwrap_or_default(), &["mousemove", &corner[0], &corner[1]])?;
    let page = session.first_page()?;
    page.navigate(url)?;
    let strip = Strip::of(&page)?;
    let first_frame_ms = first_frame(&page, &camera, &strip)?;

    // Being watched costs the browser more than playing does: CPU is counted in the half in which nobody looks.
    let half = Duration::from_secs(seconds) / 2;
    let mut drift_ms = watch(&page, &camera, &strip, half)?;
    let browser = session.browser().pid();
    let cpu_before = cpu_seconds_of_tree(browser);
    let end = Instant::now() + half;
    while Instant::now() < end {
        std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
    }
    let cpu_seconds = cpu_seconds_of_tree(browser) - cpu_before;
    let status = if redirect { session.status()? } else { Value::Null };
    drift_ms.sort_by(f64::total_cmp);

    let screenshot = camera.capture()?;
    let is_redirected = !shows_number(&page)?;
    let before = place(&screenshot)?;
    page.evaluate(&format!("scrollTo(0, {SCROLL}); new Promise((done) => setTimeout(done, 500))"))?;
    let after = place(&camera.capture()?)?;
    let run = Run {
        first_frame_ms,
        cpu_seconds,
        drift_ms,
        places: [before, after],
        is_redirected,
        status,
        browser: session.cdp().version()?,
        screenshot,
    };
    session.close();
    Ok(run)
}

/// The part of the screen where the frame's number should be, as the page sees itself.
#[derive(Debug)]
pub(crate) struct Strip {
    x: i16,
    y: i16,
    width: u16,
    height: u16,
}

impl Strip {
    /// As the page says.
    pub(crate) fn of(page: &Page) -> Result<Self> {
        // Chromium's window has no frame here but its own, which lies above the page.
        let answer = page.evaluate(
            "(({ x, y, width }) => [screenX + x, screenY + outerHeight - innerHeight + y, width].map(Math.round))\
             (document.querySelector('video').getBoundingClientRect())",
        )?;
        let number = |index: usize| answer[index].as_i64().context("the page did not say where its video is");
        let width = u16::try_from(number(2)?)?;
        Ok(Self {
            x: i16::try_from(number(0)?)?,
            y: i16::try_from(number(1)?)?,
            width,
            height: width / 40 * 3,
        })
    }

    /// Of a picture whose sides are there on the screen.
    pub(crate) fn at(left: f64, top: f64, right: f64) -> Result<Self> {
        let whole = |value: f64| format!("{value:.0}");
        let width: u16 = whole(right - left).parse().context("the picture has no width")?;
        let (x, y) = (whole(left).parse()?, whole(top).parse()?);
        Ok(Self { x, y, width, height: width / 40 * 3 })
    }

    /// The number of the frame on the screen, if there is one.
    pub(crate) fn read(&self, camera: &Camera) -> Result<Option<u16>> {
        let picture = camera.capture_part(self.x, self.y, self.width, self.height)?;
        Ok(frame_number::read(picture.rgb(), picture.width(), picture.height()))
    }
}

/// Milliseconds from the player's start to the moment when a frame could be read off the screen.
pub(crate) fn first_frame(page: &Page, camera: &Camera, strip: &Strip) -> Result<f64> {
    let end = Instant::now() + Duration::from_secs(30);
    while strip.read(camera)?.is_none() {
        std::thread::park_timeout(Duration::from_millis(2));
        if Instant::now() > end {
            let error = page.evaluate("demo.error ?? document.getElementById('state').textContent")?;
            bail!("no frame on the screen within 30 s; the page says: {error}");
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64() * 1000.0;
    let started = page
        .evaluate("performance.timeOrigin + demo.started")?
        .as_f64()
        .context("the player did not start")?;
    Ok(now - started)
}

/// Compares screen and page again and again; the answer is in milliseconds, without sign.
pub(crate) fn watch(page: &Page, camera: &Camera, strip: &Strip, duration: Duration) -> Result<Vec<f64>> {
    let mut drift_ms = Vec::new();
    let end = Instant::now() + duration;
    while Instant::now() < end {
        let position = || page.evaluate("video.ended ? null : video.currentTime").map(|value| value.as_f64());
        let before = position()?;
        let number = strip.read(camera)?;
        let after = position()?;
        let (Some(before), Some(after)) = (before, after) else { break };
        // A busy machine may stop us between the two: then nothing can be said.
        if let Some(number) = number
            && after - before < 0.02
        {
            let shown = (f64::from(number) + 0.5) / f64::from(RATE);
            drift_ms.push((before.midpoint(after) - shown).abs() * 1000.0);
        }
        std::thread::park_timeout(Duration::from_millis(80));
    }
    if drift_ms.is_empty() {
        bail!("the screen showed no frame that could be compared with the page's position");
    }
    Ok(drift_ms)
}

/// Whether what the session's browser itself has drawn shows a frame of the clip.
pub(crate) fn shows_number(page: &Page) -> Result<bool> {
    let answer = page.evaluate(
        "(({ x, y, width, height }) => [x, y, width, height].map(Math.round))(video.getBoundingClientRect())",
    )?;
    let number = |index: usize| -> Result<usize> {
        Ok(usize::try_from(answer[index].as_u64().context("no rectangle")?)?)
    };
    let (width, height) = (number(2)?, number(3)?);
    let picture = Picture::from_png(&page.screenshot_png()?)?.crop(number(0)?, number(1)?, width, height)?;
    Ok(frame_number::read(picture.rgb(), width, height).is_some())
}

/// Where the clip's picture is on the screen.
fn place(screen: &Picture) -> Result<[usize; 4]> {
    screen.bounds_of(frame_number::BORDER, TOLERANCE).context("the picture is not on the screen")
}

pub(crate) fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// As finely as the system counts CPU.
pub(crate) fn hundredth(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The value below which `percent` of the sorted values are, to a tenth.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    tenth(sorted.get(index).copied().unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values: Vec<f64> = (0..200).map(f64::from).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99)), (100.0, 198.0));
        assert_eq!(percentile(&[7.0], 99), 7.0);
        assert!(percentile(&[], 50).is_nan());
    }
}
