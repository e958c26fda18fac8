//! One line's measurement: what the session takes, what goes over the line, what the person sees and hears.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use offstage_tests::cdp::Page;
use offstage_tests::frame_number;
use offstage_tests::process::{cpu_seconds_of_tree, listening_sockets_of_tree};
use offstage_tests::rdp::Viewer;
use offstage_tests::session::Session;
use offstage_tests::shaped_line::Shape;
use offstage_tests::stage_probe::StageProbe;
use offstage_tests::xvfb::{Camera, Picture, xdotool};

use super::{PATIENCE, Place};
use crate::demo::measure::{self, RATE, Strip, TOLERANCE};

/// How often the screen is looked at to count frames: several times for each one.
const LOOK: Duration = Duration::from_millis(4);
/// Seconds of the clips.
const SECONDS: u32 = 30;
/// How long sound and picture take until they go together again.
const SETTLES: Duration = Duration::from_secs(2);
/// The output that the device's sound server has.
const OUTPUT: &str = "speakers";

/// What was counted while nobody asked the page anything.
#[derive(Debug)]
pub(super) struct Counted {
    /// For how long.
    pub(super) duration: Duration,
    /// CPU seconds of the session: its browser and what that started, its screen, xrdp.
    pub(super) session_cpu_s: f64,
    /// CPU seconds of the device: FreeRDP's client, and Offstage's client with its engine.
    pub(super) device_cpu_s: f64,
    /// Bytes on the RDP connection: to the session, to the device.
    pub(super) bytes: [u64; 2],
    /// Different frames of the clip on the device's screen, in a second.
    pub(super) fps: f64,
    /// How far the sound at the device's output was from its picture, in milliseconds, sorted. Empty where there is no sound.
    pub(super) av_drift_ms: Vec<f64>,
    /// TCP sockets at which the session's processes listen.
    pub(super) listening: usize,
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) counted: Counted,
    /// How far the frame on the device's screen was from the page's position, in milliseconds, sorted.
    pub(super) drift_ms: Vec<f64>,
    /// From the player's start to the first frame on the device's screen.
    pub(super) first_frame_ms: f64,
    /// From FreeRDP's new start to a frame on the device's screen again.
    pub(super) reconnect_s: f64,
    /// Whether the session's browser itself has drawn no frame.
    pub(super) is_redirected: bool,
    /// The session's browser, as it names itself.
    pub(super) browser: String,
    /// The device's whole screen.
    pub(super) screenshot: Picture,
}

/// A page in the session that a person looks at on the device.
pub(super) struct Watched<'a> {
    place: &'a Place,
    viewer: &'a mut Viewer,
    session: &'a Session,
    page: &'a Page,
    /// With Offstage only.
    device: Option<StageProbe>,
    camera: Camera,
    strip: Strip,
}

impl<'a> Watched<'a> {
    /// Begins to watch a page that plays.
    pub(super) fn new(
        place: &'a Place,
        viewer: &'a mut Viewer,
        session: &'a Session,
        page: &'a Page,
        redirect: bool,
    ) -> Result<Self> {
        let camera = Camera::new(&place.display)?;
        // Out of the way: over the video it would call up the page's controls.
        let corner = camera.size().map(|length| (length - 1).to_string());
        xdotool(&place.display, &["mousemove", &corner[0], &corner[1]])?;
        let device = redirect.then(|| StageProbe::connect(session)).transpose()?;
        let strip = find(&camera, page, device.as_ref())?;
        Ok(Self { place, viewer, session, page, device, camera, strip })
    }

    /// Plays the page anew over such a line; `half`: how long it is compared with the page, and then how long all is counted.
    pub(super) fn measure(&mut self, shape: Shape, half: Duration) -> Result<Seen> {
        self.place.line.set(shape);
        let first_frame_ms = self.begin()?;
        // The page asks for no sound, as browsers want a click first.
        self.page.evaluate("video.muted = false; 0")?;
        if self.device.is_some() {
            // An output that is opened anew holds its engine's clock up for as long as it buffers: two seconds for one that is nowhere,
            // without Offstage too.
            let end = Instant::now() + PATIENCE;
            while self.place.sounds.tone(OUTPUT)?.is_none() {
                ensure!(Instant::now() < end, "the device makes no sound");
            }
            std::thread::park_timeout(SETTLES);
        }
        let mut drift_ms = measure::watch(self.page, &self.camera, &self.strip, half)?;
        drift_ms.sort_by(f64::total_cmp);
        let counted = self.count(half)?;
        let is_redirected = !measure::shows_number(self.page)?;
        let browser = self.session.cdp().version()?;
        let screenshot = self.camera.capture()?;
        self.page.evaluate("video.muted = true; 0")?;
        let reconnect_s = self.connect_again()?;
        Ok(Seen { counted, drift_ms, first_frame_ms, reconnect_s, is_redirected, browser, screenshot })
    }

    /// Leaves the page and opens it again. The answer is in milliseconds.
    fn begin(&self) -> Result<f64> {
        self.page.navigate("about:blank")?;
        let end = Instant::now() + PATIENCE;
        while self.strip.read(&self.camera)?.is_some() {
            if Instant::now() > end {
                bail!("the picture stayed on the screen after its page had gone");
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        self.page.navigate(&self.place.pages.url(&self.place.address))?;
        measure::first_frame(self.page, &self.camera, &self.strip)
    }

    /// Counts while nobody asks the page anything, which would cost the session more than playing does.
    fn count(&self, duration: Duration) -> Result<Counted> {
        let server = self.place.server.pid();
        let session = || cpu_seconds_of_tree(server) + cpu_seconds_of_tree(self.session.browser_pid());
        let described = self.session.describe()?;
        let client = described["client_pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let device_pids: Vec<u32> = self.viewer.pid().into_iter().chain(client).collect();
        let device = || device_pids.iter().copied().map(cpu_seconds_of_tree).sum::<f64>();
        let mut recording = self.place.sounds.record(OUTPUT, 10)?;

        let (bytes, cpu, began) = (self.place.line.carried(), (session(), device()), Instant::now());
        let mut frames = Vec::new();
        while began.elapsed() < duration {
            let number = self.strip.read(&self.camera)?;
            if let Some(number) = number {
                frames.push((number, Instant::now()));
            }
            recording.note()?;
            std::thread::park_timeout(LOOK);
        }
        let counted = began.elapsed();
        let (after, carried) = ((session(), device()), self.place.line.carried());
        let over = self.page.evaluate("video.ended || video.paused")?;
        ensure!(
            over == false,
            "the clip ended while its frames were counted, as it began late over this line; --seconds can be less"
        );

        let different: BTreeSet<u16> = frames.iter().map(|(number, _)| *number).collect();
        let tones: Vec<f64> = (0..SECONDS).map(|second| f64::from(300 + 60 * second)).collect();
        let mut av_drift_ms: Vec<f64> = recording
            .changes(&tones)?
            .iter()
            .filter_map(|(second, at)| drift(&frames, *second, *at))
            .collect();
        av_drift_ms.sort_by(f64::total_cmp);
        let listening =
            listening_sockets_of_tree(server) + listening_sockets_of_tree(self.session.browser_pid());
        #[expect(clippy::cast_precision_loss, reason = "there are some hundred frames")]
        let fps = different.len() as f64 / counted.as_secs_f64();
        ensure!(
            self.device.is_none() || !av_drift_ms.is_empty(),
            "no second's beginning was both seen and heard; --seconds can be more"
        );
        Ok(Counted {
            duration: counted,
            session_cpu_s: after.0 - cpu.0,
            device_cpu_s: after.1 - cpu.1,
            bytes: [0, 1].map(|way| carried[way] - bytes[way]),
            fps,
            av_drift_ms,
            listening,
        })
    }

    /// Ends FreeRDP as a lost connection would, starts it again and waits for a frame. The answer is in seconds.
    fn connect_again(&mut self) -> Result<f64> {
        self.page.evaluate("video.currentTime = 1; video.play(); 0")?;
        self.viewer.close();
        let began = Instant::now();
        self.viewer.open()?;
        self.strip = find(&self.camera, self.page, self.device.as_ref())?;
        Ok(began.elapsed().as_secs_f64())
    }
}

/// Waits until a frame can be read off the device's screen, drawn by whom it should be drawn, and says where.
fn find(camera: &Camera, page: &Page, device: Option<&StageProbe>) -> Result<Strip> {
    let end = Instant::now() + PATIENCE;
    loop {
        // The session's browser is asked last: a picture of its page has it draw all of it once more, which a thin line is busy with.
        let plays = device.map_or(Ok(true), |device| {
            device.all("!document.querySelector('video').paused").map(|all| all.contains(&true.into()))
        });
        if plays?
            && let Some(strip) = look(camera)?
            && measure::shows_number(page)? == device.is_none()
        {
            return Ok(strip);
        }
        if Instant::now() > end {
            let state = page.evaluate("demo.error ?? document.getElementById('state').textContent")?;
            bail!("no frame on the device's screen within {} s; the page says: {state}", PATIENCE.as_secs());
        }
        // The clip is shorter than some lines' patience.
        page.evaluate("video.currentTime > 20 && (video.currentTime = 1); video.play(); 0").ok();
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

fn look(camera: &Camera) -> Result<Option<Strip>> {
    let screen = camera.capture()?;
    let Some([left, top, right, _]) = screen.bounds_of(frame_number::BORDER, TOLERANCE) else {
        return Ok(None);
    };
    let as_float = |value: usize| Ok::<f64, anyhow::Error>(f64::from(u32::try_from(value)?));
    let strip =
        Strip::at(as_float(left)?, as_float(top)?, as_float(right)?).context("the border has no width")?;
    // Something else on the screen may have the border's colour: then there is no number in it.
    Ok(strip.read(camera).ok().flatten().is_some().then_some(strip))
}

/// How far a second's tone, which began at that time, was from the second's first frame, in milliseconds without sign; none if nobody
/// looked in time.
fn drift(frames: &[(u16, Instant)], second: usize, sounded: Instant) -> Option<f64> {
    let first = u16::try_from(second).ok()?.checked_mul(RATE)?;
    let pair = frames.windows(2).find(|pair| pair[0].0 < first && pair[1].0 >= first)?;
    let [(before, seen), (number, shown)] = [pair[0], pair[1]];
    if number - before > 3 || shown - seen > Duration::from_millis(40) {
        return None;
    }
    let late = f64::from(number - first) / f64::from(RATE);
    let distance = shown.saturating_duration_since(sounded).max(sounded.saturating_duration_since(shown));
    let signed = if shown > sounded { distance.as_secs_f64() - late } else { -distance.as_secs_f64() - late };
    Some(signed.abs() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_sound_and_picture_is_that_of_the_seconds_first_frame() {
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        let frames =
            [(58, at(930)), (59, at(960)), (60, at(990)), (61, at(1030)), (95, at(3000)), (125, at(3005))];
        let near = |value: Option<f64>, wanted: f64| value.is_some_and(|value| (value - wanted).abs() < 0.01);
        assert!(near(drift(&frames, 2, at(1000)), 10.0));
        assert!(near(drift(&frames, 2, at(960)), 30.0));
        // Frames were missed around the third second's; the fourth's was not looked for; the tenth's never came.
        assert_eq!(drift(&frames, 3, at(3000)), None);
        assert_eq!(drift(&frames, 4, at(3000)), None);
        assert_eq!(drift(&frames, 10, at(3000)), None);
        // The first frame that was seen is the second's second one.
        let frames = [(59, at(960)), (61, at(995))];
        assert!(near(drift(&frames, 2, at(1000)), 38.333));
    }
}
