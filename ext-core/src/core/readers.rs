//! What has to play in the session because something there reads it, and for how long.

use std::time::Duration;

use offstage_protocol::{ErrorCode, Monotonic, SortedMap};

use crate::hook::Reader;

/// A player whose pixels have been read may go to the device after so long without a read; each time that it had to come back
/// doubles it, up to the longest.
const QUIET: Duration = Duration::from_secs(10);
const LONGEST_QUIET: Duration = Duration::from_secs(600);
/// Most players of one document that are remembered.
const MOST_HOLDS: usize = 128;
/// Most origins that are remembered.
const MOST_ORIGINS: usize = 1000;

/// A document's number and the page's number of a player.
type Key = (u32, u32);

/// Why a player plays in the session.
#[derive(Debug)]
struct Hold {
    code: ErrorCode,
    /// Not any more.
    over: bool,
    /// Until then, if nothing is read; none: until told otherwise.
    until: Option<Monotonic>,
    /// How often it came to it.
    times: u32,
}

/// Everything that reads, over all documents.
#[derive(Debug, Default)]
pub(super) struct Readers {
    holds: SortedMap<Key, Hold>,
    /// Origins whose pages have read a video, since the browser's start: their next videos begin in the session.
    origins: SortedMap<String, ()>,
    /// Documents that share a screen, and the players that wait for the end of it.
    sharers: SortedMap<u32, ()>,
    waiting: SortedMap<Key, ()>,
}

impl Readers {
    /// Something is read. Gives the code with which the player plays in the session.
    pub(super) fn read(&mut self, now: Monotonic, key: Key, reader: Reader, origin: &str) -> ErrorCode {
        let code = match reader {
            Reader::Pixels => ErrorCode::PIXELS_READ,
            Reader::Sound => ErrorCode::SOUND_READ,
            Reader::Stream => ErrorCode::STREAM_CAPTURED,
            Reader::Window => ErrorCode::PICTURE_IN_PICTURE,
        };
        // A person opens the small window, not the page.
        if reader != Reader::Window && self.origins.len() < MOST_ORIGINS {
            self.origins.insert(origin.to_owned(), ());
        }
        self.hold(now, key, code, reader == Reader::Pixels);
        code
    }

    /// The small window is closed. True if the player may go to the device.
    pub(super) fn ended(&mut self, key: Key) -> bool {
        let hold = self.holds.get_mut(&key);
        let Some(hold) = hold.filter(|hold| hold.code == ErrorCode::PICTURE_IN_PICTURE) else { return false };
        hold.over = true;
        true
    }

    /// Whether a player that asks for the device has to play in the session.
    pub(super) fn refuses(&mut self, now: Monotonic, key: Key, origin: &str) -> Option<ErrorCode> {
        match self.holds.get(&key) {
            Some(hold) if !hold.over => return Some(hold.code),
            Some(_) => {}
            None if self.origins.contains_key(&origin.to_owned()) => {
                self.hold(now, key, ErrorCode::PIXELS_READ, true);
                return Some(ErrorCode::PIXELS_READ);
            }
            None => {}
        }
        if self.sharers.is_empty() {
            return None;
        }
        self.wait(key);
        Some(ErrorCode::SCREEN_SHARED)
    }

    /// A document has begun to share a screen.
    pub(super) fn share(&mut self, document: u32) {
        self.sharers.insert(document, ());
    }

    /// This player waits for the end of all sharing.
    pub(super) fn wait(&mut self, key: Key) {
        let (document, _) = key;
        if self.waiting.range((document, 0)..=(document, u32::MAX)).count() < MOST_HOLDS {
            self.waiting.insert(key, ());
        }
    }

    /// A document has ended its share. Gives the players that may go to the device.
    pub(super) fn unshare(&mut self, document: u32) -> Vec<Key> {
        if self.sharers.remove(&document).is_none() || !self.sharers.is_empty() {
            return Vec::new();
        }
        std::mem::take(&mut self.waiting).into_keys().collect()
    }

    /// The document is gone. Gives the players of others that may go to the device.
    pub(super) fn forget(&mut self, document: u32) -> Vec<Key> {
        let held: Vec<Key> =
            self.holds.range((document, 0)..=(document, u32::MAX)).map(|(key, _)| *key).collect();
        for key in held {
            self.holds.remove(&key);
        }
        self.unshare(document).into_iter().filter(|key| key.0 != document).collect()
    }

    /// Players that have not been read for long enough.
    pub(super) fn handle_timeout(&mut self, now: Monotonic) -> Vec<Key> {
        let mut free = Vec::new();
        for (key, hold) in self.holds.iter_mut() {
            if hold.until.is_some_and(|until| !hold.over && until <= now) {
                hold.over = true;
                free.push(*key);
            }
        }
        free
    }

    pub(super) fn poll_timeout(&self) -> Option<(Monotonic, &'static str)> {
        let holds = self.holds.values().filter(|hold| !hold.over);
        holds.filter_map(|hold| Some((hold.until?, "pixels are read"))).min()
    }

    fn hold(&mut self, now: Monotonic, key: Key, code: ErrorCode, passes: bool) {
        let (document, _) = key;
        let before = self.holds.remove(&key);
        let mut mine = self.holds.range((document, 0)..=(document, u32::MAX)).map(|(key, _)| *key);
        let oldest = mine.next();
        if mine.count() >= MOST_HOLDS - 1 {
            oldest.map(|oldest| self.holds.remove(&oldest));
        }
        // What stays for good is not cut short by what passes.
        if let Some(before) =
            before.as_ref().filter(|before| passes && !before.over && before.until.is_none())
        {
            let (code, times) = (before.code, before.times);
            self.holds.insert(key, Hold { code, over: false, until: None, times });
            return;
        }
        let times = before.map_or(1, |before| before.times.saturating_add(u32::from(before.over)));
        let quiet = QUIET.saturating_mul(1 << (times - 1).min(10)).min(LONGEST_QUIET);
        let until = passes.then(|| now.after(quiet));
        self.holds.insert(key, Hold { code, over: false, until, times });
    }
}
