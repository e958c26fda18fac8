//! A lone element that is fed one initialization segment, to see what the engine makes of it.

use core::cell::RefCell;
use std::rc::Rc;

use gloo::events::EventListener;
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::JsValue;
use web_sys::{HtmlVideoElement, MediaSource, Url};

use crate::browser::{happened, js};
use crate::machine::event::{Event, ProbeResult};

/// A running probe. Dropping it frees the element.
pub(super) struct LiveProbe {
    video: HtmlVideoElement,
    url: String,
    /// Also of the SourceBuffer, once it exists.
    listeners: Rc<RefCell<Vec<EventListener>>>,
}

impl LiveProbe {
    pub(super) fn begin(probe: u64, mime: String, bytes: Vec<u8>) -> Option<Self> {
        match Self::try_begin(probe, mime, bytes) {
            Ok(live) => Some(live),
            Err(_) => {
                happened(Event::Probed { probe, result: None });
                None
            }
        }
    }

    fn try_begin(probe: u64, mime: String, bytes: Vec<u8>) -> Result<Self, JsValue> {
        let document = web_sys::window().and_then(|window| window.document()).ok_or(JsValue::NULL)?;
        let video: HtmlVideoElement = js::cast(document.create_element("video")?);
        let source = MediaSource::new()?;
        let url = Url::create_object_url_with_source(&source)?;
        let ended = move |result| happened(Event::Probed { probe, result });
        let listeners = Rc::new(RefCell::new(Vec::new()));
        let known = EventListener::once(&video, "loadedmetadata", {
            let video = video.clone();
            move |_| ended(Some(read(&video)))
        });
        let failed = EventListener::once(&video, "error", move |_| ended(None));
        let opened = EventListener::once(&source, "sourceopen", {
            let (source, listeners) = (source.clone(), Rc::clone(&listeners));
            move |_| match feed(&source, &mime, &bytes) {
                Ok(listener) => {
                    listeners.borrow_mut().push(EventListener::once(&listener, "error", move |_| ended(None)))
                }
                Err(_) => ended(None),
            }
        });
        listeners.borrow_mut().extend([known, failed, opened]);
        video.set_muted(true);
        video.set_preload("auto");
        video.set_src(&url);
        Ok(Self { video, url, listeners })
    }
}

fn feed(source: &MediaSource, mime: &str, bytes: &[u8]) -> Result<web_sys::SourceBuffer, JsValue> {
    let buffer = source.add_source_buffer(mime)?;
    buffer.append_buffer_with_array_buffer_view(&Uint8Array::from(bytes))?;
    Ok(buffer)
}

fn read(video: &HtmlVideoElement) -> ProbeResult {
    ProbeResult {
        width: video.video_width(),
        height: video.video_height(),
        duration: video.duration(),
        has_audio: audio_tracks(video).map(|count| count > 0.0),
    }
}

/// How many audio tracks there are, in an engine that has `audioTracks`.
fn audio_tracks(video: &HtmlVideoElement) -> Option<f64> {
    let tracks = Reflect::get(video, &JsValue::from_str("audioTracks")).ok().filter(JsValue::is_object)?;
    Reflect::get(&tracks, &JsValue::from_str("length")).ok()?.as_f64()
}

impl Drop for LiveProbe {
    fn drop(&mut self) {
        self.listeners.borrow_mut().clear();
        let _removed = self.video.remove_attribute("src");
        self.video.load();
        let _revoked = Url::revoke_object_url(&self.url);
    }
}
