//! Everything of the window that touches the browser.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo::events::EventListener;
use gloo::timers::future::TimeoutFuture;
use js_sys::{Array, Object, Reflect};
use offstage_view::{Feature, View};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Blob, BlobPropertyBag, Document, Element, HtmlAnchorElement, HtmlElement, HtmlImageElement,
    HtmlInputElement, Url,
};

use crate::text::{bytes, milliseconds};

/// How often the window looks again, in milliseconds.
const AGAIN_MS: u32 = 1000;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["chrome", "runtime"], js_name = sendMessage, catch)]
    async fn send_message(message: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = ["chrome", "tabs"], js_name = query, catch)]
    async fn query_tabs(query: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = ["chrome", "i18n"], js_name = getMessage)]
    fn get_message(name: &str) -> String;
    #[wasm_bindgen(js_namespace = ["chrome", "i18n"], js_name = getMessage)]
    fn get_message_with(name: &str, with: &str) -> String;
    #[wasm_bindgen(js_namespace = ["chrome", "i18n"], js_name = getUILanguage)]
    fn language() -> String;
    #[wasm_bindgen(js_namespace = ["chrome", "permissions"], js_name = request)]
    fn request_permissions(wanted: &JsValue) -> js_sys::Promise;
}

/// Draws the window, and again every second.
#[wasm_bindgen]
pub async fn open() {
    let Some(window) = Popup::new().await else { return };
    let window = Rc::new(window);
    window.listen();
    loop {
        window.draw().await;
        TimeoutFuture::new(AGAIN_MS).await;
    }
}

struct Popup {
    document: Document,
    tab: i32,
    /// What is drawn, so that nothing is drawn anew that is the same: focus and screen readers stay where they are.
    drawn: RefCell<View>,
    /// A switch is on its way.
    busy: Cell<bool>,
    /// The bundle has been asked for.
    ending: Cell<bool>,
    listeners: RefCell<Vec<EventListener>>,
}

impl Popup {
    async fn new() -> Option<Self> {
        let window = web_sys::window()?;
        let document = window.document()?;
        document.document_element()?.set_attribute("lang", &language()).ok()?;
        let texts = document.query_selector_all("[data-text]").ok()?;
        for index in 0..texts.length() {
            let element: HtmlElement = texts.item(index)?.dyn_into().ok()?;
            let name = element.get_attribute("data-text")?;
            element.set_text_content(Some(&get_message(&name)));
        }
        // Named in the address where the window is opened as a page.
        let named =
            window.location().search().ok().and_then(|search| search.strip_prefix("?tab=")?.parse().ok());
        let tab = match named {
            Some(tab) => tab,
            None => tab_in_front().await.unwrap_or(-1),
        };
        Some(Self {
            document,
            tab,
            drawn: RefCell::default(),
            busy: Cell::new(false),
            ending: Cell::new(false),
            listeners: RefCell::default(),
        })
    }

    fn listen(self: &Rc<Self>) {
        for (id, origin) in [
            ("site", None),
            ("videoAllSites", Some("*://*/*")),
            ("callsAllSites", Some("*://*/*")),
            ("callsShareDevice", None),
            ("overlay", None),
            ("outline", None),
        ] {
            let Some(input) = self.find::<HtmlInputElement>(id) else { continue };
            let popup = Rc::clone(self);
            let switch = input.clone();
            let listener = EventListener::new(&input, "change", move |_| {
                let on = switch.checked();
                // The browser asks the person only while the click is fresh; where the permission is there it asks nothing.
                let origin = match (id, origin) {
                    ("site", _) => Some(format!("*://{}/*", popup.drawn.borrow().host)),
                    (_, origin) => origin.map(str::to_owned),
                };
                let asked = origin.filter(|_| on).map(|origin| {
                    request_permissions(&object(&[("origins", Array::of1(&origin.into()).into())]))
                });
                let (call, args) = match id {
                    "site" => ("Site", Array::of2(&popup.tab.into(), &on.into())),
                    key => ("Set", Array::of2(&key.into(), &on.into())),
                };
                let takes_effect =
                    if matches!(id, "overlay" | "outline" | "callsShareDevice") { "" } else { "reload" };
                let popup = Rc::clone(&popup);
                spawn_local(async move { popup.switch(call, args, asked, takes_effect).await });
            });
            self.listeners.borrow_mut().push(listener);
        }
        if let Some(button) = self.find::<HtmlElement>("logs") {
            let popup = Rc::clone(self);
            let listener = EventListener::new(&button, "click", move |_| {
                let popup = Rc::clone(&popup);
                spawn_local(async move { popup.collect().await });
            });
            self.listeners.borrow_mut().push(listener);
        }
    }

    async fn switch(&self, call: &str, args: Array, asked: Option<js_sys::Promise>, takes_effect: &str) {
        self.busy.set(true);
        let allowed = match asked {
            Some(asked) => JsFuture::from(asked).await.is_ok_and(|allowed| allowed.is_truthy()),
            None => true,
        };
        let told = if !allowed {
            get_message("notAllowed")
        } else {
            match ask(call, &args).await {
                Ok(_) => get_message(takes_effect),
                Err(code) => get_message_with("notChanged", &code),
            }
        };
        self.set_text("note", &told);
        self.busy.set(false);
        self.draw().await;
    }

    async fn collect(&self) {
        let begins = !self.drawn.borrow().collecting;
        let answer = ask("Logs", &Array::of1(&begins.into())).await;
        self.ending.set(!begins);
        self.set_text("told", &get_message(if begins { "collecting" } else { "gathering" }));
        if let Ok(bundle) = answer {
            self.save(&bundle);
        }
        self.draw().await;
    }

    /// Saves the bundle once it is there.
    fn save(&self, bundle: &JsValue) {
        let Some(text) = bundle.as_string() else { return };
        self.ending.set(false);
        let parts = Array::of1(&JsValue::from_str(&text));
        let options = BlobPropertyBag::new();
        options.set_type("application/json");
        let correlation = js_sys::JSON::parse(&text)
            .and_then(|bundle| Reflect::get(&bundle, &"correlation".into()))
            .ok()
            .and_then(|id| id.as_string())
            .unwrap_or_default();
        let name = format!("offstage-logs-{correlation}.json");
        let saved = Blob::new_with_str_sequence_and_options(&parts, &options)
            .and_then(|blob| Url::create_object_url_with_blob(&blob))
            .and_then(|url| {
                let link: HtmlAnchorElement = self.document.create_element("a")?.unchecked_into();
                link.set_href(&url);
                link.set_download(&name);
                link.click();
                Url::revoke_object_url(&url)
            });
        if saved.is_ok() {
            self.set_text("told", &get_message_with("saved", &name));
        }
    }

    async fn draw(&self) {
        if self.ending.get()
            && let Ok(bundle) = ask("Logs", &Array::new()).await
        {
            self.save(&bundle);
        }
        if self.busy.get() {
            return;
        }
        // The worker may just be starting.
        let Ok(view) = ask("View", &Array::of1(&self.tab.into())).await else { return };
        let Ok(view) = serde_wasm_bindgen::from_value::<View>(view) else { return };
        let before = self.drawn.replace(view.clone());
        if before == view {
            return;
        }
        if before.state != view.state {
            self.set_text("state", &get_message(&format!("state_{}", view.state)));
            if let Some(icon) = self.find::<HtmlImageElement>("icon") {
                icon.set_src(&format!("../icons/{}-48.png", view.state));
            }
        }
        if before.features != view.features {
            self.fill("features", |list| {
                view.features.iter().try_for_each(|feature| self.feature(list, feature))
            });
        }
        let others = view.switches.iter().map(|named| (named.key.as_str(), named.switch));
        for (id, switch) in [("site", view.site)].into_iter().chain(others) {
            if let Some(input) = self.find::<HtmlInputElement>(id) {
                input.set_checked(switch.on);
                input.set_disabled(switch.locked);
                let without_page = id == "site" && view.host.is_empty();
                self.set_hidden(&format!("{id}-locked"), !switch.locked || without_page);
            }
        }
        for part in ["advanced", "statistics", "effective"] {
            self.set_hidden(part, !view.advanced);
        }
        self.set_text("host", &view.host);
        if before.numbers != view.numbers || before.channel != view.channel {
            self.fill("numbers", |list| self.rows(list, &numbers(&view)));
        }
        if before.versions != view.versions {
            let rows: Vec<(String, String)> = view
                .versions
                .iter()
                .map(|version| {
                    let text = if version.version.is_empty() {
                        get_message("unreachable")
                    } else if version.behind {
                        get_message_with("behind", &version.version)
                    } else {
                        version.version.clone()
                    };
                    (get_message(&format!("part_{}", version.part)), text)
                })
                .collect();
            self.fill("versions", |list| self.rows(list, &rows));
        }
        if before.settings != view.settings {
            self.fill("settings", |table| {
                view.settings.iter().try_for_each(|row| {
                    let line = self.child(table, "tr", "")?;
                    let key = self.child(&line, "th", &row.key)?;
                    key.set_attribute("scope", "row")?;
                    self.child(&line, "td", &row.value)?;
                    self.child(&line, "td", &get_message(&format!("source_{}", row.source)))?;
                    Ok(())
                })
            });
        }
        if before.problems != view.problems {
            self.fill("problems", |list| {
                view.problems.iter().try_for_each(|problem| {
                    self.child(list, "li", &format!("{}: {} ({})", problem.key, problem.text, problem.code))
                        .map(|_| ())
                })
            });
            self.set_hidden("problems", view.problems.is_empty());
        }
        self.set_text("logs", &get_message(if view.collecting { "logsStop" } else { "logsStart" }));
    }

    fn feature(&self, list: &Element, feature: &Feature) -> Result<(), JsValue> {
        let item = self.child(list, "li", "")?;
        item.set_attribute("class", &feature.state)?;
        self.child(&item, "strong", &get_message(&format!("feature_{}", feature.name)))?;
        self.child(&item, "span", &get_message(&format!("is_{}", feature.state)))?;
        if let Some(code) = feature.why {
            let said = ["", "_do"].map(|part| get_message(&format!("OFS_{code}{part}")));
            self.child(&item, "p", &said.join(" "))?;
            self.child(&item, "code", &format!("OFS-{code}"))?;
        }
        Ok(())
    }

    fn rows(&self, list: &Element, rows: &[(String, String)]) -> Result<(), JsValue> {
        for (name, value) in rows {
            self.child(list, "dt", name)?;
            self.child(list, "dd", value)?;
        }
        Ok(())
    }

    fn child(&self, parent: &Element, tag: &str, text: &str) -> Result<Element, JsValue> {
        let child = self.document.create_element(tag)?;
        child.set_text_content(Some(text));
        parent.append_child(&child)?;
        Ok(child)
    }

    fn fill(&self, id: &str, fill: impl FnOnce(&Element) -> Result<(), JsValue>) {
        if let Some(element) = self.find::<Element>(id) {
            element.set_text_content(None);
            // It fails only for names that are none.
            fill(&element).ok();
        }
    }

    fn set_text(&self, id: &str, text: &str) {
        if let Some(element) = self.find::<Element>(id)
            && element.text_content().as_deref() != Some(text)
        {
            element.set_text_content(Some(text));
        }
    }

    fn set_hidden(&self, id: &str, hidden: bool) {
        if let Some(element) = self.find::<HtmlElement>(id) {
            element.set_hidden(hidden);
        }
    }

    fn find<T: JsCast>(&self, id: &str) -> Option<T> {
        self.document.get_element_by_id(id)?.dyn_into().ok()
    }
}

async fn tab_in_front() -> Option<i32> {
    let query = object(&[("active", true.into()), ("currentWindow", true.into())]);
    let tabs: Array = query_tabs(&query).await.ok()?.dyn_into().ok()?;
    let id = Reflect::get(&tabs.get(0), &"id".into()).ok()?.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "the browser's numbers of tabs are small")]
    Some(id as i32)
}

/// Asks the worker; the error is a code, or what the browser says.
async fn ask(call: &str, args: &Array) -> Result<JsValue, String> {
    let message = object(&[("call", call.into()), ("args", args.clone().into())]);
    let answer = send_message(&message).await.map_err(|error| format!("{error:?}"))?;
    let field = |name: &str| Reflect::get(&answer, &name.into()).unwrap_or(JsValue::UNDEFINED);
    match field("error").as_string() {
        Some(error) => Err(error),
        None => Ok(field("value")),
    }
}

fn object(entries: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in entries {
        // A plain object takes everything.
        Reflect::set(&object, &(*name).into(), value).ok();
    }
    object.into()
}

fn numbers(View { numbers, channel, .. }: &View) -> Vec<(String, String)> {
    let none = || "–".to_owned();
    let rows = [
        ("players", numbers.players.to_string()),
        ("shown", numbers.shown.to_string()),
        ("dropped", numbers.dropped.to_string()),
        (
            "drift",
            numbers
                .drift_us
                .map_or_else(none, |[half, most]| format!("{} / {}", milliseconds(half), milliseconds(most))),
        ),
        ("roundTrip", numbers.round_trip_us.map_or_else(none, milliseconds)),
        ("channel", if channel.is_empty() { none() } else { channel.clone() }),
        ("sent", bytes(numbers.sent_bytes)),
        ("received", bytes(numbers.received_bytes)),
    ];
    rows.map(|(name, value)| (get_message(&format!("number_{name}")), value)).into()
}
