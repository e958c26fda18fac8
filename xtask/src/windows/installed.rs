//! The packages of the Windows Installer as an administrator uses them, by wine's installer: installed, upgraded, removed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use offstage_bridge::install::places::Browser;
use offstage_bridge::install::registry::keys;
use offstage_protocol::socket_path::ADD_IN;

use super::Wine;
use crate::build;
use crate::package::msi::{self, Making};
use crate::run::{output, say};
use crate::workspace::Workspace;

/// Older than any version.
const OLD: &str = "0.0.1";
const NEW: &str = env!("CARGO_PKG_VERSION");
const UPDATE_URL: &str = "https://updates.example.com/updates.xml";
const RUN: &str = r"HKLM\Software\Microsoft\Windows\CurrentVersion\Run";
const WINDOWS: &str = r"HKLM\Software\Microsoft\Windows NT\CurrentVersion";
const MAJOR: &str = "CurrentMajorVersionNumber";
/// What the installer answers if a condition of the package doesn't hold.
const REFUSED: i32 = 1603;

/// Builds packages of unoptimised programs and has wine install them.
pub(super) fn check(workspace: &Workspace, wine: &Wine) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let old = packages(workspace, OLD, folder.path())?;
    let new = packages(workspace, NEW, folder.path())?;
    let ([old_bridge, old_client], [bridge, client]) = (old.as_slice(), new.as_slice()) else {
        bail!("there are two packages");
    };
    let machine = Machine { wine };
    // As before Windows 10, and as from there on: not every wine has the value.
    let set = ["add", WINDOWS, "/v", MAJOR, "/t", "REG_DWORD", "/d", "10", "/f"];
    machine.registry(&set)?;
    machine.registry(&["delete", WINDOWS, "/v", MAJOR, "/f"])?;
    machine.install(client, &[], REFUSED)?;
    machine.registry(&set)?;
    machine.install(bridge, &["EXTENSIONUPDATEURL=http://updates.example.com/"], REFUSED)?;
    machine.is_clean()?;

    machine.install(old_bridge, &[], 0)?;
    bridge_is_there(&machine, OLD)?;
    ensure!(machine.forced(Browser::Chrome)?.is_none(), "nobody asked for the extension");
    let with_url = format!("EXTENSIONUPDATEURL={UPDATE_URL}");
    machine.install(bridge, &[&with_url], 0)?;
    bridge_is_there(&machine, NEW)?;
    extension_is_forced(&machine)?;
    machine.install(old_bridge, &[], REFUSED)?;
    bridge_is_there(&machine, NEW)?;
    machine.install(old_client, &["ADDLOCAL=Client,Plugin"], 0)?;
    // That an upgrade leaves it out again is Windows' part, which this wine doesn't play.
    ensure!(machine.text(RUN, Some("Offstage"))?.is_none(), "installed is what was left out");
    machine.install(client, &[], 0)?;
    client_is_there(&machine)?;
    machine.remove(client)?;
    machine.install(client, &[], 0)?;
    client_is_there(&machine)?;
    let start = machine.text(RUN, Some("Offstage"))?.context("the client does not start with the desktop")?;
    let program = r#""C:\Program Files\Offstage\Client\offstage-client-background.exe" run"#;
    ensure!(start.starts_with(program), "with the desktop starts {start}");

    machine.remove(bridge)?;
    client_is_there(&machine)?;
    machine.remove(client)?;
    machine.is_clean()?;

    // The next version's installation need not be told the address again.
    machine.install(old_bridge, &[&with_url], 0)?;
    extension_is_forced(&machine)?;
    machine.install(bridge, &[], 0)?;
    bridge_is_there(&machine, NEW)?;
    extension_is_forced(&machine)?;
    machine.remove(bridge)?;
    for browser in Browser::ALL {
        ensure!(machine.forced(browser)?.is_none(), "{}: the extension is still forced", browser.name());
    }
    machine.is_clean()?;
    say("windows: packages were installed, upgraded and removed.");
    Ok(())
}

fn packages(workspace: &Workspace, version: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    let programs = build::windows_programs(workspace, false);
    let built = workspace.stage();
    // The module is not looked at here.
    let stage = if built.is_dir() { built } else { workspace.path("stage/www") };
    let making =
        Making { programs: &programs, stage: &stage, version, maintainer: None, extension_id: None, date: 0 };
    msi::build(workspace, &making, folder)
}

fn bridge_is_there(machine: &Machine<'_>, version: &str) -> Result<()> {
    let program = machine.folder("Bridge").join("offstage-bridge.exe");
    ensure!(program.is_file(), "the bridge's program was not installed");
    for name in ["LICENSE-MIT.txt", "LICENSE-APACHE.txt", "third-party-notices.txt"] {
        ensure!(machine.folder("Bridge").join("licences").join(name).is_file(), "{name} was not installed");
    }
    let manifest = r"C:\Program Files\Offstage\Bridge\org.offstage.bridge.json";
    for key in keys(&Browser::ALL) {
        let text = machine.text(&format!(r"HKLM\{key}"), None)?;
        ensure!(text.as_deref() == Some(manifest), "{key} leads to {text:?}");
    }
    let shown = machine.versions("Offstage for sessions")?;
    ensure!(shown == [version], "listed as installed: {shown:?}");
    // A session as Windows names it; no client runs, which is all that may be wrong.
    let answers = machine.doctor(&program)?;
    let checks = answers["checks"].as_array().context("the doctor has checked nothing")?;
    for browser in Browser::ALL {
        let of = |check: &&serde_json::Value| check["subject"] == browser.name();
        let found: Vec<_> = checks.iter().filter(of).collect();
        let is_well = |check: &&serde_json::Value| check["status"] == "ok";
        ensure!(!found.is_empty() && found.iter().all(is_well), "the doctor says {found:?}");
    }
    Ok(())
}

fn extension_is_forced(machine: &Machine<'_>) -> Result<()> {
    let id = offstage_bridge::install::manifest::EXTENSION_ID;
    for browser in Browser::ALL {
        let entry = machine.forced(browser)?;
        ensure!(entry == Some(format!("{id};{UPDATE_URL}")), "{}: {entry:?}", browser.name());
    }
    Ok(())
}

fn client_is_there(machine: &Machine<'_>) -> Result<()> {
    let folder = machine.folder("Client");
    let plugin = "offstage_rdp_plugin.dll";
    ensure!(folder.join(plugin).is_file(), "the plug-in was not installed");
    let name = machine.text(&format!(r"HKLM\{ADD_IN}"), Some("Name"))?;
    let plugin = format!(r"C:\Program Files\Offstage\Client\{plugin}");
    ensure!(name.as_deref() == Some(&plugin), "{name:?}");
    for name in
        ["offstage-client-background.exe", "stage/engine.html", "licences/third-party-notices-plug-in.txt"]
    {
        ensure!(folder.join(name).is_file(), "{name} was not installed");
    }
    let answers = machine.doctor(&folder.join("offstage-client.exe"))?;
    let found = answers["findings"].as_array().context("the doctor has checked nothing")?;
    for (subject, told) in [("stage", r"Offstage\Client\stage"), ("plug-in", plugin.as_str())] {
        let of = |finding: &&serde_json::Value| finding["subject"] == subject;
        let finding =
            found.iter().find(of).with_context(|| format!("the doctor does not look at {subject}"))?;
        let detail = finding["detail"].as_str().unwrap_or_default();
        // Only the page's hand-written files may be there.
        ensure!(detail.contains(told), "the doctor says {finding}");
    }
    Ok(())
}

/// What wine's Windows has.
struct Machine<'a> {
    wine: &'a Wine,
}

impl Machine<'_> {
    fn install(&self, package: &Path, properties: &[&str], expected: i32) -> Result<()> {
        let mut command = Command::new("wine");
        command.args(["msiexec", "/i"]).arg(package).arg("/qn").args(properties);
        let status = self.wine.environment(&mut command).status()?;
        // Of a process's code, unix systems keep one byte.
        let expected = expected & 0xff;
        ensure!(status.code() == Some(expected), "installing {} {properties:?}: {status}", package.display());
        Ok(())
    }

    fn remove(&self, package: &Path) -> Result<()> {
        let code = msi::table(package, "Property")?.into_iter().find(|row| row[0] == "ProductCode");
        let code = code.context("the package has no product")?.remove(1);
        let mut command = Command::new("wine");
        let status = self.wine.environment(command.args(["msiexec", "/x", &code, "/qn"])).status()?;
        ensure!(status.success(), "removing {}: {status}", package.display());
        Ok(())
    }

    /// What an installed program's doctor says. Other things than the installation may be wrong.
    fn doctor(&self, program: &Path) -> Result<serde_json::Value> {
        // Into a file: a desktop that wine starts for it would hold a pipe open.
        let file = tempfile::NamedTempFile::new()?;
        let mut command = Command::new("wine");
        command.arg(program).args(["doctor", "--json"]).stdin(Stdio::null()).stdout(file.reopen()?);
        self.wine.environment(command.stderr(Stdio::null())).status()?;
        let answers = serde_json::from_slice(&std::fs::read(file.path())?);
        answers.with_context(|| format!("{}: no answer", program.display()))
    }

    fn registry(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new("wine");
        command.arg("reg").args(arguments).stdout(Stdio::null());
        crate::run::check(self.wine.environment(&mut command))
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.wine.prefix().join("drive_c/Program Files/Offstage").join(name)
    }

    /// A text of the registry, the key's default one if no name is given.
    fn text(&self, key: &str, name: Option<&str>) -> Result<Option<String>> {
        let mut command = Command::new("wine");
        command.args(["reg", "query", key]);
        match name {
            Some(name) => command.args(["/v", name]),
            None => command.arg("/ve"),
        };
        let said = self.wine.environment(&mut command).output()?;
        if !said.status.success() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&said.stdout);
        Ok(text.lines().find_map(|line| Some(line.split_once("REG_SZ")?.1.trim().to_owned())))
    }

    fn forced(&self, browser: Browser) -> Result<Option<String>> {
        self.text(&format!(r"HKLM\{}\ExtensionInstallForcelist", browser.policy_key()), Some("7644"))
    }

    /// Versions in the list of installed programs.
    fn versions(&self, title: &str) -> Result<Vec<String>> {
        let list = self.all(r"HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall")?;
        let entries = list.split("\n\n").filter(|entry| entry.contains(title));
        let version = |entry: &str| {
            let line = entry.lines().find(|line| line.trim_start().starts_with("DisplayVersion"))?;
            Some(line.split_once("REG_SZ")?.1.trim().to_owned())
        };
        Ok(entries.filter_map(version).collect())
    }

    /// Everything below a key.
    fn all(&self, key: &str) -> Result<String> {
        let mut command = Command::new("wine");
        let text = output(self.wine.environment(command.args(["reg", "query", key, "/s"])))?;
        Ok(text.replace('\r', ""))
    }

    /// Nothing of a package's is left.
    fn is_clean(&self) -> Result<()> {
        let folder = self.folder("");
        ensure!(!folder.exists(), "{} is still there", folder.display());
        let left = self.all(r"HKLM\Software")?;
        let left: Vec<&str> = left.lines().filter(|line| line.to_lowercase().contains("offstage")).collect();
        ensure!(left.is_empty(), "left in the registry: {left:?}");
        Ok(())
    }
}
