//! A small Chrome DevTools Protocol client over the browser's debugging port.
//!
//! One connection, one thread at a time: a call writes, then reads until its answer is there, and keeps the events that come
//! in between. See <https://chromedevtools.github.io/devtools-protocol/>.

mod page;

use std::collections::VecDeque;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Value, json};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

pub use self::page::Page;

/// Events kept for [`Cdp::wait_event`]; the oldest go first.
const KEPT_EVENTS: usize = 10_000;

/// How long a single call may take, unless the caller says otherwise.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to a browser's debugging port. Clones share it.
#[derive(Clone)]
pub struct Cdp {
    connection: Arc<Mutex<Connection>>,
    port: u16,
}

impl fmt::Debug for Cdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cdp").field("port", &self.port).finish_non_exhaustive()
    }
}

struct Connection {
    socket: WebSocket<TcpStream>,
    next_id: u64,
    events: VecDeque<Event>,
}

/// Something that the browser told without being asked.
#[derive(Clone, Debug)]
pub struct Event {
    /// The session (page, worker) that it belongs to; empty for the browser itself.
    pub session: String,
    /// For example `Page.loadEventFired`.
    pub method: String,
    /// What came with it.
    pub params: Value,
}

/// One row of `Target.getTargets`.
#[derive(Clone, Debug)]
pub struct Target {
    /// For `Target.attachToTarget`.
    pub id: String,
    /// `page`, `iframe`, `service_worker`, …
    pub kind: String,
    /// The document's or script's address.
    pub url: String,
}

impl Cdp {
    /// Connects to the browser on loopback port `port`, trying again until `timeout` has passed.
    pub fn connect(port: u16, timeout: Duration) -> Result<Self> {
        let end = Instant::now() + timeout;
        loop {
            match Self::connect_once(port) {
                Ok(cdp) => return Ok(cdp),
                Err(error) if Instant::now() >= end => {
                    return Err(error.context(format!("no browser on debugging port {port}")));
                }
                Err(_) => std::thread::park_timeout(Duration::from_millis(50)),
            }
        }
    }

    fn connect_once(port: u16) -> Result<Self> {
        let version = http_get_json(port, "/json/version")?;
        let url = version["webSocketDebuggerUrl"].as_str().context("no webSocketDebuggerUrl")?;
        let stream =
            TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        // Screenshots and heap snapshots are large; it is our own browser.
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (socket, _) = tungstenite::client::client_with_config(url, stream, Some(config))
            .map_err(|error| anyhow!("debugging port refused the WebSocket: {error}"))?;
        let connection = Connection { socket, next_id: 0, events: VecDeque::new() };
        Ok(Self { connection: Arc::new(Mutex::new(connection)), port })
    }

    /// The port that this is connected to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Calls `method` on the browser itself.
    pub fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.call_in("", method, params, CALL_TIMEOUT)
    }

    /// Calls `method` in `session` (empty: the browser itself) and waits for the answer.
    pub fn call_in(&self, session: &str, method: &str, params: Value, timeout: Duration) -> Result<Value> {
        let mut connection = self.lock();
        let id = connection.send(session, method, params)?;
        let end = Instant::now() + timeout;
        loop {
            let Some(message) = connection.read(end)? else {
                bail!("no answer to {method} within {} s", timeout.as_secs());
            };
            if message["id"].as_u64() == Some(id) {
                if let Some(error) = message.get("error") {
                    bail!("{method}: {}", error["message"].as_str().unwrap_or("unknown error"));
                }
                return Ok(message["result"].clone());
            }
            connection.keep(&message);
        }
    }

    /// Takes the first event of `session` that `pick` gives a value for; events that it passes over stay.
    pub fn wait_event<T>(
        &self,
        session: &str,
        timeout: Duration,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> Result<T> {
        let mut connection = self.lock();
        let end = Instant::now() + timeout;
        let mut looked_at = 0;
        loop {
            while let Some(event) = connection.events.get(looked_at) {
                let value = if event.session == session { pick(event) } else { None };
                if let Some(value) = value {
                    connection.events.remove(looked_at);
                    return Ok(value);
                }
                looked_at += 1;
            }
            let Some(message) = connection.read(end)? else {
                bail!("the event did not come within {} s", timeout.as_secs());
            };
            connection.keep(&message);
            looked_at = looked_at.min(connection.events.len().saturating_sub(1));
        }
    }

    /// Takes every event that has come for `session`, without waiting longer than it takes to empty the socket.
    pub fn take_events(&self, session: &str) -> Result<Vec<Event>> {
        let mut connection = self.lock();
        while let Some(message) = connection.read(Instant::now() + Duration::from_millis(1))? {
            connection.keep(&message);
        }
        let (taken, left): (VecDeque<_>, VecDeque<_>) =
            connection.events.drain(..).partition(|event| event.session == session);
        connection.events = left;
        Ok(taken.into())
    }

    /// All targets: pages, frames in processes of their own, workers.
    pub fn targets(&self) -> Result<Vec<Target>> {
        let answer = self.call("Target.getTargets", json!({}))?;
        let rows = answer["targetInfos"].as_array().cloned().unwrap_or_default();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        Ok(rows
            .iter()
            .map(|row| Target { id: text(row, "targetId"), kind: text(row, "type"), url: text(row, "url") })
            .collect())
    }

    /// Waits for a target that `wanted` accepts.
    pub fn wait_target(&self, timeout: Duration, wanted: impl Fn(&Target) -> bool) -> Result<Target> {
        let end = Instant::now() + timeout;
        loop {
            if let Some(target) = self.targets()?.into_iter().find(&wanted) {
                return Ok(target);
            }
            if Instant::now() >= end {
                bail!("the target did not appear within {} s", timeout.as_secs());
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Attaches to a target; the answer is the session's name for [`Self::call_in`].
    pub fn attach(&self, target: &str) -> Result<String> {
        let answer = self.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }))?;
        Ok(answer["sessionId"].as_str().context("no sessionId")?.to_owned())
    }

    /// Evaluates `expression` in `session`, waits for a promise it may give, and returns the value as JSON.
    pub fn evaluate_in(&self, session: &str, expression: &str, timeout: Duration) -> Result<Value> {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let answer = self.call_in(session, "Runtime.evaluate", params, timeout)?;
        if let Some(details) = answer.get("exceptionDetails") {
            let text = details["exception"]["description"].as_str().or_else(|| details["text"].as_str());
            bail!("the page threw: {}", text.unwrap_or("an exception"));
        }
        Ok(answer["result"]["value"].clone())
    }

    /// The browser's name and version, such as `Chrome/156.0.8078.79`.
    pub fn version(&self) -> Result<String> {
        Ok(self.call("Browser.getVersion", json!({}))?["product"].as_str().unwrap_or_default().to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn send(&mut self, session: &str, method: &str, params: Value) -> Result<u64> {
        self.next_id += 1;
        let mut message = json!({ "id": self.next_id, "method": method, "params": params });
        if !session.is_empty() {
            message["sessionId"] = json!(session);
        }
        self.socket.get_ref().set_write_timeout(Some(CALL_TIMEOUT))?;
        self.socket.send(Message::text(message.to_string())).context("the browser is gone")?;
        Ok(self.next_id)
    }

    /// The next message, or `None` when `end` has passed.
    fn read(&mut self, end: Instant) -> Result<Option<Value>> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.get_ref().set_read_timeout(Some(left))?;
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(Some(serde_json::from_str(text.as_str())?)),
                Ok(Message::Close(_)) => bail!("the browser closed its debugging port"),
                Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(tungstenite::Error::Io(error))
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(anyhow!("the browser is gone: {error}")),
            }
        }
    }

    fn keep(&mut self, message: &Value) {
        let Some(method) = message["method"].as_str() else { return };
        if self.events.len() >= KEPT_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Event {
            session: message["sessionId"].as_str().unwrap_or_default().to_owned(),
            method: method.to_owned(),
            params: message["params"].clone(),
        });
    }
}

/// A port of loopback that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// `GET` of a JSON document from the debugging port's own small web server.
fn http_get_json(port: u16, path: &str) -> Result<Value> {
    let mut stream =
        TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(body) = complete_body(&answer) {
            return Ok(serde_json::from_slice(body)?);
        }
        match stream.read(&mut chunk)? {
            0 => bail!("the debugging port answered with half a document"),
            length => answer.extend_from_slice(chunk.get(..length).unwrap_or_default()),
        }
    }
}

/// The body of an HTTP answer, once all of its Content-Length is there.
fn complete_body(answer: &[u8]) -> Option<&[u8]> {
    let head_end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(answer.get(..head_end)?).to_lowercase();
    let length: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse().ok()?;
    answer.get(head_end..)?.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_taken_when_it_is_whole() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length:3\r\nContent-Type:x\r\n\r\nabc";
        assert_eq!(complete_body(answer), Some(&b"abc"[..]));
        assert_eq!(complete_body(&answer[..answer.len() - 1]), None);
        assert_eq!(complete_body(b"HTTP/1.1 200"), None);
    }

    #[test]
    fn nobody_on_the_port_is_an_error_and_not_a_hang() {
        let port = free_port().unwrap();
        let error = Cdp::connect(port, Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("no browser on debugging port"), "{error}");
    }
}
