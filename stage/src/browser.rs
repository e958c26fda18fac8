//! The only code that touches the browser: carries the machine's commands out and tells it what happens.
//!
//! One thread, one queue: listeners only put things into the queue, so nothing is entered twice.

mod calls;
mod element;
mod home;
mod js;
mod player;
mod probe;
mod socket;

use core::cell::{Cell, RefCell};
use std::collections::VecDeque;

use gloo::timers::callback::Timeout;
use offstage_protocol::Monotonic;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::HtmlElement;

use crate::browser::calls::LiveCall;
use crate::browser::home::Layer;
use crate::browser::player::LivePlayer;
use crate::browser::probe::LiveProbe;
use crate::browser::socket::Socket;
use crate::machine::Stage;
use crate::machine::event::{Command, Event, Output};
use crate::table::Table;

/// What the queue holds.
enum Input {
    Connected,
    /// `taken`: another page has taken this one's place.
    Disconnected {
        taken: bool,
    },
    Message(Vec<u8>),
    Happened(Event),
    TimeOver,
}

/// The machine and everything live that it commands.
struct Shell {
    stage: Stage,
    socket: Socket,
    /// Where pictures are shown if the stage is part of a page; else they have popups.
    layer: Option<Layer>,
    /// How many pictures the layer shows, as it was told last.
    shown: usize,
    players: Table<u32, LivePlayer>,
    probes: Table<u64, LiveProbe>,
    calls: Table<u32, LiveCall>,
    timer: Option<(Monotonic, Timeout)>,
}

thread_local! {
    static SHELL: RefCell<Option<Shell>> = const { RefCell::new(None) };
    static QUEUE: RefCell<VecDeque<Input>> = const { RefCell::new(VecDeque::new()) };
    static PUMPING: Cell<bool> = const { Cell::new(false) };
}

/// Begins: connects to the client's WebSocket and serves it until the page goes away.
#[expect(unreachable_pub, reason = "wasm-bindgen exports public functions only")]
#[wasm_bindgen]
pub fn start(url: String, token: String) {
    begin(Socket::new(url, &token), None);
}

/// Begins as a part of a web client's page: the client's server is at `base`, pictures are shown in `layer`, and `told` hears a word
/// and a value of what the page may want to know.
#[expect(unreachable_pub, reason = "wasm-bindgen exports public functions only")]
#[wasm_bindgen]
pub fn attach(base: String, token: String, layer: HtmlElement, told: js_sys::Function) {
    // Addresses are written into logs on their way, so the token is not in them: this opens no socket.
    let media = format!("{base}media/{}/", crate::names::keyed(&token, "media"));
    let url = format!("{}ws", base.replacen("http", "ws", 1));
    begin(Socket::new(url, &token), Some(Layer::new(layer, media, told)));
}

/// Ends what [`attach`] has begun.
#[expect(unreachable_pub, reason = "wasm-bindgen exports public functions only")]
#[wasm_bindgen]
pub fn detach() {
    let ended = SHELL.with(|shell| shell.try_borrow_mut().ok().and_then(|mut shell| shell.take()));
    drop(ended);
    QUEUE.take();
}

/// The person has done something in the page: sound may begin.
#[expect(unreachable_pub, reason = "wasm-bindgen exports public functions only")]
#[wasm_bindgen]
pub fn touched() {
    with_shell(|shell| shell.players.values().for_each(LivePlayer::end_silence));
}

fn begin(socket: Socket, layer: Option<Layer>) {
    let shell = Shell {
        stage: Stage::default(),
        socket,
        layer,
        shown: 0,
        players: Table::default(),
        probes: Table::default(),
        calls: Table::default(),
        timer: None,
    };
    SHELL.set(Some(shell));
    with_shell(|shell| shell.socket.connect());
}

fn with_shell(action: impl FnOnce(&mut Shell)) {
    SHELL.with(|shell| {
        if let Ok(mut shell) = shell.try_borrow_mut()
            && let Some(shell) = shell.as_mut()
        {
            action(shell);
        }
    });
}

fn happened(event: Event) {
    post(Input::Happened(event));
}

/// Queues an input and, unless that is going on already, works the queue off.
fn post(input: Input) {
    QUEUE.with_borrow_mut(|queue| queue.push_back(input));
    pump();
}

fn pump() {
    if PUMPING.replace(true) {
        return;
    }
    with_shell(|shell| {
        while let Some(input) = QUEUE.with_borrow_mut(VecDeque::pop_front) {
            shell.take(input);
        }
        shell.set_timer();
    });
    PUMPING.set(false);
}

impl Shell {
    fn take(&mut self, input: Input) {
        let now = now();
        match input {
            Input::Connected => {
                self.stage.handle_connected();
                self.tell("connected", true);
            }
            Input::Disconnected { taken } => {
                self.stage.handle_disconnected(now);
                if taken {
                    self.socket.close();
                    self.tell("taken", true);
                } else {
                    self.socket.connect_later();
                    self.tell("connected", false);
                }
            }
            Input::Message(bytes) => {
                if let Err(error) = self.stage.handle_message(now, &bytes) {
                    js::log(&error.to_string());
                }
            }
            Input::Happened(event) => self.stage.handle_event(now, event),
            Input::TimeOver => {
                self.timer = None;
                self.stage.handle_timeout(now);
            }
        }
        while let Some(output) = self.stage.poll_output() {
            match output {
                Output::Send(bytes) => self.socket.send(&bytes),
                Output::Do(command) => self.run(command),
            }
        }
        let shown = self.players.values().filter(|live| live.is_shown()).count();
        if std::mem::replace(&mut self.shown, shown) != shown {
            self.tell("shown", u32::try_from(shown).unwrap_or(u32::MAX));
        }
    }

    fn tell(&self, what: &str, value: impl Into<JsValue>) {
        if let Some(layer) = &self.layer {
            layer.tell(what, value);
        }
    }

    fn run(&mut self, command: Command) {
        match command {
            Command::OpenWindow { player, width, height } => {
                if let Some(live) = LivePlayer::open(self.layer.as_ref(), player, width, height) {
                    self.players.insert(player, live);
                }
            }
            Command::CloseWindow { player } => {
                self.players.remove(player);
            }
            Command::Probe { probe, mime, bytes } => {
                if let Some(live) = LiveProbe::begin(probe, mime, bytes) {
                    self.probes.insert(probe, live);
                }
            }
            Command::DropProbe { probe } => {
                self.probes.remove(probe);
            }
            Command::CheckType { player, buffer, mime } => player::check_type(player, buffer, &mime),
            Command::Log { text } => js::log(&text),
            Command::OpenCall { call, salt, permitted } => {
                if !self.calls.contains(call) {
                    self.calls.insert(call, LiveCall::open(call, salt));
                }
                if let Some(live) = self.calls.get_mut(call) {
                    live.permit(permitted);
                }
            }
            Command::EndCall { call } => {
                self.calls.remove(call);
            }
            Command::Call(step) => {
                if let Some(live) = self.calls.get_mut(step.call) {
                    live.run(step);
                }
            }
            Command::PlayTracks(play) => {
                let Some(live) = self.calls.get(play.call) else { return };
                let Some(player) = self.players.get_mut(play.player) else { return };
                if !play.tracks.is_empty() {
                    match live.play(&play) {
                        Ok(stream) => player.show(&stream),
                        Err(thrown) => return js::log(&js::exception(&thrown).message),
                    }
                }
                player.sound_at(live.salt().to_owned(), play.sink);
            }
            Command::Layout { player, .. }
            | Command::Place { player, .. }
            | Command::Hide { player }
            | Command::AddBuffer { player, .. }
            | Command::RemoveBuffer { player, .. }
            | Command::Append { player, .. }
            | Command::Remove { player, .. }
            | Command::Abort { player, .. }
            | Command::ChangeType { player, .. }
            | Command::SetDuration { player, .. }
            | Command::OpenFile { player, .. }
            | Command::EndOfStream { player }
            | Command::Adjust { player, .. }
            | Command::Seek { player, .. }
            | Command::Play { player }
            | Command::Pause { player }
            | Command::WatchFrames { player, .. }
            | Command::Sample { player } => {
                if let Some(live) = self.players.get_mut(player) {
                    live.run(command);
                }
            }
        }
    }

    /// Wakes up for the machine's next deadline.
    fn set_timer(&mut self) {
        let Some((at, _)) = self.stage.poll_timeout() else {
            self.timer = None;
            return;
        };
        if self.timer.as_ref().is_some_and(|(set, _)| *set == at) {
            return;
        }
        let millis = at.0.saturating_sub(now().0).div_ceil(1000);
        let millis = u32::try_from(millis).unwrap_or(u32::MAX).min(1 << 30);
        self.timer = Some((at, Timeout::new(millis, || post(Input::TimeOver))));
    }
}

fn now() -> Monotonic {
    Monotonic(js::whole(js::now_ms() * 1000.0))
}
