//! The programs as packages of the Windows Installer, made on Linux: wixl (msitools) writes the database from a source that is made here.
//!
//! Identifiers follow from names, so that a package of the next version takes the place of this one: names of products and components
//! never change. What wixl has no words for is put in afterwards by msibuild.

mod contents;
mod source;
mod summary;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use self::source::Product;
use super::{Artefact, native};
use crate::run::{check, is_on_path, output};
use crate::workspace::Workspace;

/// What differs from one set of packages to the next.
#[derive(Debug)]
pub(crate) struct Making<'a> {
    /// The folder of the programs that were built for Windows.
    pub(crate) programs: &'a Path,
    /// The folder of the page that the device's engine runs.
    pub(crate) stage: &'a Path,
    pub(crate) version: &'a str,
    /// Who answers for the packages.
    pub(crate) maintainer: Option<&'a str>,
    /// The id of the extension that the bridge lets in, if it is not the project's own.
    pub(crate) extension_id: Option<&'a str>,
    /// Seconds since 1970 that all files carry.
    pub(crate) date: u64,
}

/// Packs what was built with optimisations into the folder of packages.
pub(super) fn pack(workspace: &Workspace, choices: &native::Choices) -> Result<Vec<Artefact>> {
    let programs = crate::build::windows_programs(workspace, true);
    let stage = workspace.stage();
    let making = Making {
        programs: &programs,
        stage: &stage,
        version: env!("CARGO_PKG_VERSION"),
        maintainer: choices.maintainer.as_deref(),
        extension_id: choices.extension_id.as_deref(),
        date: choices.date,
    };
    let folder = tempfile::tempdir()?;
    let made = build(workspace, &making, folder.path())?;
    made.iter().map(|file| Artefact::write(workspace, &name_of(file)?, &std::fs::read(file)?)).collect()
}

/// Writes both packages into a folder; the bridge's comes first.
pub(crate) fn build(workspace: &Workspace, making: &Making<'_>, folder: &Path) -> Result<Vec<PathBuf>> {
    for tool in ["wixl", "msibuild"] {
        ensure!(is_on_path(tool), "{tool} is not installed: `cargo xtask setup`");
    }
    let products = [contents::bridge(workspace, making)?, contents::client(workspace, making)?];
    products.iter().map(|product| write(product, making, folder)).collect()
}

fn write(product: &Product, making: &Making<'_>, folder: &Path) -> Result<PathBuf> {
    let scratch = tempfile::tempdir()?;
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(making.date);
    let mut digest = Sha256::new();
    for (index, bytes) in product.files().enumerate() {
        let path = scratch.path().join(source::stored(index));
        std::fs::write(&path, bytes)?;
        // The date gets into the archive.
        std::fs::File::options().append(true).open(&path)?.set_modified(date)?;
        digest.update(Sha256::digest(bytes));
    }
    let text = product.to_xml()?;
    std::fs::write(scratch.path().join("product.wxs"), &text)?;
    let mut wixl = Command::new("wixl");
    wixl.current_dir(scratch.path()).args(["--arch", "x64", "--output", "product.msi", "product.wxs"]);
    let said = wixl.output()?;
    let made = scratch.path().join("product.msi");
    let complaint = String::from_utf8_lossy(&said.stderr);
    // It warns of what it leaves out and succeeds.
    if !said.status.success() || !complaint.trim().is_empty() {
        bail!("wixl does not take {}: {}\n{text}", product.name, complaint.trim());
    }
    let mut finish = Command::new("msibuild");
    finish.arg(&made);
    digest.update(&text);
    for query in product.queries() {
        finish.args(["-q", &query]);
        digest.update(&query);
    }
    check(&mut finish)?;
    digest.update(making.date.to_le_bytes());
    summary::fix(&made, &uuid(&digest.finalize()), making.date)?;
    let file = folder.join(format!("{}-{}-x64.msi", product.name, making.version));
    std::fs::copy(&made, &file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Rows of a table of a package, each as a list of its fields.
pub(crate) fn table(package: &Path, name: &str) -> Result<Vec<Vec<String>>> {
    let text = output(Command::new("msiinfo").arg("export").arg(package).arg(name))?;
    // Names of the fields, their types, and the table's name come first.
    let rows = text.lines().skip(3);
    Ok(rows.map(|row| row.trim_end_matches('\r').split('\t').map(str::to_owned).collect()).collect())
}

fn name_of(file: &Path) -> Result<String> {
    Ok(file.file_name().and_then(|name| name.to_str()).context("a package has a name")?.to_owned())
}

/// An identifier that follows from a name, as the installer writes it.
pub(crate) fn guid(name: &str) -> String {
    uuid(&Sha256::digest(format!("offstage {name}")))
}

/// Version 8 of RFC 9562: bits of one's own.
fn uuid(digest: &[u8]) -> String {
    let mut bytes: Vec<u8> = digest.iter().copied().take(16).collect();
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("{{{}-{}-{}-{}-{}}}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use offstage_bridge::install::places::Browser;
    use offstage_bridge::install::registry::keys;

    use super::*;

    const URL: &str = "EXTENSIONUPDATEURL";

    /// Packages of made-up programs: the bridge's and the client's.
    fn packages(folder: &Path, version: &str, date: u64) -> Vec<PathBuf> {
        let workspace = Workspace::find().unwrap();
        let programs = folder.join("programs");
        std::fs::create_dir_all(&programs).unwrap();
        for name in contents::PROGRAMS {
            std::fs::write(programs.join(name), name).unwrap();
        }
        let stage = folder.join("stage");
        std::fs::create_dir_all(&stage).unwrap();
        std::fs::write(stage.join("engine.html"), "page").unwrap();
        let id = "a".repeat(32);
        let making = Making {
            programs: &programs,
            stage: &stage,
            version,
            maintainer: Some("A & B <a@example.org>"),
            extension_id: Some(&id),
            date,
        };
        let target = tempfile::tempdir_in(folder).unwrap().keep();
        build(&workspace, &making, &target).unwrap()
    }

    /// The second field of the row whose first is this.
    fn value(package: &Path, table_name: &str, key: &str) -> Option<String> {
        let rows = table(package, table_name).unwrap();
        rows.into_iter().find(|row| row[0] == key).map(|mut row| row.remove(1))
    }

    fn property(package: &Path, name: &str) -> String {
        value(package, "Property", name).unwrap_or_default()
    }

    #[test]
    fn the_next_version_takes_the_place_of_this_one_and_not_the_other_way_round() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (packages(folder.path(), "0.1.0", 1), packages(folder.path(), "0.2.0-rc.1", 1));
        // Whoever has installed one can only be reached by these.
        let codes = ["{DDE9D945-71D8-8C9B-BBB7-E4F60778E062}", "{5E9E8850-1A38-8E5C-911F-A4D54D8A8207}"];
        for ((old, new), code) in old.iter().zip(&new).zip(codes) {
            assert_eq!([property(old, "UpgradeCode"), property(new, "UpgradeCode")], [code, code]);
            assert_ne!(property(old, "ProductCode"), property(new, "ProductCode"));
            assert_eq!(property(new, "ProductVersion"), "0.2.0");
            assert_eq!(property(new, "Manufacturer"), "A & B");
            assert_eq!(property(new, "ALLUSERS"), "1");
            let rows = table(new, "Upgrade").unwrap();
            let found: Vec<[&str; 5]> =
                rows.iter().map(|row| [0, 1, 2, 4, 6].map(|field| row[field].as_str())).collect();
            // 1: features are taken over; 2: only detected.
            let expected = [
                [code, "", "0.2.0", "1", "WIX_UPGRADE_DETECTED"],
                [code, "0.2.0", "", "2", "WIX_DOWNGRADE_DETECTED"],
            ];
            assert_eq!(found, expected);
            let refused = value(new, "LaunchCondition", "NOT WIX_DOWNGRADE_DETECTED");
            assert!(refused.unwrap().contains("newer version"));
            let sequence = table(new, "InstallExecuteSequence").unwrap();
            let place = |action: &str| -> u32 {
                sequence.iter().find(|row| row[0] == action).unwrap()[2].parse().unwrap()
            };
            assert!(place("AppSearch") < place("LaunchConditions"), "what is searched for is a condition");
            assert!(place("InstallInitialize") < place("RemoveExistingProducts"));
            assert!(place("RemoveExistingProducts") < place("ProcessComponents"));
            let components = |package| -> Vec<Vec<String>> {
                table(package, "Component").unwrap().into_iter().map(|row| row[..2].to_vec()).collect()
            };
            assert_eq!(components(old), components(new), "one component is the same in all versions");
            assert!(
                table(new, "Component").unwrap().iter().all(|row| row[3].parse::<u32>().unwrap() & 256 != 0)
            );
        }
    }

    #[test]
    fn browsers_are_led_to_the_bridge_and_install_the_extension_if_an_address_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let made = packages(folder.path(), "0.1.0", 1);
        let bridge = &made[0];
        let rows = table(bridge, "Registry").unwrap();
        assert!(rows.iter().all(|row| row[1] == "2"), "of the machine: {rows:?}");
        let of = |component: &str| -> Vec<[&str; 3]> {
            let rows = rows.iter().filter(|row| row[5] == component);
            rows.map(|row| [2, 3, 4].map(|field| row[field].as_str())).collect()
        };
        let file = "[INSTALLDIR]org.offstage.bridge.json";
        let all = keys(&Browser::ALL);
        let mut expected: Vec<[&str; 3]> = all.iter().map(|key| [key.as_str(), "", file]).collect();
        let mut found = of("NativeMessaging");
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
        let forced = format!("{};[{URL}]", "a".repeat(32));
        let edge = r"Software\Policies\Microsoft\Edge\ExtensionInstallForcelist";
        assert!(of("ForcedExtension").contains(&[edge, "7644", &forced]));
        assert_eq!(of("ForcedExtension").len(), 1 + Browser::ALL.len());
        let conditions = table(bridge, "Component").unwrap();
        let conditions: Vec<_> = conditions.iter().filter(|row| !row[4].is_empty()).collect();
        assert_eq!(conditions.len(), 1);
        assert_eq!((conditions[0][0].as_str(), conditions[0][4].as_str()), ("ForcedExtension", URL));
        let secure = property(bridge, "SecureCustomProperties");
        for name in [URL, "KEPTEXTENSIONUPDATEURL", "WINDOWSMAJOR"] {
            assert!(secure.split(';').any(|found| found == name), "{name}: {secure}");
        }
        let files: Vec<String> =
            table(bridge, "File").unwrap().into_iter().map(|mut row| row.remove(2)).collect();
        for name in
            ["offstage-bridge.exe", "org.offstage.bridge.json", "LICENSE-MIT.txt", "third-party-notices.txt"]
        {
            assert!(files.iter().any(|file| file.ends_with(name)), "{name}: {files:?}");
        }
    }

    #[test]
    fn the_plug_in_and_the_start_with_the_desktop_may_be_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let made = packages(folder.path(), "0.1.0", 1);
        let client = &made[1];
        // 16: it may not be absent.
        let features: Vec<[String; 2]> = table(client, "Feature")
            .unwrap()
            .into_iter()
            .map(|row| [row[0].clone(), row[7].clone()])
            .collect();
        assert_eq!(features, [["Client", "16"], ["Plugin", "0"], ["Autostart", "0"]]);
        let parts = table(client, "FeatureComponents").unwrap();
        let of = |component: &str| parts.iter().find(|row| row[1] == component).unwrap()[0].clone();
        assert_eq!([of("Plugin"), of("Autostart"), of("Stage")], ["Plugin", "Autostart", "Client"]);
        let values = table(client, "Registry").unwrap();
        let found = |component: &str| -> Vec<&str> {
            let row = values.iter().find(|row| row[5] == component).unwrap();
            row[1..5].iter().map(String::as_str).collect()
        };
        let add_in = r"Software\Microsoft\Terminal Server Client\Default\AddIns\Offstage";
        assert_eq!(found("Plugin"), ["2", add_in, "Name", "[INSTALLDIR]offstage_rdp_plugin.dll"]);
        let start = r#""[INSTALLDIR]offstage-client-background.exe" run --remote-window=class:TscShellContainerClass"#;
        assert_eq!(
            found("Autostart"),
            ["2", r"Software\Microsoft\Windows\CurrentVersion\Run", "Offstage", start]
        );
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = |date| -> Vec<Vec<u8>> {
            packages(folder.path(), "0.1.0", date).iter().map(|file| std::fs::read(file).unwrap()).collect()
        };
        let first = bytes(1_700_000_000);
        assert!(first == bytes(1_700_000_000));
        assert!(first != bytes(1_700_000_002), "the date is in it");
    }
}
