//! What a request to the stage's server must show.

use std::fmt::Write as _;
use std::io;

use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::header;

/// The global through which the token reaches the stage's page.
pub const START_GLOBAL: &str = "__offstageStart";
/// The WebSocket subprotocol is this followed by the token.
const PROTOCOL_PREFIX: &str = "offstage.";

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Method,
    NotFound,
    Host,
    Origin,
    Token,
}

/// The id and the token of one engine run.
#[derive(Debug)]
pub struct Secrets {
    port: u16,
    id: String,
    /// Taken by the first socket that shows it.
    token: Option<String>,
}

impl Secrets {
    pub fn new(port: u16) -> io::Result<Self> {
        Ok(Self { port, id: random_hex()?, token: Some(random_hex()?) })
    }

    /// The address of one of the stage's files.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/o/{}/{name}", self.port, self.id)
    }

    /// The script that leaves the socket's address and token for the stage's page, which takes and
    /// deletes them before anything else runs.
    #[must_use]
    pub fn script(&self) -> String {
        let token = self.token.as_deref().unwrap_or_default();
        let (port, id) = (self.port, &self.id);
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "if (window.top === window && location.href === '{}') Object.defineProperty(window, \
             '{START_GLOBAL}', {{ value: {{ token: '{token}', ws: 'ws://127.0.0.1:{port}/o/{id}/ws', \
             version: '{version}' }}, configurable: true }});",
            self.url("engine.html")
        )
    }

    /// Checks path, host and origin; gives the name of what is asked for.
    pub fn check_request<'p>(&self, headers: &HeaderMap, path: &'p str) -> Result<&'p str, Refusal> {
        let host = format!("127.0.0.1:{}", self.port);
        if only(headers, &header::HOST) != Some(&host) {
            return Err(Refusal::Host);
        }
        let (id, name) =
            path.strip_prefix("/o/").and_then(|rest| rest.split_once('/')).ok_or(Refusal::NotFound)?;
        if !same(id, &self.id) {
            return Err(Refusal::NotFound);
        }
        if headers.contains_key(header::ORIGIN) || name == "ws" {
            let origin = format!("http://{host}");
            if only(headers, &header::ORIGIN) != Some(&origin) {
                return Err(Refusal::Origin);
            }
        }
        Ok(name)
    }

    /// Takes the token if the request shows it; gives the subprotocol to answer with.
    pub fn take_token(&mut self, headers: &HeaderMap) -> Result<String, Refusal> {
        let shown = offered_token(headers).ok_or(Refusal::Token)?;
        match self.token.take_if(|token| same(shown, token)) {
            Some(token) => Ok(subprotocol(&token)),
            None => Err(Refusal::Token),
        }
    }
}

/// The token that a request for the socket shows.
pub(super) fn offered_token(headers: &HeaderMap) -> Option<&str> {
    only(headers, &header::SEC_WEBSOCKET_PROTOCOL)?.trim().strip_prefix(PROTOCOL_PREFIX)
}

/// The subprotocol of a socket whose token was right.
pub(super) fn subprotocol(token: &str) -> String {
    format!("{PROTOCOL_PREFIX}{token}")
}

/// The MIME type of a file of the stage; `None` for a name that can't be one.
#[must_use]
pub fn content_type(name: &str) -> Option<&'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.starts_with('.') || name.len() > 100 || !name.bytes().all(plain) {
        return None;
    }
    match name.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "wasm" => Some("application/wasm"),
        _ => None,
    }
}

/// The header's value if it is there exactly once.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// Compares in a time that depends on the lengths only.
pub(super) fn same(left: &str, right: &str) -> bool {
    left.len() == right.len()
        && left
            .bytes()
            .zip(right.bytes())
            .fold(0_u8, |seen, (left, right)| std::hint::black_box(seen | (left ^ right)))
            == 0
}

pub(super) fn random_hex() -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let mut hex = String::with_capacity(64);
    for byte in bytes {
        write!(hex, "{byte:02x}").map_err(io::Error::other)?;
    }
    Ok(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn check(pairs: &[(&'static str, &str)], name: &str) -> Result<String, Refusal> {
        let secrets = Secrets { port: 7, id: "abc".to_owned(), token: None };
        secrets.check_request(&headers(pairs), &format!("/o/abc/{name}")).map(str::to_owned)
    }

    #[test]
    fn asks_for_the_right_host() {
        assert_eq!(check(&[("host", "127.0.0.1:7")], "a.js"), Ok("a.js".to_owned()));
        assert_eq!(check(&[("host", "localhost:7")], "a.js"), Err(Refusal::Host));
        assert_eq!(check(&[("host", "evil.example:7")], "a.js"), Err(Refusal::Host));
        assert_eq!(check(&[], "a.js"), Err(Refusal::Host));
        assert_eq!(check(&[("host", "127.0.0.1:7"), ("host", "127.0.0.1:7")], "a.js"), Err(Refusal::Host));
    }

    #[test]
    fn asks_the_socket_for_the_right_origin_and_files_for_no_wrong_one() {
        let host = ("host", "127.0.0.1:7");
        assert_eq!(check(&[host, ("origin", "http://127.0.0.1:7")], "ws"), Ok("ws".to_owned()));
        assert_eq!(check(&[host], "ws"), Err(Refusal::Origin));
        assert_eq!(check(&[host, ("origin", "null")], "ws"), Err(Refusal::Origin));
        assert_eq!(check(&[host, ("origin", "http://127.0.0.1:8")], "a.js"), Err(Refusal::Origin));
    }

    #[test]
    fn asks_for_the_id() {
        let secrets = Secrets::new(7).unwrap();
        let host = headers(&[("host", "127.0.0.1:7")]);
        for path in ["/", "/o/", "/o/abc", "/o/abc/a.js", "//o/abc/a.js", "/engine.html"] {
            assert_eq!(secrets.check_request(&host, path), Err(Refusal::NotFound), "{path}");
        }
    }

    #[test]
    fn the_token_opens_once() {
        let mut secrets = Secrets { port: 7, id: String::new(), token: Some("good".to_owned()) };
        let mut show = |value: &str| secrets.take_token(&headers(&[("sec-websocket-protocol", value)]));
        assert_eq!(show("offstage.bad"), Err(Refusal::Token));
        assert_eq!(show("good"), Err(Refusal::Token));
        assert_eq!(show("offstage."), Err(Refusal::Token));
        assert_eq!(show("offstage.good"), Ok("offstage.good".to_owned()));
        assert_eq!(show("offstage.good"), Err(Refusal::Token));
    }

    #[test]
    fn serves_plain_names_of_known_kinds_only() {
        assert_eq!(content_type("stage_bg.wasm"), Some("application/wasm"));
        for name in ["", ".", "..", "../x.js", "a/b.js", ".hidden.js", "x", "x.txt", "%2e%2e.js", "a\\b.js"] {
            assert_eq!(content_type(name), None, "{name}");
        }
    }
}
