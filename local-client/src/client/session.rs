//! What is known of one session.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use offstage_protocol::Mux;

use crate::channel::Peer;

/// Ids of players that are no more and that the session may still speak of.
const MAX_FAILED: usize = 1024;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) mux: Mux,
    pub(crate) peer: Peer,
    /// From the session's ids to the device's.
    pub(crate) players: BTreeMap<u32, u32>,
    /// The session has been told, or has itself said, that these are gone.
    failed: BTreeSet<u32>,
}

impl Session {
    pub(crate) fn new(mux: Mux, peer: Peer) -> Self {
        Self { mux, peer, players: BTreeMap::new(), failed: BTreeSet::new() }
    }

    /// Remembers that the player is no more; true if that is news.
    pub(crate) fn note_failed(&mut self, name: u32) -> bool {
        if self.failed.len() >= MAX_FAILED {
            self.failed.pop_first();
        }
        self.failed.insert(name)
    }

    pub(crate) fn forget_failed(&mut self, name: u32) {
        self.failed.remove(&name);
    }

    pub(crate) fn fail_all(&mut self) {
        for name in std::mem::take(&mut self.players).into_keys() {
            self.note_failed(name);
        }
    }
}
