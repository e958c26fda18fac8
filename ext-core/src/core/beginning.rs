//! Players that begin on the device: what the page is told of its first data waits for the device's first picture, which then is on the
//! screen when the element would show its stand-in. Natively an element shows nothing until it has a picture.

use std::collections::VecDeque;
use std::time::Duration;

use offstage_protocol::message::{BufferChanged, PlayerState};
use offstage_protocol::{Monotonic, Ranges};

use super::Output;
use super::players::Players;
use crate::hook::to_u64;
use crate::link::DeviceLink;
use crate::player::{Phase, Player};

/// HTMLMediaElement.HAVE_CURRENT_DATA: there is a picture.
const HAVE_CURRENT_DATA: u32 = 2;
/// Longest that the page's first data wait for a picture: what takes longer is dark rather than late.
const FIRST_PICTURE: Duration = Duration::from_millis(500);
/// Most answers that wait; a page has a few operations under way.
pub(super) const MOST_HELD: usize = 64;
/// An element whose media begin so shortly after its position begins with them (Chromium's `kSeekToStartFudgeRoom`).
const BEGINS_LATE_US: u64 = 1_000_000;

impl Players {
    /// Keeps an answer that would have the element show the stand-in before the device has a picture; gives back what isn't kept.
    pub(super) fn hold(now: Monotonic, player: &mut Player, changed: BufferChanged) -> Option<BufferChanged> {
        if !player.beginning.held.is_empty() {
            player.beginning.held.push_back(changed);
            return None;
        }
        if !may_begin(player, &changed) {
            return Some(changed);
        }
        if let Some(buffer) = player.buffers.get_mut(&changed.buffer) {
            // The picture can be laid out meanwhile.
            buffer.tracks = changed.tracks.or(buffer.tracks);
        }
        player.beginning.until = Some(now.after(FIRST_PICTURE));
        player.beginning.held.push_back(changed);
        None
    }

    /// Looks whether the device has its first picture; `true` if it has now.
    pub(super) fn handle_first_picture(player: &mut Player, state: &PlayerState) -> bool {
        let there = state.ready_state >= HAVE_CURRENT_DATA && state.width > 0 && state.height > 0;
        there && !std::mem::replace(&mut player.beginning.has_picture, there)
    }

    /// Tells the page what has waited.
    pub(super) fn let_begin(&mut self, key: (u32, u32), link: &mut DeviceLink, out: &mut VecDeque<Output>) {
        let Some(player) = self.players.get_mut(&key) else { return };
        (player.beginning.is_over, player.beginning.until) = (true, None);
        for changed in std::mem::take(&mut player.beginning.held) {
            self.tell_changed(key, &changed, link, out);
        }
    }

    /// The players whose first picture takes too long.
    pub(super) fn late_to_begin(&self, now: Monotonic) -> Vec<(u32, u32)> {
        let late = |player: &Player| player.beginning.until.is_some_and(|until| until <= now);
        self.players.iter().filter(|(_, player)| late(player)).map(|(key, _)| *key).collect()
    }

    pub(super) fn beginning_timeout(&self) -> Option<(Monotonic, &'static str)> {
        let limits = self.players.values().filter_map(|player| player.beginning.until);
        limits.min().map(|until| (until, "device has its first picture"))
    }
}

/// Whether with this answer the element would have a picture, and the device is about to.
fn may_begin(player: &Player, changed: &BufferChanged) -> bool {
    let tracks = changed.tracks.is_some_and(|tracks| tracks.width > 0 && tracks.height > 0);
    let is_seen = player.beginning.is_seen && (tracks || player.size().is_some());
    let begins = player.phase == Phase::Device && player.file.is_none() && is_seen;
    let waits = !player.beginning.has_picture && !player.beginning.is_over;
    if !begins || !waits || changed.op == 0 || changed.code != 0 {
        return false;
    }
    let position = player.wish.map_or(0, |wish| to_u64(wish.position * 1e6));
    // The device has no picture either before each of its buffers has data: a page may fill one after the other.
    player.buffers.iter().all(|(sb, buffer)| {
        let after = (*sb == changed.buffer).then(|| Ranges::from_flat(&changed.ranges_us));
        let held = after.as_ref().unwrap_or(&buffer.device);
        held.iter().any(|(start, end)| start <= position.saturating_add(BEGINS_LATE_US) && position < end)
    })
}
