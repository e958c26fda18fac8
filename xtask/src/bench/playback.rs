//! CPU and memory while a film plays.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use offstage_tests::process::{cpu_seconds_of_tree, memory_bytes_of_tree};
use offstage_tests::session::Session;
use serde_json::{Map, Value, json};

use super::{FILM_FILE, Pair, round};

/// What one browser took.
struct Taken {
    /// Processor cores in use, 1 for one that is busy all the time. All processes of the session's browser, and the bridge that it
    /// started.
    cores: f64,
    /// The same for the device's client and its engine.
    device_cores: f64,
    memory_mb: f64,
}

/// One after the other, while the other one is idle.
pub(super) fn measure(pair: &Pair, url: &str, duration: Duration) -> Result<Map<String, Value>> {
    let native = play(&pair.native, url, duration)?;
    let redirected = play(&pair.redirected, url, duration)?;
    let figures = json!({
        "session_cores_native": round(native.cores),
        "session_cores_redirected": (redirected.cores * 1000.0).round() / 1000.0,
        "session_cpu_ratio": (redirected.cores / native.cores * 1000.0).round() / 1000.0,
        "device_cores_redirected": round(redirected.device_cores),
        "session_memory_mb_native": native.memory_mb.round(),
        "session_memory_mb_redirected": redirected.memory_mb.round(),
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}

fn play(session: &Session, url: &str, duration: Duration) -> Result<Taken> {
    let page = session.first_page()?;
    page.navigate(url)?;
    page.wait_until("globalThis.bench ? true : false", Duration::from_secs(30))?;
    page.evaluate_within(&format!("bench.play({FILM_FILE:?})"), Duration::from_secs(120))?;
    // What starting costs is measured elsewhere.
    page.wait_until("document.querySelector('video').currentTime > 2", Duration::from_secs(60))?;
    let description = session.describe()?;
    let pid = |name: &str| description[name].as_u64().and_then(|pid| u32::try_from(pid).ok());
    let cpu = || {
        let of = |name| pid(name).map_or(0.0, cpu_seconds_of_tree);
        (of("browser_pid"), of("client_pid"))
    };
    let (before, begin) = (cpu(), Instant::now());
    while begin.elapsed() < duration {
        std::thread::park_timeout(duration.saturating_sub(begin.elapsed()));
    }
    let (after, seconds) = (cpu(), begin.elapsed().as_secs_f64());
    if page.evaluate("document.querySelector('video').paused")? != false {
        bail!("the film did not play to the end of the measurement");
    }
    if pid("client_pid").is_some() && session.status()?["redirected"] != 1 {
        bail!("the film was not redirected: {}", session.status()?);
    }
    let memory = pid("browser_pid").map_or(0, memory_bytes_of_tree);
    page.navigate("about:blank")?;
    #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
    let memory_mb = memory as f64 / 1e6;
    Ok(Taken {
        cores: (after.0 - before.0) / seconds,
        device_cores: (after.1 - before.1) / seconds,
        memory_mb,
    })
}
