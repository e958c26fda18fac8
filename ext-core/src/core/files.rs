//! Players of files: opening them on the device, their bytes' way there, and the moment to swap.

use std::collections::VecDeque;
use std::time::Duration;

use offstage_protocol::frame::{FIRST_BUFFER_STREAM, PLAYER_STREAM};
use offstage_protocol::message::{
    BufferChanged, FetchCancelled, FetchRange, OpenFile, PlayerState, ToDeviceKind, Tracks,
};
use offstage_protocol::{ErrorCode, FEATURE_FETCH, FEATURE_FILES, Monotonic, Ranges, SortedMap};

use super::Output;
use super::players::{Players, send_wish};
use crate::files::{Files, Next, Way};
use crate::hook::{FetchedEvent, FileEvent, HookCommand, SwapBuffer, seconds, to_u64};
use crate::link::DeviceLink;
use crate::player::{Buffer, Orders, Phase, Player};
use crate::playlist::extension;

/// The number of a file's one buffer, on both sides.
pub(super) const FILE_BUFFER: u32 = 1;
/// What the device must have beyond the position before it takes over.
const AHEAD_US: u64 = 1_000_000;
/// A device that has got ready for a place that the session has left is told a new one after so long.
const LEFT_BEHIND: Duration = Duration::from_secs(2);
/// A file whose end is so near counts as loaded to its end: what is told of it is estimated from bytes.
const NEAR_END_US: u64 = 150_000;
/// The same for a playlist: Chromium tells of an MPEG-TS segment's last frames (233 ms of 30 a second were seen) when it plays them. Less
/// than a segment, so the last one is there.
const NEAR_END_OF_PLAYLIST_US: u64 = 1_000_000;

/// What a player of a file has beyond one of a MediaSource.
#[derive(Debug)]
pub struct FilePlayer {
    files: Files,
    tracks: Tracks,
    duration_us: u64,
    /// The device is at the wished position and could play.
    ready: bool,
    /// The stand-in is being put in, or is in.
    swapped: bool,
}

impl FilePlayer {
    /// The device's word, made to fit what the page has seen of the file.
    pub(super) fn fitted(&mut self, changed: &BufferChanged) -> BufferChanged {
        let mut ranges = Ranges::from_flat(&changed.ranges_us);
        if let Some(now) =
            changed.tracks.and_then(|seen| seen.duration_us).filter(|_| self.files.is_playlist())
        {
            self.duration_us = now;
        }
        let duration = self.duration_us;
        ranges = ranges.intersect(&Ranges::single(0, duration));
        let near = if self.files.is_playlist() { NEAR_END_OF_PLAYLIST_US } else { NEAR_END_US };
        if let Some(end) = ranges.end().filter(|end| end.saturating_add(near) >= duration) {
            ranges.insert(end, duration);
        }
        if let Some(seen) = changed.tracks {
            // A stand-in can't get another track later; one without sound is as silent.
            self.tracks.has_audio |= seen.has_audio && !self.swapped;
            if seen.width > 0 && seen.height > 0 && self.tracks.width > 0 {
                (self.tracks.width, self.tracks.height) = (seen.width, seen.height);
            }
        }
        BufferChanged {
            op: 0,
            code: 0,
            ranges_us: ranges.to_flat(),
            tracks: Some(self.tracks),
            ..changed.clone()
        }
    }
}

impl Players {
    /// The page's element plays a file that the device may have; `origin` is the document's, if the device is to fetch the file.
    pub(super) fn open_file(
        &mut self,
        key: (u32, u32),
        event: &FileEvent,
        origin: Option<&str>,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        let Some(player) = self
            .players
            .get_mut(&key)
            .filter(|p| p.file.is_none() && p.buffers.is_empty() && p.phase == Phase::Moving)
        else {
            return;
        };
        let Some(duration) = event.duration.filter(|duration| *duration > 0.0) else {
            return self.revert(key, ErrorCode::NOTHING_TO_SEEK, false, link, out);
        };
        let Some(mut files) = Files::new(&event.url, event.reads).filter(|_| link.peer_knows(FEATURE_FILES))
        else {
            return self.revert(key, ErrorCode::SOURCE_NOT_SUPPORTED, false, link, out);
        };
        self.fetch_refused.remove(&key.0);
        if let Some(origin) = origin.filter(|_| event.plain) {
            if link.peer_knows(FEATURE_FETCH) {
                files.offer_to_device(origin);
            } else {
                note_refusal(&mut self.fetch_refused, key.0, ErrorCode::FETCH_NOT_ALLOWED, out);
            }
        }
        let side = |value: f64| u32::try_from(to_u64(value)).unwrap_or(u32::MAX);
        let (width, height) = (side(event.width), side(event.height));
        let tracks = Tracks { width, height, has_audio: event.audio, duration_us: None };
        let duration_us = to_u64(duration * 1e6);
        self.last_stream = self.last_stream.max(FIRST_BUFFER_STREAM - 1) + 1;
        player.buffers.insert(FILE_BUFFER, Buffer::new(self.last_stream));
        player.file = Some(FilePlayer { files, tracks, duration_us, ready: false, swapped: false });
        let extension = extension(&event.url).to_owned();
        let message = OpenFile { player: player.id, resource: 0, extension };
        if !link.send(PLAYER_STREAM, ToDeviceKind::OpenFile(message)) {
            self.revert(key, ErrorCode::QUEUE_FULL, !link.is_ready(), link, out);
        }
    }

    pub(super) fn fetch_asked(
        &mut self,
        range: &FetchRange,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        let Some(key) = self.by_id.get(&range.player).copied() else { return };
        let Some(file) = self.players.get_mut(&key).and_then(|player| player.file.as_mut()) else { return };
        if range.refused != 0 && file.files.keep_from_device() {
            let code = ErrorCode::from_u32(range.refused).unwrap_or(ErrorCode::FETCH_REFUSED);
            note_refusal(&mut self.fetch_refused, key.0, code, out);
        }
        let next = file.files.ask(range);
        self.go_on(key, next, link, out);
    }

    pub(super) fn fetch_cancelled(&mut self, cancelled: FetchCancelled, out: &mut VecDeque<Output>) {
        let Some(key @ (relay, ms)) = self.by_id.get(&cancelled.player).copied() else { return };
        let Some(file) = self.players.get_mut(&key).and_then(|player| player.file.as_mut()) else { return };
        let FetchCancelled { player, request } = cancelled;
        match file.files.cancel(request) {
            Some(Way::Page) => {
                out.push_back(Output::ToHook { relay, command: HookCommand::Unfetch { ms, request } });
            }
            Some(Way::Worker) => out.push_back(Output::Unfetch { player, request }),
            None => {}
        }
    }

    /// The page or the worker has fetched, or could not.
    pub(super) fn fetched(
        &mut self,
        key: (u32, u32),
        got: FetchedEvent,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        let Some(player) = self.players.get_mut(&key) else { return };
        let id = player.id;
        match player.file.as_mut().and_then(|file| file.files.take(id, got)) {
            // The element there would say less of it.
            Some(Next::Answer(answer)) if answer.status == 502 => {
                self.revert(key, ErrorCode::FETCH_FAILED, false, link, out);
            }
            Some(next) => self.go_on(key, next, link, out),
            None => {}
        }
    }

    pub(super) fn fetched_by_worker(
        &mut self,
        player: u32,
        got: FetchedEvent,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        if let Some(key) = self.by_id.get(&player).copied() {
            self.fetched(key, got, link, out);
        }
    }

    fn go_on(&mut self, key: (u32, u32), next: Next, link: &mut DeviceLink, out: &mut VecDeque<Output>) {
        let (relay, ms) = key;
        let Some(player) = self.players.get(&key) else { return };
        match next {
            Next::Fetch(order) => {
                #[expect(clippy::cast_precision_loss, reason = "no file comes near 2^53 bytes")]
                let (start, end) = (order.start as f64, order.end.map(|end| end as f64));
                let (request, url) = (order.request, order.url);
                out.push_back(match order.way {
                    Way::Page => {
                        Output::ToHook { relay, command: HookCommand::Fetch { ms, request, url, start, end } }
                    }
                    Way::Worker => Output::Fetch { player: player.id, relay, request, url, start, end },
                });
            }
            Next::Answer(answer) => {
                let stream =
                    player.buffers.get(&FILE_BUFFER).map_or(FIRST_BUFFER_STREAM, |buffer| buffer.stream);
                if !link.send(stream, ToDeviceKind::FetchedRange(answer)) {
                    self.revert(key, ErrorCode::QUEUE_FULL, !link.is_ready(), link, out);
                }
            }
        }
    }

    /// What the device says while it gets ready.
    pub(super) fn prepare(
        &mut self,
        now: Monotonic,
        key: (u32, u32),
        state: Option<&PlayerState>,
        link: &mut DeviceLink,
        out: &mut VecDeque<Output>,
    ) {
        let Some(player) = self.players.get_mut(&key).filter(|player| player.phase == Phase::Moving) else {
            return;
        };
        let (seq, told) = (player.wish_seq, player.seek_told);
        let Some(file) = player.file.as_mut() else { return };
        if let Some(state) = state {
            file.ready =
                state.seq == seq && state.seek_id == told && !state.seeking && state.ready_state >= 3;
        }
        let (ready, duration) = (file.ready, file.duration_us);
        let Some(wish) = player.wish.filter(|_| ready) else { return };
        let passed = now.since(player.wished_at);
        let moved = if wish.paused { 0.0 } else { wish.rate * passed.as_secs_f64() };
        let at = to_u64((wish.position + moved) * 1e6);
        let held = player
            .buffers
            .get(&FILE_BUFFER)
            .and_then(|buffer| buffer.device.range_at(at.min(duration.saturating_sub(1))));
        if held.is_some_and(|(_, end)| end >= at.saturating_add(AHEAD_US).min(duration)) {
            self.swap_file(key, link, out);
        } else if passed >= LEFT_BEHIND && player.extra_seeks < 1000 {
            player.wish = Some(crate::hook::PlaybackEvent { position: wish.position + moved, ..wish });
            player.wished_at = now;
            player.extra_seeks += 1;
            if !send_wish(player, link) {
                self.revert(key, ErrorCode::QUEUE_FULL, !link.is_ready(), link, out);
            }
        }
    }

    fn swap_file(&mut self, key: (u32, u32), link: &mut DeviceLink, out: &mut VecDeque<Output>) {
        let (relay, ms) = key;
        let Some(player) = self.players.get_mut(&key) else { return };
        let Some(buffer) = player.buffers.get_mut(&FILE_BUFFER) else { return };
        match buffer.swap_orders() {
            Ok(Orders { r#type, steps, .. }) => {
                player.phase = Phase::Swapping;
                if let Some(file) = player.file.as_mut() {
                    file.swapped = true;
                }
                let buffers = vec![SwapBuffer { sb: FILE_BUFFER, r#type, steps }];
                out.push_back(Output::ToHook { relay, command: HookCommand::Swap { ms, buffers } });
            }
            Err(code) => self.revert(key, code, false, link, out),
        }
    }
}

impl FilePlayer {
    /// Seconds.
    pub(super) fn duration(&self) -> f64 {
        seconds(self.duration_us)
    }
}

/// Policy has the device fetch a document's file, and the session does.
fn note_refusal(
    refused: &mut SortedMap<u32, ErrorCode>,
    relay: u32,
    code: ErrorCode,
    out: &mut VecDeque<Output>,
) {
    refused.insert(relay, code);
    let text = format!("{code}: {}", code.sentence());
    out.push_back(Output::Log { level: "info", text });
}

/// The device's word on a buffer; what it says of a file is made to fit.
pub(super) fn fitted(player: &mut Player, changed: BufferChanged) -> BufferChanged {
    match player.file.as_mut() {
        Some(file) if changed.buffer == FILE_BUFFER => file.fitted(&changed),
        Some(_) | None => changed,
    }
}
