//! Keeps the stand-in's clock on the device's: the device is the master, the page's clock is trimmed unseen.

/// Drift that is left alone, in microseconds: less than a third of a frame at 30 fps.
const DEAD_BAND_US: f64 = 8_000.0;
/// Drift above which the stand-in waits, or hurries, instead of being trimmed.
const COARSE_US: f64 = 60_000.0;
/// How fast a stand-in that is far behind hurries; well inside what Chromium plays.
const HURRY: f64 = 4.0;

/// Run at the page's rate times `factor` for `for_ms`, then at the page's rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slew {
    pub factor: f64,
    pub for_ms: f64,
}

/// What to do about a drift of `drift_us` (positive: the stand-in is ahead), at the page's rate `rate`.
///
/// The correction takes about the time until the next report (250 ms), so that it is done when the next drift is seen.
#[must_use]
pub fn slew(drift_us: f64, rate: f64) -> Slew {
    let rate = if rate.is_finite() && rate > 0.0 { rate } else { 1.0 };
    let drift_ms = drift_us / 1000.0 / rate;
    if drift_us.abs() < DEAD_BAND_US || !drift_us.is_finite() {
        Slew { factor: 1.0, for_ms: 0.0 }
    } else if drift_us > COARSE_US {
        Slew { factor: 0.0, for_ms: drift_ms.min(10_000.0) }
    } else if drift_us < -COARSE_US {
        Slew { factor: HURRY, for_ms: (-drift_ms / (HURRY - 1.0)).min(10_000.0) }
    } else {
        let for_ms = (2.0 * drift_ms.abs()).max(200.0);
        Slew { factor: 1.0 - drift_ms / for_ms, for_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The drift that is left when the order has been carried out exactly.
    fn after(drift_us: f64, rate: f64) -> f64 {
        let Slew { factor, for_ms } = slew(drift_us, rate);
        drift_us + (factor - 1.0) * rate * for_ms * 1000.0
    }

    proptest::proptest! {
        #[test]
        fn one_order_takes_the_drift_away(drift in -5e6..5e6f64, rate in 0.25..4.0f64) {
            assert!(after(drift, rate).abs() <= DEAD_BAND_US, "{drift} at {rate} leaves {}", after(drift, rate));
        }

        #[test]
        fn orders_stay_in_what_a_browser_plays(drift in proptest::num::f64::ANY, rate in proptest::num::f64::ANY) {
            let Slew { factor, for_ms } = slew(drift, rate);
            assert!((0.0..=4.0).contains(&factor) && (0.0..=10_000.0).contains(&for_ms));
        }
    }
}
