//! Messages that wait for the stage's socket.

use std::collections::VecDeque;

use offstage_protocol::message::ToStage;
use offstage_protocol::message::ToStageKind;
use offstage_protocol::prost::Message as _;

/// Nothing is taken from a session while so many bytes wait.
const ROOM: usize = 1024 * 1024;
/// The same for messages: small ones cost memory too.
const ROOM_MESSAGES: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct StageQueue {
    open: bool,
    queue: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl StageQueue {
    pub(crate) fn open(&mut self) {
        self.clear();
        self.open = true;
    }

    pub(crate) fn close(&mut self) {
        self.clear();
        self.open = false;
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }

    /// Whether more may be taken from the sessions. Without a stage everything is taken, and dropped.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < ROOM && self.queue.len() < ROOM_MESSAGES
    }

    /// Always takes: who asks [`Self::has_room`] first keeps it bounded.
    pub(crate) fn push(&mut self, kind: ToStageKind) {
        if self.open {
            let message = ToStage { kind: Some(kind) }.encode_to_vec();
            self.bytes = self.bytes.saturating_add(message.len());
            self.queue.push_back(message);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Vec<u8>> {
        let message = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(message.len());
        Some(message)
    }
}
