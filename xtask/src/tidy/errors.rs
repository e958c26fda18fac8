//! The page of the error codes, made from the table that the programs use.

use std::fmt::Write as _;

use offstage_protocol::ErrorCode;
use serde_json::Value;

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

/// Where the extension's English texts are.
pub(super) const ENGLISH: &str = "www/_locales/en/messages.json";

/// The extension's English texts: those that are there, and at the end for each code its sentence, `OFS_<number>`, and its remedy,
/// `OFS_<number>_do`. People write the other languages' files, in the same order.
pub(super) fn english(there: &str) -> String {
    let end = there.find(",\n  \"OFS_").or_else(|| there.rfind("\n}")).unwrap_or(0);
    let mut texts = there[..end].to_owned();
    for code in ErrorCode::all() {
        for (part, text) in [("", code.sentence()), ("_do", code.remedy())] {
            // A dollar begins a placeholder.
            let text = Value::from(text.replace('$', "$$"));
            write!(texts, ",\n  \"OFS_{}{part}\": {{\n    \"message\": {text}\n  }}", code.number()).ok();
        }
    }
    texts + "\n}\n"
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

    #[test]
    fn english_texts_are_replaced_and_the_others_kept() {
        let made = english("{\n  \"a\": {\n    \"message\": \"A\"\n  }\n}\n");
        let texts: Value = serde_json::from_str(&made).unwrap();
        assert_eq!(texts["a"]["message"], "A");
        for code in ErrorCode::all() {
            let said = texts[format!("OFS_{}", code.number())]["message"].as_str().unwrap();
            assert_eq!(said.replace("$$", "$"), code.sentence());
        }
        assert_eq!(english(&made), made);
    }
}
