//! A tab of the browser under test.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use serde_json::{Value, json};

use super::{CALL_TIMEOUT, Cdp};

/// A tab, attached and with its `Page` and `Runtime` events switched on.
#[derive(Clone, Debug)]
pub struct Page {
    cdp: Cdp,
    target: String,
    session: String,
}

impl Page {
    /// Opens a new tab at `url` and waits for its load event.
    pub fn open(cdp: &Cdp, url: &str) -> Result<Self> {
        let page = Self::open_blank(cdp)?;
        page.navigate(url)?;
        Ok(page)
    }

    /// Opens a new empty tab, for a caller that wants to prepare it before the first navigation.
    pub fn open_blank(cdp: &Cdp) -> Result<Self> {
        let answer = cdp.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        Self::attach(cdp, answer["targetId"].as_str().context("no targetId")?)
    }

    /// Attaches to an existing target.
    pub fn attach(cdp: &Cdp, target: &str) -> Result<Self> {
        let session = cdp.attach(target)?;
        let page = Self { cdp: cdp.clone(), target: target.to_owned(), session };
        page.call("Page.enable", json!({}))?;
        page.call("Runtime.enable", json!({}))?;
        Ok(page)
    }

    /// The connection that this tab is spoken to through.
    #[must_use]
    pub fn cdp(&self) -> &Cdp {
        &self.cdp
    }

    /// The session's name, for [`Cdp::call_in`] and [`Cdp::wait_event`].
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The target's id.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Calls a method of the protocol in this tab.
    pub fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.cdp.call_in(&self.session, method, params, CALL_TIMEOUT)
    }

    /// Goes to `url` and waits for the load event.
    pub fn navigate(&self, url: &str) -> Result<()> {
        self.cdp.take_events(&self.session)?;
        let answer = self.call("Page.navigate", json!({ "url": url }))?;
        if let Some(text) = answer["errorText"].as_str() {
            bail!("cannot open {url}: {text}");
        }
        self.cdp.wait_event(&self.session, CALL_TIMEOUT, |event| {
            (event.method == "Page.loadEventFired").then_some(())
        })
    }

    /// Evaluates `expression` in the page's own world; promises are awaited.
    pub fn evaluate(&self, expression: &str) -> Result<Value> {
        self.evaluate_within(expression, CALL_TIMEOUT)
    }

    /// [`Self::evaluate`], but the page is none that somebody has done something in: no sound begins there, no popup opens.
    pub fn evaluate_untouched(&self, expression: &str) -> Result<Value> {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", params)?;
        if let Some(details) = answer.get("exceptionDetails") {
            bail!("the script threw: {details}");
        }
        Ok(answer["result"]["value"].clone())
    }

    /// [`Self::wait_until`] by [`Self::evaluate_untouched`].
    pub fn wait_until_untouched(&self, expression: &str, timeout: Duration) -> Result<Value> {
        Self::wait_for(|| self.evaluate_untouched(expression), expression, timeout)
    }

    /// [`Self::evaluate`] with a time limit of the caller's choice.
    pub fn evaluate_within(&self, expression: &str, timeout: Duration) -> Result<Value> {
        self.cdp.evaluate_in(&self.session, expression, timeout)
    }

    /// Evaluates `expression` in a world of its own: it sees the document, but no script of the page or of an extension sees what
    /// it does.
    pub fn evaluate_unseen(&self, expression: &str) -> Result<Value> {
        let frame = self.call("Page.getFrameTree", json!({}))?["frameTree"]["frame"]["id"].clone();
        let world =
            self.call("Page.createIsolatedWorld", json!({ "frameId": frame, "worldName": "unseen" }))?;
        let context = world["executionContextId"].clone();
        let params = json!({ "expression": expression, "contextId": context, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", params)?;
        if let Some(details) = answer.get("exceptionDetails") {
            bail!("the script threw: {details}");
        }
        Ok(answer["result"]["value"].clone())
    }

    /// Evaluates `expression` until its value is true (as JavaScript sees it) and returns that value.
    pub fn wait_until(&self, expression: &str, timeout: Duration) -> Result<Value> {
        Self::wait_for(|| self.evaluate(expression), expression, timeout)
    }

    /// [`Self::wait_until`] in a world of its own.
    pub fn wait_until_unseen(&self, expression: &str, timeout: Duration) -> Result<Value> {
        Self::wait_for(|| self.evaluate_unseen(expression), expression, timeout)
    }

    fn wait_for(evaluate: impl Fn() -> Result<Value>, expression: &str, timeout: Duration) -> Result<Value> {
        let end = Instant::now() + timeout;
        loop {
            let value = evaluate()?;
            let is_true = match &value {
                Value::Null => false,
                Value::Bool(value) => *value,
                Value::Number(number) => number.as_f64() != Some(0.0),
                Value::String(text) => !text.is_empty(),
                Value::Array(_) | Value::Object(_) => true,
            };
            if is_true {
                return Ok(value);
            }
            if Instant::now() >= end {
                bail!("not true within {} s: {expression}", timeout.as_secs_f32());
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Runs `source` in every document of this tab before the document's own scripts.
    pub fn add_init_script(&self, source: &str) -> Result<()> {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source })).map(drop)
    }

    /// What the browser itself drew, as PNG. The overlay is not in it: that one is on the screen only.
    pub fn screenshot_png(&self) -> Result<Vec<u8>> {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }))?;
        let data = answer["data"].as_str().context("no picture")?;
        Ok(base64::engine::general_purpose::STANDARD.decode(data)?)
    }

    /// Makes its tab the one in front, the only one that a browser draws.
    pub fn bring_to_front(&self) -> Result<()> {
        self.call("Page.bringToFront", json!({})).map(drop)
    }

    /// A real click with the left button at `x`, `y` in CSS pixels of the viewport.
    pub fn click(&self, x: f64, y: f64) -> Result<()> {
        for (kind, button, buttons) in
            [("mouseMoved", "none", 0), ("mousePressed", "left", 1), ("mouseReleased", "left", 0)]
        {
            self.call(
                "Input.dispatchMouseEvent",
                json!({ "type": kind, "x": x, "y": y, "button": button, "buttons": buttons, "clickCount": 1 }),
            )?;
        }
        Ok(())
    }

    /// Closes the tab.
    pub fn close(self) -> Result<()> {
        self.cdp.call("Target.closeTarget", json!({ "targetId": self.target })).map(drop)
    }
}
