//! What the hook in the page and the relay beside it say to the worker, and the other way round.
//!
//! The shapes are those of the messages on the ports: one object with one key, the variant's name. Everything that
//! comes from a page is hostile: numbers may be anything, ids may be made up.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::shape::{Fit, Node};

/// From the hook. `ms` numbers the page's MediaSources, `sb` the SourceBuffers of one, `op` the operations of one
/// SourceBuffer; all are chosen by the hook and mean something in its document only.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HookEvent {
    /// A player asks for the device. `replay`: it plays in the session now and will send what it has kept.
    Open {
        ms: u32,
        replay: bool,
    },
    AddBuffer {
        ms: u32,
        sb: u32,
        mime: String,
    },
    RemoveBuffer {
        ms: u32,
        sb: u32,
    },
    Append(AppendEvent),
    /// Seconds; no `end` means to the end.
    Remove {
        ms: u32,
        sb: u32,
        op: u32,
        start: f64,
        end: Option<f64>,
    },
    Abort {
        ms: u32,
        sb: u32,
        op: u32,
    },
    ChangeType {
        ms: u32,
        sb: u32,
        op: u32,
        mime: String,
    },
    /// What the native SourceBuffer holds now: start, end, … in microseconds.
    Native {
        ms: u32,
        sb: u32,
        ranges: Vec<f64>,
    },
    /// Seconds; none means endless.
    Duration {
        ms: u32,
        seconds: Option<f64>,
    },
    End {
        ms: u32,
        ended: bool,
    },
    Playback(PlaybackEvent),
    /// Answer to [`HookCommand::Sync`]: the stand-in's clock minus the device's.
    #[serde(rename_all = "camelCase")]
    Drift {
        ms: u32,
        drift_us: f64,
        paused: bool,
        seek_id: u32,
    },
    /// Everything kept has been sent; the page's operations wait for [`HookCommand::Swap`].
    Caught {
        ms: u32,
        buffers: Vec<NativeRanges>,
        ended: bool,
    },
    /// The player that is being moved plays a file.
    File(FileEvent),
    Fetched(FetchedEvent),
    /// The stand-in is in.
    Swapped {
        ms: u32,
    },
    /// The player is gone, or plays in the session again.
    Close {
        ms: u32,
    },
    /// The page reads what the player's element shows or sounds. Told again at most once a second while it goes on.
    Read {
        ms: u32,
        reader: Reader,
    },
    /// Whether the page waits for frames ([`HookCommand::Frame`]).
    WatchFrames {
        ms: u32,
        on: bool,
    },
    /// The [`Reader::Window`] has been closed.
    ReadEnded {
        ms: u32,
    },
    /// An element of the document plays the MediaSource of a worker, which the hook doesn't reach.
    InWorker {},
    /// The document uses WebRTC or devices for the first time.
    OpenCall {},
    /// The page puts something of its own between codec and wire: its calls are the session's.
    CallStays {},
    /// The page calls a method that the device is to carry out.
    Request(RequestEvent),
    /// An element shows tracks of a call.
    Screen(ScreenEvent),
    CloseScreen {
        ms: u32,
    },
    /// Whether the page holds a live share of a screen, a window or a tab.
    Sharing {
        live: bool,
    },
}

impl HookEvent {
    /// The player's number in its document; 0 where it is about none.
    #[must_use]
    pub fn ms(&self) -> u32 {
        match self {
            Self::Append(append) => append.ms,
            Self::File(file) => file.ms,
            Self::Fetched(got) => got.ms,
            Self::Playback(wish) => wish.ms,
            Self::Screen(screen) => screen.ms,
            Self::Open { ms, .. }
            | Self::AddBuffer { ms, .. }
            | Self::RemoveBuffer { ms, .. }
            | Self::Remove { ms, .. }
            | Self::Abort { ms, .. }
            | Self::ChangeType { ms, .. }
            | Self::Native { ms, .. }
            | Self::Duration { ms, .. }
            | Self::End { ms, .. }
            | Self::Drift { ms, .. }
            | Self::Caught { ms, .. }
            | Self::Swapped { ms }
            | Self::Close { ms }
            | Self::CloseScreen { ms }
            | Self::Read { ms, .. }
            | Self::WatchFrames { ms, .. }
            | Self::ReadEnded { ms } => *ms,
            Self::Sharing { .. }
            | Self::InWorker {}
            | Self::OpenCall {}
            | Self::CallStays {}
            | Self::Request(_) => 0,
        }
    }
}

/// As [`offstage_protocol::message::CallRequest`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RequestEvent {
    pub id: u32,
    pub verb: String,
    pub target: u32,
    pub transceiver: String,
    pub arguments: String,
    pub data: ByteBuf,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ScreenEvent {
    /// Numbers elements of calls as those of players.
    pub ms: u32,
    pub tracks: Vec<TrackName>,
    pub sink: String,
}

/// A captured track's number, or a connection's and the transceiver that receives it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TrackName {
    pub target: u32,
    pub transceiver: String,
}

/// What reads an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reader {
    /// A canvas, a texture, a bitmap: one picture.
    Pixels,
    /// A graph of sounds, for as long as there is the element.
    Sound,
    /// A captured stream, for as long as there is the element.
    Stream,
    /// The browser's picture-in-picture window.
    Window,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppendEvent {
    pub ms: u32,
    pub sb: u32,
    pub op: u32,
    /// True for kept bytes on their way to the device: the answer is an acknowledgement, not an order.
    pub replay: bool,
    pub data: ByteBuf,
    /// Seconds; absent if the page has not written `timestampOffset` since the last append.
    pub offset: Option<f64>,
    pub window_start: f64,
    pub window_end: Option<f64>,
    pub sequence: bool,
}

/// A file as the page has seen it play.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct FileEvent {
    pub ms: u32,
    /// Nothing for a file that only its document can read.
    pub url: String,
    /// Whether scripts of the document may most likely read it.
    pub reads: bool,
    /// Whether the page did not ask for cookies with `crossorigin`.
    pub plain: bool,
    pub width: f64,
    pub height: f64,
    pub audio: bool,
    /// Seconds; none if there is no end, or no seeking to it.
    pub duration: Option<f64>,
}

/// Answers [`HookCommand::Fetch`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct FetchedEvent {
    pub ms: u32,
    pub request: u32,
    /// 206: what `Content-Range` says; 200: the bytes that were asked for, of a server that knows no ranges; 0: nothing was
    /// got, or it may not be read.
    pub status: u32,
    /// After redirects.
    pub url: String,
    /// `Content-Range`.
    pub range: String,
    /// `Content-Length` with status 200.
    pub length: Option<f64>,
    pub mime: String,
    pub data: ByteBuf,
}

/// How the page wants the element to play.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaybackEvent {
    pub ms: u32,
    pub paused: bool,
    pub rate: f64,
    pub volume: f64,
    pub muted: bool,
    pub preserves_pitch: bool,
    /// Counts the page's seeks.
    pub seek_id: u32,
    /// Seconds.
    pub position: f64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct NativeRanges {
    pub sb: u32,
    pub ranges: Vec<f64>,
}

/// Which versions take part in a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Versions {
    pub extension: String,
    pub bridge: String,
    pub client: String,
}

/// To the hook.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HookCommand {
    /// Whether the document's calls run on the device: 0, or why not. Said again when the device has gone.
    CallOpened {
        code: u32,
        /// For pages that are told of redirected calls.
        versions: Option<Versions>,
    },
    /// Answers [`HookEvent::Request`]; `result` is JSON.
    Called {
        id: u32,
        exception: String,
        detail: String,
        result: String,
    },
    /// As [`offstage_protocol::message::CallEvent`].
    CallHappened {
        target: u32,
        event: String,
        detail: String,
        data: ByteBuf,
    },
    /// The size of what an element of a call shows.
    ScreenSize {
        ms: u32,
        width: u32,
        height: u32,
    },
    Accept {
        ms: u32,
    },
    /// Play in the session. `retry`: a later device may be tried.
    Revert {
        ms: u32,
        code: u32,
        retry: bool,
    },
    /// What kept the player in the session is over: it may ask for the device again.
    Return {
        ms: u32,
    },
    /// Answers the operation `op`: the steps that make the native buffer equal to the device's.
    /// `offset`: seconds, what `timestampOffset` has become; `duration`: seconds, for a MediaSource that has none yet; `parsing`: the
    /// device's buffer is in the middle of a media segment.
    Done {
        ms: u32,
        sb: u32,
        op: u32,
        r#type: Option<String>,
        steps: Vec<HookStep>,
        offset: f64,
        duration: Option<f64>,
        parsing: bool,
    },
    /// Steps outside any operation of the page's.
    Fix {
        ms: u32,
        sb: u32,
        r#type: Option<String>,
        steps: Vec<HookStep>,
    },
    Swap {
        ms: u32,
        buffers: Vec<SwapBuffer>,
    },
    /// What the device has decoded so far: frames with those dropped, frames dropped, bytes of picture and of sound.
    Counted {
        ms: u32,
        counts: [f64; 4],
    },
    /// A frame has been presented on the device, at `wall_ms` on this machine's wall clock.
    #[serde(rename_all = "camelCase")]
    Frame {
        ms: u32,
        media: f64,
        wall_ms: f64,
        display_after_ms: f64,
        count: u32,
        width: u32,
        height: u32,
        /// Seconds.
        processing: f64,
    },
    /// Fetch bytes of a file; without `end` all of it.
    Fetch {
        ms: u32,
        request: u32,
        url: String,
        start: f64,
        end: Option<f64>,
    },
    /// That is not wanted any more.
    Unfetch {
        ms: u32,
        request: u32,
    },
    /// Compare clocks: the device was at `media` seconds at `wall_ms` on this machine's wall clock.
    #[serde(rename_all = "camelCase")]
    Sync {
        ms: u32,
        media: f64,
        wall_ms: f64,
        rate: f64,
        advancing: bool,
        seek_id: u32,
    },
    /// Run at the page's rate times `factor`, after `for_ms` (if not 0) at the page's rate.
    #[serde(rename_all = "camelCase")]
    Slew {
        ms: u32,
        factor: f64,
        for_ms: f64,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SwapBuffer {
    pub sb: u32,
    /// None for a buffer in which nothing has been put yet.
    pub r#type: Option<String>,
    pub steps: Vec<HookStep>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HookStep {
    /// Seconds.
    Remove((f64, f64)),
    Append(ByteBuf),
}

/// From the relay. All boxes are in physical pixels of its own frame's viewport, those of media not rounded.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RelayEvent {
    Geometry(Geometry),
    Frame(FrameReport),
}

/// Where an element is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Geometry {
    pub ms: u32,
    #[serde(flatten)]
    pub place: Place,
    #[serde(default)]
    pub object_fit: String,
    #[serde(default)]
    pub object_position: String,
    /// The video's own size in CSS pixels.
    #[serde(default)]
    pub natural: Option<[f64; 2]>,
    /// Physical pixels of one of the element's CSS pixels.
    #[serde(default)]
    pub scale: f64,
    /// What tints it.
    #[serde(default)]
    pub veils: Vec<VeilReport>,
}

/// A translucent part of the page above an element.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct VeilReport {
    #[serde(flatten)]
    pub at: Box4,
    pub background: String,
    pub radius: String,
    pub opacity: f64,
}

impl Geometry {
    #[must_use]
    pub fn fit(&self) -> Fit<'_> {
        let Self { object_fit, object_position, natural, scale, .. } = self;
        Fit { object_fit, object_position, natural: *natural, scale: *scale }
    }
}

/// A content box and what is seen of it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Place {
    #[serde(default)]
    pub rect: Option<Box4>,
    pub visible: Vec<Box4>,
    /// What no upright box shows of it; the element first, then those around it.
    #[serde(default)]
    pub nodes: Vec<Node>,
    /// Red, green and blue of what is behind it, if that is of one colour; asked for only where it shows.
    #[serde(default)]
    pub ground: Option<[u8; 3]>,
}

/// What a frame knows of itself and of the frames in it that it has been asked for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct FrameReport {
    /// Its place among the frames of the one above; -1 at the top and in a shadow tree.
    pub index: i32,
    /// The frame above, where the relays know what the browser doesn't tell.
    #[serde(default)]
    pub above: Option<i32>,
    pub width: f64,
    pub height: f64,
    pub children: Vec<ChildPlace>,
    /// At the top.
    #[serde(default)]
    pub window: Option<WindowReport>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ChildPlace {
    pub frame: i32,
    #[serde(flatten)]
    pub place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Box4 {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowReport {
    pub outer: Box4,
    pub viewport_x: f64,
    pub viewport_y: f64,
    pub viewport_width: f64,
    pub viewport_height: f64,
    pub calibrated: bool,
    /// The window's border, and what it has above its pages, in the browser's own units, once they were seen with nothing docked beside a page;
    /// 1 if it is as wide as the screen.
    pub bars: Option<[f64; 3]>,
}

/// To the relay; `nonce` comes when it connects, `ready` then and whenever it changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RelayCommand {
    pub ready: bool,
    /// The word that lets the worker accept one media port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The browser's number of its frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<i32>,
    /// The frames below that are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub children: Option<Vec<Child>>,
    /// When it connects: what another document has told of its window ([`WindowReport::bars`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bars: Option<[f64; 3]>,
}

/// A frame by the browser's number and its place among the frames of the one above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Child {
    pub frame: i32,
    pub index: i32,
}

/// The nearest integer that fits; not a number becomes 0.
#[must_use]
pub fn to_i32(value: f64) -> i32 {
    if value.is_nan() {
        return 0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a float-to-int `as` saturates")]
    let out = value.round() as i32;
    out
}

/// The nearest integer that fits; not a number and negative become 0.
#[must_use]
pub fn to_u64(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float-to-int `as` saturates and takes NaN to 0"
    )]
    let out = value.round() as u64;
    out
}

/// Microseconds as seconds, exact for 285 years.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 µs")]
pub fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
