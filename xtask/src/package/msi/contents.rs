//! What the packages hold.

use anyhow::{Context as _, Result};
use offstage_bridge::install::manifest::{EXTENSION_ID, FILE_NAME, HostManifest};
use offstage_bridge::install::places::Browser;
use offstage_bridge::install::registry::keys;
use offstage_protocol::socket_path::ADD_IN;

use super::Making;
use super::source::{Component, Feature, Product, Property, Value};
use crate::package::native::notices;
use crate::windows::TARGET;
use crate::workspace::Workspace;

/// Programs and libraries that are packed.
#[cfg(test)]
pub(super) const PROGRAMS: [&str; 4] = [BRIDGE, CLIENT, BACKGROUND, PLUGIN];

const BRIDGE: &str = "offstage-bridge.exe";
const CLIENT: &str = "offstage-client.exe";
/// The same without a console.
const BACKGROUND: &str = "offstage-client-background.exe";
const PLUGIN: &str = "offstage_rdp_plugin.dll";

/// The address of the update manifest from which browsers are to install the extension.
const UPDATE_URL: &str = "EXTENSIONUPDATEURL";

/// The number of the extension's entry in the browsers' lists: entries of other tools begin with 1.
const ENTRY: &str = "7644";

/// The window of Windows' own client of remote desktops.
const MSTSC: &str = "class:TscShellContainerClass";

/// The session's end: the program, and keys that lead browsers to its manifest. With an address, also the policy that has browsers install
/// the extension.
pub(super) fn bridge(workspace: &Workspace, making: &Making<'_>) -> Result<Product> {
    let program = Component {
        name: "Bridge",
        files: vec![
            built(making, BRIDGE)?,
            (FILE_NAME.to_owned(), host_manifest(making)?.to_text().into_bytes()),
        ],
        ..Component::default()
    };
    let lead = |key| Value { key, name: "", text: format!("[INSTALLDIR]{FILE_NAME}") };
    let registered = Component {
        name: "NativeMessaging",
        values: keys(&Browser::ALL).into_iter().map(lead).collect(),
        ..Component::default()
    };
    let id = making.extension_id.unwrap_or(EXTENSION_ID);
    let force = |browser: Browser| Value {
        key: format!(r"{}\ExtensionInstallForcelist", browser.policy_key()),
        name: ENTRY,
        text: format!("{id};[{UPDATE_URL}]"),
    };
    let kept = Value {
        key: r"Software\Offstage\Bridge".to_owned(),
        name: "ExtensionUpdateUrl",
        text: format!("[{UPDATE_URL}]"),
    };
    let forced = Component {
        name: "ForcedExtension",
        condition: Some(UPDATE_URL),
        values: std::iter::once(kept).chain(Browser::ALL.map(force)).collect(),
        ..Component::default()
    };
    Ok(Product {
        name: "offstage-bridge",
        title: "Offstage for sessions",
        description: "Plays the video of web pages on the device that a person sits at: the remote session's end.",
        folder: "Bridge",
        version: numbers(making.version)?,
        manufacturer: manufacturer(making),
        properties: vec![Property { name: UPDATE_URL, kept_as: "ExtensionUpdateUrl" }],
        conditions: vec![
            NEEDS_64,
            (
                "NOT EXTENSIONUPDATEURL OR EXTENSIONUPDATEURL ~<< \"https://\"",
                "EXTENSIONUPDATEURL has to begin with https://.",
            ),
        ],
        features: vec![Feature {
            name: "Bridge",
            title: "Bridge",
            required: true,
            components: vec![program, registered, licences(workspace, "offstage-bridge")?, forced],
        }],
    })
}

/// The device's end: the client with the page that its engine runs, the plug-in for clients of remote desktops, and the start with each
/// person's desktop. The last two may be left out.
pub(super) fn client(workspace: &Workspace, making: &Making<'_>) -> Result<Product> {
    let programs = Component {
        name: "Client",
        files: vec![built(making, CLIENT)?, built(making, BACKGROUND)?],
        ..Component::default()
    };
    let stage = Component { name: "Stage", folder: "stage", files: stage(making)?, ..Component::default() };
    let mut licences = licences(workspace, "offstage-client")?;
    let notices = notices(workspace, "offstage-rdp-plugin", TARGET)?;
    licences.files.push(text("third-party-notices-plug-in.txt", &notices));
    let plugin = Component {
        name: "Plugin",
        files: vec![built(making, PLUGIN)?],
        values: vec![Value { key: ADD_IN.to_owned(), name: "Name", text: format!("[INSTALLDIR]{PLUGIN}") }],
        ..Component::default()
    };
    let autostart = Component {
        name: "Autostart",
        values: vec![Value {
            key: r"Software\Microsoft\Windows\CurrentVersion\Run".to_owned(),
            name: "Offstage",
            text: format!("\"[INSTALLDIR]{BACKGROUND}\" run --remote-window={MSTSC}"),
        }],
        ..Component::default()
    };
    let feature = |name, title, required, components| Feature { name, title, required, components };
    Ok(Product {
        name: "offstage-client",
        title: "Offstage for this device",
        description: "Plays the video of web pages of remote sessions on this device: the device's end.",
        folder: "Client",
        version: numbers(making.version)?,
        manufacturer: manufacturer(making),
        properties: Vec::new(),
        conditions: vec![NEEDS_64],
        features: vec![
            feature("Client", "Client", true, vec![programs, stage, licences]),
            feature("Plugin", "Plug-in for clients of remote desktops", false, vec![plugin]),
            feature("Autostart", "Start with the desktop", false, vec![autostart]),
        ],
    })
}

/// The page that the device's engine runs.
fn stage(making: &Making<'_>) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = making.stage;
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().context("a file name is not UTF-8")?;
        if entry.file_type()?.is_file() {
            files.push((name, std::fs::read(entry.path())?));
        }
    }
    files.sort();
    Ok(files)
}

const NEEDS_64: (&str, &str) =
    ("VersionNT64 AND WINDOWSMAJOR", "Offstage needs Windows 10 or later, for 64 bits.");

fn built(making: &Making<'_>, name: &str) -> Result<(String, Vec<u8>)> {
    let path = making.programs.join(name);
    let bytes = std::fs::read(&path)
        .with_context(|| format!("{} is not there: leave --no-build away", path.display()))?;
    Ok((name.to_owned(), bytes))
}

/// Browsers on Windows start a program from the manifest's folder, so it is right wherever it is installed.
fn host_manifest(making: &Making<'_>) -> Result<HostManifest> {
    let id = making.extension_id.unwrap_or(EXTENSION_ID).parse()?;
    Ok(HostManifest::new(BRIDGE.into(), [offstage_bridge::install::manifest::ExtensionId::product(), id]))
}

fn licences(workspace: &Workspace, program: &str) -> Result<Component> {
    Ok(Component {
        name: "Licences",
        folder: "licences",
        files: vec![
            text("LICENSE-MIT.txt", &workspace.read("LICENSE-MIT")?),
            text("LICENSE-APACHE.txt", &workspace.read("LICENSE-APACHE")?),
            text("third-party-notices.txt", &notices(workspace, program, TARGET)?),
        ],
        ..Component::default()
    })
}

/// With lines as editors on Windows end them.
fn text(name: &str, text: &str) -> (String, Vec<u8>) {
    (name.to_owned(), text.replace('\n', "\r\n").into_bytes())
}

fn manufacturer(making: &Making<'_>) -> String {
    let who = making.maintainer.and_then(|who| Some(who.split_once('<')?.0.trim()));
    who.unwrap_or("The Offstage authors").to_owned()
}

/// The installer compares three numbers and knows no others.
fn numbers(version: &str) -> Result<String> {
    let numbers = version.split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| part.parse::<u16>().is_ok();
    let parts: Vec<&str> = numbers.split('.').collect();
    anyhow::ensure!(parts.len() == 3 && parts.into_iter().all(is_number), "{version} is no version");
    Ok(numbers.to_owned())
}
