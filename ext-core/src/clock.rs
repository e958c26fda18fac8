//! Keeps the stand-in's clock on the device's: the device is the master, the page's clock is trimmed unseen.

use std::collections::VecDeque;
use std::time::Duration;

use offstage_protocol::Monotonic;

use crate::hook::to_u64;

/// Drift that is left alone, in microseconds: less than a third of a frame at 30 fps.
const DEAD_BAND_US: f64 = 8_000.0;
/// Drift above which the stand-in waits, or hurries, instead of being trimmed.
const COARSE_US: f64 = 60_000.0;
/// Longest time for one order, in milliseconds.
const LONGEST_MS: f64 = 10_000.0;
/// How long a trim takes, in milliseconds, if it need not take longer.
const TRIM_MS: f64 = 150.0;
/// How long the sound that is under way keeps the effect of an order from the position.
const EFFECT_MS: f64 = 60.0;
/// After so long an order is looked at again, even if it has not been carried out.
const LONGEST_BUSY_MS: f64 = 500.0;
/// Share of what a trim fell short by that is believed at once, and the most that is ever added.
const LEARN: f64 = 0.8;
const MOST_COST_US: f64 = 60_000.0;
/// How fast a stand-in that is far behind hurries at most; well inside what Chromium plays.
const HURRY: f64 = 4.0;
/// How long it hurries, in milliseconds, if it need not hurry faster: the end of a short hurry would come late by a
/// large part of it on a busy machine, and the stand-in then be ahead.
const HURRY_MS: f64 = 150.0;

/// Run at the page's rate times `factor` for `for_ms`, then at the page's rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slew {
    pub factor: f64,
    pub for_ms: f64,
}

/// Trims one player's clock.
///
/// A change of `playbackRate` itself costs Chromium's audio clock some 10 ms of position, and a trim changes it twice: a
/// correction of exactly the drift would never arrive. So what a trim fell short by is learned and added to the next one.
/// The position shows the effect only when the order has been carried out and the sound that was under way has been
/// played: what is seen before that is neither learned from nor corrected again.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Trim {
    /// What the last trims fell short by, in microseconds.
    cost_us: f64,
    /// The last order was a trim to get ahead, so the next drift tells what it fell short by.
    trimmed: bool,
    /// Until then the last order is being carried out.
    until: Option<Monotonic>,
}

impl Trim {
    /// What to do about a drift of `drift_us` (positive: the stand-in is ahead), at the page's rate `rate`. `None`: the last
    /// order goes on.
    pub fn order(&mut self, now: Monotonic, drift_us: f64, rate: f64) -> Option<Slew> {
        if self.until.is_some_and(|until| now < until) {
            return None;
        }
        self.until = None;
        let rate = if rate.is_finite() && rate > 0.0 { rate.clamp(0.0625, 16.0) } else { 1.0 };
        let trimmed = std::mem::take(&mut self.trimmed);
        if drift_us.abs() < DEAD_BAND_US || !drift_us.is_finite() {
            return Some(Slew { factor: 1.0, for_ms: 0.0 });
        }
        if trimmed {
            self.cost_us = (self.cost_us - LEARN * drift_us).clamp(0.0, MOST_COST_US);
        }
        let drift_ms = drift_us / 1000.0 / rate;
        let slew = if drift_us > COARSE_US {
            Slew { factor: 0.0, for_ms: drift_ms.min(LONGEST_MS) }
        } else if drift_us < -COARSE_US {
            let factor = (1.0 - drift_ms / HURRY_MS).min(HURRY);
            Slew { factor, for_ms: (-drift_ms / (factor - 1.0)).min(LONGEST_MS) }
        } else {
            // Ahead, the cost helps; it is never counted on entirely.
            let wanted_us = if drift_us < 0.0 {
                drift_us - self.cost_us
            } else {
                (drift_us - self.cost_us).max(0.2 * drift_us)
            };
            self.trimmed = drift_us < 0.0;
            let wanted_ms = wanted_us / 1000.0 / rate;
            let for_ms = (2.0 * wanted_ms.abs()).max(TRIM_MS);
            Slew { factor: 1.0 - wanted_ms / for_ms, for_ms }
        };
        let busy_ms = slew.for_ms.min(LONGEST_BUSY_MS) + EFFECT_MS;
        self.until = Some(now.after(Duration::try_from_secs_f64(busy_ms / 1000.0).unwrap_or_default()));
        Some(slew)
    }

    /// Something else has set the stand-in's rate: the last order is not carried out any more.
    pub fn interrupt(&mut self) {
        self.until = None;
        self.trimmed = false;
    }
}

/// How far page and device have been apart lately: the last [`Drifts::MOST`] measurements.
#[derive(Debug, Clone, Default)]
pub struct Drifts {
    us: VecDeque<u64>,
}

impl Drifts {
    const MOST: usize = 512;

    pub fn add(&mut self, drift_us: f64) {
        if self.us.len() == Self::MOST {
            self.us.pop_front();
        }
        self.us.push_back(to_u64(drift_us.abs()));
    }

    /// Microseconds without sign that so many percent of the measurements of all players stay within.
    #[must_use]
    pub fn percentiles<const N: usize>(of: &[&Self], percent: [usize; N]) -> Option<[u64; N]> {
        let mut all: Vec<u64> = of.iter().flat_map(|drifts| drifts.us.iter().copied()).collect();
        all.sort_unstable();
        let last = all.len().checked_sub(1)?;
        Some(percent.map(|percent| all.get((all.len() * percent / 100).min(last)).copied().unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The drift that is left when the order has been carried out, each change of the rate costing `cost_us`.
    fn after(drift_us: f64, order: Slew, rate: f64, cost_us: f64) -> f64 {
        let changes = if order.factor == 1.0 { 0.0 } else { 2.0 };
        drift_us + (order.factor - 1.0) * rate * order.for_ms * 1000.0 - changes * cost_us
    }

    #[test]
    fn a_clock_that_pays_for_each_change_arrives_and_is_then_left_alone() {
        for cost_us in [0.0, 5_000.0, 12_500.0, 20_000.0] {
            let (mut trim, mut drift) = (Trim::default(), -120_000.0);
            for step in 0..12 {
                let now = Monotonic(step * 1_000_000);
                let order = trim.order(now, drift, 1.0).unwrap();
                drift = after(drift, order, 1.0, cost_us);
            }
            assert!(drift.abs() < DEAD_BAND_US, "{drift} is left at a cost of {cost_us}");
        }
    }

    #[test]
    fn an_order_goes_on_until_its_effect_can_be_seen() {
        let mut trim = Trim::default();
        let first = trim.order(Monotonic(0), -30_000.0, 1.0);
        assert!(first.is_some());
        assert_eq!(trim.order(Monotonic(50_000), -25_000.0, 1.0), None);
        assert_eq!(trim.order(Monotonic(150_000), 5_000.0, 1.0), None);
        let after = Monotonic(300_000);
        assert_eq!(trim.order(after, -2_000.0, 1.0), Some(Slew { factor: 1.0, for_ms: 0.0 }));
        trim.order(after, -30_000.0, 1.0);
        trim.interrupt();
        assert_eq!(trim.order(after, -2_000.0, 1.0), Some(Slew { factor: 1.0, for_ms: 0.0 }));
    }

    proptest::proptest! {
        #[test]
        fn without_cost_one_order_takes_the_drift_away(drift in -2e6..2e6f64, rate in 0.25..4.0f64) {
            let left = after(drift, Trim::default().order(Monotonic(0), drift, rate).unwrap(), rate, 0.0);
            assert!(left.abs() <= DEAD_BAND_US, "{drift} at {rate} leaves {left}");
        }

        #[test]
        fn orders_stay_in_what_a_browser_plays(drifts in proptest::collection::vec(proptest::num::f64::ANY, 1..20), rate in proptest::num::f64::ANY) {
            let mut trim = Trim::default();
            for (now, drift) in (0..).map(|step| Monotonic(step * 1_000_000)).zip(drifts) {
                let Slew { factor, for_ms } = trim.order(now, drift, rate).unwrap();
                assert!((0.0..=4.0).contains(&factor) && (0.0..=LONGEST_MS).contains(&for_ms));
            }
        }
    }

    #[test]
    fn drifts_are_those_of_the_last_measurements_of_all_players() {
        assert_eq!(Drifts::percentiles(&[], [50, 99]), None);
        let (mut a, mut b) = (Drifts::default(), Drifts::default());
        for _ in 0..Drifts::MOST {
            a.add(1e9);
        }
        for i in 1..=Drifts::MOST {
            a.add(-(i as f64));
        }
        b.add(f64::NAN);
        assert_eq!(Drifts::percentiles(&[&a, &b], [0, 50, 100]), Some([0, 256, 512]));
    }
}
