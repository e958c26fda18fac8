//! The thin shell: JavaScript events in, browser calls out. The only file of this crate that touches the browser.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gloo::timers::callback::Timeout;
use js_sys::{JsString, Object, Reflect};
use offstage_protocol::{Monotonic, SortedMap};
use serde::Serialize as _;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::{JsCast, JsValue, wasm_bindgen};
use web_sys::{MessageEvent, MessagePort, WorkerGlobalScope};

use crate::core::{Core, Output, Place};
use crate::link::LinkAction;

/// Name of the native messaging host, as in its manifest.
const NATIVE_HOST: &str = "org.offstage.bridge";

#[wasm_bindgen]
extern "C" {
    /// What background.js does for Rust: calls of the `chrome` namespace.
    pub type Shell;
    #[wasm_bindgen(method, js_name = connectNative)]
    fn connect_native(this: &Shell, name: &str) -> Port;
    #[wasm_bindgen(method)]
    fn register(this: &Shell, scripts: JsValue, contract: bool);
    #[wasm_bindgen(method, js_name = findAncestors)]
    fn find_ancestors(this: &Shell, tab: i32, frame: i32);
    #[wasm_bindgen(method)]
    fn inject(this: &Shell, tab: i32, frame: i32);
    #[wasm_bindgen(method)]
    fn fetch(this: &Shell, player: u32, relay: u32, request: u32, url: &str, start: f64, end: Option<f64>);
    #[wasm_bindgen(method)]
    fn unfetch(this: &Shell, player: u32, request: u32);
    #[wasm_bindgen(method, js_name = setIcon)]
    fn set_icon(this: &Shell, tab: i32, state: &str, title: &str);
    /// A text in the person's language.
    #[wasm_bindgen(js_namespace = ["chrome", "i18n"], js_name = getMessage)]
    fn get_message(name: &str) -> String;

    /// `chrome.runtime.Port`.
    pub type Port;
    #[wasm_bindgen(method, catch, js_name = postMessage)]
    fn post_message(this: &Port, message: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(method)]
    fn disconnect(this: &Port);
}

struct Media {
    port: MessagePort,
    /// Kept alive as long as the port.
    _listener: Closure<dyn FnMut(MessageEvent)>,
}

struct State {
    core: Core,
    shell: Shell,
    native: Option<Port>,
    relays: SortedMap<u32, Port>,
    media: SortedMap<u32, Media>,
    timer: Option<Timeout>,
}

/// The extension's brain, as background.js holds it.
#[wasm_bindgen]
#[expect(missing_debug_implementations, reason = "holds browser objects; nobody prints it")]
pub struct Brain {
    state: Rc<RefCell<State>>,
}

#[wasm_bindgen]
impl Brain {
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(shell: Shell, version: &str) -> Self {
        let state = State {
            core: Core::new(version, &get_message("state_video")),
            shell,
            native: None,
            relays: SortedMap::new(),
            media: SortedMap::new(),
            timer: None,
        };
        Self { state: Rc::new(RefCell::new(state)) }
    }

    pub fn configure(&self, sources: JsValue) {
        let sources = serde_wasm_bindgen::from_value(sources).unwrap_or_default();
        self.with(|state, _, _| state.core.handle_config(&sources));
    }

    /// What the person sets, as it is to be stored; throws the error's code.
    pub fn set(&self, key: &str, value: JsValue) -> Result<JsValue, JsValue> {
        let value = serde_wasm_bindgen::from_value(value).unwrap_or_default();
        let stored = self.state.borrow().core.settings().set(key, &value);
        to_store(vec![(key, stored.map_err(thrown)?)])
    }

    /// The same for the switch of a tab's site.
    pub fn switch_site(&self, tab: i32, on: bool) -> Result<JsValue, JsValue> {
        let stored = self.state.borrow().core.switch_site(tab, on);
        to_store(stored.map_err(thrown)?)
    }

    /// [`offstage_view::View`] of a tab, as an object.
    pub fn view(&self, tab: i32) -> Result<JsValue, JsValue> {
        let view = self.state.borrow().core.view(tab);
        Ok(view.serialize(&serde_wasm_bindgen::Serializer::json_compatible())?)
    }

    pub fn native_message(&self, port: &Port, message: &JsValue) {
        let text = Reflect::get(message, &"f".into()).ok().and_then(|f| f.as_string());
        let Some(bytes) = text.and_then(|text| BASE64.decode(text).ok()) else { return };
        self.with(|state, now, wall| {
            if state.native.as_ref().is_some_and(|native| same(native, port)) {
                state.core.handle_native_bytes(now, wall, &bytes);
            }
        });
    }

    pub fn native_closed(&self, port: &Port, reason: &str) {
        self.with(|state, now, wall| {
            if state.native.as_ref().is_some_and(|native| same(native, port)) {
                state.native = None;
                state.core.handle_native_closed(now, wall, reason);
            }
        });
    }

    #[expect(clippy::too_many_arguments, reason = "what the browser vouches for, one by one")]
    pub fn relay_opened(
        &self,
        relay: u32,
        port: Port,
        tab: i32,
        frame: i32,
        origin: String,
        url: String,
        nonce: String,
    ) {
        self.with(|state, now, _| {
            state.relays.insert(relay, port);
            state.core.handle_relay_opened(now, relay, Place { tab, frame, origin, url }, nonce);
        });
    }

    pub fn relay_message(&self, relay: u32, message: JsValue) {
        let parsed = serde_wasm_bindgen::from_value(message);
        self.with(|state, now, wall| match parsed {
            Ok(event) => state.core.handle_relay(now, wall, relay, event),
            Err(error) => state.core.handle_nonsense(now, relay, &error.to_string()),
        });
    }

    pub fn relay_closed(&self, relay: u32) {
        self.with(|state, _, _| {
            state.relays.remove(&relay);
            state.core.handle_relay_closed(relay);
        });
    }

    pub fn ancestors_found(&self, tab: i32, frame: i32, chain: Vec<i32>) {
        self.with(|state, _, _| state.core.handle_ancestors(tab, frame, &chain));
    }

    pub fn media_offered(&self, nonce: &str, port: MessagePort) {
        let weak = Rc::downgrade(&self.state);
        self.with(|state, _, _| {
            let Some(relay) = state.core.handle_media_offered(nonce) else {
                port.close();
                return;
            };
            let listener = Closure::wrap(Box::new(move |event: MessageEvent| {
                let Some(state) = weak.upgrade() else { return };
                let parsed = serde_wasm_bindgen::from_value(event.data());
                run(&state, |state, now, wall| match parsed {
                    Ok(event) => state.core.handle_hook(now, wall, relay, event),
                    Err(error) => state.core.handle_nonsense(now, relay, &error.to_string()),
                });
            }) as Box<dyn FnMut(MessageEvent)>);
            port.set_onmessage(Some(listener.as_ref().unchecked_ref()));
            state.media.insert(relay, Media { port, _listener: listener });
        });
    }

    /// What `shell.fetch` has given.
    pub fn fetched(&self, player: u32, answer: JsValue) {
        if let Ok(answer) = serde_wasm_bindgen::from_value(answer) {
            self.with(|state, now, wall| state.core.handle_fetched(now, wall, player, answer));
        }
    }

    pub fn tab_changed(&self, tab: i32, url: &str) {
        self.with(|state, _, _| state.core.handle_tab(tab, url));
    }

    pub fn tab_titled(&self, tab: i32, title: &str) {
        self.with(|state, _, _| state.core.handle_tab_title(tab, title));
    }

    pub fn tab_muted(&self, tab: i32, muted: bool) {
        self.with(|state, now, wall| state.core.handle_tab_muted(now, wall, tab, muted));
    }

    /// [`crate::core::Status`] as JSON.
    #[must_use]
    pub fn status(&self) -> String {
        let state = self.state.borrow();
        let serializer = serde_wasm_bindgen::Serializer::json_compatible();
        let object = state.core.status().serialize(&serializer).unwrap_or(JsValue::NULL);
        js_sys::JSON::stringify(&object).map(String::from).unwrap_or_default()
    }

    /// Begins (true) or ends (false) a log bundle, whose number `correlation` gives; the bundle as JSON when one is ready, else nothing.
    pub fn logs(&self, on: Option<bool>, correlation: &str) -> Option<String> {
        self.with(|state, now, _| match on {
            Some(true) => state.core.begin_logs(now, correlation.get(..8).unwrap_or(correlation)),
            Some(false) => state.core.end_logs(now),
            None => {}
        });
        let bundle = self.state.borrow_mut().core.take_logs()?;
        let parts = JsValue::from_str(&self.status());
        let serializer = serde_wasm_bindgen::Serializer::json_compatible();
        let object = bundle.serialize(&serializer).ok()?;
        Reflect::set(&object, &"status".into(), &js_sys::JSON::parse(&parts.as_string()?).ok()?).ok()?;
        js_sys::JSON::stringify_with_replacer_and_space(&object, &JsValue::NULL, &2.into())
            .ok()
            .map(String::from)
    }

    pub fn tab_closed(&self, tab: i32) {
        self.with(|state, _, _| state.core.handle_tab_closed(tab));
    }

    fn with(&self, handle: impl FnOnce(&mut State, Monotonic, u64)) {
        run(&self.state, handle);
    }
}

/// Runs a handler, then carries out everything that follows from it, then sets the timer.
fn run(shared: &Rc<RefCell<State>>, handle: impl FnOnce(&mut State, Monotonic, u64)) {
    let (now, wall) = clocks();
    handle(&mut shared.borrow_mut(), now, wall);
    settle(shared, now);
}

fn settle(shared: &Rc<RefCell<State>>, now: Monotonic) {
    let mut state = shared.borrow_mut();
    while let Some(output) = state.core.poll_output() {
        state.carry_out(output);
    }
    state.timer = state.core.poll_timeout().map(|(at, _)| {
        let millis = u32::try_from(at.since(now).as_micros().div_ceil(1000)).unwrap_or(u32::MAX);
        let weak = Rc::downgrade(shared);
        Timeout::new(millis, move || weak.upgrade().iter().for_each(tick))
    });
}

fn tick(shared: &Rc<RefCell<State>>) {
    let (now, wall) = clocks();
    shared.borrow_mut().core.handle_timeout(now, wall);
    settle(shared, now);
}

impl State {
    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Link(LinkAction::Connect) => self.native = Some(self.shell.connect_native(NATIVE_HOST)),
            Output::Link(LinkAction::Disconnect) => {
                if let Some(native) = self.native.take() {
                    native.disconnect();
                }
            }
            Output::Link(LinkAction::Send(frames)) => {
                let message = Object::new();
                let text = JsString::from(BASE64.encode(frames));
                // Both fail only for a port that is closed, which its own event tells.
                Reflect::set(&message, &"f".into(), &text).ok();
                self.native.as_ref().and_then(|native| native.post_message(&message).ok());
            }
            Output::ToHook { relay, command } => {
                let serializer = serde_wasm_bindgen::Serializer::new().serialize_missing_as_null(true);
                if let (Some(media), Ok(message)) = (self.media.get(&relay), command.serialize(&serializer)) {
                    media.port.post_message(&message).ok();
                }
            }
            Output::ToRelay { relay, command } => {
                let serializer = serde_wasm_bindgen::Serializer::json_compatible();
                if let (Some(port), Ok(message)) = (self.relays.get(&relay), command.serialize(&serializer)) {
                    port.post_message(&message).ok();
                }
            }
            Output::Fetch { player, relay, request, url, start, end } => {
                self.shell.fetch(player, relay, request, &url, start, end);
            }
            Output::Unfetch { player, request } => self.shell.unfetch(player, request),
            Output::CloseMedia { relay } => {
                if let Some(media) = self.media.remove(&relay) {
                    media.port.set_onmessage(None);
                    media.port.close();
                }
            }
            Output::Register(scripts, contract) => {
                let serializer = serde_wasm_bindgen::Serializer::json_compatible();
                if let Ok(scripts) = scripts.serialize(&serializer) {
                    self.shell.register(scripts, contract);
                }
            }
            Output::FindAncestors { tab, frame } => self.shell.find_ancestors(tab, frame),
            Output::Inject { tab, frame } => self.shell.inject(tab, frame),
            Output::SetIcon { tab, state, why } => {
                let title = why.map_or_else(
                    || get_message(&format!("state_{}", state.name())),
                    |code| {
                        let [sentence, remedy] =
                            ["", "_do"].map(|part| get_message(&format!("OFS_{}{part}", code.number())));
                        format!("{sentence} {remedy} ({code})")
                    },
                );
                self.shell.set_icon(tab, state.name(), &format!("Offstage: {title}"));
            }
            Output::Log { level, text } => match level {
                "error" => gloo::console::error!(text),
                "warn" => gloo::console::warn!(text),
                "info" => gloo::console::info!(text),
                _ => gloo::console::debug!(text),
            },
        }
    }
}

fn thrown(code: offstage_protocol::ErrorCode) -> JsValue {
    JsValue::from(code.to_string())
}

fn to_store(values: Vec<(&str, offstage_settings::Value)>) -> Result<JsValue, JsValue> {
    let object = Object::new();
    for (key, value) in values {
        let value = value.serialize(&serde_wasm_bindgen::Serializer::json_compatible())?;
        Reflect::set(&object, &key.into(), &value)?;
    }
    Ok(object.into())
}

fn same(a: &Port, b: &Port) -> bool {
    Object::is(a, b)
}

/// The worker's monotonic clock and its wall clock, in microseconds.
fn clocks() -> (Monotonic, u64) {
    let performance =
        js_sys::global().dyn_into::<WorkerGlobalScope>().ok().and_then(|scope| scope.performance());
    let (origin, now) = performance.map_or((0.0, 0.0), |p| (p.time_origin(), p.now()));
    (Monotonic(crate::hook::to_u64(now * 1000.0)), crate::hook::to_u64((origin + now) * 1000.0))
}
