//! The two programs as Debian packages and as archives to unpack by hand.
//!
//! What a package holds is put together in memory ([`contents`]); [`tree`] writes it as an archive, [`debian`] as a package. Nothing
//! of the machine or the moment gets in: names are sorted, all belongs to root, and the date is the commit's.

mod contents;
mod debian;
mod notices;
mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use self::tree::Tree;
use super::Artefact;
use crate::run::output;
use crate::workspace::Workspace;

/// What differs from one set of packages to the next.
#[derive(Debug, Default)]
pub(super) struct Choices {
    /// The id of the package for installation by policy, if it is not of a trial key: the bridge then lets it in.
    pub(super) extension_id: Option<String>,
    /// The folder on a web server where that package is.
    pub(super) update_url: Option<String>,
    /// Name and mail address of who answers for the packages.
    pub(super) maintainer: Option<String>,
    /// Seconds since 1970 that all files carry.
    pub(super) date: u64,
}

/// One program's package, before it gets its form.
#[derive(Debug)]
struct Package {
    name: &'static str,
    /// Debian's section, what it is in one line, and the paragraphs below it.
    section: &'static str,
    summary: &'static str,
    description: &'static str,
    /// Needed besides the libraries that the program is linked with.
    depends: &'static [&'static str],
    /// What lintian says and why it has to be so.
    overrides: &'static [(&'static str, &'static str)],
    tree: Tree,
}

impl Package {
    /// The program's path where it is installed.
    fn program(&self) -> String {
        format!("usr/bin/{}", self.name)
    }
}

/// Packs what was built.
pub(super) fn pack(workspace: &Workspace, choices: &Choices) -> Result<Vec<Artefact>> {
    let version = env!("CARGO_PKG_VERSION");
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))
        .context("packages are made on Debian and its relatives only")?;
    let architecture = architecture.trim();
    let made = debian::Making {
        version,
        architecture,
        date: choices.date,
        maintainer: choices.maintainer.as_deref().unwrap_or("The Offstage authors <offstage@example.com>"),
    };
    let mut artefacts = Vec::new();
    for mut package in [contents::bridge(workspace, choices)?, contents::client(workspace)?] {
        contents::documentation(workspace, &mut package, &made)?;
        let name = package.name;
        let folder = format!("{name}-{version}-{architecture}");
        let mut archived = package.tree.below(&folder);
        archived.add(format!("{folder}/README"), contents::by_hand(&folder, &package.tree).into_bytes());
        artefacts.push(Artefact::write(
            workspace,
            &format!("{folder}.tar.gz"),
            &archived.archive(made.date)?,
        )?);
        let deb = debian::build(&package, &made)?;
        artefacts.push(Artefact::write(workspace, &format!("{name}_{version}_{architecture}.deb"), &deb)?);
    }
    Ok(artefacts)
}

/// Seconds since 1970: SOURCE_DATE_EPOCH as packagers set it, else when the checkout's commit was made.
pub(super) fn date(workspace: &Workspace) -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => {
            output(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(workspace.root()))
                .context("outside a git checkout, SOURCE_DATE_EPOCH has to say which date packages carry")?
        }
    };
    text.trim().parse().with_context(|| format!("{text:?} is no number of seconds since 1970"))
}

pub(super) use self::contents::{remove, unpack};
pub(super) use self::notices::notices;

/// The archive with the same files as a package.
pub(super) fn archive_of(deb: &Path) -> Result<PathBuf> {
    let name = deb.file_stem().and_then(|name| name.to_str()).context("a package has a name")?;
    Ok(deb.with_file_name(format!("{}.tar.gz", name.replace('_', "-"))))
}

/// The packages' paths among all that was made.
pub(super) fn debs(artefacts: &[Artefact]) -> Vec<PathBuf> {
    let is_deb = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
    artefacts.iter().map(|artefact| artefact.path.clone()).filter(is_deb).collect()
}
