//! Calls: what a page does with WebRTC, carried out on the device.

use prost::Message;

// ---------------------------------------------------------------------------------------------
// Calls: streams 3 and 16 and up. Feature `calls`.

/// A document that calls begins: its connections, tracks and devices belong together. Ids are chosen by the session.
#[derive(Clone, PartialEq, Message)]
pub struct OpenCall {
    #[prost(uint32, tag = "1")]
    pub call: u32,
    /// Of the document, as `https://example.org`, by the browser's word; for what the device allows.
    #[prost(string, tag = "2")]
    pub origin: String,
}

/// The document is gone: all connections end, all devices are released.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct CloseCall {
    #[prost(uint32, tag = "1")]
    pub call: u32,
}

/// The page calls a method. The device answers each with [`CallAnswer`].
#[derive(Clone, PartialEq, Message)]
pub struct CallRequest {
    #[prost(uint32, tag = "1")]
    pub call: u32,
    /// Chosen by the session, not used twice in a call.
    #[prost(uint32, tag = "2")]
    pub request: u32,
    /// What is to be done; the table is below.
    #[prost(string, tag = "3")]
    pub verb: String,
    /// The connection, track or channel: numbers of the session's, except for channels that the device has made (2^31 and up).
    #[prost(uint32, tag = "4")]
    pub target: u32,
    /// A transceiver of the connection: the session's number, or `mid:` and its mid, where the other end made it.
    #[prost(string, tag = "5")]
    pub transceiver: String,
    /// A JSON array of the method's arguments; numbers stand for tracks.
    #[prost(string, tag = "6")]
    pub arguments: String,
    /// What `send` sends as bytes.
    #[prost(bytes = "vec", tag = "7")]
    pub data: Vec<u8>,
}

/// What came of a [`CallRequest`].
#[derive(Clone, PartialEq, Message)]
pub struct CallAnswer {
    #[prost(uint32, tag = "1")]
    pub call: u32,
    #[prost(uint32, tag = "2")]
    pub request: u32,
    /// The name of the DOMException that the method gave, for an OverconstrainedError with `/` and the constraint; empty for none.
    #[prost(string, tag = "3")]
    pub exception: String,
    /// The exception's message.
    #[prost(string, tag = "4")]
    pub detail: String,
    /// JSON.
    #[prost(string, tag = "5")]
    pub result: String,
}

/// Something has happened to a connection, a track or a channel.
#[derive(Clone, PartialEq, Message)]
pub struct CallEvent {
    #[prost(uint32, tag = "1")]
    pub call: u32,
    /// As in [`CallRequest::target`].
    #[prost(uint32, tag = "2")]
    pub target: u32,
    /// The event's type, with what it is of in front: `connection.icecandidate`, `channel.message`, `track.ended`.
    #[prost(string, tag = "3")]
    pub event: String,
    /// JSON.
    #[prost(string, tag = "4")]
    pub detail: String,
    /// A message of bytes.
    #[prost(bytes = "vec", tag = "5")]
    pub data: Vec<u8>,
}

/// The call can't go on here; it has been closed on the device.
#[derive(Clone, PartialEq, Message)]
pub struct CallFailed {
    #[prost(uint32, tag = "1")]
    pub call: u32,
    #[prost(uint32, tag = "2")]
    pub code: u32,
    #[prost(string, tag = "3")]
    pub detail: String,
}

/// The player shows tracks of a call, in place of what it showed before. Without tracks it goes on with what it plays, and only its
/// output is another one.
#[derive(Clone, PartialEq, Message)]
pub struct PlayTracks {
    #[prost(uint32, tag = "1")]
    pub player: u32,
    #[prost(uint32, tag = "2")]
    pub call: u32,
    #[prost(message, repeated, tag = "3")]
    pub tracks: Vec<TrackRef>,
    /// The output device, by the name that the page has for it; empty for the default.
    #[prost(string, tag = "4")]
    pub sink: String,
}

/// A track of a call.
#[derive(Clone, PartialEq, Message)]
pub struct TrackRef {
    /// A captured one; or the connection whose `transceiver` receives it.
    #[prost(uint32, tag = "1")]
    pub target: u32,
    #[prost(string, tag = "2")]
    pub transceiver: String,
}

// ---------------------------------------------------------------------------------------------
// Calls, between the client and its own stage.

/// The document's call, with what the page may learn of the device's own.
#[derive(Clone, PartialEq, Message)]
pub struct StageCall {
    #[prost(uint32, tag = "1")]
    pub call: u32,
    /// Names of devices are made from this, so that two sites can't compare them.
    #[prost(string, tag = "2")]
    pub salt: String,
    /// The person has allowed the site's microphone or camera: names of devices may be told.
    #[prost(bool, tag = "3")]
    pub permitted: bool,
}
