//! Players that go back to the session: the device plays on until the page says that its own picture is there, so that nothing
//! between the two is seen or heard.

use super::players::Players;
use crate::link::DeviceLink;
use crate::player::Phase;

/// What leaving came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The page has to be told.
    Now,
    /// It had been told before; the device has stopped.
    Before,
}

impl Players {
    /// A player goes back to the session. What the device doesn't play yet ends there at once.
    pub(super) fn leave(&mut self, key: (u32, u32), link: &mut DeviceLink) -> Left {
        let player = self.players.get_mut(&key);
        let phase = player.as_ref().map(|player| player.phase);
        if let (Some(player), Some(Phase::Device)) = (player, phase) {
            player.phase = Phase::Leaving(None);
            player.file = None;
            return Left::Now;
        }
        self.close(key, link);
        if phase.is_some_and(Phase::is_leaving) { Left::Before } else { Left::Now }
    }

    /// The players that have not been told to leave.
    pub(super) fn staying(&self) -> Vec<(u32, u32)> {
        let staying = self.players.iter().filter(|(_, player)| !player.phase.is_leaving());
        staying.map(|(key, _)| *key).collect()
    }
}
