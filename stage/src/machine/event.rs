//! What goes in and out of the machine: events of the browser, commands for it.

use offstage_protocol::message::{CallEvent, PlayTracks};

use crate::machine::calls::CallStep;
use crate::machine::window::{Layout, Place};

/// Why the browser refused something: a DOMException's name and message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exception {
    pub name: String,
    pub message: String,
}

/// What a SourceBuffer holds, read right after an operation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BufferSnapshot {
    /// `buffered` in seconds.
    pub ranges: Vec<(f64, f64)>,
    pub timestamp_offset: f64,
    /// In the middle of a media segment.
    pub parsing: bool,
}

/// A media element read at one instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoSnapshot {
    /// Seconds.
    pub current_time: f64,
    /// Microseconds since the Unix epoch, read together with `current_time`.
    pub wall_us: u64,
    pub paused: bool,
    pub seeking: bool,
    pub ended: bool,
    pub ready_state: u16,
    pub width: u32,
    pub height: u32,
    pub presented: u64,
    pub dropped: u64,
    /// Bytes decoded, as far as the engine counts them.
    pub video_bytes: u64,
    pub audio_bytes: u64,
    /// The element's own `buffered`, in seconds.
    pub held: Vec<(f64, f64)>,
    pub duration: f64,
    /// Whether sound has been decoded.
    pub has_audio: bool,
    /// `MediaError.code` and message, when the element has failed.
    pub error: Option<(u16, String)>,
}

/// A frame that the element has handed to the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PresentedFrame {
    /// Seconds.
    pub media_time: f64,
    /// Microseconds since the Unix epoch.
    pub wall_us: u64,
    pub display_after_us: u32,
    pub count: u32,
    pub width: u32,
    pub height: u32,
    pub processing_us: u32,
}

/// Which of the element's events gave a snapshot, as far as the machine treats them differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoMoment {
    /// The machine asked by [`Command::Sample`].
    Sampled,
    /// `playing`.
    Playing,
    /// `waiting`.
    Waiting,
    /// `seeked`.
    Seeked,
    /// Any other event after which the state may differ.
    Changed,
}

/// What a probe of an initialization segment found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProbeResult {
    pub width: u32,
    pub height: u32,
    /// Seconds; infinite or NaN when the segment gives none.
    pub duration: f64,
    /// From `audioTracks`, where the engine has it.
    pub has_audio: Option<bool>,
}

/// Something that happened in the browser.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The popup has loaded and holds the player's element; the MediaSource is being attached.
    WindowReady { player: u32 },
    /// The popup was refused or went away.
    WindowGone { player: u32, detail: String },
    /// `sourceopen` for the first time: buffers can be added.
    SourceOpen { player: u32 },
    /// `addSourceBuffer` worked.
    BufferAdded { player: u32, buffer: u32 },
    /// The type is not supported or the browser takes no further buffer.
    BufferRefused { player: u32, buffer: u32, exception: Exception },
    /// The running operation of a source buffer has ended.
    BufferDone { player: u32, buffer: u32, snapshot: BufferSnapshot, outcome: Outcome },
    /// The failure of [`Command::EndOfStream`] (`end`) or [`Command::SetDuration`].
    SourceRefused { player: u32, end: bool, exception: Exception },
    /// [`Command::EndOfStream`] was carried out: what the buffers hold now, which may be more (several tracks of unequal
    /// length end together).
    SourceEnded { player: u32, buffers: Vec<(u32, BufferSnapshot)> },
    /// The element's state at an event, or because it was asked for.
    Video { player: u32, moment: VideoMoment, snapshot: VideoSnapshot },
    /// A frame was presented; after [`Command::WatchFrames`].
    Frame { player: u32, frame: PresentedFrame },
    /// The media needs keys.
    Encrypted { player: u32 },
    /// The newest `play()` was fulfilled.
    PlayStarted { player: u32 },
    /// The newest `play()` was rejected.
    PlayRefused { player: u32, exception: Exception },
    /// A layout has been on the screen for two animation frames.
    Painted { player: u32, serial: u64 },
    /// What came of a [`Command::Call`]: JSON.
    CallAnswered { call: u32, request: u32, result: Result<String, Exception> },
    /// Something of a call has changed by itself.
    CallHappened(CallEvent),
    /// A probe has ended; `None` when nothing was found.
    Probed { probe: u64, result: Option<ProbeResult> },
}

/// How an operation of a source buffer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The call threw; nothing was changed.
    Threw(Exception),
    /// The buffer's `error` event: the bytes could not be parsed or decoded.
    Failed,
}

/// The settings to write before an append. Infinite ends are `f64::INFINITY`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BufferSettings {
    pub timestamp_offset: Option<f64>,
    pub append_window_start: f64,
    pub append_window_end: f64,
    pub sequence_mode: bool,
}

/// What an element should be besides paused or playing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlaySettings {
    pub rate: f64,
    pub volume: f64,
    pub muted: bool,
    pub preserves_pitch: bool,
}

/// Something for the browser to do. Each is carried out before the next one is taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Make the player's MediaSource and ask for its popup. Answered by `WindowReady` or `WindowGone`.
    OpenWindow { player: u32, width: u32, height: u32 },
    /// Close the popup and free everything of the player. Not answered.
    CloseWindow { player: u32 },
    /// Give the element its size. Answered by `Painted`.
    Layout { player: u32, serial: u64, layout: Box<Layout> },
    /// Show the picture there in the page that the stage is part of. Not answered.
    Place { player: u32, place: Place },
    /// Show nothing of it. Not answered.
    Hide { player: u32 },
    /// Say early whether a type can play at all: `BufferRefused` if not, else nothing.
    CheckType { player: u32, buffer: u32, mime: String },
    /// `addSourceBuffer`. Answered by `BufferAdded` or `BufferRefused`.
    AddBuffer { player: u32, buffer: u32, mime: String },
    /// `removeSourceBuffer`. Not answered.
    RemoveBuffer { player: u32, buffer: u32 },
    /// `appendBuffer`, after writing the settings. Answered by `BufferDone`, as are the next three.
    Append { player: u32, buffer: u32, settings: Option<BufferSettings>, data: Vec<u8> },
    /// `remove`; the end may be infinite.
    Remove { player: u32, buffer: u32, start: f64, end: f64 },
    /// `abort`.
    Abort { player: u32, buffer: u32 },
    /// `changeType`.
    ChangeType { player: u32, buffer: u32, mime: String },
    /// `MediaSource.duration = seconds`. Answered by `SourceRefused` on failure only.
    SetDuration { player: u32, seconds: f64 },
    /// Play a file of the session's instead of the MediaSource. Not answered.
    OpenFile { player: u32, resource: u32, extension: String },
    /// `endOfStream()`. Answered by `SourceEnded` or `SourceRefused`.
    EndOfStream { player: u32 },
    /// Write the element's rate, volume and so on.
    Adjust { player: u32, settings: PlaySettings },
    /// `currentTime = to`.
    Seek { player: u32, to: f64 },
    /// `play()`. Answered by `PlayStarted` or `PlayRefused`.
    Play { player: u32 },
    /// `pause()`.
    Pause { player: u32 },
    /// Tell of each frame, or of none any more. Answered by `Frame`.
    WatchFrames { player: u32, on: bool },
    /// Read the element. Answered by `Video`.
    Sample { player: u32 },
    /// Feed an initialization segment to a lone element. Answered by `Probed`.
    Probe { probe: u64, mime: String, bytes: Vec<u8> },
    /// Free a probe that took too long. Not answered.
    DropProbe { probe: u64 },
    /// A document calls; said again when more is permitted to it. Not answered.
    OpenCall { call: u32, salt: String, permitted: bool },
    /// End its connections, release its devices. Not answered.
    EndCall { call: u32 },
    /// Carry out what a page asks for. Answered by `CallAnswered`.
    Call(CallStep),
    /// Play tracks of a call instead of the MediaSource. Not answered.
    PlayTracks(PlayTracks),
    /// A line for the engine's console.
    Log { text: String },
}

/// What the machine gives out, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// One binary WebSocket message: an encoded `FromStage`.
    Send(Vec<u8>),
    Do(Command),
}
