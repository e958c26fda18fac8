//! Calls between two pages over bad lines, and calls that change while they last.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{Before, Ends, PATIENCE, Row, TONE, connect, hear, look_at};
use crate::cdp::Page;
use crate::lossy_path::{Badness, LossyPath};

/// What the page's own media sound, in Hz (`homemade` of call.js).
const HOMEMADE_TONE: f64 = 1000.0;
/// A round trip of 150 ms, and one packet of twenty lost, each way.
const BAD: Badness = Badness { delay: Duration::from_millis(75), lost: 5 };

fn begin(ends: &Ends<'_>, begin: &str) -> Result<(Page, Page)> {
    let (here, there) = (ends.session.open(ends.url)?, ends.other.open(ends.url)?);
    for page in [&here, &there] {
        page.evaluate_within(begin, PATIENCE)?;
    }
    Ok((here, there))
}

fn end(pages: [Page; 2]) -> Result<()> {
    for page in pages {
        page.evaluate("pc.close(); own.srcObject?.getTracks().forEach((track) => track.stop()); 0")?;
        page.close()?;
    }
    Ok(())
}

/// 1280 by 720, both ways.
pub(super) fn large(ends: &mut Ends<'_>, row: &mut Row) -> Result<()> {
    let (before, begun) = (Before::of(ends), Instant::now());
    let (here, there) = begin(ends, "begin({ video: { width: { exact: 1280 }, height: { exact: 720 } } })")?;
    connect(&here, &there, false)?;
    row.setup_ms = begun.elapsed().as_secs_f64() * 1000.0;
    for page in [&here, &there] {
        page.wait_until("theirs.videoWidth === 1280 && theirs.videoHeight === 720", PATIENCE)
            .context("no picture of that size is shown")?;
    }
    row.verified.push(format!("both: 1280x720; there: {:.0} Hz", hear(&there, TONE)?));
    look_at(ends, &here, 1, &before, row)?;
    end([here, there])
}

/// Over a long line that loses packets.
pub(super) fn bad_line(ends: &mut Ends<'_>, row: &mut Row) -> Result<()> {
    let (before, begun) = (Before::of(ends), Instant::now());
    let (here, there) = begin(ends, "begin()")?;
    let path = LossyPath::new(BAD);
    let mut offer = here.evaluate_within("offer(true)", PATIENCE)?;
    offer["sdp"] = json!(path.lead(offer["sdp"].as_str().unwrap_or_default())?);
    let mut answer = there.evaluate_within(&format!("answer({offer})"), PATIENCE)?;
    answer["sdp"] = json!(path.lead(answer["sdp"].as_str().unwrap_or_default())?);
    here.evaluate_within(&format!("accept({answer})"), PATIENCE)?;
    for page in [&here, &there] {
        page.wait_until("pc.connectionState === 'connected' && channel?.readyState === 'open'", PATIENCE)?;
    }
    row.setup_ms = begun.elapsed().as_secs_f64() * 1000.0;
    here.evaluate("for (let i = 0; i < 500; i++) channel.send(`${i}`); 0")?;
    there
        .wait_until("heard.length === 500 && heard.every((text, i) => text === `${i}`)", PATIENCE)
        .context("the channel's messages are lost or out of order")?;
    for page in [&here, &there] {
        page.wait_until("inbound().then((got) => got.video?.frames > 30 && got.audio?.energy > 0)", PATIENCE)
            .context("no frames are decoded")?;
    }
    let heard = hear(&there, TONE)?;
    look_at(ends, &here, 1, &before, row)?;
    // What the session's page is told of the line is the line that it is.
    let told = here.evaluate_within(
        "pc.getStats().then((stats) => { const all = [...stats.values()]; \
         const { currentRoundTripTime } = all.find((one) => one.type === 'candidate-pair' && one.nominated); \
         const lost = all.filter((one) => one.type === 'inbound-rtp').reduce((sum, one) => sum + one.packetsLost, 0); \
         return { trip: currentRoundTripTime, lost }; })",
        PATIENCE,
    )?;
    let (trip, lost) = (told["trip"].as_f64().unwrap_or_default(), told["lost"].as_f64().unwrap_or_default());
    ensure!(trip >= 0.15 && lost > 0.0, "the page is told of another line: {told}");
    row.verified.push(format!(
        "there: {heard:.0} Hz, 500 messages in order; both: frames; here: round trip {:.0} ms, {lost:.0} packets lost",
        trip * 1000.0
    ));
    end([here, there])
}

/// Other media, other paths, more of them and fewer, while it lasts.
pub(super) fn changes(ends: &mut Ends<'_>, row: &mut Row) -> Result<()> {
    let (before, begun) = (Before::of(ends), Instant::now());
    let (here, there) = begin(ends, "begin()")?;
    connect(&here, &there, false)?;
    row.setup_ms = begun.elapsed().as_secs_f64() * 1000.0;
    let place = "pc.localDescription.sdp.match(/ice-ufrag:(.*)/)[1]";
    let first = here.evaluate(place)?;
    here.evaluate("pc.restartIce(); 0")?;
    connect(&here, &there, false)?;
    ensure!(here.evaluate(place)? != first, "the restart has changed nothing");
    hear(&there, TONE).context("after an ICE restart")?;
    here.evaluate_within(
        "(async () => { const made = homemade(); for (const sender of pc.getSenders()) \
         await sender.replaceTrack(made.getTracks().find((track) => track.kind === sender.track.kind)); return 0; })()",
        PATIENCE,
    )?;
    there
        .wait_until("(([r, g, b]) => r > 150 && g < 100 && b < 100)(colour(theirs))", PATIENCE)
        .context("the other picture does not come")?;
    hear(&there, HOMEMADE_TONE).context("the other sound does not come")?;
    // One more, then all pictures less; the other end offers.
    here.evaluate(
        "globalThis.more = pc.addTrack(own.srcObject.getVideoTracks()[0].clone(), own.srcObject); 0",
    )?;
    connect(&here, &there, false)?;
    there
        .wait_until(
            "pc.getReceivers().filter(({ track }) => track.kind === 'video' && !track.muted).length === 2",
            PATIENCE,
        )
        .context("a track more does not come")?;
    here.evaluate(
        "for (const sender of pc.getSenders()) if (sender.track?.kind === 'video') pc.removeTrack(sender); 0",
    )?;
    connect(&there, &here, false)?;
    there
        .wait_until("pc.getReceivers().every(({ track }) => track.kind === 'audio' || track.muted)", PATIENCE)
        .context("tracks that were taken away still come")?;
    look_at(ends, &here, 1, &before, row)?;
    row.verified.push(
        "ICE restart; other sound and picture; a track more, and none; offers from both ends".to_owned(),
    );
    end([here, there])
}

/// How long a sound takes from here to there: the middle of several.
pub(super) fn latency(here: &Page, there: &Page) -> Result<f64> {
    let mut all = Vec::new();
    // Timers of a page in the background tick once a second.
    there.bring_to_front()?;
    there.evaluate_within("listenForOnsets().then(() => 0)", PATIENCE)?;
    there.wait_until("lastLoud > 0", PATIENCE).context("nothing is heard before")?;
    for _ in 0..5 {
        there.evaluate("onset = null; 0")?;
        here.evaluate("own.srcObject.getAudioTracks()[0].enabled = false; 0")?;
        there.wait_until("isQuiet()", PATIENCE).context("it is never quiet")?;
        let began = here.evaluate(
            "own.srcObject.getAudioTracks()[0].enabled = true; performance.timeOrigin + performance.now()",
        )?;
        there.wait_until("onset !== null", PATIENCE).context("no sound comes")?;
        let heard = there.evaluate("onset")?;
        all.push(heard.as_f64().unwrap_or_default() - began.as_f64().unwrap_or_default());
    }
    all.sort_by(f64::total_cmp);
    all.get(2).copied().context("nothing was measured")
}
