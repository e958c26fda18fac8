//! Reading and watching a media element.

use gloo::events::EventListener;
use web_sys::HtmlVideoElement;

use crate::browser::{happened, js};
use crate::machine::event::{Event, VideoMoment, VideoSnapshot};

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
    MOMENTS.into_iter().map(listen).collect()
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
        held,
        duration: video.duration(),
        has_audio: decoded.and_then(|count| count.as_f64()).is_some_and(|count| count > 0.0),
        error: video.error().map(|error| (error.code(), error.message())),
    }
}
