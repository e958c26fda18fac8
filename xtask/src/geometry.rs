//! `cargo xtask geometry`: whether the picture looks as if the session's browser had drawn it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use offstage_tests::geometry::{Row, SCALES, Stage, WINDOWS, cases, run as look, run_window};
use offstage_tests::session::Installation;
use serde_json::json;

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
    if rows.is_empty() {
        bail!("no case has this in its name");
    }
    let bad = rows.iter().filter(|row| !row.is_ok()).count();
    let figures = json!({
        "error_px_max": rows.iter().filter_map(|row| row.error_px).max(),
        "overlays": rows.iter().map(|row| row.overlays).sum::<usize>(),
        "overlays_damaged": rows.iter().map(|row| row.overlays_damaged).sum::<usize>(),
        "failed": bad,
        "cases": rows,
    });
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&figures)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if bad > 0 {
        bail!("{bad} of {} cases are not as they should be", rows.len());
    }
    Ok(())
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
