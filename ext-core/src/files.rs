//! A player's own file: which of its resources there are, how the session fetches them, and what the device is told.
//!
//! The device names numbers, never addresses: number 0 is what the page's element plays, the others come from playlists. Where
//! policy has it so the device is offered the address; playlists and what needs a credential are the session's in any case.

use offstage_protocol::SortedMap;
use offstage_protocol::message::{FetchRange, FetchedRange};

use crate::hook::{FetchedEvent, to_u64};
use crate::playlist::{extension, rewrite};

/// Resources of one player: more than a day of live segments.
const MOST_RESOURCES: usize = 50_000;
/// Requests of one player at a time; a device that keeps to the protocol has fewer.
const MOST_OPEN: usize = 8;
/// Most bytes of one request.
const MOST_BYTES: u64 = 512 * 1024;
/// Longest address.
const MOST_URL: usize = 16 * 1024;
/// Longest playlist.
const MOST_PLAYLIST: u64 = 4 * 1024 * 1024;
/// What of a file the session looks at before the device fetches it: enough to know its length, and whether it is a playlist.
const PROBE: u64 = 8;
/// "Fetch it there", as HTTP has it.
const ELSEWHERE: u32 = 307;
const PLAYLIST_MIME: &str = "application/vnd.apple.mpegurl";

/// Who fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The page's document, with its own rights.
    Page,
    /// The extension's worker, for what an element may play and scripts may not read.
    Worker,
}

/// One thing to fetch. `end` is the byte after the last one; none fetches the whole resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub request: u32,
    pub url: String,
    pub start: u64,
    pub end: Option<u64>,
    pub way: Way,
}

/// What follows from an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Fetch(Order),
    Answer(FetchedRange),
}

#[derive(Debug, Default)]
struct Resource {
    url: String,
    /// Where the session was redirected to, maybe because of its cookies.
    moved: Option<String>,
    playlist: bool,
    /// A playlist as the device gets it.
    text: Option<Vec<u8>>,
    /// Bytes of the whole, once looked at.
    total: Option<u64>,
}

impl Resource {
    fn new(url: String, playlist: bool) -> Self {
        Self { url, playlist, ..Self::default() }
    }

    fn at(&self) -> &str {
        self.moved.as_ref().unwrap_or(&self.url)
    }
}

#[derive(Debug, Clone, Copy)]
struct Open {
    resource: u32,
    start: u64,
    end: u64,
    way: Way,
    /// Asks for what the device has to know before it fetches.
    probe: bool,
}

/// The resources of one player.
#[derive(Debug)]
pub struct Files {
    resources: Vec<Resource>,
    numbers: SortedMap<String, u32>,
    open: SortedMap<u32, Open>,
    way: Way,
    /// The Referer of a device that fetches by itself.
    device: Option<String>,
}

impl Files {
    /// `url` is what the element plays; nothing for what only its document can read. `reads` says that scripts of the document
    /// may most likely read it.
    #[must_use]
    pub fn new(url: &str, reads: bool) -> Option<Self> {
        if url.len() > MOST_URL {
            return None;
        }
        let web = url.starts_with("http://") || url.starts_with("https://");
        let way = if reads || !web { Way::Page } else { Way::Worker };
        let url = if web { url.to_owned() } else { String::new() };
        let playlist = extension(&url).eq_ignore_ascii_case("m3u8");
        let numbers = SortedMap::new();
        Some(Self {
            resources: vec![Resource::new(url, playlist)],
            numbers,
            open: SortedMap::new(),
            way,
            device: None,
        })
    }

    /// Offers the addresses to the device. `origin` is that of the document, by the browser's word.
    pub fn offer_to_device(&mut self, origin: &str) {
        let web = origin.starts_with("http://") || origin.starts_with("https://");
        self.device = Some(if web { format!("{origin}/") } else { String::new() });
    }

    /// The device doesn't fetch; true if that is news.
    pub fn keep_from_device(&mut self) -> bool {
        self.device.take().is_some()
    }

    /// The device asks for bytes.
    pub fn ask(&mut self, range: &FetchRange) -> Next {
        let FetchRange { player, request, resource, start, end, .. } = *range;
        let refuse =
            |status| Next::Answer(FetchedRange { player, request, status, ..FetchedRange::default() });
        let Some(wanted) = usize::try_from(resource).ok().and_then(|at| self.resources.get(at)) else {
            return refuse(404);
        };
        if start >= end || end - start > MOST_BYTES || self.open.len() >= MOST_OPEN {
            return refuse(503);
        }
        // A playlist is read anew each time that the device begins at its beginning.
        if let Some(text) = wanted.text.as_ref().filter(|_| start > 0) {
            return Next::Answer(slice(player, request, text, start, end));
        }
        let probe = self.device.is_some() && !wanted.playlist && is_plain(&wanted.url);
        // A film has a length to tell it from another; segments have not, and they are many.
        if probe && (resource > 0 || wanted.total.is_some()) {
            return Next::Answer(self.elsewhere(player, request, wanted));
        }
        self.open.insert(request, Open { resource, start, end, way: self.way, probe });
        self.order(request).map_or_else(|| refuse(404), Next::Fetch)
    }

    fn elsewhere(&self, player: u32, request: u32, wanted: &Resource) -> FetchedRange {
        let (location, referer) = (wanted.url.clone(), self.device.clone().unwrap_or_default());
        let (status, total) = (ELSEWHERE, wanted.total);
        FetchedRange { player, request, status, total, location, referer, ..FetchedRange::default() }
    }

    fn order(&self, request: u32) -> Option<Order> {
        let open = self.open.get(&request)?;
        let resource = self.resources.get(usize::try_from(open.resource).ok()?)?;
        let (start, end) = match (resource.playlist, open.probe) {
            (true, _) => (0, None),
            (false, true) => (0, Some(PROBE)),
            (false, false) => (open.start, Some(open.end)),
        };
        Some(Order { request, url: resource.at().to_owned(), start, end, way: open.way })
    }

    /// Somebody has fetched, or could not.
    pub fn take(&mut self, player: u32, got: FetchedEvent) -> Option<Next> {
        let request = got.request;
        let open = self.open.get_mut(&request)?;
        let answer = |status| FetchedRange { player, request, status, ..FetchedRange::default() };
        // The document may not read it, or not the headers that say what it is: it is the worker's from now on.
        let hidden = got.status == 0 || (got.status == 206 && got.range.is_empty());
        if hidden && open.way == Way::Page {
            open.way = Way::Worker;
            let order = self.order(request).filter(|order| !order.url.is_empty());
            if let Some(order) = order {
                self.way = Way::Worker;
                return Some(Next::Fetch(order));
            }
        }
        let open = self.open.remove(&request)?;
        if open.probe {
            return self.take_probe(player, open, &got);
        }
        let resource = self.resources.get_mut(usize::try_from(open.resource).ok()?)?;
        if got.url.len() <= MOST_URL && (got.url.starts_with("http://") || got.url.starts_with("https://")) {
            // Redirects are followed once.
            resource.moved = Some(got.url);
        }
        let data = got.data.into_vec();
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let (from, total) = match got.status {
            206 => parse_content_range(&got.range).unwrap_or((open.start, None)),
            200 => (if resource.playlist { 0 } else { open.start }, got.length.map(to_u64)),
            0 => return Some(Next::Answer(answer(502))),
            status => return Some(Next::Answer(answer(status))),
        };
        let kind = got.mime.to_ascii_lowercase();
        let is_playlist =
            resource.playlist || kind.contains("mpegurl") || (from == 0 && data.starts_with(b"#EXTM3U"));
        if is_playlist {
            if !std::mem::replace(&mut resource.playlist, true) && total != Some(length) {
                self.open.insert(request, open);
                return self.order(request).map(Next::Fetch);
            }
            if length > MOST_PLAYLIST {
                return Some(Next::Answer(answer(502)));
            }
            let base = resource.at().to_owned();
            let text = rewrite(&data, &base, &mut |url, playlist| self.name(url, playlist));
            let next = slice(player, request, &text, open.start, open.end);
            if let Some(resource) =
                usize::try_from(open.resource).ok().and_then(|at| self.resources.get_mut(at))
            {
                resource.text = Some(text);
            }
            return Some(Next::Answer(next));
        }
        if from != open.start || length > open.end - open.start {
            return Some(Next::Answer(answer(502)));
        }
        let mime = got.mime.chars().take(200).collect();
        Some(Next::Answer(FetchedRange { total, mime, data, ..answer(200) }))
    }

    /// The beginning of a file has come: it is the device's, if it is one whose length is known.
    fn take_probe(&mut self, player: u32, open: Open, got: &FetchedEvent) -> Option<Next> {
        let resource = self.resources.get_mut(usize::try_from(open.resource).ok()?)?;
        let playlist = got.mime.to_ascii_lowercase().contains("mpegurl") || got.data.starts_with(b"#EXTM3U");
        resource.playlist = playlist;
        resource.total = if got.status == 206 && !playlist {
            parse_content_range(&got.range).and_then(|(from, total)| total.filter(|_| from == 0))
        } else {
            None
        };
        let resource = self.resources.get(usize::try_from(open.resource).ok()?)?;
        if resource.total.is_some() && self.device.is_some() {
            return Some(Next::Answer(self.elsewhere(player, got.request, resource)));
        }
        if !playlist {
            self.device = None;
        }
        self.open.insert(got.request, Open { probe: false, ..open });
        self.order(got.request).map(Next::Fetch)
    }

    /// Whether a playlist is played, whose length may become better known.
    #[must_use]
    pub fn is_playlist(&self) -> bool {
        self.resources.first().is_some_and(|first| first.playlist)
    }

    /// The device doesn't want it any more; gives who may stop.
    pub fn cancel(&mut self, request: u32) -> Option<Way> {
        self.open.remove(&request).map(|open| open.way)
    }

    /// The name of an address in a playlist.
    fn name(&mut self, url: &str, playlist: bool) -> Option<String> {
        if url.len() > MOST_URL {
            return None;
        }
        let number = match self.numbers.get(&url.to_owned()) {
            Some(number) => *number,
            None if self.resources.len() >= MOST_RESOURCES => return None,
            None => {
                let number = u32::try_from(self.resources.len()).ok()?;
                self.resources.push(Resource::new(url.to_owned(), playlist));
                self.numbers.insert(url.to_owned(), number);
                number
            }
        };
        Some(match extension(url) {
            "" if playlist => format!("{number}.m3u8"),
            "" => number.to_string(),
            extension => format!("{number}.{extension}"),
        })
    }
}

fn slice(player: u32, request: u32, text: &[u8], start: u64, end: u64) -> FetchedRange {
    let at = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX).min(text.len());
    let (data, total) = (text.get(at(start)..at(end)).unwrap_or_default(), text.len() as u64);
    let (mime, data) = (PLAYLIST_MIME.to_owned(), data.to_vec());
    FetchedRange { player, request, status: 200, total: Some(total), mime, data, ..FetchedRange::default() }
}

/// An address on the web without a name and a password in it.
fn is_plain(url: &str) -> bool {
    let authority =
        url.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#', '\\']).next().unwrap_or_default());
    authority.is_some_and(|authority| !authority.is_empty() && !authority.contains('@'))
}

/// First byte and length of the whole of `bytes a-b/total`.
fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, total.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use serde_bytes::ByteBuf;

    use super::*;

    const URL: &str = "https://a.example/film.mp4";

    fn range(request: u32, resource: u32, start: u64, end: u64) -> FetchRange {
        FetchRange { player: 1, request, resource, start, end, refused: 0 }
    }

    fn got(request: u32, status: u32, range: &str, data: &[u8]) -> FetchedEvent {
        let data = ByteBuf::from(data.to_vec());
        let (url, mime) = (String::new(), "video/mp4".to_owned());
        FetchedEvent { ms: 1, request, status, url, range: range.to_owned(), length: None, mime, data }
    }

    fn answered(next: Option<Next>) -> FetchedRange {
        match next {
            Some(Next::Answer(answer)) => answer,
            other => panic!("no answer but {other:?}"),
        }
    }

    #[test]
    fn a_range_is_fetched_by_the_page_and_answered_with_the_length_of_the_whole() {
        let mut files = Files::new(URL, true).unwrap();
        let order = Order { request: 7, url: URL.into(), start: 5, end: Some(8), way: Way::Page };
        assert_eq!(files.ask(&range(7, 0, 5, 8)), Next::Fetch(order));
        let answer = answered(files.take(1, got(7, 206, "bytes 5-7/1000", &[1, 2, 3])));
        assert_eq!((answer.status, answer.total, answer.data), (200, Some(1000), vec![1, 2, 3]));
        assert_eq!(
            files.take(1, got(7, 206, "bytes 5-7/1000", &[1, 2, 3])),
            None,
            "asked once, answered once"
        );
    }

    #[test]
    fn what_the_page_may_not_read_is_the_workers() {
        let mut files = Files::new(URL, true).unwrap();
        files.ask(&range(7, 0, 5, 8));
        let Some(Next::Fetch(order)) = files.take(1, got(7, 0, "", &[])) else { panic!("not tried again") };
        assert_eq!(order.way, Way::Worker);
        assert_eq!(answered(files.take(1, got(7, 0, "", &[]))).status, 502);
        let Next::Fetch(order) = files.ask(&range(8, 0, 5, 8)) else { panic!("not fetched") };
        assert_eq!(order.way, Way::Worker);
        let mut own = Files::new("blob:https://a.example/1", true).unwrap();
        own.ask(&range(7, 0, 5, 8));
        assert_eq!(answered(own.take(1, got(7, 0, "", &[]))).status, 502, "the worker can't read a blob");
    }

    #[test]
    fn the_device_gets_nothing_but_what_was_offered() {
        let mut files = Files::new(URL, true).unwrap();
        for (resource, start, end, status) in [(1, 0, 5, 404), (0, 5, 5, 503), (0, 0, MOST_BYTES + 1, 503)] {
            let Next::Answer(answer) = files.ask(&range(1, resource, start, end)) else { panic!("fetched") };
            assert_eq!(answer.status, status);
        }
        files.ask(&range(2, 0, 5, 8));
        assert_eq!(
            answered(files.take(1, got(2, 206, "bytes 0-2/9", &[1, 2, 3]))).status,
            502,
            "other bytes"
        );
        files.ask(&range(2, 0, 5, 8));
        assert_eq!(answered(files.take(1, got(2, 200, "", &[1; 4]))).status, 502, "too many bytes");
        files.ask(&range(2, 0, 5, 8));
        assert_eq!(answered(files.take(1, got(2, 416, "", &[]))).status, 416);
    }

    #[test]
    fn a_redirect_is_followed_once() {
        let mut files = Files::new(URL, true).unwrap();
        files.ask(&range(1, 0, 0, 3));
        let url = "https://cdn.example/x".to_owned();
        files.take(1, FetchedEvent { url: url.clone(), ..got(1, 206, "bytes 0-2/9", &[1, 2, 3]) });
        let Next::Fetch(order) = files.ask(&range(2, 0, 3, 6)) else { panic!("not fetched") };
        assert_eq!(order.url, url);
    }

    #[test]
    fn a_playlist_is_read_whole_and_leads_to_numbered_resources() {
        let text = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow/list\n";
        let mut files = Files::new("https://a.example/v/master", false).unwrap();
        files.ask(&range(1, 0, 0, 8));
        let again = files.take(1, got(1, 206, "bytes 0-7/47", &text[..8]));
        let url = "https://a.example/v/master".to_owned();
        let whole = Order { request: 1, url, start: 0, end: None, way: Way::Worker };
        assert_eq!(again, Some(Next::Fetch(whole)));
        let rewritten = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n1.m3u8\n\n".as_bytes();
        let answer = answered(files.take(1, got(1, 200, "", text)));
        assert_eq!((answer.total, answer.data.as_slice()), (Some(rewritten.len() as u64), &rewritten[..8]));
        assert_eq!(answer.mime, PLAYLIST_MIME);
        let Next::Answer(rest) = files.ask(&range(2, 0, 8, 500)) else { panic!("read anew") };
        assert_eq!(rest.data, &rewritten[8..]);
        let Next::Fetch(order) = files.ask(&range(3, 1, 0, 500)) else { panic!("not fetched") };
        assert_eq!((order.url.as_str(), order.end), ("https://a.example/v/low/list", None));
        assert!(matches!(files.ask(&range(4, 0, 0, 500)), Next::Fetch(_)), "a live playlist is read anew");
    }

    fn offered() -> Files {
        let mut files = Files::new(URL, true).unwrap();
        files.offer_to_device("https://page.example");
        files
    }

    #[test]
    fn the_device_is_sent_to_a_file_of_which_the_session_sees_the_length() {
        let mut files = offered();
        let probe = Order { request: 7, url: URL.into(), start: 0, end: Some(PROBE), way: Way::Page };
        assert_eq!(files.ask(&range(7, 0, 500, 900)), Next::Fetch(probe));
        let moved = "https://cdn.example/secret".to_owned();
        let answer =
            answered(files.take(1, FetchedEvent { url: moved, ..got(7, 206, "bytes 0-7/1000", &[1; 8]) }));
        let location = (answer.status, answer.location.as_str(), answer.referer.as_str(), answer.total);
        assert_eq!(location, (307, URL, "https://page.example/", Some(1000)), "never where its cookies lead");
        let Next::Answer(again) = files.ask(&range(8, 0, 0, 9)) else { panic!("looked at again") };
        assert_eq!((again.location.as_str(), again.total), (URL, Some(1000)));
        assert!(files.keep_from_device() && !files.keep_from_device());
        let Next::Fetch(order) = files.ask(&range(9, 0, 0, 9)) else { panic!("not fetched") };
        assert_eq!((order.start, order.end), (0, Some(9)));
    }

    #[test]
    fn what_the_device_can_not_have_is_fetched_by_the_session() {
        for (status, range_text) in [(206, "bytes 0-7/*"), (206, "bytes 1-8/9"), (200, ""), (403, "")] {
            let mut files = offered();
            files.ask(&range(7, 0, 5, 9));
            let Some(Next::Fetch(order)) = files.take(1, got(7, status, range_text, &[1; 8])) else {
                panic!("not fetched: {status} {range_text}")
            };
            assert_eq!((order.start, order.end), (5, Some(9)));
            assert!(!files.keep_from_device(), "asked once");
        }
        for url in ["blob:https://a.example/1", "https://me@a.example/1", "https://me:x@a.example/1"] {
            let mut files = Files::new(url, true).unwrap();
            files.offer_to_device("https://a.example");
            let Next::Fetch(order) = files.ask(&range(7, 0, 5, 9)) else { panic!("not fetched") };
            assert_eq!((order.start, order.end), (5, Some(9)), "{url}");
        }
    }

    #[test]
    fn playlists_are_the_sessions_and_their_segments_the_devices() {
        let mut files = offered();
        files.ask(&range(1, 0, 0, 400));
        let Some(Next::Fetch(order)) = files.take(1, got(1, 206, "bytes 0-7/30", b"#EXTM3U\n")) else {
            panic!("not fetched")
        };
        assert_eq!(order.end, None, "whole");
        answered(files.take(1, got(1, 200, "", b"#EXTM3U\n#EXTINF:1,\nseg.ts\n")));
        let Next::Answer(answer) = files.ask(&range(2, 1, 0, 400)) else { panic!("fetched") };
        assert_eq!((answer.location.as_str(), answer.total), ("https://a.example/seg.ts", None));
    }
}
