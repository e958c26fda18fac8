//! The picture looks as if the session's browser had drawn it: a good part of what `cargo xtask geometry` looks at.

use offstage_tests::geometry::{Case, Row, Stage, WINDOWS, cases, run, run_window};
use offstage_tests::session::Installation;

/// Of the cases, what is looked at again at fractional scale factors.
const FRACTIONS: [&str; 6] = [
    "plain",
    "at half pixels",
    "border and padding",
    "object-fit contain",
    "control bar",
    "badge that lets the pointer through",
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
    for scale in [1.25, 1.5, 1.75] {
        check(scale, |case| FRACTIONS.contains(&case.name), false);
    }
}
