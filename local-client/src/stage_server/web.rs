//! The stage for the page of a web client: its files, its socket and the session's files, for pages of the origins that were named.
//!
//! Any page in any browser that reaches the port may ask. The module's files are no secret. The socket and the session's files are
//! for who shows the secret of this run, and an origin that was named; what a page asks for besides is not there.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::header;
use thiserror::Error;

use crate::stage_server::checks::Refusal;
use crate::stage_server::checks::offered_token;
use crate::stage_server::checks::only;
use crate::stage_server::checks::random_hex;
use crate::stage_server::checks::same;

/// What is served besides `ws` and `media/…`.
const FILES: [&str; 3] = ["offstage-stage.js", "stage.js", "stage_bg.wasm"];
/// A shorter secret could be guessed.
const LEAST_SECRET: usize = 32;
/// What a secret may have in it: a WebSocket's subprotocol carries it (RFC 6455, section 4.1), and so does an address.
const MOST_SECRET: usize = 256;

/// Where pages of web clients reach the stage, and who may.
#[derive(Debug, Clone)]
pub struct WebConfig {
    pub address: WebAddress,
    pub origins: Vec<WebOrigin>,
    /// A file with the secret; without it there is a new one in each run.
    pub secret: Option<PathBuf>,
}

/// An address to listen at: on the loopback unless one is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebAddress(pub SocketAddr);

/// The text is no port and no address with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("neither a port nor an address with a port, such as 127.0.0.1:8090")]
pub struct NotAnAddress;

impl FromStr for WebAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let local = |port: u16| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        text.parse().map(local).or_else(|_no_port| text.parse()).map(Self).map_err(|_neither| NotAnAddress)
    }
}

/// An origin as browsers write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin(String);

/// The text is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an origin as browsers write it, such as https://desktops.example or http://127.0.0.1:8080")]
pub struct NotAnOrigin;

impl FromStr for WebOrigin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let parsed = url::Url::parse(text).map_err(|_error| NotAnOrigin)?;
        let web = matches!(parsed.scheme(), "http" | "https");
        if web && parsed.origin().ascii_serialization() == text {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnOrigin)
        }
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why there is no secret.
#[derive(Debug, Error)]
pub enum SecretError {
    #[error("can't read the secret: {source}: {}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the secret has to be of {LEAST_SECRET} to {MOST_SECRET} letters and digits: {}", _0.display())]
    Unsuitable(PathBuf),
    #[error("no random numbers: {0}")]
    Random(std::io::Error),
}

/// Who may come in.
#[derive(Debug)]
pub(super) struct WebDoor {
    origins: Vec<WebOrigin>,
    secret: String,
}

/// What a request is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted<'p> {
    /// With the subprotocol to answer with.
    Socket(String),
    File(&'p str),
    Media(&'p str),
}

impl WebDoor {
    pub(super) fn new(config: &WebConfig) -> Result<Self, SecretError> {
        let secret = match &config.secret {
            None => random_hex().map_err(SecretError::Random)?,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| SecretError::Unreadable { path: path.clone(), source })?;
                let text = text.trim();
                let fits = (LEAST_SECRET..=MOST_SECRET).contains(&text.len());
                if !fits || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return Err(SecretError::Unsuitable(path.clone()));
                }
                text.to_owned()
            }
        };
        Ok(Self { origins: config.origins.clone(), secret })
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// What the request is for, if who asks may have it.
    pub(super) fn check<'p>(&self, headers: &HeaderMap, path: &'p str) -> Result<Wanted<'p>, Refusal> {
        let name = path.strip_prefix('/').ok_or(Refusal::NotFound)?;
        // Media elements say no origin unless their pages ask for it, and files are no secret.
        if headers.contains_key(header::ORIGIN) || name == "ws" {
            self.origin_of(headers).ok_or(Refusal::Origin)?;
        }
        if name == "ws" {
            let offered = offered_token(headers).filter(|token| same(token, &self.secret));
            let token = offered.ok_or(Refusal::Token)?;
            return Ok(Wanted::Socket(super::checks::subprotocol(token)));
        }
        if let Some(rest) = name.strip_prefix("media/") {
            let (key, rest) = rest.split_once('/').ok_or(Refusal::NotFound)?;
            return if same(key, &self.media_key()) { Ok(Wanted::Media(rest)) } else { Err(Refusal::Token) };
        }
        FILES.contains(&name).then_some(Wanted::File(name)).ok_or(Refusal::NotFound)
    }

    /// What an address of a session's file has in it: addresses are written into logs on their way, and this opens no socket. The stage
    /// makes the same of the secret.
    fn media_key(&self) -> String {
        use std::fmt::Write as _;
        let key = hmac_sha256::HMAC::mac(b"media", self.secret.as_bytes());
        key.iter().fold(String::new(), |mut hex, byte| {
            // Writing to a string can't fail.
            let _infallible = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Lets pages of the named origins, and no others, read the answer.
    pub(super) fn protect(&self, asked: Option<HeaderValue>, headers: &mut HeaderMap) {
        let known =
            asked.filter(|asked| self.origins.iter().any(|origin| asked.as_bytes() == origin.0.as_bytes()));
        if let Some(origin) = known {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        headers
            .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let policy = HeaderName::from_static("cross-origin-resource-policy");
        headers.insert(policy, HeaderValue::from_static("cross-origin"));
    }

    fn origin_of<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let asked = only(headers, &header::ORIGIN)?;
        self.origins.iter().any(|origin| origin.0 == asked).then_some(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn check(pairs: &[(&'static str, &str)], path: &str) -> Result<String, Refusal> {
        let door =
            WebDoor { origins: vec!["https://desktops.example".parse().unwrap()], secret: SECRET.to_owned() };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        door.check(&headers, path).map(|wanted| format!("{wanted:?}"))
    }

    #[test]
    fn the_socket_is_for_who_knows_the_secret_and_comes_from_a_named_origin() {
        let origin = ("origin", "https://desktops.example");
        let token = format!("offstage.{SECRET}");
        let shown = ("sec-websocket-protocol", token.as_str());
        assert_eq!(check(&[origin, shown], "/ws"), Ok(format!("Socket(\"{token}\")")));
        assert_eq!(
            check(&[origin, shown], "/ws"),
            Ok(format!("Socket(\"{token}\")")),
            "again, after a reload"
        );
        assert_eq!(check(&[shown], "/ws"), Err(Refusal::Origin));
        assert_eq!(check(&[origin, origin, shown], "/ws"), Err(Refusal::Origin));
        assert_eq!(check(&[("origin", "https://evil.example"), shown], "/ws"), Err(Refusal::Origin));
        assert_eq!(check(&[("origin", "null"), shown], "/ws"), Err(Refusal::Origin));
        assert_eq!(check(&[origin], "/ws"), Err(Refusal::Token));
        let wrong = ("sec-websocket-protocol", "offstage.0123456789abcdef0123456789abcdeX");
        assert_eq!(check(&[origin, wrong], "/ws"), Err(Refusal::Token));
    }

    #[test]
    fn files_are_the_module_s_and_those_of_the_session_for_who_knows_the_secret() {
        assert_eq!(check(&[], "/offstage-stage.js"), Ok("File(\"offstage-stage.js\")".to_owned()));
        assert_eq!(check(&[("origin", "https://evil.example")], "/stage.js"), Err(Refusal::Origin));
        for path in ["/", "/engine.html", "/popup.html", "/../x.js", "//stage.js", "/media/5/0.mp4x"] {
            assert!(check(&[], path).is_err(), "{path}");
        }
        // As `offstage_stage::names::keyed` makes it; openssl dgst -sha256 -hmac says the same.
        let key = WebDoor { origins: Vec::new(), secret: SECRET.to_owned() }.media_key();
        assert_eq!(key.len(), 64);
        assert_eq!(check(&[], &format!("/media/{key}/5/0.mp4")), Ok("Media(\"5/0.mp4\")".to_owned()));
        assert_eq!(check(&[], &format!("/media/{SECRET}/5/0.mp4")), Err(Refusal::Token));
    }

    #[test]
    fn addresses_are_local_unless_one_is_named() {
        let parsed = |text: &str| text.parse::<WebAddress>().map(|address| address.0.to_string());
        assert_eq!(parsed("8090"), Ok("127.0.0.1:8090".to_owned()));
        assert_eq!(parsed("0.0.0.0:1"), Ok("0.0.0.0:1".to_owned()));
        assert_eq!(parsed("[::1]:1"), Ok("[::1]:1".to_owned()));
        assert_eq!(parsed("localhost:1"), Err(NotAnAddress));
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        for good in ["https://desktops.example", "http://127.0.0.1:8080", "https://[::1]:8443"] {
            assert!(good.parse::<WebOrigin>().is_ok(), "{good}");
        }
        for bad in [
            "https://desktops.example/",
            "https://desktops.example:443",
            "*",
            "null",
            "file:///x",
            "HTTPS://x",
        ] {
            assert_eq!(bad.parse::<WebOrigin>(), Err(NotAnOrigin), "{bad}");
        }
    }
}
