//! Time from the player's start to the first frame on the screen.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use offstage_tests::session::Session;
use serde_json::{Map, Value, json};

use super::{Pair, median, round};
use crate::demo::measure::{Strip, first_frame};

/// Alternates between the two, so that what else the machine does hits both.
pub(super) fn measure(pair: &Pair, url: &str, starts: usize) -> Result<Map<String, Value>> {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..starts {
        for (session, times) in pair.each().into_iter().zip(&mut times) {
            times.push(start(session, url)?);
        }
    }
    let [native, redirected] = times.each_mut().map(|times| median(times));
    let figures = json!({
        "ttff_ms_native": round(native),
        "ttff_ms_redirected": round(redirected),
        "ttff_ms_added": round(redirected - native),
        "ttff_ms_each_native": times[0].iter().map(|time| round(*time)).collect::<Vec<_>>(),
        "ttff_ms_each_redirected": times[1].iter().map(|time| round(*time)).collect::<Vec<_>>(),
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}

fn start(session: &Session, url: &str) -> Result<f64> {
    let camera = session.screen().context("the session has no screen")?.camera()?;
    let page = session.first_page()?;
    page.navigate(url)?;
    let strip = Strip::of(&page)?;
    let time = first_frame(&page, &camera, &strip)?;
    // A browser shows the old page until the next one has something: without this the next start would see this picture.
    page.navigate("about:blank")?;
    let end = Instant::now() + Duration::from_secs(20);
    while strip.read(&camera)?.is_some() {
        if Instant::now() > end {
            bail!("the picture stayed on the screen after its page had gone");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(time)
}
