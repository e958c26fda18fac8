//! The client's decisions, without I/O: sessions, their players, the engine's state, the windows.
//!
//! Several sessions may be connected; their player ids are made unique on this device. What one session
//! does wrong ends that session and nothing else. Media is taken from a session only while the stage's
//! queue has room, and only what is taken is granted anew, so a slow stage slows the sender down.

mod allowed;
mod calls;
mod capture;
mod check;
mod devices;
mod fetches;
mod files;
mod picture;
mod remote;
mod session;
mod shown;
mod stage_queue;
mod web;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

use offstage_protocol::ErrorCode;
use offstage_protocol::Monotonic;
use offstage_protocol::Mux;
use offstage_protocol::MuxConfig;
use offstage_protocol::MuxEvent;
use offstage_protocol::frame::FIRST_BUFFER_STREAM;
use offstage_protocol::frame::PLAYER_STREAM;
use offstage_protocol::message::BufferChanged;
use offstage_protocol::message::CloseAll;
use offstage_protocol::message::FetchedRange;
use offstage_protocol::message::FromDevice;
use offstage_protocol::message::FromDeviceKind;
use offstage_protocol::message::FromStage;
use offstage_protocol::message::FromStageKind;
use offstage_protocol::message::LogControl;
use offstage_protocol::message::OpenPlayer;
use offstage_protocol::message::PlayerFailed;
use offstage_protocol::message::ToDevice;
use offstage_protocol::message::ToDeviceKind;
use offstage_protocol::message::ToStageKind;
use offstage_protocol::prost::Message as _;

use crate::channel::Peer;
use crate::policy::Policy;
use crate::window::ParentHint;
use crate::window::Placement;
use crate::window::WindowCommand;
use crate::window::WindowEvent;
use crate::window::WindowQueue;

use self::calls::Allowed;
pub use self::calls::Asking;
use self::calls::Call;
pub use self::calls::Question;
use self::calls::Questions;
pub use self::capture::Use;
use self::devices::Device;
pub use self::devices::EngineState;
pub use self::fetches::Fetch;
pub use self::fetches::Fetched;
use self::fetches::Fetches;
pub use self::fetches::MAX_FETCH;
use self::fetches::Offer;
pub use self::fetches::OwnCommand;
pub use self::fetches::OwnFetch;
use self::picture::Picture;
use self::picture::Step;
use self::remote::Surface;
use self::session::Session;
use self::shown::Collecting;
pub use self::shown::Counts;
use self::stage_queue::StageQueue;

/// Sessions that are served at once.
pub const MAX_SESSIONS: usize = 16;
/// Players of one session.
pub const MAX_PLAYERS: usize = 64;
/// Players of all sessions together.
pub const MAX_ALL_PLAYERS: usize = 256;
/// Source buffers of one player; a page with more is not a player of media.
pub const MAX_BUFFERS: usize = 16;
/// Longest origin; a host has at most 253 bytes.
const MAX_ORIGIN: usize = 300;
/// Bytes that may wait for one session of what may be large: messages of data channels.
const BULK_QUEUE: usize = 128 * 1024 * 1024;
/// Messages taken from one session before the next one has its turn.
const TURN: usize = 32;

/// The machine.
#[derive(Debug, Default)]
pub struct Client {
    sessions: BTreeMap<u64, Session>,
    /// By their ids on this device.
    players: BTreeMap<u32, Player>,
    last_player: u32,
    /// A player that nobody has asked for yet: its window is there already, which saves a new one most of the time to
    /// its first frame.
    spare: Option<u32>,
    device: Device,
    surface: Surface,
    policy: Policy,
    stage: StageQueue,
    windows: WindowQueue,
    fetches: Fetches,
    /// By their ids on this device.
    calls: BTreeMap<u32, Call>,
    last_call: u32,
    questions: Questions,
    allowed: Allowed,
    /// Sites whose microphones and cameras the person has turned off: they have to ask again.
    stopped: BTreeSet<String>,
    /// Who has them on, as it was told last.
    uses: Vec<Use>,
    /// The engine's dialog for the choice of a screen is shown.
    choosing: bool,
    secret: Vec<u8>,
    log_orders: VecDeque<(u64, LogControl)>,
    collecting: Option<Collecting>,
    counts: Counts,
    /// Where the next round over the sessions begins.
    turn: u64,
}

/// A player of a session.
#[derive(Debug)]
struct Player {
    session: u64,
    /// Its id in that session.
    name: u32,
    origin: String,
    /// The bulk stream of each source buffer, once it was used.
    buffers: BTreeMap<u32, Option<u32>>,
    picture: Picture,
}

impl Client {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether media can be played now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.device.status().ready
    }

    /// Whether the stage has said hello.
    #[must_use]
    pub fn has_stage(&self) -> bool {
        self.device.stage
    }

    #[must_use]
    pub fn player_count(&self) -> usize {
        self.players.len()
    }

    // ---- sessions

    pub fn session_opened(&mut self, now: Monotonic, session: u64, peer: Peer) {
        let mut config = MuxConfig::of_component("client", env!("CARGO_PKG_VERSION"));
        config.bulk_queue = BULK_QUEUE;
        let features = [
            offstage_protocol::FEATURE_FILES,
            offstage_protocol::FEATURE_FETCH,
            offstage_protocol::FEATURE_LOGS,
            offstage_protocol::FEATURE_CALLS,
            offstage_protocol::FEATURE_SHAPES,
        ];
        config.hello.features.extend(features.map(str::to_owned));
        config.hello.features.extend(self.surface.features().iter().map(|name| (*name).to_owned()));
        let mut mux = Mux::new(now, config);
        if self.sessions.len() >= MAX_SESSIONS {
            mux.close(ErrorCode::CLIENT_BUSY, "too many sessions");
        }
        self.sessions.insert(session, Session::new(mux, peer));
    }

    pub fn session_bytes(&mut self, now: Monotonic, wall_us: u64, session: u64, bytes: &[u8]) {
        self.counts.received_bytes += bytes.len() as u64;
        if let Some(state) = self.sessions.get_mut(&session) {
            if let Err(error) = state.mux.handle_bytes(now, wall_us, bytes) {
                tracing::warn!(session, code = %error.code(), %error, "the session broke the protocol");
            }
            self.pump(now);
        }
    }

    /// The channel is gone; so are the session's players.
    pub fn session_gone(&mut self, now: Monotonic, session: u64) {
        self.drop_players_of(session);
        self.keep_logs(now, session);
        if self.sessions.remove(&session).is_some() {
            tracing::info!(session, "the session is gone");
        }
        self.pump(now);
    }

    /// Bytes for the session's channel, at most about `max_bytes`.
    pub fn poll_transmit(&mut self, session: u64, max_bytes: usize) -> Option<Vec<u8>> {
        let bytes = self.sessions.get_mut(&session)?.mux.poll_transmit(max_bytes)?;
        self.counts.sent_bytes += bytes.len() as u64;
        Some(bytes)
    }

    /// True when nothing more comes from this end: the channel is to be closed.
    #[must_use]
    pub fn is_finished(&self, session: u64) -> bool {
        self.sessions.get(&session).is_none_or(|state| state.mux.is_closed())
    }

    /// Says goodbye to all sessions.
    pub fn shut_down(&mut self) {
        let sessions: Vec<u64> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.close_session(session, ErrorCode::GOING_AWAY, "the client was ended");
        }
    }

    // ---- engine, stage, windows

    /// The engine's process changed its state. A state without an engine ends all players.
    pub fn engine_changed(&mut self, now: Monotonic, state: EngineState) {
        match &state {
            EngineState::Starting { pid: Some(pid) } => {
                self.windows.push(WindowCommand::EngineStarted { pid: *pid });
            }
            EngineState::Failed { .. } => self.windows.push(WindowCommand::EngineGone),
            EngineState::Starting { pid: None } | EngineState::Running { .. } => {}
        }
        self.device.engine = state;
        self.announce();
        self.pump(now);
    }

    /// The stage's socket is open; it has yet to say hello.
    pub fn stage_opened(&mut self) {
        self.stage.open();
    }

    pub fn stage_gone(&mut self, now: Monotonic) {
        self.stage.close();
        self.device.stage = false;
        self.announce();
        self.pump(now);
    }

    /// A message of the stage.
    ///
    /// # Errors
    /// If it is not one: then the stage is not ours, or broken, and has to be started again.
    pub fn stage_message(&mut self, now: Monotonic, bytes: &[u8]) -> Result<(), ErrorCode> {
        let message = FromStage::decode(bytes).map_err(|_unreadable| ErrorCode::MALFORMED_MESSAGE)?;
        match message.kind {
            Some(FromStageKind::Hello(hello)) => {
                let versions = hello.protocol_min..=hello.protocol_max;
                if !versions.contains(&offstage_protocol::PROTOCOL_MAX) {
                    return Err(ErrorCode::VERSION_MISMATCH);
                }
                self.device.stage = true;
                self.announce();
            }
            Some(FromStageKind::Device(message)) => self.pass_on(message),
            Some(FromStageKind::WindowAsked(asked)) => {
                // Windows are matched by order, so one of a player that has just been closed counts.
                self.windows.push(WindowCommand::Expect { player: asked.player });
                if !self.players.contains_key(&asked.player) && self.spare != Some(asked.player) {
                    self.windows.push(WindowCommand::Close { player: asked.player });
                }
            }
            Some(FromStageKind::LaidOut(layout)) => {
                if let Some(player) = self.players.get_mut(&layout.player) {
                    let steps = player.picture.handle_laid_out(now, &layout);
                    self.carry_out(layout.player, steps);
                }
            }
            // A kind that this version doesn't know.
            None => {}
        }
        self.pump(now);
        Ok(())
    }

    /// The next message for the stage's socket.
    pub fn poll_stage(&mut self, now: Monotonic) -> Option<Vec<u8>> {
        let message = self.stage.pop();
        if message.is_some() {
            self.pump(now);
        }
        message
    }

    pub fn window_event(&mut self, now: Monotonic, event: WindowEvent) {
        match event {
            WindowEvent::Ready => {
                self.device.windows_ready();
                self.announce();
            }
            WindowEvent::Failed { reason, detail } => {
                self.device.windows_failed(reason, detail);
                self.announce();
            }
            WindowEvent::Bound { width, height } => self.bound(now, Some((width, height))),
            WindowEvent::Unbound => self.bound(now, None),
            WindowEvent::Adopted { player } => tracing::debug!(player, "the picture has its window"),
            WindowEvent::Lost { player } if self.spare == Some(player) => self.drop_spare(),
            WindowEvent::Lost { player } => {
                self.fail_player(player, ErrorCode::WINDOW_LOST, "the picture's window was closed");
            }
        }
        self.pump(now);
    }

    /// The next command for the windows.
    pub fn poll_window(&mut self) -> Option<WindowCommand> {
        self.windows.pop()
    }

    #[must_use]
    pub fn has_window_commands(&self) -> bool {
        !self.windows.is_empty()
    }

    // ---- time

    pub fn handle_timeout(&mut self, now: Monotonic, wall_us: u64) {
        for (id, session) in &mut self.sessions {
            if let Err(error) = session.mux.handle_timeout(now, wall_us) {
                tracing::info!(session = id, code = %error.code(), %error, "the session is dead");
            }
        }
        let players: Vec<u32> = self.players.keys().copied().collect();
        for player in players {
            if let Some(state) = self.players.get_mut(&player) {
                let steps = state.picture.handle_timeout(now);
                self.carry_out(player, steps);
            }
        }
        self.forget_logs(now);
        self.pump(now);
    }

    /// When `handle_timeout` wants to be called, and for what.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Monotonic, &'static str)> {
        let pings = self.sessions.values().filter_map(|session| session.mux.poll_timeout());
        let pictures = self.players.values().filter_map(|player| player.picture.deadline());
        let kept = self.collecting.as_ref().and_then(|collecting| collecting.until);
        pings
            .chain(pictures.map(|deadline| (deadline, "picture")))
            .chain(kept.map(|until| (until, "logs")))
            .min()
    }

    // ---- from sessions

    /// Takes what the sessions have brought, as far as the stage's queue has room.
    fn pump(&mut self, now: Monotonic) {
        loop {
            let ids: Vec<u64> = self.sessions.keys().copied().collect();
            let (before, after): (Vec<u64>, Vec<u64>) = ids.into_iter().partition(|id| *id <= self.turn);
            let mut idle = true;
            for session in after.into_iter().chain(before) {
                for _ in 0..TURN {
                    if !self.stage.has_room() {
                        return;
                    }
                    let Some(event) =
                        self.sessions.get_mut(&session).and_then(|state| state.mux.poll_event())
                    else {
                        break;
                    };
                    idle = false;
                    self.session_event(now, session, event);
                }
                self.turn = session;
                self.end_if_closed(session);
            }
            if idle {
                return;
            }
        }
    }

    fn session_event(&mut self, now: Monotonic, session: u64, event: MuxEvent) {
        match event {
            MuxEvent::Connected { hello } => {
                tracing::info!(
                    session,
                    component = hello.component,
                    version = hello.version,
                    connection = hello.connection_id,
                    epoch = hello.epoch,
                    "a session is connected"
                );
                let status = FromDeviceKind::DeviceChanged(self.device.status());
                self.tell(session, status);
            }
            MuxEvent::Closed { code, detail } => {
                tracing::info!(session, %code, detail, "the session said goodbye");
            }
            MuxEvent::Message { stream, bytes } => {
                // Nothing is expected below the first of the device's streams; a newer bridge may differ.
                if stream >= offstage_protocol::frame::GEOMETRY_STREAM {
                    self.session_message(now, session, stream, &bytes);
                }
            }
        }
    }

    fn session_message(&mut self, now: Monotonic, session: u64, stream: u32, bytes: &[u8]) {
        let Ok(message) = ToDevice::decode(bytes) else {
            self.close_session(session, ErrorCode::MALFORMED_MESSAGE, "unreadable message");
            return;
        };
        let Some(kind) = message.kind else {
            return;
        };
        if let Err(code) = check::check(stream, &kind) {
            self.close_session(session, code, "a message that makes no sense");
            return;
        }
        if let ToDeviceKind::LogControl(control) = kind {
            return self.order_logs(session, control);
        }
        let Some(mut kind) = self.call_message(session, kind) else { return };
        let Some(name) = check::player_of(&mut kind).copied() else { return };
        if let ToDeviceKind::OpenPlayer(open) = kind {
            self.open_player(session, name, open.origin);
            return;
        }
        let Some(player) = self.sessions.get(&session).and_then(|state| state.players.get(&name).copied())
        else {
            self.unknown_player(session, name);
            return;
        };
        if let Some(id) = check::player_of(&mut kind) {
            *id = player;
        }
        if let Some((buffer, op, answered)) = check::operation(&kind)
            && !self.note_stream(player, buffer, stream)
        {
            if answered {
                let code = ErrorCode::BUFFER_UNKNOWN.number();
                let changed = BufferChanged { player: name, buffer, op, code, ..BufferChanged::default() };
                self.tell(session, FromDeviceKind::BufferChanged(changed));
            }
            return;
        }
        match kind {
            ToDeviceKind::SetGeometry(geometry) => {
                if let Some(state) = self.players.get_mut(&player) {
                    let steps = state.picture.handle_geometry(now, *geometry);
                    self.carry_out(player, steps);
                }
            }
            ToDeviceKind::ClosePlayer(close) => {
                self.tell_stage(ToDeviceKind::ClosePlayer(close));
                self.drop_player(player);
            }
            ToDeviceKind::AddSourceBuffer(add) => {
                let Some(state) = self.players.get_mut(&player) else {
                    return;
                };
                if state.buffers.len() >= MAX_BUFFERS {
                    self.fail_player(player, ErrorCode::TOO_MANY_BUFFERS, "");
                    return;
                }
                state.buffers.insert(add.buffer, None);
                self.tell_stage(ToDeviceKind::AddSourceBuffer(add));
            }
            ToDeviceKind::RemoveSourceBuffer(remove) => {
                let stream =
                    self.players.get_mut(&player).and_then(|state| state.buffers.remove(&remove.buffer));
                self.close_streams(session, stream.into_iter().flatten());
                self.tell_stage(ToDeviceKind::RemoveSourceBuffer(remove));
            }
            ToDeviceKind::OpenFile(open) => {
                if let Some(state) = self.players.get_mut(&player) {
                    state.buffers.insert(check::FILE_BUFFER, None);
                }
                self.tell_stage(ToDeviceKind::OpenFile(open));
            }
            ToDeviceKind::FetchedRange(fetched) => {
                let FetchedRange { request, status, total, mime, data, location, referer, .. } = fetched;
                if location.is_empty() {
                    self.fetches.answer(player, request, Fetched { status, total, mime, data });
                } else {
                    self.fetches.offered(player, request, Offer { url: location, referer, total });
                }
                self.start_fetches();
            }
            ToDeviceKind::PlayTracks(mut play) => {
                if self.name_call(session, &mut play) {
                    self.tell_stage(ToDeviceKind::PlayTracks(play));
                }
            }
            kind @ (ToDeviceKind::OpenPlayer(_)
            | ToDeviceKind::OpenCall(_)
            | ToDeviceKind::CloseCall(_)
            | ToDeviceKind::CallRequest(_)
            | ToDeviceKind::LogControl(_)
            | ToDeviceKind::Append(_)
            | ToDeviceKind::Remove(_)
            | ToDeviceKind::Abort(_)
            | ToDeviceKind::ChangeType(_)
            | ToDeviceKind::SetDuration(_)
            | ToDeviceKind::EndOfStream(_)
            | ToDeviceKind::SetPlayback(_)
            | ToDeviceKind::WatchFrames(_)) => self.tell_stage(kind),
        }
    }

    /// Remembers which stream a source buffer uses; false if there is no such buffer.
    fn note_stream(&mut self, player: u32, buffer: u32, stream: u32) -> bool {
        let known = self.players.get_mut(&player).and_then(|state| state.buffers.get_mut(&buffer));
        let Some(known) = known else {
            return false;
        };
        if stream >= FIRST_BUFFER_STREAM {
            *known = Some(stream);
        }
        true
    }

    fn open_player(&mut self, session: u64, name: u32, origin: String) {
        let status = self.device.status();
        let Some(state) = self.sessions.get_mut(&session) else {
            return;
        };
        state.forget_failed(name);
        let refusal = if !status.ready {
            Some(ErrorCode::from_u32(status.code).unwrap_or(ErrorCode::DEVICE_NOT_READY))
        } else if state.players.contains_key(&name) {
            self.close_session(session, ErrorCode::UNEXPECTED_MESSAGE, "a player was opened twice");
            return;
        } else if state.players.len() >= MAX_PLAYERS || self.players.len() >= MAX_ALL_PLAYERS {
            Some(ErrorCode::TOO_MANY_PLAYERS)
        } else if origin.len() > MAX_ORIGIN || !self.policy.allows(&origin) {
            Some(ErrorCode::CONSENT_REFUSED)
        } else {
            None
        };
        if let Some(code) = refusal {
            self.tell_failed(session, name, code, "");
            return;
        }
        let player = match self.spare.take() {
            Some(spare) => spare,
            None => self.make_player(),
        };
        if let Some(state) = self.sessions.get_mut(&session) {
            state.players.insert(name, player);
        }
        self.counts.players_opened += 1;
        let buffers = BTreeMap::new();
        self.players.insert(
            player,
            Player { session, name, origin, buffers, picture: Picture::new(player, self.surface) },
        );
    }

    /// Has the stage open a player of a new id.
    fn make_player(&mut self) -> u32 {
        // Ids are not used again soon, so that a late answer is not taken for a new player's.
        let mut player = self.last_player;
        loop {
            player = player.wrapping_add(1);
            if player != 0 && !self.players.contains_key(&player) && self.spare != Some(player) {
                break;
            }
        }
        self.last_player = player;
        self.tell_stage(ToDeviceKind::OpenPlayer(OpenPlayer { player, origin: String::new() }));
        player
    }

    /// Opens a spare player if there is none; not while a player is on its way to its first frame.
    fn restock(&mut self) {
        if self.spare.is_none() && self.device.status().ready && self.players.len() + 1 < MAX_ALL_PLAYERS {
            self.spare = Some(self.make_player());
        }
    }

    fn drop_spare(&mut self) {
        if let Some(player) = self.spare.take() {
            self.windows.push(WindowCommand::Close { player });
            self.stage.push(ToStageKind::CloseAll(CloseAll { players: vec![player] }));
        }
    }

    /// Said once: messages for a player that has just failed are on their way still.
    fn unknown_player(&mut self, session: u64, name: u32) {
        if self.sessions.get_mut(&session).is_some_and(|state| state.note_failed(name)) {
            self.tell_failed(session, name, ErrorCode::PLAYER_UNKNOWN, "");
        }
    }

    // ---- from the stage

    fn pass_on(&mut self, message: FromDevice) {
        let Some(mut kind) = message.kind.and_then(|kind| self.pass_on_call(kind)) else {
            return;
        };
        let failed = matches!(kind, FromDeviceKind::PlayerFailed(_));
        let advancing = matches!(&kind, FromDeviceKind::PlayerState(state) if state.advancing);
        let player = match &mut kind {
            // Whether the device is ready is decided here.
            FromDeviceKind::DeviceChanged(_)
            | FromDeviceKind::LogChunk(_)
            | FromDeviceKind::CallAnswer(_)
            | FromDeviceKind::CallEvent(_)
            | FromDeviceKind::CallFailed(_)
            | FromDeviceKind::FetchRange(_)
            | FromDeviceKind::FetchCancelled(_) => return,
            FromDeviceKind::PlayerFailed(message) => &mut message.player,
            FromDeviceKind::BufferChanged(message) => &mut message.player,
            FromDeviceKind::PlayerState(message) => &mut message.player,
            FromDeviceKind::FramePresented(message) => &mut message.player,
        };
        let id = *player;
        if failed && self.spare == Some(id) {
            self.drop_spare();
        }
        let Some(state) = self.players.get(&id) else {
            return;
        };
        *player = state.name;
        let session = state.session;
        if failed {
            self.drop_player(id);
        }
        self.tell(session, kind);
        if advancing {
            self.restock();
        }
    }

    // ---- helpers

    fn tell_stage(&mut self, kind: ToDeviceKind) {
        self.stage.push(ToStageKind::Device(ToDevice { kind: Some(kind) }));
    }

    fn tell(&mut self, session: u64, kind: FromDeviceKind) {
        let Some(state) = self.sessions.get_mut(&session) else {
            return;
        };
        if !state.mux.is_connected() {
            return;
        }
        let message = FromDevice { kind: Some(kind) }.encode_to_vec();
        if let Err(error) = state.mux.send(PLAYER_STREAM, message) {
            let detail = error.to_string();
            self.close_session(session, error.code(), &detail);
        }
    }

    fn tell_failed(&mut self, session: u64, name: u32, code: ErrorCode, detail: &str) {
        self.counts.players_failed += 1;
        let failed = PlayerFailed { player: name, code: code.number(), detail: detail.to_owned() };
        self.tell(session, FromDeviceKind::PlayerFailed(failed));
    }

    /// Tells all sessions if the device's state is another than they know.
    fn announce(&mut self) {
        let Some(status) = self.device.changed() else {
            return;
        };
        tracing::info!(ready = status.ready, code = status.code, detail = status.detail, "device state");
        if status.ready {
            self.restock();
        } else {
            self.drop_spare();
            // The session knows that they are gone.
            let players: Vec<u32> = std::mem::take(&mut self.players).into_keys().collect();
            for player in &players {
                self.windows.push(WindowCommand::Close { player: *player });
                self.fetches.drop_player(*player);
            }
            self.end_all_calls();
            for session in self.sessions.values_mut() {
                session.fail_all();
            }
            if !players.is_empty() {
                self.stage.push(ToStageKind::CloseAll(CloseAll { players }));
            }
        }
        let sessions: Vec<u64> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.tell(session, FromDeviceKind::DeviceChanged(status.clone()));
        }
    }

    fn close_session(&mut self, session: u64, code: ErrorCode, detail: &str) {
        if let Some(state) = self.sessions.get_mut(&session) {
            tracing::warn!(session, %code, detail, "closing the session");
            state.mux.close(code, detail);
        }
        self.drop_players_of(session);
    }

    fn end_if_closed(&mut self, session: u64) {
        if self.sessions.get(&session).is_some_and(|state| state.mux.is_closed()) {
            self.drop_players_of(session);
        }
    }

    fn fail_player(&mut self, player: u32, code: ErrorCode, detail: &str) {
        let Some(state) = self.players.get(&player) else {
            return;
        };
        let (session, name) = (state.session, state.name);
        if let Some(session) = self.sessions.get_mut(&session) {
            session.note_failed(name);
        }
        self.stage.push(ToStageKind::CloseAll(CloseAll { players: vec![player] }));
        self.drop_player(player);
        self.tell_failed(session, name, code, detail);
    }

    fn drop_players_of(&mut self, session: u64) {
        self.end_calls_of(session);
        let players: Vec<u32> = match self.sessions.get(&session) {
            Some(state) if !state.players.is_empty() => state.players.values().copied().collect(),
            Some(_) | None => return,
        };
        for player in &players {
            self.drop_player(*player);
        }
        self.stage.push(ToStageKind::CloseAll(CloseAll { players }));
    }

    /// Forgets a player and its window; the stage has to be told besides.
    fn drop_player(&mut self, player: u32) {
        let Some(gone) = self.players.remove(&player) else {
            return;
        };
        self.windows.push(WindowCommand::Close { player });
        self.fetches.drop_player(player);
        if let Some(session) = self.sessions.get_mut(&gone.session) {
            session.players.remove(&gone.name);
            session.note_failed(gone.name);
        }
        self.close_streams(gone.session, gone.buffers.into_values().flatten());
    }

    /// Nothing more is taken on these streams.
    fn close_streams(&mut self, session: u64, streams: impl Iterator<Item = u32>) {
        if let Some(session) = self.sessions.get_mut(&session) {
            for stream in streams {
                session.mux.close_stream(stream);
            }
        }
    }

    fn carry_out(&mut self, player: u32, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Reserve { width, height } => {
                    self.windows.push(WindowCommand::Reserve { player, width, height });
                }
                Step::LayOut(layout) => self.stage.push(ToStageKind::Layout(layout)),
                Step::Hide => self.windows.push(WindowCommand::Hide { player }),
                Step::Place(place) => {
                    let pids = self
                        .players
                        .get(&player)
                        .and_then(|state| self.sessions.get(&state.session))
                        .map(|session| session.peer.processes.clone())
                        .unwrap_or_default();
                    let picture::Place { rect, visible, clips, outer, calibrated, title, soon: _ } = place;
                    let parent = ParentHint { pids, outer, calibrated, title };
                    let placement = Placement { player, parent, rect, visible, clips };
                    self.windows.push(WindowCommand::Place(placement));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
