//! A connection: the device's own RTCPeerConnection, the one that is on the wire.

use gloo::events::EventListener;
use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};

use super::{Given, LiveCall, Result, description, method, renamed, text, unknown, with_call};
use crate::machine::calls::Verb;

/// Events that the page hears of, with what of each.
const EVENTS: [&str; 6] = [
    "icecandidate",
    "icecandidateerror",
    "icegatheringstatechange",
    "iceconnectionstatechange",
    "connectionstatechange",
    "datachannel",
];

/// The four slots of descriptions.
const SLOTS: [&str; 4] = [
    "currentLocalDescription",
    "pendingLocalDescription",
    "currentRemoteDescription",
    "pendingRemoteDescription",
];

pub(super) struct LiveConnection {
    call: u32,
    id: u32,
    connection: JsValue,
    /// Transceivers that the session has made, by its names.
    named: Vec<(String, JsValue)>,
    /// Tracks that are listened to.
    heard: Vec<JsValue>,
    listeners: Vec<EventListener>,
    /// What the session knows of the descriptions.
    told: String,
    /// How often the state was told.
    count: u32,
}

impl LiveConnection {
    pub(super) fn open(call: u32, id: u32, config: &JsValue) -> Result<Self> {
        let window = js_sys::global();
        let constructor: Function = Reflect::get(&window, &"RTCPeerConnection".into())?.dyn_into()?;
        let connection = Reflect::construct(&constructor, &Array::of1(config))?;
        let target: &web_sys::EventTarget = connection.unchecked_ref();
        let listeners = EVENTS
            .into_iter()
            .map(|name| {
                EventListener::new(target, name, move |event| {
                    let event: JsValue = event.into();
                    with_call(call, |live| on_event(live, id, name, &event));
                })
            })
            .collect();
        let (named, heard, told) = (Vec::new(), Vec::new(), String::new());
        Ok(Self { call, id, connection, named, heard, listeners, told, count: 0 })
    }

    pub(super) fn call(&self, name: &str, args: &[JsValue]) -> Result {
        method(&self.connection, name, args)
    }

    fn transceivers(&self) -> Vec<JsValue> {
        let all = self.call("getTransceivers", &[]).ok().and_then(|all| all.dyn_into::<Array>().ok());
        all.map(|all| all.iter().collect()).unwrap_or_default()
    }

    /// `mid:` and a mid, or what the session has named.
    fn transceiver(&self, name: &str) -> Result {
        let found = match name.strip_prefix("mid:") {
            Some(mid) => self.transceivers().into_iter().find(|one| text(one, "mid") == mid),
            None => self.named.iter().find(|(known, _)| known == name).map(|(_, one)| one.clone()),
        };
        found.ok_or_else(|| unknown("transceiver"))
    }

    fn sender(&self, name: &str) -> Result {
        Reflect::get(&self.transceiver(name)?, &"sender".into())
    }

    /// The track that a transceiver receives.
    pub(super) fn received(&self, name: &str) -> Option<JsValue> {
        let receiver = Reflect::get(&self.transceiver(name).ok()?, &"receiver".into()).ok()?;
        Reflect::get(&receiver, &"track".into()).ok()
    }

    fn name(&mut self, name: &str, transceiver: JsValue) {
        if !self.named.iter().any(|(_, known)| *known == transceiver) {
            self.named.push((name.to_owned(), transceiver));
        }
    }

    /// What the page reads of it. Descriptions only if they are others than those that were told last.
    pub(super) fn state(&mut self, names: &[(String, String)]) -> Result {
        self.hear();
        let state = Object::new();
        self.count = self.count.wrapping_add(1);
        Reflect::set(&state, &"count".into(), &self.count.into())?;
        for name in ["iceGatheringState", "iceConnectionState", "connectionState", "canTrickleIceCandidates"]
        {
            Reflect::set(&state, &name.into(), &Reflect::get(&self.connection, &name.into())?)?;
        }
        let descriptions = Object::new();
        let mut all = String::new();
        for slot in SLOTS {
            let found = Reflect::get(&self.connection, &slot.into())?;
            let told = if found.is_null() {
                JsValue::NULL
            } else {
                let (kind, sdp) = (text(&found, "type"), text(&found, "sdp"));
                all.push_str(&kind);
                all.push_str(&sdp);
                description(&kind, &renamed(&sdp, names, true))?
            };
            all.push('\n');
            Reflect::set(&descriptions, &slot.into(), &told)?;
        }
        if all != self.told {
            self.told = all;
            Reflect::set(&state, &"descriptions".into(), &descriptions)?;
        }
        let transceivers = Array::new();
        for one in self.transceivers() {
            transceivers.push(&self.about(&one)?);
        }
        Reflect::set(&state, &"transceivers".into(), &transceivers)?;
        let sctp = Reflect::get(&self.connection, &"sctp".into())?;
        if !sctp.is_null() {
            let about = Object::new();
            for name in ["state", "maxChannels"] {
                Reflect::set(&about, &name.into(), &Reflect::get(&sctp, &name.into())?)?;
            }
            // Infinity has no place in JSON.
            let size = Reflect::get(&sctp, &"maxMessageSize".into())?;
            Reflect::set(&about, &"maxMessageSize".into(), &size)?;
            Reflect::set(
                &about,
                &"transport".into(),
                &transport(&Reflect::get(&sctp, &"transport".into())?)?,
            )?;
            Reflect::set(&state, &"sctp".into(), &about)?;
        }
        Ok(state.into())
    }

    fn about(&self, one: &JsValue) -> Result {
        let about = Object::new();
        if let Some((name, _)) = self.named.iter().find(|(_, known)| known == one) {
            Reflect::set(&about, &"name".into(), &name.into())?;
        }
        Reflect::set(&about, &"mid".into(), &Reflect::get(one, &"mid".into())?)?;
        let sender = Reflect::get(one, &"sender".into())?;
        let receiver = Reflect::get(one, &"receiver".into())?;
        let track = Reflect::get(&receiver, &"track".into())?;
        for name in ["muted", "readyState"] {
            Reflect::set(&about, &name.into(), &Reflect::get(&track, &name.into())?)?;
        }
        let dtls = Reflect::get(&sender, &"transport".into())?;
        Reflect::set(&about, &"transport".into(), &transport(&dtls)?)?;
        let dtmf = Reflect::get(&sender, &"dtmf".into())?;
        if dtmf.is_object() {
            for name in ["canInsertDTMF", "toneBuffer"] {
                Reflect::set(&about, &name.into(), &Reflect::get(&dtmf, &name.into())?)?;
            }
        }
        Ok(about.into())
    }

    /// Listens to a transport and to the ICE transport below it, once.
    fn hear_transport(&mut self, object: JsValue) {
        if !object.is_object() || self.heard.contains(&object) {
            return;
        }
        let part = |name: &str| Reflect::get(&object, &name.into()).unwrap_or(JsValue::NULL);
        let lower = [part("iceTransport"), part("transport")];
        for name in ["statechange", "gatheringstatechange"] {
            let (call, id) = (self.call, self.id);
            self.listeners.push(EventListener::new(object.unchecked_ref(), name, move |_| {
                with_call(call, |live| live.connection_event(id, "transport", &Object::new()));
            }));
        }
        self.heard.push(object);
        for object in lower {
            self.hear_transport(object);
        }
    }

    /// Listens to what is received, to tones that are sent, and to transports.
    fn hear(&mut self) {
        let sctp = Reflect::get(&self.connection, &"sctp".into()).unwrap_or(JsValue::NULL);
        self.hear_transport(sctp);
        for one in self.transceivers() {
            let sender = Reflect::get(&one, &"sender".into()).unwrap_or(JsValue::NULL);
            let dtls = Reflect::get(&sender, &"transport".into()).unwrap_or(JsValue::NULL);
            self.hear_transport(dtls);
        }
        for one in self.transceivers() {
            if self.heard.contains(&one) {
                continue;
            }
            let (call, id) = (self.call, self.id);
            let part =
                |object: &JsValue, name: &str| Reflect::get(object, &name.into()).unwrap_or(JsValue::NULL);
            let track = part(&part(&one, "receiver"), "track");
            for name in ["mute", "unmute", "ended"] {
                let one = one.clone();
                self.listeners.push(EventListener::new(track.unchecked_ref(), name, move |_| {
                    with_call(call, |live| told_of(live, id, name, &one, None));
                }));
            }
            let dtmf = part(&part(&one, "sender"), "dtmf");
            if dtmf.is_object() {
                let transceiver = one.clone();
                self.listeners.push(EventListener::new(dtmf.unchecked_ref(), "tonechange", move |event| {
                    let tone = Reflect::get(event, &"tone".into()).ok();
                    with_call(call, |live| told_of(live, id, "tonechange", &transceiver, tone));
                }));
            }
            self.heard.push(one);
        }
    }
}

impl Drop for LiveConnection {
    fn drop(&mut self) {
        self.listeners.clear();
        let _closed = self.call("close", &[]);
    }
}

/// States of a DTLS transport and the ICE transport below it.
fn transport(dtls: &JsValue) -> Result {
    if !dtls.is_object() {
        return Ok(JsValue::NULL);
    }
    let about = Object::new();
    Reflect::set(&about, &"state".into(), &Reflect::get(dtls, &"state".into())?)?;
    let ice = Reflect::get(dtls, &"iceTransport".into())?;
    if ice.is_object() {
        let lower = Object::new();
        for name in ["state", "gatheringState", "role", "component"] {
            Reflect::set(&lower, &name.into(), &Reflect::get(&ice, &name.into())?)?;
        }
        let pair = method(&ice, "getSelectedCandidatePair", &[])?;
        if pair.is_object() {
            let told = Object::new();
            for end in ["local", "remote"] {
                let candidate = Reflect::get(&pair, &end.into())?;
                Reflect::set(&told, &end.into(), &method(&candidate, "toJSON", &[])?)?;
            }
            Reflect::set(&lower, &"pair".into(), &told)?;
        }
        Reflect::set(&about, &"ice".into(), &lower)?;
    }
    Ok(about.into())
}

fn told_of(live: &mut LiveCall, id: u32, event: &str, one: &JsValue, tone: Option<JsValue>) -> Result<()> {
    let detail = Object::new();
    Reflect::set(&detail, &"mid".into(), &Reflect::get(one, &"mid".into())?)?;
    if let Some(tone) = tone {
        Reflect::set(&detail, &"tone".into(), &tone)?;
    }
    live.connection_event(id, event, &detail)
}

fn on_event(live: &mut LiveCall, id: u32, name: &str, event: &JsValue) -> Result<()> {
    let detail = Object::new();
    match name {
        "datachannel" => return live.channel_came(id, Reflect::get(event, &"channel".into())?),
        "icecandidate" => {
            let candidate = Reflect::get(event, &"candidate".into())?;
            if candidate.is_object() {
                Reflect::set(&detail, &"candidate".into(), &method(&candidate, "toJSON", &[])?)?;
            }
        }
        "icecandidateerror" => {
            for part in ["address", "port", "url", "errorCode", "errorText"] {
                Reflect::set(&detail, &part.into(), &Reflect::get(event, &part.into())?)?;
            }
        }
        _ => {}
    }
    live.connection_event(id, name, &detail)
}

impl LiveCall {
    #[expect(clippy::wildcard_enum_match_arm, reason = "`carry_out` sends only these here")]
    pub(super) fn run_connection(
        &mut self,
        verb: Verb,
        id: u32,
        transceiver: &str,
        args: &Array,
    ) -> Result<Given> {
        let first = args.get(0);
        // What the page calls its streams and tracks is looked up before the connection is.
        let (mut track, mut streams) = (JsValue::NULL, Vec::new());
        match verb {
            Verb::AddTrack | Verb::ReplaceTrack => {
                track = self.track(&first)?;
                streams = self.streams(&args.get(1))?;
            }
            Verb::AddTransceiver => {
                track = if first.is_string() { first.clone() } else { self.track(&first)? };
                streams = self.streams(&args.get(2))?;
            }
            Verb::SetStreams => streams = self.streams(&first)?,
            _ => {}
        }
        let names = self.names.clone();
        let live = self.connections.get_mut(id).ok_or_else(|| unknown("connection"))?;
        let promised = |value: JsValue| Ok(Given::Promise(value.dyn_into::<Promise>()?));
        let done = |value: Result| value.map(|_| Given::Value(JsValue::UNDEFINED));
        match verb {
            Verb::CreateOffer => promised(live.call("createOffer", &[first])?),
            Verb::CreateAnswer => promised(live.call("createAnswer", &[])?),
            Verb::SetLocalDescription => {
                let given = if first.is_object() {
                    description(&text(&first, "type"), &renamed(&text(&first, "sdp"), &names, false))?
                } else {
                    JsValue::UNDEFINED
                };
                promised(live.call("setLocalDescription", &[given])?)
            }
            Verb::SetRemoteDescription => promised(live.call("setRemoteDescription", &[first])?),
            Verb::AddIceCandidate => promised(live.call("addIceCandidate", &[first])?),
            Verb::RestartIce => done(live.call("restartIce", &[])),
            Verb::SetConfiguration => done(live.call("setConfiguration", &[first])),
            Verb::AddTrack => {
                let mut all = vec![track];
                all.extend(streams);
                let sender = live.call("addTrack", &all)?;
                let of_sender =
                    |one: &JsValue| Reflect::get(one, &"sender".into()).is_ok_and(|other| other == sender);
                if let Some(one) = live.transceivers().into_iter().find(of_sender) {
                    live.name(transceiver, one);
                }
                Ok(Given::Value(JsValue::UNDEFINED))
            }
            Verb::AddTransceiver => {
                let init = args.get(1);
                if init.is_object() && !streams.is_empty() {
                    Reflect::set(&init, &"streams".into(), &streams.into_iter().collect::<Array>())?;
                }
                let one = live.call("addTransceiver", &[track, init])?;
                live.name(transceiver, one);
                Ok(Given::Value(JsValue::UNDEFINED))
            }
            Verb::RemoveTrack => {
                let sender = live.sender(transceiver)?;
                done(live.call("removeTrack", &[sender]))
            }
            Verb::ReplaceTrack => promised(method(&live.sender(transceiver)?, "replaceTrack", &[track])?),
            Verb::SetStreams => done(method(&live.sender(transceiver)?, "setStreams", &streams)),
            Verb::SetParameters => {
                let sender = live.sender(transceiver)?;
                // The transaction is the device's own; what the page may change is put into it.
                let parameters = method(&sender, "getParameters", &[])?;
                for name in ["encodings", "degradationPreference"] {
                    let value = Reflect::get(&first, &name.into())?;
                    if !value.is_undefined() {
                        Reflect::set(&parameters, &name.into(), &value)?;
                    }
                }
                promised(method(&sender, "setParameters", &[parameters, args.get(1)])?)
            }
            Verb::InsertDtmf => {
                let dtmf = Reflect::get(&live.sender(transceiver)?, &"dtmf".into())?;
                let all: Vec<JsValue> = args.iter().collect();
                done(method(&dtmf, "insertDTMF", &all))
            }
            Verb::SetDirection => {
                let one = live.transceiver(transceiver)?;
                done(Reflect::set(&one, &"direction".into(), &first).map(JsValue::from))
            }
            Verb::Stop => done(method(&live.transceiver(transceiver)?, "stop", &[])),
            Verb::SetCodecPreferences => {
                done(method(&live.transceiver(transceiver)?, "setCodecPreferences", &[first]))
            }
            Verb::GetStats => {
                let object = match first.as_string().as_deref() {
                    Some("sender") => live.sender(transceiver)?,
                    Some("receiver") => Reflect::get(&live.transceiver(transceiver)?, &"receiver".into())?,
                    _ => live.connection.clone(),
                };
                let report: Promise = method(&object, "getStats", &[])?.dyn_into()?;
                Ok(Given::Promise(wasm_bindgen_futures::future_to_promise(async move {
                    let report = wasm_bindgen_futures::JsFuture::from(report).await?;
                    Ok(Array::from(&method(&report, "values", &[])?).into())
                })))
            }
            Verb::GetSources => {
                let receiver = Reflect::get(&live.transceiver(transceiver)?, &"receiver".into())?;
                let name = match first.as_string().as_deref() {
                    Some("getContributingSources") => "getContributingSources",
                    _ => "getSynchronizationSources",
                };
                let all = method(&receiver, name, &[])?;
                Ok(Given::Value(all))
            }
            _ => Err(unknown("method")),
        }
    }
}
