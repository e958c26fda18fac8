//! Microphones and cameras in use: what the person is shown while they are on, and the switch that turns them off.
//!
//! What is on follows from what passes through here: requests to capture, clone and stop tracks, the stage's answers, the ends of tracks.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use offstage_protocol::message::CallAnswer;
use offstage_protocol::message::CallEvent;
use offstage_protocol::message::CallRequest;
use offstage_protocol::message::FromDeviceKind;

use crate::client::Client;

/// Captured tracks of one call, and requests for them.
const MAX_TRACKS: usize = 256;
/// The number of requests that are the client's own: a session counts its requests from 1.
pub(super) const OWN_REQUEST: u32 = 0;

/// A site that has a microphone or a camera on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub origin: String,
    pub microphone: bool,
    pub camera: bool,
}

/// The captured tracks of a call.
#[derive(Debug, Default)]
pub(super) struct Captures {
    /// Requests that the stage has not answered.
    asked: BTreeSet<u32>,
    /// Whether a track, by its number in the session, is a picture.
    live: BTreeMap<u32, bool>,
}

impl Captures {
    /// A request on its way to the stage; false if there are too many tracks for one page.
    pub(super) fn requested(&mut self, request: &CallRequest) -> bool {
        let room = self.asked.len() + self.live.len() < MAX_TRACKS;
        match request.verb.as_str() {
            "capture" => room && self.asked.insert(request.request),
            "cloneTrack" => {
                let clone = serde_json::from_str::<serde_json::Value>(&request.arguments).ok();
                let clone = clone.and_then(|arguments| u32::try_from(arguments.get(0)?.as_u64()?).ok());
                let Some(picture) = self.live.get(&request.target).copied() else { return true };
                // A clone that could not be counted must not come to be.
                let Some(clone) = clone.filter(|_| room) else { return false };
                self.live.insert(clone, picture);
                true
            }
            "stopTrack" => {
                self.live.remove(&request.target);
                true
            }
            _ => true,
        }
    }

    /// An answer of the stage's.
    pub(super) fn answered(&mut self, answer: &CallAnswer) {
        if !self.asked.remove(&answer.request) || !answer.exception.is_empty() {
            return;
        }
        let given: serde_json::Value = serde_json::from_str(&answer.result).unwrap_or_default();
        for track in given.get("value").and_then(serde_json::Value::as_array).into_iter().flatten() {
            let id = track.get("track").and_then(serde_json::Value::as_u64);
            if let Some(id) =
                id.and_then(|id| u32::try_from(id).ok()).filter(|_| self.live.len() < MAX_TRACKS)
            {
                let picture = track.get("kind").and_then(serde_json::Value::as_str) == Some("video");
                self.live.insert(id, picture);
            }
        }
    }

    /// Something has happened to a track.
    pub(super) fn happened(&mut self, event: &CallEvent) {
        if event.event == "track.ended" {
            self.live.remove(&event.target);
        }
    }

    fn uses(&self) -> [bool; 2] {
        [false, true].map(|kind| self.live.values().any(|picture| *picture == kind))
    }
}

impl Client {
    /// Who has a microphone or a camera on, if that is other than when it was asked last.
    pub fn poll_uses(&mut self) -> Option<Vec<Use>> {
        let mut by_site: BTreeMap<&str, [bool; 2]> = BTreeMap::new();
        for call in self.calls.values() {
            let [microphone, camera] = call.captures.uses();
            if microphone || camera {
                let site = by_site.entry(&call.origin).or_default();
                *site = [site[0] || microphone, site[1] || camera];
            }
        }
        let uses: Vec<Use> = by_site
            .into_iter()
            .map(|(origin, [microphone, camera])| Use { origin: origin.to_owned(), microphone, camera })
            .collect();
        (uses != self.uses).then(|| {
            self.uses.clone_from(&uses);
            uses
        })
    }

    /// The person turns all microphones and cameras off: their tracks end, as if the devices had been unplugged, and who
    /// wants them again has to ask, whatever was allowed before.
    pub fn stop_captures(&mut self) {
        let mut ended = Vec::new();
        for (call, state) in &mut self.calls {
            for target in std::mem::take(&mut state.captures.live).into_keys() {
                self.allowed.remove(&state.origin);
                if !self.stopped.contains(&state.origin) && self.stopped.len() < MAX_TRACKS {
                    self.stopped.insert(state.origin.clone());
                }
                ended.push((*call, state.session, state.name, target));
            }
        }
        for (call, session, name, target) in ended {
            let (request, verb, arguments) = (OWN_REQUEST, "stopTrack".to_owned(), "[]".to_owned());
            let (transceiver, data) = (String::new(), Vec::new());
            self.forward(CallRequest { call, request, verb, target, transceiver, arguments, data });
            let (event, detail, data) = ("track.ended".to_owned(), "{}".to_owned(), Vec::new());
            self.tell(
                session,
                FromDeviceKind::CallEvent(CallEvent { call: name, target, event, detail, data }),
            );
        }
    }
}
