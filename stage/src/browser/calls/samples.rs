//! Samples of tracks: on their way to a page that reads them, and a page's own on their way into a call. Both ways they are encoded
//! (WebCodecs): Opus and VP8, which every build of the browser has.

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo::timers::callback::Interval;
use js_sys::{Array, Function, Object, Reflect, Uint8Array};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::devices::promise;
use super::{LiveCall, Result, method, tell, text, unknown};
use crate::browser::js;

/// What may be on its way to the page, in bytes, before samples are left out.
const MOST_ON_THE_WAY: f64 = 128.0 * 1024.0;
/// What may wait for the encoder.
const MOST_QUEUED: f64 = 8.0;
const SOUND_BITS: f64 = 48_000.0;
/// Bits for each pixel of a second's picture, and the limits.
const PICTURE_BITS: f64 = 2.0;
const LEAST_BITS: f64 = 200_000.0;
const MOST_BITS: f64 = 3_000_000.0;
/// A picture that does not move is shown to the call again after so long: an encoder may have missed it.
const REFRESH_MS: u32 = 1000;

type Output = Closure<dyn FnMut(JsValue, JsValue)>;
type Failure = Closure<dyn FnMut(JsValue)>;

/// A track that is brought to the page. Dropping it ends that.
pub(super) struct Tap {
    state: Rc<TapState>,
}

struct TapState {
    reader: JsValue,
    over: Cell<bool>,
    /// Bytes.
    sent: Cell<f64>,
    arrived: Cell<f64>,
    /// The page has no decoder, or one that needs a picture that depends on no other.
    refresh: Cell<bool>,
}

/// An encoder or decoder with its listeners.
struct Codec {
    object: JsValue,
    _output: Output,
    _failure: Failure,
}

impl Codec {
    fn new(name: &str, output: Output) -> Result<Self> {
        let failure = Failure::new(|error: JsValue| js::log(&js::exception(&error).message));
        let init = Object::new();
        Reflect::set(&init, &"output".into(), output.as_ref())?;
        Reflect::set(&init, &"error".into(), failure.as_ref())?;
        let object = construct(name, &init)?;
        Ok(Self { object, _output: output, _failure: failure })
    }

    fn is_ready(&self) -> bool {
        text(&self.object, "state") == "configured"
    }
}

impl Drop for Codec {
    fn drop(&mut self) {
        if text(&self.object, "state") != "closed" {
            let _closed = method(&self.object, "close", &[]);
        }
    }
}

fn construct(name: &str, init: &JsValue) -> Result {
    let constructor: Function = Reflect::get(&js_sys::global(), &name.into())?.dyn_into()?;
    Reflect::construct(&constructor, &Array::of1(init))
}

fn object(parts: &[(&str, JsValue)]) -> Result<Object> {
    let object = Object::new();
    for (name, value) in parts {
        Reflect::set(&object, &(*name).into(), value)?;
    }
    Ok(object)
}

impl Tap {
    /// Begins to bring a track to the page: as events of `target`.
    pub(super) fn open(call: u32, target: u32, track: &JsValue) -> Result<Self> {
        let processor = construct("MediaStreamTrackProcessor", &object(&[("track", track.clone())])?.into())?;
        let reader = method(&Reflect::get(&processor, &"readable".into())?, "getReader", &[])?;
        let state = Rc::new(TapState {
            reader,
            over: Cell::new(false),
            sent: Cell::new(0.0),
            arrived: Cell::new(0.0),
            refresh: Cell::new(true),
        });
        let (is_sound, shared) = (text(track, "kind") == "audio", Rc::clone(&state));
        wasm_bindgen_futures::spawn_local(async move {
            if let Err(thrown) = read(call, target, is_sound, &shared).await {
                js::log(&js::exception(&thrown).message);
            }
        });
        Ok(Self { state })
    }

    /// The page has that many bytes, and can or can't go on from there.
    pub(super) fn arrived(&self, args: &Array) {
        self.state.arrived.set(args.get(0).as_f64().unwrap_or(0.0));
        if args.get(1).is_truthy() {
            self.state.refresh.set(true);
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.state.over.set(true);
        let _cancelled = method(&self.state.reader, "cancel", &[]);
    }
}

async fn read(call: u32, target: u32, is_sound: bool, state: &Rc<TapState>) -> Result<()> {
    let (mut encoder, mut format): (Option<Codec>, [f64; 2]) = (None, [0.0; 2]);
    loop {
        let got = JsFuture::from(promise(&state.reader, "read", &[])?).await?;
        if Reflect::get(&got, &"done".into())?.is_truthy() || state.over.get() {
            return Ok(());
        }
        let samples = Reflect::get(&got, &"value".into())?;
        let names =
            if is_sound { ["sampleRate", "numberOfChannels"] } else { ["displayWidth", "displayHeight"] };
        let found = names.map(|name| js::number(&samples, name));
        let has_room = state.sent.get() - state.arrived.get() < MOST_ON_THE_WAY
            && encoder.as_ref().is_none_or(|it| js::number(&it.object, "encodeQueueSize") < MOST_QUEUED);
        if has_room {
            let wants_key = state.refresh.replace(false);
            #[expect(
                clippy::float_cmp,
                reason = "these are whole numbers, and the same ones as long as nothing changes"
            )]
            let is_other = found != format;
            if is_other || wants_key || !encoder.as_ref().is_some_and(Codec::is_ready) {
                // A new one begins with what depends on nothing.
                format = found;
                encoder = Some(begin(call, target, is_sound, found, state)?);
            }
            if let Some(encoder) = &encoder {
                method(&encoder.object, "encode", core::slice::from_ref(&samples))?;
            }
        }
        method(&samples, "close", &[])?;
    }
}

/// An encoder whose first chunk carries what the page's decoder has to be told.
fn begin(call: u32, target: u32, is_sound: bool, format: [f64; 2], state: &Rc<TapState>) -> Result<Codec> {
    let [first, second] = format.map(JsValue::from_f64);
    let decoder = if is_sound {
        [("codec", "opus".into()), ("sampleRate", first.clone()), ("numberOfChannels", second.clone())]
    } else {
        [("codec", "vp8".into()), ("codedWidth", first.clone()), ("codedHeight", second.clone())]
    };
    let mut config = Some(object(&decoder)?);
    let shared = Rc::clone(state);
    let output = Output::new(move |chunk: JsValue, _about: JsValue| {
        let mut deliver = || -> Result<()> {
            let bytes = Uint8Array::new_with_length(js::short(js::number(&chunk, "byteLength")));
            method(&chunk, "copyTo", &[bytes.clone().into()])?;
            let detail = object(&[
                ("key", (text(&chunk, "type") == "key").into()),
                ("timestamp", Reflect::get(&chunk, &"timestamp".into())?),
                ("duration", Reflect::get(&chunk, &"duration".into())?),
            ])?;
            if let Some(config) = config.take() {
                Reflect::set(&detail, &"config".into(), &config)?;
            }
            shared.sent.set(shared.sent.get() + f64::from(bytes.length()));
            tell(call, target, "tap.chunk", &detail, bytes.to_vec());
            Ok(())
        };
        if let Err(thrown) = deliver() {
            js::log(&js::exception(&thrown).message);
        }
    });
    let encoder = Codec::new(if is_sound { "AudioEncoder" } else { "VideoEncoder" }, output)?;
    let config = if is_sound {
        object(&[
            ("codec", "opus".into()),
            ("sampleRate", first),
            ("numberOfChannels", second),
            ("bitrate", SOUND_BITS.into()),
        ])?
    } else {
        object(&[
            ("codec", "vp8".into()),
            ("width", first),
            ("height", second),
            ("bitrate", (format[0] * format[1] * PICTURE_BITS).clamp(LEAST_BITS, MOST_BITS).into()),
            ("latencyMode", "realtime".into()),
        ])?
    };
    method(&encoder.object, "configure", &[config.into()])?;
    Ok(encoder)
}

/// A track that the page makes: its samples come encoded.
pub(super) struct Brought {
    is_sound: bool,
    writer: Rc<JsValue>,
    decoder: Option<Codec>,
    last: Rc<RefCell<Last>>,
    _refresh: Option<Interval>,
}

/// The newest picture, and whether it has been written since the last look.
#[derive(Default)]
struct Last {
    frame: Option<JsValue>,
    is_fresh: bool,
}

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(frame) = self.frame.take() {
            let _closed = method(&frame, "close", &[]);
        }
    }
}

impl Brought {
    /// The track, and what fills it.
    pub(super) fn open(kind: &str) -> Result<(JsValue, Self)> {
        let track = construct("MediaStreamTrackGenerator", &object(&[("kind", kind.into())])?.into())?;
        let writer = Rc::new(method(&Reflect::get(&track, &"writable".into())?, "getWriter", &[])?);
        let (last, is_sound) = (Rc::new(RefCell::new(Last::default())), kind == "audio");
        let refresh = (!is_sound).then(|| {
            let (last, writer) = (Rc::clone(&last), Rc::clone(&writer));
            Interval::new(REFRESH_MS, move || {
                let mut last = last.borrow_mut();
                if !core::mem::take(&mut last.is_fresh)
                    && let Some(frame) = &last.frame
                {
                    let _written = again(frame).and_then(|copy| write(&writer, copy));
                }
            })
        });
        Ok((track, Self { is_sound, writer, decoder: None, last, _refresh: refresh }))
    }

    /// Takes a chunk; tells whether the page has to begin anew.
    pub(super) fn take(&mut self, about: &JsValue, data: &[u8]) -> Result {
        let config = Reflect::get(about, &"config".into())?;
        if config.is_object() {
            let (writer, last, is_sound) = (Rc::clone(&self.writer), Rc::clone(&self.last), self.is_sound);
            let output = Output::new(move |samples: JsValue, _: JsValue| {
                if !is_sound && let Ok(copy) = method(&samples, "clone", &[]) {
                    *last.borrow_mut() = Last { frame: Some(copy), is_fresh: true };
                }
                let _written = write(&writer, samples);
            });
            let decoder = Codec::new(if self.is_sound { "AudioDecoder" } else { "VideoDecoder" }, output)?;
            method(&decoder.object, "configure", &[config])?;
            self.decoder = Some(decoder);
        }
        let answer = Object::new();
        match self.decoder.as_ref().filter(|decoder| decoder.is_ready()) {
            Some(decoder) => {
                let is_key = Reflect::get(about, &"key".into())?.is_truthy();
                let init = object(&[
                    ("type", if is_key { "key".into() } else { "delta".into() }),
                    ("timestamp", Reflect::get(about, &"timestamp".into())?),
                    ("data", Uint8Array::from(data).into()),
                ])?;
                let name = if self.is_sound { "EncodedAudioChunk" } else { "EncodedVideoChunk" };
                method(&decoder.object, "decode", &[construct(name, &init)?])?;
            }
            None => {
                Reflect::set(&answer, &"refresh".into(), &JsValue::TRUE)?;
            }
        }
        Ok(answer.into())
    }
}

/// The same picture once more, for now.
fn again(frame: &JsValue) -> Result {
    let constructor: Function = Reflect::get(&js_sys::global(), &"VideoFrame".into())?.dyn_into()?;
    let now = object(&[("timestamp", (js::now_ms() * 1000.0).round().into())])?;
    Reflect::construct(&constructor, &Array::of2(frame, &now))
}

fn write(writer: &JsValue, samples: JsValue) -> Result<()> {
    let written = promise(writer, "write", &[samples])?;
    // A track that has ended takes nothing any more.
    wasm_bindgen_futures::spawn_local(async move {
        let _refused = JsFuture::from(written).await;
    });
    Ok(())
}

impl LiveCall {
    /// A captured track, or one that a connection receives.
    pub(super) fn any_track(&self, target: u32, transceiver: &str) -> Result {
        if transceiver.is_empty() {
            return self.tracks.get(target).map(|live| live.track().clone()).ok_or_else(|| unknown("track"));
        }
        let received = self.connections.get(target).and_then(|live| live.received(transceiver));
        received.ok_or_else(|| unknown("track"))
    }
}
