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
    /// What goes before the queue: where pictures are is soon out of date.
    first: VecDeque<Vec<u8>>,
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
        self.first.clear();
        self.bytes = 0;
    }

    /// Whether more may be taken from the sessions. Without a stage everything is taken, and dropped.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < ROOM && self.queue.len() + self.first.len() < ROOM_MESSAGES
    }

    /// Always takes: who asks [`Self::has_room`] first keeps it bounded.
    pub(crate) fn push(&mut self, kind: ToStageKind) {
        if self.open {
            let message = ToStage { kind: Some(kind) }.encode_to_vec();
            self.bytes = self.bytes.saturating_add(message.len());
            self.queue.push_back(message);
        }
    }

    /// As [`Self::push`], ahead of what waits.
    pub(crate) fn push_first(&mut self, kind: ToStageKind) {
        if self.open {
            let message = ToStage { kind: Some(kind) }.encode_to_vec();
            self.bytes = self.bytes.saturating_add(message.len());
            self.first.push_back(message);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Vec<u8>> {
        let message = self.first.pop_front().or_else(|| self.queue.pop_front())?;
        self.bytes = self.bytes.saturating_sub(message.len());
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use offstage_protocol::message::CloseAll;
    use offstage_protocol::message::HidePicture;

    use super::*;

    #[test]
    fn where_pictures_are_goes_before_what_waits() {
        let mut queue = StageQueue::default();
        queue.open();
        let close = ToStageKind::CloseAll(CloseAll { players: vec![1] });
        let hide = |player| ToStageKind::HidePicture(HidePicture { player });
        queue.push(close.clone());
        queue.push_first(hide(2));
        queue.push_first(hide(3));
        let popped = std::iter::from_fn(|| ToStage::decode(queue.pop()?.as_slice()).ok()?.kind);
        assert_eq!(popped.collect::<Vec<_>>(), [hide(2), hide(3), close]);
        assert_eq!(queue.bytes, 0);
    }
}
