//! A data channel.

use gloo::events::EventListener;
use js_sys::{Array, ArrayBuffer, JsString, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};

use super::{Result, method, tell};
use crate::machine::calls::Verb;

pub(super) struct LiveChannel {
    channel: JsValue,
    _listeners: Vec<EventListener>,
}

impl LiveChannel {
    pub(super) fn open(call: u32, id: u32, channel: JsValue) -> Self {
        let _set = Reflect::set(&channel, &"binaryType".into(), &"arraybuffer".into());
        let listen = |name: &'static str| {
            let of = channel.clone();
            EventListener::new(channel.unchecked_ref(), name, move |event| {
                let detail = Object::new();
                for part in ["readyState", "bufferedAmount", "id"] {
                    let value = Reflect::get(&of, &part.into()).unwrap_or(JsValue::NULL);
                    let _set = Reflect::set(&detail, &part.into(), &value);
                }
                let mut bytes = Vec::new();
                match name {
                    "message" => {
                        let data = Reflect::get(event, &"data".into()).unwrap_or(JsValue::NULL);
                        if let Some(buffer) = data.dyn_ref::<ArrayBuffer>() {
                            bytes = Uint8Array::new(buffer).to_vec();
                            let _set = Reflect::set(&detail, &"bytes".into(), &JsValue::TRUE);
                        } else if let Some(text) = data.dyn_ref::<JsString>() {
                            let _set = Reflect::set(&detail, &"text".into(), text);
                        }
                    }
                    "error" => {
                        let error = Reflect::get(event, &"error".into()).unwrap_or(JsValue::NULL);
                        for part in ["message", "errorDetail", "sctpCauseCode"] {
                            let value = Reflect::get(&error, &part.into()).unwrap_or(JsValue::NULL);
                            let _set = Reflect::set(&detail, &part.into(), &value);
                        }
                    }
                    _ => {}
                }
                tell(call, id, &format!("channel.{name}"), &detail, bytes);
            })
        };
        let _listeners =
            ["open", "message", "bufferedamountlow", "error", "closing", "close"].map(listen).into();
        Self { channel, _listeners }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`carry_out` sends only these here")]
    pub(super) fn run(&self, verb: Verb, args: &Array, data: &[u8]) -> Result {
        match verb {
            Verb::Send => {
                let text = args.get(0);
                let what = if text.is_string() { text } else { Uint8Array::from(data).into() };
                method(&self.channel, "send", &[what])?;
                Reflect::get(&self.channel, &"bufferedAmount".into())
            }
            Verb::SetThreshold => {
                Reflect::set(&self.channel, &"bufferedAmountLowThreshold".into(), &args.get(0))?;
                Ok(JsValue::UNDEFINED)
            }
            _ => method(&self.channel, "close", &[]),
        }
    }
}
