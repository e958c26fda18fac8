//! What is live of a player: its popup or its box in a web client's page, the element in it and the MediaSource in this page.

mod source;

use core::cell::Cell;
use std::rc::Rc;

use gloo::events::EventListener;
use offstage_protocol::message::{Blend, Turn};
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;
use web_sys::{HtmlElement, HtmlVideoElement, MediaSource, Url, Window};

use crate::browser::element::FrameWatch;
use crate::browser::home::{Home, Layer, Silence};
use crate::browser::player::source::LiveBuffer;
use crate::browser::{element, happened, home, js, with_shell};
use crate::machine::event::{Command, Event, Exception, PlaySettings};
use crate::machine::window::Layout;
use crate::table::Table;

/// Later than any media, in seconds.
const END_OF_TIME: f64 = 1e11;

/// The line around a picture that is to have one, drawn inside of it: outside of it is the page.
const OUTLINE: &str = "3px solid #00c853";

/// How the words over a picture look.
const LABEL: &str = "position:absolute;left:0;top:0;box-sizing:border-box;padding:.3em .7em;overflow:hidden;white-space:nowrap;\
    text-overflow:ellipsis;font-family:sans-serif;color:#fff;background:#000c;border-bottom-right-radius:.4em";

/// The live half of a player. Dropping it closes the popup or box and frees the media.
pub(super) struct LivePlayer {
    player: u32,
    home: Home,
    silence: Rc<Silence>,
    source: MediaSource,
    url: String,
    buffers: Table<u32, LiveBuffer>,
    video: Option<HtmlVideoElement>,
    label: Option<HtmlElement>,
    veils: Vec<HtmlElement>,
    frames: Option<FrameWatch>,
    /// Dropped before a popup is closed, so that our own closing is no news.
    listeners: Vec<EventListener>,
    /// Counts the calls of `play()`; only the newest one's result is told.
    plays: Rc<Cell<u32>>,
}

/// Says early that a type cannot play; the buffer itself is added later.
pub(super) fn check_type(player: u32, buffer: u32, mime: &str) {
    if !MediaSource::is_type_supported(mime) {
        let exception = Exception { name: "NotSupportedError".to_owned(), message: mime.to_owned() };
        happened(Event::BufferRefused { player, buffer, exception });
    }
}

impl LivePlayer {
    /// Asks for the popup, or makes a box in the layer. The element follows when a popup's document has loaded.
    pub(super) fn open(layer: Option<&Layer>, player: u32, width: u32, height: u32) -> Option<Self> {
        let gone = |detail: String| {
            happened(Event::WindowGone { player, detail });
            None
        };
        let prepared = MediaSource::new().and_then(|source| {
            let url = Url::create_object_url_with_source(&source)?;
            Ok((source, url))
        });
        let (source, url) = match prepared {
            Ok(prepared) => prepared,
            Err(thrown) => return gone(js::exception(&thrown).message),
        };
        let home = match Home::make(layer, player, width, height) {
            Ok(home) => home,
            Err(detail) => return gone(detail),
        };
        let loaded = match &home {
            Home::Popup(popup) => Some(EventListener::new(popup, "load", move |_| with_shell_later(player))),
            Home::Layer(_) => {
                with_shell_later(player);
                None
            }
        };
        let opened = EventListener::once(&source, "sourceopen", {
            let source = source.clone();
            move |_| {
                // Without a duration only what is buffered could be sought, and other seeks would be ignored without an event; where the
                // page may seek, the session's element knows.
                source.set_live_seekable_range(0.0, END_OF_TIME).ok();
                happened(Event::SourceOpen { player });
            }
        });
        Some(Self {
            player,
            home,
            silence: Rc::default(),
            source,
            url,
            buffers: Table::default(),
            video: None,
            label: None,
            veils: Vec::new(),
            frames: None,
            listeners: loaded.into_iter().chain([opened]).collect(),
            plays: Rc::default(),
        })
    }

    /// What holds the element is there: puts the element into it.
    fn furnish(&mut self) {
        if self.video.is_some() {
            return;
        }
        let player = self.player;
        match self.make_video() {
            Ok(video) => {
                self.listeners.extend(element::watch(player, &video));
                if let Home::Popup(popup) = &self.home {
                    self.listeners.push(EventListener::once(popup, "pagehide", move |_| {
                        happened(Event::WindowGone { player, detail: "the popup was closed".to_owned() });
                    }));
                }
                self.frames = Some(FrameWatch::new(player, &video, self.home.window()));
                self.video = Some(video);
                happened(Event::WindowReady { player });
            }
            Err(thrown) => happened(Event::WindowGone { player, detail: js::exception(&thrown).message }),
        }
    }

    fn make_video(&self) -> Result<HtmlVideoElement, JsValue> {
        let video: HtmlVideoElement = js::cast(self.home.document()?.create_element("video")?);
        let style = video.style();
        for (name, value) in [("position", "absolute"), ("left", "0"), ("top", "0"), ("background", "black")]
        {
            style.set_property(name, value)?;
        }
        for (name, value) in
            [("width", "100%"), ("height", "100%"), ("outline-offset", "-3px"), ("transform-origin", "0 0")]
        {
            style.set_property(name, value)?;
        }
        video.set_src(&self.url);
        self.home.holder()?.append_child(&video)?;
        Ok(video)
    }

    pub(super) fn run(&mut self, command: Command) {
        match command {
            Command::Layout { serial, layout, .. } => self.lay_out(serial, &layout),
            Command::Place { place, .. } => self.home.place(&place),
            Command::Hide { .. } => self.home.hide(),
            Command::Adjust { settings, .. } => self.adjust(settings),
            Command::Seek { to, .. } => self.write("currentTime", to),
            Command::Play { .. } => self.play(),
            Command::Pause { .. } => {
                // The rejection of a play() that this interrupts is no news.
                self.plays.set(self.plays.get().wrapping_add(1));
                if let Some(Err(thrown)) = self.video.as_ref().map(|video| video.pause()) {
                    js::log(&js::exception(&thrown).message);
                }
            }
            Command::Sample { player } => {
                if let Some(video) = &self.video {
                    let moment = crate::machine::event::VideoMoment::Sampled;
                    happened(Event::Video { player, moment, snapshot: element::read(video) });
                }
            }
            Command::WatchFrames { on, .. } => {
                if let Some(frames) = &self.frames {
                    frames.switch(on);
                }
            }
            Command::SetDuration { player, seconds } => {
                if let Err(thrown) = js::write(&self.source, "duration", seconds) {
                    happened(Event::SourceRefused { player, end: false, exception: js::exception(&thrown) });
                }
            }
            Command::OpenFile { resource, extension, .. } => {
                if let Some(video) = &self.video {
                    let dot = if extension.is_empty() { "" } else { "." };
                    video.set_src(&self.home.file(&format!("{}/{resource}{dot}{extension}", self.player)));
                }
            }
            Command::EndOfStream { player } => happened(match self.source.end_of_stream() {
                Ok(()) => {
                    let buffers =
                        self.buffers.iter().map(|(buffer, live)| (buffer, live.snapshot())).collect();
                    Event::SourceEnded { player, buffers }
                }
                Err(thrown) => Event::SourceRefused { player, end: true, exception: js::exception(&thrown) },
            }),
            Command::AddBuffer { player, buffer, mime } => {
                match LiveBuffer::add(&self.source, player, buffer, &mime) {
                    Ok(live) => {
                        self.buffers.insert(buffer, live);
                        happened(Event::BufferAdded { player, buffer });
                    }
                    Err(thrown) => {
                        happened(Event::BufferRefused { player, buffer, exception: js::exception(&thrown) });
                    }
                }
            }
            Command::RemoveBuffer { buffer, .. } => {
                if let Some(live) = self.buffers.remove(buffer) {
                    live.remove_from(&self.source);
                }
            }
            Command::Append { buffer, .. }
            | Command::Remove { buffer, .. }
            | Command::Abort { buffer, .. }
            | Command::ChangeType { buffer, .. } => {
                if let Some(live) = self.buffers.get(buffer) {
                    live.run(command);
                }
            }
            // The shell's own.
            Command::OpenWindow { .. }
            | Command::CloseWindow { .. }
            | Command::CheckType { .. }
            | Command::OpenCall { .. }
            | Command::EndCall { .. }
            | Command::Call(_)
            | Command::PlayTracks(_)
            | Command::Probe { .. }
            | Command::DropProbe { .. }
            | Command::Log { .. } => {}
        }
    }

    /// Plays a stream in place of the MediaSource.
    pub(super) fn show(&self, stream: &web_sys::MediaStream) {
        self.write("srcObject", stream);
    }

    /// Sounds at an output that the page names (`salt` is its site's), or at the default one.
    pub(super) fn sound_at(&self, salt: String, sink: String) {
        let Some(video) = self.video.clone() else { return };
        wasm_bindgen_futures::spawn_local(async move {
            if let Err(thrown) = crate::browser::calls::set_sink(video.into(), salt, sink).await {
                js::log(&js::exception(&thrown).message);
            }
        });
    }

    fn write(&self, name: &str, value: impl Into<JsValue>) {
        if let Some(video) = &self.video
            && let Err(thrown) = js::write(video, name, value)
        {
            js::log(&js::exception(&thrown).message);
        }
    }

    fn adjust(&self, settings: PlaySettings) {
        self.write("preservesPitch", settings.preserves_pitch);
        // Loading anew sets the rate back to the default one.
        self.write("defaultPlaybackRate", settings.rate);
        self.write("playbackRate", settings.rate);
        self.write("volume", settings.volume);
        self.write("muted", self.silence.muted(settings.muted));
    }

    fn play(&self) {
        let Some(video) = &self.video else {
            return;
        };
        let player = self.player;
        let mine = self.plays.get().wrapping_add(1);
        self.plays.set(mine);
        let plays = Rc::clone(&self.plays);
        let playing = home::play(video.clone(), Rc::clone(&self.silence), self.home.layer().cloned());
        wasm_bindgen_futures::spawn_local(async move {
            let result = playing.await;
            if plays.get() == mine {
                happened(match result {
                    Ok(()) => Event::PlayStarted { player },
                    Err(thrown) => Event::PlayRefused { player, exception: js::exception(&thrown) },
                });
            }
        });
    }

    /// The person has done something in the tab: sound may begin.
    pub(super) fn end_silence(&self) {
        if let Some(video) = &self.video {
            self.silence.end(video);
        }
    }

    pub(super) fn is_shown(&self) -> bool {
        self.home.is_shown()
    }

    /// Words over the picture's upper edge; whoever wants none pays for none.
    fn write_label(&mut self, layout: &Layout) -> Result<(), JsValue> {
        if layout.label.is_empty() && self.label.is_none() {
            return Ok(());
        }
        let label = match self.label.take() {
            Some(label) => label,
            None => {
                let label: HtmlElement = js::cast(self.home.document()?.create_element("div")?);
                self.home.holder()?.append_child(&label)?;
                label
            }
        };
        label.set_text_content(Some(&layout.label));
        let size = (layout.height / 30).clamp(12, 32);
        let hidden = if layout.label.is_empty() { "display:none;" } else { "" };
        let style = format!("{hidden}max-width:{}px;font-size:{size}px;{LABEL}", layout.width);
        label.style().set_css_text(&style);
        self.label = Some(label);
        Ok(())
    }

    /// What tints the picture, as the page has it above its video.
    fn lay_veils(&mut self, layout: &Layout) -> Result<(), JsValue> {
        while self.veils.len() > layout.veils.len() {
            if let Some(gone) = self.veils.pop() {
                gone.remove();
            }
        }
        while self.veils.len() < layout.veils.len() {
            let veil: HtmlElement = js::cast(self.home.document()?.create_element("div")?);
            self.home.holder()?.append_child(&veil)?;
            self.veils.push(veil);
        }
        for (element, veil) in self.veils.iter().zip(&layout.veils) {
            let px = |sixteenths: f64| js::decimal(sixteenths / 16.0);
            let [x, y] = [veil.x, veil.y].map(|at| px(f64::from(at)));
            let [width, height] = [veil.width, veil.height].map(|side| px(f64::from(side)));
            let opacity = js::decimal(veil.opacity);
            let style = format!(
                "position:absolute;left:{x}px;top:{y}px;width:{width}px;height:{height}px;opacity:{opacity};\
                 background:{};border-radius:{}",
                veil.background, veil.radius
            );
            element.style().set_css_text(&style);
        }
        Ok(())
    }

    /// The colour behind a picture that lets it through.
    fn paint_ground(&self, colour: &str) {
        let painted = self.home.holder().and_then(|holder| holder.style().set_property("background", colour));
        if let Err(thrown) = painted {
            js::log(&js::exception(&thrown).message);
        }
    }

    fn lay_out(&mut self, serial: u64, layout: &Layout) {
        let Some(video) = &self.video else {
            return;
        };
        self.home.resize(layout.width, layout.height);
        let style = video.style();
        let outline = if layout.outline { OUTLINE } else { "" };
        let [mut width, mut height] = [layout.width, layout.height].map(f64::from);
        let mut transform = String::new();
        if let Some(Turn { width: own_width, height: own_height, a, b, c, d, e, f }) = layout.turn {
            (width, height) = (own_width, own_height);
            let [a, b, c, d, e, f] = [a, b, c, d, e, f].map(js::decimal);
            transform = format!("matrix({a},{b},{c},{d},{e},{f})");
        }
        let mut opacity = String::new();
        if let Some(Blend { opacity: part, ground }) = layout.blend {
            opacity = js::decimal(part);
            self.paint_ground(&format!("#{:06x}", ground & 0x00ff_ffff));
        } else {
            self.paint_ground("");
        }
        let rules = [
            ("width", &*format!("{}px", js::decimal(width))),
            ("height", &format!("{}px", js::decimal(height))),
            ("object-fit", &layout.object_fit),
            ("object-position", &layout.object_position),
            ("outline", outline),
            ("transform", &transform),
            ("opacity", &opacity),
            ("filter", &layout.filter),
        ];
        for (name, value) in rules {
            if let Err(thrown) = style.set_property(name, value) {
                js::log(&js::exception(&thrown).message);
            }
        }
        if let Err(thrown) = self.lay_veils(layout) {
            js::log(&js::exception(&thrown).message);
        }
        if let Err(thrown) = self.write_label(layout) {
            js::log(&js::exception(&thrown).message);
        }
        let player = self.player;
        let window = self.home.window().clone();
        after_frame(&window.clone(), move || {
            after_frame(&window, move || happened(Event::Painted { player, serial }));
        });
    }
}

fn after_frame(window: &Window, action: impl FnOnce() + 'static) {
    let callback = Closure::once_into_js(action);
    if let Err(thrown) = window.request_animation_frame(&js::cast(callback)) {
        js::log(&js::exception(&thrown).message);
    }
}

/// Furnishes what is there now outside of the listener's own borrow.
fn with_shell_later(player: u32) {
    gloo::timers::callback::Timeout::new(0, move || {
        with_shell(|shell| {
            if let Some(live) = shell.players.get_mut(player) {
                live.furnish();
            }
        });
    })
    .forget();
}

impl Drop for LivePlayer {
    fn drop(&mut self) {
        self.listeners.clear();
        if let Some(frames) = &self.frames {
            frames.switch(false);
        }
        self.buffers = Table::default();
        self.plays.set(self.plays.get().wrapping_add(1));
        if let Some(video) = self.video.take() {
            // Frees the decoders at once instead of with the next garbage collection.
            let _paused = video.pause();
            let _removed = video.remove_attribute("src");
            video.load();
            video.remove();
        }
        let _revoked = Url::revoke_object_url(&self.url);
        self.home.close();
    }
}
