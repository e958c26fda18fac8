//! `cargo xtask tidy`: the rules of STYLE.md that a program can check.

mod documents;
mod errors;
mod permissions;
mod policy;
mod rules;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::run::{cargo, output, say};
use crate::workspace::Workspace;

/// Checks the rules of STYLE.md that a program can check; lists everything that breaks one.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Write anew what is made from the code: docs/errors.md, docs/policy.md, manifest/policy/, the English texts of the codes.
    #[arg(long)]
    fix: bool,
}

/// A file of the checkout.
#[derive(Debug)]
struct SourceFile {
    /// Relative to the checkout, with slashes.
    name: String,
    bytes: Vec<u8>,
}

impl SourceFile {
    /// The text, or nothing for a file that is not text.
    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    fn has_extension(&self, extension: &str) -> bool {
        self.name.rsplit_once('.').is_some_and(|(_, found)| found == extension)
    }
}

/// Crates that must not get into a package, directly or through others, and why.
const FORBIDDEN: [(&str, &str, &str); 6] = [
    ("offstage-ext-core", "url", "200 kB of tables in the module; the browser has URL"),
    ("offstage-ext-core", "regex", "850 kB in the module; patterns have a matcher of their own"),
    ("offstage-ext-core", "tokio", "the worker has no threads and no sockets"),
    ("offstage-stage", "url", "200 kB of tables in the module; the browser has URL"),
    ("offstage-stage", "regex", "850 kB in the module"),
    ("offstage-protocol", "tokio", "the protocol does no input and output"),
];

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut made = policy::files(&workspace.extension_id()?);
    made.push((errors::PAGE, errors::page()));
    made.push((errors::ENGLISH, errors::english(&workspace.read(errors::ENGLISH)?)));
    if options.fix {
        for (name, text) in &made {
            let path = workspace.path(name);
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(path, text).with_context(|| format!("cannot write {name}"))?;
        }
    }
    let mut files = Vec::new();
    for name in workspace.files()? {
        let bytes = std::fs::read(workspace.path(&name)).with_context(|| format!("cannot read {name}"))?;
        files.push(SourceFile { name, bytes });
    }
    let mut complaints = rules::check(&files);
    complaints.extend(documents::check(&files));
    complaints.extend(forbidden_dependencies(workspace)?);
    let scripts: String = files
        .iter()
        .filter(|file| file.name.starts_with("www/") && file.has_extension("js"))
        .map(SourceFile::text)
        .collect();
    let manifest = serde_json::from_str(&crate::manifest::make(workspace, "chrome")?)?;
    complaints.extend(permissions::check(&manifest, &workspace.read(permissions::PAGE)?, &scripts));
    for (name, text) in &made {
        if workspace.read(name).ok().as_ref() != Some(text) {
            complaints.push(format!("{name} is not what the code says: `cargo xtask tidy --fix`"));
        }
    }
    for complaint in &complaints {
        say(format!("tidy: {complaint}"));
    }
    if !complaints.is_empty() {
        bail!("{} rules are broken; STYLE.md says what they are for", complaints.len());
    }
    Ok(())
}

fn forbidden_dependencies(workspace: &Workspace) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for (package, dependency, reason) in FORBIDDEN {
        let mut tree = cargo(workspace);
        tree.args([
            "tree",
            "--locked",
            "--package",
            package,
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]);
        tree.args(["--target", "wasm32-unknown-unknown"]);
        let names = output(&mut tree)?;
        if names.lines().any(|line| line.split(' ').next() == Some(dependency)) {
            complaints.push(format!(
                "{package} depends on {dependency} ({reason}): `cargo tree -p {package} -i {dependency}`"
            ));
        }
    }
    Ok(complaints)
}
