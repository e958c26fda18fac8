//! The WebSocket to the client.

use gloo::events::EventListener;
use gloo::timers::callback::Timeout;
use js_sys::{ArrayBuffer, Uint8Array};
use offstage_protocol::CLOSE_TAKEN_OVER;
use wasm_bindgen::JsValue;
use web_sys::{BinaryType, MessageEvent, WebSocket};

use crate::browser::{Input, js, post, with_shell};

/// How long to wait before the next attempt.
const RETRY_MS: u32 = 500;

/// The connection, or the wait for the next one.
pub(super) struct Socket {
    url: String,
    /// Carries the token, because neither the URL nor a header can do so unseen.
    subprotocol: String,
    open: Option<(WebSocket, [EventListener; 3])>,
    retry: Option<Timeout>,
}

impl Socket {
    pub(super) fn new(url: String, token: &str) -> Self {
        Self { url, subprotocol: format!("offstage.{token}"), open: None, retry: None }
    }

    pub(super) fn connect(&mut self) {
        self.retry = None;
        let Ok(socket) = WebSocket::new_with_str(&self.url, &self.subprotocol) else {
            self.connect_later();
            return;
        };
        socket.set_binary_type(BinaryType::Arraybuffer);
        let listeners = [
            EventListener::new(&socket, "open", |_| post(Input::Connected)),
            EventListener::new(&socket, "close", |event| {
                post(Input::Disconnected { taken: js::number(event, "code") == f64::from(CLOSE_TAKEN_OVER) });
            }),
            EventListener::new(&socket, "message", |event| {
                let data: JsValue = js::cast::<MessageEvent>(event.clone()).data();
                // Text frames are not ours.
                if data.is_object() {
                    post(Input::Message(Uint8Array::new(&js::cast::<ArrayBuffer>(data)).to_vec()));
                }
            }),
        ];
        self.open = Some((socket, listeners));
    }

    /// The connection is gone or was refused: try again in a while.
    pub(super) fn connect_later(&mut self) {
        self.open = None;
        self.retry = Some(Timeout::new(RETRY_MS, || with_shell(|shell| shell.socket.connect())));
    }

    /// Ends the connection and makes no further one.
    pub(super) fn close(&mut self) {
        self.retry = None;
        if let Some((socket, listeners)) = self.open.take() {
            drop(listeners);
            // It can't throw without a code.
            let _closed = socket.close();
        }
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        if let Some((socket, _)) = &self.open
            && let Err(thrown) = socket.send_with_u8_array(bytes)
        {
            js::log(&js::exception(&thrown).message);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.close();
    }
}
