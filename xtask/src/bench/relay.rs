//! Bytes a second from a page's `appendBuffer` to its `updateend`, through hook, worker, bridge, client and stage.

use std::time::Duration;

use anyhow::{Context as _, Result};
use offstage_tests::session::Session;
use serde_json::{Map, Value, json};

use super::{FILM_FILE, Pair, median, round};

/// Bytes of each run.
const BYTES: u64 = 64_000_000;
/// Runs of each kind in each of the two.
const RUNS: usize = 3;

/// Once in pieces as players append them (a second of film, each answered before the next), once in pieces as large as a page
/// ever hands over, which shows what the chain itself carries.
pub(super) fn measure(pair: &Pair, url: &str) -> Result<Map<String, Value>> {
    let mut figures = Map::new();
    for (name, pieces) in [("segments", 30), ("large", 2)] {
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..RUNS {
            for (session, rates) in pair.each().into_iter().zip(&mut rates) {
                rates.push(pour(session, url, pieces)?);
            }
        }
        let [native, redirected] = rates.each_mut().map(|rates| round(median(rates)));
        figures.insert(format!("append_mb_s_{name}_native"), json!(native));
        figures.insert(format!("append_mb_s_{name}_redirected"), json!(redirected));
    }
    Ok(figures)
}

/// Megabytes a second.
fn pour(session: &Session, url: &str, pieces: u32) -> Result<f64> {
    let page = session.first_page()?;
    page.navigate(url)?;
    page.wait_until("globalThis.bench ? true : false", Duration::from_secs(30))?;
    let call = format!("bench.pour({FILM_FILE:?}, {BYTES}, {pieces})");
    let answer = page.evaluate_within(&call, Duration::from_secs(180))?;
    let number = |name: &str| answer[name].as_f64().with_context(|| format!("no {name} in {answer}"));
    let rate = number("bytes")? / number("ms")? / 1000.0;
    page.navigate("about:blank")?;
    Ok(rate)
}
