//! All players of all documents: from the hook's events to the device and back.

use std::collections::VecDeque;

use offstage_protocol::frame::{FIRST_BUFFER_STREAM, PLAYER_STREAM};
use offstage_protocol::message::{
    Abort, AddSourceBuffer, Append, AppendSettings, BufferChanged, ChangeType, ClosePlayer, EndOfStream,
    FramePresented, FromDeviceKind, OpenPlayer, PlayerState, Remove, RemoveSourceBuffer, SetDuration,
    SetPlayback, ToDeviceKind, WatchFrames,
};
use offstage_protocol::{ErrorCode, Monotonic, Ranges, SortedMap};

use super::Output;
use super::beginning::MOST_HELD;
use super::files::fitted;
use super::leaving::Left;
use super::limits::STILL_AFTER;
use super::meter::Counted;
use super::readers::Readers;
use crate::choice::{Look, Rests};
use crate::clock::{Drifts, Slew};
use crate::hook::{AppendEvent, HookCommand, HookEvent, NativeRanges, PlaybackEvent, SwapBuffer, to_u64};
use crate::link::DeviceLink;
use crate::player::{Buffer, Orders, Phase, Player};
use crate::protected::is_encrypted;

/// Most players of one document, and buffers of one player (Chromium allows 16).
const MOST_PLAYERS: usize = 32;
const MOST_BUFFERS: usize = 16;
/// Most bytes of one `Append` message.
const PIECE: usize = 512 * 1024;
/// Most bytes that wait for the device, over all players.
const MOST_QUEUED: usize = 60 * 1024 * 1024;
/// Longest MIME type that is passed on.
const MOST_MIME: usize = 500;
/// Most ranges of one buffer that are looked at.
const MOST_RANGES: usize = 2000;
/// A paused picture farther than this from the page's position is put right by a seek: less than any frame, because the two
/// may be on both sides of a frame's edge.
const PAUSED_DRIFT_US: f64 = 1_000.0;

/// How far apart the ends of a muxed buffer's tracks may be: a sound frame and a picture of 10 a second.
const TRACKS_END_APART_US: u64 = 150_000;

/// Whose word it is, as the browser says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a> {
    pub(super) relay: u32,
    pub(super) origin: &'a str,
    /// Its tab is muted.
    pub(super) muted: bool,
    /// Policy has the device fetch its files.
    pub(super) device_fetches: bool,
    /// Its video is not to be redirected.
    pub(super) barred: bool,
}

/// The players by document and by the page's number.
#[derive(Debug, Default)]
pub(super) struct Players {
    pub(super) players: SortedMap<(u32, u32), Player>,
    pub(super) by_id: SortedMap<u32, (u32, u32)>,
    /// Why the document's last player that went back to the session did so.
    reasons: SortedMap<u32, ErrorCode>,
    pub(super) counted: Counted,
    /// Why the device didn't fetch a file of the document's, although policy has it so.
    pub(super) fetch_refused: SortedMap<u32, ErrorCode>,
    last_id: u32,
    pub(super) last_stream: u32,
    pub(super) readers: Readers,
    pub(super) rests: Rests,
    /// Players of which the device has to be told anew where they are.
    pub(super) to_place: Vec<(u32, u32)>,
}

impl Players {
    pub(super) fn get_mut(&mut self, relay: u32, ms: u32) -> Option<&mut Player> {
        self.players.get_mut(&(relay, ms))
    }

    /// The page's numbers of a document's players.
    pub(super) fn numbers_of(&self, relay: u32) -> Vec<u32> {
        self.players.range((relay, 0)..=(relay, u32::MAX)).map(|(key, _)| key.1).collect()
    }

    /// How many players are seen in the page.
    pub(super) fn located(&self) -> usize {
        self.players.values().filter(|player| player.is_located).count()
    }

    /// The documents with a player that is somewhere on the screen.
    pub(super) fn placed(&self) -> Vec<u32> {
        let placed = self.players.iter().filter(|(_, player)| player.geometry.is_some());
        placed.map(|(key, _)| key.0).collect()
    }

    /// The documents in which a player plays on the device.
    pub(super) fn redirected(&self) -> impl Iterator<Item = u32> {
        self.players
            .iter()
            .filter(|(_, player)| player.phase == Phase::Device && player.wish.is_some())
            .map(|(key, _)| key.0)
    }

    /// Frames that the device has presented and dropped, over all players that are open.
    pub(super) fn frames(&self) -> [u64; 2] {
        self.players.values().fold([0; 2], |[presented, dropped], player| {
            let [more_presented, more_dropped] = player.frames;
            [presented.saturating_add(more_presented), dropped.saturating_add(more_dropped)]
        })
    }

    /// The documents that play in the session although there is a device, and why.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (u32, ErrorCode)> {
        self.reasons.iter().map(|(relay, code)| (*relay, *code))
    }

    /// How far page and device have been apart lately, in microseconds: the median and the 99th percentile.
    pub(super) fn drift_us(&self) -> Option<[u64; 2]> {
        let all: Vec<_> = self.players.values().map(|player| &player.drifts).collect();
        Drifts::percentiles(&all, [50, 99])
    }

    fn note_reason(&mut self, relay: u32, code: ErrorCode) {
        self.reasons.insert(relay, code);
        self.counted.in_session(code);
    }

    /// The device is gone, and with it every player on it.
    pub(super) fn revert_all(&mut self, code: ErrorCode, out: &mut VecDeque<Output>) {
        for (relay, ms) in self.staying() {
            self.note_reason(relay, code);
            let command = HookCommand::Revert { ms, code: code.number(), retry: true };
            out.push_back(Output::ToHook { relay, command });
        }
        self.players.clear();
        self.by_id.clear();
    }

    pub(super) fn revert_all_of(
        &mut self,
        relay: u32,
        code: ErrorCode,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) -> bool {
        let mine = self.numbers_of(relay);
        for ms in &mine {
            self.revert((relay, *ms), code, false, link, out);
        }
        !mine.is_empty()
    }

    pub(super) fn close_all_of(&mut self, relay: u32, link: &mut DeviceLink, out: &mut VecDeque<Output>) {
        let free = self.readers.forget(relay);
        give_back(free, out);
        self.reasons.remove(&relay);
        self.fetch_refused.remove(&relay);
        self.rests.forget(relay);
        let mine = self.numbers_of(relay);
        for ms in mine {
            self.close((relay, ms), link);
        }
    }

    pub(super) fn handle_hook(
        &mut self,
        now: Monotonic,
        document: Document<'_>,
        event: HookEvent,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        let Document { relay, origin, muted, device_fetches, barred } = document;
        if let HookEvent::Sharing { live } = event {
            return self.share(relay, live, link, out);
        }
        if let HookEvent::InWorker {} = event {
            self.note_reason(relay, ErrorCode::SOURCE_IN_WORKER);
            return;
        }
        let ms = event.ms();
        let key = (relay, ms);
        if let HookEvent::Open { replay, .. } = event {
            let barred = barred.then_some(ErrorCode::NOT_COVERED);
            let refused =
                barred.or_else(|| self.readers.refuses(now, key, origin)).or_else(|| self.rests.refuses(key));
            return match refused {
                Some(code) => self.revert(key, code, false, link, out),
                None => self.open(now, key, replay, (muted, origin), link, out),
            };
        }
        if let HookEvent::Read { reader, .. } = event {
            let code = self.readers.read(now, key, reader, origin);
            if self.players.get(&key).is_some_and(|player| !player.phase.is_leaving()) {
                self.revert(key, code, false, link, out);
            }
            return;
        }
        if matches!(event, HookEvent::ReadEnded { .. }) {
            if self.readers.ended(key) {
                give_back(vec![key], out);
            }
            return;
        }
        if let HookEvent::File(file) = &event {
            return self.open_file(key, file, device_fetches.then_some(origin), link, out);
        }
        if let HookEvent::Fetched(got) = event {
            return self.fetched(key, got, link, out);
        }
        let Some(player) = self.players.get_mut(&key).filter(|player| {
            !player.phase.is_leaving() || matches!(event, HookEvent::Close { .. } | HookEvent::Playback(_))
        }) else {
            return;
        };
        let id = player.id;
        let sent = match event {
            HookEvent::Open { .. }
            | HookEvent::Read { .. }
            | HookEvent::ReadEnded { .. }
            | HookEvent::Sharing { .. }
            | HookEvent::InWorker {}
            | HookEvent::OpenCall {}
            | HookEvent::CallStays {}
            | HookEvent::Request(_)
            | HookEvent::Screen(_)
            | HookEvent::CloseScreen { .. }
            | HookEvent::File(_)
            | HookEvent::Fetched(_) => true,
            HookEvent::AddBuffer { sb, mime, .. } => {
                if player.buffers.len() >= MOST_BUFFERS || mime.len() > MOST_MIME {
                    return self.revert(key, ErrorCode::TOO_MANY_BUFFERS, false, link, out);
                }
                self.last_stream = self.last_stream.max(FIRST_BUFFER_STREAM - 1) + 1;
                player.buffers.insert(sb, Buffer::new(self.last_stream));
                let message = AddSourceBuffer { player: id, buffer: sb, mime };
                link.send(PLAYER_STREAM, ToDeviceKind::AddSourceBuffer(message))
            }
            HookEvent::RemoveBuffer { sb, .. } => {
                let Some(buffer) = player.buffers.remove(&sb) else { return };
                link.close_stream(buffer.stream);
                let message = RemoveSourceBuffer { player: id, buffer: sb };
                link.send(PLAYER_STREAM, ToDeviceKind::RemoveSourceBuffer(message))
            }
            HookEvent::Append(append) => {
                if link.queued_bytes().saturating_add(append.data.len()) > MOST_QUEUED {
                    return self.revert(key, ErrorCode::TOO_MANY_BYTES, false, link, out);
                }
                if is_encrypted(&append.data) {
                    return self.revert(key, ErrorCode::ENCRYPTED_MEDIA, false, link, out);
                }
                let Some(buffer) = player.buffers.get_mut(&append.sb) else { return };
                buffer.ask(now);
                send_append(id, buffer.stream, append, link)
            }
            HookEvent::Remove { sb, op, start, end, .. } => {
                let Some(buffer) = player.buffers.get_mut(&sb) else { return };
                buffer.ask(now);
                let message = Remove { player: id, buffer: sb, op, start, end };
                link.send(buffer.stream, ToDeviceKind::Remove(message))
            }
            HookEvent::Abort { sb, op, .. } => {
                let Some(buffer) = player.buffers.get_mut(&sb) else { return };
                buffer.ask(now);
                link.send(buffer.stream, ToDeviceKind::Abort(Abort { player: id, buffer: sb, op }))
            }
            HookEvent::ChangeType { sb, op, mime, .. } => {
                let Some(buffer) = player.buffers.get_mut(&sb).filter(|_| mime.len() <= MOST_MIME) else {
                    return;
                };
                buffer.ask(now);
                link.send(
                    buffer.stream,
                    ToDeviceKind::ChangeType(ChangeType { player: id, buffer: sb, op, mime }),
                )
            }
            HookEvent::Native { sb, ranges, .. } => {
                let Some(buffer) = player.buffers.get_mut(&sb) else { return };
                if buffer.handle_native(ranges_of(&ranges)) {
                    match buffer.orders() {
                        Ok(Orders { r#type, steps, .. }) => {
                            let command = HookCommand::Fix { ms, sb, r#type, steps };
                            out.push_back(Output::ToHook { relay, command });
                        }
                        Err(code) => return self.revert(key, code, false, link, out),
                    }
                }
                true
            }
            HookEvent::WatchFrames { on, .. } => {
                link.send(PLAYER_STREAM, ToDeviceKind::WatchFrames(WatchFrames { player: id, on }))
            }
            HookEvent::Duration { seconds, .. } => {
                // The browser shows nothing beyond it, and counts in whole microseconds.
                if let Some(seconds) = seconds {
                    let all = Ranges::single(0, to_u64((seconds * 1e6).floor()));
                    for buffer in player.buffers.values_mut() {
                        buffer.device = buffer.device.intersect(&all);
                    }
                }
                link.send(PLAYER_STREAM, ToDeviceKind::SetDuration(SetDuration { player: id, seconds }))
            }
            HookEvent::End { ended, .. } => {
                link.send(PLAYER_STREAM, ToDeviceKind::EndOfStream(EndOfStream { player: id, ended }))
            }
            HookEvent::Playback(wish) => {
                player.stopped |= wish.paused && player.wish.is_some_and(|before| !before.paused);
                player.wish = Some(wish);
                player.wished_at = now;
                player.trim.interrupt();
                player.choice.interrupt();
                // A device that never says how it does counts as one that stands still.
                player.stalled_since = Some(now).filter(|_| player.phase == Phase::Device && !wish.paused);
                send_wish(player, link)
            }
            HookEvent::Drift { drift_us, paused, seek_id, .. } => {
                handle_drift(now, player, relay, ms, drift_us, paused, seek_id, link, out)
            }
            HookEvent::Caught { buffers, ended, .. } => return self.swap(key, &buffers, ended, link, out),
            HookEvent::Swapped { .. } => {
                if player.phase == Phase::Swapping {
                    player.phase = Phase::Device;
                }
                player.stalled_since = Some(now).filter(|_| player.wish.is_some_and(|w| !w.paused));
                true
            }
            HookEvent::Close { .. } => {
                self.close(key, link);
                true
            }
        };
        if !sent {
            // Trying again at once would fill the queue again; a lost link brings every player back by itself.
            self.revert(key, ErrorCode::QUEUE_FULL, !link.is_ready(), link, out);
        }
    }

    pub(super) fn handle_device(
        &mut self,
        now: Monotonic,
        _wall_us: u64,
        kind: FromDeviceKind,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        match kind {
            FromDeviceKind::DeviceChanged(_)
            | FromDeviceKind::CallAnswer(_)
            | FromDeviceKind::CallEvent(_)
            | FromDeviceKind::CallFailed(_) => {}
            FromDeviceKind::PlayerFailed(failed) => {
                let Some(key) = self.by_id.get(&failed.player).copied() else { return };
                let code = ErrorCode::from_u32(failed.code).unwrap_or(ErrorCode::DECODE_ERROR);
                // A remote desktop's window takes the pictures in it with it when it is closed; nothing is wrong with them.
                let retry = code == ErrorCode::WINDOW_LOST && link.is_remote_window();
                self.revert(key, code, retry, link, out);
            }
            FromDeviceKind::BufferChanged(changed) => {
                let key = self.by_id.get(&changed.player).copied();
                self.handle_changed(now, changed, link, out);
                if let Some(key) = key {
                    self.prepare(now, key, None, link, out);
                }
            }
            FromDeviceKind::FetchRange(range) => self.fetch_asked(&range, link, out),
            FromDeviceKind::FetchCancelled(cancelled) => self.fetch_cancelled(cancelled, out),
            FromDeviceKind::PlayerState(state) => self.handle_state(now, &state, link, out),
            FromDeviceKind::FramePresented(frame) => self.handle_frame(&frame, link, out),
            // The link takes it.
            FromDeviceKind::LogChunk(_) => {}
        }
    }

    /// The tab of a document has been muted, or not any more.
    pub(super) fn set_muted(
        &mut self,
        relay: u32,
        muted: bool,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        let mut full = Vec::new();
        for (key, player) in self.players.iter_mut().filter(|(key, _)| key.0 == relay) {
            if player.tab_muted != muted {
                player.tab_muted = muted;
                player.trim.interrupt();
                if !send_wish(player, link) {
                    full.push(*key);
                }
            }
        }
        for key in full {
            self.revert(key, ErrorCode::QUEUE_FULL, !link.is_ready(), link, out);
        }
    }

    /// A share of the screen would show the stand-ins: nothing plays on the device meanwhile.
    fn share(&mut self, relay: u32, live: bool, link: &mut DeviceLink, out: &mut VecDeque<Output>) {
        if !live {
            return give_back(self.readers.unshare(relay), out);
        }
        self.readers.share(relay);
        for key in self.staying() {
            self.readers.wait(key);
            self.revert(key, ErrorCode::SCREEN_SHARED, false, link, out);
        }
    }

    pub(super) fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    fn open(
        &mut self,
        now: Monotonic,
        key: (u32, u32),
        replay: bool,
        (muted, origin): (bool, &str),
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        self.close(key, link);
        let (relay, ms) = key;
        let count = self.players.range((relay, 0)..=(relay, u32::MAX)).count();
        let id = self.next_id();
        let code = if count >= MOST_PLAYERS {
            ErrorCode::TOO_MANY_PLAYERS
        } else if link.send(
            PLAYER_STREAM,
            ToDeviceKind::OpenPlayer(OpenPlayer { player: id, origin: origin.to_owned() }),
        ) {
            let still_at = replay.then(|| now.after(STILL_AFTER));
            self.players.insert(key, Player { tab_muted: muted, still_at, ..Player::new(id, replay) });
            self.by_id.insert(id, key);
            self.reasons.remove(&relay);
            self.counted.redirected += 1;
            out.push_back(Output::ToHook { relay, command: HookCommand::Accept { ms } });
            return;
        } else {
            link.status()
        };
        // Only a lost link says when it is time again.
        let command = HookCommand::Revert { ms, code: code.number(), retry: !link.is_ready() };
        out.push_back(Output::ToHook { relay, command });
    }

    pub(super) fn close(&mut self, key: (u32, u32), link: &mut DeviceLink) {
        let Some(player) = self.players.remove(&key) else { return };
        self.by_id.remove(&player.id);
        for buffer in player.buffers.values() {
            link.close_stream(buffer.stream);
        }
        // If this can't be queued the link is lost, and the device closes everything with it.
        let _queued = link.send(PLAYER_STREAM, ToDeviceKind::ClosePlayer(ClosePlayer { player: player.id }));
    }

    pub(super) fn revert(
        &mut self,
        key: (u32, u32),
        code: ErrorCode,
        retry: bool,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        if self.leave(key, link) == Left::Before {
            return;
        }
        let (relay, ms) = key;
        self.note_reason(relay, code);
        let text = format!("a player goes on in the session: {code} {}", code.sentence());
        out.push_back(Output::Log { level: "info", text });
        let command = HookCommand::Revert { ms, code: code.number(), retry };
        out.push_back(Output::ToHook { relay, command });
    }

    fn handle_changed(
        &mut self,
        now: Monotonic,
        changed: BufferChanged,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        let Some(key) = self.by_id.get(&changed.player).copied() else { return };
        let Some(player) = self.players.get_mut(&key).filter(|player| !player.phase.is_leaving()) else {
            return;
        };
        let changed = fitted(player, changed);
        let size = player.size();
        let told = Self::hold(now, player, changed);
        let is_full = player.beginning.held.len() >= MOST_HELD;
        match told {
            Some(changed) => self.tell_changed(key, &changed, link, out),
            None if is_full => self.let_begin(key, link, out),
            None => {}
        }
        if self.players.get(&key).is_some_and(|player| player.size() != size) {
            self.to_place.push(key);
        }
    }

    /// Tells the page what its buffer is to hold.
    pub(super) fn tell_changed(
        &mut self,
        key: (u32, u32),
        changed: &BufferChanged,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        let (relay, ms) = key;
        let Some(player) = self.players.get_mut(&key).filter(|player| !player.phase.is_leaving()) else {
            return;
        };
        let Some(buffer) = player.buffers.get_mut(&changed.buffer) else { return };
        let orders = buffer.handle_changed(changed).and_then(|()| match player.phase {
            Phase::Device => buffer.orders(),
            Phase::Moving | Phase::Swapping | Phase::Leaving(_) => {
                Ok(Orders { r#type: None, steps: Vec::new(), duration: None })
            }
        });
        match orders {
            Ok(_) if changed.op == 0 && player.phase != Phase::Device => {}
            Ok(Orders { r#type, steps, duration }) => {
                let duration = player.file.as_ref().map_or(duration, |file| Some(file.duration()));
                let (sb, op, offset, parsing) =
                    (changed.buffer, changed.op, changed.timestamp_offset, changed.parsing);
                let command = HookCommand::Done { ms, sb, op, r#type, steps, offset, duration, parsing };
                out.push_back(Output::ToHook { relay, command });
            }
            Err(code) => {
                let exception: String = changed.exception.chars().take(100).collect();
                if !exception.is_empty() {
                    let text = format!("{code}: the device's buffer threw {exception}");
                    out.push_back(Output::Log { level: "warn", text });
                }
                self.revert(key, code, false, link, out);
            }
        }
    }

    fn handle_state(
        &mut self,
        now: Monotonic,
        state: &PlayerState,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        let Some((relay, ms)) = self.by_id.get(&state.player).copied() else { return };
        let Some(player) = self.players.get_mut(&(relay, ms)) else { return };
        let frames = [state.frames_presented, state.frames_dropped];
        for ((all, now), before) in self.counted.frames.iter_mut().zip(frames).zip(player.frames) {
            *all = all.saturating_add(now.saturating_sub(before));
        }
        player.frames = frames;
        if Self::handle_first_picture(player, state) {
            self.to_place.push((relay, ms));
            self.let_begin((relay, ms), link, out);
        }
        let Some(player) = self.players.get_mut(&(relay, ms)) else { return };
        let total = state.frames_presented.saturating_add(state.frames_dropped);
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let counts =
            [total, state.frames_dropped, state.video_bytes, state.audio_bytes].map(|count| count as f64);
        if player.phase == Phase::Device && player.counts != counts {
            player.counts = counts;
            out.push_back(Output::ToHook { relay, command: HookCommand::Counted { ms, counts } });
        }
        if player.phase == Phase::Moving && player.file.is_some() {
            return self.prepare(now, (relay, ms), Some(state), link, out);
        }
        let Some(wish) = player.wish.filter(|_| player.phase == Phase::Device) else { return };
        // What the device did before it heard the newest wish says nothing about it.
        if state.seq != player.wish_seq {
            return;
        }
        let seeking = state.seeking || state.seek_id != player.seek_told;
        (player.advancing, player.ended) = (state.advancing, state.ended);
        let should_advance = !wish.paused && !state.ended && !seeking && state.ready_state >= 3;
        if state.advancing || !should_advance {
            player.stalled_since = None;
        } else if player.stalled_since.is_none() {
            player.stalled_since = Some(now);
        }
        if seeking {
            return;
        }
        // A page that appends little at once has nothing queued: it waits for each answer.
        let waits = player
            .buffers
            .values()
            .any(|buffer| buffer.unanswered > 0 || link.queued_bytes_on(buffer.stream) > 0);
        let look = Look {
            presented: state.frames_presented,
            dropped: state.frames_dropped,
            position_us: u64::try_from(state.media_time_us).unwrap_or(0),
            plays: !wish.paused && !state.ended && state.ready_state >= 3,
            out_of_data: !wish.paused && !state.ended && state.ready_state < 3,
            waits,
            round_trip: link.round_trip(),
            rate: wish.rate,
        };
        if let Some(code) = player.choice.look(now, look) {
            self.rests.begin(now, (relay, ms), code);
            return self.revert((relay, ms), code, false, link, out);
        }
        let here_us = i128::from(state.wall_us) - i128::from(link.clock_offset_us());
        #[expect(clippy::cast_precision_loss, reason = "wall clocks and positions are far below 2^53 µs")]
        let (wall_ms, media) = (here_us as f64 / 1000.0, state.media_time_us as f64 / 1e6);
        if state.ended {
            let command = HookCommand::Slew { ms, factor: 1.0, for_ms: 0.0 };
            out.push_back(Output::ToHook { relay, command });
        } else {
            let PlaybackEvent { rate, seek_id, .. } = wish;
            let command = HookCommand::Sync { ms, media, wall_ms, rate, advancing: state.advancing, seek_id };
            out.push_back(Output::ToHook { relay, command });
        }
    }

    fn handle_frame(&mut self, frame: &FramePresented, link: &DeviceLink, out: &mut VecDeque<Output>) {
        let Some((relay, ms)) = self.by_id.get(&frame.player).copied() else { return };
        let Some(player) = self.players.get(&(relay, ms)) else { return };
        // A frame from before the page's newest seek is none of its picture any more.
        if player.phase != Phase::Device || frame.seek_id != player.seek_told {
            return;
        }
        let here_us = i128::from(frame.wall_us) - i128::from(link.clock_offset_us());
        #[expect(clippy::cast_precision_loss, reason = "wall clocks and positions are far below 2^53 µs")]
        let (wall_ms, media) = (here_us as f64 / 1000.0, frame.media_time_us as f64 / 1e6);
        let command = HookCommand::Frame {
            ms,
            media,
            wall_ms,
            display_after_ms: f64::from(frame.display_after_us) / 1000.0,
            count: frame.count,
            width: frame.width,
            height: frame.height,
            processing: f64::from(frame.processing_us) / 1e6,
        };
        out.push_back(Output::ToHook { relay, command });
    }

    fn swap(
        &mut self,
        key: (u32, u32),
        native: &[NativeRanges],
        ended: bool,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        let (relay, ms) = key;
        let Some(player) = self.players.get_mut(&key).filter(|p| p.phase == Phase::Moving) else { return };
        let mut swaps = Vec::new();
        let mut bad = None;
        for (sb, buffer) in player.buffers.iter_mut() {
            let Some(given) = native.iter().find(|n| n.sb == *sb) else { continue };
            buffer.native = ranges_of(&given.ranges);
            // What the session could play and the device can't would be lost.
            if !buffer.native.is_empty() && buffer.device.is_empty() {
                bad = bad.or(Some(ErrorCode::RETAINED_BYTES_LOST));
            }
            // The device is told of the end with the swap, and then has the longer track's end as well.
            if let (true, Some(here), Some(there)) = (ended, buffer.native.end(), buffer.device.end())
                && there < here
                && here - there <= TRACKS_END_APART_US
            {
                buffer.device.insert(there, here);
            }
            match buffer.swap_orders() {
                Ok(Orders { r#type, steps, .. }) => swaps.push(SwapBuffer { sb: *sb, r#type, steps }),
                Err(code) => bad = bad.or(Some(code)),
            }
        }
        if let Some(code) = bad {
            return self.revert(key, code, false, link, out);
        }
        player.phase = Phase::Swapping;
        let id = player.id;
        if ended && !link.send(PLAYER_STREAM, ToDeviceKind::EndOfStream(EndOfStream { player: id, ended })) {
            return self.revert(key, ErrorCode::QUEUE_FULL, !link.is_ready(), link, out);
        }
        out.push_back(Output::ToHook { relay, command: HookCommand::Swap { ms, buffers: swaps } });
    }
}

fn send_append(player: u32, stream: u32, append: AppendEvent, link: &mut DeviceLink) -> bool {
    let AppendEvent { sb, op, data, offset, window_start, window_end, sequence, .. } = append;
    let data = data.into_vec();
    let count = data.len().div_ceil(PIECE).max(1);
    let mut pieces = data.chunks(PIECE);
    (0..count).all(|index| {
        let message = Append {
            player,
            buffer: sb,
            op,
            last: index + 1 == count,
            settings: (index == 0).then_some(AppendSettings {
                timestamp_offset: offset,
                append_window_start: window_start,
                append_window_end: window_end,
                sequence_mode: sequence,
            }),
            data: pieces.next().unwrap_or_default().to_vec(),
        };
        link.send(stream, ToDeviceKind::Append(message))
    })
}

pub(super) fn send_wish(player: &mut Player, link: &mut DeviceLink) -> bool {
    let Some(wish) = player.wish else { return true };
    // While the session still plays, the device waits silently at the position.
    let session_plays = matches!(player.phase, Phase::Moving | Phase::Swapping);
    player.wish_seq += 1;
    let PlaybackEvent { paused, rate, volume, muted, preserves_pitch, seek_id, position, .. } = wish;
    // The first wish is a seek as well: to where the page is.
    player.seek_told = seek_id.saturating_add(player.extra_seeks).saturating_add(1);
    link.send(
        PLAYER_STREAM,
        ToDeviceKind::SetPlayback(SetPlayback {
            player: player.id,
            seq: player.wish_seq,
            paused: paused || session_plays,
            rate: if rate.is_finite() { rate.clamp(0.0, 16.0) } else { 1.0 },
            volume: if volume.is_finite() { volume.clamp(0.0, 1.0) } else { 1.0 },
            muted: muted || player.tab_muted,
            preserves_pitch,
            seek_id: player.seek_told,
            seek_to: position,
        }),
    )
}

#[expect(clippy::too_many_arguments, reason = "one call, all of it the answer to one question")]
fn handle_drift(
    now: Monotonic,
    player: &mut Player,
    relay: u32,
    ms: u32,
    drift_us: f64,
    paused: bool,
    seek_id: u32,
    link: &mut DeviceLink,
    out: &mut VecDeque<Output>,
) -> bool {
    let Some(wish) = player.wish.filter(|w| w.seek_id == seek_id && w.paused == paused) else { return true };
    if paused {
        let is_near = drift_us.abs() <= PAUSED_DRIFT_US && !player.stopped;
        if is_near || player.extra_seeks >= 1000 {
            return true;
        }
        player.stopped = false;
        player.extra_seeks += 1;
        return send_wish(player, link);
    }
    // An answer from before its end; nothing that the device says would let a stand-in go that is held now.
    if player.ended {
        return true;
    }
    let order = if player.advancing {
        player.drifts.add(drift_us);
        player.trim.order(now, drift_us, wish.rate)
    } else {
        player.trim.interrupt();
        Some(Slew { factor: 0.0, for_ms: 0.0 })
    };
    let Some(order) = order else { return true };
    let command = HookCommand::Slew { ms, factor: order.factor, for_ms: order.for_ms };
    out.push_back(Output::ToHook { relay, command });
    true
}

/// Nothing keeps these players in the session any more.
pub(super) fn give_back(players: Vec<(u32, u32)>, out: &mut VecDeque<Output>) {
    for (relay, ms) in players {
        out.push_back(Output::ToHook { relay, command: HookCommand::Return { ms } });
    }
}

fn ranges_of(flat: &[f64]) -> Ranges {
    let us: Vec<u64> = flat.iter().take(2 * MOST_RANGES).map(|value| to_u64(*value)).collect();
    Ranges::from_flat(&us)
}
