//! The page of the error codes, made from the table that the programs use.

use std::fmt::Write as _;

use offstage_protocol::ErrorCode;

/// Where it is in the checkout.
pub(super) const PAGE: &str = "docs/errors.md";

/// What comes before the codes.
const INTRODUCTION: &str = "\
# Error codes

Every problem that Offstage can name has a code, a sentence and what to do. They are in the icon's title, in the popup, in the logs of all
parts and in the answers of both `doctor` commands. A code keeps its meaning for ever. Whatever the code, the page's video goes on playing
in the session.

Logs: the bridge's and the client's go to standard error (`OFFSTAGE_LOG=debug` for more, `OFFSTAGE_LOG_FILE=…` into a file); the
extension's are in the browser, under Extensions, Offstage, Inspect views: service worker.

<!-- Made from protocol/src/error/table.rs by `cargo xtask tidy --fix`. -->
";

/// The groups, by their first two digits.
const GROUPS: [(u32, &str); 7] = [
    (10, "The link between session and device"),
    (11, "The bridge in the session"),
    (12, "The client on the device, its browser engine and its display"),
    (13, "The video itself"),
    (14, "The page"),
    (15, "Policy and settings"),
    (16, "Installing"),
];

/// The whole page.
pub(super) fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (group, title) in GROUPS {
        // Writing to a string can't fail.
        write!(page, "\n## {title}\n").ok();
        for code in ErrorCode::all().filter(|code| code.number() / 100 == group) {
            write!(page, "\n### {code}\n{}\n\n{}\n", code.sentence(), code.remedy()).ok();
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_heading() {
        let page = page();
        for code in ErrorCode::all() {
            assert!(page.contains(&format!("### {code}\n")), "{code}");
        }
    }
}
