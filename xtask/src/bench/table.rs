//! The figures in lines, with the goals beside them.

use serde_json::Value;

/// What is shown of the figures: a sentence, the keys without and with Offstage, the unit.
const ROWS: [(&str, &str, &str, &str); 8] = [
    (
        "CPU of the session's browser, film of 1080p30",
        "session_cores_native",
        "session_cores_redirected",
        "cores",
    ),
    ("CPU of client and engine on the device", "", "device_cores_redirected", "cores"),
    (
        "memory of the session's browser, same film",
        "session_memory_mb_native",
        "session_memory_mb_redirected",
        "MB",
    ),
    ("time to the first frame, median", "ttff_ms_native", "ttff_ms_redirected", "ms"),
    (
        "load of a page without video, median",
        "empty_page_load_ms_native",
        "empty_page_load_ms_redirected",
        "ms",
    ),
    ("of that in the extension's scripts, median", "", "hook_ms", "ms"),
    (
        "appends of a second of film each",
        "append_mb_s_segments_native",
        "append_mb_s_segments_redirected",
        "MB/s",
    ),
    ("appends of 9 MB each", "append_mb_s_large_native", "append_mb_s_large_redirected", "MB/s"),
];

/// What is to be reached: a sentence, the key, the goal.
const GOALS: [(&str, &str, f64); 3] = [
    ("CPU of the session's browser, redirected against native", "session_cpu_ratio", 0.10),
    ("milliseconds added to the first frame", "ttff_ms_added", 150.0),
    ("milliseconds of the extension's scripts in a page without video", "hook_ms", 1.0),
];

/// The figures as lines.
pub(super) fn rows(figures: &Value) -> Vec<String> {
    let number = |key: &str| figures[key].as_f64().map_or_else(|| "–".to_owned(), |value| value.to_string());
    let mut lines = vec![format!("{:<46} {:>10} {:>10}", "", "without", "with")];
    lines.extend(ROWS.iter().map(|(name, native, redirected, unit)| {
        format!("{name:<46} {:>10} {:>10} {unit}", number(native), number(redirected))
    }));
    for (file, bytes) in figures["bytes"].as_object().into_iter().flatten() {
        lines.push(format!("{file:<57} {bytes:>10} bytes"));
    }
    lines.push(String::new());
    lines.extend(GOALS.iter().map(|(name, key, goal)| {
        let is_met = figures[*key].as_f64().is_some_and(|value| value <= *goal);
        let verdict = if is_met { "reached" } else { "missed" };
        format!("{name:<64} {:>8}  goal {goal}: {verdict}", number(key))
    }));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_goal_is_missed_when_its_figure_is_missing_or_too_large() {
        let lines = rows(&json!({ "session_cpu_ratio": 0.05, "ttff_ms_added": 151.0 }));
        let verdicts: Vec<&str> =
            lines.iter().rev().take(3).filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(verdicts, ["missed", "missed", "reached"]);
    }
}
