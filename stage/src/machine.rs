//! Every decision of the stage: messages and browser events in, commands and messages out, no clock and no browser.

mod buffer;
pub mod calls;
mod container;
pub mod event;
pub(crate) mod limits;
mod playback;
mod player;
mod probe;
pub mod window;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use offstage_protocol::message::{
    AddSourceBuffer, BufferChanged, FromDevice, FromDeviceKind, FromStage, FromStageKind, Hello,
    PlacePicture, PlayerFailed, ToDevice, ToDeviceKind, ToStage, ToStageKind, WindowAsked,
};
use offstage_protocol::prost::{DecodeError, Message as _};
use offstage_protocol::{ErrorCode, Monotonic, PROTOCOL_MAX, PROTOCOL_MIN};

use crate::machine::buffer::{Buffer, held_at_end, refusal};
use crate::machine::calls::Calls;
use crate::machine::event::{Command, Event, Exception, Output, ProbeResult, VideoMoment, VideoSnapshot};
use crate::machine::limits::{
    MAX_BUFFERS, MAX_EXTENSION, MAX_MIME, MAX_OPS, MAX_PLAYER_BYTES, MAX_PLAYERS, MAX_SOURCE_OPS,
    MAX_TOTAL_BYTES, PLACE_TIMEOUT, WINDOW_TIMEOUT,
};
use crate::machine::player::{File, Phase, Player, PlayerStep, SourceOp, media_error};
use crate::machine::probe::{Asked, Probes};
use crate::machine::window::Place;
use crate::table::Table;

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    #[error("the message is not a ToStage: {0}")]
    Malformed(#[from] DecodeError),
}

/// The whole stage.
#[derive(Debug, Default)]
pub struct Stage {
    players: Table<u32, Player>,
    /// Players whose popup has not been asked for.
    to_open: VecDeque<u32>,
    /// The player whose popup is being opened; the client matches windows by their order, so there is only one.
    opening: Option<u32>,
    probes: Probes,
    calls: Calls,
    outputs: VecDeque<Output>,
}

impl Stage {
    /// The socket is open: says who speaks.
    pub fn handle_connected(&mut self) {
        let hello = Hello {
            component: "stage".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            ..Hello::default()
        };
        self.send(FromStageKind::Hello(hello));
    }

    /// The socket is gone, and with it everyone who wanted these players.
    pub fn handle_disconnected(&mut self, now: Monotonic) {
        let players = self.players.keys();
        for player in players {
            self.close(player);
        }
        self.end_calls();
        self.outputs.retain(|output| matches!(output, Output::Do(_)));
        self.advance(now);
        self.outputs.retain(|output| matches!(output, Output::Do(_)));
    }

    /// Takes one message of the client.
    pub fn handle_message(&mut self, now: Monotonic, bytes: &[u8]) -> Result<(), StageError> {
        match ToStage::decode(bytes)?.kind {
            Some(ToStageKind::Device(ToDevice { kind: Some(kind) })) => self.device(kind),
            Some(ToStageKind::Layout(layout)) => {
                if let Some(player) = self.players.get_mut(layout.player) {
                    player.layouts.wish(layout.clone());
                    if matches!(player.phase, Phase::Attaching | Phase::Open) {
                        self.lay_out(now, layout.player);
                    }
                }
            }
            Some(ToStageKind::CloseAll(all)) => {
                for player in all.players {
                    self.close(player);
                }
            }
            Some(ToStageKind::Call(open)) => self.open_call(open),
            Some(ToStageKind::EndCall(end)) => self.end_call(end.call),
            Some(ToStageKind::PlacePicture(place)) => self.place(now, place),
            Some(ToStageKind::HidePicture(hide)) => self.hide(hide.player),
            // A kind that a newer client knows.
            Some(ToStageKind::Device(ToDevice { kind: None })) | None => {}
        }
        self.advance(now);
        Ok(())
    }

    /// Takes something that happened in the browser.
    pub fn handle_event(&mut self, now: Monotonic, event: Event) {
        match event {
            Event::WindowReady { player } => self.window_ready(now, player),
            Event::WindowGone { player, detail } => self.fail(player, ErrorCode::WINDOW_NOT_ADOPTED, detail),
            Event::SourceOpen { player } => {
                if let Some(state) = self.players.get_mut(player) {
                    state.phase = Phase::Open;
                    let commands = state.buffers_to_add();
                    self.run_all(commands);
                }
            }
            Event::BufferAdded { player, buffer } => {
                if let Some(buffer) = self.buffer(player, buffer) {
                    buffer.added = true;
                }
            }
            Event::BufferRefused { player, buffer, exception } => {
                if self.buffer(player, buffer).is_some() {
                    let code = if exception.name == "NotSupportedError" {
                        ErrorCode::UNSUPPORTED_TYPE
                    } else {
                        ErrorCode::TOO_MANY_BUFFERS
                    };
                    self.fail(player, code, describe(&exception));
                }
            }
            Event::BufferDone { player, buffer, snapshot, outcome } => {
                if let Some(buffer) = self.buffer(player, buffer) {
                    buffer.done(snapshot, outcome);
                }
            }
            Event::SourceEnded { player, buffers } => {
                for (buffer, snapshot) in buffers {
                    if self.buffer(player, buffer).is_some() {
                        self.answer(held_at_end(player, buffer, &snapshot));
                    }
                }
            }
            Event::SourceRefused { player, end, exception } => {
                if let Some(state) = self.players.get_mut(player).filter(|_| end) {
                    state.end_refused();
                }
                let text = format!("player {player}: {}", describe(&exception));
                self.run(Command::Log { text });
            }
            Event::Video { player, moment, snapshot } => self.video(now, player, moment, snapshot),
            Event::Frame { player, frame } => {
                let seen = self.players.get_mut(player);
                if let Some(frame) = seen.and_then(|state| state.playback.see_frame(player, frame)) {
                    self.send_device(FromDeviceKind::FramePresented(frame));
                }
            }
            // Keys are the session's page's affair: it plays there.
            Event::Encrypted { player } => self.fail(player, ErrorCode::ENCRYPTED_MEDIA, String::new()),
            Event::PlayStarted { player } => {
                if let Some(state) = self.players.get_mut(player) {
                    state.playback.play_started();
                }
            }
            Event::PlayRefused { player, exception } => {
                let refused = self
                    .players
                    .get_mut(player)
                    .is_some_and(|state| state.playback.play_refused(&exception.name));
                if refused {
                    self.fail(player, ErrorCode::PLAYBACK_REFUSED, describe(&exception));
                }
            }
            Event::Painted { player, serial } => self.painted(player, serial),
            Event::CallAnswered { call, request, result } => self.call_answered(call, request, result),
            Event::CallHappened(event) => self.call_event(event),
            Event::Probed { probe, result } => {
                self.run(Command::DropProbe { probe });
                self.probed(probe, result);
            }
        }
        self.advance(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Monotonic) {
        for probe in self.probes.overdue(now) {
            self.run(Command::DropProbe { probe });
            self.probed(probe, None);
        }
        let players = self.players.keys();
        for id in players {
            let Some(player) = self.players.get_mut(id) else {
                continue;
            };
            if matches!(player.phase, Phase::Opening { until } if until <= now) {
                self.fail(id, ErrorCode::WINDOW_NOT_ADOPTED, "the popup did not load in time".to_owned());
                continue;
            }
            let look = player.file.as_mut().is_some_and(|file| file.take_look_due(now));
            let sample = player.playback.take_sample_due(now) || look;
            let painted = player.layouts.overdue(now);
            let stale = player.placed_until.is_some_and(|until| until <= now);
            if stale {
                self.hide(id);
            }
            if sample {
                self.run(Command::Sample { player: id });
            }
            if let Some(serial) = painted {
                self.painted(id, serial);
            }
        }
        self.advance(now);
    }

    /// When [`Self::handle_timeout`] has to be called, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Monotonic, &'static str)> {
        let players = self.players.values().flat_map(|player| {
            let window = match player.phase {
                Phase::Opening { until } => Some((until, "window")),
                Phase::Waiting | Phase::Attaching | Phase::Open => None,
            };
            let playback = player.playback.deadline().map(|at| (at, "playback"));
            let layout = player.layouts.deadline().map(|at| (at, "layout"));
            let file = player.file.as_ref().and_then(File::deadline).map(|at| (at, "file"));
            let place = player.placed_until.map(|until| (until, "place"));
            [window, playback, layout, file, place]
        });
        players.flatten().chain(self.probes.deadline().map(|at| (at, "probe"))).min()
    }

    /// The next thing to do or to send.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Players, bytes that wait in them, running probes.
    #[cfg(test)]
    fn sizes(&self) -> (usize, usize, usize) {
        let bytes = self.players.values().map(Player::waiting_bytes).sum();
        (self.players.len(), bytes, self.probes.running())
    }

    fn device(&mut self, kind: ToDeviceKind) {
        match kind {
            ToDeviceKind::OpenPlayer(open) => self.open(open.player),
            ToDeviceKind::ClosePlayer(close) => self.close(close.player),
            ToDeviceKind::AddSourceBuffer(add) => self.add_buffer(add),
            ToDeviceKind::RemoveSourceBuffer(remove) => self.remove_buffer(remove.player, remove.buffer),
            ToDeviceKind::Append(append) => {
                let answered = append.last.then_some(append.op);
                self.operation(append.player, append.buffer, answered, |buffer, serial| {
                    buffer.append(serial, append)
                });
            }
            ToDeviceKind::Remove(remove) => {
                let end = remove.end.unwrap_or(f64::INFINITY);
                self.operation(remove.player, remove.buffer, Some(remove.op), |buffer, serial| {
                    buffer.remove(serial, remove.op, remove.start, end);
                });
            }
            ToDeviceKind::Abort(abort) => {
                self.operation(abort.player, abort.buffer, Some(abort.op), |buffer, serial| {
                    buffer.abort(serial, abort.op);
                });
            }
            ToDeviceKind::ChangeType(change) => {
                self.operation(change.player, change.buffer, Some(change.op), |buffer, serial| {
                    buffer.change_type(serial, change.op, change.mime);
                });
            }
            ToDeviceKind::SetDuration(set) => {
                let seconds = set.seconds.unwrap_or(f64::INFINITY);
                // NaN is what a duration is before it is known; it can't be set.
                if !seconds.is_nan() {
                    self.source_op(set.player, SourceOp::SetDuration(seconds));
                }
            }
            ToDeviceKind::EndOfStream(end) => self.source_op(end.player, SourceOp::EndOfStream(end.ended)),
            ToDeviceKind::SetPlayback(wish) => {
                if let Some(player) = self.players.get_mut(wish.player) {
                    player.playback.wish(wish);
                }
            }
            ToDeviceKind::WatchFrames(watch) => {
                if let Some(state) = self.players.get_mut(watch.player) {
                    let command = state.playback.watch_frames(watch.player, watch.on);
                    self.run_all(command.into_iter().collect());
                }
            }
            ToDeviceKind::OpenFile(open) => {
                if let Some(player) = self.players.get_mut(open.player).filter(|player| player.file.is_none())
                {
                    let mut extension = open.extension;
                    extension.retain(|letter| letter.is_ascii_alphanumeric());
                    extension.truncate(MAX_EXTENSION);
                    player.file = Some(File::new(open.resource, extension));
                }
            }
            ToDeviceKind::CallRequest(request) => self.call_request(request),
            ToDeviceKind::PlayTracks(play) => self.play_tracks(play),
            // Where the picture is, what files hold, who may call and what is logged is the client's matter.
            ToDeviceKind::SetGeometry(_)
            | ToDeviceKind::FetchedRange(_)
            | ToDeviceKind::OpenCall(_)
            | ToDeviceKind::CloseCall(_)
            | ToDeviceKind::LogControl(_) => {}
        }
    }

    fn open(&mut self, player: u32) {
        if self.players.contains(player) {
            return;
        }
        if self.players.len() >= MAX_PLAYERS {
            self.failed(player, ErrorCode::TOO_MANY_PLAYERS, format!("more than {MAX_PLAYERS} players"));
            return;
        }
        self.players.insert(player, Player::new(player));
        self.to_open.push_back(player);
    }

    /// Ends a player; its operations get their answers.
    fn close(&mut self, player: u32) {
        let Some(mut state) = self.players.remove(player) else {
            return;
        };
        for answer in state.abandon(ErrorCode::PLAYER_UNKNOWN) {
            self.answer(answer);
        }
        self.to_open.retain(|waiting| *waiting != player);
        if self.opening == Some(player) {
            self.opening = None;
        }
        if state.phase != Phase::Waiting {
            self.run(Command::CloseWindow { player });
        }
        let players = &self.players;
        self.probes.forget(|probe| {
            players
                .values()
                .flat_map(|player| player.buffers.values())
                .any(|buffer| buffer.awaits_probe(probe))
        });
    }

    /// Ends a player that cannot go on and says why.
    fn fail(&mut self, player: u32, code: ErrorCode, detail: String) {
        if self.players.contains(player) {
            // Before the answers to what is open: the first thing that is heard of the end is its reason.
            self.failed(player, code, detail);
            self.close(player);
        }
    }

    fn failed(&mut self, player: u32, code: ErrorCode, detail: String) {
        self.send_device(FromDeviceKind::PlayerFailed(PlayerFailed { player, code: code.number(), detail }));
    }

    fn add_buffer(&mut self, add: AddSourceBuffer) {
        let AddSourceBuffer { player, buffer, mime } = add;
        let Some(state) = self.players.get_mut(player) else {
            return;
        };
        if state.buffers.contains(buffer) {
            return;
        }
        if state.buffers.len() >= MAX_BUFFERS || mime.len() > MAX_MIME {
            self.fail(
                player,
                ErrorCode::TOO_MANY_BUFFERS,
                "too many source buffers, or a type too long".to_owned(),
            );
            return;
        }
        state.buffers.insert(buffer, Buffer::new(player, buffer, mime.clone()));
        let command = if state.phase == Phase::Open {
            Command::AddBuffer { player, buffer, mime }
        } else {
            Command::CheckType { player, buffer, mime }
        };
        self.run(command);
    }

    fn remove_buffer(&mut self, player: u32, buffer: u32) {
        let Some(mut gone) = self.players.get_mut(player).and_then(|state| state.buffers.remove(buffer))
        else {
            return;
        };
        for answer in gone.abandon(ErrorCode::BUFFER_UNKNOWN) {
            self.answer(answer);
        }
        if gone.added {
            self.run(Command::RemoveBuffer { player, buffer });
        }
    }

    /// Gives an operation to its buffer, within the limits; without the buffer it is answered at once.
    fn operation(&mut self, player: u32, buffer: u32, op: Option<u32>, give: impl FnOnce(&mut Buffer, u64)) {
        let target = self.players.get_mut(player).and_then(|state| {
            let serial = state.next_serial();
            state.buffers.get_mut(buffer).map(|buffer| (buffer, serial))
        });
        let Some((target, serial)) = target else {
            if let Some(op) = op {
                let known = self.players.contains(player);
                let code = if known { ErrorCode::BUFFER_UNKNOWN } else { ErrorCode::PLAYER_UNKNOWN };
                self.answer(refusal(player, buffer, op, code));
            }
            return;
        };
        give(target, serial);
        let many = target.waiting_ops() > MAX_OPS;
        let own = self.players.get(player).map_or(0, Player::waiting_bytes);
        let total: usize = self.players.values().map(Player::waiting_bytes).sum();
        if many || own > MAX_PLAYER_BYTES || total > MAX_TOTAL_BYTES {
            self.fail(player, ErrorCode::TOO_MANY_BYTES, "too much waits in the source buffers".to_owned());
        }
    }

    fn source_op(&mut self, player: u32, op: SourceOp) {
        let Some(state) = self.players.get_mut(player) else {
            return;
        };
        let serial = state.next_serial();
        state.source_ops.push_back((serial, op));
        if state.source_ops.len() > MAX_SOURCE_OPS {
            self.fail(
                player,
                ErrorCode::PAGE_FLOOD,
                "too many operations wait for the media source".to_owned(),
            );
        }
    }

    fn window_ready(&mut self, now: Monotonic, player: u32) {
        if self.opening == Some(player) {
            self.opening = None;
        }
        if let Some(state) = self.players.get_mut(player) {
            state.phase = Phase::Attaching;
            state.playback.attach();
            let watched = state.playback.watches_frames();
            self.lay_out(now, player);
            if watched {
                self.run(Command::WatchFrames { player, on: true });
            }
        }
    }

    fn lay_out(&mut self, now: Monotonic, player: u32) {
        if let Some((serial, layout)) =
            self.players.get_mut(player).and_then(|state| state.layouts.apply(now))
        {
            self.run(Command::Layout { player, serial, layout: Box::new(layout) });
        }
    }

    fn painted(&mut self, player: u32, serial: u64) {
        if let Some(layout) = self.players.get_mut(player).and_then(|state| state.layouts.painted(serial)) {
            self.send(FromStageKind::LaidOut(layout));
        }
    }

    /// Shows a picture in the page that the stage is part of; what can't be a place hides it.
    fn place(&mut self, now: Monotonic, asked: PlacePicture) {
        let Some(state) = self.players.get_mut(asked.player) else {
            return;
        };
        let (player, place) = (asked.player, Place::checked(asked));
        match place.filter(|_| matches!(state.phase, Phase::Attaching | Phase::Open)) {
            Some(place) => {
                state.placed_until = Some(now.after(PLACE_TIMEOUT));
                self.run(Command::Place { player, place });
            }
            None => self.hide(player),
        }
    }

    fn hide(&mut self, player: u32) {
        if self.players.get_mut(player).is_some_and(|state| state.placed_until.take().is_some()) {
            self.run(Command::Hide { player });
        }
    }

    fn video(&mut self, now: Monotonic, player: u32, moment: VideoMoment, snapshot: VideoSnapshot) {
        // An event that waited may be of an element that is gone, whose player's number is used again.
        let Some(state) = self.players.get_mut(player).filter(|state| state.has_element()) else {
            return;
        };
        let error = media_error(&snapshot);
        let held = state.file.as_mut().and_then(|file| file.changed(now, player, &snapshot));
        state.playback.see(now, moment, snapshot);
        let frame = state.playback.take_frame_of_seek(player);
        if let Some(report) = state.playback.report(now, player) {
            self.send_device(FromDeviceKind::PlayerState(report));
        }
        if let Some(frame) = frame {
            self.send_device(FromDeviceKind::FramePresented(frame));
        }
        if let Some(held) = held {
            self.answer(held);
        }
        if let Some((code, detail)) = error {
            self.fail(player, code, detail);
        }
    }

    fn probed(&mut self, probe: u64, result: Option<ProbeResult>) {
        let Some(tracks) = self.probes.finish(probe, result) else {
            return;
        };
        let buffers = self.players.values_mut().flat_map(|player| player.buffers.values_mut());
        for buffer in buffers.filter(|buffer| buffer.awaits_probe(probe)) {
            buffer.settle_tracks(tracks);
        }
    }

    /// Does everything that has become possible.
    fn advance(&mut self, now: Monotonic) {
        self.open_next(now);
        let ids = self.players.keys();
        for id in ids {
            self.advance_player(now, id);
        }
        while let Some(command) = self.probes.start(now) {
            self.run(command);
        }
    }

    fn open_next(&mut self, now: Monotonic) {
        if self.opening.is_some() {
            return;
        }
        let Some(player) = self.to_open.pop_front() else {
            return;
        };
        let Some(state) = self.players.get_mut(player) else {
            return;
        };
        state.phase = Phase::Opening { until: now.after(WINDOW_TIMEOUT) };
        let (width, height) = state.layouts.window_size();
        self.opening = Some(player);
        // The client must know whose window it is before the window can exist.
        self.send(FromStageKind::WindowAsked(WindowAsked { player }));
        self.run(Command::OpenWindow { player, width, height });
    }

    fn advance_player(&mut self, now: Monotonic, id: u32) {
        loop {
            let Some(player) = self.players.get_mut(id) else {
                return;
            };
            for buffer in player.buffers.values_mut() {
                if let Some(init) = buffer.take_init() {
                    match self.probes.ask(init) {
                        Asked::Known(tracks) => buffer.settle_tracks(Some(tracks)),
                        Asked::Probe(probe) => buffer.await_probe(probe),
                    }
                }
            }
            match player.step() {
                PlayerStep::Run(command) => self.run(command),
                PlayerStep::Answer(answer) => self.answer(answer),
                PlayerStep::Idle => break,
            }
        }
        let commands = self.players.get_mut(id).map(|player| player.play_commands(now)).unwrap_or_default();
        self.run_all(commands);
    }

    fn buffer(&mut self, player: u32, buffer: u32) -> Option<&mut Buffer> {
        self.players.get_mut(player)?.buffers.get_mut(buffer)
    }

    fn run(&mut self, command: Command) {
        self.outputs.push_back(Output::Do(command));
    }

    fn run_all(&mut self, commands: Vec<Command>) {
        self.outputs.extend(commands.into_iter().map(Output::Do));
    }

    fn answer(&mut self, answer: BufferChanged) {
        self.send_device(FromDeviceKind::BufferChanged(answer));
    }

    fn send_device(&mut self, kind: FromDeviceKind) {
        self.send(FromStageKind::Device(FromDevice { kind: Some(kind) }));
    }

    fn send(&mut self, kind: FromStageKind) {
        self.outputs.push_back(Output::Send(FromStage { kind: Some(kind) }.encode_to_vec()));
    }
}

fn describe(exception: &Exception) -> String {
    format!("{}: {}", exception.name, exception.message)
}
