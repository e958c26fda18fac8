//! Where a player plays best, by what is measured: dropped pictures, a starving device, the link's round trip. A player that does badly on the
//! device goes back to the session, with the reason's code, and is tried again later: each time it has to come back, that takes twice as long.

use std::collections::VecDeque;
use std::time::Duration;

use offstage_protocol::{ErrorCode, Monotonic, SortedMap};

use crate::hook::to_u64;

/// What counts is what has happened in so long a time.
const WINDOW: Duration = Duration::from_secs(10);
/// Fewer pictures than that say nothing about how many are dropped.
const ENOUGH: u64 = 100;
/// Of a hundred pictures, so many may be dropped.
const MOST_DROPPED: u64 = 30;
/// So often in the window, the device may have run out of data that were on their way to it.
const MOST_STARVED: usize = 3;
/// And for so long in all.
const LONGEST_STARVED: Duration = Duration::from_secs(5);
/// At least that percentage of the due media plays in [`WINDOW`].
const LEAST_PLAYED: u64 = 70;
/// Above that round trip a page's commands are felt to be late.
const LONG_TRIP: Duration = Duration::from_millis(1500);
/// So long a player stays in the session at first, and at most.
const FIRST_REST: Duration = Duration::from_secs(60);
const LONGEST_REST: Duration = Duration::from_secs(16 * 60);
/// Most players that are remembered.
const MOST_RESTS: usize = 1000;
/// A player that has done well for so long has made good for all that was before.
const GOOD: Duration = Duration::from_secs(5 * 60);

/// One look at a player.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Counted by the device since the player began.
    pub presented: u64,
    pub dropped: u64,
    /// Where it is, in µs.
    pub position_us: u64,
    /// It should play, and has something to play.
    pub plays: bool,
    /// It should play and has nothing to play.
    pub out_of_data: bool,
    /// What the page has appended is still on its way to the device.
    pub waits: bool,
    /// The link's newest round trip.
    pub round_trip: Option<Duration>,
    /// How fast the page plays; the same in all looks since the last interruption.
    pub rate: f64,
}

/// What has been seen of one player on the device.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    looks: VecDeque<(Monotonic, u64, u64)>,
    /// Since when it has been playing without a break, and from where.
    played_from: Option<(Monotonic, u64)>,
    /// Since when the round trip has been too long.
    long_since: Option<Monotonic>,
    /// It starves: the last of `starved` is not over.
    starving: bool,
    /// From when to when it had run out of data that were on their way.
    starved: VecDeque<(Monotonic, Monotonic)>,
}

impl Choice {
    /// Why the player is to go back to the session, if it is.
    pub fn look(&mut self, now: Monotonic, look: Look) -> Option<ErrorCode> {
        self.drops(now, look)
            .or_else(|| self.lags(now, look))
            .or_else(|| self.starves(now, look))
            .or_else(|| self.waits(now, look))
    }

    /// A seek or a pause: what is counted from here on says nothing about what was before.
    pub fn interrupt(&mut self) {
        self.looks.clear();
        self.played_from = None;
        self.starving = false;
    }

    fn drops(&mut self, now: Monotonic, look: Look) -> Option<ErrorCode> {
        while self.looks.front().is_some_and(|(at, ..)| at.after(WINDOW) < now) {
            self.looks.pop_front();
        }
        self.looks.push_back((now, look.presented, look.dropped));
        let (_, presented, dropped) = *self.looks.front()?;
        let shown = look.presented.saturating_sub(presented);
        let all = shown.saturating_add(look.dropped.saturating_sub(dropped));
        // Played fast, more pictures are due than any display shows: as many a second as at the usual rate are enough.
        let percent = if look.rate > 1.0 { to_u64(look.rate * 100.0) } else { 100 };
        let due = all.saturating_mul(100) / percent;
        (due >= ENOUGH && shown.saturating_mul(100) < due.saturating_mul(100 - MOST_DROPPED))
            .then_some(ErrorCode::PICTURES_DROPPED)
    }

    fn lags(&mut self, now: Monotonic, look: Look) -> Option<ErrorCode> {
        if !look.plays {
            self.played_from = None;
            return None;
        }
        let here = (now, look.position_us);
        let (at, from) = *self.played_from.get_or_insert(here);
        let time = now.since(at);
        if time < WINDOW {
            return None;
        }
        self.played_from = Some(here);
        let due = to_u64(time.as_secs_f64() * look.rate * 1e6);
        let played = look.position_us.saturating_sub(from);
        (played.saturating_mul(100) < due.saturating_mul(LEAST_PLAYED)).then_some(ErrorCode::DEVICE_LAGS)
    }

    fn starves(&mut self, now: Monotonic, look: Look) -> Option<ErrorCode> {
        if self.starving
            && let Some((_, end)) = self.starved.back_mut()
        {
            *end = now;
        } else if look.out_of_data && look.waits {
            self.starved.push_back((now, now));
            self.starving = true;
        }
        self.starving &= look.out_of_data;
        while self.starved.front().is_some_and(|(_, end)| end.after(WINDOW) < now) {
            self.starved.pop_front();
        }
        let all: Duration = self.starved.iter().map(|(start, end)| end.since(*start)).sum();
        (self.starved.len() > MOST_STARVED || all > LONGEST_STARVED).then_some(ErrorCode::LINK_TOO_SLOW)
    }

    fn waits(&mut self, now: Monotonic, look: Look) -> Option<ErrorCode> {
        if look.round_trip.is_none_or(|trip| trip < LONG_TRIP) {
            self.long_since = None;
            return None;
        }
        let since = *self.long_since.get_or_insert(now);
        (since.after(WINDOW) <= now).then_some(ErrorCode::LINK_TOO_SLOW)
    }
}

/// A document's number and the page's number of a player.
type Key = (u32, u32);

/// Players that have done badly on the device, and how long each stays in the session.
#[derive(Debug, Default)]
pub struct Rests {
    rests: SortedMap<Key, Rest>,
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    code: ErrorCode,
    until: Monotonic,
    over: bool,
    times: u32,
}

impl Rests {
    /// A player goes back to the session now.
    pub fn begin(&mut self, now: Monotonic, key: Key, code: ErrorCode) {
        let before = self.rests.remove(&key).filter(|rest| rest.until.after(GOOD) > now);
        if self.rests.len() >= MOST_RESTS {
            return;
        }
        let times = before.map_or(0, |rest| rest.times.saturating_add(1));
        let length = FIRST_REST.saturating_mul(1 << times.min(4)).min(LONGEST_REST);
        self.rests.insert(key, Rest { code, until: now.after(length), over: false, times });
    }

    /// Why a player that asks for the device has to stay in the session, if it has.
    #[must_use]
    pub fn refuses(&self, key: Key) -> Option<ErrorCode> {
        self.rests.get(&key).filter(|rest| !rest.over).map(|rest| rest.code)
    }

    /// The document is gone.
    pub fn forget(&mut self, document: u32) {
        let gone: Vec<Key> =
            self.rests.range((document, 0)..=(document, u32::MAX)).map(|(key, _)| *key).collect();
        for key in gone {
            self.rests.remove(&key);
        }
    }

    /// The players that are tried again now.
    pub fn handle_timeout(&mut self, now: Monotonic) -> Vec<Key> {
        let mut again = Vec::new();
        for (key, rest) in self.rests.iter_mut().filter(|(_, rest)| !rest.over && rest.until <= now) {
            rest.over = true;
            again.push(*key);
        }
        again
    }

    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Monotonic, &'static str)> {
        self.rests.values().filter(|rest| !rest.over).map(|rest| (rest.until, "a rest ends")).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Look = Look {
        presented: 0,
        dropped: 0,
        position_us: 0,
        plays: false,
        out_of_data: false,
        waits: false,
        round_trip: Some(Duration::from_millis(40)),
        rate: 1.0,
    };

    fn at(seconds: u64) -> Monotonic {
        Monotonic(seconds * 1_000_000)
    }

    #[test]
    fn a_device_that_drops_a_third_of_the_pictures_loses_the_player() {
        let mut choice = Choice::default();
        let code = (1..60).find_map(|second| {
            let look = Look { presented: second * 20, dropped: second * 10, ..FINE };
            choice.look(at(second), look).map(|code| (second, code))
        });
        assert_eq!(code, Some((5, ErrorCode::PICTURES_DROPPED)));
    }

    #[test]
    fn what_no_display_can_show_of_fast_play_is_not_the_devices_fault() {
        for (shown, code) in [(30, None), (22, None), (20, Some(ErrorCode::PICTURES_DROPPED))] {
            let mut choice = Choice::default();
            let found = (1..60).find_map(|second| {
                let dropped = second * (120 - shown);
                choice.look(at(second), Look { presented: second * shown, dropped, rate: 4.0, ..FINE })
            });
            assert_eq!(found, code, "{shown} a second are shown");
        }
    }

    #[test]
    fn a_burst_of_drops_after_a_seek_is_forgiven() {
        let mut choice = Choice::default();
        for second in 0..600 {
            let dropped = if second < 3 { second * 15 } else { 45 };
            if second == 3 {
                choice.interrupt();
            }
            assert_eq!(choice.look(at(second), Look { presented: second * 30, dropped, ..FINE }), None);
        }
    }

    #[test]
    fn a_device_that_plays_slower_than_the_page_asked_for_is_too_slow() {
        let found = |each: u64, rate: f64, waits_at: u64| {
            let mut choice = Choice::default();
            (0..60).find_map(|second| {
                let position_us = second * each * 10_000;
                let look = Look { position_us, rate, plays: second != waits_at, ..FINE };
                choice.look(at(second), look).map(|code| (second, code))
            })
        };
        assert_eq!(found(60, 1.0, 99), Some((10, ErrorCode::DEVICE_LAGS)));
        assert_eq!(found(60, 1.0, 5), Some((16, ErrorCode::DEVICE_LAGS)), "a break says nothing about it");
        assert_eq!(found(80, 1.0, 99), None);
        assert_eq!(found(100, 2.0, 99), Some((10, ErrorCode::DEVICE_LAGS)));
        assert_eq!(found(0, 0.0, 99), None);
    }

    const STARVING: Look = Look { out_of_data: true, waits: true, ..FINE };

    #[test]
    fn starving_again_and_again_while_bytes_wait_is_a_slow_link() {
        let mut choice = Choice::default();
        let mut looks = (0..40).map(|half| {
            let look = if half % 2 == 1 { STARVING } else { FINE };
            choice.look(Monotonic(half * 500_000), look)
        });
        assert_eq!(looks.find_map(|code| code), Some(ErrorCode::LINK_TOO_SLOW));
        let mut choice = Choice::default();
        for minute in 0..100 {
            let now = at(minute * 60);
            assert_eq!(choice.look(now, STARVING), None, "now and then is nothing");
            assert_eq!(choice.look(now.after(Duration::from_secs(1)), FINE), None);
        }
    }

    #[test]
    fn starving_for_half_of_the_time_is_a_slow_link() {
        let mut choice = Choice::default();
        let looks = [(0, STARVING), (3, FINE), (4, STARVING), (5, Look { waits: false, ..STARVING })];
        for (second, look) in looks {
            assert_eq!(choice.look(at(second), look), None);
        }
        assert_eq!(choice.look(at(7), FINE), Some(ErrorCode::LINK_TOO_SLOW));
    }

    #[test]
    fn a_page_that_has_nothing_to_append_says_nothing_about_the_link() {
        let mut choice = Choice::default();
        for second in 0..100 {
            let out = Look { out_of_data: second % 2 == 0, ..FINE };
            assert_eq!(choice.look(at(second), out), None);
        }
        // What comes at last plays at once.
        assert_eq!(choice.look(at(100), Look { out_of_data: true, ..FINE }), None);
        assert_eq!(choice.look(at(108), STARVING), None);
        assert_eq!(choice.look(at(109), FINE), None);
    }

    #[test]
    fn only_a_long_trip_that_lasts_counts() {
        let mut choice = Choice::default();
        let long = Look { round_trip: Some(Duration::from_secs(2)), ..FINE };
        for second in 0..9 {
            assert_eq!(choice.look(at(second), long), None);
        }
        assert_eq!(choice.look(at(9), FINE), None);
        for second in 10..20 {
            assert_eq!(choice.look(at(second), long), None);
        }
        assert_eq!(choice.look(at(20), long), Some(ErrorCode::LINK_TOO_SLOW));
    }

    #[test]
    fn each_rest_is_twice_the_last_until_all_was_well_for_long() {
        let (mut rests, key) = (Rests::default(), (7, 1));
        let mut now = at(0);
        let mut lengths = Vec::new();
        for _ in 0..7 {
            rests.begin(now, key, ErrorCode::LINK_TOO_SLOW);
            assert_eq!(rests.refuses(key), Some(ErrorCode::LINK_TOO_SLOW));
            let (until, _) = rests.poll_timeout().unwrap();
            assert_eq!(rests.handle_timeout(now), []);
            assert_eq!(rests.handle_timeout(until), [key]);
            assert_eq!((rests.refuses(key), rests.poll_timeout()), (None, None));
            lengths.push(until.since(now).as_secs());
            now = until.after(Duration::from_secs(20));
        }
        assert_eq!(lengths, [60, 120, 240, 480, 960, 960, 960]);
        now = now.after(GOOD);
        rests.begin(now, key, ErrorCode::LINK_TOO_SLOW);
        assert_eq!(rests.poll_timeout().unwrap().0.since(now), FIRST_REST);
        rests.forget(7);
        assert_eq!(rests.poll_timeout(), None);
    }
}
