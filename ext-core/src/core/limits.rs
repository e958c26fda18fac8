//! How long players may take for what they have to do, and what happens when they take longer.

use std::collections::VecDeque;
use std::time::Duration;

use offstage_protocol::{ErrorCode, Monotonic};

use super::Output;
use super::players::{Players, give_back};
use crate::hook::HookCommand;
use crate::link::DeviceLink;
use crate::player::{Buffer, Phase};

/// A device that should play and doesn't for this long gives the player back to the session.
const STALL: Duration = Duration::from_secs(5);
/// So does one that leaves an operation unanswered for this long after the last byte has been sent to it.
const ANSWER: Duration = Duration::from_secs(8);
/// A picture that nobody can place for this long goes back to the session.
const LOST: Duration = Duration::from_secs(4);
/// A page that has not gone on in the session after this time has the device stop.
const LEAVING: Duration = Duration::from_secs(2);
/// A move that takes longer has the session's picture stand still: drawn, it may fill the line that the move needs.
pub(super) const STILL_AFTER: Duration = Duration::from_millis(1500);
/// For so many milliseconds at most.
pub(super) const STILL_MS: f64 = 12_000.0;

impl Players {
    pub(super) fn handle_timeout(
        &mut self,
        now: Monotonic,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        let mut late = Vec::new();
        self.let_go(now, link);
        self.stand_still(now, out);
        for key in self.late_to_begin(now) {
            self.let_begin(key, link, out);
        }
        for (key, player) in self.players.iter_mut().filter(|(_, player)| !player.phase.is_leaving()) {
            if let Some((_, code)) = player.lost.filter(|(since, _)| since.after(LOST) <= now) {
                late.push((*key, code));
                continue;
            }
            // What the link holds up is not the device's fault: the player must not rest when the link is good again.
            let silent = link.is_silent(now);
            if silent && player.stalled_since.is_some() {
                player.stalled_since = Some(now);
            }
            let stalls = player.stalled_since.is_some_and(|since| since.after(STALL) <= now);
            for buffer in player.buffers.values_mut() {
                if buffer.asked_at.is_some() && (silent || link.queued_bytes_on(buffer.stream) > 0) {
                    buffer.asked_at = Some(now);
                }
            }
            let silent = |buffer: &Buffer| buffer.asked_at.is_some_and(|at| at.after(ANSWER) <= now);
            if stalls || player.buffers.values().any(silent) {
                late.push((
                    *key,
                    if stalls { ErrorCode::DEVICE_TOO_SLOW } else { ErrorCode::STAGE_UNRESPONSIVE },
                ));
            }
        }
        for (key, code) in late {
            self.rests.begin(now, key, code);
            self.revert(key, code, false, link, out);
        }
        give_back(self.readers.handle_timeout(now), out);
        give_back(self.rests.handle_timeout(now), out);
    }

    pub(super) fn poll_timeout(&self) -> Option<(Monotonic, &'static str)> {
        let staying = || self.players.values().filter(|player| !player.phase.is_leaving());
        let stalls =
            staying().filter_map(|player| Some((player.stalled_since?.after(STALL), "device stalls")));
        let lost = staying().filter_map(|player| Some((player.lost?.0.after(LOST), "a place is found")));
        let buffers = staying().flat_map(|player| player.buffers.values());
        let silences = buffers.filter_map(|buffer| Some((buffer.asked_at?.after(ANSWER), "device answers")));
        let moves = self.players.values().filter(|player| player.phase == Phase::Moving);
        let still = moves.filter_map(|player| player.still_at).min().map(|at| (at, "move ends"));
        let others =
            [self.readers.poll_timeout(), self.rests.poll_timeout(), self.beginning_timeout(), still];
        let others = others.into_iter().flatten();
        stalls.chain(lost).chain(silences).chain(others).chain(self.leaving_timeout()).min()
    }

    /// Has the pictures of moves that take long stand still, once each.
    fn stand_still(&mut self, now: Monotonic, out: &mut VecDeque<Output>) {
        for (&(relay, ms), player) in self.players.iter_mut() {
            if player.phase == Phase::Moving && player.still_at.take_if(|at| *at <= now).is_some() {
                let command = HookCommand::Slew { ms, factor: 0.0, for_ms: STILL_MS };
                out.push_back(Output::ToHook { relay, command });
            }
        }
    }

    /// Ends what has been leaving for too long.
    fn let_go(&mut self, now: Monotonic, link: &mut DeviceLink) {
        let mut late = Vec::new();
        for (key, player) in self.players.iter_mut() {
            let Phase::Leaving(limit) = &mut player.phase else { continue };
            if *limit.get_or_insert(now.after(LEAVING)) <= now {
                late.push(*key);
            }
        }
        for key in late {
            self.close(key, link);
        }
    }

    /// The next limit; at once, if one has to be set.
    fn leaving_timeout(&self) -> Option<(Monotonic, &'static str)> {
        let limits = self.players.values().filter_map(|player| match player.phase {
            Phase::Leaving(limit) => Some((limit.unwrap_or_default(), "page plays in the session")),
            Phase::Moving | Phase::Swapping | Phase::Device => None,
        });
        limits.min()
    }
}
