//! The Chrome DevTools Protocol over a pair of pipes: JSON messages, each ended by a NUL byte.
//!
//! <https://chromedevtools.github.io/devtools-protocol/>. One owner, one call at a time; events that
//! arrive during a call are kept for [`Cdp::event`], the newest [`KEPT_EVENTS`] of them.

use std::collections::VecDeque;
use std::io;

use serde_json::Value;
use serde_json::json;
use thiserror::Error;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;

/// Longest message that is read from the engine.
const MAX_MESSAGE: usize = 8 * 1024 * 1024;
const KEPT_EVENTS: usize = 256;

/// Why a call to the engine failed.
#[derive(Debug, Error)]
pub enum CdpError {
    #[error("the engine closed its pipe")]
    Closed,
    #[error("the engine's pipe failed: {0}")]
    Io(#[from] io::Error),
    #[error("the engine sent a message of more than 8 MiB")]
    TooLong,
    #[error("the engine refused {method}: {message}")]
    Refused { method: String, message: String },
    #[error("the engine's answer to {0} lacks what was asked for")]
    Incomplete(&'static str),
}

/// Something that happened in the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct CdpEvent {
    pub method: String,
    pub params: Value,
}

/// A connection to an engine.
#[derive(Debug)]
pub struct Cdp<R, W> {
    reader: R,
    writer: W,
    buffer: Vec<u8>,
    /// Bytes of `buffer` already searched for the end of a message.
    searched: usize,
    events: VecDeque<CdpEvent>,
    last_id: u64,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Cdp<R, W> {
    pub fn new(reader: R, writer: W) -> Self {
        Self { reader, writer, buffer: Vec::new(), searched: 0, events: VecDeque::new(), last_id: 0 }
    }

    /// Calls `method` and waits for its answer.
    pub async fn call(
        &mut self,
        method: &str,
        params: Value,
        session: Option<&str>,
    ) -> Result<Value, CdpError> {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let (Some(session), Some(map)) = (session, message.as_object_mut()) {
            map.insert("sessionId".to_owned(), Value::from(session));
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.writer.write_all(&bytes).await?;
        self.writer.flush().await?;
        loop {
            let mut answer = self.message().await?;
            if answer.get("id").and_then(Value::as_u64) == Some(id) {
                if let Some(error) = answer.get("error") {
                    let message = error.get("message").and_then(Value::as_str).unwrap_or("no reason given");
                    return Err(CdpError::Refused { method: method.to_owned(), message: message.to_owned() });
                }
                return Ok(answer.get_mut("result").map(Value::take).unwrap_or_default());
            }
            self.keep(answer);
        }
    }

    /// The next event. Nothing is lost when the future is dropped.
    pub async fn event(&mut self) -> Result<CdpEvent, CdpError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let message = self.message().await?;
            self.keep(message);
        }
    }

    fn keep(&mut self, mut message: Value) {
        let Some(method) = message.get("method").and_then(Value::as_str).map(str::to_owned) else {
            return;
        };
        if self.events.len() >= KEPT_EVENTS {
            self.events.pop_front();
        }
        let params = message.get_mut("params").map(Value::take).unwrap_or_default();
        self.events.push_back(CdpEvent { method, params });
    }

    /// The next message; one that is not JSON is skipped.
    async fn message(&mut self) -> Result<Value, CdpError> {
        loop {
            let end = self.buffer.iter().skip(self.searched).position(|byte| *byte == 0);
            if let Some(end) = end.map(|end| end + self.searched) {
                let rest = self.buffer.split_off(end + 1);
                let mut message = std::mem::replace(&mut self.buffer, rest);
                message.pop();
                self.searched = 0;
                if let Ok(value) = serde_json::from_slice(&message) {
                    return Ok(value);
                }
                continue;
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > MAX_MESSAGE {
                return Err(CdpError::TooLong);
            }
            let mut chunk = [0; 16384];
            let read = self.reader.read(&mut chunk).await?;
            if read == 0 {
                return Err(CdpError::Closed);
            }
            self.buffer.extend(chunk.iter().take(read));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(incoming: &[u8]) -> (Result<Value, CdpError>, Vec<String>) {
        let mut cdp = Cdp::new(incoming, Vec::new());
        let answer = cdp.call("A.b", json!({"x": 1}), Some("s")).await;
        let sent = String::from_utf8(cdp.writer.clone()).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(sent.trim_end_matches('\0')).unwrap(),
            json!({"id": 1, "method": "A.b", "params": {"x": 1}, "sessionId": "s"})
        );
        (answer, cdp.events.into_iter().map(|event| event.method).collect())
    }

    #[tokio::test(flavor = "current_thread")]
    async fn keeps_events_that_come_before_the_answer() {
        let (answer, events) =
            check(b"{\"method\":\"E.v\",\"params\":{}}\0not json\0{\"id\":1,\"result\":{\"r\":2}}\0").await;
        assert_eq!(answer.unwrap(), json!({"r": 2}));
        assert_eq!(events, ["E.v"]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn reports_a_refusal() {
        let (answer, _) = check(b"{\"id\":1,\"error\":{\"message\":\"no such method\"}}\0").await;
        assert_eq!(answer.unwrap_err().to_string(), "the engine refused A.b: no such method");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn reports_the_end_of_the_pipe() {
        assert!(matches!(check(b"{\"id\":1,").await.0, Err(CdpError::Closed)));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_message_without_end_is_refused() {
        let endless = vec![b'x'; MAX_MESSAGE + 2 * 16384];
        assert!(matches!(check(&endless).await.0, Err(CdpError::TooLong)));
    }
}
