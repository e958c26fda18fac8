//! Names, licences and notices of everything that is linked into a program: what their licences ask of who passes it on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::run::{cargo, output};
use crate::workspace::Workspace;

/// What files with licences begin with, in capitals.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Crate>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Crate {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// None for the project's own.
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

/// None is a dependency that is linked; others are of tests and of build scripts.
#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// The notices of a program's package, built for a target; the client's has the stage's module besides.
pub(in crate::package) fn notices(workspace: &Workspace, program: &str, target: &str) -> Result<String> {
    let mut crates = linked(workspace, program, target)?;
    if program == "offstage-client" {
        crates.extend(linked(workspace, "offstage-stage", "wasm32-unknown-unknown")?);
    }
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut out = format!(
        "{program} is built of these libraries, and of Rust's standard library (Apache-2.0 OR MIT).\n\n"
    );
    for (name, (license, folder)) in &crates {
        // Writing to a string does not fail.
        writeln!(out, "{name}: {license}").ok();
        for text in texts_of(folder)? {
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    for (text, names) in &texts {
        let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        writeln!(out, "\n{}\n{names}\n\n{}", "-".repeat(78), text.trim_end()).ok();
    }
    Ok(out)
}

/// The target of this machine.
pub(super) fn host(workspace: &Workspace) -> Result<String> {
    let said = output(cargo(workspace).args(["--version", "--verbose"]))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("cargo does not say which machine it builds for")?.to_owned())
}

/// Others' crates that are linked into `root`: name and version, licence, folder.
fn linked(workspace: &Workspace, root: &str, target: &str) -> Result<BTreeMap<String, (String, PathBuf)>> {
    let mut command = cargo(workspace);
    command.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target]);
    let metadata: Metadata = serde_json::from_str(&output(&mut command)?)?;
    let nodes: BTreeMap<&str, &Node> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let own = |found: &&Crate| found.name == root && found.source.is_none();
    let root = metadata.packages.iter().find(own).with_context(|| format!("{root} is no package here"))?;
    let mut seen = BTreeSet::from([root.id.as_str()]);
    let mut open = vec![root.id.as_str()];
    while let Some(id) = open.pop() {
        let node = nodes.get(id).with_context(|| format!("cargo metadata does not resolve {id}"))?;
        for dependency in &node.deps {
            let is_linked = dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
            if is_linked && seen.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    let mut found = BTreeMap::new();
    for one in metadata.packages.iter().filter(|one| one.source.is_some() && seen.contains(one.id.as_str())) {
        let license = one.license.clone().unwrap_or_else(|| "see below".to_owned());
        let folder = one.manifest_path.parent().context("a manifest is in no folder")?;
        found.insert(format!("{} {}", one.name, one.version), (license, folder.to_owned()));
    }
    Ok(found)
}

/// The texts that a crate brings, each once.
fn texts_of(folder: &Path) -> Result<BTreeSet<String>> {
    let mut texts = BTreeSet::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if NAMES.iter().any(|begin| name.starts_with(begin)) && entry.path().is_file() {
            let text = std::fs::read(entry.path())?;
            texts.insert(String::from_utf8_lossy(&text).replace('\r', "").trim().to_owned());
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_name_what_is_linked_and_nothing_else() {
        let text = notices(&Workspace::find().unwrap(), "offstage-bridge", crate::windows::TARGET).unwrap();
        assert!(text.contains("\ntokio "), "{}", &text[..1000]);
        assert!(!text.contains("\nproptest "), "a library of the tests");
        assert!(!text.contains("\noffstage-"), "own");
        assert!(text.contains("Permission is hereby granted"));
    }
}
