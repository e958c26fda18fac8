//! What was seen without and with Offstage, in JSON and in plain words.

use anyhow::Result;
use offstage_tests::shaped_line::Shape;
use serde_json::{Value, json};

use super::run::Seen;
use crate::demo::measure::{hundredth, percentile, tenth};
use crate::run::print;

/// For each line, in their order.
pub(super) struct Report {
    pub(super) shapes: Vec<Shape>,
    pub(super) native: Vec<Seen>,
    pub(super) redirected: Vec<Seen>,
}

impl Report {
    /// Whether the picture came from the device over every line, and from the session without Offstage.
    pub(super) fn is_redirected(&self) -> bool {
        self.native.iter().all(|seen| !seen.is_redirected)
            && self.redirected.iter().all(|seen| seen.is_redirected)
    }

    fn rows(&self) -> impl Iterator<Item = (Shape, &Seen, &Seen)> {
        let pairs = self.native.iter().zip(&self.redirected);
        self.shapes.iter().zip(pairs).map(|(shape, (native, redirected))| (*shape, native, redirected))
    }

    /// The first line's figures by name, and all of them in `rows`.
    pub(super) fn json(&self, versions: &Value) -> Result<Value> {
        let rows: Vec<Value> =
            self.rows().map(|(shape, native, redirected)| row(shape, native, redirected)).collect();
        let mut all = rows.first().cloned().unwrap_or_else(|| json!({}));
        all["redirected"] = self.is_redirected().into();
        all["rows"] = rows.into();
        all["versions"] = versions.clone();
        Ok(all)
    }

    /// Says what was seen.
    pub(super) fn print(&self) {
        if self.is_redirected() {
            print(
                "The video in the remote desktop played on the device, over its element in FreeRDP's window.",
            );
        } else {
            print("The video played in the session: what FreeRDP's window showed was drawn there.");
        }
        for (shape, native, redirected) in self.rows() {
            let (before, after) = (&native.counted, &redirected.counted);
            let seconds = before.duration.as_secs_f64();
            print(format!("  {}, each for {seconds:.0} s; without Offstage → with it", named(shape)));
            print(format!(
                "    The session's CPU: {:.2} → {:.2} s. The device's: {:.2} → {:.2} s.",
                before.session_cpu_s, after.session_cpu_s, before.device_cpu_s, after.device_cpu_s
            ));
            print(format!(
                "    On the RDP connection: {} → {} kB.",
                before.bytes.iter().sum::<u64>() / 1000,
                after.bytes.iter().sum::<u64>() / 1000
            ));
            print(format!("    Seen by the person: {:.1} → {:.1} frames a second.", before.fps, after.fps));
            print(format!(
                "    First frame after {:.0} → {:.0} ms; the frame seen is {} → {} ms (p50) off the page's position.",
                native.first_frame_ms,
                redirected.first_frame_ms,
                percentile(&native.drift_ms, 50),
                percentile(&redirected.drift_ms, 50)
            ));
            print(format!(
                "    Sound on the device: at most {} ms off the picture; Debian's xrdp has none.",
                percentile(&after.av_drift_ms, 99)
            ));
            print(format!(
                "    Connected again, a frame is seen after {:.1} → {:.1} s.",
                native.reconnect_s, redirected.reconnect_s
            ));
            print(format!(
                "    Listening sockets in the session: {} → {}.",
                before.listening, after.listening
            ));
        }
    }
}

/// A line in words.
pub(super) fn named(shape: Shape) -> String {
    let width = shape
        .bits_per_second
        .map_or_else(|| "unlimited".to_owned(), |bits| format!("{} Mbit/s", bits / 1_000_000));
    let lost = if shape.lost_ppm > 0 {
        format!(", {} % lost", f64::from(shape.lost_ppm) / 10_000.0)
    } else {
        String::new()
    };
    format!("{} ms round trip, {width}{lost}", shape.rtt.as_millis())
}

fn row(shape: Shape, native: &Seen, redirected: &Seen) -> Value {
    let (before, after) = (&native.counted, &redirected.counted);
    let added =
        i64::try_from(after.listening).unwrap_or(i64::MAX) - i64::try_from(before.listening).unwrap_or(0);
    json!({
        "rtt_ms": u64::try_from(shape.rtt.as_millis()).unwrap_or(u64::MAX),
        "mbit": shape.bits_per_second.map(|bits| bits / 1_000_000),
        "loss_pct": f64::from(shape.lost_ppm) / 10_000.0,
        "redirected": redirected.is_redirected && !native.is_redirected,
        "counted_s": tenth(before.duration.as_secs_f64()),
        "session_cpu_s_native": hundredth(before.session_cpu_s),
        "session_cpu_s_redirected": hundredth(after.session_cpu_s),
        "device_cpu_s_native": hundredth(before.device_cpu_s),
        "device_cpu_s_redirected": hundredth(after.device_cpu_s),
        "rdp_bytes_native": before.bytes.iter().sum::<u64>(),
        "rdp_bytes_redirected": after.bytes.iter().sum::<u64>(),
        "fps_seen_native": tenth(before.fps),
        "fps_seen_redirected": tenth(after.fps),
        "drift_ms_p50_native": percentile(&native.drift_ms, 50),
        "drift_ms_p50_redirected": percentile(&redirected.drift_ms, 50),
        "drift_ms_p99_native": percentile(&native.drift_ms, 99),
        "drift_ms_p99_redirected": percentile(&redirected.drift_ms, 99),
        "av_drift_samples": after.av_drift_ms.len(),
        "av_drift_ms_p50": percentile(&after.av_drift_ms, 50),
        "av_drift_ms_p99": percentile(&after.av_drift_ms, 99),
        "ttff_ms_native": tenth(native.first_frame_ms),
        "ttff_ms_redirected": tenth(redirected.first_frame_ms),
        "reconnect_s": hundredth(redirected.reconnect_s),
        "reconnect_s_native": hundredth(native.reconnect_s),
        "listening_sockets_added": added,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_is_named_by_what_it_does() {
        let shape =
            Shape { rtt: Duration::from_millis(80), bits_per_second: Some(5_000_000), lost_ppm: 15_000 };
        assert_eq!(named(shape), "80 ms round trip, 5 Mbit/s, 1.5 % lost");
        assert_eq!(named(Shape::default()), "0 ms round trip, unlimited");
    }
}
