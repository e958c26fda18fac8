//! What the device's own policy makes of sessions and players.

use offstage_protocol::ErrorCode;
use offstage_protocol::Monotonic;

use crate::client::Client;
use crate::policy::Policy;

impl Client {
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// From now on this counts; players that it does not allow fail.
    pub fn set_policy(&mut self, now: Monotonic, policy: Policy) {
        self.fetches.own_allowed = policy.guard().is_some();
        self.device.set_allowed(policy.plays());
        let forbidden = |origin: &str| !policy.plays() || !policy.allows(origin);
        let players: Vec<u32> =
            self.players.iter().filter(|(_, player)| forbidden(&player.origin)).map(|(id, _)| *id).collect();
        self.policy = policy;
        for player in players {
            self.fail_player(player, ErrorCode::CONSENT_REFUSED, "");
        }
        self.end_forbidden_calls();
        self.announce();
        self.pump(now);
    }
}
