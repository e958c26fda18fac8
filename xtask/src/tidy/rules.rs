//! Rules about files, as functions of their names and contents.

use std::collections::BTreeMap;

use super::SourceFile;

/// Lines that a source file may have.
const MAX_LINES: usize = 800;

/// Files that may be longer, and why.
const LONGER: [(&str, &str); 0] = [];

/// Lines of hand-written JavaScript in www/: decisions belong to ext-core.
const SCRIPT_BUDGET: usize = 5250;

/// Folders that may hold files which are not text.
const BINARY_FOLDERS: [&str; 5] =
    ["www/icons/", "tests/clips/", "protocol/test_data/", "fuzz/corpus/", "docs/images/"];

/// Marks of unfinished work, put together so that this file does not hold them.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Everything that breaks a rule, a sentence each.
pub(super) fn check(files: &[SourceFile]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        complaints.extend(length(file));
        complaints.extend(module_doc(file));
        complaints.extend(world(file));
        complaints.extend(binary(file));
        complaints.extend(marks(file));
    }
    complaints.extend(script_budget(files));
    complaints.extend(clippy_copies(files));
    complaints.extend(hook_names(files));
    complaints
}

fn is_source(file: &SourceFile) -> bool {
    file.has_extension("rs") || file.has_extension("js")
}

fn length(file: &SourceFile) -> Option<String> {
    let lines = file.text().lines().count();
    let is_listed = LONGER.iter().any(|(name, _)| *name == file.name);
    (is_source(file) && lines > MAX_LINES && !is_listed).then(|| {
        format!("{} has {lines} lines, more than {MAX_LINES}: divide it by what its parts are for", file.name)
    })
}

fn module_doc(file: &SourceFile) -> Option<String> {
    // What a module's tests are for is what the module is for; a fuzz target is one call of an oracle.
    let speaks_for_itself = file.name.ends_with("/tests.rs") || file.name.starts_with("fuzz/fuzz_targets/");
    let begins = file.text().trim_start().starts_with("//!");
    (file.has_extension("rs") && !begins && !speaks_for_itself)
        .then(|| format!("{} does not begin with //! and what it is for", file.name))
}

fn world(file: &SourceFile) -> Option<String> {
    let begins = file.text().starts_with("// World: ");
    (file.has_extension("js") && !begins)
        .then(|| format!("{} does not begin with `// World: ` and where it runs", file.name))
}

fn binary(file: &SourceFile) -> Option<String> {
    let is_text = std::str::from_utf8(&file.bytes).is_ok_and(|text| !text.contains('\0'));
    let is_allowed = BINARY_FOLDERS.iter().any(|folder| file.name.starts_with(folder));
    (!is_text && !is_allowed).then(|| format!("{} is not text: build it, don't commit it", file.name))
}

fn marks(file: &SourceFile) -> Option<String> {
    let mark = MARKS
        .iter()
        .find(|mark| file.text().split(|c: char| !c.is_alphanumeric()).any(|word| word == **mark))?;
    is_source(file).then(|| format!("{} holds {mark}: finish it, or open an issue", file.name))
}

fn script_budget(files: &[SourceFile]) -> Option<String> {
    let lines: usize = files
        .iter()
        .filter(|file| file.name.starts_with("www/") && file.has_extension("js"))
        .map(|file| file.text().lines().count())
        .sum();
    (lines > SCRIPT_BUDGET)
        .then(|| format!("www/ holds {lines} lines of JavaScript, more than {SCRIPT_BUDGET}"))
}

/// The hook's files become one script, in which the later of two functions of a name silently takes the other's place.
fn hook_names(files: &[SourceFile]) -> Vec<String> {
    let mut places = BTreeMap::new();
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.name.starts_with("www/hook/") && file.has_extension("js")) {
        let declared = file.text().lines().filter_map(|line| {
            line.strip_prefix("async ").unwrap_or(line).strip_prefix("function ")?.split('(').next()
        });
        for name in declared {
            if let Some(other) = places.insert(name, &file.name) {
                complaints.push(format!("{} and {other} both declare the function {name}", file.name));
            }
        }
    }
    complaints
}

/// A crate's own clippy.toml replaces the root's entirely, so it has to repeat all of its lines.
fn clippy_copies(files: &[SourceFile]) -> Vec<String> {
    let Some(root) = files.iter().find(|file| file.name == "clippy.toml") else {
        return vec!["clippy.toml is not there".to_owned()];
    };
    let mut complaints = Vec::new();
    for copy in files.iter().filter(|file| file.name.ends_with("/clippy.toml")) {
        let lines: Vec<&str> = copy.text().lines().map(str::trim).collect();
        for line in root.text().lines().map(str::trim) {
            if !line.is_empty() && !line.starts_with('#') && !lines.contains(&line) {
                complaints.push(format!("{} lacks a line of the root's: {line}", copy.name));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> SourceFile {
        SourceFile { name: name.to_owned(), bytes: bytes.to_owned() }
    }

    /// What is said about one file beside a root clippy.toml.
    fn complaints_about(name: &str, bytes: &[u8]) -> Vec<String> {
        check(&[file("clippy.toml", b"a = 1\n"), file(name, bytes)])
    }

    #[test]
    fn a_file_by_the_rules_gives_no_complaint() {
        assert_eq!(complaints_about("a/src/lib.rs", b"//! For.\n"), Vec::<String>::new());
        assert_eq!(complaints_about("www/a.js", b"// World: page.\n"), Vec::<String>::new());
        assert_eq!(complaints_about("www/icons/a.png", b"\x89PNG\0"), Vec::<String>::new());
        assert_eq!(
            complaints_about("ext-core/clippy.toml", b"# More.\na = 1\nb = 2\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn two_functions_of_a_name_in_the_hook_are_found() {
        let text = |name: &str| {
            format!("// World: page.\nasync function {name}(a) {{\n  function inner() {{}}\n}}\n")
        };
        let said = |second: &str| {
            let [first, second] = ["leave", second].map(text);
            let files =
                [("clippy.toml", &*String::new()), ("www/hook/1.js", &first), ("www/hook/2.js", &second)];
            check(&files.map(|(name, text)| file(name, text.as_bytes())))
        };
        assert_eq!(said("end"), Vec::<String>::new());
        assert_eq!(said("leave"), ["www/hook/2.js and www/hook/1.js both declare the function leave"]);
    }

    #[test]
    fn each_rule_names_the_file_that_breaks_it() {
        let long = format!("//! For.\n{}", "x\n".repeat(MAX_LINES));
        let mark = format!("//! For.\n// {}: later\n", MARKS[0]);
        for (name, bytes, part) in [
            ("a.rs", long.as_bytes(), "801 lines"),
            ("a.rs", b"use x;\n", "does not begin with //!"),
            ("a.js", b"'use strict';\n", "does not begin with `// World: `"),
            ("a/b.o", b"\x7fELF\0", "is not text"),
            ("a.rs", mark.as_bytes(), "finish it"),
            ("ext-core/clippy.toml", b"b = 2\n", "lacks a line of the root's: a = 1"),
        ] {
            let complaints = complaints_about(name, bytes);
            assert!(complaints.len() == 1 && complaints[0].contains(part), "{name}: {complaints:?}");
        }
    }

    #[test]
    fn scripts_together_stay_in_their_budget() {
        let half = format!("// World: page.\n{}", ";\n".repeat(SCRIPT_BUDGET / 2));
        let root = file("clippy.toml", b"");
        let complaints = check(&[root, file("www/a.js", half.as_bytes()), file("www/b.js", half.as_bytes())]);
        // Each is longer than a file may be as well.
        assert!(
            complaints
                .iter()
                .any(|complaint| complaint.contains(&format!("{} lines of JavaScript", SCRIPT_BUDGET + 2))),
            "{complaints:?}"
        );
    }
}
