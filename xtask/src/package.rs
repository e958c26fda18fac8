//! `cargo xtask package`: one archive per browser, the same bytes every time.

mod archive;
mod crx;
mod forced;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use sha2::{Digest as _, Sha256};

use crate::manifest::{self, BROWSERS};
use crate::run::print;
use crate::workspace::Workspace;

/// Packs the extension: for each browser's store dist/offstage-<browser>-<version>.zip; signed, for installation by policy,
/// dist/offstage-<version>.crx with its update manifest dist/updates.xml. Prints each file with its SHA-256.
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
    /// The private key of the package for installation by policy: PEM, PKCS #8, RSA. Its public half makes the extension's
    /// id. Without it a key is made once, for trying out.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The folder on a web server where the signed package will be; the update manifest beside it names it
    /// [default: https://updates.example.com/offstage].
    #[arg(long, value_name = "URL")]
    pub(crate) update_url: Option<String>,
    /// Have a browser of its own install the signed package by a policy file, and play a video through it (needs root).
    #[arg(long)]
    pub(crate) check: bool,
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
        let bytes = archive::pack(&workspace.extension(browser), |_, bytes| Ok(bytes))?;
        let path = workspace.dist().join(format!("offstage-{browser}-{}.zip", env!("CARGO_PKG_VERSION")));
        std::fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        tell(&path, &bytes);
    }
    let signed = sign(workspace, options)?;
    if options.check {
        forced::check(workspace, &signed)?;
    }
    Ok(())
}

fn tell(path: &Path, bytes: &[u8]) {
    print(format!("{:x}  {}  {} bytes", Sha256::digest(bytes), path.display(), bytes.len()));
}

/// The package for installation by policy.
struct Signed {
    id: String,
    crx: Vec<u8>,
}

fn sign(workspace: &Workspace, options: &Options) -> Result<Signed> {
    let key = match &options.key {
        Some(path) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            crx::Key::from_pem(&text)?
        }
        None => trial_key(workspace)?,
    };
    // The whole product, under its own name; the key comes with the signature.
    let zip = archive::pack(&workspace.extension("chromium"), |name, bytes| match name {
        "manifest.json" => policy_manifest(&bytes),
        _ => Ok(bytes),
    })?;
    let crx = crx::sign(&zip, &key)?;
    let id = key.id();
    let version = env!("CARGO_PKG_VERSION");
    let file = format!("offstage-{version}.crx");
    let folder = options.update_url.as_deref().unwrap_or("https://updates.example.com/offstage");
    let url = format!("{}/{file}", folder.trim_end_matches('/'));
    for (name, bytes) in
        [(file.as_str(), &crx), ("updates.xml", &crx::update_manifest(&id, version, &url).into_bytes())]
    {
        let path = workspace.dist().join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        tell(&path, bytes);
    }
    let note = if options.key.is_none() { " (of a trial key; give your own with --key)" } else { "" };
    print(format!("the signed package's extension id: {id}{note}"));
    Ok(Signed { id, crx })
}

/// Made once for this target folder, so that the id stays.
fn trial_key(workspace: &Workspace) -> Result<crx::Key> {
    let path = workspace.target().join("trial-key.pem");
    if !path.exists() {
        std::fs::write(&path, new_key()?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    crx::Key::from_pem(&std::fs::read_to_string(&path)?)
}

/// A private key, as PEM.
fn new_key() -> Result<String> {
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let made = openssl.stderr(std::process::Stdio::null()).output();
    let made = made.context("a trial key is made by openssl; `cargo xtask setup` installs it")?;
    ensure!(made.status.success(), "openssl makes no key");
    Ok(String::from_utf8(made.stdout)?)
}

fn policy_manifest(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut manifest: serde_json::Value = serde_json::from_slice(bytes)?;
    let fields = manifest.as_object_mut().context("the manifest is no object")?;
    fields.remove("key");
    fields.insert("name".to_owned(), "Offstage".into());
    Ok(serde_json::to_vec_pretty(&manifest)?)
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
