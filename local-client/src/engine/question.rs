//! Asks the person in front of the device: a small window of an engine of its own, which ends with the answer.
//!
//! The window's page has no connection to anything. It answers over the debugging pipe.

use serde_json::Value;
use serde_json::json;

use crate::client::Question;
use crate::engine::cdp::CdpError;
use crate::engine::chromium::Engine;
use crate::engine::chromium::Launch;
use crate::engine::chromium::LaunchError;
use crate::engine::chromium::Starting;

const PAGE: &str = include_str!("question.html");
/// Longest name of a site that is shown.
const MOST_SITE: usize = 120;

/// The address of the question's page.
#[must_use]
pub fn address(question: &Question) -> String {
    let site = question.origin.split_once("://").map_or(question.origin.as_str(), |(_, site)| site);
    let site: String = site.chars().filter(|letter| !letter.is_control()).take(MOST_SITE).collect();
    let asked = json!({ "site": site, "microphone": question.microphone, "camera": question.camera });
    // In a script no text may end the script.
    let page = PAGE.replace("/*ASKED*/{}", &asked.to_string().replace('<', "\\u003c"));
    let escaped = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let body: String = page.bytes().map(escaped).collect();
    format!("data:text/html;charset=utf-8,{body}")
}

/// Shows the question and waits for the answer. A window that is closed, or does not come, is a no.
///
/// # Errors
/// If the engine does not start, or ends by itself.
pub async fn ask(launch: &Launch) -> Result<bool, LaunchError> {
    let mut engine = Starting::spawn(launch)?.begin();
    let answer = answer(&mut engine).await;
    engine.end().await;
    Ok(answer?)
}

/// The function that the page answers with.
const BINDING: &str = "offstageAnswer";

async fn answer(engine: &mut Engine) -> Result<bool, CdpError> {
    let cdp = engine.cdp();
    cdp.call("Target.setDiscoverTargets", json!({ "discover": true }), None).await?;
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut window = None;
    loop {
        let event = cdp.event().await?;
        let info = event.params.get("targetInfo").unwrap_or(&Value::Null);
        let is_page = text(info, "type").as_deref() == Some("page");
        if window.is_none() && is_page && text(info, "url").is_some_and(|url| url.starts_with("data:")) {
            window = text(info, "targetId");
            let to = json!({ "targetId": window, "flatten": true });
            let attached = cdp.call("Target.attachToTarget", to, None).await?;
            let session =
                text(&attached, "sessionId").ok_or(CdpError::Incomplete("Target.attachToTarget"))?;
            cdp.call("Runtime.enable", json!({}), Some(&session)).await?;
            cdp.call("Runtime.addBinding", json!({ "name": BINDING }), Some(&session)).await?;
        }
        match event.method.as_str() {
            "Runtime.bindingCalled" => return Ok(text(&event.params, "payload").as_deref() == Some("allow")),
            "Target.targetDestroyed" if window.is_some() && text(&event.params, "targetId") == window => {
                return Ok(false);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_site_calls_itself_stays_a_text() {
        let origin = format!("https://</script><script>alert(1)\n\"{}", "x".repeat(300));
        let address = address(&Question { call: 1, origin, microphone: true, camera: false });
        let body = address.strip_prefix("data:text/html;charset=utf-8,").unwrap();
        assert!(body.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'%'));
        let bytes: Vec<u8> = body
            .split('%')
            .enumerate()
            .flat_map(|(at, part)| {
                let (code, rest) = part.split_at(if at == 0 { 0 } else { 2 });
                let byte = u8::from_str_radix(code, 16).ok();
                byte.into_iter().chain(rest.bytes()).collect::<Vec<_>>()
            })
            .collect();
        let page = String::from_utf8(bytes).unwrap();
        assert_eq!(page.matches("</script>").count(), 1);
        assert!(page.contains(r#""site":"\u003c/script>\u003cscript>alert(1)\""#), "{page}");
        assert!(!page.contains(&"x".repeat(MOST_SITE)));
    }
}
