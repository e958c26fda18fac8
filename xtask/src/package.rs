//! `cargo xtask package`: one archive per browser, the same bytes every time.

mod archive;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use sha2::{Digest as _, Sha256};

use crate::manifest::{self, BROWSERS};
use crate::run::print;
use crate::workspace::Workspace;

/// Packs the extension for each browser: dist/offstage-<browser>-<version>.zip.
///
/// The same checkout gives the same bytes: entries are sorted and carry a fixed date. The manifests are compared with
/// manifest/expected/, so that a change of what a browser is asked for never goes unseen.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Write manifest/expected/ anew instead of comparing.
    #[arg(long)]
    pub(crate) update: bool,
    /// Only the manifests.
    #[arg(long)]
    pub(crate) manifests_only: bool,
    /// Pack what was built before, as it is.
    #[arg(long)]
    pub(crate) no_build: bool,
}

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    for browser in BROWSERS {
        compare_manifest(workspace, browser, options.update)?;
    }
    if options.manifests_only {
        return Ok(());
    }
    if !options.no_build {
        crate::build::web(workspace)?;
    }
    for browser in BROWSERS {
        let bytes = archive::pack(&workspace.extension(browser))?;
        let path = workspace.dist().join(format!("offstage-{browser}-{}.zip", env!("CARGO_PKG_VERSION")));
        std::fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        print(format!("{:x}  {}  {} bytes", Sha256::digest(&bytes), path.display(), bytes.len()));
    }
    Ok(())
}

fn compare_manifest(workspace: &Workspace, browser: &str, update: bool) -> Result<()> {
    let made = manifest::make(workspace, browser)?;
    let name = format!("manifest/expected/{browser}.json");
    if update {
        return std::fs::write(workspace.path(&name), made).with_context(|| format!("cannot write {name}"));
    }
    let expected = workspace.read(&name)?;
    if made != expected {
        let at = made.lines().zip(expected.lines()).position(|(new, old)| new != old).unwrap_or(0);
        bail!(
            "the manifest for {browser} is not what {name} says, from line {} on. If the change is meant: \
             `cargo xtask package --manifests-only --update`, and commit the file.",
            at + 1
        );
    }
    Ok(())
}
