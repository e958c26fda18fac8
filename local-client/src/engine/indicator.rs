//! Shows the person which sites have the device's microphone or camera on or see its screen, in a window that stays above all others, with a button
//! that turns them off.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tokio::sync::watch;

use crate::client::Use;
use crate::engine::chromium::Launch;
use crate::engine::chromium::LaunchError;
use crate::engine::dialog::Dialog;
use crate::engine::dialog::page;
use crate::engine::dialog::site;

const PAGE: &str = include_str!("indicator.html");
/// How long the window may take to come.
const OPEN_LIMIT: Duration = Duration::from_secs(20);
/// Sites that are named; of more, the number is.
const MOST_NAMED: usize = 3;

/// The address of the indicator's page.
#[must_use]
pub fn address(uses: &[Use]) -> String {
    page(PAGE, &shown(uses))
}

fn shown(uses: &[Use]) -> Value {
    let sites: Vec<String> = uses.iter().take(MOST_NAMED).map(|one| site(&one.origin)).collect();
    json!({
        "sites": sites,
        "more": uses.len().saturating_sub(MOST_NAMED),
        "microphone": uses.iter().any(|one| one.microphone),
        "camera": uses.iter().any(|one| one.camera),
        "screen": uses.iter().any(|one| one.screen),
    })
}

/// Shows the indicator until nothing is on any more; `turned_off` is called when the person turns everything off, or closes the
/// window.
///
/// # Errors
/// If the engine does not start, or ends by itself.
pub async fn show(
    launch: &Launch,
    uses: &mut watch::Receiver<Vec<Use>>,
    mut turned_off: impl FnMut(),
) -> Result<(), LaunchError> {
    let opened = tokio::time::timeout(OPEN_LIMIT, Dialog::open(launch)).await;
    let mut dialog = opened.map_err(|_elapsed| LaunchError::Slow)??;
    let pid = dialog.pid();
    // No task of the runtime's: its end would wait for it.
    std::thread::spawn(move || crate::window::above::keep_above(pid));
    let result = loop {
        let now = uses.borrow_and_update().clone();
        if now.is_empty() {
            break Ok(());
        }
        if let Err(error) = dialog.show(&shown(&now)).await {
            break Err(error);
        }
        tokio::select! {
            word = dialog.word() => match word {
                Ok(Some(_)) => turned_off(),
                Ok(None) => {
                    turned_off();
                    break Ok(());
                }
                Err(error) => break Err(error),
            },
            changed = uses.changed() => if changed.is_err() {
                break Ok(());
            },
        }
    };
    dialog.end().await;
    Ok(result?)
}
