//! Asks the person in front of the device whether a site may have microphone and camera, or see a screen.

use serde_json::json;

use crate::client::Question;
use crate::engine::chromium::Launch;
use crate::engine::chromium::LaunchError;
use crate::engine::dialog::Dialog;
use crate::engine::dialog::page;
use crate::engine::dialog::site;

const PAGE: &str = include_str!("question.html");

/// The address of the question's page.
#[must_use]
pub fn address(question: &Question) -> String {
    let asked = json!({
        "site": site(&question.origin),
        "microphone": question.microphone,
        "camera": question.camera,
        "screen": question.screen,
    });
    page(PAGE, &asked)
}

/// Shows the question and waits for the answer. A window that is closed, or does not come, is a no.
///
/// # Errors
/// If the engine does not start, or ends by itself.
pub async fn ask(launch: &Launch) -> Result<bool, LaunchError> {
    let mut dialog = Dialog::open(launch).await?;
    let answer = dialog.word().await;
    dialog.end().await;
    Ok(answer?.as_deref() == Some("allow"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::dialog::MOST_SITE;

    #[test]
    fn whatever_a_site_calls_itself_stays_a_text() {
        let origin = format!("https://</script><script>alert(1)\n\"{}", "x".repeat(300));
        let address = address(&Question { call: 1, origin, microphone: true, camera: false, screen: false });
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
