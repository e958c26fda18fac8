//! Every message that crosses a link, as protobuf with numbered optional fields.
//!
//! A field number is never reused. An end that doesn't know a field ignores it; an end that misses a
//! field takes the default (zero, empty, absent). Message variants are verbs toward the device and
//! past tense back. Times of media are microseconds, `wall_us` are microseconds since the Unix epoch on
//! the clock of the machine that sends.
//!
//! Which message may travel on which stream is written in `PROTOCOL.md` and enforced by the receivers.

mod bridge;
mod calls;
mod geometry;

use prost::{Message, Oneof};

pub use self::bridge::*;
pub use self::calls::*;
pub use self::geometry::*;

// ---------------------------------------------------------------------------------------------
// Stream 0: control of the connection itself.

/// Control of the connection, on stream [`crate::frame::CONTROL_STREAM`].
#[derive(Clone, PartialEq, Message)]
pub struct Control {
    #[prost(oneof = "ControlKind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<ControlKind>,
}

/// What a [`Control`] message says.
#[derive(Clone, PartialEq, Oneof)]
pub enum ControlKind {
    #[prost(message, tag = "1")]
    Hello(Hello),
    #[prost(message, tag = "2")]
    Ping(Ping),
    #[prost(message, tag = "3")]
    Pong(Pong),
    #[prost(message, tag = "4")]
    Credit(Credit),
    #[prost(message, tag = "5")]
    Close(Close),
    #[prost(message, tag = "6")]
    StreamClosed(StreamClosed),
}

/// The first message of each end. Nothing else is accepted before it.
#[derive(Clone, PartialEq, Message)]
pub struct Hello {
    /// `extension`, `client`, `bridge`, `stage`.
    #[prost(string, tag = "1")]
    pub component: String,
    /// The component's own version, `MAJOR.MINOR.PATCH`.
    #[prost(string, tag = "2")]
    pub version: String,
    /// Lowest protocol version that this end speaks.
    #[prost(uint32, tag = "3")]
    pub protocol_min: u32,
    /// Highest protocol version that this end speaks.
    #[prost(uint32, tag = "4")]
    pub protocol_max: u32,
    /// Names of optional abilities; unknown ones are ignored.
    #[prost(string, repeated, tag = "5")]
    pub features: Vec<String>,
    /// One id for the connection in the logs of all parts, chosen by the session's end.
    #[prost(uint64, tag = "6")]
    pub connection_id: u64,
    /// Counts the (re)openings of the channel, chosen by the session's end.
    #[prost(uint64, tag = "7")]
    pub epoch: u64,
}

/// Asks for a [`Pong`]; sent every 2 s.
#[derive(Clone, PartialEq, Message)]
pub struct Ping {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(uint64, tag = "2")]
    pub wall_us: u64,
}

/// Answers a [`Ping`]. The two wall clocks give the offset between the machines.
#[derive(Clone, PartialEq, Message)]
pub struct Pong {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The ping's own `wall_us`.
    #[prost(uint64, tag = "2")]
    pub ping_wall_us: u64,
    /// When the answer was made, on the answering machine's clock.
    #[prost(uint64, tag = "3")]
    pub wall_us: u64,
}

/// Grants the right to send bulk payload. Totals since the connection began, so a repeat is harmless.
#[derive(Clone, PartialEq, Message)]
pub struct Credit {
    /// A stream's id, or 0 for the connection.
    #[prost(uint32, tag = "1")]
    pub stream: u32,
    /// Payload bytes that may have been sent in all.
    #[prost(uint64, tag = "2")]
    pub total_bytes: u64,
}

/// The last message: why the sender goes away.
#[derive(Clone, PartialEq, Message)]
pub struct Close {
    /// A number of the error table, `OFS-<code>`.
    #[prost(uint32, tag = "1")]
    pub code: u32,
    #[prost(string, tag = "2")]
    pub detail: String,
}

/// The sender sends nothing more on a source buffer's stream and takes nothing more from it. A message
/// that it had begun there is dropped; the stream's number is not used again on this connection.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct StreamClosed {
    #[prost(uint32, tag = "1")]
    pub stream: u32,
}

// ---------------------------------------------------------------------------------------------
// Streams 2 and up: the session to the device.

/// What the session asks of the device.
#[derive(Clone, PartialEq, Message)]
pub struct ToDevice {
    #[prost(
        oneof = "ToDeviceKind",
        tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 21"
    )]
    pub kind: Option<ToDeviceKind>,
}

/// What a [`ToDevice`] message says.
#[derive(Clone, PartialEq, Oneof)]
pub enum ToDeviceKind {
    #[prost(message, tag = "1")]
    OpenPlayer(OpenPlayer),
    #[prost(message, tag = "2")]
    ClosePlayer(ClosePlayer),
    #[prost(message, tag = "3")]
    AddSourceBuffer(AddSourceBuffer),
    #[prost(message, tag = "4")]
    RemoveSourceBuffer(RemoveSourceBuffer),
    #[prost(message, tag = "5")]
    Append(Append),
    #[prost(message, tag = "6")]
    Remove(Remove),
    #[prost(message, tag = "7")]
    Abort(Abort),
    #[prost(message, tag = "8")]
    ChangeType(ChangeType),
    #[prost(message, tag = "9")]
    SetDuration(SetDuration),
    #[prost(message, tag = "10")]
    EndOfStream(EndOfStream),
    #[prost(message, tag = "11")]
    SetPlayback(SetPlayback),
    #[prost(message, tag = "12")]
    SetGeometry(Box<SetGeometry>),
    #[prost(message, tag = "13")]
    OpenFile(OpenFile),
    #[prost(message, tag = "14")]
    FetchedRange(FetchedRange),
    #[prost(message, tag = "15")]
    WatchFrames(WatchFrames),
    /// How the device logs for this session from now on.
    #[prost(message, tag = "17")]
    LogControl(LogControl),
    #[prost(message, tag = "18")]
    OpenCall(OpenCall),
    #[prost(message, tag = "19")]
    CloseCall(CloseCall),
    #[prost(message, tag = "20")]
    CallRequest(CallRequest),
    #[prost(message, tag = "21")]
    PlayTracks(PlayTracks),
}

/// Makes a player: one media element with one MediaSource. Ids are chosen by the session.
#[derive(Clone, PartialEq, Message)]
pub struct OpenPlayer {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    /// Of the document that plays, as `https://example.org`, by the browser's word; for what the device allows.
    #[prost(string, tag = "2")]
    pub origin: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ClosePlayer {
    #[prost(uint32, tag = "1")]
    pub player: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct AddSourceBuffer {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    #[prost(uint32, tag = "2")]
    pub buffer: u32,
    /// The MIME type with codecs, as the page gave it.
    #[prost(string, tag = "3")]
    pub mime: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct RemoveSourceBuffer {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    #[prost(uint32, tag = "2")]
    pub buffer: u32,
}

/// A piece of one `appendBuffer`. Pieces of one operation come in order; the device answers after the
/// last one with [`BufferChanged`].
#[derive(Clone, PartialEq, Message)]
pub struct Append {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    #[prost(uint32, tag = "2")]
    pub buffer: u32,
    /// Counts the operations of one source buffer.
    #[prost(uint32, tag = "3")]
    pub op: u32,
    /// True on the operation's last piece.
    #[prost(bool, tag = "4")]
    pub last: bool,
    /// Set on the operation's first piece, absent on the others.
    #[prost(message, optional, tag = "5")]
    pub settings: Option<AppendSettings>,
    #[prost(bytes = "vec", tag = "6")]
    pub data: Vec<u8>,
}

/// The SourceBuffer's attributes as they were when the page called `appendBuffer`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct AppendSettings {
    /// Seconds. Set only if the page wrote it since the last append (in `sequence` mode the device moves it).
    #[prost(double, optional, tag = "1")]
    pub timestamp_offset: Option<f64>,
    /// Seconds.
    #[prost(double, tag = "2")]
    pub append_window_start: f64,
    /// Seconds; absent means positive infinity.
    #[prost(double, optional, tag = "3")]
    pub append_window_end: Option<f64>,
    /// True for the mode `sequence`, false for `segments`.
    #[prost(bool, tag = "4")]
    pub sequence_mode: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct Remove {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    #[prost(uint32, tag = "2")]
    pub buffer: u32,
    #[prost(uint32, tag = "3")]
    pub op: u32,
    /// Seconds.
    #[prost(double, tag = "4")]
    pub start: f64,
    /// Seconds; absent means positive infinity.
    #[prost(double, optional, tag = "5")]
    pub end: Option<f64>,
}

/// Resets the segment parser, after what was appended before.
#[derive(Clone, PartialEq, Message)]
pub struct Abort {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    #[prost(uint32, tag = "2")]
    pub buffer: u32,
    #[prost(uint32, tag = "3")]
    pub op: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct ChangeType {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    #[prost(uint32, tag = "2")]
    pub buffer: u32,
    #[prost(uint32, tag = "3")]
    pub op: u32,
    #[prost(string, tag = "4")]
    pub mime: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct SetDuration {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    /// Seconds; absent means positive infinity.
    #[prost(double, optional, tag = "2")]
    pub seconds: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct EndOfStream {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    /// False takes an earlier end back (an append, remove or duration change after `endOfStream`).
    #[prost(bool, tag = "2")]
    pub ended: bool,
}

/// The whole wish for how the player plays; the newest one counts.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct SetPlayback {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    /// Counts up; comes back in [`PlayerState::seq`].
    #[prost(uint32, tag = "2")]
    pub seq: u32,
    #[prost(bool, tag = "3")]
    pub paused: bool,
    #[prost(double, tag = "4")]
    pub rate: f64,
    /// 0 to 1.
    #[prost(double, tag = "5")]
    pub volume: f64,
    #[prost(bool, tag = "6")]
    pub muted: bool,
    #[prost(bool, tag = "7")]
    pub preserves_pitch: bool,
    /// Counts the page's seeks; when it is larger than the last one seen, `seek_to` is gone to.
    #[prost(uint32, tag = "8")]
    pub seek_id: u32,
    /// Seconds.
    #[prost(double, tag = "9")]
    pub seek_to: f64,
}

/// Whether the session wants [`FramePresented`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct WatchFrames {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    #[prost(bool, tag = "2")]
    pub on: bool,
}

/// The player plays a file (or a playlist) instead of what source buffers hold. The device asks for its bytes with
/// [`FetchRange`] and tells what it holds with [`BufferChanged`] of buffer 1 and operation 0. Feature `files`.
#[derive(Clone, PartialEq, Message)]
pub struct OpenFile {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    /// Number of the resource to begin with.
    #[prost(uint32, tag = "2")]
    pub resource: u32,
    /// The end of its name after the dot, as far as it has one: engines go by it.
    #[prost(string, tag = "3")]
    pub extension: String,
}

/// Answers [`FetchRange`].
#[derive(Clone, PartialEq, Message)]
pub struct FetchedRange {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    #[prost(uint32, tag = "2")]
    pub request: u32,
    /// 200 for bytes, 307 for a `location`, else the HTTP status that the media element is to be given.
    #[prost(uint32, tag = "3")]
    pub status: u32,
    /// Bytes of the whole resource; absent while its end is not known.
    #[prost(uint64, optional, tag = "4")]
    pub total: Option<u64>,
    #[prost(string, tag = "5")]
    pub mime: String,
    /// From the asked start on; fewer than asked for only at the resource's end.
    #[prost(bytes = "vec", tag = "6")]
    pub data: Vec<u8>,
    /// The device may fetch the resource by itself: this address, if its own policy allows that. Only to a device that knows the
    /// feature `fetch`.
    #[prost(string, tag = "7")]
    pub location: String,
    /// The Referer of such requests; nothing sends none.
    #[prost(string, tag = "8")]
    pub referer: String,
}

// ---------------------------------------------------------------------------------------------
// Streams 2 and up: the device to the session.

/// What the device reports to the session.
#[derive(Clone, PartialEq, Message)]
pub struct FromDevice {
    #[prost(oneof = "FromDeviceKind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11")]
    pub kind: Option<FromDeviceKind>,
}

/// What a [`FromDevice`] message says.
#[derive(Clone, PartialEq, Oneof)]
pub enum FromDeviceKind {
    #[prost(message, tag = "1")]
    DeviceChanged(DeviceChanged),
    #[prost(message, tag = "2")]
    PlayerFailed(PlayerFailed),
    #[prost(message, tag = "3")]
    BufferChanged(BufferChanged),
    #[prost(message, tag = "4")]
    PlayerState(PlayerState),
    #[prost(message, tag = "5")]
    FetchRange(FetchRange),
    #[prost(message, tag = "6")]
    FetchCancelled(FetchCancelled),
    #[prost(message, tag = "7")]
    FramePresented(FramePresented),
    #[prost(message, tag = "8")]
    LogChunk(LogChunk),
    #[prost(message, tag = "9")]
    CallAnswer(CallAnswer),
    #[prost(message, tag = "10")]
    CallEvent(CallEvent),
    #[prost(message, tag = "11")]
    CallFailed(CallFailed),
}

/// Whether the device can play at all. Players of a device that is no longer ready are gone.
#[derive(Clone, PartialEq, Message)]
pub struct DeviceChanged {
    #[prost(bool, tag = "1")]
    pub ready: bool,
    /// Why it isn't ready: a number of the error table, 0 while it starts.
    #[prost(uint32, tag = "2")]
    pub code: u32,
    #[prost(string, tag = "3")]
    pub detail: String,
    /// The engine's name and version, for people.
    #[prost(string, tag = "4")]
    pub engine: String,
}

/// The player can't go on here; it has been closed on the device.
#[derive(Clone, PartialEq, Message)]
pub struct PlayerFailed {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    #[prost(uint32, tag = "2")]
    pub code: u32,
    #[prost(string, tag = "3")]
    pub detail: String,
}

/// Answers Append (after its last piece), Remove, Abort and ChangeType. With `op` 0 it is no answer: EndOfStream has changed
/// what the buffer holds, or the file has loaded on.
#[derive(Clone, PartialEq, Message)]
pub struct BufferChanged {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    #[prost(uint32, tag = "2")]
    pub buffer: u32,
    #[prost(uint32, tag = "3")]
    pub op: u32,
    /// 0, or a number of the error table.
    #[prost(uint32, tag = "4")]
    pub code: u32,
    /// What `SourceBuffer.buffered` holds now: start, end, start, end, … in microseconds.
    #[prost(uint64, repeated, tag = "5")]
    pub ranges_us: Vec<u64>,
    /// Seconds, after the operation.
    #[prost(double, tag = "6")]
    pub timestamp_offset: f64,
    /// Set when the operation contained an initialization segment: what a lone element made of it.
    #[prost(message, optional, tag = "7")]
    pub tracks: Option<Tracks>,
    /// The name of the DOMException that the operation gave, e.g. `QuotaExceededError`.
    #[prost(string, tag = "8")]
    pub exception: String,
    /// The buffer is in the middle of a media segment: `mode` and `timestampOffset` can't be written.
    #[prost(bool, tag = "9")]
    pub parsing: bool,
}

/// What an initialization segment promises.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Tracks {
    /// Natural size; 0 × 0 without a video track.
    #[prost(uint32, tag = "1")]
    pub width: u32,
    #[prost(uint32, tag = "2")]
    pub height: u32,
    #[prost(bool, tag = "3")]
    pub has_audio: bool,
    /// Microseconds; absent if the segment gives none.
    #[prost(uint64, optional, tag = "4")]
    pub duration_us: Option<u64>,
}

/// The player as it is on the device; sent on every change and at least every 250 ms while it plays.
#[derive(Clone, PartialEq, Message)]
pub struct PlayerState {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    /// The newest [`SetPlayback::seq`] that has been carried out.
    #[prost(uint32, tag = "2")]
    pub seq: u32,
    /// Position at `wall_us`.
    #[prost(sint64, tag = "3")]
    pub media_time_us: i64,
    #[prost(uint64, tag = "4")]
    pub wall_us: u64,
    /// True while the position really advances (not paused, seeking, stalled or ended).
    #[prost(bool, tag = "5")]
    pub advancing: bool,
    #[prost(bool, tag = "6")]
    pub seeking: bool,
    #[prost(bool, tag = "7")]
    pub ended: bool,
    /// HTMLMediaElement.readyState.
    #[prost(uint32, tag = "8")]
    pub ready_state: u32,
    #[prost(uint32, tag = "9")]
    pub width: u32,
    #[prost(uint32, tag = "10")]
    pub height: u32,
    #[prost(uint64, tag = "11")]
    pub frames_presented: u64,
    #[prost(uint64, tag = "12")]
    pub frames_dropped: u64,
    /// The newest [`SetPlayback::seek_id`] whose seek has ended.
    #[prost(uint32, tag = "13")]
    pub seek_id: u32,
    /// Bytes that have been decoded, as far as the engine counts them.
    #[prost(uint64, tag = "14")]
    pub video_bytes: u64,
    #[prost(uint64, tag = "15")]
    pub audio_bytes: u64,
}

/// A frame has been handed to the screen; sent for each one, as far as the engine gives notice of it, after [`WatchFrames`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct FramePresented {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    /// As in [`PlayerState::seek_id`], for the frame.
    #[prost(uint32, tag = "2")]
    pub seek_id: u32,
    /// The frame's own time.
    #[prost(sint64, tag = "3")]
    pub media_time_us: i64,
    /// When it was handed over.
    #[prost(uint64, tag = "4")]
    pub wall_us: u64,
    /// How long after that it is expected to be seen.
    #[prost(uint32, tag = "5")]
    pub display_after_us: u32,
    /// Counts the player's frames.
    #[prost(uint32, tag = "6")]
    pub count: u32,
    #[prost(uint32, tag = "7")]
    pub width: u32,
    #[prost(uint32, tag = "8")]
    pub height: u32,
    /// How long decoding took.
    #[prost(uint32, tag = "9")]
    pub processing_us: u32,
}

/// Asks for bytes of a file that the session has offered; at most 512 KiB, at most 4 of one player at a time.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct FetchRange {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    /// Chosen by the device, not used twice while it is open.
    #[prost(uint32, tag = "2")]
    pub request: u32,
    /// [`OpenFile::resource`], or a number that a playlist of the session names.
    #[prost(uint32, tag = "3")]
    pub resource: u32,
    #[prost(uint64, tag = "4")]
    pub start: u64,
    /// The byte after the last one.
    #[prost(uint64, tag = "5")]
    pub end: u64,
    /// Why the device does not fetch the player's resources by itself, as `OFS-` codes have it; 0 before it was offered. The session
    /// is to fetch this one, and to offer none any more.
    #[prost(uint32, tag = "6")]
    pub refused: u32,
}

/// The answer to a [`FetchRange`] is not wanted any more; it may come all the same.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct FetchCancelled {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    #[prost(uint32, tag = "2")]
    pub request: u32,
}

// ---------------------------------------------------------------------------------------------
// Between the client and its own stage, on the loopback WebSocket; never crosses the channel.

/// From the client to the stage.
#[derive(Clone, PartialEq, Message)]
pub struct ToStage {
    #[prost(oneof = "ToStageKind", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub kind: Option<ToStageKind>,
}

/// What a [`ToStage`] message says.
#[derive(Clone, PartialEq, Oneof)]
pub enum ToStageKind {
    /// The session's message, its player id already made unique on this device.
    #[prost(message, tag = "1")]
    Device(ToDevice),
    /// The size at which the player's picture is laid out.
    #[prost(message, tag = "2")]
    Layout(Layout),
    /// The session of these players is gone: close them.
    #[prost(message, tag = "3")]
    CloseAll(CloseAll),
    #[prost(message, tag = "4")]
    Call(StageCall),
    /// The session of this call is gone, or the device doesn't allow it any more.
    #[prost(message, tag = "5")]
    EndCall(CloseCall),
    /// Where the picture is, for a stage that is part of a web client's page; again at least every second while it is shown.
    #[prost(message, tag = "6")]
    PlacePicture(PlacePicture),
    /// Nothing of the picture is seen.
    #[prost(message, tag = "7")]
    HidePicture(HidePicture),
}

/// A picture's place on the session's screen, in its pixels.
#[derive(Clone, PartialEq, Message)]
pub struct PlacePicture {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    #[prost(message, optional, tag = "2")]
    pub rect: Option<Rect>,
    /// The parts that are seen, relative to the upper left corner of `rect`; never empty.
    #[prost(message, repeated, tag = "3")]
    pub visible: Vec<Rect>,
    /// Only what lies inside of all of them is seen; relative to the same corner, at most three.
    #[prost(message, repeated, tag = "4")]
    pub clips: Vec<Clip>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct HidePicture {
    #[prost(uint32, tag = "1")]
    pub player: u32,
}

/// How large the picture is inside its window; the window itself is the client's matter.
#[derive(Clone, PartialEq, Message)]
pub struct Layout {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    #[prost(uint32, tag = "2")]
    pub width: u32,
    #[prost(uint32, tag = "3")]
    pub height: u32,
    #[prost(string, tag = "4")]
    pub object_fit: String,
    #[prost(string, tag = "5")]
    pub object_position: String,
    #[prost(string, tag = "6")]
    pub label: String,
    #[prost(bool, tag = "7")]
    pub outline: bool,
    /// As in [`SetGeometry::turn`], in the device's pixels and relative to the picture's upright box.
    #[prost(message, optional, tag = "8")]
    pub turn: Option<Turn>,
    /// As in [`SetGeometry::blend`].
    #[prost(message, optional, tag = "9")]
    pub blend: Option<Blend>,
    /// As in [`SetGeometry::filter`].
    #[prost(string, tag = "10")]
    pub filter: String,
    /// As in [`SetGeometry::veils`].
    #[prost(message, repeated, tag = "11")]
    pub veils: Vec<Veil>,
}

#[derive(Clone, PartialEq, Message)]
pub struct CloseAll {
    #[prost(uint32, repeated, tag = "1")]
    pub players: Vec<u32>,
}

/// From the stage to the client.
#[derive(Clone, PartialEq, Message)]
pub struct FromStage {
    #[prost(oneof = "FromStageKind", tags = "1, 2, 3, 4")]
    pub kind: Option<FromStageKind>,
}

/// What a [`FromStage`] message says.
#[derive(Clone, PartialEq, Oneof)]
pub enum FromStageKind {
    /// First message on the socket.
    #[prost(message, tag = "1")]
    Hello(Hello),
    /// To be passed on to the session.
    #[prost(message, tag = "2")]
    Device(FromDevice),
    /// A popup has been asked for; the next window that the engine makes is this player's.
    #[prost(message, tag = "3")]
    WindowAsked(WindowAsked),
    /// The layout has reached the screen (two animation frames after it was set).
    #[prost(message, tag = "4")]
    LaidOut(Layout),
}

#[derive(Clone, PartialEq, Message)]
pub struct WindowAsked {
    #[prost(uint32, tag = "1")]
    pub player: u32,
}
