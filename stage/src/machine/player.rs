//! One player: a popup with an element, a MediaSource, its buffers and the order among their operations.

use std::collections::VecDeque;

use offstage_protocol::message::{BufferChanged, PlayTracks, Tracks};
use offstage_protocol::{ErrorCode, Monotonic};

use crate::machine::buffer::{Buffer, Step, micros, ranges_us};
use crate::machine::event::{Command, VideoSnapshot};
use crate::machine::limits::REPORT_INTERVAL;
use crate::machine::playback::{Action, Playback};
use crate::machine::window::Layouts;
use crate::table::Table;

/// An operation of the MediaSource itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SourceOp {
    SetDuration(f64),
    EndOfStream(bool),
}

/// What a player plays in place of source buffers.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) resource: u32,
    pub(crate) extension: String,
    opened: bool,
    told: Option<BufferChanged>,
    /// When the element is to be read again: an element's last `progress` may come before its last bytes count.
    look_at: Option<Monotonic>,
}

impl File {
    pub(crate) fn new(resource: u32, extension: String) -> Self {
        Self { resource, extension, opened: false, told: None, look_at: None }
    }

    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        self.look_at
    }

    /// Whether a reading is due; asking counts as reading.
    pub(crate) fn take_look_due(&mut self, now: Monotonic) -> bool {
        let due = self.look_at.is_some_and(|at| at <= now);
        if due {
            self.look_at = Some(now.after(REPORT_INTERVAL));
        }
        due
    }

    /// What is loaded of the file, if that is news.
    pub(crate) fn changed(
        &mut self,
        now: Monotonic,
        player: u32,
        seen: &VideoSnapshot,
    ) -> Option<BufferChanged> {
        let whole = matches!(seen.held.as_slice(), [(start, end)] if *start <= 0.0 && *end >= seen.duration);
        self.look_at = (self.opened && !whole).then(|| now.after(REPORT_INTERVAL));
        if !self.opened || seen.ready_state == 0 {
            return None;
        }
        let known = self.told.as_ref().and_then(|told| told.tracks);
        let tracks = Tracks {
            width: seen.width,
            height: seen.height,
            // It is known from the first sound on.
            has_audio: seen.has_audio || known.is_some_and(|tracks| tracks.has_audio),
            duration_us: seen.duration.is_finite().then(|| micros(seen.duration)),
        };
        let ranges_us = ranges_us(&seen.held);
        let changed =
            BufferChanged { player, buffer: 1, ranges_us, tracks: Some(tracks), ..BufferChanged::default() };
        let news = self.told.as_ref() != Some(&changed);
        self.told = Some(changed.clone());
        news.then_some(changed)
    }
}

/// How far the player's popup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Another player's popup is being opened.
    Waiting,
    /// The popup has been asked for.
    Opening { until: Monotonic },
    /// The element is there and its MediaSource is being attached.
    Attaching,
    /// The MediaSource takes buffers.
    Open,
}

/// Everything of one player.
#[derive(Debug)]
pub(crate) struct Player {
    id: u32,
    pub(crate) phase: Phase,
    pub(crate) buffers: Table<u32, Buffer>,
    pub(crate) source_ops: VecDeque<(u64, SourceOp)>,
    pub(crate) playback: Playback,
    pub(crate) layouts: Layouts,
    /// Until when the place counts that was said last; none while the picture is hidden.
    pub(crate) placed_until: Option<Monotonic>,
    pub(crate) file: Option<File>,
    /// Tracks of a call that the element has yet to be given.
    pub(crate) tracks: Option<PlayTracks>,
    serial: u64,
    /// The stream's end has been set and nothing was appended since.
    ended: bool,
}

/// What a step of a player gave.
#[derive(Debug)]
pub(crate) enum PlayerStep {
    Run(Command),
    Answer(BufferChanged),
    Idle,
}

impl Player {
    pub(crate) fn new(id: u32) -> Self {
        Self {
            id,
            phase: Phase::Waiting,
            buffers: Table::default(),
            source_ops: VecDeque::new(),
            playback: Playback::default(),
            layouts: Layouts::default(),
            placed_until: None,
            file: None,
            tracks: None,
            serial: 0,
            ended: false,
        }
    }

    /// The number of the next thing that arrives for this player.
    pub(crate) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.buffers.values().map(Buffer::waiting_bytes).sum()
    }

    /// `addSourceBuffer` for the buffers that wait for it.
    pub(crate) fn buffers_to_add(&self) -> Vec<Command> {
        if self.phase != Phase::Open {
            return Vec::new();
        }
        self.buffers
            .iter()
            .filter(|(_, buffer)| !buffer.added)
            .map(|(id, buffer)| Command::AddBuffer {
                player: self.id,
                buffer: id,
                mime: buffer.mime().to_owned(),
            })
            .collect()
    }

    /// The next thing that can be done with the MediaSource and its buffers.
    pub(crate) fn step(&mut self) -> PlayerStep {
        if self.phase != Phase::Open {
            return PlayerStep::Idle;
        }
        if let Some(command) = self.step_source() {
            return PlayerStep::Run(command);
        }
        let barrier = self.source_ops.front().map_or(u64::MAX, |(serial, _)| *serial);
        for buffer in self.buffers.values_mut() {
            loop {
                match buffer.step(barrier) {
                    Step::Run(command) => {
                        if matches!(command, Command::Append { .. } | Command::Remove { .. }) {
                            self.ended = false;
                        }
                        return PlayerStep::Run(command);
                    }
                    Step::Answer(answer) => return PlayerStep::Answer(answer),
                    Step::Again => {}
                    Step::Idle => break,
                }
            }
        }
        PlayerStep::Idle
    }

    /// An operation of the MediaSource waits for what arrived before it, and no buffer may be at work.
    fn step_source(&mut self) -> Option<Command> {
        loop {
            let (serial, op) = *self.source_ops.front()?;
            let busy =
                |buffer: &Buffer| buffer.running() || buffer.oldest().is_some_and(|oldest| oldest < serial);
            if self.buffers.values().any(busy) {
                return None;
            }
            self.source_ops.pop_front();
            match op {
                SourceOp::SetDuration(seconds) => {
                    return Some(Command::SetDuration { player: self.id, seconds });
                }
                SourceOp::EndOfStream(true) => {
                    if !core::mem::replace(&mut self.ended, true) {
                        return Some(Command::EndOfStream { player: self.id });
                    }
                }
                SourceOp::EndOfStream(false) => {
                    if let Some(buffer) = self.buffers.values_mut().find(|buffer| buffer.added)
                        && self.ended
                    {
                        buffer.reopen(serial);
                    }
                }
            }
        }
    }

    /// The browser did not take the end of the stream.
    pub(crate) fn end_refused(&mut self) {
        self.ended = false;
    }

    pub(crate) fn has_element(&self) -> bool {
        matches!(self.phase, Phase::Attaching | Phase::Open)
    }

    /// Gives the element its file as soon as it exists.
    fn open_file(&mut self) -> Option<Command> {
        let there = self.has_element();
        let file = self.file.as_mut().filter(|file| there && !file.opened)?;
        file.opened = true;
        let (player, resource, extension) = (self.id, file.resource, file.extension.clone());
        Some(Command::OpenFile { player, resource, extension })
    }

    fn take_tracks(&mut self) -> Option<Command> {
        let there = self.has_element();
        self.tracks.take_if(|_| there).map(Command::PlayTracks)
    }

    /// What the wish for playback asks of the element now.
    pub(crate) fn play_commands(&mut self, now: Monotonic) -> Vec<Command> {
        let player = self.id;
        let open = self.open_file().or_else(|| self.take_tracks());
        let command = |action| match action {
            Action::Adjust(settings) => Command::Adjust { player, settings },
            Action::Seek(to) => Command::Seek { player, to },
            Action::Play => Command::Play { player },
            Action::Pause => Command::Pause { player },
            Action::Read => Command::Sample { player },
        };
        open.into_iter().chain(self.playback.actions(now).into_iter().map(command)).collect()
    }

    /// The answers that a player's end owes.
    pub(crate) fn abandon(&mut self, code: ErrorCode) -> Vec<BufferChanged> {
        self.buffers.values_mut().flat_map(|buffer| buffer.abandon(code)).collect()
    }
}

/// Why the element failed, as a number of the error table.
pub(crate) fn media_error(snapshot: &VideoSnapshot) -> Option<(ErrorCode, String)> {
    /// MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED.
    const NOT_SUPPORTED: u16 = 4;
    let (number, message) = snapshot.error.as_ref()?;
    let code = if *number == NOT_SUPPORTED { ErrorCode::UNSUPPORTED_TYPE } else { ErrorCode::DECODE_ERROR };
    Some((code, message.clone()))
}
