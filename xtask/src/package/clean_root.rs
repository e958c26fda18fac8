//! The programs' packages in a Debian that has nothing else: they install, they run, and nothing stays when they go.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use super::{Artefact, native};
use crate::run::{check as run, is_root, output, print, say};
use crate::workspace::Workspace;

/// The client's browser, which a minimal Debian would take minutes to get: a package of that name with nothing in it.
const STAND_IN: &str = "Package: chromium\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: stand-in\n";
/// What packages may change: dpkg's own books and the log of what it did.
const BOOKS: [&str; 3] = ["var/lib/dpkg", "var/log/dpkg.log", "var/log/alternatives.log"];
/// A folder that base-files makes and does not own: dpkg takes it away, if it is empty, with any package that had something in it.
const UNOWNED: &str = "etc/opt";

/// Checks all packages among `artefacts`.
pub(super) fn check(workspace: &Workspace, artefacts: &[Artefact]) -> Result<()> {
    ensure!(is_root(), "a clean Debian is made and entered by root only");
    let debs = native::debs(artefacts);
    run(Command::new("lintian").args(["--allow-root", "--fail-on", "error"]).args(&debs))
        .context("lintian finds errors, or is missing (`cargo xtask setup`)")?;
    let root = Root::unpack(&clean_debian(workspace)?)?;
    let before = root.listing()?;

    root.give(&debs)?;
    root.enter("dpkg --install /given/*.deb")?;
    bridge(&root)?;
    client(&root)?;
    pages(&root)?;
    root.enter("dpkg --purge offstage-bridge offstage-client chromium && rm -r /given")?;
    let mut after = root.listing()?;
    if let Some(empty) =
        before.get_key_value(Path::new(UNOWNED)).filter(|(name, _)| !after.contains_key(*name))
    {
        after.insert(empty.0.clone(), empty.1.clone());
    }
    compare(&before, &after).context("after the packages were removed")?;

    let archives: Vec<PathBuf> = debs.iter().map(|deb| native::archive_of(deb)).collect::<Result<_>>()?;
    root.give(&archives)?;
    for archive in &archives {
        let name = format!("/given/{}", archive.file_name().unwrap_or_default().to_string_lossy());
        root.enter(&native::unpack(&name))?;
    }
    bridge(&root)?;
    client(&root)?;
    for archive in &archives {
        let name = format!("/given/{}", archive.file_name().unwrap_or_default().to_string_lossy());
        root.enter(&native::remove(&name))?;
    }
    root.enter("rm -r /given")?;
    // By hand, folders stay; no file does.
    let files = |listing: BTreeMap<PathBuf, String>| -> BTreeMap<PathBuf, String> {
        listing.into_iter().filter(|(_, what)| !what.starts_with("folder")).collect()
    };
    compare(&files(before), &files(root.listing()?)).context("after the archives' files were removed")?;
    print("in a clean Debian, packages and archives were installed, ran, and were removed without a trace");
    Ok(())
}

/// The bridge runs, finds itself in the browsers' manifests, and misses only what is not there: a client.
fn bridge(root: &Root) -> Result<()> {
    let version = root.enter("offstage-bridge --version")?;
    ensure!(version.trim() == format!("offstage-bridge {}", env!("CARGO_PKG_VERSION")), "{version}");
    // It fails, as no client runs.
    let said = root.enter("offstage-bridge doctor --json || true")?;
    let doctor: serde_json::Value = serde_json::from_str(&said).with_context(|| said.clone())?;
    let status = |subject: &str| -> Vec<String> {
        let checks = doctor["checks"].as_array().into_iter().flatten();
        let of = checks.filter(|check| check["subject"] == subject);
        of.map(|check| check["status"].as_str().unwrap_or_default().to_owned()).collect()
    };
    for subject in ["program", "Chrome", "Chromium", "Edge", "Brave"] {
        let found = status(subject);
        ensure!(
            !found.is_empty() && found.iter().all(|status| status == "ok"),
            "{subject}: {found:?} in {said}"
        );
    }
    ensure!(doctor["ok"] == false, "no client runs, yet the doctor finds nothing: {said}");
    let manifests =
        root.enter("cat /etc/*/native-messaging-hosts/*.json /etc/opt/*/native-messaging-hosts/*.json")?;
    let count = manifests.matches("\"path\": \"/usr/bin/offstage-bridge\"").count();
    ensure!(count == 4, "{count} of four manifests lead to the bridge: {manifests}");
    Ok(())
}

/// The client runs, finds its stage, and the stand-in is no browser.
fn client(root: &Root) -> Result<()> {
    let version = root.enter("offstage-client --version")?;
    ensure!(version.trim() == format!("offstage-client {}", env!("CARGO_PKG_VERSION")), "{version}");
    let said = root.enter("offstage-client doctor || true")?;
    let line = |subject: &str| said.lines().find(|line| line.split_whitespace().nth(1) == Some(subject));
    let is_ok = |subject: &str| line(subject).is_some_and(|line| line.starts_with("ok"));
    ensure!(is_ok("stage") && is_ok("socket") && !is_ok("engine") && !is_ok("display"), "{said}");
    Ok(())
}

/// Both programs have manual pages, and each of their commands (lintian has read them).
fn pages(root: &Root) -> Result<()> {
    for page in
        ["offstage-bridge.1", "offstage-bridge-install.1", "offstage-client.1", "offstage-client-run.1"]
    {
        let path = root.folder.path().join("usr/share/man/man1").join(format!("{page}.gz"));
        ensure!(path.is_file(), "no manual page {page}");
    }
    Ok(())
}

/// A Debian of the release that apt has here, with nothing but what is needed to install more; kept for the next time.
fn clean_debian(workspace: &Workspace) -> Result<PathBuf> {
    let listed = output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(CODENAME) $(COMPONENT)",
        "Created-By: Packages",
        "Origin: Debian",
        "Label: Debian",
        "Component: main",
    ]))?;
    // Of a release and its updates, the release.
    let sources = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let release = sources.min_by_key(|fields| fields.get(1).map_or(usize::MAX, |codename| codename.len()));
    let Some([address, codename, component]) = release.as_deref() else {
        bail!("apt knows no Debian archive here (`apt-get update` first)");
    };
    let kept = workspace.target().join(format!("clean-{codename}.tar"));
    if !kept.is_file() {
        say(format!("package: getting a clean Debian ({codename})"));
        let draft = kept.with_extension("draft.tar");
        let mut command = Command::new("mmdebstrap");
        let mut proxies = Command::new("apt-config");
        proxies.args(["dump", "--no-empty", "--format", "%F \"%v\";%n"]);
        let proxies = output(proxies.args(["Acquire::http::Proxy", "Acquire::https::Proxy"]))?;
        command.args(proxies.lines().map(|line| format!("--aptopt={line}")));
        command.args(["--quiet", "--mode=root", "--variant=minbase", codename]).arg(&draft);
        run(command.arg(format!("deb {address} {codename} {component}")))
            .context("mmdebstrap makes a clean Debian; `cargo xtask setup` installs it")?;
        std::fs::rename(&draft, &kept)?;
    }
    Ok(kept)
}

/// A system in a folder; gone at the end.
struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    fn unpack(archive: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("offstage-debian-").tempdir()?;
        let mut tar = Command::new("tar");
        run(tar.args(["--numeric-owner", "-xpf"]).arg(archive).arg("-C").arg(folder.path()))?;
        Ok(Self { folder })
    }

    /// Puts files, and the stand-in beside packages, into /given.
    fn give(&self, files: &[PathBuf]) -> Result<()> {
        let given = self.folder.path().join("given");
        std::fs::create_dir_all(&given)?;
        for file in files {
            std::fs::copy(file, given.join(file.file_name().context("a package has a name")?))?;
        }
        let stand_in = tempfile::tempdir()?;
        std::fs::create_dir(stand_in.path().join("DEBIAN"))?;
        std::fs::write(stand_in.path().join("DEBIAN/control"), STAND_IN)?;
        let mut build = Command::new("dpkg-deb");
        build.arg("--build").arg(stand_in.path()).arg(given.join("chromium.deb"));
        run(build.stdout(std::process::Stdio::null()))
    }

    /// Has the system's shell do something; its own processes, its own mounts, no display and no home of somebody's.
    fn enter(&self, script: &str) -> Result<String> {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "--root"])
            .arg(self.folder.path());
        command.args(["/bin/sh", "-ec", script]).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/nowhere").env("LC_ALL", "C.UTF-8");
        output(command.env("DEBIAN_FRONTEND", "noninteractive"))
    }

    /// What lies where, but for the books.
    fn listing(&self) -> Result<BTreeMap<PathBuf, String>> {
        let mut listing = BTreeMap::new();
        list(self.folder.path(), Path::new(""), &mut listing)?;
        Ok(listing)
    }
}

fn list(root: &Path, below: &Path, listing: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    for entry in std::fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        if BOOKS.iter().any(|book| name == Path::new(book)) {
            continue;
        }
        let metadata = entry.metadata()?;
        listing.insert(name.clone(), described(&entry.path(), &metadata)?);
        if metadata.is_dir() {
            list(root, &name, listing)?;
        }
    }
    Ok(())
}

fn described(path: &Path, metadata: &Metadata) -> Result<String> {
    let kind = metadata.file_type();
    let what = if kind.is_dir() {
        "folder".to_owned()
    } else if kind.is_symlink() {
        format!("link to {}", std::fs::read_link(path)?.display())
    } else if kind.is_char_device() || kind.is_block_device() {
        format!("device {}", metadata.rdev())
    } else {
        format!("file {:x}", Sha256::digest(std::fs::read(path)?))
    };
    Ok(format!("{what}, mode {:o}, of {}:{}", metadata.mode(), metadata.uid(), metadata.gid()))
}

fn compare(before: &BTreeMap<PathBuf, String>, after: &BTreeMap<PathBuf, String>) -> Result<()> {
    let mut differences = Vec::new();
    for name in before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))) {
        let (old, new) = (before.get(name), after.get(name));
        if old != new {
            differences.push(format!("/{}: {} -> {}", name.display(), shown(old), shown(new)));
        }
    }
    ensure!(differences.is_empty(), "not as before:\n{}", differences.join("\n"));
    Ok(())
}

fn shown(what: Option<&String>) -> &str {
    what.map_or("nothing", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stays_or_changes_is_named() {
        let root = tempfile::tempdir().unwrap();
        let look = || {
            let mut listing = BTreeMap::new();
            list(root.path(), Path::new(""), &mut listing).unwrap();
            listing
        };
        for folder in ["etc", "var/lib/dpkg"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        std::fs::write(root.path().join("etc/a"), "a").unwrap();
        let before = look();
        std::fs::write(root.path().join("var/lib/dpkg/status"), "").unwrap();
        compare(&before, &look()).unwrap();
        std::fs::write(root.path().join("etc/a"), "b").unwrap();
        std::fs::create_dir(root.path().join("etc/opt")).unwrap();
        let error = compare(&before, &look()).unwrap_err().to_string();
        assert!(error.contains("/etc/a: file") && error.contains("/etc/opt: nothing -> folder"), "{error}");
        assert!(!error.contains("dpkg"), "{error}");
    }
}
