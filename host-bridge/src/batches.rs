//! A queue of whole frames, handed out in batches.

use std::collections::VecDeque;

/// Keeps frames in order and gives them out joined, each batch at most as long as the limit (one frame that is longer
/// than the limit would be a batch of its own; frames are at most 16 KiB). Frames are copied once, when they come in.
///
/// It does not refuse anything: whoever fills it looks at [`Batches::len`] first.
#[derive(Debug)]
pub struct Batches {
    limit: usize,
    full: VecDeque<Vec<u8>>,
    open: Vec<u8>,
    len: usize,
}

impl Batches {
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, full: VecDeque::new(), open: Vec::new(), len: 0 }
    }

    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes one whole frame.
    pub fn push(&mut self, frame: &[u8]) {
        if !self.open.is_empty() && self.open.len() + frame.len() > self.limit {
            self.full.push_back(core::mem::take(&mut self.open));
        }
        self.open.extend_from_slice(frame);
        self.len += frame.len();
    }

    /// The oldest frames, as many as fit.
    pub fn pop(&mut self) -> Option<Vec<u8>> {
        let batch = self.full.pop_front().unwrap_or_else(|| core::mem::take(&mut self.open));
        self.len -= batch.len();
        (!batch.is_empty()).then_some(batch)
    }

    /// Forgets everything that waits.
    pub fn clear(&mut self) {
        self.full.clear();
        self.open.clear();
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::proptest;

    use super::*;

    #[test]
    fn frames_are_joined_up_to_the_limit_and_never_cut() {
        let mut batches = Batches::new(5);
        for frame in [&b"aa"[..], b"bbb", b"c", b"dddddd", b"e"] {
            batches.push(frame);
        }
        assert_eq!(batches.len(), 13);
        let popped: Vec<_> = core::iter::from_fn(|| batches.pop()).collect();
        assert_eq!(popped, [&b"aabbb"[..], b"c", b"dddddd", b"e"]);
        assert!(batches.is_empty());
    }

    #[test]
    fn clear_forgets_everything() {
        let mut batches = Batches::new(2);
        batches.push(b"aa");
        batches.push(b"bb");
        batches.clear();
        assert_eq!((batches.len(), batches.pop()), (0, None));
    }

    proptest! {
        #[test]
        fn bytes_keep_their_order(frames in vec(vec(0u8.., 1..20), 0..50), limit in 20usize..60, pops in vec(0usize..3, 50)) {
            let mut batches = Batches::new(limit);
            let mut out = Vec::new();
            for (frame, pops) in frames.iter().zip(&pops) {
                batches.push(frame);
                for _ in 0..*pops {
                    out.extend(batches.pop().inspect(|batch| assert!(batch.len() <= limit)).into_iter().flatten());
                }
            }
            out.extend(core::iter::from_fn(|| batches.pop()).flatten());
            assert_eq!(out, frames.concat());
            assert!(batches.is_empty());
        }
    }
}
