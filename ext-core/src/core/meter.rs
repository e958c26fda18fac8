//! Counters for the machine's monitoring, given to the bridge now and then.

use std::time::Duration;

use offstage_protocol::message::{CodeCount, Metrics};
use offstage_protocol::{ErrorCode, Monotonic, SortedMap};

use super::players::Players;
use crate::link::DeviceLink;

/// How often they are given.
const INTERVAL: Duration = Duration::from_secs(15);

/// What players have come to, since the worker began.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) redirected: u64,
    in_session: SortedMap<u32, u64>,
    /// Shown and dropped by the device.
    pub(super) frames: [u64; 2],
}

impl Counted {
    pub(super) fn in_session(&mut self, code: ErrorCode) {
        let before = self.in_session.remove(&code.number()).unwrap_or(0);
        self.in_session.insert(code.number(), before + 1);
    }
}

/// When they are given, and what the last ones were.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// None until there was a device: there is nothing to tell.
    due: Option<Monotonic>,
    connected: u64,
    told: Metrics,
}

impl Meter {
    pub(super) fn device_ready(&mut self, now: Monotonic) {
        self.connected += 1;
        self.due = self.due.or(Some(now));
    }

    pub(super) fn poll_timeout(&self) -> Option<(Monotonic, &'static str)> {
        self.due.map(|due| (due, "counters are given"))
    }

    /// What is to be given now.
    pub(super) fn handle_timeout(
        &mut self,
        now: Monotonic,
        link: &DeviceLink,
        players: &Players,
    ) -> Option<Metrics> {
        self.due.filter(|due| *due <= now)?;
        self.due = Some(now.after(INTERVAL));
        let drift = players.drift_us();
        let counted = &players.counted;
        let [frames_presented, frames_dropped] = counted.frames;
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let metrics = Metrics {
            players: u32::try_from(players.redirected().count()).unwrap_or(u32::MAX),
            redirected: counted.redirected,
            in_session: counted.in_session.iter().map(|(&code, &count)| CodeCount { code, count }).collect(),
            // What is told now is no news.
            sent_bytes: link.sent,
            received_bytes: link.received,
            frames_presented,
            frames_dropped,
            drift_p50_us: drift.map(|[half, _]| half),
            drift_p99_us: drift.map(|[_, most]| most),
            round_trip_us: link.round_trip().map(us),
            connected: self.connected,
            ready: link.is_ready(),
        };
        (metrics != self.told).then(|| {
            self.told = metrics.clone();
            metrics
        })
    }
}
