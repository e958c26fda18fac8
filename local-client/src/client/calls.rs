//! Calls of sessions: whose they are, and whether their sites may have microphone and camera.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

use offstage_protocol::ErrorCode;
use offstage_protocol::message::CallAnswer;
use offstage_protocol::message::CallEvent;
use offstage_protocol::message::CallFailed;
use offstage_protocol::message::CallRequest;
use offstage_protocol::message::CloseCall;
use offstage_protocol::message::FromDevice;
use offstage_protocol::message::FromDeviceKind;
use offstage_protocol::message::OpenCall;
use offstage_protocol::message::PlayTracks;
use offstage_protocol::message::StageCall;
use offstage_protocol::message::ToDeviceKind;
use offstage_protocol::message::ToStageKind;
use offstage_protocol::prost::Message as _;

use crate::client::BULK_QUEUE;
use crate::client::Client;
use crate::client::MAX_ORIGIN;
use crate::client::capture::Captures;
use crate::client::capture::OWN_REQUEST;
use crate::policy::Consent;

/// Documents of one session that call at a time.
const MAX_CALLS: usize = 32;
/// Requests of one document that wait for the person's word.
const MAX_HELD: usize = 16;
/// Sites that the person's word is remembered for.
const MAX_ALLOWED: usize = 200;
/// The first of the streams on which messages and samples go to sessions, one for each call: a session's own numbers begin at 16.
const FIRST_CALL_STREAM: u32 = 1 << 31;
/// Bytes of a session's queue that are kept for what other channels tell when one has filled it with its messages.
const OTHER_CHANNELS: usize = 4 * 1024 * 1024;
/// What the page's `RTCError` says when a channel has brought more than its page took.
const DROWNED: &str = r#"{"message":"More messages came than could be passed on","errorDetail":"data-channel-failure","readyState":"closed"}"#;

/// A document of a session that calls.
#[derive(Debug)]
pub(crate) struct Call {
    pub(super) session: u64,
    /// Its id in that session.
    pub(super) name: u32,
    pub(super) origin: String,
    pub(super) captures: Captures,
    /// The person has been asked.
    held: Option<Held>,
    /// The site has had microphone or camera: it may know what they are called.
    permitted: bool,
    /// Channels that were closed because too much came.
    drowned: BTreeSet<u32>,
}

impl Call {
    /// Where what may be large goes: it keeps nothing else waiting.
    fn stream(&self) -> u32 {
        FIRST_CALL_STREAM | self.name
    }
}

/// Requests that wait for the person's word on microphone and camera, or on a screen, which the first of them wants.
#[derive(Debug)]
struct Held {
    asked: [bool; 2],
    screen: bool,
    requests: Vec<CallRequest>,
}

/// What the person has allowed since the client began: microphone and camera, by site.
pub(crate) type Allowed = BTreeMap<String, [bool; 2]>;

/// A question to the person in front of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub call: u32,
    /// The site that asks.
    pub origin: String,
    pub microphone: bool,
    pub camera: bool,
    pub screen: bool,
}

/// What has to be asked or is not to be asked any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asking {
    Ask(Question),
    Withdraw { call: u32 },
}

impl Client {
    /// Names of devices that sites see are made with this; kept for as long as the device's person wants sites to know their
    /// devices again.
    pub fn set_secret(&mut self, secret: &[u8]) {
        self.secret = secret.to_vec();
    }

    /// What the person has to be asked.
    pub fn poll_question(&mut self) -> Option<Asking> {
        self.questions.pop_front()
    }

    /// The person has answered, or won't.
    pub fn answered(&mut self, call: u32, allowed: bool) {
        let Some(state) = self.calls.get_mut(&call) else { return };
        let Some(Held { asked, screen, requests }) = state.held.take() else { return };
        if screen {
            return self.answered_screen(call, allowed, requests);
        }
        if allowed && (self.allowed.len() < MAX_ALLOWED || self.allowed.contains_key(&state.origin)) {
            let known = self.allowed.entry(state.origin.clone()).or_default();
            *known = [known[0] || asked[0], known[1] || asked[1]];
        }
        for request in requests {
            if allowed && covers(asked, wanted(&request.arguments)) {
                self.permit(call);
                self.forward(request);
            } else if allowed {
                // It wants more than what was asked for.
                self.capture(call, request);
            } else {
                self.refuse(call, &request, "NotAllowedError", "Permission denied");
            }
        }
    }

    fn answered_screen(&mut self, call: u32, allowed: bool, requests: Vec<CallRequest>) {
        let mut requests = requests.into_iter();
        if let Some(request) = requests.next() {
            if allowed {
                self.forward(request);
            } else {
                self.refuse(call, &request, "NotAllowedError", "Permission denied");
            }
        }
        for request in requests {
            self.capture(call, request);
        }
    }

    /// A page wants to show a screen of this device. The person is asked each time; where the device shows none, the page gets one of
    /// the session's.
    fn capture_screen(&mut self, call: u32, request: CallRequest) {
        let Some(state) = self.calls.get_mut(&call) else { return };
        if !self.policy.shares_screens(&state.origin) {
            return self.answer(&request, "{\"value\":null}");
        }
        if state.held.is_some() {
            return self.refuse(call, &request, "InvalidStateError", "the person is being asked already");
        }
        let question =
            Question { call, origin: state.origin.clone(), microphone: false, camera: false, screen: true };
        state.held = Some(Held { asked: [false; 2], screen: true, requests: vec![request] });
        self.questions.push_back(Asking::Ask(question));
    }

    /// Messages about calls; everything else comes back.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not about calls is the players' business")]
    pub(crate) fn call_message(&mut self, session: u64, kind: ToDeviceKind) -> Option<ToDeviceKind> {
        match kind {
            ToDeviceKind::OpenCall(open) => self.open_call(session, open),
            ToDeviceKind::CloseCall(close) => {
                if let Some(call) = self.call_of(session, close.call) {
                    self.end_call(call);
                }
            }
            ToDeviceKind::CallRequest(request) => self.call_request(session, request),
            kind => return Some(kind),
        }
        None
    }

    /// Puts the device's number of the call in place of the session's; false if it has no such call.
    pub(crate) fn name_call(&self, session: u64, play: &mut PlayTracks) -> bool {
        let call = self.call_of(session, play.call);
        play.call = call.unwrap_or(0);
        call.is_some()
    }

    fn call_of(&self, session: u64, name: u32) -> Option<u32> {
        self.calls.iter().find(|(_, state)| state.session == session && state.name == name).map(|(id, _)| *id)
    }

    fn open_call(&mut self, session: u64, open: OpenCall) {
        let OpenCall { call: name, origin } = open;
        let status = self.device.status();
        let mine = self.calls.values().filter(|state| state.session == session);
        let refusal = if !status.ready {
            Some(ErrorCode::from_u32(status.code).unwrap_or(ErrorCode::DEVICE_NOT_READY))
        } else if self.call_of(session, name).is_some() {
            self.close_session(session, ErrorCode::UNEXPECTED_MESSAGE, "a call was opened twice");
            return;
        } else if mine.count() >= MAX_CALLS {
            Some(ErrorCode::TOO_MANY_CALLS)
        } else if origin.len() > MAX_ORIGIN || !self.policy.allows(&origin) {
            Some(ErrorCode::CONSENT_REFUSED)
        } else {
            None
        };
        if let Some(code) = refusal {
            let failed = CallFailed { call: name, code: code.number(), detail: String::new() };
            return self.tell(session, FromDeviceKind::CallFailed(failed));
        }
        let mut call = self.last_call.wrapping_add(1).max(1);
        while self.calls.contains_key(&call) {
            call = call.wrapping_add(1).max(1);
        }
        self.last_call = call;
        let permitted = match self.policy.consent(&origin) {
            Consent::Allowed => true,
            Consent::Denied => false,
            Consent::Ask => self.allowed.contains_key(&origin),
        };
        self.calls.insert(
            call,
            Call {
                session,
                name,
                origin,
                captures: Captures::default(),
                held: None,
                permitted,
                drowned: BTreeSet::new(),
            },
        );
        self.tell_stage_of(call);
    }

    /// Tells the stage of a call, or what is new of it.
    fn tell_stage_of(&mut self, call: u32) {
        let Some(state) = self.calls.get(&call) else { return };
        let key = hmac_sha256::HMAC::mac(state.origin.as_bytes(), &self.secret);
        let salt = key.iter().map(|byte| format!("{byte:02x}")).collect();
        self.stage.push(ToStageKind::Call(StageCall { call, salt, permitted: state.permitted }));
    }

    fn call_request(&mut self, session: u64, mut request: CallRequest) {
        // One of a call that has just ended may be on its way still.
        let Some(call) = self.call_of(session, request.call) else { return };
        request.call = call;
        match request.verb.as_str() {
            "capture" => self.capture(call, request),
            "captureScreen" => self.capture_screen(call, request),
            _ => self.forward(request),
        }
    }

    fn capture(&mut self, call: u32, request: CallRequest) {
        let Some(state) = self.calls.get_mut(&call) else { return };
        let asked = wanted(&request.arguments);
        let consent = match self.policy.consent(&state.origin) {
            Consent::Allowed if self.stopped.contains(&state.origin) => Consent::Ask,
            consent @ (Consent::Allowed | Consent::Ask | Consent::Denied) => consent,
        };
        match consent {
            Consent::Denied => self.refuse(call, &request, "NotAllowedError", "Permission denied"),
            Consent::Allowed => {
                self.permit(call);
                self.forward(request);
            }
            Consent::Ask if self.allowed.get(&state.origin).is_some_and(|known| covers(*known, asked)) => {
                self.permit(call);
                self.forward(request);
            }
            Consent::Ask => match &mut state.held {
                Some(held) if held.requests.len() < MAX_HELD => held.requests.push(request),
                Some(_) => self.refuse(call, &request, "NotAllowedError", "Permission denied"),
                None => {
                    let [microphone, camera] = asked;
                    let origin = state.origin.clone();
                    let question = Question { call, origin, microphone, camera, screen: false };
                    state.held = Some(Held { asked, screen: false, requests: vec![request] });
                    self.questions.push_back(Asking::Ask(question));
                }
            },
        }
    }

    fn permit(&mut self, call: u32) {
        if let Some(state) = self.calls.get_mut(&call).filter(|state| !state.permitted) {
            state.permitted = true;
            self.tell_stage_of(call);
        }
    }

    pub(super) fn forward(&mut self, request: CallRequest) {
        let Some(state) = self.calls.get_mut(&request.call) else { return };
        if !state.captures.requested(&request) {
            return self.refuse(request.call, &request, "OperationError", "too many tracks");
        }
        self.tell_stage(ToDeviceKind::CallRequest(request));
        self.show_chooser();
    }

    /// Answers in the stage's place.
    fn answer(&mut self, request: &CallRequest, result: &str) {
        let Some(state) = self.calls.get(&request.call) else { return };
        let (call, request, result) = (state.name, request.request, result.to_owned());
        let answer = CallAnswer { call, request, result, ..CallAnswer::default() };
        self.tell(state.session, FromDeviceKind::CallAnswer(answer));
    }

    fn refuse(&mut self, call: u32, request: &CallRequest, exception: &str, detail: &str) {
        let Some(state) = self.calls.get(&call) else { return };
        let answer = CallAnswer {
            call: state.name,
            request: request.request,
            exception: exception.to_owned(),
            detail: detail.to_owned(),
            result: String::new(),
        };
        self.tell(state.session, FromDeviceKind::CallAnswer(answer));
    }

    /// Something of the stage's about a call goes to its session; everything else comes back.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not about calls is the players' business")]
    pub(crate) fn pass_on_call(&mut self, kind: FromDeviceKind) -> Option<FromDeviceKind> {
        let mut kind = kind;
        let (FromDeviceKind::CallAnswer(CallAnswer { call: id, .. })
        | FromDeviceKind::CallEvent(CallEvent { call: id, .. })
        | FromDeviceKind::CallFailed(CallFailed { call: id, .. })) = &mut kind
        else {
            return Some(kind);
        };
        let call = *id;
        let state = self.calls.get_mut(&call)?;
        *id = state.name;
        let session = state.session;
        match &kind {
            FromDeviceKind::CallAnswer(answer) if answer.request == OWN_REQUEST => return None,
            FromDeviceKind::CallAnswer(answer) => state.captures.answered(answer),
            FromDeviceKind::CallEvent(event) => state.captures.happened(event),
            _ => {}
        }
        self.show_chooser();
        if matches!(kind, FromDeviceKind::CallFailed(_)) {
            self.forget_call(call);
        }
        match kind {
            FromDeviceKind::CallEvent(event) if is_after_messages(&event.event) => {
                self.tell_of_channel(call, event);
            }
            kind => self.tell(session, kind),
        }
        None
    }

    /// Messages and the end of a channel stay in order. One that brings more than its page takes is closed: nobody can ask the other end to wait
    /// (WebRTC 1.0 has no back pressure for what is received).
    fn tell_of_channel(&mut self, call: u32, event: CallEvent) {
        let Some(state) = self.calls.get_mut(&call) else { return };
        let (session, name, stream, channel) = (state.session, state.name, state.stream(), event.target);
        let Some(mux) = self.sessions.get_mut(&session).map(|session| &mut session.mux) else { return };
        if state.drowned.contains(&channel) || !mux.is_connected() {
            return;
        }
        let is_full = event.event == "channel.message" && mux.queued_bytes() > BULK_QUEUE - OTHER_CHANNELS;
        let message = FromDevice { kind: Some(FromDeviceKind::CallEvent(event)) }.encode_to_vec();
        if !is_full && mux.send(stream, message).is_ok() {
            return;
        }
        tracing::warn!("a data channel brought more than its page took: it is closed");
        state.drowned.insert(channel);
        for (event, detail) in [("channel.error", DROWNED), ("channel.close", "{}")] {
            let (event, detail, data) = (event.to_owned(), detail.to_owned(), Vec::new());
            let told = CallEvent { call: name, target: channel, event, detail, data };
            // What waits for the page is for a channel that is no more.
            self.tell(session, FromDeviceKind::CallEvent(told));
        }
        let (request, verb, arguments) = (OWN_REQUEST, "closeChannel".to_owned(), "[]".to_owned());
        let (target, transceiver, data) = (channel, String::new(), Vec::new());
        let close = CallRequest { call, request, verb, target, transceiver, arguments, data };
        self.tell_stage(ToDeviceKind::CallRequest(close));
    }

    fn end_call(&mut self, call: u32) {
        self.stage.push(ToStageKind::EndCall(CloseCall { call }));
        self.forget_call(call);
    }

    fn forget_call(&mut self, call: u32) {
        let Some(state) = self.calls.remove(&call) else { return };
        if state.held.is_some() {
            self.questions.push_back(Asking::Withdraw { call });
        }
        if let Some(session) = self.sessions.get_mut(&state.session) {
            session.mux.close_stream(state.stream());
        }
        self.show_chooser();
    }

    /// The device's policy is another one: calls that it does not allow fail, and so do those that hold a microphone or camera
    /// that they may not have any more.
    pub(crate) fn end_forbidden_calls(&mut self) {
        self.stop_forbidden_screens();
        let policy = &self.policy;
        self.allowed.retain(|origin, _| policy.consent(origin) != Consent::Denied);
        let forbidden = |state: &Call| {
            !policy.plays()
                || !policy.allows(&state.origin)
                || (state.permitted && policy.consent(&state.origin) == Consent::Denied)
        };
        let ended: Vec<u32> =
            self.calls.iter().filter(|(_, state)| forbidden(state)).map(|(id, _)| *id).collect();
        for call in ended {
            let Some(state) = self.calls.get(&call) else { continue };
            let code = ErrorCode::CONSENT_REFUSED.number();
            let failed = CallFailed { call: state.name, code, detail: String::new() };
            self.tell(state.session, FromDeviceKind::CallFailed(failed));
            self.end_call(call);
        }
    }

    pub(crate) fn end_calls_of(&mut self, session: u64) {
        let mine: Vec<u32> =
            self.calls.iter().filter(|(_, state)| state.session == session).map(|(id, _)| *id).collect();
        for call in mine {
            self.end_call(call);
        }
    }

    /// Without a device, or by the device's policy.
    pub(crate) fn end_all_calls(&mut self) {
        let all: Vec<u32> = self.calls.keys().copied().collect();
        for call in all {
            self.end_call(call);
        }
    }
}

/// What of a channel has to stay behind the messages that came before it. That it is open or takes more may overtake them.
fn is_after_messages(event: &str) -> bool {
    matches!(event, "channel.message" | "channel.error" | "channel.closing" | "channel.close")
}

/// Whether all that is wanted has been allowed.
fn covers(allowed: [bool; 2], wanted: [bool; 2]) -> bool {
    allowed.iter().zip(wanted).all(|(allowed, wanted)| *allowed || !wanted)
}

/// Whether sound and picture are asked for; what can't be read asks for both.
fn wanted(arguments: &str) -> [bool; 2] {
    let Ok(arguments) = serde_json::from_str::<serde_json::Value>(arguments) else { return [true; 2] };
    ["audio", "video"].map(|kind| {
        let value = arguments.get(0).and_then(|constraints| constraints.get(kind));
        value.is_some_and(|value| !matches!(value, serde_json::Value::Bool(false) | serde_json::Value::Null))
    })
}

/// Questions wait here until they are asked.
pub(crate) type Questions = VecDeque<Asking>;
