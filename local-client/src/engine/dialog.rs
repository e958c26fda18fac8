//! A small window on the device's screen: a page in an engine of its own, which ends with it.
//!
//! The page has no connection to anything. It speaks over the debugging pipe.

use serde_json::Value;
use serde_json::json;

use crate::engine::cdp::CdpError;
use crate::engine::chromium::Engine;
use crate::engine::chromium::Launch;
use crate::engine::chromium::LaunchError;
use crate::engine::chromium::Starting;

/// Longest name of a site that is shown.
pub(super) const MOST_SITE: usize = 120;
/// The function that a page speaks with.
const BINDING: &str = "offstageAnswer";

/// A site's name as it is shown.
pub(super) fn site(origin: &str) -> String {
    let site = origin.split_once("://").map_or(origin, |(_, site)| site);
    site.chars().filter(|letter| !letter.is_control()).take(MOST_SITE).collect()
}

/// The address of a page, with what it is to show in place of `/*SHOWN*/{}`.
pub(super) fn page(text: &str, shown: &Value) -> String {
    let page = text.replace("/*SHOWN*/{}", &script(shown));
    let escaped = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let body: String = page.bytes().map(escaped).collect();
    format!("data:text/html;charset=utf-8,{body}")
}

/// A value as a script's text: no text may end the script.
fn script(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

/// A window that is open.
#[derive(Debug)]
pub struct Dialog {
    engine: Engine,
    /// The window's target, and the debugging session with it.
    window: String,
    session: String,
}

impl Dialog {
    /// Starts the engine and waits for its window.
    ///
    /// # Errors
    /// If the engine does not start, or ends by itself.
    pub async fn open(launch: &Launch) -> Result<Self, LaunchError> {
        let mut engine = Starting::spawn(launch)?.begin();
        let (window, session) = attach(&mut engine).await?;
        Ok(Self { engine, window, session })
    }

    /// The engine's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.engine.pid()
    }

    /// The next word of the page's; nothing if its window is closed.
    ///
    /// # Errors
    /// If the engine ends by itself.
    pub async fn word(&mut self) -> Result<Option<String>, CdpError> {
        loop {
            let event = self.engine.cdp().event().await?;
            match event.method.as_str() {
                "Runtime.bindingCalled" => return Ok(text(&event.params, "payload")),
                "Target.targetDestroyed"
                    if text(&event.params, "targetId").as_ref() == Some(&self.window) =>
                {
                    return Ok(None);
                }
                _ => {}
            }
        }
    }

    /// Gives the page's function `show` something else to show.
    ///
    /// # Errors
    /// If the engine ends by itself.
    pub async fn show(&mut self, shown: &Value) -> Result<(), CdpError> {
        let run = json!({ "expression": format!("show({})", script(shown)) });
        self.engine.cdp().call("Runtime.evaluate", run, Some(&self.session)).await.map(drop)
    }

    /// Closes the window.
    pub async fn end(self) {
        self.engine.end().await;
    }
}

async fn attach(engine: &mut Engine) -> Result<(String, String), CdpError> {
    let cdp = engine.cdp();
    cdp.call("Target.setDiscoverTargets", json!({ "discover": true }), None).await?;
    loop {
        let event = cdp.event().await?;
        let info = event.params.get("targetInfo").unwrap_or(&Value::Null);
        let is_page = text(info, "type").as_deref() == Some("page");
        if !is_page || text(info, "url").is_none_or(|url| !url.starts_with("data:")) {
            continue;
        }
        let window = text(info, "targetId").ok_or(CdpError::Incomplete("Target.targetCreated"))?;
        let to = json!({ "targetId": window, "flatten": true });
        let attached = cdp.call("Target.attachToTarget", to, None).await?;
        let session = text(&attached, "sessionId").ok_or(CdpError::Incomplete("Target.attachToTarget"))?;
        cdp.call("Runtime.enable", json!({}), Some(&session)).await?;
        cdp.call("Runtime.addBinding", json!({ "name": BINDING }), Some(&session)).await?;
        return Ok((window, session));
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}
