//! `cargo xtask size`: what the extension weighs, against a budget that is checked in.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::run::print;
use crate::workspace::Workspace;

/// The budget, relative to the checkout.
const BUDGET: &str = "xtask/size-budget.json";

/// Measures the built modules and scripts and compares them with xtask/size-budget.json.
///
/// Build first. The budget is raised by hand, with the reason in the commit that does it.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Also write the sizes as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
}

/// Bytes of each file that has a budget.
pub(crate) fn measure(workspace: &Workspace) -> Result<BTreeMap<String, u64>> {
    let dist = workspace.dist();
    budget(workspace)?.into_keys().map(|file| Ok((file.clone(), dist.join(file).metadata()?.len()))).collect()
}

fn budget(workspace: &Workspace) -> Result<BTreeMap<String, usize>> {
    serde_json::from_str(&workspace.read(BUDGET)?).context(BUDGET)
}

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let budget = budget(workspace)?;
    let mut sizes = BTreeMap::new();
    let mut over = Vec::new();
    print(format!("{:<44} {:>9} {:>9} {:>9}", "file", "bytes", "gzip", "budget"));
    for (file, allowed) in &budget {
        let path = workspace.dist().join(file);
        let bytes =
            std::fs::read(&path).with_context(|| format!("{} is not there: build first", path.display()))?;
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&bytes)?;
        print(format!("{file:<44} {:>9} {:>9} {allowed:>9}", bytes.len(), packed.finish()?.len()));
        if bytes.len() > *allowed {
            over.push(format!(
                "{file} has {} bytes, {} more than {BUDGET} allows",
                bytes.len(),
                bytes.len() - allowed
            ));
        }
        sizes.insert(file.clone(), bytes.len());
    }
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&sizes)? + "\n")?;
    }
    if !over.is_empty() {
        bail!("{}", over.join("; "));
    }
    Ok(())
}
