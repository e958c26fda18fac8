//! What may differ between two runs of one page, and what not. Anything that no rule names must be equal.

use std::collections::BTreeSet;

use serde_json::Value;

/// Events that come by the clock, by the network's progress or by how quick a decoder is. That they come at all must be equal, for those of
/// [`TOLD`]; how often and when is not the page's doing.
const SUPPLY: [&str; 10] = [
    "canplay",
    "canplaythrough",
    "durationchange",
    "playing",
    "progress",
    "resize",
    "stalled",
    "suspend",
    "timeupdate",
    "waiting",
];

/// Of those, the ones that a page may wait for.
const TOLD: [&str; 5] = ["canplay", "canplaythrough", "durationchange", "playing", "timeupdate"];

/// Values with a tolerance, in the value's own unit, and why.
const TOLERANCES: [(&str, f64); 3] = [
    // Where a stream with several tracks ends is known to the last frame of the longest one (docs/fidelity.md).
    ("duration", 0.06),
    ("seekable", 0.06),
    // A position at the end of a stream is its duration; others are the page's own.
    ("position", 0.06),
];

/// What is meant to differ, and where it is said why.
const INTENDED: [&str; 1] = [
    // A player that asks makes its source in the page (docs/decisions/0050-workers-sources.md).
    "workers, can",
];

/// Each difference is one line: what it is about, a colon, and both sides.
pub(super) fn differences(native: &Value, redirected: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let sequence = |run: &Value| -> Vec<String> {
        events(run).filter(|event| !SUPPLY.contains(event)).map(str::to_owned).collect()
    };
    let (ours, theirs) = (sequence(redirected), sequence(native));
    if ours != theirs {
        found.push(format!("events: native {} / redirected {}", theirs.join(" "), ours.join(" ")));
    }
    // A player that fails may do so before time has moved.
    let fails = |run: &Value| {
        run["steps"].as_array().is_some_and(|steps| steps.iter().any(|step| step["name"] == "failed"))
    };
    let told = |run: &Value| -> BTreeSet<String> {
        let told = events(run).filter(|event| TOLD.contains(event));
        told.filter(|event| *event != "timeupdate" || !fails(run)).map(str::to_owned).collect()
    };
    if told(native) != told(redirected) {
        found.push(format!("told at all: native {:?} / redirected {:?}", told(native), told(redirected)));
    }
    if native["errors"] != redirected["errors"] {
        found.push(format!("errors: native {} / redirected {}", native["errors"], redirected["errors"]));
    }
    steps(native, redirected, &mut found);
    found.retain(|difference| !INTENDED.contains(&about(difference)));
    found
}

/// Whether a run did not come to its own end.
pub(super) fn broken(run: &Value) -> bool {
    let mut errors = run["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
    errors.any(|error| error.starts_with("the run"))
}

/// What a difference is about.
pub(super) fn about(difference: &str) -> &str {
    difference.split_once(':').map_or(difference, |(about, _)| about)
}

fn events(run: &Value) -> impl Iterator<Item = &str> {
    run["events"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn steps(native: &Value, redirected: &Value, found: &mut Vec<String>) {
    let list = |run: &Value| run["steps"].as_array().cloned().unwrap_or_default();
    let (theirs, ours) = (list(native), list(redirected));
    let names = |steps: &[Value]| -> Vec<String> {
        steps.iter().map(|step| step["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    if names(&theirs) != names(&ours) {
        found.push(format!("steps: native {:?} / redirected {:?}", names(&theirs), names(&ours)));
        return;
    }
    for (theirs, ours) in theirs.iter().zip(&ours) {
        let (Some(theirs), Some(ours)) = (theirs.as_object(), ours.as_object()) else { continue };
        let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        for key in keys {
            let (a, b) = (theirs.get(key).unwrap_or(&Value::Null), ours.get(key).unwrap_or(&Value::Null));
            if !equal(key, a, b) {
                let name = theirs["name"].as_str().unwrap_or_default();
                found.push(format!("{name}, {key}: native {a} / redirected {b}"));
            }
        }
    }
}

fn equal(key: &str, a: &Value, b: &Value) -> bool {
    let tolerance = TOLERANCES.iter().find(|(name, _)| *name == key).map_or(0.0, |(_, tolerance)| *tolerance);
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= tolerance,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(events: &[&str], position: f64) -> Value {
        json!({ "events": events, "errors": [], "steps": [{ "name": "paused", "position": position, "ended": false }] })
    }

    #[test]
    fn order_matters_but_not_how_often_supply_is_told() {
        let native = run(&["loadstart", "canplay", "play", "waiting", "playing", "ended"], 1.0);
        assert_eq!(
            differences(
                &native,
                &run(&["loadstart", "play", "canplay", "playing", "playing", "ended"], 1.05)
            ),
            [""; 0]
        );
        let found = differences(&native, &run(&["play", "loadstart", "canplay", "ended"], 1.2));
        let about: Vec<&str> = found.iter().map(|text| about(text)).collect();
        assert_eq!(about, ["events", "told at all", "paused, position"]);
    }

    #[test]
    fn what_is_meant_to_differ_is_no_difference() {
        let run = |name: &str, can: bool| json!({ "events": [], "errors": [], "steps": [{ "name": name, "can": can }] });
        assert_eq!(differences(&run("workers", true), &run("workers", false)), [""; 0]);
        assert_eq!(differences(&run("page", true), &run("page", false)).len(), 1);
    }
}
