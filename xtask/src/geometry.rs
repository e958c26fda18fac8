//! `cargo xtask geometry`: whether the picture looks as if the session's browser had drawn it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use offstage_tests::geometry::{
    Row, SCALES, Stage, WINDOWS, blinks, cases, costs, run as look, run_docked, run_window, scrolls,
};
use offstage_tests::session::Installation;
use serde_json::{Value, json};

use crate::build;
use crate::run::print;
use crate::workspace::Workspace;

/// Look at the picture on the screen, pixel by pixel, beside the same page played natively.
///
/// Two windows of one browser stand side by side: 127.0.0.1 is covered, localhost is not. A case is a layout of the page
/// (tests/src/geometry/cases.rs has them all), at each scale factor of the session. Prints a line a case:
///
///     ok      the case, its scale factor, how far an edge is off at most, overlays of the page that are damaged of how many,
///             where it played
///     FAILED  with what is wrong; then the exit code is 1
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Only cases that have this in their names.
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,
    /// Write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the screenshots in this folder: the covered window on the left, the native one on the right.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Only these scale factors.
    #[arg(long, value_name = "FACTOR")]
    scale: Vec<f64>,
    /// Use what was built before, as it is.
    #[arg(long)]
    no_build: bool,
}

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let installation = if options.no_build {
        Installation::new(&workspace.dist(), &workspace.programs(false), &workspace.extension_id()?)
    } else {
        build::run(workspace, &build::Options::default())?
    };
    let wanted = |name: &str| options.pattern.as_ref().is_none_or(|part| name.contains(part));
    let mut rows = Vec::new();
    for scale in SCALES.iter().filter(|scale| options.scale.is_empty() || options.scale.contains(scale)) {
        let chosen: Vec<_> =
            cases().into_iter().filter(|case| wanted(case.name) && case.scales.contains(scale)).collect();
        // The same at every factor but for the windows' sizes: at a whole and at a fractional one.
        let windows: Vec<_> = WINDOWS
            .iter()
            .filter(|case| wanted(&format!("window: {}", case.name)) && [1.0, 1.25].contains(scale))
            .collect();
        if chosen.is_empty() && windows.is_empty() {
            continue;
        }
        let mut stage = Stage::open(&installation, *scale, options.keep.as_deref())?;
        for case in chosen {
            let row = look(&mut stage, &case);
            print(line(&row));
            rows.push(row);
        }
        for case in windows {
            let row = run_window(&mut stage, case);
            print(line(&row));
            rows.push(row);
        }
        stage.session.close();
    }
    let wanted_docked =
        |name: &str, scale: f64| wanted(name) && (options.scale.is_empty() || options.scale.contains(&scale));
    for row in run_docked(&installation, options.keep.as_deref(), wanted_docked)? {
        print(line(&row));
        rows.push(row);
    }
    let mut figures = serde_json::Map::new();
    if ["scroll", "blink", "cost"].into_iter().any(wanted) {
        let mut stage = Stage::open(&installation, 1.0, options.keep.as_deref())?;
        figures = motion(&mut stage, &wanted)?;
        stage.session.close();
    }
    if rows.is_empty() && figures.is_empty() {
        bail!("no case has this in its name");
    }
    let bad = rows.iter().filter(|row| !row.is_ok()).count();
    let wrong_place = figures.get("wrong_place_frames").and_then(Value::as_u64).unwrap_or(0);
    if !rows.is_empty() {
        figures.insert("error_px_max".to_owned(), json!(rows.iter().filter_map(|row| row.error_px).max()));
        figures.insert("overlays".to_owned(), json!(rows.iter().map(|row| row.overlays).sum::<usize>()));
        let damaged = rows.iter().map(|row| row.overlays_damaged).sum::<usize>();
        figures.insert("overlays_damaged".to_owned(), json!(damaged));
        figures.insert("failed".to_owned(), json!(bad));
        figures.insert("cases".to_owned(), json!(rows));
    }
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&figures)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if bad > 0 {
        bail!("{bad} of {} cases are not as they should be", rows.len());
    }
    if wrong_place > 0 {
        bail!("in {wrong_place} frames the picture was in a wrong place");
    }
    Ok(())
}

/// What moves: lines and figures of scrolling, of coming and going, and of what it costs.
fn motion(stage: &mut Stage, wanted: &dyn Fn(&str) -> bool) -> Result<serde_json::Map<String, Value>> {
    let mut figures = serde_json::Map::new();
    let mut note = |name: &str, value: Value| figures.insert(name.to_owned(), value);
    if wanted("scroll") {
        let rows = [scrolls(stage, false)?, scrolls(stage, true)?].concat();
        for row in &rows {
            print(format!(
                "scroll  {:<48} {:>5.1} px a frame, off by {} (p50), {} (p99), {} (max) frames, {} of {} ahead; of {} frames {} in a wrong place, \
                 {} broken, {} without a picture",
                row.how,
                row.px_per_frame,
                row.lag_frames_p50,
                row.lag_frames_p99,
                row.lag_frames_max,
                row.ahead_frames,
                row.moving,
                row.frames,
                row.wrong_place_frames,
                row.broken_frames,
                row.hidden_frames
            ));
        }
        let redirected = || rows.iter().filter(|row| row.how.ends_with("redirected"));
        note("scroll_lag_frames_p50", json!(redirected().map(|row| row.lag_frames_p50).max()));
        note("scroll_lag_frames_p99", json!(redirected().map(|row| row.lag_frames_p99).max()));
        note("scroll_lag_frames_max", json!(redirected().map(|row| row.lag_frames_max).max()));
        note("wrong_place_frames", json!(redirected().map(|row| row.wrong_place_frames).sum::<usize>()));
        note("scrolls", json!(rows));
    }
    if wanted("cost") {
        let [idle, scrolling] = costs(stage)?;
        for (when, cost) in [("nothing moves", idle), ("it scrolls", scrolling)] {
            print(format!(
                "cost    while {when:<14} {:>5.1} % of a core natively, {:>5.1} % redirected",
                cost.native * 100.0,
                cost.redirected * 100.0
            ));
        }
        note("page_cpu_idle", json!(idle.added()));
        note("page_cpu_scroll", json!(scrolling.added()));
        note("costs", json!({ "idle": idle, "scroll": scrolling }));
    }
    if wanted("blink") {
        let rows = blinks(stage)?;
        for row in &rows {
            print(format!("blink   {:<30} {} of {} frames dark", row.when, row.blink_frames, row.frames));
        }
        note("blink_frames", json!(rows.iter().map(|row| row.blink_frames).sum::<usize>()));
        note("blinks", json!(rows));
    }
    Ok(figures)
}

fn line(row: &Row) -> String {
    let state = if row.is_ok() { "ok" } else { "FAILED" };
    let error = row.error_px.map_or("?".to_owned(), |error| error.to_string());
    let why = if row.is_ok() { "" } else { &row.status };
    format!(
        "{state:<7} {:<52} @{:<4} {error:>4} px  {:>2} of {:>2} damaged  {:<17} {:>4.1} s  {why}",
        row.name, row.scale, row.overlays_damaged, row.overlays, row.placed, row.seconds
    )
}
