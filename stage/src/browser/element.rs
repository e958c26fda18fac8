//! Reading and watching a media element.

use core::cell::{Cell, OnceCell};
use std::rc::Rc;

use gloo::events::EventListener;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{HtmlVideoElement, Performance, Window};

use crate::browser::{happened, js};
use crate::machine::event::{Event, PresentedFrame, VideoMoment, VideoSnapshot};

/// Every event after which the machine wants to know the element's state.
const MOMENTS: [(&str, VideoMoment); 17] = [
    ("loadedmetadata", VideoMoment::Changed),
    ("loadeddata", VideoMoment::Changed),
    ("canplay", VideoMoment::Changed),
    ("canplaythrough", VideoMoment::Changed),
    ("play", VideoMoment::Changed),
    ("pause", VideoMoment::Changed),
    ("playing", VideoMoment::Playing),
    ("waiting", VideoMoment::Waiting),
    ("seeking", VideoMoment::Changed),
    ("seeked", VideoMoment::Seeked),
    ("ended", VideoMoment::Changed),
    ("resize", VideoMoment::Changed),
    ("ratechange", VideoMoment::Changed),
    ("emptied", VideoMoment::Changed),
    ("error", VideoMoment::Changed),
    ("progress", VideoMoment::Changed),
    ("durationchange", VideoMoment::Changed),
];

/// Reports every change of the element for as long as the listeners live.
pub(super) fn watch(player: u32, video: &HtmlVideoElement) -> Vec<EventListener> {
    let listen = |(name, moment): (&'static str, VideoMoment)| {
        let element = video.clone();
        EventListener::new(video, name, move |_| {
            happened(Event::Video { player, moment, snapshot: read(&element) });
        })
    };
    // `encrypted` comes with the initialization data; where a file has none, the decoder's wait is all that is heard.
    let keys = ["encrypted", "waitingforkey"]
        .into_iter()
        .map(|name| EventListener::new(video, name, move |_| happened(Event::Encrypted { player })));
    MOMENTS.into_iter().map(listen).chain(keys).collect()
}

/// Tells of each frame that the element presents for as long as this lives and is switched on.
pub(super) struct FrameWatch {
    video: HtmlVideoElement,
    on: Rc<Cell<bool>>,
    /// Under way: the browser calls once for each call of ours.
    asked: Rc<Cell<bool>>,
    callback: Rc<OnceCell<Callback>>,
}

type Callback = Closure<dyn FnMut(f64, JsValue)>;

impl FrameWatch {
    pub(super) fn new(player: u32, video: &HtmlVideoElement, popup: &Window) -> Self {
        let (on, asked) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
        let callback = Rc::new(OnceCell::<Callback>::new());
        let clock = popup.performance();
        let closure = Closure::new({
            let (video, on, asked, callback) =
                (video.clone(), on.clone(), asked.clone(), Rc::downgrade(&callback));
            move |_now: f64, metadata: JsValue| {
                asked.set(false);
                if !on.get() {
                    return;
                }
                if let Some(callback) = callback.upgrade()
                    && let Some(callback) = callback.get()
                {
                    request(&video, &asked, callback);
                }
                // The frame's times are on the clock of the element's own document.
                let since = |at: f64| (at - clock.as_ref().map_or(at, Performance::now)) * 1000.0;
                let number = |name| js::number(&metadata, name);
                let presented = number("presentationTime");
                let (wall_us, ago_us) = (js::wall_us(), js::whole(-since(presented)));
                let frame = PresentedFrame {
                    media_time: number("mediaTime"),
                    wall_us: wall_us.saturating_sub(ago_us),
                    display_after_us: js::short((number("expectedDisplayTime") - presented) * 1000.0),
                    count: js::short(number("presentedFrames")),
                    width: js::short(number("width")),
                    height: js::short(number("height")),
                    processing_us: js::short(number("processingDuration") * 1e6),
                };
                happened(Event::Frame { player, frame });
            }
        });
        // A new cell is empty.
        let _set = callback.set(closure);
        Self { video: video.clone(), on, asked, callback }
    }

    pub(super) fn switch(&self, on: bool) {
        self.on.set(on);
        if let Some(callback) = self.callback.get().filter(|_| on) {
            request(&self.video, &self.asked, callback);
        }
    }
}

/// `requestVideoFrameCallback`, unless that has been done.
fn request(video: &HtmlVideoElement, asked: &Cell<bool>, callback: &Callback) {
    if asked.get() {
        return;
    }
    let method = js_sys::Reflect::get(video, &"requestVideoFrameCallback".into());
    let Some(method) = method.ok().and_then(|method| method.dyn_into::<js_sys::Function>().ok()) else {
        return;
    };
    asked.set(method.call1(video, callback.as_ref()).is_ok());
}

/// The element at this instant.
pub(super) fn read(video: &HtmlVideoElement) -> VideoSnapshot {
    let current_time = video.current_time();
    let wall_us = js::wall_us();
    let quality = video.get_video_playback_quality();
    let (total, dropped) = (quality.total_video_frames(), quality.dropped_video_frames());
    let held = video.buffered();
    let held = (0..held.length()).filter_map(|at| Some((held.start(at).ok()?, held.end(at).ok()?))).collect();
    // Chromium counts the bytes of sound that it has decoded; its `audioTracks` are behind a flag.
    let decoded = js_sys::Reflect::get(video, &"webkitAudioDecodedByteCount".into()).ok();
    VideoSnapshot {
        current_time,
        wall_us,
        paused: video.paused(),
        seeking: video.seeking(),
        ended: video.ended(),
        ready_state: video.ready_state(),
        width: video.video_width(),
        height: video.video_height(),
        presented: u64::from(total.saturating_sub(dropped)),
        dropped: u64::from(dropped),
        video_bytes: js::count(video, "webkitVideoDecodedByteCount"),
        audio_bytes: js::count(video, "webkitAudioDecodedByteCount"),
        held,
        duration: video.duration(),
        has_audio: decoded.and_then(|count| count.as_f64()).is_some_and(|count| count > 0.0),
        error: video.error().map(|error| (error.code(), error.message())),
    }
}
