//! How large the engine's windows are made, whatever is seen of them.

use crate::window::region;

/// The size of a window that nobody sees, and the smallest that a popup is given.
pub const PARKED: (u16, u16) = (800, 450);
/// The window in which the person chooses what a call is to show: as large as Chromium's dialog.
pub const CHOOSER: (u16, u16) = (610, 534);
/// Windows grow in steps, so that a growing picture does not resize its window every time.
const STEP: u32 = 128;
/// How much larger than needed a window may stay.
const SLACK: u16 = 512;

/// The next larger step of sizes.
#[must_use]
pub fn stepped(side: u32) -> u16 {
    let side = side.clamp(1, region::MAX_SIDE).div_ceil(STEP).saturating_mul(STEP);
    u16::try_from(side).unwrap_or(u16::MAX)
}

/// Whether a window that is so long may stay so for a picture that needs less.
#[must_use]
pub fn fits(have: u16, need: u16) -> bool {
    have <= stepped(u32::from(need)).saturating_add(SLACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_grow_in_steps_and_stay_possible() {
        assert_eq!(stepped(0), 128);
        assert_eq!(stepped(128), 128);
        assert_eq!(stepped(129), 256);
        assert_eq!(stepped(u32::MAX), 8192);
    }

    #[test]
    fn a_window_may_be_somewhat_too_large() {
        assert!(fits(640, 1) && fits(128, 100));
        assert!(!fits(641, 1));
    }
}
