//! Calls with other people's programs: libraries of pages, servers, peers.

use std::f64::consts::TAU;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Before, Ends, FAKE_SIZE, PATIENCE, Row, TONE, connect, hear, look_at};
use crate::cdp::Page;
use crate::services::{Peer, Service, janus, telephone, turn};
use crate::session::Session;

/// What the other ends sound, in Hz: tests/calls/peer.py, and the telephone.
const PEER_TONE: f64 = 700.0;
const PHONE_TONE: f64 = 600.0;

/// A page of `call.html` that has loaded a library.
fn open_with(session: &Session, url: &str, client: &str) -> Result<Page> {
    let page = session.open(&format!("{url}?client={client}"))?;
    page.evaluate_within("ready.then(() => 0)", PATIENCE)
        .context("`cargo xtask calls` makes the libraries of pages")?;
    Ok(page)
}

fn close(page: Page) -> Result<()> {
    page.evaluate("pc?.close(); own.srcObject?.getTracks().forEach((track) => track.stop()); 0")?;
    page.close()
}

fn wait_shown(page: &Page) -> Result<()> {
    let [width, height] = FAKE_SIZE;
    page.wait_until(&format!("theirs.videoWidth === {width} && theirs.videoHeight === {height}"), PATIENCE)
        .context("no picture is shown")?;
    Ok(())
}

/// adapter.js, callbacks, `webkitRTCPeerConnection`, `addStream`, `onaddstream`.
pub(super) fn old_forms(ends: &mut Ends<'_>, row: &mut Row) -> Result<()> {
    let here = open_with(ends.session, ends.url, "adapter")?;
    let there = ends.other.open(ends.url)?;
    let (before, begun) = (Before::of(ends), Instant::now());
    here.evaluate_within("beginOld()", PATIENCE)?;
    there.evaluate_within("begin()", PATIENCE)?;
    let offer = here.evaluate_within("offerOld()", PATIENCE)?;
    let answer = there.evaluate_within(&format!("answer({offer})"), PATIENCE)?;
    here.evaluate_within(&format!("acceptOld({answer})"), PATIENCE)?;
    for page in [&here, &there] {
        page.wait_until("pc.connectionState === 'connected'", PATIENCE)?;
        wait_shown(page)?;
    }
    row.setup_ms = begun.elapsed().as_secs_f64() * 1000.0;
    let told = here.evaluate("log.join()")?;
    ensure!(told == "addstream,adapter chrome", "the old events are {told}");
    row.verified.push(format!("there: {:.0} Hz; both: picture; onaddstream", hear(&there, TONE)?));
    look_at(ends, &here, 1, &before, row)?;
    close(here)?;
    close(there)
}

/// All packets go through a TURN server.
pub(super) fn relay(ends: &mut Ends<'_>, row: &mut Row) -> Result<()> {
    let server = turn()?;
    let (here, there) = (ends.session.open(ends.url)?, ends.other.open(ends.url)?);
    let (before, begun) = (Before::of(ends), Instant::now());
    let begin = format!(
        "begin({{ config: {{ iceTransportPolicy: 'relay', iceServers: [{{ urls: 'turn:127.0.0.1:{}?transport=udp', \
         username: 'person', credential: 'secret' }}] }} }})",
        server.port
    );
    for page in [&here, &there] {
        page.evaluate_within(&begin, PATIENCE)?;
    }
    connect(&here, &there, false)?;
    row.setup_ms = begun.elapsed().as_secs_f64() * 1000.0;
    for page in [&here, &there] {
        wait_shown(page)?;
    }
    let pair = here.evaluate_within(
        "pc.getStats().then((stats) => { const all = [...stats.values()]; \
         const { selectedCandidatePairId } = all.find((one) => one.type === 'transport'); \
         const pair = stats.get(selectedCandidatePairId); \
         return [pair.localCandidateId, pair.remoteCandidateId].map((id) => stats.get(id).candidateType).join(); })",
        PATIENCE,
    )?;
    ensure!(pair == "relay,relay", "the pair in use is {pair}");
    row.verified.push(format!("there: {:.0} Hz; both: picture; candidates {pair}", hear(&there, TONE)?));
    look_at(ends, &here, 1, &before, row)?;
    close(here)?;
    close(there)
}

/// An end that is no browser.
pub(super) fn aiortc(ends: &mut Ends<'_>, row: &mut Row) -> Result<()> {
    let here = ends.session.open(ends.url)?;
    let (before, begun) = (Before::of(ends), Instant::now());
    here.evaluate_within("begin()", PATIENCE)?;
    let offer = here.evaluate_within("offer(true)", PATIENCE)?;
    let mut peer = Peer::start(&offer)?;
    here.evaluate_within(&format!("accept({})", peer.answer), PATIENCE)?;
    here.wait_until("pc.connectionState === 'connected' && channel.readyState === 'open'", PATIENCE)?;
    row.setup_ms = begun.elapsed().as_secs_f64() * 1000.0;
    here.evaluate("channel.send('hello'); 0")?;
    here.wait_until("heard.join() === 'hello'", PATIENCE).context("the channel's echo")?;
    let [width, height] = FAKE_SIZE.map(f64::from);
    let got = peer.wait_for(|got| {
        let number = |name: &str| got[name].as_f64().unwrap_or_default();
        (number("hertz") - TONE).abs() < 15.0
            && (number("width"), number("height")) == (width, height)
            && number("green") > 0.3
    })?;
    row.verified.push(format!("aiortc: {got}"));
    here.wait_until("theirs.videoWidth === 320", PATIENCE).context("no picture is shown")?;
    look_at(ends, &here, 1, &before, row)?;
    let heard = hear(&here, PEER_TONE)?;
    here.wait_until("(([r, g, b]) => b > 150 && r < 100 && g < 100)(colour(theirs))", PATIENCE)
        .context("the picture is not blue")?;
    row.verified.push(format!("here: {heard:.0} Hz, a blue picture; the channel's echo"));
    close(here)
}

fn join(page: &Page, server: &Service, name: &str, simulcast: bool) -> Result<()> {
    let join = format!(
        "joinRoom({{ server: 'ws://127.0.0.1:{}', room: 1, name: '{name}', simulcast: {simulcast} }}).then(() => 0)",
        server.port
    );
    page.evaluate_within(&join, PATIENCE)?;
    Ok(())
}

/// Three in a room.
pub(super) fn conference(ends: &mut Ends<'_>, row: &mut Row) -> Result<()> {
    let server = janus()?;
    let here = open_with(ends.session, ends.url, "janus")?;
    let others = [open_with(ends.other, ends.url, "janus")?, open_with(ends.other, ends.url, "janus")?];
    let (before, begun) = (Before::of(ends), Instant::now());
    join(&here, &server, "here", false)?;
    here.wait_until("pc.connectionState === 'connected'", PATIENCE)?;
    row.setup_ms = begun.elapsed().as_secs_f64() * 1000.0;
    for (page, name) in others.iter().zip(["first", "second"]) {
        join(page, &server, name, false)?;
    }
    for page in others.iter().chain([&here]) {
        // A browser draws the page in front only.
        page.bring_to_front()?;
        page.wait_until("seen().then((count) => count === 2)", PATIENCE)
            .context("two others are not seen")?;
    }
    let tile =
        "[...tiles.values()].find((tile) => tile.video.srcObject.getAudioTracks().length).video.srcObject";
    let tone = others[1].evaluate_within(&format!("tone({tile})"), PATIENCE)?;
    let hertz = tone["hertz"].as_f64().unwrap_or_default();
    ensure!((hertz - TONE).abs() < 15.0, "a tone of {TONE} Hz is heard as {tone}");
    row.verified.push(format!("each of three sees and hears two; {hertz:.0} Hz"));
    look_at(ends, &here, 3, &before, row)?;
    // One goes.
    let [first, second] = others;
    first.evaluate_within("leave().then(() => 0)", PATIENCE)?;
    here.wait_until("document.querySelectorAll('video[id^=tile]').length === 1", PATIENCE)
        .context("one who left is still there")?;
    here.evaluate_within("leave().then(() => 0)", PATIENCE)?;
    close(first)?;
    close(second)?;
    close(here)
}

/// The session's page sends a picture in several sizes, and the server passes on the one that the other end wants.
pub(super) fn simulcast(ends: &mut Ends<'_>, row: &mut Row) -> Result<()> {
    let server = janus()?;
    let here = open_with(ends.session, ends.url, "janus")?;
    let there = open_with(ends.other, ends.url, "janus")?;
    let (before, begun) = (Before::of(ends), Instant::now());
    join(&here, &server, "here", true)?;
    here.wait_until("pc.connectionState === 'connected'", PATIENCE)?;
    row.setup_ms = begun.elapsed().as_secs_f64() * 1000.0;
    join(&there, &server, "there", false)?;
    there.bring_to_front()?;
    there.wait_until("seen().then((count) => count === 1)", PATIENCE).context("nobody is seen")?;
    let mut widths = Vec::new();
    for (layer, width) in [(0, 320), (1, 640), (2, 1280), (0, 320)] {
        there.evaluate(&format!("[...tiles.values()][0].choose({layer}); 0"))?;
        there
            .wait_until(&format!("[...tiles.values()][0].video.videoWidth === {width}"), PATIENCE)
            .with_context(|| format!("layer {layer} does not come"))?;
        widths.push(width);
    }
    let sent = here.evaluate_within(
        "pc.getStats().then((stats) => [...stats.values()].filter((one) => one.type === 'outbound-rtp' && one.rid && \
         one.framesSent > 0).map((one) => one.rid).sort().join())",
        PATIENCE,
    )?;
    ensure!(sent == "h,l,m", "layers that are sent: {sent}");
    row.verified.push(format!("there: {widths:?} wide as chosen; rids {sent}"));
    look_at(ends, &here, 2, &before, row)?;
    close(here)?;
    close(there)
}

pub(super) fn jssip(ends: &mut Ends<'_>, row: &mut Row) -> Result<()> {
    phone(ends, row, "jssip")
}

pub(super) fn sipjs(ends: &mut Ends<'_>, row: &mut Row) -> Result<()> {
    phone(ends, row, "sipjs")
}

/// A page calls a telephone.
fn phone(ends: &mut Ends<'_>, row: &mut Row, client: &str) -> Result<()> {
    let mut server = telephone()?;
    let here = open_with(ends.session, ends.url, client)?;
    let (before, begun) = (Before::of(ends), Instant::now());
    let dial = format!(
        "dial({{ server: 'ws://127.0.0.1:{}', target: 'sip:phone@offstage.test' }}).then(() => 0)",
        server.port
    );
    here.evaluate_within(&dial, PATIENCE)?;
    here.wait_until("pc.connectionState === 'connected'", PATIENCE)?;
    row.setup_ms = begun.elapsed().as_secs_f64() * 1000.0;
    here.wait_until("inbound().then((got) => got.audio?.energy > 0)", PATIENCE)
        .context("nothing is to be heard")?;
    here.evaluate("keys('19'); 0")?;
    server.wait_keys("19")?;
    look_at(ends, &here, 1, &before, row)?;
    let heard = hear(&here, PHONE_TONE)?;
    here.evaluate_within("Promise.resolve(hangUp()).then(() => 0)", PATIENCE)?;
    let there = loudest(&server.heard()?)?;
    ensure!((there - TONE).abs() < 15.0, "the telephone hears {there} Hz");
    row.verified.push(format!("here: {heard:.0} Hz; telephone: {there:.0} Hz, keys 1 9"));
    close(here)
}

/// The strongest frequency of the last second of a WAV file with one channel of 16 bits, in Hz.
fn loudest(file: &[u8]) -> Result<f64> {
    let number = |at: usize| file.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let (Some(rate), Some(samples)) = (number(24).filter(|rate| *rate > 0), file.get(44..)) else {
        bail!("no sound has arrived: {} bytes", file.len());
    };
    let samples: Vec<_> =
        samples.chunks_exact(2).map(|b| f64::from(i16::from_le_bytes([b[0], b[1]]))).collect();
    let second = samples.len().checked_sub(rate as usize).context("less than a second has arrived")?;
    let power = |hertz: u32| {
        let step = f64::from(hertz) * TAU / f64::from(rate);
        let (sine, cosine) = (0_u32..).zip(&samples[second..]).fold((0.0, 0.0), |(s, c), (at, sample)| {
            let phase = f64::from(at) * step;
            (sample.mul_add(phase.sin(), s), sample.mul_add(phase.cos(), c))
        });
        sine.hypot(cosine)
    };
    let best = (100..1000).step_by(5).max_by(|a, b| power(*a).total_cmp(&power(*b)));
    Ok(f64::from(best.unwrap_or_default()))
}
