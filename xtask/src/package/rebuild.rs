//! The same bytes from another folder: the checkout's files are copied, built with an empty output folder, and compared.

use anyhow::{Context as _, Result, ensure};

use super::{Artefact, Options};
use crate::run::{print, say};
use crate::workspace::Workspace;

/// Builds everything again elsewhere; fails if a file is not the same.
pub(super) fn check(workspace: &Workspace, options: &Options, made: &[Artefact]) -> Result<()> {
    let elsewhere = tempfile::Builder::new().prefix("offstage-rebuild-").tempdir()?;
    let copy = elsewhere.path().join("checkout");
    for file in workspace.files()? {
        let to = copy.join(&file);
        std::fs::create_dir_all(to.parent().context("a file is in no folder")?)?;
        std::fs::copy(workspace.path(&file), &to).with_context(|| format!("cannot copy {file}"))?;
    }
    say(format!("package: building again in {}", copy.display()));
    let other = Workspace::of(copy, elsewhere.path().join("output"));
    // The copy is no git checkout, and a trial key belongs to its output folder.
    let options = Options {
        key: Some(super::key_file(workspace, options)?),
        date: Some(super::date(workspace, options)?),
        trial: options.key.is_none(),
        no_build: false,
        ..options.clone()
    };
    let again = super::make(&other, &options)?.artefacts;
    let mut different = Vec::new();
    for artefact in made {
        let name = artefact.name();
        let second = again.iter().find(|second| second.name() == name);
        let hash = second.map_or("not made", |second| second.hash.as_str());
        let verdict = if hash == artefact.hash { "same" } else { "DIFFERENT" };
        print(format!("{verdict}  {name}\n  here       {}\n  elsewhere  {hash}", artefact.hash));
        if hash != artefact.hash {
            different.push(name);
        }
    }
    ensure!(made.len() == again.len(), "{} files here, {} elsewhere", made.len(), again.len());
    if !different.is_empty() {
        // What differs can be looked at.
        let kept = elsewhere.keep();
        anyhow::bail!(
            "not the same bytes: {}; the other build stays in {}",
            different.join(", "),
            kept.display()
        );
    }
    Ok(())
}
