//! Files of web pages that the device fetches by itself, where policies of both ends have it so: ranges of HTTP(S) resources,
//! without cookies, from the public internet only. What isn't exactly the asked-for bytes is an error with a code, and the
//! session fetches instead.

mod connection;
pub mod guard;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http_body_util::BodyExt as _;
use http_body_util::Empty;
use http_body_util::Limited;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::header;
use hyper::header::HeaderName;
use offstage_protocol::ErrorCode;
use thiserror::Error;
use tokio::time::timeout;
use url::Url;

use self::connection::Connections;
use self::guard::Guard;
use crate::client::Fetched;
use crate::client::OwnFetch;

/// Redirects that are followed; film servers have one or two.
const MOST_REDIRECTS: usize = 5;
/// Of a redirect's body so much is read, to keep its connection.
const MOST_REDIRECT_BODY: usize = 16 * 1024;
const USER_AGENT: &str = concat!("offstage-client/", env!("CARGO_PKG_VERSION"));

/// How long a server may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To be found, connected to, and to begin its answer; each redirect anew.
    pub answer: Duration,
    /// For everything.
    pub whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // A player has some seconds of media ahead: the session has to have its turn before they are over.
        Self { answer: Duration::from_secs(4), whole: Duration::from_secs(10) }
    }
}

/// Why bytes did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FetchError {
    #[error("an address in a private network")]
    Private,
    #[error("not an address to fetch from")]
    Address,
    #[error("redirected too often or elsewhere")]
    Redirected,
    #[error("the server can't be reached")]
    Unreachable,
    #[error("the server refuses with status {0}")]
    Refused(u16),
    #[error("not the bytes that were asked for")]
    Differs,
    #[error("too slow")]
    TooSlow,
    #[error("not HTTP, or broken off")]
    Garbled,
}

impl FetchError {
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Private => ErrorCode::FETCH_PRIVATE_ADDRESS,
            Self::Address => ErrorCode::FETCH_ADDRESS_REFUSED,
            Self::Redirected => ErrorCode::FETCH_REDIRECTED,
            Self::Unreachable => ErrorCode::FETCH_UNREACHABLE,
            Self::Refused(_) => ErrorCode::FETCH_REFUSED,
            Self::Differs => ErrorCode::FETCH_DIFFERS,
            Self::TooSlow => ErrorCode::FETCH_TOO_SLOW,
            Self::Garbled => ErrorCode::FETCH_GARBLED,
        }
    }
}

/// Fetches.
#[derive(Debug)]
pub struct Fetcher {
    connections: Connections,
    guard: Guard,
    limits: Limits,
}

impl Fetcher {
    #[must_use]
    pub fn new(guard: Guard, limits: Limits) -> Self {
        Self { connections: Connections::new(guard.clone()), guard, limits }
    }

    /// The bytes that `order` names.
    ///
    /// # Errors
    /// If it must not be fetched, or is not exactly that.
    pub async fn fetch(&self, order: &OwnFetch) -> Result<Fetched, FetchError> {
        timeout(self.limits.whole, self.follow(order)).await.unwrap_or(Err(FetchError::TooSlow))
    }

    async fn follow(&self, order: &OwnFetch) -> Result<Fetched, FetchError> {
        let mut url = Url::parse(&order.url).map_err(|_url| FetchError::Address)?;
        for _ in 0..=MOST_REDIRECTS {
            self.check(&url)?;
            let request = request(&url, order)?;
            let sent = timeout(self.limits.answer, self.connections.send(&url, &request)).await;
            let (sender, response) = sent.map_err(|_late| FetchError::TooSlow)??;
            let Some(next) = redirect(&url, &response)? else {
                let (fetched, whole) = read(order, response).await?;
                if whole {
                    self.connections.keep(&url, sender);
                }
                return Ok(fetched);
            };
            // The next range is sent there again.
            let rest = Limited::new(response.into_body(), MOST_REDIRECT_BODY).collect();
            if timeout(self.limits.answer, rest).await.is_ok_and(|rest| rest.is_ok()) {
                self.connections.keep(&url, sender);
            }
            url = next;
        }
        Err(FetchError::Redirected)
    }

    /// What an address must be like before anything is looked up for it.
    fn check(&self, url: &Url) -> Result<(), FetchError> {
        let web = matches!(url.scheme(), "http" | "https");
        let nobody = url.username().is_empty() && url.password().is_none();
        let port = url.port_or_known_default().is_some_and(|port| self.guard.allows_port(port));
        if web && nobody && port { Ok(()) } else { Err(FetchError::Address) }
    }
}

fn request(url: &Url, order: &OwnFetch) -> Result<Request<Empty<Bytes>>, FetchError> {
    let host = url.host_str().ok_or(FetchError::Address)?;
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = Request::builder()
        .uri(target)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::RANGE, format!("bytes={}-{}", order.start, order.end.saturating_sub(1)));
    // As in the session: not from a secure page to an address that isn't.
    if !order.referer.is_empty() && (url.scheme() == "https" || order.referer.starts_with("http:")) {
        request = request.header(header::REFERER, &order.referer);
    }
    request.body(Empty::new()).map_err(|_header| FetchError::Address)
}

/// Where an answer sends to, if it does.
fn redirect(url: &Url, response: &Response<Incoming>) -> Result<Option<Url>, FetchError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let next = location.and_then(|location| url.join(location).ok()).ok_or(FetchError::Redirected)?;
    match (url.scheme(), next.scheme()) {
        ("http", "http") | (_, "https") => Ok(Some(next)),
        _ => Err(FetchError::Redirected),
    }
}

/// The bytes of an answer; true if nothing of it is left on its connection.
async fn read(order: &OwnFetch, response: Response<Incoming>) -> Result<(Fetched, bool), FetchError> {
    let text = |name: HeaderName| response.headers().get(name).map_or(Ok(""), |value| value.to_str());
    let text = |name| text(name).map_err(|_unreadable| FetchError::Garbled);
    let mime = text(header::CONTENT_TYPE)?.to_owned();
    let kind = mime.to_ascii_lowercase();
    let (from, end, total, cut) = match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            let (first, last, total) =
                parse_content_range(text(header::CONTENT_RANGE)?).ok_or(FetchError::Differs)?;
            (first, last.saturating_add(1), total, false)
        }
        // A server that knows no ranges: its beginning is as good as any.
        StatusCode::OK if order.start == 0 => {
            let length = text(header::CONTENT_LENGTH)?.parse().map_err(|_number| FetchError::Differs)?;
            (0, order.end.min(length), Some(length), length > order.end)
        }
        StatusCode::RANGE_NOT_SATISFIABLE if order.total.is_none() => {
            return Ok((Fetched { status: 416, ..Fetched::default() }, false));
        }
        StatusCode::OK => return Err(FetchError::Differs),
        other => return Err(FetchError::Refused(other.as_u16())),
    };
    let encoding = text(header::CONTENT_ENCODING)?;
    let expected = order.end.min(total.unwrap_or(order.end));
    // Pages that ask to sign in come with 200, too.
    let media =
        !["text/html", "text/xml", "application/json", "multipart/"].iter().any(|no| kind.starts_with(no))
            && !kind.contains("mpegurl");
    let same = order.total.is_none_or(|known| total == Some(known));
    if from != order.start || end != expected || !same || !media || !matches!(encoding, "" | "identity") {
        return Err(FetchError::Differs);
    }
    let length = usize::try_from(end.saturating_sub(from)).unwrap_or(0);
    let mut data = Vec::with_capacity(length);
    let mut body = response.into_body();
    while data.len() < length || !cut {
        let Some(frame) = body.frame().await else { break };
        let Ok(piece) = frame.map_err(|_broken| FetchError::Garbled)?.into_data() else { continue };
        let room = length - data.len();
        if piece.len() > room && !cut {
            return Err(FetchError::Differs);
        }
        data.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
    }
    if data.len() != length {
        return Err(FetchError::Garbled);
    }
    // A playlist's addresses are the session's business.
    if order.start == 0 && data.starts_with(b"#EXTM3U") {
        return Err(FetchError::Differs);
    }
    Ok((Fetched { status: 200, total, mime, data }, !cut))
}

/// First byte, last byte and length of the whole of `bytes a-b/total`.
fn parse_content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    let (first, last) = (number(first)?, number(last)?);
    let total = if total == "*" { None } else { Some(number(total)?) };
    (first <= last && total.is_none_or(|total| last < total)).then_some((first, last, total))
}
