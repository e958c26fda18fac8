//! Where a picture's element lives: in a popup of its own, or in the layer that a web client's page has over its canvas.

use core::cell::Cell;
use std::rc::Rc;

use wasm_bindgen::JsValue;
use web_sys::{Document, HtmlElement, HtmlVideoElement, Window};

use crate::browser::js;
use crate::machine::limits::MAX_CLIPS;
use crate::machine::window::Place;

/// The document of every popup, next to the engine's page.
const POPUP: &str = "popup.html";

/// How a picture's box in the layer begins. Its place is in pixels of the session; the layer is scaled as the canvas is.
const BOX: &str =
    "position:absolute;left:0;top:0;visibility:hidden;overflow:hidden;contain:strict;transform-origin:0 0";

/// How an inner box begins, which cuts what is in it once more: CSS cuts a box by one outline only.
const CUT: &str = "position:absolute;left:0;top:0;width:100%;height:100%";

/// The layer of a page that the stage is part of.
#[derive(Clone)]
pub(super) struct Layer {
    element: HtmlElement,
    /// Where files of the session are served.
    media: String,
    told: js_sys::Function,
}

impl Layer {
    pub(super) fn new(element: HtmlElement, media: String, told: js_sys::Function) -> Self {
        Self { element, media, told }
    }

    /// Tells the module's JavaScript, which passes it on when nothing of this is running any more.
    pub(super) fn tell(&self, what: &str, value: impl Into<JsValue>) {
        if let Err(thrown) = self.told.call2(&JsValue::NULL, &what.into(), &value.into()) {
            js::log(&js::exception(&thrown).message);
        }
    }

    /// Makes the box of a player.
    fn make(&self) -> Result<Home, JsValue> {
        let window = web_sys::window().ok_or(JsValue::NULL)?;
        let document = window.document().ok_or(JsValue::NULL)?;
        let element: HtmlElement = js::cast(document.create_element("div")?);
        element.style().set_css_text(BOX);
        self.element.append_child(&element)?;
        let mut boxes = vec![element];
        while let Some(outer) = boxes.last().filter(|_| boxes.len() <= MAX_CLIPS) {
            let inner: HtmlElement = js::cast(document.create_element("div")?);
            inner.style().set_css_text(CUT);
            outer.append_child(&inner)?;
            boxes.push(inner);
        }
        Ok(Home::Layer(Boxed { layer: self.clone(), boxes, window, shown: Cell::new(false) }))
    }
}

/// A box in the layer.
pub(super) struct Boxed {
    layer: Layer,
    /// One in the other, the outermost first; the element is in the last.
    boxes: Vec<HtmlElement>,
    window: Window,
    shown: Cell<bool>,
}

/// Where an element lives.
pub(super) enum Home {
    Popup(Window),
    Layer(Boxed),
}

impl Home {
    /// A popup that has yet to load, or, with a layer, a box that is there at once.
    pub(super) fn make(layer: Option<&Layer>, player: u32, width: u32, height: u32) -> Result<Self, String> {
        if let Some(layer) = layer {
            return layer.make().map_err(|thrown| js::exception(&thrown).message);
        }
        let features = format!("popup,width={width},height={height}");
        let name = format!("offstage-{player}");
        let opened = web_sys::window().and_then(|window| {
            window.open_with_url_and_target_and_features(POPUP, &name, &features).ok().flatten()
        });
        opened.map(Self::Popup).ok_or_else(|| "window.open was refused".to_owned())
    }

    /// The window whose clock and animation frames are the element's.
    pub(super) fn window(&self) -> &Window {
        match self {
            Self::Popup(window) => window,
            Self::Layer(boxed) => &boxed.window,
        }
    }

    pub(super) fn document(&self) -> Result<Document, JsValue> {
        self.window().document().ok_or(JsValue::NULL)
    }

    /// What the element is put into.
    pub(super) fn holder(&self) -> Result<HtmlElement, JsValue> {
        match self {
            Self::Popup(window) => {
                window.document().and_then(|document| document.body()).ok_or(JsValue::NULL)
            }
            Self::Layer(boxed) => boxed.boxes.last().cloned().ok_or(JsValue::NULL),
        }
    }

    /// The address of a file of the session's, which the client's server asks the session for.
    pub(super) fn file(&self, name: &str) -> String {
        match self {
            // Beside the popup's own document.
            Self::Popup(_) => format!("media/{name}"),
            Self::Layer(boxed) => format!("{}{name}", boxed.layer.media),
        }
    }

    pub(super) fn layer(&self) -> Option<&Layer> {
        match self {
            Self::Popup(_) => None,
            Self::Layer(boxed) => Some(&boxed.layer),
        }
    }

    /// A window's size is the client's matter.
    pub(super) fn resize(&self, width: u32, height: u32) {
        if let Self::Layer(boxed) = self {
            boxed.set(&[("width", &format!("{width}px")), ("height", &format!("{height}px"))]);
        }
    }

    pub(super) fn place(&self, place: &Place) {
        if let Self::Layer(boxed) = self {
            boxed.set(&[
                ("transform", &format!("translate({}px,{}px)", place.x, place.y)),
                ("visibility", "visible"),
            ]);
            let mut paths = place.paths().into_iter();
            for element in &boxed.boxes {
                set(element, &[("clip-path", &paths.next().unwrap_or_default())]);
            }
            boxed.shown.set(true);
        }
    }

    pub(super) fn hide(&self) {
        if let Self::Layer(boxed) = self {
            boxed.set(&[("visibility", "hidden")]);
            boxed.shown.set(false);
        }
    }

    /// Whether the page shows it.
    pub(super) fn is_shown(&self) -> bool {
        match self {
            Self::Popup(_) => false,
            Self::Layer(boxed) => boxed.shown.get(),
        }
    }

    pub(super) fn close(&self) {
        match self {
            Self::Popup(window) => {
                let _closed = window.close();
            }
            Self::Layer(boxed) => boxed.boxes.iter().take(1).for_each(|element| element.remove()),
        }
    }
}

impl Boxed {
    fn set(&self, rules: &[(&str, &str)]) {
        self.boxes.iter().take(1).for_each(|element| set(element, rules));
    }
}

fn set(element: &HtmlElement, rules: &[(&str, &str)]) {
    for (name, value) in rules {
        if let Err(thrown) = element.style().set_property(name, value) {
            js::log(&js::exception(&thrown).message);
        }
    }
}

/// An element that plays without sound until the person has done something in its tab: browsers let no sound begin by itself there.
#[derive(Default)]
pub(super) struct Silence {
    on: Cell<bool>,
    /// What the session wants.
    muted: Cell<bool>,
}

impl Silence {
    /// What the element is to be, if the session wants it so.
    pub(super) fn muted(&self, wanted: bool) -> bool {
        self.muted.set(wanted);
        wanted || self.on.get()
    }

    pub(super) fn is_on(&self) -> bool {
        self.on.get()
    }

    /// Plays on without sound; the person is to be told.
    pub(super) fn begin(&self, video: &HtmlVideoElement) {
        self.on.set(true);
        video.set_muted(true);
    }

    /// The person has done something.
    pub(super) fn end(&self, video: &HtmlVideoElement) {
        if self.on.replace(false) {
            video.set_muted(self.muted.get());
        }
    }
}

/// Plays; where no sound may begin, without sound.
pub(super) async fn play(
    video: HtmlVideoElement,
    silence: Rc<Silence>,
    layer: Option<Layer>,
) -> Result<(), JsValue> {
    let played = async || wasm_bindgen_futures::JsFuture::from(video.play()?).await.map(drop);
    match (played().await, layer) {
        (Err(thrown), Some(layer))
            if !silence.is_on() && js::exception(&thrown).name == "NotAllowedError" =>
        {
            silence.begin(&video);
            layer.tell("silenced", true);
            played().await
        }
        (result, _) => result,
    }
}
