//! Whether the redirected picture looks as if the session's browser had drawn it.
//!
//! Two windows of the session's browser stand side by side on one screen: one shows a page that is covered, the other shows the same
//! page natively. A screenshot of both is compared: where the picture's edges are, and whether what the page paints over it is whole.

mod cases;
mod compare;
mod cost;
mod scroll;
mod stage;
mod windows;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

pub use self::cases::{Case, Place, cases};
pub use self::compare::{Difference, compare, damaged, is_picture};
pub use self::cost::{Cost, costs};
pub use self::scroll::{Blinked, Scrolled, blinks, scrolls};
pub use self::stage::{Side, Stage, serve};
pub use self::windows::{WINDOWS, WindowCase, run_window};
use crate::session::Installation;

/// The device scale factors of the session's browser; the device's engine is always at 1.
pub const SCALES: [f64; 5] = [1.0, 1.25, 1.5, 1.75, 2.0];

/// How far an edge may be from where the browser itself paints it: one pixel is what two roundings make.
pub const MOST_ERROR: i64 = 1;

/// What was seen of a case.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub scale: f64,
    /// `ok`, or what is wrong.
    pub status: String,
    /// The largest distance of an edge from where the browser itself paints it; absent where it could not be looked at.
    pub error_px: Option<i64>,
    /// How thick the thickest part is in which the picture is another one than natively.
    pub content_px: i64,
    pub overlays: usize,
    /// Overlays of the page with a pixel that is neither what the session's browser has drawn nor what it draws natively.
    pub overlays_damaged: usize,
    /// Pixels of overlays through which the picture is seen natively, and the stand-in here.
    pub standin_px: usize,
    /// `device`, or `session` and why.
    pub placed: String,
    pub seconds: f64,
}

impl Row {
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status == "ok"
    }
}

/// Looks at a case.
pub fn run(stage: &mut Stage, case: &Case) -> Row {
    let began = Instant::now();
    let looked = look(stage, case);
    let seconds = began.elapsed().as_secs_f64();
    let (seen, placed) = match looked {
        Ok((seen, placed)) => (Ok(seen), placed),
        Err(error) => (Err(error), String::new()),
    };
    let status = match &seen {
        Ok(seen) => case.judge(seen, &placed),
        Err(error) => format!("{error:#}"),
    };
    let seen = seen.ok();
    Row {
        name: case.name.to_owned(),
        scale: stage.scale(),
        status,
        error_px: seen.as_ref().map(|seen| seen.error_px),
        content_px: seen.as_ref().map_or(0, |seen| seen.content_px),
        overlays: seen.as_ref().map_or(0, |seen| seen.overlays),
        overlays_damaged: seen.as_ref().map_or(0, |seen| seen.overlays_damaged),
        standin_px: seen.as_ref().map_or(0, |seen| seen.standin_px),
        placed,
        seconds,
    }
}

/// What is looked at where something is docked in the window that leaves the page a part of it.
pub const DOCKED: [&str; 3] = ["plain", "border and padding", "control bar"];

/// What is docked, and at which scale factors that is looked at: developer tools, and a side panel, are there before the page is loaded,
/// and a side panel is opened beside it.
const DOCKS: [(&str, &[f64]); 3] =
    [("developer tools", &[1.0, 1.25, 2.0]), (PANEL, &[1.0, 1.25]), (PANEL_BEFORE, &[1.0])];
const PANEL: &str = "side panel";
const PANEL_BEFORE: &str = "loaded beside a side panel";

/// Looks at a few cases beside developer tools and beside a side panel.
pub fn run_docked(
    installation: &Installation,
    keep: Option<&Path>,
    wanted: impl Fn(&str, f64) -> bool,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (dock, scales) in DOCKS {
        for scale in scales {
            let named = |case: &Case| format!("{dock}: {}", case.name);
            let is_chosen = |case: &Case| DOCKED.contains(&case.name) && wanted(&named(case), *scale);
            // Where the viewport begins is an estimate there, with a rounding of its own.
            let chosen = cases().into_iter().filter(is_chosen);
            let chosen: Vec<Case> = chosen.map(|case| Case { within: MOST_ERROR, ..case }).collect();
            if chosen.is_empty() {
                continue;
            }
            let mut stage = if [PANEL, PANEL_BEFORE].contains(&dock) {
                let panel = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages/side_panel");
                let mut stage = Stage::open_with(installation, *scale, keep, &[], &[panel])?;
                stage.open_side_panels(dock == PANEL_BEFORE)?;
                stage
            } else {
                Stage::open_with(installation, *scale, keep, &["--auto-open-devtools-for-tabs"], &[])?
            };
            rows.extend(chosen.iter().map(|case| Row { name: named(case), ..run(&mut stage, case) }));
            stage.session.close();
        }
    }
    Ok(rows)
}

/// The worst of all scroll positions of a case, and where it was played.
fn look(stage: &mut Stage, case: &Case) -> Result<(Difference, String)> {
    stage.prepare(case)?;
    let mut worst = Difference::default();
    let mut placed = String::new();
    for scroll in case.scroll {
        stage.scroll(*scroll)?;
        worst = worst.worse(stage.settle(case, *scroll)?);
        placed = stage.placed()?;
    }
    Ok((worst, placed))
}
