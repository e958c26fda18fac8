//! What the engine's media elements ask of the sessions' files: which request waits for which answer.

use std::collections::BTreeMap;
use std::collections::VecDeque;

/// Requests of one player that are on their way to the session.
const MAX_OPEN: usize = 4;
/// Requests that wait for one of those; an element opens a few connections.
const MAX_WAITING: usize = 256;
/// Most bytes of one request.
pub const MAX_FETCH: u64 = 512 * 1024;

/// One stretch of one of a player's resources. `token` is the asker's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    pub token: u64,
    /// As the stage knows it.
    pub player: u32,
    pub resource: u32,
    pub start: u64,
    /// The byte after the last one.
    pub end: u64,
}

/// What has become of a [`Fetch`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// As HTTP has it; 200 for bytes.
    pub status: u32,
    pub total: Option<u64>,
    pub mime: String,
    pub data: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Fetches {
    open: BTreeMap<u32, Fetch>,
    waiting: VecDeque<Fetch>,
    last: u32,
    done: VecDeque<(u64, Fetched)>,
}

impl Fetches {
    pub(crate) fn ask(&mut self, fetch: Fetch) {
        let sensible = fetch.start < fetch.end && fetch.end - fetch.start <= MAX_FETCH;
        if sensible && self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(fetch);
        } else {
            self.refuse(fetch.token, 503);
        }
    }

    pub(crate) fn refuse(&mut self, token: u64, status: u32) {
        self.done.push_back((token, Fetched { status, ..Fetched::default() }));
    }

    /// The next request for a session, with its number.
    pub(crate) fn start(&mut self) -> Option<(u32, Fetch)> {
        let open = &self.open;
        let free =
            |fetch: &Fetch| open.values().filter(|other| other.player == fetch.player).count() < MAX_OPEN;
        let at = self.waiting.iter().position(free)?;
        let fetch = self.waiting.remove(at)?;
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.open.contains_key(&self.last) {
                break;
            }
        }
        self.open.insert(self.last, fetch);
        Some((self.last, fetch))
    }

    /// Takes a session's answer; one that nobody waits for any more is dropped.
    pub(crate) fn answer(&mut self, player: u32, request: u32, fetched: Fetched) {
        let Some(fetch) = self.open.get(&request).copied().filter(|fetch| fetch.player == player) else {
            return;
        };
        self.open.remove(&request);
        let length = u64::try_from(fetched.data.len()).unwrap_or(u64::MAX);
        if length > fetch.end - fetch.start {
            self.refuse(fetch.token, 502);
        } else {
            self.done.push_back((fetch.token, fetched));
        }
    }

    /// The asker has gone away; gives the request that its player's session may forget.
    pub(crate) fn cancel(&mut self, token: u64) -> Option<(u32, u32)> {
        self.waiting.retain(|fetch| fetch.token != token);
        let (request, fetch) = self.open.iter().find(|(_, fetch)| fetch.token == token)?;
        let found = (*request, fetch.player);
        self.open.remove(&found.0);
        Some((found.1, found.0))
    }

    /// The player is gone: nothing of it will be answered.
    pub(crate) fn drop_player(&mut self, player: u32) {
        let gone = |fetch: &Fetch| fetch.player == player;
        let open = self.open.values().chain(&self.waiting).filter(|fetch| gone(fetch));
        let tokens: Vec<u64> = open.map(|fetch| fetch.token).collect();
        self.open.retain(|_, fetch| !gone(fetch));
        self.waiting.retain(|fetch| !gone(fetch));
        for token in tokens {
            self.refuse(token, 410);
        }
    }

    pub(crate) fn poll(&mut self) -> Option<(u64, Fetched)> {
        self.done.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(token: u64, player: u32, end: u64) -> Fetch {
        Fetch { token, player, resource: 0, start: 0, end }
    }

    fn bytes(count: usize) -> Fetched {
        Fetched { status: 200, data: vec![7; count], ..Fetched::default() }
    }

    #[test]
    fn four_requests_of_a_player_are_open_at_a_time() {
        let mut fetches = Fetches::default();
        for token in 1..=6 {
            fetches.ask(fetch(token, 1, 10));
        }
        fetches.ask(fetch(7, 2, 10));
        let started: Vec<u64> =
            std::iter::from_fn(|| fetches.start()).map(|(_, fetch)| fetch.token).collect();
        assert_eq!(started, [1, 2, 3, 4, 7]);
        fetches.answer(1, 1, bytes(10));
        assert_eq!(fetches.poll(), Some((1, bytes(10))));
        assert_eq!(fetches.start().map(|(_, fetch)| fetch.token), Some(5));
    }

    #[test]
    fn answers_of_another_player_and_too_many_bytes_are_not_taken() {
        let mut fetches = Fetches::default();
        fetches.ask(fetch(1, 1, 10));
        assert_eq!(fetches.start(), Some((1, fetch(1, 1, 10))));
        fetches.answer(2, 1, bytes(10));
        assert_eq!(fetches.poll(), None);
        fetches.answer(1, 1, bytes(11));
        assert_eq!(fetches.poll().map(|(token, fetched)| (token, fetched.status)), Some((1, 502)));
        fetches.ask(fetch(2, 1, MAX_FETCH + 1));
        assert_eq!(fetches.poll().map(|(token, fetched)| (token, fetched.status)), Some((2, 503)));
    }

    #[test]
    fn what_is_given_up_is_forgotten_and_a_closed_player_answers_all() {
        let mut fetches = Fetches::default();
        for token in 1..=6 {
            fetches.ask(fetch(token, 1, 10));
        }
        while fetches.start().is_some() {}
        assert_eq!(fetches.cancel(2), Some((1, 2)));
        assert_eq!(fetches.cancel(2), None);
        assert_eq!(fetches.cancel(6), None);
        fetches.drop_player(1);
        let mut tokens: Vec<u64> = std::iter::from_fn(|| fetches.poll()).map(|(token, _)| token).collect();
        tokens.sort_unstable();
        assert_eq!(tokens, [1, 3, 4, 5]);
    }
}
