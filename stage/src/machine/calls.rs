//! Calls of documents: what a request may be, before the browser carries it out.

use offstage_protocol::ErrorCode;
use offstage_protocol::message::{
    CallAnswer, CallEvent, CallFailed, CallRequest, FromDeviceKind, PlayTracks, StageCall,
};

use crate::machine::Stage;
use crate::machine::event::{Command, Exception};
use crate::table::Table;

/// Documents that call at a time.
const MAX_CALLS: usize = 64;
/// Requests of one document that wait for their answers.
const MAX_WAITING: usize = 1000;
/// Longest arguments: descriptions of large conferences have some 100 kB.
const MAX_ARGUMENTS: usize = 512 * 1024;
/// Tracks that one player plays together.
const MAX_TRACKS: usize = 64;

/// What a request asks for. The texts are the wire's; arguments are a JSON array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `new RTCPeerConnection(configuration)`: `[configuration]`.
    Connect,
    /// `close()` of a connection.
    Close,
    /// `[configuration]`.
    SetConfiguration,
    /// `[options]`; gives a description.
    CreateOffer,
    /// Gives a description.
    CreateAnswer,
    /// `[description or null]`.
    SetLocalDescription,
    /// `[description]`.
    SetRemoteDescription,
    /// `[candidate or null]`.
    AddIceCandidate,
    RestartIce,
    /// `[track, [stream names]]`.
    AddTrack,
    RemoveTrack,
    /// `[track or kind, init, [stream names]]`.
    AddTransceiver,
    /// `["sender", "receiver" or null]`.
    GetStats,
    /// `[track or null]`.
    ReplaceTrack,
    /// `[parameters]`.
    SetParameters,
    /// `[[stream names]]`.
    SetStreams,
    /// `[tones, duration, gap]`.
    InsertDtmf,
    /// `[direction]`.
    SetDirection,
    /// `stop()` of a transceiver.
    Stop,
    /// `[codecs]`.
    SetCodecPreferences,
    /// `[channel, label, init]`.
    CreateDataChannel,
    /// `[text]`, or none and bytes.
    Send,
    CloseChannel,
    /// `bufferedAmountLowThreshold`: `[bytes]`.
    SetThreshold,
    /// `getUserMedia`: `[constraints, number of the audio track, of the video track]`.
    Capture,
    /// `getDisplayMedia`: `[options, number of the audio track, of the video track]`.
    CaptureScreen,
    /// `enumerateDevices`.
    Enumerate,
    StopTrack,
    /// `[number of the clone, its name in the page]`.
    CloneTrack,
    /// `enabled`: `[boolean]`.
    EnableTrack,
    /// `[constraints]`.
    ApplyConstraints,
    /// Samples of a track are brought to the page, as events `tap.chunk` of the number: `[number]`.
    Tap,
    /// `[bytes that have arrived, whether the page begins anew]`.
    Tapped,
    Untap,
    /// The page makes a track: `[number, kind, name in the page]`.
    Bring,
    /// Samples of one that the page makes: `[{key, timestamp, config}]` and bytes; gives `{refresh}`.
    Media,
    /// `[getSynchronizationSources or getContributingSources]` of a receiver.
    GetSources,
    /// `[algorithm, number of the certificate]`; gives what the page may read of it.
    GenerateCertificate,
    /// Codecs and extensions of senders and receivers.
    GetCapabilities,
}

/// The texts on the wire; protocol/PROTOCOL.md has them in a table.
pub(crate) const VERBS: [(&str, Verb); 39] = [
    ("connect", Verb::Connect),
    ("close", Verb::Close),
    ("setConfiguration", Verb::SetConfiguration),
    ("createOffer", Verb::CreateOffer),
    ("createAnswer", Verb::CreateAnswer),
    ("setLocalDescription", Verb::SetLocalDescription),
    ("setRemoteDescription", Verb::SetRemoteDescription),
    ("addIceCandidate", Verb::AddIceCandidate),
    ("restartIce", Verb::RestartIce),
    ("addTrack", Verb::AddTrack),
    ("removeTrack", Verb::RemoveTrack),
    ("addTransceiver", Verb::AddTransceiver),
    ("getStats", Verb::GetStats),
    ("replaceTrack", Verb::ReplaceTrack),
    ("setParameters", Verb::SetParameters),
    ("setStreams", Verb::SetStreams),
    ("insertDTMF", Verb::InsertDtmf),
    ("setDirection", Verb::SetDirection),
    ("stop", Verb::Stop),
    ("setCodecPreferences", Verb::SetCodecPreferences),
    ("createDataChannel", Verb::CreateDataChannel),
    ("send", Verb::Send),
    ("closeChannel", Verb::CloseChannel),
    ("setThreshold", Verb::SetThreshold),
    ("capture", Verb::Capture),
    ("captureScreen", Verb::CaptureScreen),
    ("enumerate", Verb::Enumerate),
    ("stopTrack", Verb::StopTrack),
    ("cloneTrack", Verb::CloneTrack),
    ("enableTrack", Verb::EnableTrack),
    ("applyConstraints", Verb::ApplyConstraints),
    ("tap", Verb::Tap),
    ("tapped", Verb::Tapped),
    ("untap", Verb::Untap),
    ("bring", Verb::Bring),
    ("media", Verb::Media),
    ("getSources", Verb::GetSources),
    ("generateCertificate", Verb::GenerateCertificate),
    ("getCapabilities", Verb::GetCapabilities),
];

impl Verb {
    /// The verb of a text on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        VERBS.iter().find(|(name, _)| *name == text).map(|(_, verb)| *verb)
    }
}

/// A request that makes sense.
#[derive(Clone, Debug, PartialEq)]
pub struct CallStep {
    pub call: u32,
    pub request: u32,
    pub verb: Verb,
    pub target: u32,
    pub transceiver: String,
    pub arguments: String,
    pub data: Vec<u8>,
}

/// Calls by their number on this device; how many requests of each wait.
pub(super) type Calls = Table<u32, usize>;

impl Stage {
    /// A document calls, or may be told more than before.
    pub(super) fn open_call(&mut self, open: StageCall) {
        let StageCall { call, salt, permitted } = open;
        if !self.calls.contains(call) {
            if self.calls.len() >= MAX_CALLS {
                let code = ErrorCode::TOO_MANY_CALLS.number();
                let failed = CallFailed { call, code, detail: String::new() };
                return self.send_device(FromDeviceKind::CallFailed(failed));
            }
            self.calls.insert(call, 0);
        }
        self.run(Command::OpenCall { call, salt, permitted });
    }

    pub(super) fn end_call(&mut self, call: u32) {
        if self.calls.remove(call).is_some() {
            self.run(Command::EndCall { call });
        }
    }

    pub(super) fn end_calls(&mut self) {
        for call in self.calls.keys() {
            self.end_call(call);
        }
    }

    pub(super) fn call_request(&mut self, asked: CallRequest) {
        let CallRequest { call, request, verb, target, transceiver, arguments, data } = asked;
        let Some(waiting) = self.calls.get_mut(call) else { return };
        let refused = if *waiting >= MAX_WAITING || arguments.len() > MAX_ARGUMENTS {
            Some("OperationError")
        } else if Verb::parse(&verb).is_none() {
            Some("NotSupportedError")
        } else {
            None
        };
        *waiting += 1;
        match (Verb::parse(&verb), refused) {
            (Some(verb), None) => {
                let step = CallStep { call, request, verb, target, transceiver, arguments, data };
                self.run(Command::Call(step));
            }
            (_, name) => {
                let name = name.unwrap_or("NotSupportedError").to_owned();
                self.call_answered(call, request, Err(Exception { name, message: String::new() }));
            }
        }
    }

    pub(super) fn call_answered(&mut self, call: u32, request: u32, result: Result<String, Exception>) {
        let Some(waiting) = self.calls.get_mut(call) else { return };
        *waiting = waiting.saturating_sub(1);
        let answer = match result {
            Ok(result) => CallAnswer { call, request, result, ..CallAnswer::default() },
            Err(Exception { name, message }) => {
                CallAnswer { call, request, exception: name, detail: message, ..CallAnswer::default() }
            }
        };
        self.send_device(FromDeviceKind::CallAnswer(answer));
    }

    pub(super) fn call_event(&mut self, event: CallEvent) {
        if self.calls.contains(event.call) {
            self.send_device(FromDeviceKind::CallEvent(event));
        }
    }

    /// The player shows tracks from now on.
    pub(super) fn play_tracks(&mut self, mut play: PlayTracks) {
        play.tracks.truncate(MAX_TRACKS);
        if let Some(player) = self.players.get_mut(play.player) {
            player.tracks = Some(play);
        }
    }
}
