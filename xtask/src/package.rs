//! `cargo xtask package`: the extension for stores and for policies, and the programs for Debian; the same bytes every time.

mod archive;
mod clean_root;
mod crx;
mod forced;
pub(crate) mod msi;
mod native;
mod rebuild;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use offstage_tests::server::{Request, Response, Server};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::manifest::{self, BROWSERS};
use crate::run::print;
use crate::workspace::Workspace;

/// The web address that stands for an administrator's.
const EXAMPLE_URL: &str = "https://updates.example.com/offstage";
/// Where an administrator's server has the update manifest, in checks.
const UPDATES: &str = "/updates.xml";

/// Packs everything into dist/, and prints each file with its SHA-256.
///
/// The extension: for each browser's store offstage-<browser>-<version>.zip; signed, for installation by policy,
/// offstage-<version>.crx with its update manifest updates.xml. The programs, optimised: offstage-bridge and offstage-client, each as
/// a Debian package (.deb) and as an archive to unpack by hand (.tar.gz). With --msi instead: both as packages of the Windows Installer.
///
/// The same checkout, key and compiler give the same bytes in every folder: entries are sorted, carry a fixed date, and programs name no
/// folder of this machine. The manifests are compared with manifest/expected/, so that a change of what a browser is asked for never
/// goes unseen.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Write manifest/expected/ anew instead of comparing.
    #[arg(long)]
    pub(crate) update: bool,
    /// Only the manifests.
    #[arg(long)]
    pub(crate) manifests_only: bool,
    /// Only the extension.
    #[arg(long, conflicts_with_all = ["programs_only", "check_debs"])]
    pub(crate) extension_only: bool,
    /// Only the programs (and the stage, which the client's package holds).
    #[arg(long, conflicts_with = "check")]
    pub(crate) programs_only: bool,
    /// Only the programs for Windows, as packages of the Windows Installer.
    #[arg(long, conflicts_with_all = ["extension_only", "programs_only", "check", "check_debs"])]
    pub(crate) msi: bool,
    /// Pack what was built before, as it is.
    #[arg(long)]
    pub(crate) no_build: bool,
    /// The private key of the package for installation by policy: PEM, PKCS #8, RSA. Its public half makes the extension's
    /// id, which the bridge's package then lets in. Without it a key is made once, for trying out.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The folder on a web server where the signed package will be; the update manifest beside it names it
    /// [default: https://updates.example.com/offstage].
    #[arg(long, value_name = "URL")]
    pub(crate) update_url: Option<String>,
    /// Who answers for the Debian packages, as "Name <mail address>".
    #[arg(long, value_name = "WHO", env = "OFFSTAGE_MAINTAINER")]
    pub(crate) maintainer: Option<String>,
    /// Have a browser of its own install the signed package by a policy file, and play a video through it (needs root).
    #[arg(long)]
    pub(crate) check: bool,
    /// Have lintian look at the Debian packages, and install and remove them in a Debian that has nothing else (needs root; gets that
    /// Debian from where apt gets packages, once).
    #[arg(long)]
    pub(crate) check_debs: bool,
    /// Build and pack everything again from a copy in another folder, and compare.
    #[arg(long)]
    pub(crate) rebuild_check: bool,
    /// The key is one for trying out, even if it is given.
    #[arg(skip)]
    pub(crate) trial: bool,
    /// Seconds since 1970 that packages carry, if git can't be asked.
    #[arg(skip)]
    pub(crate) date: Option<u64>,
}

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    for browser in BROWSERS {
        compare_manifest(workspace, browser, options.update)?;
    }
    if options.manifests_only {
        return Ok(());
    }
    let made = make(workspace, options)?;
    for artefact in &made.artefacts {
        print(format!("{}  {}  {} bytes", artefact.hash, artefact.path.display(), artefact.size));
    }
    if let Some(signed) = &made.signed {
        let note = if options.key.is_none() { " (of a trial key; give your own with --key)" } else { "" };
        print(format!("the signed package's extension id: {}{note}", signed.id));
    }
    if options.rebuild_check {
        rebuild::check(workspace, options, &made.artefacts)?;
    }
    if options.check_debs {
        clean_root::check(workspace, &made.artefacts)?;
    }
    match made.signed {
        Some(signed) if options.check => forced::check(workspace, &signed),
        Some(_) | None => Ok(()),
    }
}

/// A file that was made.
#[derive(Debug)]
struct Artefact {
    path: PathBuf,
    hash: String,
    size: usize,
}

impl Artefact {
    fn write(workspace: &Workspace, name: &str, bytes: &[u8]) -> Result<Self> {
        let path = workspace.dist().join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, hash: format!("{:x}", Sha256::digest(bytes)), size: bytes.len() })
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

struct Made {
    artefacts: Vec<Artefact>,
    /// None if only the programs were packed.
    signed: Option<Signed>,
}

/// Builds and packs.
fn make(workspace: &Workspace, options: &Options) -> Result<Made> {
    if options.msi {
        if !options.no_build {
            crate::build::web(workspace)?;
            crate::build::windows(workspace, Some(date(workspace, options)?))?;
        }
        let artefacts = msi::pack(workspace, &choices(workspace, options)?)?;
        return Ok(Made { artefacts, signed: None });
    }
    if !options.no_build {
        crate::build::web(workspace)?;
        if !options.extension_only {
            crate::build::native(workspace, true)?;
        }
    }
    let mut artefacts = Vec::new();
    let mut signed = None;
    if !options.programs_only {
        for browser in BROWSERS {
            let bytes = archive::pack(&workspace.extension(browser), |_, bytes| Ok(bytes))?;
            let name = format!("offstage-{browser}-{}.zip", env!("CARGO_PKG_VERSION"));
            artefacts.push(Artefact::write(workspace, &name, &bytes)?);
        }
        signed = Some(write_signed(workspace, options, &mut artefacts)?);
    }
    if !options.extension_only {
        artefacts.extend(native::pack(workspace, &choices(workspace, options)?)?);
    }
    Ok(Made { artefacts, signed })
}

fn choices(workspace: &Workspace, options: &Options) -> Result<native::Choices> {
    let own_key = options.key.is_some() && !options.trial;
    Ok(native::Choices {
        extension_id: if own_key { Some(key(workspace, options)?.id()) } else { None },
        update_url: options.update_url.clone(),
        maintainer: options.maintainer.clone(),
        date: date(workspace, options)?,
    })
}

fn date(workspace: &Workspace, options: &Options) -> Result<u64> {
    options.date.map_or_else(|| native::date(workspace), Ok)
}

/// The package for installation by policy.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) id: String,
    crx: Vec<u8>,
}

/// What was built, packed and signed with a trial key; no file of a release is touched.
pub(crate) fn signed(workspace: &Workspace) -> Result<Signed> {
    sign(workspace, &Options::default())
}

impl Signed {
    /// What a web server of an administrator's says at this address: the update manifest, the package.
    pub(crate) fn answer(&self, request: &Request) -> Option<Response> {
        match request.path.as_str() {
            UPDATES => {
                let url = format!("http://{}/offstage.crx", request.header("host").unwrap_or_default());
                let text = crx::update_manifest(&self.id, env!("CARGO_PKG_VERSION"), &url);
                Some(Response::new("text/xml", text))
            }
            "/offstage.crx" => Some(Response::new("application/x-chrome-extension", self.crx.clone())),
            _ => None,
        }
    }

    /// The policies that install it from there, and have it cover the videos of a site.
    pub(crate) fn policies(&self, server: &Server, site: &str) -> Value {
        let id = &self.id;
        json!({
            "ExtensionSettings": { id: { "installation_mode": "force_installed", "update_url": server.url(UPDATES) } },
            "3rdparty": { "extensions": { id: { "videoSites": [site] } } }
        })
    }
}

/// The signed package with its update manifest, as files.
fn write_signed(workspace: &Workspace, options: &Options, artefacts: &mut Vec<Artefact>) -> Result<Signed> {
    let signed = sign(workspace, options)?;
    let version = env!("CARGO_PKG_VERSION");
    let file = format!("offstage-{version}.crx");
    let folder = options.update_url.as_deref().unwrap_or(EXAMPLE_URL);
    let url = format!("{}/{file}", folder.trim_end_matches('/'));
    artefacts.push(Artefact::write(workspace, &file, &signed.crx)?);
    let manifest = crx::update_manifest(&signed.id, version, &url);
    artefacts.push(Artefact::write(workspace, "updates.xml", manifest.as_bytes())?);
    Ok(signed)
}

fn sign(workspace: &Workspace, options: &Options) -> Result<Signed> {
    let key = key(workspace, options)?;
    // The whole product, under its own name; the key comes with the signature.
    let zip = archive::pack(&workspace.extension("chromium"), |name, bytes| match name {
        "manifest.json" => policy_manifest(&bytes),
        _ => Ok(bytes),
    })?;
    let crx = crx::sign(&zip, &key)?;
    Ok(Signed { id: key.id(), crx })
}

fn key(workspace: &Workspace, options: &Options) -> Result<crx::Key> {
    let path = key_file(workspace, options)?;
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    crx::Key::from_pem(&text)
}

/// The given key, or one that is made once for this target folder, so that the id stays.
fn key_file(workspace: &Workspace, options: &Options) -> Result<PathBuf> {
    if let Some(path) = &options.key {
        return Ok(path.clone());
    }
    let path = workspace.target().join("trial-key.pem");
    if !path.exists() {
        std::fs::write(&path, new_key()?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(path)
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
    let mut manifest: Value = serde_json::from_slice(bytes)?;
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
