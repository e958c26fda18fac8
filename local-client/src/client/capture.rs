//! Microphones, cameras and shared screens in use: what the person is shown while they are on, and the switch that turns them off.
//!
//! What is on follows from what passes through here: requests to capture, clone and stop tracks, the stage's answers, the ends of tracks.

use std::collections::BTreeMap;

use offstage_protocol::message::CallAnswer;
use offstage_protocol::message::CallEvent;
use offstage_protocol::message::CallRequest;
use offstage_protocol::message::FromDeviceKind;

use crate::client::Client;
use crate::client::calls::Call;
use crate::window::WindowCommand;

/// Captured tracks of one call, and requests for them.
const MAX_TRACKS: usize = 256;
/// The number of requests that are the client's own: a session counts its requests from 1.
pub(super) const OWN_REQUEST: u32 = 0;

/// A site that has a microphone or a camera on, or sees a screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub origin: String,
    pub microphone: bool,
    pub camera: bool,
    pub screen: bool,
}

/// What a track is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Microphone,
    Camera,
    /// Its sound, too.
    Screen,
}

const SOURCES: [Source; 3] = [Source::Microphone, Source::Camera, Source::Screen];

/// The captured tracks of a call.
#[derive(Debug, Default)]
pub(super) struct Captures {
    /// Requests that the stage has not answered, and whether they are for a screen.
    asked: BTreeMap<u32, bool>,
    /// Tracks by their numbers in the session.
    live: BTreeMap<u32, Source>,
}

impl Captures {
    /// A request on its way to the stage; false if there are too many tracks for one page.
    pub(super) fn requested(&mut self, request: &CallRequest) -> bool {
        let room = self.asked.len() + self.live.len() < MAX_TRACKS;
        match request.verb.as_str() {
            "capture" => room && self.asked.insert(request.request, false).is_none(),
            "captureScreen" => room && self.asked.insert(request.request, true).is_none(),
            "cloneTrack" => {
                let clone = serde_json::from_str::<serde_json::Value>(&request.arguments).ok();
                let clone = clone.and_then(|arguments| u32::try_from(arguments.get(0)?.as_u64()?).ok());
                let Some(source) = self.live.get(&request.target).copied() else { return true };
                // A clone that could not be counted must not come to be.
                let Some(clone) = clone.filter(|_| room) else { return false };
                self.live.insert(clone, source);
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
        let Some(is_screen) = self.asked.remove(&answer.request) else { return };
        if !answer.exception.is_empty() {
            return;
        }
        let given: serde_json::Value = serde_json::from_str(&answer.result).unwrap_or_default();
        for track in given.get("value").and_then(serde_json::Value::as_array).into_iter().flatten() {
            let id = track.get("track").and_then(serde_json::Value::as_u64);
            if let Some(id) =
                id.and_then(|id| u32::try_from(id).ok()).filter(|_| self.live.len() < MAX_TRACKS)
            {
                let is_picture = track.get("kind").and_then(serde_json::Value::as_str) == Some("video");
                let source = match (is_screen, is_picture) {
                    (true, _) => Source::Screen,
                    (false, true) => Source::Camera,
                    (false, false) => Source::Microphone,
                };
                self.live.insert(id, source);
            }
        }
    }

    /// Something has happened to a track.
    pub(super) fn happened(&mut self, event: &CallEvent) {
        if event.event == "track.ended" {
            self.live.remove(&event.target);
        }
    }

    /// The person chooses what is to be shown.
    fn is_choosing(&self) -> bool {
        self.asked.values().any(|is_screen| *is_screen)
    }

    fn uses(&self) -> [bool; 3] {
        SOURCES.map(|source| self.live.values().any(|one| *one == source))
    }
}

impl Client {
    /// Who has a microphone or a camera on or sees a screen, if that is other than when it was asked last.
    pub fn poll_uses(&mut self) -> Option<Vec<Use>> {
        let mut by_site: BTreeMap<&str, [bool; 3]> = BTreeMap::new();
        for call in self.calls.values() {
            let uses = call.captures.uses();
            if uses != [false; 3] {
                let site = by_site.entry(&call.origin).or_default();
                site.iter_mut().zip(uses).for_each(|(known, now)| *known |= now);
            }
        }
        let uses: Vec<Use> = by_site
            .into_iter()
            .map(|(origin, [microphone, camera, screen])| Use {
                origin: origin.to_owned(),
                microphone,
                camera,
                screen,
            })
            .collect();
        (uses != self.uses).then(|| {
            self.uses.clone_from(&uses);
            uses
        })
    }

    /// The person turns all microphones, cameras and shares off: their tracks end, as if the devices had been unplugged, and who
    /// wants them again has to ask, whatever was allowed before.
    pub fn stop_captures(&mut self) {
        for state in self.calls.values().filter(|state| !state.captures.live.is_empty()) {
            self.allowed.remove(&state.origin);
            if !self.stopped.contains(&state.origin) && self.stopped.len() < MAX_TRACKS {
                self.stopped.insert(state.origin.clone());
            }
        }
        self.end_captures(|_, _| true);
    }

    /// The device's policy is another one: screens that may not be shown any more are not.
    pub(super) fn stop_forbidden_screens(&mut self) {
        let calls = self.calls.values();
        let forbidden: Vec<String> = calls
            .map(|state| state.origin.clone())
            .filter(|origin| !self.policy.shares_screens(origin))
            .collect();
        self.end_captures(|origin, source| {
            source == Source::Screen && forbidden.iter().any(|one| one == origin)
        });
    }

    /// Has the engine's dialog shown while somebody chooses in it.
    pub(super) fn show_chooser(&mut self) {
        let on = self.calls.values().any(|call| call.captures.is_choosing());
        if on != self.choosing {
            self.choosing = on;
            self.windows.push(WindowCommand::Choose { on });
        }
    }

    fn end_captures(&mut self, ends: impl Fn(&str, Source) -> bool) {
        let mut ended = Vec::new();
        for (call, state) in &mut self.calls {
            let Call { origin, captures, session, name, .. } = state;
            captures.live.retain(|target, source| {
                let over = ends(origin, *source);
                if over {
                    ended.push((*call, *session, *name, *target));
                }
                !over
            });
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
