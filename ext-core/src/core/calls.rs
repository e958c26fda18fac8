//! Calls: from what the hook passes on to the device and back, and where the pictures of calls are.

use std::collections::VecDeque;

use offstage_protocol::frame::{FIRST_BUFFER_STREAM, PLAYER_STREAM};
use offstage_protocol::message::{
    CallRequest, CloseCall, ClosePlayer, FromDeviceKind, OpenCall, OpenPlayer, PlayTracks, SetPlayback,
    ToDeviceKind, TrackRef,
};
use offstage_protocol::{ErrorCode, SortedMap};

use super::Output;
use super::players::Players;
use crate::hook::{Geometry, HookCommand, PlaybackEvent, RequestEvent, ScreenEvent, Versions};
use crate::link::DeviceLink;

/// Longest arguments of a request, longest message of a channel, most that waits for the device.
const MOST_ARGUMENTS: usize = 256 * 1024;
const MOST_DATA: usize = 512 * 1024;
const MOST_QUEUED: usize = 16 * 1024 * 1024;
/// Longest name of a verb, a transceiver or an output.
const MOST_WORD: usize = 200;
/// Elements of one document that show calls, and tracks of one.
const MOST_SCREENS: usize = 64;
const MOST_TRACKS: usize = 32;
/// Documents that are remembered for a reason that keeps their calls in the session.
const MOST_STAYS: usize = 1000;

/// A document that calls.
#[derive(Debug)]
struct Call {
    /// On the wire.
    id: u32,
    /// For what may be large.
    stream: u32,
    /// Connections that are open, by the page's numbers, and whether something was negotiated.
    connections: SortedMap<u32, bool>,
}

/// An element that shows or sounds tracks of a call.
#[derive(Debug)]
pub(super) struct Screen {
    /// The player's number on the wire.
    pub(super) id: u32,
    pub(super) geometry: Option<Geometry>,
    pub(super) geometry_seq: u32,
    playback_seq: u32,
    size: [u32; 2],
}

/// What the settings say of a document's calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coverage {
    /// They go to the device.
    pub(super) calls: bool,
    /// The page is told.
    pub(super) contract: bool,
}

/// All calls of all documents.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: SortedMap<u32, Call>,
    screens: SortedMap<(u32, u32), Screen>,
    /// Documents whose calls have to stay in the session, and why.
    stays: SortedMap<u32, ErrorCode>,
    last_id: u32,
}

impl Calls {
    pub(super) fn screen_mut(&mut self, relay: u32, ms: u32) -> Option<&mut Screen> {
        self.screens.get_mut(&(relay, ms))
    }

    pub(super) fn screens_of(&self, relay: u32) -> Vec<u32> {
        self.screens.range((relay, 0)..=(relay, u32::MAX)).map(|(key, _)| key.1).collect()
    }

    /// Documents whose pictures are somewhere in the page.
    pub(super) fn placed(&self) -> impl Iterator<Item = u32> {
        self.screens.iter().filter(|(_, screen)| screen.geometry.is_some()).map(|(key, _)| key.0)
    }

    /// Documents with a connection on the device that is more than made.
    pub(super) fn active(&self) -> impl Iterator<Item = u32> {
        let calls = |call: &Call| call.connections.values().any(|negotiated| *negotiated);
        self.calls.iter().filter(move |(_, call)| calls(call)).map(|(relay, _)| *relay)
    }

    /// Documents whose calls have to stay in the session, and why.
    pub(super) fn stays(&self) -> impl Iterator<Item = (u32, ErrorCode)> {
        self.stays.iter().map(|(relay, code)| (*relay, *code))
    }

    /// The page has put something of its own between codec and wire.
    pub(super) fn stay(&mut self, relay: u32) {
        if self.stays.len() < MOST_STAYS {
            self.stays.insert(relay, ErrorCode::CALL_TRANSFORMED);
        }
    }

    /// How many connections are on the device.
    pub(super) fn connections(&self) -> usize {
        self.calls.values().map(|call| call.connections.len()).sum()
    }

    /// A document begins to call, at its first connection or use of a device.
    pub(super) fn open(
        &mut self,
        relay: u32,
        origin: &str,
        coverage: Coverage,
        players: &mut Players,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        if self.calls.contains_key(&relay) {
            return;
        }
        self.last_id = self.last_id.wrapping_add(1);
        let id = self.last_id;
        let message = OpenCall { call: id, origin: origin.to_owned() };
        let code = if !coverage.calls {
            Some(ErrorCode::NOT_COVERED)
        } else if !link.knows_calls() || !link.send(PLAYER_STREAM, ToDeviceKind::OpenCall(message)) {
            Some(if link.is_ready() { ErrorCode::VERSION_MISMATCH } else { link.status() })
        } else {
            players.last_stream = players.last_stream.max(FIRST_BUFFER_STREAM - 1) + 1;
            self.calls.insert(relay, Call { id, stream: players.last_stream, connections: SortedMap::new() });
            None
        };
        let code = code.map_or(0, ErrorCode::number);
        let versions = coverage.contract.then(|| {
            let (bridge, client, _) = link.versions();
            let [bridge, client] = [bridge, client].map(|version| version.unwrap_or_default().to_owned());
            Versions { extension: link.version().to_owned(), bridge, client }
        });
        out.push_back(Output::ToHook { relay, command: HookCommand::CallOpened { code, versions } });
    }

    /// `shares_device`: screens that a page shows are to be the device's.
    pub(super) fn request(
        &mut self,
        relay: u32,
        event: RequestEvent,
        shares_device: bool,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        let Some(call) = self.calls.get_mut(&relay) else { return };
        if event.verb == "captureScreen" && !shares_device {
            // The page gets one of the session's.
            let (exception, detail, result) = (String::new(), String::new(), "{\"value\":null}".to_owned());
            let command = HookCommand::Called { id: event.id, exception, detail, result };
            return out.push_back(Output::ToHook { relay, command });
        }
        let RequestEvent { id, verb, target, transceiver, arguments, data } = event;
        let fits = arguments.len() <= MOST_ARGUMENTS
            && data.len() <= MOST_DATA
            && verb.len() <= MOST_WORD
            && transceiver.len() <= MOST_WORD
            && link.queued_bytes().saturating_add(data.len()) <= MOST_QUEUED;
        match &*verb {
            "connect" => {
                call.connections.insert(target, false);
            }
            "setLocalDescription" | "setRemoteDescription" => {
                if let Some(negotiated) = call.connections.get_mut(&target) {
                    *negotiated = true;
                }
            }
            "close" => {
                call.connections.remove(&target);
            }
            _ => {}
        }
        // What may be large doesn't keep the rest waiting.
        let is_large = matches!(&*verb, "send" | "closeChannel" | "media");
        let stream = if is_large { call.stream } else { PLAYER_STREAM };
        let request = CallRequest {
            call: call.id,
            request: id,
            verb,
            target,
            transceiver,
            arguments,
            data: data.into_vec(),
        };
        if !fits || !link.send(stream, ToDeviceKind::CallRequest(request)) {
            let command = HookCommand::Called {
                id,
                exception: "OperationError".to_owned(),
                detail: "too much at a time".to_owned(),
                result: String::new(),
            };
            out.push_back(Output::ToHook { relay, command });
        }
    }

    /// An element shows tracks of the call, or others than before; or a player's is to sound at an output of the call's.
    pub(super) fn screen(
        &mut self,
        relay: u32,
        origin: &str,
        event: ScreenEvent,
        players: &mut Players,
        link: &mut DeviceLink,
    ) {
        let Some(call) = self.calls.get(&relay).map(|call| call.id) else { return };
        let key = (relay, event.ms);
        if event.sink.len() > MOST_WORD {
            return;
        }
        if let Some(player) = players.get_mut(relay, event.ms) {
            let play = PlayTracks { player: player.id, call, tracks: Vec::new(), sink: event.sink };
            let _queued = link.send(PLAYER_STREAM, ToDeviceKind::PlayTracks(play));
            return;
        }
        if !self.screens.contains_key(&key) {
            if self.screens_of(relay).len() >= MOST_SCREENS {
                return;
            }
            let id = players.next_id();
            let open = OpenPlayer { player: id, origin: origin.to_owned() };
            if !link.send(PLAYER_STREAM, ToDeviceKind::OpenPlayer(open)) {
                return;
            }
            let screen = Screen { id, geometry: None, geometry_seq: 0, playback_seq: 0, size: [0; 2] };
            self.screens.insert(key, screen);
        }
        let Some(screen) = self.screens.get(&key) else { return };
        let tracks =
            event.tracks.into_iter().take(MOST_TRACKS).filter(|track| track.transceiver.len() <= MOST_WORD);
        let tracks =
            tracks.map(|track| TrackRef { target: track.target, transceiver: track.transceiver }).collect();
        let play = PlayTracks { player: screen.id, call, tracks, sink: event.sink };
        // Without a queue there is soon no link either, which ends all of it.
        let _queued = link.send(PLAYER_STREAM, ToDeviceKind::PlayTracks(play));
    }

    pub(super) fn close_screen(&mut self, relay: u32, ms: u32, link: &mut DeviceLink) {
        if let Some(screen) = self.screens.remove(&(relay, ms)) {
            let close = ClosePlayer { player: screen.id };
            let _queued = link.send(PLAYER_STREAM, ToDeviceKind::ClosePlayer(close));
        }
    }

    /// How an element is to play; false if it is none of a call's.
    pub(super) fn playback(
        &mut self,
        relay: u32,
        wish: PlaybackEvent,
        tab_muted: bool,
        link: &mut DeviceLink,
    ) -> bool {
        let Some(screen) = self.screens.get_mut(&(relay, wish.ms)) else { return false };
        screen.playback_seq = screen.playback_seq.wrapping_add(1);
        let volume = if wish.volume.is_finite() { wish.volume.clamp(0.0, 1.0) } else { 1.0 };
        let playback = SetPlayback {
            player: screen.id,
            seq: screen.playback_seq,
            paused: wish.paused,
            rate: 1.0,
            volume,
            muted: wish.muted || tab_muted,
            preserves_pitch: true,
            ..SetPlayback::default()
        };
        let _queued = link.send(PLAYER_STREAM, ToDeviceKind::SetPlayback(playback));
        true
    }

    /// Something of the device's about calls; everything else comes back.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not about calls is the players' business")]
    pub(super) fn handle_device(
        &mut self,
        kind: FromDeviceKind,
        out: &mut VecDeque<Output>,
    ) -> Option<FromDeviceKind> {
        let relay_of =
            |call: u32| self.calls.iter().find(|(_, state)| state.id == call).map(|(relay, _)| *relay);
        match kind {
            FromDeviceKind::CallAnswer(answer) => {
                let relay = relay_of(answer.call)?;
                let command = HookCommand::Called {
                    id: answer.request,
                    exception: answer.exception,
                    detail: answer.detail,
                    result: answer.result,
                };
                out.push_back(Output::ToHook { relay, command });
            }
            FromDeviceKind::CallEvent(event) => {
                let relay = relay_of(event.call)?;
                let command = HookCommand::CallHappened {
                    target: event.target,
                    event: event.event,
                    detail: event.detail,
                    data: event.data.into(),
                };
                out.push_back(Output::ToHook { relay, command });
            }
            FromDeviceKind::CallFailed(failed) => {
                let relay = relay_of(failed.call)?;
                self.calls.remove(&relay);
                for ms in self.screens_of(relay) {
                    self.screens.remove(&(relay, ms));
                }
                out.push_back(Output::ToHook {
                    relay,
                    command: HookCommand::CallOpened { code: failed.code, versions: None },
                });
            }
            FromDeviceKind::PlayerState(state) => {
                let found = self.screens.iter_mut().find(|(_, screen)| screen.id == state.player);
                let Some(((relay, ms), screen)) = found else {
                    return Some(FromDeviceKind::PlayerState(state));
                };
                let size = [state.width, state.height];
                if screen.size != size && size != [0; 2] {
                    screen.size = size;
                    let [width, height] = size;
                    let command = HookCommand::ScreenSize { ms: *ms, width, height };
                    out.push_back(Output::ToHook { relay: *relay, command });
                }
            }
            FromDeviceKind::PlayerFailed(failed) => {
                let found = self.screens.iter().find(|(_, screen)| screen.id == failed.player);
                let Some(key) = found.map(|(key, _)| *key) else {
                    return Some(FromDeviceKind::PlayerFailed(failed));
                };
                self.screens.remove(&key);
            }
            kind => return Some(kind),
        }
        None
    }

    /// The device is gone: connections are lost, and the next ones are asked for anew.
    pub(super) fn lose_all(&mut self, code: ErrorCode, out: &mut VecDeque<Output>) {
        for relay in std::mem::take(&mut self.calls).into_keys() {
            let command = HookCommand::CallOpened { code: code.number(), versions: None };
            out.push_back(Output::ToHook { relay, command });
        }
        self.screens = SortedMap::new();
    }

    pub(super) fn close_all_of(&mut self, relay: u32, link: &mut DeviceLink) {
        self.stays.remove(&relay);
        for ms in self.screens_of(relay) {
            self.close_screen(relay, ms, link);
        }
        if let Some(call) = self.calls.remove(&relay) {
            link.close_stream(call.stream);
            let _queued = link.send(PLAYER_STREAM, ToDeviceKind::CloseCall(CloseCall { call: call.id }));
        }
    }
}
