//! The extension's counters as the machine's monitoring reads them.

use std::sync::atomic::AtomicU64;

use offstage_protocol::ErrorCode;
use offstage_protocol::message::Metrics;
use offstage_support::metrics::MetricsFile;
use offstage_support::metrics::counter;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use prometheus_client::registry::Unit;

/// Codes that are shown; the table has fewer.
const MOST_CODES: usize = 200;

/// The file, or nothing where there is no place for it.
#[derive(Debug)]
pub(super) struct Shown {
    file: Option<MetricsFile>,
    failed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    code: String,
}

impl Shown {
    pub(super) fn new() -> Self {
        Self { file: MetricsFile::of("bridge"), failed: false }
    }

    pub(super) fn show(&mut self, metrics: &Metrics) {
        let Some(file) = &self.file else { return };
        match file.write(&registry(metrics)) {
            Ok(()) => self.failed = false,
            Err(error) => {
                // Once, not every time.
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::warn!(%error, "the counters can't be written");
                }
            }
        }
    }
}

/// The counters with their names.
fn registry(metrics: &Metrics) -> Registry {
    let mut all = Registry::with_prefix("offstage");
    let gauge = |value: f64| {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        gauge
    };
    all.register("device_ready", "Whether the device can play", gauge(if metrics.ready { 1.0 } else { 0.0 }));
    all.register("device_connected", "How often a device got ready", counter(metrics.connected));
    all.register("players", "Players that play on the device now", gauge(f64::from(metrics.players)));
    all.register("players_redirected", "Players that came to the device", counter(metrics.redirected));
    let reasons = Family::<Reason, Counter>::default();
    for counted in metrics.in_session.iter().take(MOST_CODES) {
        let code =
            ErrorCode::from_u32(counted.code).map_or_else(|| "unknown".to_owned(), |code| code.to_string());
        reasons.get_or_create(&Reason { code }).inc_by(counted.count);
    }
    all.register(
        "players_in_session",
        "Players that went to the session or stayed there, by reason",
        reasons,
    );
    for (name, help, bytes) in [
        ("sent", "To the device", metrics.sent_bytes),
        ("received", "From the device", metrics.received_bytes),
    ] {
        all.register_with_unit(name, help, Unit::Bytes, counter(bytes));
    }
    all.register("frames_presented", "Pictures that the device has shown", counter(metrics.frames_presented));
    all.register("frames_dropped", "Pictures that the device has dropped", counter(metrics.frames_dropped));
    #[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 µs")]
    for (name, help, us) in [
        ("drift_median", "Between page and device lately", metrics.drift_p50_us),
        ("drift_p99", "Between page and device lately, the 99th percentile", metrics.drift_p99_us),
        ("round_trip", "Of the link, the newest one", metrics.round_trip_us),
    ] {
        if let Some(us) = us {
            all.register_with_unit(name, help, Unit::Seconds, gauge(us as f64 / 1e6));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use offstage_protocol::message::CodeCount;

    use super::*;

    #[test]
    fn the_text_is_what_monitoring_reads() {
        let metrics = Metrics {
            players: 2,
            redirected: 3,
            in_session: vec![CodeCount { code: 1322, count: 4 }, CodeCount { code: 77, count: 1 }],
            sent_bytes: 5_000_000_000,
            received_bytes: 6,
            frames_presented: 7,
            frames_dropped: 8,
            drift_p50_us: Some(900),
            drift_p99_us: None,
            round_trip_us: Some(30_000),
            connected: 1,
            ready: true,
        };
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry(&metrics)).unwrap();
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("# ")).collect();
        lines.sort_unstable();
        expect![[r#"
            offstage_device_connected_total 1
            offstage_device_ready 1.0
            offstage_drift_median_seconds 0.0009
            offstage_frames_dropped_total 8
            offstage_frames_presented_total 7
            offstage_players 2.0
            offstage_players_in_session_total{code="OFS-1322"} 4
            offstage_players_in_session_total{code="unknown"} 1
            offstage_players_redirected_total 3
            offstage_received_bytes_total 6
            offstage_round_trip_seconds 0.03
            offstage_sent_bytes_total 5000000000"#]]
        .assert_eq(&lines.join("\n"));
    }
}
