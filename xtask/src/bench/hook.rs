//! What hook and relay cost a page that has no video.

use std::time::Duration;

use anyhow::Result;
use offstage_tests::session::Session;
use serde_json::{Map, Value, json};

use super::{Pair, median, round};

/// Loads in each of the two.
const LOADS: usize = 20;

/// Time that the browser itself says it spent in the two scripts, and time to the load event for comparing.
pub(super) fn measure(pair: &Pair, url: &str) -> Result<Map<String, Value>> {
    let mut loads = [Vec::new(), Vec::new()];
    let mut scripts = Vec::new();
    for _ in 0..LOADS {
        for (session, loads) in pair.each().into_iter().zip(&mut loads) {
            loads.push(load_ms(session, url)?);
        }
        scripts.push(script_ms(&pair.redirected, url)?);
    }
    let [native, redirected] = loads.each_mut().map(|times| median(times));
    let figures = json!({
        "hook_ms": round(median(&mut scripts)),
        "empty_page_load_ms_native": round(native),
        "empty_page_load_ms_redirected": round(redirected),
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}

fn load_ms(session: &Session, url: &str) -> Result<f64> {
    let page = session.first_page()?;
    page.navigate(url)?;
    let time = page.evaluate(
        "(({ responseEnd, loadEventStart }) => loadEventStart - responseEnd)(performance.getEntriesByType('navigation')[0])",
    )?;
    Ok(time.as_f64().unwrap_or(f64::NAN))
}

/// Compiling and running the extension's scripts, from the browser's own trace.
fn script_ms(session: &Session, url: &str) -> Result<f64> {
    let page = session.first_page()?;
    let cdp = session.cdp();
    cdp.take_events("")?;
    let categories = json!({ "includedCategories": ["devtools.timeline"], "excludedCategories": ["*"] });
    cdp.call("Tracing.start", json!({ "transferMode": "ReportEvents", "traceConfig": categories }))?;
    page.navigate(url)?;
    cdp.call("Tracing.end", json!({}))?;
    let mut events = Vec::new();
    cdp.wait_event("", Duration::from_secs(30), |event| {
        if event.method == "Tracing.dataCollected" {
            events.extend(event.params["value"].as_array().cloned().unwrap_or_default());
        }
        (event.method == "Tracing.tracingComplete").then_some(())
    })?;
    let micros: f64 = events
        .iter()
        .filter(|event| event["name"] == "EvaluateScript")
        .filter(|event| {
            event["args"]["data"]["url"].as_str().is_some_and(|from| from.starts_with("chrome-extension://"))
        })
        .filter_map(|event| event["dur"].as_f64())
        .sum();
    Ok(micros / 1000.0)
}
