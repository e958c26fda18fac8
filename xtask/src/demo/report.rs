//! Two runs of the demo compared, in JSON and in plain words.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use offstage_tests::session::Installation;
use offstage_tests::xvfb::Picture;
use serde_json::{Value, json};

use super::measure::{self, Run, hundredth, percentile, tenth};
use crate::run::{print, say};

/// The same page without and with Offstage.
#[derive(Debug)]
pub(super) struct Report {
    native: Run,
    redirected: Run,
    seconds: u64,
}

/// Plays the page twice.
pub(super) fn make(installation: &Installation, url: &str, seconds: u64) -> Result<Report> {
    say(format!("demo: playing {seconds} s in the session, as without Offstage …"));
    let native = measure::run(installation, url, false, seconds)?;
    say(format!("demo: playing {seconds} s on the device …"));
    let redirected = measure::run(installation, url, true, seconds)?;
    Ok(Report { native, redirected, seconds })
}

impl Report {
    /// The screen of the redirected run.
    pub(super) fn screenshot(&self) -> &Picture {
        &self.redirected.screenshot
    }

    /// Whether the picture came from the device.
    pub(super) fn is_redirected(&self) -> bool {
        let says_so = self.redirected.status["redirected"].as_u64().is_some_and(|count| count > 0);
        says_so && self.redirected.is_redirected && !self.native.is_redirected
    }

    /// The greatest distance of an edge of the picture from where the session's own picture was, in pixels.
    fn overlay_error_px(&self) -> usize {
        let pairs = self.native.places.iter().zip(&self.redirected.places);
        pairs
            .flat_map(|(native, redirected)| native.iter().zip(redirected))
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap_or(0)
    }

    /// How long CPU was counted, in seconds.
    fn cpu_measured_s(&self) -> f64 {
        Duration::from_secs(self.seconds).div_f64(2.0).as_secs_f64()
    }

    /// What was measured.
    pub(super) fn json(&self) -> Value {
        let (native, redirected) = (&self.native, &self.redirected);
        json!({
            "redirected": self.is_redirected(),
            "seconds": self.seconds,
            "frames_presented": redirected.status["frames_presented"],
            "frames_dropped": redirected.status["frames_dropped"],
            "drift_ms_p50": percentile(&redirected.drift_ms, 50),
            "drift_ms_p99": percentile(&redirected.drift_ms, 99),
            "drift_ms_p50_native": percentile(&native.drift_ms, 50),
            "drift_ms_p99_native": percentile(&native.drift_ms, 99),
            "overlay_error_px": self.overlay_error_px(),
            "ttff_ms_native": tenth(native.first_frame_ms),
            "ttff_ms_redirected": tenth(redirected.first_frame_ms),
            "session_cpu_measured_s": self.cpu_measured_s(),
            "session_cpu_s_native": hundredth(native.cpu_seconds),
            "session_cpu_s_redirected": hundredth(redirected.cpu_seconds),
            "versions": {
                "offstage": env!("CARGO_PKG_VERSION"),
                "browser": redirected.browser,
                "bridge": redirected.status["bridge"],
                "client": redirected.status["client"],
                "engine": redirected.status["engine"],
            },
        })
    }

    /// Says what was seen.
    pub(super) fn print(&self, screenshot: &Path) {
        let (native, redirected) = (&self.native, &self.redirected);
        if self.is_redirected() {
            print(
                "The video on the page played on the device: its frames were on the screen, over the page's element, while the",
            );
            print("session's own browser drew a flat stand-in.");
        } else {
            print("The video played in the session: its frames were drawn by the session's own browser.");
        }
        if let (Some(presented), Some(dropped)) =
            (redirected.status["frames_presented"].as_u64(), redirected.status["frames_dropped"].as_u64())
        {
            print(format!("  The device has presented {presented} frames and dropped {dropped}."));
        }
        print(format!(
            "  First frame after {:.0} ms; without Offstage {:.0} ms.",
            redirected.first_frame_ms, native.first_frame_ms
        ));
        print(format!(
            "  Frame on the screen against the page's position: {} ms off at p50, {} ms at p99 (without Offstage {} and {}).",
            percentile(&redirected.drift_ms, 50),
            percentile(&redirected.drift_ms, 99),
            percentile(&native.drift_ms, 50),
            percentile(&native.drift_ms, 99)
        ));
        print(format!(
            "  Picture against element, before and after scrolling: {} px off at most.",
            self.overlay_error_px()
        ));
        print(format!(
            "  The session's browser took {:.2} s of CPU in {} s; without Offstage {:.2} s.",
            redirected.cpu_seconds,
            self.cpu_measured_s(),
            native.cpu_seconds
        ));
        print(format!("  The screen as a person sees it: {}", screenshot.display()));
    }
}
