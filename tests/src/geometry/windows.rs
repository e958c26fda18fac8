//! The window itself: full screen, moved, hidden, and behind others. Both windows do the same one after the other, because each
//! of them may take the whole screen.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;

use super::compare::{Difference, compare, damaged, is_picture};
use super::stage::{Side, Stage};
use super::{MOST_ERROR, Row};
use crate::process::{Process, command};
use crate::xvfb::{LOCKED, Picture, lock, xdotool};

/// How long a window may take until it is as it should be.
const SETTLE: Duration = Duration::from_secs(12);
/// How long nothing may have changed: a window manager's and a browser's animations have pauses, the window manager says for a second
/// which workspace it is, and the browser for some how full screen is left.
const HOLD: Duration = Duration::from_millis(700);
const HOLD_WORKSPACE: Duration = Duration::from_millis(2200);
const HOLD_FULL: Duration = Duration::from_millis(5500);
/// The browser says for a while how full screen is left.
const STILL: Duration = Duration::from_secs(20);
const STEADY: usize = 3;
/// The colour of another program's window.
const RED: [u8; 3] = [208, 32, 32];
/// What a window manager may draw around a window.
const DECORATION: f64 = 30.0;

/// Something that happens to a window.
#[derive(Clone, Copy, Debug)]
pub struct WindowCase {
    pub name: &'static str,
    run: fn(&mut Stage, &str) -> Result<Difference>,
}

/// All of them.
pub const WINDOWS: [WindowCase; 14] = [
    WindowCase { name: "full screen", run: full_screen },
    WindowCase { name: "full screen of the player with its bar", run: full_screen_of_player },
    WindowCase { name: "maximised", run: maximised },
    WindowCase { name: "half outside at the left", run: outside_left },
    WindowCase { name: "half outside at the right and the bottom", run: outside_right },
    WindowCase { name: "moved and made smaller", run: moved },
    WindowCase { name: "on two monitors", run: monitors },
    WindowCase { name: "minimised and back", run: minimised },
    WindowCase { name: "on another workspace and back", run: workspace },
    WindowCase { name: "another window of the browser over it", run: browser_over },
    WindowCase { name: "another program's window over it", run: program_over },
    WindowCase { name: "a notification over it", run: notification_over },
    WindowCase { name: "context menu over it", run: context_menu },
    WindowCase { name: "the screen locked", run: locked },
];

/// Looks at one of them.
pub fn run_window(stage: &mut Stage, case: &WindowCase) -> Row {
    let began = Instant::now();
    let seen = stage.prepare_plain().and_then(|()| (case.run)(stage, case.name));
    // Whatever has happened, the next one begins as usual.
    let back = stage.windows_as_usual();
    let status = match (&seen, &back) {
        (Ok(seen), Ok(())) if seen.error_px <= MOST_ERROR && seen.overlays_damaged == 0 => "ok".to_owned(),
        (Ok(seen), Ok(())) if seen.overlays_damaged > 0 => "what is over it is damaged".to_owned(),
        (Ok(seen), Ok(())) => format!("an edge is {} px off", seen.error_px),
        (Err(error), _) | (Ok(_), Err(error)) => format!("{error:#}"),
    };
    let seen = seen.ok();
    Row {
        name: format!("window: {}", case.name),
        scale: stage.scale(),
        status,
        error_px: seen.map(|seen| seen.error_px),
        content_px: seen.map_or(0, |seen| seen.content_px),
        overlays: seen.map_or(0, |seen| seen.overlays),
        overlays_damaged: seen.map_or(0, |seen| seen.overlays_damaged),
        standin_px: seen.map_or(0, |seen| seen.standin_px),
        placed: stage.placed().unwrap_or_default(),
        seconds: began.elapsed().as_secs_f64(),
    }
}

type Act = fn(&Stage, &Side) -> Result<()>;

/// Both windows do something one after the other; `area` of the screen is then the same.
fn in_turn(
    stage: &Stage,
    name: &str,
    act: Act,
    undo: Act,
    overlays: &[[f64; 4]],
    area: impl Fn(&Stage, &Side, &Picture) -> Result<Picture>,
) -> Result<Difference> {
    stage.raise(&stage.native)?;
    act(stage, &stage.native)?;
    let is_full =
        !stage.native.page.evaluate("document.fullscreenElement === null")?.as_bool().unwrap_or(true);
    let hold = if is_full { HOLD_FULL } else { HOLD };
    let native = steady(stage, hold, |screen| area(stage, &stage.native, screen))?;
    undo(stage, &stage.native)?;
    stage.raise(&stage.covered)?;
    act(stage, &stage.covered)?;
    let found = until_same(stage, name, &native, overlays, |screen| area(stage, &stage.covered, screen))?;
    undo(stage, &stage.covered)?;
    ensure!(has_picture(&native), "natively no picture is seen: the case shows nothing");
    Ok(found)
}

/// The area once it has stood still.
fn steady(stage: &Stage, hold: Duration, area: impl Fn(&Picture) -> Result<Picture>) -> Result<Picture> {
    let end = Instant::now() + STILL;
    let mut last = area(&stage.screen()?)?;
    let (mut same, mut since) = (0, Instant::now());
    loop {
        let now = area(&stage.screen()?)?;
        if now == last {
            same += 1;
        } else {
            (same, since) = (0, Instant::now());
        }
        last = now;
        if same >= STEADY && since.elapsed() > hold {
            return Ok(last);
        }
        if Instant::now() >= end {
            bail!("the native window never stands still");
        }
    }
}

/// Waits until the area is as it is natively, for as long as that may take; gives the last difference.
fn until_same(
    stage: &Stage,
    name: &str,
    native: &Picture,
    overlays: &[[f64; 4]],
    area: impl Fn(&Picture) -> Result<Picture>,
) -> Result<Difference> {
    let end = Instant::now() + SETTLE;
    let mut steady = 0;
    loop {
        let seen = area(&stage.screen()?)?;
        let mut found = compare(native, &seen, overlays);
        if !overlays.is_empty() {
            found.overlays_damaged = damaged(native, &stage.own()?, &seen, overlays);
        }
        steady = if found.error_px <= MOST_ERROR && found.overlays_damaged == 0 { steady + 1 } else { 0 };
        if steady >= STEADY || Instant::now() >= end {
            stage.keep(&format!("window {name}"), native, &seen)?;
            return Ok(found);
        }
    }
}

/// Waits until no picture is in the area.
fn until_gone(stage: &Stage, when: &str, area: impl Fn(&Picture) -> Result<Picture>) -> Result<()> {
    let end = Instant::now() + SETTLE;
    let mut gone = 0;
    while gone < STEADY {
        let seen = area(&stage.screen()?)?;
        gone = if has_picture(&seen) { 0 } else { gone + 1 };
        if Instant::now() >= end {
            stage.keep(&format!("window {when}"), &seen, &seen)?;
            bail!("the picture is still there: {when}");
        }
    }
    Ok(())
}

fn has_picture(picture: &Picture) -> bool {
    picture.rgb().chunks_exact(3).any(|pixel| is_picture([pixel[0], pixel[1], pixel[2]]))
}

fn whole(_: &Stage, _: &Side, screen: &Picture) -> Result<Picture> {
    Ok(screen.clone())
}

fn by_gesture(side: &Side, script: &str) -> Result<()> {
    let params = json!({ "expression": script, "userGesture": true, "awaitPromise": true });
    let answer = side.page.call("Runtime.evaluate", params)?;
    ensure!(answer["exceptionDetails"].is_null(), "{script}: {}", answer["exceptionDetails"]);
    Ok(())
}

fn exit_full_screen(_: &Stage, side: &Side) -> Result<()> {
    by_gesture(side, "document.exitFullscreen()")?;
    side.page.wait_until("!document.fullscreenElement", SETTLE).map(drop)
}

fn full_screen(stage: &mut Stage, name: &str) -> Result<Difference> {
    // The browser shows its controls there, and with a video that stands still for as long as it does.
    let act: Act = |_, side| by_gesture(side, "v.pause(); v.requestFullscreen()");
    let undo: Act = |stage, side| {
        exit_full_screen(stage, side)?;
        by_gesture(side, "v.play()")
    };
    #[expect(clippy::cast_precision_loss, reason = "a screen's size")]
    let [width, height] = stage.screen_size().map(|side| side as f64);
    let controls = [0.0, height - 90.0 * stage.scale(), width, height];
    in_turn(stage, name, act, undo, &[controls], whole)
}

fn full_screen_of_player(stage: &mut Stage, name: &str) -> Result<Difference> {
    let act: Act = |_, side| {
        let css = "#c:fullscreen { background: #000 } #c:fullscreen #v { width: 100%; height: 100% } .over { position: absolute; inset: auto 0 0; height: 50px }";
        let case = json!({ "css": css, "near": "<div class=over>0:12</div>", "far": "", "script": "" });
        side.page.evaluate(&format!("show({case}).then(() => 0)"))?;
        by_gesture(side, "c.requestFullscreen()")
    };
    in_turn(stage, name, act, exit_full_screen, &[], whole)
}

fn maximised(stage: &mut Stage, name: &str) -> Result<Difference> {
    let state = |side: &Side, state: &str| side.set_window(&json!({ "windowState": state }));
    // Both windows look the same but for what their tabs are called.
    let below_the_bars = |_: &Stage, side: &Side, screen: &Picture| {
        let top = side.origin()[1];
        screen.crop(0, top, screen.width(), screen.height() - top)
    };
    in_turn(
        stage,
        name,
        |_, side| side.set_window(&json!({ "windowState": "maximized" })),
        |_, side| side.set_window(&json!({ "windowState": "normal" })),
        &[],
        below_the_bars,
    )
    .inspect_err(|_| {
        state(&stage.covered, "normal").ok();
    })
}

/// The part of the screen below the browser's bars that a window at a place has, with what is outside cut off.
fn at(left: i64, top: i64) -> impl Fn(&Stage, &Side, &Picture) -> Result<Picture> {
    move |stage, side, screen| {
        let [width, height] = stage.window();
        let bars = i64::try_from(side.origin()[1])?;
        let clamp = |value: i64, most: usize| usize::try_from(value.max(0)).map(|value| value.min(most));
        let (x, right) = (clamp(left, screen.width())?, clamp(left + i64::try_from(width)?, screen.width())?);
        let y = clamp(top + bars, screen.height())?;
        let bottom = clamp(top + i64::try_from(height)?, screen.height())?;
        // Not the frame around it.
        screen.crop(x + 2, y, right - x - 4, bottom - y - 2)
    }
}

fn move_to(stage: &Stage, side: &Side, left: i64, top: i64) -> Result<()> {
    let scale = stage.scale();
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "places on a screen")]
    let [left, top] = [left, top].map(|at| (at as f64 / scale).round() as i64);
    side.set_window(&json!({ "left": left, "top": top }))
}

fn outside_left(stage: &mut Stage, name: &str) -> Result<Difference> {
    let there = at(-200, 0);
    in_turn(
        stage,
        name,
        |stage, side| move_to(stage, side, -200, 0),
        |stage, _| stage.place_windows(),
        &[],
        there,
    )
}

fn outside_right(stage: &mut Stage, name: &str) -> Result<Difference> {
    let [width, height] = stage.screen_size();
    let (left, top) = (i64::try_from(width)? - 330, i64::try_from(height)? - 400);
    let there = at(left, top);
    let act: Act = |stage, side| {
        let [width, height] = stage.screen_size();
        move_to(stage, side, i64::try_from(width)? - 330, i64::try_from(height)? - 400)
    };
    in_turn(stage, name, act, |stage, _| stage.place_windows(), &[], there)
}

/// The covered window's viewport, wherever it is now, beside what the native one shows at the same size.
fn where_it_is_now(stage: &mut Stage, name: &str, native: &Picture) -> Result<Difference> {
    let end = Instant::now() + SETTLE;
    let mut last = None;
    loop {
        let screen = stage.screen()?;
        if let Some([left, top]) = stage.mark_on(&screen) {
            let width = native.width().min(screen.width() - left);
            let height = native.height().min(screen.height() - top);
            let seen = screen.crop(left, top, width, height)?;
            let native = native.crop(0, 0, width, height)?;
            let found = compare(&native, &seen, &[]);
            if found.error_px <= MOST_ERROR && last == Some([left, top]) {
                stage.keep(&format!("window {name}"), &native, &seen)?;
                return Ok(found);
            }
            if Instant::now() >= end {
                stage.keep(&format!("window {name}"), &native, &seen)?;
                return Ok(found);
            }
            last = Some([left, top]);
        } else if Instant::now() >= end {
            bail!("the covered window is not seen");
        }
    }
}

fn moved(stage: &mut Stage, name: &str) -> Result<Difference> {
    let native = stage.native.cut(&stage.screen()?)?;
    stage.native.set_window(&json!({ "windowState": "minimized" }))?;
    stage.covered.set_window(&json!({ "left": 130, "top": 20, "width": 600, "height": 420 }))?;
    // So much of the native one as the smaller window shows: scroll bars are elsewhere, the picture is not.
    let height = native.height().saturating_sub(super::stage::pixels(180.0 * stage.scale()));
    let width = native.width().saturating_sub(super::stage::pixels(56.0 * stage.scale()));
    let native = native.crop(0, 0, width, height)?;
    where_it_is_now(stage, name, &native)
}

fn monitors(stage: &mut Stage, name: &str) -> Result<Difference> {
    let display = stage.session.display().context("no display")?.to_owned();
    let [width, height] = stage.screen_size();
    let middle = width / 2;
    let xrandr = |arguments: &[&str]| -> Result<()> {
        let output = Command::new("xrandr").args(arguments).env("DISPLAY", &display).output()?;
        ensure!(output.status.success(), "xrandr: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    let native = stage.native.cut(&stage.screen()?)?;
    stage.native.set_window(&json!({ "windowState": "minimized" }))?;
    xrandr(&["--setmonitor", "left", &format!("{middle}/300x{height}/300+0+0"), "screen"])?;
    xrandr(&["--setmonitor", "right", &format!("{}/300x{height}/300+{middle}+0", width - middle), "none"])?;
    let mut worst = Difference::default();
    // On both of them, then on the right one alone, then back.
    for (left, part) in [(middle / 2, "both"), (middle + 8, "right"), (4, "left")] {
        move_to(stage, &stage.covered, i64::try_from(left)?, 12)?;
        worst = worst.worse(where_it_is_now(stage, &format!("{name}, {part}"), &native)?);
    }
    for monitor in ["left", "right"] {
        xrandr(&["--delmonitor", monitor]).ok();
    }
    stage.covered.page.wait_until("!screen.isExtended", SETTLE)?;
    Ok(worst)
}

fn back_in_place(stage: &Stage, name: &str) -> Result<Difference> {
    let native = stage.native.cut(&stage.screen()?)?;
    ensure!(has_picture(&native), "the native window shows nothing");
    until_same(stage, name, &native, &[], |screen| stage.covered.cut(screen))
}

fn minimised(stage: &mut Stage, name: &str) -> Result<Difference> {
    stage.covered.set_window(&json!({ "windowState": "minimized" }))?;
    until_gone(stage, "minimised", |screen| stage.covered.cut(screen))?;
    stage.covered.set_window(&json!({ "windowState": "normal" }))?;
    back_in_place(stage, name)
}

fn workspace(stage: &mut Stage, name: &str) -> Result<Difference> {
    let display = stage.session.display().context("no display")?.to_owned();
    xdotool(&display, &["set_desktop", "1"])?;
    until_gone(stage, "on another workspace", |screen| Ok(screen.clone()))?;
    xdotool(&display, &["set_desktop", "0"])?;
    // The native window comes back at the time that it takes.
    let native = steady(stage, HOLD_WORKSPACE, |screen| stage.native.cut(screen))?;
    until_same(stage, name, &native, &[], |screen| stage.covered.cut(screen))
}

fn browser_over(stage: &mut Stage, name: &str) -> Result<Difference> {
    let native = stage.native.cut(&stage.screen()?)?;
    let [left, top] = [130_i64, 70];
    stage.raise(&stage.native)?;
    let before = stage.native.origin();
    move_to(stage, &stage.native, left, top)?;
    let [window_left, _] = stage.window();
    let shifted = [before[0] - window_left + usize::try_from(left)?, before[1] + usize::try_from(top)?];
    until_same(stage, name, &native, &[], |screen| {
        let height = native.height().min(screen.height() - shifted[1]);
        screen.crop(shifted[0], shifted[1], native.width(), height)
    })
}

fn program_over(stage: &mut Stage, name: &str) -> Result<Difference> {
    over(stage, name, &[])
}

fn notification_over(stage: &mut Stage, name: &str) -> Result<Difference> {
    // No window manager has it: like menus, tips and what a desktop shows in a corner.
    over(stage, name, &["-xrm", "*overrideRedirect: true"])
}

/// Another program's red window over the middle of the picture.
fn over(stage: &Stage, name: &str, more: &[&str]) -> Result<Difference> {
    let display = stage.session.display().context("no display")?.to_owned();
    let native = stage.native.cut(&stage.screen()?)?;
    let [left, top] = stage.covered.origin();
    let mut message = command("xmessage");
    message.args(["-bg", "#d02020", "-fg", "#d02020", "-buttons", "", "-geometry"]);
    message.arg(format!("200x100+{}+{}", left + 150, top + 140)).args(more).arg("x").env("DISPLAY", &display);
    let program = Process::spawn("xmessage", &mut message).context("xmessage is of Debian's x11-utils")?;
    let end = Instant::now() + SETTLE;
    let mut steady = 0;
    let found = loop {
        let seen = stage.covered.cut(&stage.screen()?)?;
        let red = seen.bounds_of(RED, 8);
        #[expect(clippy::cast_precision_loss, reason = "places on a screen")]
        let around = red.map(|bounds| bounds.map(|side| side as f64));
        let boxes: Vec<[f64; 4]> = around
            .map(|[left, top, right, bottom]| {
                [left - DECORATION, top - DECORATION, right + DECORATION, bottom + DECORATION]
            })
            .into_iter()
            .collect();
        let mut found = compare(&native, &seen, &boxes);
        let whole = red.is_some_and(|[left, top, right, bottom]| {
            let pixels = (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y)));
            let shown = pixels.filter_map(|(x, y)| seen.pixel(x, y)).all(|pixel| !is_picture(pixel));
            shown && right - left >= 196 && bottom - top >= 96
        });
        found.overlays = 1;
        found.overlays_damaged = usize::from(!whole);
        steady = if whole && found.error_px <= MOST_ERROR { steady + 1 } else { 0 };
        if steady >= STEADY || Instant::now() >= end {
            stage.keep(&format!("window {name}"), &native, &seen)?;
            break found;
        }
    };
    drop(program);
    if found.overlays_damaged == 0 && found.error_px <= MOST_ERROR {
        // Nothing of it stays.
        let after = back_in_place(stage, &format!("{name}, after"))?;
        return Ok(found.worse(after));
    }
    Ok(found)
}

fn context_menu(stage: &mut Stage, name: &str) -> Result<Difference> {
    let act: Act = |stage, side| {
        let [left, top] = side.origin();
        let [x, y] = [left + 120, top + 110].map(|at| at.to_string());
        let display = stage.session.display().context("no display")?;
        xdotool(display, &["mousemove", &x, &y, "click", "3"]).map(drop)
    };
    let undo: Act = |stage, _| {
        let display = stage.session.display().context("no display")?;
        xdotool(display, &["key", "Escape"])?;
        stage.pointer_away()
    };
    in_turn(stage, name, act, undo, &[], |_, side, screen| side.cut(screen))
}

/// Nothing but the lock screen is seen, whatever the page does behind it.
fn locked(stage: &mut Stage, name: &str) -> Result<Difference> {
    let native = stage.native.cut(&stage.screen()?)?;
    ensure!(has_picture(&native), "the native window shows nothing");
    let locker = lock(stage.session.display().context("no display")?)?;
    let is_locked = |screen: &Picture| screen.rgb().chunks_exact(3).all(|pixel| pixel == LOCKED);
    let end = Instant::now() + SETTLE;
    while !is_locked(&stage.screen()?) {
        ensure!(Instant::now() < end, "the screen is not locked");
    }
    for change in ["v.hidden = true; 0", "v.hidden = false; 0", "scrollTo(0, 20); 0", "scrollTo(0, 0); 0"] {
        stage.covered.page.evaluate(change)?;
        let end = Instant::now() + HOLD;
        while Instant::now() < end {
            let seen = stage.screen()?;
            if !is_locked(&seen) {
                stage.keep(&format!("window {name}"), &seen, &seen)?;
                bail!("over the lock screen is seen what is not of it");
            }
        }
    }
    drop(locker);
    until_same(stage, &format!("{name}, after"), &native, &[], |screen| stage.covered.cut(screen))
}
