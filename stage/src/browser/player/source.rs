//! A live SourceBuffer.

use core::cell::Cell;
use std::rc::Rc;

use gloo::events::EventListener;
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use web_sys::{MediaSource, MediaSourceReadyState, SourceBuffer, SourceBufferAppendMode};

use crate::browser::{happened, js};
use crate::machine::event::{BufferSettings, BufferSnapshot, Command, Event, Outcome};

/// A SourceBuffer whose operations tell the machine when they have ended.
pub(super) struct LiveBuffer {
    player: u32,
    buffer: u32,
    inner: SourceBuffer,
    _listeners: [EventListener; 2],
}

impl LiveBuffer {
    pub(super) fn add(source: &MediaSource, player: u32, buffer: u32, mime: &str) -> Result<Self, JsValue> {
        let inner = source.add_source_buffer(mime)?;
        // `error` comes before the `updateend` of the same operation.
        let failed = Rc::new(Cell::new(false));
        let on_error = EventListener::new(&inner, "error", {
            let failed = Rc::clone(&failed);
            move |_| failed.set(true)
        });
        let on_end = EventListener::new(&inner, "updateend", {
            let (inner, source) = (inner.clone(), source.clone());
            move |_| {
                let outcome = if failed.replace(false) { Outcome::Failed } else { Outcome::Done };
                let snapshot = BufferSnapshot { parsing: is_parsing(&inner, &source), ..read(&inner) };
                happened(Event::BufferDone { player, buffer, snapshot, outcome });
            }
        });
        Ok(Self { player, buffer, inner, _listeners: [on_error, on_end] })
    }

    pub(super) fn snapshot(&self) -> BufferSnapshot {
        read(&self.inner)
    }

    pub(super) fn remove_from(self, source: &MediaSource) {
        if let Err(thrown) = source.remove_source_buffer(&self.inner) {
            js::log(&js::exception(&thrown).message);
        }
    }

    pub(super) fn run(&self, command: Command) {
        let result = match command {
            Command::Append { settings, data, .. } => self.append(settings, data).map(|()| false),
            Command::Remove { start, end, .. } => self.inner.remove(start, end).map(|()| false),
            Command::Abort { .. } => self.inner.abort().map(|()| true),
            Command::ChangeType { mime, .. } => self.inner.change_type(&mime).map(|()| true),
            Command::OpenWindow { .. }
            | Command::CloseWindow { .. }
            | Command::Layout { .. }
            | Command::Place { .. }
            | Command::Hide { .. }
            | Command::CheckType { .. }
            | Command::AddBuffer { .. }
            | Command::RemoveBuffer { .. }
            | Command::SetDuration { .. }
            | Command::OpenFile { .. }
            | Command::EndOfStream { .. }
            | Command::Adjust { .. }
            | Command::Seek { .. }
            | Command::Play { .. }
            | Command::Pause { .. }
            | Command::WatchFrames { .. }
            | Command::Sample { .. }
            | Command::OpenCall { .. }
            | Command::EndCall { .. }
            | Command::Call(_)
            | Command::PlayTracks(_)
            | Command::Probe { .. }
            | Command::DropProbe { .. }
            | Command::Log { .. } => return,
        };
        let outcome = match result {
            // `updateend` will tell.
            Ok(false) => return,
            Ok(true) => Outcome::Done,
            Err(thrown) => Outcome::Threw(js::exception(&thrown)),
        };
        happened(Event::BufferDone {
            player: self.player,
            buffer: self.buffer,
            snapshot: read(&self.inner),
            outcome,
        });
    }

    fn append(&self, settings: Option<BufferSettings>, data: Vec<u8>) -> Result<(), JsValue> {
        if let Some(settings) = settings {
            self.configure(settings)?;
        }
        // Copied once: the engine keeps its own bytes, and wasm memory may move.
        self.inner.append_buffer_with_array_buffer_view(&Uint8Array::from(data.as_slice()))
    }

    /// Writes only what differs, since some writes have effects of their own (`mode` restarts a sequence).
    fn configure(&self, settings: BufferSettings) -> Result<(), JsValue> {
        let mode = if settings.sequence_mode { "sequence" } else { "segments" };
        let read = |name: &str| js_sys::Reflect::get(&self.inner, &JsValue::from_str(name));
        if read("mode")?.as_string().as_deref() != Some(mode)
            && let Err(thrown) = js::write(&self.inner, "mode", mode)
        {
            // Bytes without timestamps (MP3, ADTS) know the mode `sequence` only, whatever the stand-in's buffer says.
            if js::exception(&thrown).name != "TypeError" {
                return Err(thrown);
            }
        }
        // In the middle of a media segment it can't be written. In a sequence, writing begins a new group.
        if let Some(offset) = settings.timestamp_offset
            && (settings.sequence_mode || read("timestampOffset")?.as_f64() != Some(offset))
        {
            js::write(&self.inner, "timestampOffset", offset)?;
        }
        let start = read("appendWindowStart")?.as_f64() != Some(settings.append_window_start);
        let end = read("appendWindowEnd")?.as_f64() != Some(settings.append_window_end);
        if start || end {
            // The start must stay below the end at every moment.
            js::write(&self.inner, "appendWindowStart", 0.0)?;
            js::write(&self.inner, "appendWindowEnd", settings.append_window_end)?;
            js::write(&self.inner, "appendWindowStart", settings.append_window_start)?;
        }
        Ok(())
    }
}

/// What the buffer holds now; nothing once it has been removed.
fn read(inner: &SourceBuffer) -> BufferSnapshot {
    let ranges = inner.buffered().map_or_else(
        |_| Vec::new(),
        |ranges| {
            (0..ranges.length())
                .filter_map(|index| Some((ranges.start(index).ok()?, ranges.end(index).ok()?)))
                .collect()
        },
    );
    BufferSnapshot { ranges, timestamp_offset: inner.timestamp_offset(), parsing: false }
}

/// Whether the buffer is in the middle of a media segment, which only a write that changes nothing tells. In the mode `sequence` there is
/// none; a source that has ended would be opened by it.
fn is_parsing(inner: &SourceBuffer, source: &MediaSource) -> bool {
    inner.mode() == SourceBufferAppendMode::Segments
        && source.ready_state() == MediaSourceReadyState::Open
        && js::write(inner, "mode", "segments").is_err()
}
