//! The picture looks as if the session's browser had drawn it: a good part of what `cargo xtask geometry` looks at.

use std::time::{Duration, Instant};

use offstage_tests::geometry::{
    Case, Row, Stage, WINDOWS, blinks, cases, run, run_docked, run_window, scrolls,
};
use offstage_tests::session::Installation;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Of the cases, what is looked at again at fractional scale factors.
const FRACTIONS: [&str; 15] = [
    "plain",
    "at half pixels",
    "border and padding",
    "object-fit contain",
    "in nested scroll containers",
    "reaching out at the right and at the bottom",
    "control bar",
    "badge that lets the pointer through",
    "scrim behind controls",
    "veil of a gradient, translucent",
    "scaled about a corner, at thirds",
    "rotated about a corner",
    "rotated twice",
    "frame, rotated 8deg",
    "zoom 110%, radius and rotated",
];

fn check(scale: f64, wanted: impl Fn(&Case) -> bool, windows: bool) {
    let keep = std::env::var_os("OFFSTAGE_SCREENSHOTS").map(std::path::PathBuf::from);
    let mut stage = Stage::open(&Installation::from_env().unwrap(), scale, keep.as_deref()).unwrap();
    let mut rows: Vec<Row> = Vec::new();
    for case in cases().iter().filter(|case| case.scales.contains(&scale) && wanted(case)) {
        rows.push(run(&mut stage, case));
    }
    for case in WINDOWS.iter().filter(|_| windows) {
        rows.push(run_window(&mut stage, case));
    }
    stage.session.close();
    let bad = rows.iter().filter(|row| !row.is_ok());
    let bad: Vec<String> = bad.map(|row| format!("{}: {}", row.name, row.status)).collect();
    assert!(bad.is_empty(), "at {scale}:\n{}", bad.join("\n"));
}

#[test]
fn every_layout_looks_as_natively() {
    check(1.0, |_| true, true);
}

#[test]
fn pictures_and_overlays_are_exact_at_fractional_scale_factors() {
    for scale in [1.25, 1.5, 1.75, 2.0] {
        check(scale, |case| FRACTIONS.contains(&case.name), false);
    }
}

#[test]
fn pictures_are_exact_beside_what_is_docked_in_the_window() {
    let rows = run_docked(&Installation::from_env().unwrap(), None, |_, _| true).unwrap();
    let bad: Vec<&Row> = rows.iter().filter(|row| !row.is_ok()).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

/// Frames by which the picture may be beside a page that scrolls, in half of them and in all but the worst, and the share, in percent, in which
/// it may be broken or not there: what a busy machine makes of one, two and none.
const USUAL_LAG: usize = 3;
const WORST_LAG: usize = 10;
const MISSING: usize = 15;

#[test]
fn the_picture_follows_a_page_that_scrolls() {
    let mut stage = Stage::open(&Installation::from_env().unwrap(), 1.0, None).unwrap();
    for row in scrolls(&mut stage, true).unwrap() {
        assert!(row.moving > row.frames / 4, "{row:#?}");
        assert!(row.lag_frames_p50 <= USUAL_LAG && row.lag_frames_p99 <= WORST_LAG, "{row:#?}");
        assert!((row.broken_frames + row.hidden_frames) * 100 <= row.frames * MISSING, "{row:#?}");
    }
    stage.session.close();
}

/// The most frames that an element may be dark when a page begins: what a busy machine makes of none. Without waiting for the device's
/// picture it was four on an idle one.
const DARK: usize = 2;

#[test]
fn a_page_that_begins_on_the_device_is_not_dark_before_the_picture() {
    let mut stage = Stage::open(&Installation::from_env().unwrap(), 1.0, None).unwrap();
    let rows = blinks(&mut stage).unwrap();
    let dark = |when: &str| rows.iter().find(|row| row.when == when).unwrap().blink_frames;
    assert!(dark("a page begins on the device") <= DARK, "{rows:#?}");
    assert!(dark("the client back") <= DARK, "{rows:#?}");
    stage.session.close();
}

/// Notes the least that the page has seen buffered, and events that tell of what is done to the element.
const WATCH: &str = "
    globalThis.least = Infinity;
    globalThis.heard = [];
    for (const type of ['seeking', 'seeked', 'pause', 'ratechange', 'durationchange', 'emptied', 'error']) {
        v.addEventListener(type, () => heard.push(type));
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
        const { buffered, seekable } = v;
        for (const ranges of [buffered, seekable]) least = Math.min(least, ranges.length === 1 ? ranges.end(0) - ranges.start(0) : 0);
        port2.postMessage(0);
    };
    port2.postMessage(0);";

#[test]
fn a_long_film_goes_back_to_the_session_and_the_page_sees_all_of_it_buffered() {
    let mut stage = Stage::open(&Installation::from_env().unwrap(), 1.0, None).unwrap();
    let page = stage.covered.page.clone();
    page.wait_until("v.currentTime > 1", PATIENCE).unwrap();
    page.evaluate(WATCH).unwrap();
    stage.session.kill_client();
    let end = Instant::now() + PATIENCE;
    while stage.placed().unwrap() == "device" {
        assert!(Instant::now() < end, "the device still plays");
    }
    page.evaluate("globalThis.from = v.currentTime; 0").unwrap();
    page.wait_until("v.currentTime > from + 6", PATIENCE).unwrap();
    assert_eq!(page.evaluate("least").unwrap(), 600, "seconds");
    assert_eq!(page.evaluate("heard").unwrap(), serde_json::json!([]));
    stage.session.close();
}
