//! The same bytes from another folder: the checkout's files are copied, built with an empty output folder and cargo's home under
//! another name, and compared.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};

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
    // The same crates under another name.
    let cargo_home = elsewhere.path().join("cargo");
    std::os::unix::fs::symlink(std::path::absolute(workspace.cargo_home())?, &cargo_home)?;
    say(format!("package: building again in {}", copy.display()));
    let other = Workspace::of(copy, elsewhere.path().join("output"), cargo_home);
    // The copy is no git checkout, and a trial key belongs to its output folder.
    let options = Options {
        key: Some(super::key_file(workspace, options)?),
        date: Some(super::date(workspace, options)?),
        trial: options.key.is_none(),
        no_build: false,
        ..options.clone()
    };
    let again = super::make(&other, &options)?.artefacts;
    let different = compare(made, &again);
    if !different.is_empty() {
        // What differs can be looked at.
        let kept = elsewhere.keep();
        bail!("not the same bytes: {}; the other build stays in {}", different.join(", "), kept.display());
    }
    Ok(())
}

/// Says what became of each file; the names of those that are not the same.
fn compare(here: &[Artefact], elsewhere: &[Artefact]) -> Vec<String> {
    let hash = |among: &[Artefact], name: &str| {
        let found = among.iter().find(|artefact| artefact.name() == name);
        found.map_or("not made".to_owned(), |artefact| artefact.hash.clone())
    };
    let names: BTreeSet<String> = here.iter().chain(elsewhere).map(Artefact::name).collect();
    let differs = |name: &String| {
        let (first, second) = (hash(here, name), hash(elsewhere, name));
        let verdict = if first == second { "same" } else { "DIFFERENT" };
        print(format!("{verdict}  {name}\n  here       {first}\n  elsewhere  {second}"));
        first != second
    };
    names.into_iter().filter(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_differs_or_is_missing_on_a_side_is_named() {
        let artefact =
            |name: &str, hash: &str| Artefact { path: name.into(), hash: hash.to_owned(), size: 1 };
        let here = [artefact("/a/same", "1"), artefact("/a/other", "2"), artefact("/a/here", "3")];
        let elsewhere = [artefact("/b/same", "1"), artefact("/b/other", "4"), artefact("/b/there", "5")];
        assert_eq!(compare(&here, &elsewhere), ["here", "other", "there"]);
    }
}
