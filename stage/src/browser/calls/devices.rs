//! Microphones, cameras and speakers, and the tracks that come from them.

use gloo::events::EventListener;
use gloo::timers::callback::Interval;
use js_sys::{Array, Object, Promise, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::{JsFuture, future_to_promise};

use super::samples::Brought;
use super::{Given, LiveCall, Result, method, number, tell, text, unknown};
use crate::browser::with_shell;
use crate::machine::calls::Verb;

/// How often it is looked for devices that were plugged in or taken out, while a page wants to know.
const LOOK_MS: u32 = 2000;
/// Members of constraints that name devices.
const NAMES: [&str; 2] = ["deviceId", "groupId"];

pub(super) struct LiveTrack {
    track: JsValue,
    listeners: Vec<EventListener>,
    /// What fills it, if the page makes it.
    brought: Option<Brought>,
}

impl LiveTrack {
    fn new(call: u32, id: u32, track: JsValue) -> Self {
        let listen = |name: &'static str| {
            EventListener::new(track.unchecked_ref(), name, move |_| {
                tell(call, id, &format!("track.{name}"), &Object::new(), Vec::new());
            })
        };
        let listeners = ["ended", "mute", "unmute"].map(listen).into();
        Self { track, listeners, brought: None }
    }

    /// Takes samples of the page's.
    pub(super) fn take(&mut self, about: &JsValue, data: &[u8]) -> Result {
        self.brought.as_mut().ok_or_else(|| unknown("track"))?.take(about, data)
    }

    pub(super) fn track(&self) -> &JsValue {
        &self.track
    }
}

impl Drop for LiveTrack {
    fn drop(&mut self) {
        self.listeners.clear();
        let _stopped = method(&self.track, "stop", &[]);
    }
}

fn media_devices() -> Result {
    let navigator = Reflect::get(&js_sys::global(), &"navigator".into())?;
    let devices = Reflect::get(&navigator, &"mediaDevices".into())?;
    if devices.is_object() { Ok(devices) } else { Err(unknown("devices")) }
}

impl LiveCall {
    pub(super) fn capture(&mut self, args: &Array) -> Result<Given> {
        self.check_room(self.tracks.len())?;
        let (constraints, audio, video) = (args.get(0), number(&args.get(1)), number(&args.get(2)));
        let (call, salt) = (self.call, self.salt.clone());
        Ok(Given::Promise(future_to_promise(async move {
            let devices = media_devices()?;
            let known = Array::from(&JsFuture::from(promise(&devices, "enumerateDevices", &[])?).await?);
            for kind in ["audio", "video"] {
                unname(&Reflect::get(&constraints, &kind.into())?, &known, &salt)?;
            }
            let stream = JsFuture::from(promise(&devices, "getUserMedia", &[constraints])?).await?;
            keep(call, &salt, &stream, audio, video)
        })))
    }

    /// The browser asks which screen or window it is to be.
    pub(super) fn capture_screen(&mut self, args: &Array) -> Result<Given> {
        self.check_room(self.tracks.len())?;
        let (options, audio, video) = (args.get(0), number(&args.get(1)), number(&args.get(2)));
        let (call, salt) = (self.call, self.salt.clone());
        screens_first(&options)?;
        let chosen = promise(&media_devices()?, "getDisplayMedia", &[options])?;
        Ok(Given::Promise(future_to_promise(async move {
            let stream = JsFuture::from(chosen).await?;
            keep(call, &salt, &stream, audio, video)
        })))
    }

    pub(super) fn enumerate(&mut self) -> Result<Given> {
        let (call, salt, permitted) = (self.call, self.salt.clone(), self.permitted);
        let devices = media_devices()?;
        if self.devices.is_none() {
            let listener = EventListener::new(devices.unchecked_ref(), "devicechange", move |_| {
                tell(call, 0, "devices.devicechange", &Object::new(), Vec::new());
            });
            // Chromium on Linux hears of devices with a kernel's driver only: of a Bluetooth headset it learns when it looks.
            let looked = devices.clone();
            let look = Interval::new(LOOK_MS, move || {
                if let Ok(all) = promise(&looked, "enumerateDevices", &[]) {
                    wasm_bindgen_futures::spawn_local(async move {
                        let _listed = JsFuture::from(all).await;
                    });
                }
            });
            self.devices = Some((listener, look));
        }
        let all = promise(&devices, "enumerateDevices", &[])?;
        Ok(Given::Promise(future_to_promise(async move {
            let told = Array::new();
            let mut kinds = Vec::new();
            for device in Array::from(&JsFuture::from(all).await?).iter() {
                let about = Object::new();
                let kind = text(&device, "kind");
                // Without permission a page learns only which kinds there are (Media Capture, section 9.2).
                if !permitted && (kinds.contains(&kind) || kind == "audiooutput") {
                    continue;
                }
                Reflect::set(&about, &"kind".into(), &(&*kind).into())?;
                for name in ["deviceId", "groupId", "label"] {
                    let value = text(&device, name);
                    let shown = match name {
                        _ if !permitted => String::new(),
                        "label" => value,
                        _ => shown(&value, &salt),
                    };
                    Reflect::set(&about, &name.into(), &(&*shown).into())?;
                }
                if permitted && kind != "audiooutput" {
                    let capabilities = method(&device, "getCapabilities", &[])?;
                    rename(&capabilities, &salt)?;
                    Reflect::set(&about, &"capabilities".into(), &capabilities)?;
                }
                kinds.push(kind);
                told.push(&about);
            }
            Ok(told.into())
        })))
    }

    /// The page makes a track, whose samples come: `[number, kind, name in the page]`.
    pub(super) fn bring(&mut self, args: &Array) -> Result<Given> {
        self.check_room(self.tracks.len())?;
        let (id, kind) = (number(&args.get(0)), args.get(1).as_string().unwrap_or_default());
        let (track, brought) = Brought::open(&kind)?;
        self.name(text(&track, "id"), args.get(2).as_string().unwrap_or_default());
        let mut live = LiveTrack::new(self.call, id, track);
        live.brought = Some(brought);
        self.tracks.insert(id, live);
        Ok(Given::Value(JsValue::UNDEFINED))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`carry_out` sends only these here")]
    pub(super) fn run_track(&mut self, verb: Verb, id: u32, args: &Array) -> Result<Given> {
        let track = self.tracks.get(id).ok_or_else(|| unknown("track"))?.track().clone();
        match verb {
            Verb::StopTrack => {
                self.tracks.remove(id);
            }
            Verb::CloneTrack => {
                self.check_room(self.tracks.len())?;
                let clone = method(&track, "clone", &[])?;
                self.name(text(&clone, "id"), args.get(1).as_string().unwrap_or_default());
                let id = number(&args.get(0));
                self.tracks.insert(id, LiveTrack::new(self.call, id, clone));
            }
            _ => {
                let (constraints, salt) = (args.get(0), self.salt.clone());
                return Ok(Given::Promise(future_to_promise(async move {
                    let devices = media_devices()?;
                    let known =
                        Array::from(&JsFuture::from(promise(&devices, "enumerateDevices", &[])?).await?);
                    unname(&constraints, &known, &salt)?;
                    JsFuture::from(promise(&track, "applyConstraints", &[constraints])?).await?;
                    about(&track, id, &salt)
                })));
            }
        }
        Ok(Given::Value(JsValue::UNDEFINED))
    }
}

/// This browser has no tabs to show: its dialog begins with screens, or with windows where the page prefers these.
fn screens_first(options: &JsValue) -> Result<()> {
    Reflect::set(options, &"selfBrowserSurface".into(), &"exclude".into())?;
    Reflect::set(options, &"preferCurrentTab".into(), &false.into())?;
    let mut video = Reflect::get(options, &"video".into())?;
    if !video.is_object() {
        video = Object::new().into();
        Reflect::set(options, &"video".into(), &video)?;
    }
    if text(&video, "displaySurface") != "window" {
        Reflect::set(&video, &"displaySurface".into(), &"monitor".into())?;
    }
    Ok(())
}

/// Keeps the tracks of a captured stream under the numbers that the page has for them; gives what the page may read of them.
fn keep(call: u32, salt: &str, stream: &JsValue, audio: u32, video: u32) -> Result {
    let told = Array::new();
    for track in Array::from(&method(stream, "getTracks", &[])?).iter() {
        let id = if text(&track, "kind") == "audio" { audio } else { video };
        told.push(&about(&track, id, salt)?);
        with_shell(|shell| {
            if let Some(live) = shell.calls.get_mut(call) {
                live.tracks.insert(id, LiveTrack::new(call, id, track.clone()));
            } else {
                let _stopped = method(&track, "stop", &[]);
            }
        });
    }
    Ok(told.into())
}

/// Has an element sound on the output that a page names.
pub(crate) async fn set_sink(element: JsValue, salt: String, wanted: String) -> Result<()> {
    let mut sink = wanted.clone();
    if !wanted.is_empty() && wanted != "default" && wanted != "communications" {
        let known = JsFuture::from(promise(&media_devices()?, "enumerateDevices", &[])?).await?;
        let mut ids = Array::from(&known)
            .iter()
            .map(|device| text(&device, "deviceId"))
            .collect::<Vec<_>>()
            .into_iter();
        let found = ids.find(|id| shown(id, &salt) == wanted);
        sink = found.ok_or_else(|| super::error("NotFoundError", "Requested device not found"))?;
    }
    if text(&element, "sinkId") != sink {
        JsFuture::from(promise(&element, "setSinkId", &[sink.into()])?).await?;
    }
    Ok(())
}

pub(super) fn promise(object: &JsValue, name: &str, args: &[JsValue]) -> Result<Promise> {
    method(object, name, args)?.dyn_into()
}

/// What the page may read of a track.
fn about(track: &JsValue, id: u32, salt: &str) -> Result {
    let about = Object::new();
    Reflect::set(&about, &"track".into(), &id.into())?;
    for name in ["kind", "id", "label", "muted", "contentHint"] {
        Reflect::set(&about, &name.into(), &Reflect::get(track, &name.into())?)?;
    }
    for (name, method_of) in
        [("settings", "getSettings"), ("capabilities", "getCapabilities"), ("constraints", "getConstraints")]
    {
        let value = method(track, method_of, &[])?;
        rename(&value, salt)?;
        Reflect::set(&about, &name.into(), &value)?;
    }
    Ok(about.into())
}

/// Puts the page's names of devices in place of the device's, in a flat object.
fn rename(object: &JsValue, salt: &str) -> Result<()> {
    for name in NAMES {
        if let Some(value) = Reflect::get(object, &name.into())?.as_string() {
            Reflect::set(object, &name.into(), &(&*shown(&value, salt)).into())?;
        }
    }
    Ok(())
}

/// The other way round, in constraints: wherever one of the page's names stands.
fn unname(constraints: &JsValue, known: &Array, salt: &str) -> Result<()> {
    if !constraints.is_object() {
        return Ok(());
    }
    let real = |value: &JsValue| -> JsValue {
        let Some(wanted) = value.as_string() else { return value.clone() };
        for device in known.iter() {
            for name in NAMES {
                let own = text(&device, name);
                if shown(&own, salt) == wanted {
                    return own.into();
                }
            }
        }
        wanted.into()
    };
    let all = |value: &JsValue| -> JsValue {
        if Array::is_array(value) {
            return Array::from(value).iter().map(|one| real(&one)).collect::<Array>().into();
        }
        real(value)
    };
    for name in NAMES {
        let value = Reflect::get(constraints, &name.into())?;
        if value.is_object() && !Array::is_array(&value) {
            for part in ["exact", "ideal"] {
                let inner = Reflect::get(&value, &part.into())?;
                if !inner.is_undefined() {
                    Reflect::set(&value, &part.into(), &all(&inner))?;
                }
            }
        } else if !value.is_undefined() {
            Reflect::set(constraints, &name.into(), &all(&value))?;
        }
    }
    if let Ok(advanced) = Reflect::get(constraints, &"advanced".into())?.dyn_into::<Array>() {
        for set in advanced.iter() {
            unname(&set, known, salt)?;
        }
    }
    Ok(())
}

/// A device's name as one site's pages see it: the same on every visit, another one for every other site. The words that the
/// standard has for defaults stay.
fn shown(name: &str, salt: &str) -> String {
    if name.is_empty() || name == "default" || name == "communications" {
        return name.to_owned();
    }
    crate::names::keyed(salt, name)
}
