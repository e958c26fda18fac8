//! Stream 1; logs and counters, some of which the device gives as well.

use prost::{Message, Oneof};

use super::{Hello, SessionWindows, WatchWindows};

// ---------------------------------------------------------------------------------------------
// Stream 1: between the extension and its own bridge; never crosses the channel.

/// What extension and bridge tell each other, on stream [`crate::frame::BRIDGE_STREAM`].
#[derive(Clone, PartialEq, Message)]
pub struct BridgeMessage {
    #[prost(oneof = "BridgeKind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10")]
    pub kind: Option<BridgeKind>,
}

/// What a [`BridgeMessage`] says.
#[derive(Clone, PartialEq, Oneof)]
pub enum BridgeKind {
    /// Both ends, first.
    #[prost(message, tag = "1")]
    Hello(Hello),
    /// The bridge: the channel to a client is open; a new epoch begins.
    #[prost(message, tag = "2")]
    ChannelUp(ChannelUp),
    /// The bridge: there is no channel; it goes on trying.
    #[prost(message, tag = "3")]
    ChannelDown(ChannelDown),
    /// The bridge: a line of its log.
    #[prost(message, tag = "4")]
    Log(LogLine),
    /// The bridge: what it knows about the session.
    #[prost(message, tag = "5")]
    Session(SessionInfo),
    /// The extension: how the bridge logs from now on.
    #[prost(message, tag = "6")]
    LogControl(LogControl),
    /// The bridge: a part of what it has collected.
    #[prost(message, tag = "7")]
    LogChunk(LogChunk),
    /// The extension: its counters, for the bridge to show to the machine's monitoring.
    #[prost(message, tag = "8")]
    Metrics(Metrics),
    #[prost(message, tag = "9")]
    WatchWindows(WatchWindows),
    #[prost(message, tag = "10")]
    Windows(SessionWindows),
}

#[derive(Clone, PartialEq, Message)]
pub struct ChannelUp {
    /// `unix`, `xrdp`, `wts`, `tls`.
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct ChannelDown {
    #[prost(uint32, tag = "1")]
    pub code: u32,
    #[prost(string, tag = "2")]
    pub detail: String,
    /// Milliseconds until the bridge tries again.
    #[prost(uint32, tag = "3")]
    pub retry_ms: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct LogLine {
    /// `error`, `warn`, `info`, `debug`, `trace`.
    #[prost(string, tag = "1")]
    pub level: String,
    #[prost(string, tag = "2")]
    pub text: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct SessionInfo {
    /// `linux`, `windows`, `macos`.
    #[prost(string, tag = "1")]
    pub os: String,
    /// `local`, `xrdp`, `rdp`, `other`.
    #[prost(string, tag = "2")]
    pub session_type: String,
    /// Process id of the browser that started the bridge.
    #[prost(uint32, tag = "3")]
    pub browser_pid: u32,
    /// The way to the device that was chosen, as in [`ChannelUp::kind`], whether or not it is open.
    #[prost(string, tag = "4")]
    pub channel: String,
    /// Why that one, in words for people.
    #[prost(string, tag = "5")]
    pub channel_reason: String,
}

/// How much a program logs. Lines carry no addresses, titles or tokens ([`crate::redact()`]).
#[derive(Clone, PartialEq, Eq, Message)]
pub struct LogControl {
    /// `error`, `warn`, `info`, `debug`, `trace`; empty: as the program's own setting says.
    #[prost(string, tag = "1")]
    pub level: String,
    /// The bundle that lines from `debug` up are collected for; when it changes, or becomes empty, what was collected is given with
    /// the old one. Empty: nothing is collected.
    #[prost(string, tag = "2")]
    pub correlation: String,
}

/// A part of the lines that were collected, oldest first.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct LogChunk {
    #[prost(string, tag = "1")]
    pub correlation: String,
    #[prost(string, repeated, tag = "2")]
    pub lines: Vec<String>,
    /// Nothing more comes of this collection.
    #[prost(bool, tag = "3")]
    pub last: bool,
}

/// Counted since the extension's worker began, unless it says otherwise.
#[derive(Clone, PartialEq, Message)]
pub struct Metrics {
    /// Players that play on the device now.
    #[prost(uint32, tag = "1")]
    pub players: u32,
    /// Players that came to the device.
    #[prost(uint64, tag = "2")]
    pub redirected: u64,
    /// Players that went to the session, or stayed there, by reason.
    #[prost(message, repeated, tag = "3")]
    pub in_session: Vec<CodeCount>,
    #[prost(uint64, tag = "4")]
    pub sent_bytes: u64,
    #[prost(uint64, tag = "5")]
    pub received_bytes: u64,
    #[prost(uint64, tag = "6")]
    pub frames_presented: u64,
    #[prost(uint64, tag = "7")]
    pub frames_dropped: u64,
    /// Between page and device lately, in microseconds: the median and the 99th percentile.
    #[prost(uint64, optional, tag = "8")]
    pub drift_p50_us: Option<u64>,
    #[prost(uint64, optional, tag = "9")]
    pub drift_p99_us: Option<u64>,
    /// The link's newest one, in microseconds.
    #[prost(uint64, optional, tag = "10")]
    pub round_trip_us: Option<u64>,
    /// How often a device got ready.
    #[prost(uint64, tag = "11")]
    pub connected: u64,
    /// Whether one is ready now.
    #[prost(bool, tag = "12")]
    pub ready: bool,
}

/// How often something had a reason.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct CodeCount {
    /// A number of the error table.
    #[prost(uint32, tag = "1")]
    pub code: u32,
    #[prost(uint64, tag = "2")]
    pub count: u64,
}
