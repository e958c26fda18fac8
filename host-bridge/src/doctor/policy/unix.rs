//! Policies in files.

use std::fs;
use std::path::Path;

use super::Policy;
use crate::doctor::Questions;
use crate::install::places::Browser;
use crate::install::places::below;

/// Larger files are not policies that anybody wrote.
const MAX_FILE: u64 = 4 << 20;

/// A browser's policies, each with where it is.
pub(super) fn policies(questions: &Questions, browser: Browser) -> Vec<(String, Policy)> {
    let mut policies = Vec::new();
    for folder in browser.machine_folders() {
        let managed = below(&questions.root, folder).join("policies/managed");
        let Ok(entries) = fs::read_dir(&managed) else { continue };
        let mut files: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        files.sort();
        policies.extend(files.iter().filter_map(|file| Some((file.display().to_string(), read(file)?))));
    }
    policies
}

/// The policy in a file; browsers ignore what they can't read, too.
fn read(file: &Path) -> Option<Policy> {
    let small = fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_FILE);
    let text = small.then(|| fs::read(file).ok()).flatten()?;
    serde_json::from_slice(&text).ok()
}
