//! What is live of a document's call: its connections, tracks and channels.
//!
//! Everything goes through `Reflect`: what a page may pass is the browser's to judge, and what it throws is the answer.

mod channel;
mod connection;
mod devices;
mod own;
mod samples;

pub(super) use devices::set_sink;

use js_sys::{Array, Function, JSON, Object, Promise, Reflect};
use offstage_protocol::message::{CallEvent, PlayTracks, TrackRef};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::browser::calls::channel::LiveChannel;
use crate::browser::calls::connection::LiveConnection;
use crate::browser::calls::devices::LiveTrack;
use crate::browser::calls::samples::Tap;
use crate::browser::{happened, js, with_shell};
use crate::machine::calls::{CallStep, Verb};
use crate::machine::event::Event;
use crate::table::Table;

/// Tracks and channels of one call; connections are limited by the browser.
const MAX_OBJECTS: usize = 1000;

/// The live half of a call. Dropping it ends everything of it.
pub(super) struct LiveCall {
    call: u32,
    salt: String,
    permitted: bool,
    connections: Table<u32, LiveConnection>,
    tracks: Table<u32, LiveTrack>,
    channels: Table<u32, LiveChannel>,
    /// Tracks that are brought to the page.
    taps: Table<u32, Tap>,
    certificates: Table<u32, JsValue>,
    /// Streams that stand for those of the page, by the page's names.
    streams: Vec<(String, JsValue)>,
    /// Names in descriptions: here, in the page.
    names: Vec<(String, String)>,
    /// Channels that the other end has made.
    made: u32,
    /// What notices that devices come and go.
    devices: Option<(gloo::events::EventListener, gloo::timers::callback::Interval)>,
}

/// What a step gave: a value at once, or a promise of one.
enum Given {
    Value(JsValue),
    Promise(Promise),
}

type Result<T = JsValue> = core::result::Result<T, JsValue>;

impl LiveCall {
    pub(super) fn open(call: u32, salt: String) -> Self {
        Self {
            call,
            salt,
            permitted: false,
            connections: Table::default(),
            tracks: Table::default(),
            channels: Table::default(),
            taps: Table::default(),
            certificates: Table::default(),
            streams: Vec::new(),
            names: Vec::new(),
            made: 1 << 31,
            devices: None,
        }
    }

    pub(super) fn salt(&self) -> &str {
        &self.salt
    }

    pub(super) fn permit(&mut self, permitted: bool) {
        self.permitted = permitted;
    }

    /// Carries a step out; its answer is an event, at once or later.
    pub(super) fn run(&mut self, step: CallStep) {
        let (call, request, target) = (self.call, step.request, step.target);
        let is_of_connection = self.connections.contains(target) && is_of_connection(step.verb);
        match self.carry_out(step) {
            Ok(Given::Value(value)) => self.answer(request, is_of_connection.then_some(target), Ok(value)),
            Ok(Given::Promise(promise)) => wasm_bindgen_futures::spawn_local(async move {
                let result = JsFuture::from(promise).await;
                with_shell(|shell| {
                    if let Some(live) = shell.calls.get_mut(call) {
                        live.answer(request, is_of_connection.then_some(target), result);
                    }
                });
                super::pump();
            }),
            Err(thrown) => self.answer(request, None, Err(thrown)),
        }
    }

    fn answer(&mut self, request: u32, connection: Option<u32>, result: Result) {
        let result = result.and_then(|value| {
            let value = self.told(&value)?;
            let answer = Object::new();
            Reflect::set(&answer, &"value".into(), &value)?;
            if let Some(live) = connection.and_then(|id| self.connections.get_mut(id)) {
                let state = live.state(&self.names)?;
                Reflect::set(&answer, &"state".into(), &state)?;
            }
            text_of(&answer)
        });
        let result = result.map_err(|thrown| js::exception(&thrown));
        happened(Event::CallAnswered { call: self.call, request, result });
    }

    fn carry_out(&mut self, step: CallStep) -> Result<Given> {
        let CallStep { verb, target, transceiver, arguments, data, .. } = step;
        let args: Array = JSON::parse(if arguments.is_empty() { "[]" } else { &arguments })?.dyn_into()?;
        match verb {
            Verb::Connect => {
                let live = LiveConnection::open(self.call, target, &self.configuration(&args.get(0))?)?;
                self.connections.insert(target, live);
                Ok(Given::Value(JsValue::UNDEFINED))
            }
            Verb::Close => {
                self.connections.remove(target);
                Ok(Given::Value(JsValue::UNDEFINED))
            }
            Verb::Send | Verb::CloseChannel | Verb::SetThreshold => {
                let channel = self.channels.get(target).ok_or_else(|| unknown("channel"))?;
                channel.run(verb, &args, &data).map(Given::Value)
            }
            Verb::CreateDataChannel => {
                self.check_room(self.channels.len())?;
                let connection = self.connections.get(target).ok_or_else(|| unknown("connection"))?;
                let (id, label, init) = (number(&args.get(0)), args.get(1), args.get(2));
                let channel = connection.call("createDataChannel", &[label, init])?;
                self.channels.insert(id, LiveChannel::open(self.call, id, channel));
                Ok(Given::Value(JsValue::UNDEFINED))
            }
            Verb::Capture => self.capture(&args),
            Verb::CaptureScreen => self.capture_screen(&args),
            Verb::Enumerate => self.enumerate(),
            Verb::EnableTrack => {
                let track = self.any_track(target, &transceiver)?;
                Reflect::set(&track, &"enabled".into(), &args.get(0))
                    .map(|_| Given::Value(JsValue::UNDEFINED))
            }
            Verb::StopTrack | Verb::CloneTrack | Verb::ApplyConstraints => {
                self.run_track(verb, target, &args)
            }
            Verb::Tap => {
                self.check_room(self.taps.len())?;
                let id = number(&args.get(0));
                let tap = Tap::open(self.call, id, &self.any_track(target, &transceiver)?)?;
                self.taps.insert(id, tap);
                Ok(Given::Value(JsValue::UNDEFINED))
            }
            Verb::Tapped => {
                if let Some(tap) = self.taps.get(target) {
                    tap.arrived(&args);
                }
                Ok(Given::Value(JsValue::UNDEFINED))
            }
            Verb::Untap => {
                self.taps.remove(target);
                Ok(Given::Value(JsValue::UNDEFINED))
            }
            Verb::GenerateCertificate => self.generate_certificate(&args),
            Verb::GetCapabilities => own::capabilities().map(Given::Value),
            Verb::Bring => self.bring(&args),
            Verb::Media => {
                let track = self.tracks.get_mut(target).ok_or_else(|| unknown("track"))?;
                track.take(&args.get(0), &data).map(Given::Value)
            }
            Verb::SetConfiguration
            | Verb::CreateOffer
            | Verb::CreateAnswer
            | Verb::SetLocalDescription
            | Verb::SetRemoteDescription
            | Verb::AddIceCandidate
            | Verb::RestartIce
            | Verb::AddTrack
            | Verb::RemoveTrack
            | Verb::AddTransceiver
            | Verb::GetStats
            | Verb::GetSources
            | Verb::ReplaceTrack
            | Verb::SetParameters
            | Verb::SetStreams
            | Verb::InsertDtmf
            | Verb::SetDirection
            | Verb::Stop
            | Verb::SetCodecPreferences => self.run_connection(verb, target, &transceiver, &args),
        }
    }

    fn check_room(&self, count: usize) -> Result<()> {
        if count < MAX_OBJECTS { Ok(()) } else { Err(error("OperationError", "too many objects")) }
    }

    /// The other end has made a channel.
    pub(super) fn channel_came(&mut self, connection: u32, channel: JsValue) -> Result<()> {
        self.check_room(self.channels.len())?;
        self.made = self.made.wrapping_add(1).max(1 << 31);
        let id = self.made;
        let detail = Object::new();
        Reflect::set(&detail, &"channel".into(), &id.into())?;
        for name in
            ["label", "protocol", "ordered", "maxPacketLifeTime", "maxRetransmits", "id", "readyState"]
        {
            Reflect::set(&detail, &name.into(), &Reflect::get(&channel, &name.into())?)?;
        }
        self.channels.insert(id, LiveChannel::open(self.call, id, channel));
        tell(self.call, connection, "connection.datachannel", &detail, Vec::new());
        Ok(())
    }

    /// An event of a connection's, with the connection's state.
    pub(super) fn connection_event(&mut self, id: u32, event: &str, detail: &Object) -> Result<()> {
        let Some(live) = self.connections.get_mut(id) else { return Ok(()) };
        let state = live.state(&self.names)?;
        Reflect::set(detail, &"state".into(), &state)?;
        tell(self.call, id, &format!("connection.{event}"), detail, Vec::new());
        Ok(())
    }

    /// The stream that stands for one of the page's.
    fn stream(&mut self, name: &str) -> Result {
        if let Some((_, stream)) = self.streams.iter().find(|(known, _)| known == name) {
            return Ok(stream.clone());
        }
        self.check_room(self.streams.len())?;
        let stream: JsValue = web_sys::MediaStream::new()?.into();
        self.name(text(&stream, "id"), name.to_owned());
        self.streams.push((name.to_owned(), stream.clone()));
        Ok(stream)
    }

    fn streams(&mut self, names: &JsValue) -> Result<Vec<JsValue>> {
        let names = names.dyn_ref::<Array>().cloned().unwrap_or_default();
        names.iter().filter_map(|name| name.as_string()).map(|name| self.stream(&name)).collect()
    }

    /// A captured track by its number, a received one by its connection and transceiver, or nothing for null.
    fn track(&self, named: &JsValue) -> Result {
        if named.is_null() || named.is_undefined() {
            return Ok(JsValue::NULL);
        }
        if named.is_object() {
            let target = number(&Reflect::get(named, &"target".into())?);
            return self.any_track(target, &text(named, "transceiver"));
        }
        self.any_track(number(named), "")
    }

    /// From now on the page has this name for a stream or track of here.
    fn name(&mut self, here: String, there: String) {
        self.names.retain(|(_, known)| *known != there);
        self.names.push((here, there));
    }

    /// A description in the page's names; anything else as it is.
    fn told(&self, value: &JsValue) -> Result {
        match Reflect::get(value, &"sdp".into()).ok().and_then(|sdp| sdp.as_string()) {
            Some(sdp) => description(&text(value, "type"), &renamed(&sdp, &self.names, true)),
            None => Ok(value.clone()),
        }
    }

    /// What a player is to show.
    pub(super) fn play(&self, play: &PlayTracks) -> Result<web_sys::MediaStream> {
        let stream = web_sys::MediaStream::new()?;
        for TrackRef { target, transceiver } in &play.tracks {
            if let Ok(track) = self.any_track(*target, transceiver) {
                stream.add_track(track.unchecked_ref());
            }
        }
        Ok(stream)
    }
}

fn is_of_connection(verb: Verb) -> bool {
    !matches!(
        verb,
        Verb::Send
            | Verb::CloseChannel
            | Verb::SetThreshold
            | Verb::Capture
            | Verb::CaptureScreen
            | Verb::Enumerate
            | Verb::StopTrack
            | Verb::CloneTrack
            | Verb::EnableTrack
            | Verb::ApplyConstraints
            | Verb::GetStats
            | Verb::GetSources
            | Verb::Tap
            | Verb::Tapped
            | Verb::Untap
            | Verb::Bring
            | Verb::Media
            | Verb::GenerateCertificate
            | Verb::GetCapabilities
    )
}

/// Tells the session of an event.
fn tell(call: u32, target: u32, event: &str, detail: &JsValue, data: Vec<u8>) {
    let detail = text_of(detail).unwrap_or_default();
    happened(Event::CallHappened(CallEvent { call, target, event: event.to_owned(), detail, data }));
}

/// Runs something on a call from a listener.
fn with_call(call: u32, action: impl FnOnce(&mut LiveCall) -> Result<()>) {
    with_shell(|shell| {
        if let Some(live) = shell.calls.get_mut(call)
            && let Err(thrown) = action(live)
        {
            js::log(&js::exception(&thrown).message);
        }
    });
    super::pump();
}

fn text_of(value: &JsValue) -> Result<String> {
    JSON::stringify(value).map(String::from)
}

fn text(object: &JsValue, name: &str) -> String {
    Reflect::get(object, &name.into()).ok().and_then(|value| value.as_string()).unwrap_or_default()
}

/// A small whole number that the session has given; anything else is 0, which nothing has.
fn number(value: &JsValue) -> u32 {
    js::short(value.as_f64().unwrap_or(0.0))
}

fn method(object: &JsValue, name: &str, args: &[JsValue]) -> Result {
    let function: Function = Reflect::get(object, &name.into())?.dyn_into()?;
    let last = args.iter().rposition(|arg| !arg.is_undefined()).map_or(0, |at| at + 1);
    Reflect::apply(&function, object, &args.iter().take(last).cloned().collect::<Array>())
}

fn description(kind: &str, sdp: &str) -> Result {
    let object = Object::new();
    Reflect::set(&object, &"type".into(), &kind.into())?;
    Reflect::set(&object, &"sdp".into(), &sdp.into())?;
    Ok(object.into())
}

/// A description with the names of streams and tracks as the page has them, or as they are here.
fn renamed(sdp: &str, names: &[(String, String)], to_page: bool) -> String {
    names.iter().fold(sdp.to_owned(), |sdp, (here, there)| {
        if to_page { sdp.replace(here, there) } else { sdp.replace(there, here) }
    })
}

fn error(name: &str, message: &str) -> JsValue {
    web_sys::DomException::new_with_message_and_name(message, name)
        .map_or_else(|thrown| thrown, JsValue::from)
}

fn unknown(what: &str) -> JsValue {
    error("InvalidStateError", &format!("no such {what}"))
}
