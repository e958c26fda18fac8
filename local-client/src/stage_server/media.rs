//! Files of a session for the engine's media elements: HTTP with ranges, whose bytes come from the session piece by piece.
//!
//! Nothing is asked for that the element doesn't read: a few pieces are on their way for each connection, and one that
//! the element closes is told to the session.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse as _;
use axum::response::Response;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use super::Shared;
use super::StageEvent;
use crate::client::Fetch;
use crate::client::Fetched;
use crate::client::MAX_FETCH;

/// The first piece of an answer is small, so that a seek costs little; each further one is twice as large.
const FIRST_PIECE: u64 = 64 * 1024;
/// Pieces of one answer that are asked for at a time.
const AHEAD: usize = 2;

/// A request on its way; forgetting it tells the session so.
#[derive(Debug)]
struct Asked {
    token: u64,
    length: u64,
    answer: oneshot::Receiver<Fetched>,
    events: mpsc::Sender<StageEvent>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.answer.close();
        // A full queue costs the session bytes that nobody reads, nothing else.
        self.events.try_send(StageEvent::FetchDropped { token: self.token }).ok();
    }
}

/// The rest of an answer.
#[derive(Debug)]
struct Feed {
    shared: Arc<Shared>,
    player: u32,
    resource: u32,
    at: u64,
    /// Where the answer ends; none while that is not known.
    end: Option<u64>,
    piece: u64,
    asked: VecDeque<Asked>,
}

/// Answers `media/<player>/<resource>[.<extension>]`.
pub(super) async fn answer(shared: &Arc<Shared>, name: &str, headers: &HeaderMap) -> Response {
    let Some((player, resource)) = parse_name(name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let range = headers.get(header::RANGE).and_then(|value| parse_range(value.to_str().ok()?));
    let (start, end) = range.unwrap_or((0, None));
    let mut feed = Feed {
        shared: Arc::clone(shared),
        player,
        resource,
        at: start,
        end,
        piece: FIRST_PIECE,
        asked: VecDeque::new(),
    };
    let Some(first) = feed.next().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let end = match (first.total, end) {
        (Some(total), Some(end)) => Some(end.min(total)),
        (total, end) => total.or(end),
    };
    let status = match first.status {
        200 if first.total.is_some_and(|total| start >= total && start > 0) => {
            StatusCode::RANGE_NOT_SATISFIABLE
        }
        200 if range.is_some() && end.is_some() => StatusCode::PARTIAL_CONTENT,
        200 => StatusCode::OK,
        other => u16::try_from(other)
            .ok()
            .and_then(|other| StatusCode::from_u16(other).ok())
            .filter(|other| other.is_client_error() || other.is_server_error())
            .unwrap_or(StatusCode::BAD_GATEWAY),
    };
    let total = first.total.map_or_else(|| "*".to_owned(), |total| total.to_string());
    if !status.is_success() {
        let unit = (status == StatusCode::RANGE_NOT_SATISFIABLE)
            .then(|| [(header::CONTENT_RANGE, format!("bytes */{total}"))]);
        return (status, unit.into_iter().next().unwrap_or([(header::CONTENT_RANGE, String::new())]))
            .into_response();
    }
    feed.end = end;
    let kind = HeaderValue::from_static(media_type(&first.mime));
    let mut response =
        Body::from_stream(stream::unfold((Some(first), feed), |(first, mut feed)| async move {
            let next = match first {
                Some(first) => Some(first),
                None => feed.next().await,
            }?;
            match (next.status, next.data.is_empty()) {
                (200, true) | (416, _) if feed.end.is_none() => None,
                (200, false) => Some((Ok(next.data), (None, feed))),
                _ => Some((Err(io::Error::other("the session has no more of it")), (None, feed.ended()))),
            }
        }))
        .into_response();
    *response.status_mut() = status;
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, kind);
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(end) = end {
        out.insert(header::CONTENT_LENGTH, HeaderValue::from(end.saturating_sub(start)));
        if status == StatusCode::PARTIAL_CONTENT
            && let Ok(value) =
                HeaderValue::from_str(&format!("bytes {start}-{}/{total}", end.saturating_sub(1)))
        {
            out.insert(header::CONTENT_RANGE, value);
        }
    }
    response
}

impl Feed {
    /// The next piece; asks for those after it.
    async fn next(&mut self) -> Option<Fetched> {
        // The first one tells how much there is.
        let ahead = if self.piece == FIRST_PIECE { 1 } else { AHEAD };
        while self.asked.len() < ahead && self.end.is_none_or(|end| self.at < end) {
            let end = self.at.saturating_add(self.piece).min(self.end.unwrap_or(u64::MAX));
            let (token, reply) = (self.shared.next_token(), oneshot::channel());
            let events = self.shared.events.clone();
            let fetch = Fetch { token, player: self.player, resource: self.resource, start: self.at, end };
            self.asked.push_back(Asked {
                token,
                length: end - self.at,
                answer: reply.1,
                events: events.clone(),
            });
            events.send(StageEvent::FetchAsked { fetch, reply: reply.0 }).await.ok()?;
            self.at = end;
            self.piece = (self.piece * 2).min(MAX_FETCH);
        }
        let mut asked = self.asked.pop_front()?;
        let fetched = (&mut asked.answer).await.ok()?;
        if u64::try_from(fetched.data.len()).unwrap_or(u64::MAX) < asked.length {
            // Short: the resource ends here.
            self.asked.clear();
            let ends = fetched.total.is_none() || fetched.status != 200;
            self.end = if ends { Some(self.at) } else { self.end };
        }
        Some(fetched)
    }

    fn ended(mut self) -> Self {
        self.asked.clear();
        self.end = Some(0);
        self
    }
}

fn parse_name(name: &str) -> Option<(u32, u32)> {
    let (player, rest) = name.split_once('/')?;
    let resource = rest.split_once('.').map_or(rest, |(number, _)| number);
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    Some((number(player)?, number(resource)?))
}

/// First byte and the byte after the last one of `bytes=a-b` or `bytes=a-`.
fn parse_range(range: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let end = if last.is_empty() { None } else { Some(last.parse::<u64>().ok()?.checked_add(1)?) };
    end.is_none_or(|end| first < end).then_some((first, end))
}

/// The type for the element; never one that a document could come from.
fn media_type(mime: &str) -> &'static str {
    let kind = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "video/mp4" | "audio/mp4" | "video/quicktime" | "audio/x-m4a" | "video/x-m4v" => "video/mp4",
        "video/webm" | "audio/webm" => "video/webm",
        "audio/mpeg" | "audio/mp3" => "audio/mpeg",
        "audio/aac" | "audio/aacp" => "audio/aac",
        "audio/ogg" | "video/ogg" | "application/ogg" => "video/ogg",
        "audio/wav" | "audio/x-wav" | "audio/wave" => "audio/wav",
        "audio/flac" | "audio/x-flac" => "audio/flac",
        "video/mp2t" => "video/mp2t",
        "application/vnd.apple.mpegurl" | "application/x-mpegurl" | "audio/mpegurl" | "audio/x-mpegurl" => {
            "application/vnd.apple.mpegurl"
        }
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_two_numbers() {
        assert_eq!(parse_name("5/0.mp4"), Some((5, 0)));
        assert_eq!(parse_name("5/12"), Some((5, 12)));
        for wrong in ["", "5", "5/", "/5", "5/x", "-1/2", "+1/2", "5/6/7", "99999999999/1", "../1"] {
            assert_eq!(parse_name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ranges_are_single_and_forward() {
        assert_eq!(parse_range("bytes=0-"), Some((0, None)));
        assert_eq!(parse_range("bytes=5-9"), Some((5, Some(10))));
        for wrong in ["bytes=-5", "bytes=9-5", "bytes=1-2,4-5", "items=0-1", "bytes=0-18446744073709551615"] {
            assert_eq!(parse_range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_file_of_a_session_is_never_a_document() {
        assert_eq!(media_type("Video/MP4; codecs=\"avc1\""), "video/mp4");
        assert_eq!(media_type("text/html"), "application/octet-stream");
        assert_eq!(media_type("image/svg+xml"), "application/octet-stream");
    }
}
