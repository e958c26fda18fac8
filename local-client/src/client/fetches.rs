//! What the engine's media elements ask of the sessions' files: which request waits for which answer, and who fetches.
//!
//! A session may offer the address of a resource. If this device's policy allows that, the device fetches from there by itself,
//! until that fails for the first time; from then on the session fetches everything of that player.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use offstage_protocol::ErrorCode;

/// Requests of one player that are on their way to the session.
const MAX_OPEN: usize = 4;
/// Requests that wait for one of those; an element opens a few connections.
const MAX_WAITING: usize = 256;
/// Requests of the device's own that are open, over all players.
const MAX_OWN: usize = 16;
/// Offers of one player that are remembered; another one is made when it is needed.
const MAX_OFFERS: usize = 64;
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

/// Where the device may fetch a resource by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Offer {
    pub(crate) url: String,
    pub(crate) referer: String,
    /// Bytes of the whole, as the session sees it: what has another length is another file.
    pub(crate) total: Option<u64>,
}

/// One request of the device's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFetch {
    pub request: u32,
    pub url: String,
    pub referer: String,
    pub total: Option<u64>,
    pub start: u64,
    /// The byte after the last one.
    pub end: u64,
}

/// What the device's own fetching is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnCommand {
    Fetch(OwnFetch),
    /// Its answer is not wanted any more.
    Cancel(u32),
}

/// A request for a session, which fetches by itself because of `refused`, if that is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) request: u32,
    pub(crate) fetch: Fetch,
    pub(crate) refused: u32,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    fetch: Fetch,
    /// The device fetches it.
    own: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Fetches {
    /// Whether this device's policy lets it fetch by itself.
    pub(crate) own_allowed: bool,
    open: BTreeMap<u32, Open>,
    waiting: VecDeque<Fetch>,
    last: u32,
    done: VecDeque<(u64, Fetched)>,
    /// By player and resource.
    offers: BTreeMap<(u32, u32), Offer>,
    /// Players of which the device fetches nothing, and why.
    refused: BTreeMap<u32, ErrorCode>,
    own: VecDeque<OwnCommand>,
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

    /// The next request for a session; what the device fetches by itself is on its way.
    pub(crate) fn start(&mut self) -> Option<Asked> {
        loop {
            let own_open = self.open.values().filter(|open| open.own).count();
            let free = |fetch: &Fetch| {
                let is_own = self.offers.contains_key(&(fetch.player, fetch.resource));
                let of_player = self.open.values().filter(|open| open.fetch.player == fetch.player).count();
                of_player < MAX_OPEN && !(is_own && own_open >= MAX_OWN)
            };
            let at = self.waiting.iter().position(free)?;
            let fetch = self.waiting.remove(at)?;
            loop {
                self.last = self.last.wrapping_add(1);
                if !self.open.contains_key(&self.last) {
                    break;
                }
            }
            let request = self.last;
            let offer = self.offers.get(&(fetch.player, fetch.resource)).cloned();
            self.open.insert(request, Open { fetch, own: offer.is_some() });
            let Some(Offer { url, referer, total }) = offer else {
                let refused = self.refused.get(&fetch.player).map_or(0, |code| code.number());
                return Some(Asked { request, fetch, refused });
            };
            let (start, end) = (fetch.start, fetch.end.min(total.unwrap_or(u64::MAX)));
            if start >= end {
                self.open.remove(&request);
                self.done.push_back((fetch.token, Fetched { status: 416, total, ..Fetched::default() }));
                continue;
            }
            self.own.push_back(OwnCommand::Fetch(OwnFetch { request, url, referer, total, start, end }));
        }
    }

    /// A session says where the device may fetch by itself.
    pub(crate) fn offered(&mut self, player: u32, request: u32, offer: Offer) {
        let Some(fetch) = self.session_has(player, request) else { return };
        self.open.remove(&request);
        if self.refused.contains_key(&player) {
            // It has been told that it must not.
            return self.refuse(fetch.token, 502);
        }
        if self.own_allowed {
            let mine = (player, 0)..=(player, u32::MAX);
            if self.offers.range(mine.clone()).count() >= MAX_OFFERS
                && let Some(first) = self.offers.range(mine).next().map(|(key, _)| *key)
            {
                self.offers.remove(&first);
            }
            self.offers.insert((player, fetch.resource), offer);
        } else {
            self.refused.insert(player, ErrorCode::FETCH_NOT_ALLOWED);
        }
        self.waiting.push_front(fetch);
    }

    /// The device has fetched by itself, or could not: then the session does, from now on.
    pub(crate) fn own_done(&mut self, request: u32, fetched: Result<Fetched, ErrorCode>) {
        let Some(Open { fetch, .. }) = self.open.get(&request).copied().filter(|open| open.own) else {
            return;
        };
        self.open.remove(&request);
        match fetched {
            Ok(fetched) => self.done.push_back((fetch.token, fetched)),
            Err(code) => {
                let player = fetch.player;
                if self.refused.insert(player, code).is_none() {
                    tracing::info!(player, %code, "the session fetches a file that this device can't");
                }
                self.offers.retain(|(other, _), _| *other != player);
                self.waiting.push_front(fetch);
            }
        }
    }

    /// Takes a session's answer; one that nobody waits for any more is dropped.
    pub(crate) fn answer(&mut self, player: u32, request: u32, fetched: Fetched) {
        let Some(fetch) = self.session_has(player, request) else { return };
        self.open.remove(&request);
        let length = u64::try_from(fetched.data.len()).unwrap_or(u64::MAX);
        if length > fetch.end - fetch.start {
            self.refuse(fetch.token, 502);
        } else {
            self.done.push_back((fetch.token, fetched));
        }
    }

    fn session_has(&self, player: u32, request: u32) -> Option<Fetch> {
        let open = self.open.get(&request)?;
        (!open.own && open.fetch.player == player).then_some(open.fetch)
    }

    /// The asker has gone away; gives the request that its player's session may forget.
    pub(crate) fn cancel(&mut self, token: u64) -> Option<(u32, u32)> {
        self.waiting.retain(|fetch| fetch.token != token);
        let (request, open) = self.open.iter().find(|(_, open)| open.fetch.token == token)?;
        let (request, open) = (*request, *open);
        self.open.remove(&request);
        if open.own {
            self.own.push_back(OwnCommand::Cancel(request));
            return None;
        }
        Some((open.fetch.player, request))
    }

    /// The player is gone: nothing of it will be answered.
    pub(crate) fn drop_player(&mut self, player: u32) {
        let mut tokens = Vec::new();
        for (request, open) in self.open.iter().filter(|(_, open)| open.fetch.player == player) {
            tokens.push(open.fetch.token);
            if open.own {
                self.own.push_back(OwnCommand::Cancel(*request));
            }
        }
        tokens.extend(self.waiting.iter().filter(|fetch| fetch.player == player).map(|fetch| fetch.token));
        self.open.retain(|_, open| open.fetch.player != player);
        self.waiting.retain(|fetch| fetch.player != player);
        self.offers.retain(|(other, _), _| *other != player);
        self.refused.remove(&player);
        for token in tokens {
            self.refuse(token, 410);
        }
    }

    pub(crate) fn poll(&mut self) -> Option<(u64, Fetched)> {
        self.done.pop_front()
    }

    pub(crate) fn poll_own(&mut self) -> Option<OwnCommand> {
        self.own.pop_front()
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
            std::iter::from_fn(|| fetches.start()).map(|asked| asked.fetch.token).collect();
        assert_eq!(started, [1, 2, 3, 4, 7]);
        fetches.answer(1, 1, bytes(10));
        assert_eq!(fetches.poll(), Some((1, bytes(10))));
        assert_eq!(fetches.start().map(|asked| asked.fetch.token), Some(5));
    }

    #[test]
    fn answers_of_another_player_and_too_many_bytes_are_not_taken() {
        let mut fetches = Fetches::default();
        fetches.ask(fetch(1, 1, 10));
        assert_eq!(fetches.start(), Some(Asked { request: 1, fetch: fetch(1, 1, 10), refused: 0 }));
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

    fn offer(url: &str) -> Offer {
        Offer { url: url.to_owned(), referer: "https://a.example/".to_owned(), total: Some(25) }
    }

    fn allowing() -> Fetches {
        Fetches { own_allowed: true, ..Fetches::default() }
    }

    fn own(request: u32, start: u64, end: u64) -> OwnCommand {
        let Offer { url, referer, total } = offer("https://b.example/1");
        OwnCommand::Fetch(OwnFetch { request, url, referer, total, start, end })
    }

    #[test]
    fn what_is_offered_is_fetched_by_the_device_until_that_fails() {
        let mut fetches = allowing();
        fetches.ask(fetch(1, 1, 10));
        assert_eq!(fetches.start().map(|asked| (asked.request, asked.refused)), Some((1, 0)));
        fetches.offered(2, 1, offer("https://b.example/2"));
        assert_eq!((fetches.poll_own(), fetches.start()), (None, None), "another player's");
        fetches.offered(1, 1, offer("https://b.example/1"));
        assert_eq!(fetches.start(), None);
        assert_eq!(fetches.poll_own(), Some(own(2, 0, 10)));
        fetches.answer(1, 2, bytes(3));
        assert_eq!(fetches.poll(), None, "the session has not been asked");
        fetches.own_done(2, Ok(bytes(10)));
        assert_eq!(fetches.poll(), Some((1, bytes(10))));
        fetches.ask(Fetch { start: 20, ..fetch(2, 1, 30) });
        fetches.ask(Fetch { start: 25, ..fetch(3, 1, 30) });
        assert_eq!(fetches.start(), None, "no need to ask for what is known");
        assert_eq!(fetches.poll_own(), Some(own(3, 20, 25)));
        assert_eq!(fetches.poll().map(|(token, fetched)| (token, fetched.status)), Some((3, 416)));
        fetches.own_done(3, Err(ErrorCode::FETCH_REFUSED));
        let asked = fetches.start().unwrap();
        assert_eq!((asked.fetch.token, asked.refused), (2, 1355));
        fetches.offered(1, asked.request, offer("https://b.example/1"));
        assert_eq!((fetches.start(), fetches.poll_own()), (None, None));
        assert_eq!(
            fetches.poll().map(|(token, fetched)| (token, fetched.status)),
            Some((2, 502)),
            "no endless offers"
        );
    }

    #[test]
    fn a_device_that_does_not_allow_it_says_so_and_fetches_nothing() {
        let mut fetches = Fetches::default();
        fetches.ask(fetch(1, 1, 10));
        fetches.start();
        fetches.offered(1, 1, offer("https://b.example/1"));
        let asked = fetches.start().unwrap();
        assert_eq!((asked.fetch.token, asked.refused), (1, 1350));
        assert_eq!(fetches.poll_own(), None);
        fetches.answer(1, asked.request, bytes(10));
        assert_eq!(fetches.poll(), Some((1, bytes(10))));
    }

    #[test]
    fn what_the_device_fetches_is_bounded_and_ends_with_its_asker() {
        let mut fetches = allowing();
        for player in 1..=20 {
            fetches.ask(fetch(player.into(), player, 10));
            let request = fetches.start().unwrap().request;
            fetches.offered(player, request, offer("https://b.example/1"));
        }
        assert_eq!(fetches.start(), None);
        let started: Vec<OwnCommand> = std::iter::from_fn(|| fetches.poll_own()).collect();
        assert_eq!(started.len(), MAX_OWN);
        let OwnCommand::Fetch(first) = &started[0] else { panic!("cancelled") };
        assert_eq!(fetches.cancel(1), None);
        assert_eq!(fetches.poll_own(), Some(OwnCommand::Cancel(first.request)));
        fetches.own_done(first.request, Ok(bytes(10)));
        assert_eq!((fetches.poll(), fetches.start()), (None, None));
        assert!(matches!(fetches.poll_own(), Some(OwnCommand::Fetch(_))), "there is room again");
        fetches.drop_player(2);
        assert!(matches!(fetches.poll_own(), Some(OwnCommand::Cancel(_))));
        assert_eq!(fetches.poll().map(|(token, fetched)| (token, fetched.status)), Some((2, 410)));
    }

    #[test]
    fn offers_of_a_player_are_bounded() {
        let mut fetches = allowing();
        for resource in 0..100 {
            fetches.ask(Fetch { resource, ..fetch(resource.into(), 1, 10) });
            let request = fetches.start().unwrap().request;
            fetches.offered(1, request, offer("https://b.example/1"));
            fetches.start();
            let Some(OwnCommand::Fetch(own)) = fetches.poll_own() else { panic!("not fetched") };
            fetches.own_done(own.request, Ok(bytes(10)));
        }
        assert_eq!(fetches.offers.len(), MAX_OFFERS);
    }

    proptest::proptest! {
        /// In whatever order askers, sessions and servers speak: nobody is answered twice, nothing grows, and nothing is left open.
        #[test]
        fn everybody_is_answered_at_most_once(steps in proptest::collection::vec((0_u8..7, 1_u32..4, 0_u32..40), 0..300)) {
            let mut fetches = allowing();
            let (mut token, mut answered) = (0, std::collections::BTreeSet::new());
            for (what, player, number) in steps {
                match what {
                    0 | 1 => {
                        token += 1;
                        fetches.ask(Fetch { resource: number % 3, ..fetch(token, player, 10) });
                    }
                    2 => fetches.offered(player, number, offer("https://b.example/1")),
                    3 => fetches.own_done(number, Ok(bytes(3))),
                    4 => fetches.own_done(number, Err(ErrorCode::FETCH_TOO_SLOW)),
                    5 => fetches.answer(player, number, bytes(3)),
                    _ if number == 0 => fetches.drop_player(player),
                    _ => drop(fetches.cancel(number.into())),
                }
                while fetches.start().is_some() {}
                while let Some((token, _)) = fetches.poll() {
                    proptest::prop_assert!(answered.insert(token), "{} twice", token);
                }
                let own = fetches.open.values().filter(|open| open.own).count();
                proptest::prop_assert!(own <= MAX_OWN && fetches.open.len() <= 3 * MAX_OPEN);
            }
            for player in 1..4 {
                fetches.drop_player(player);
            }
            proptest::prop_assert!(fetches.open.is_empty() && fetches.waiting.is_empty());
            proptest::prop_assert!(fetches.offers.is_empty() && fetches.refused.is_empty());
        }
    }
}
