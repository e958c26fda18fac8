//! The native host manifest: what a browser reads before it starts the bridge.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::install::InstallError;

/// The native host's name, as the extension asks for it.
pub const HOST_NAME: &str = "org.offstage.bridge";

/// The manifest's name in each of the browsers' folders.
pub const FILE_NAME: &str = "org.offstage.bridge.json";

/// The product's own extension; it follows from `key` in `manifest/extension.json5`.
pub const EXTENSION_ID: &str = "mlikghilbjkmjaalplkfldmjcogdihnp";

/// The file's contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostManifest {
    pub name: String,
    pub description: String,
    /// The program; absolute, but on Windows, where it may be relative to the manifest's folder.
    pub path: PathBuf,
    #[serde(rename = "type")]
    pub kind: String,
    /// `chrome-extension://<id>/`, without wildcards.
    pub allowed_origins: Vec<String>,
}

impl HostManifest {
    /// The manifest that lets these extensions start this program, which [`super::program_path`] has looked at.
    #[must_use]
    pub fn new(program: PathBuf, extensions: impl IntoIterator<Item = ExtensionId>) -> Self {
        let mut allowed_origins: Vec<String> = Vec::new();
        for extension in extensions {
            let origin = extension.origin();
            if !allowed_origins.contains(&origin) {
                allowed_origins.push(origin);
            }
        }
        Self {
            name: HOST_NAME.to_owned(),
            description: "Offstage: plays the videos of web pages on the device in front of you".to_owned(),
            path: program,
            kind: "stdio".to_owned(),
            allowed_origins,
        }
    }

    /// # Errors
    /// If it isn't JSON with all the fields.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The manifest that this file holds, with the program's path as a browser takes it.
    ///
    /// # Errors
    /// If it isn't JSON with all the fields.
    pub fn of_file(file: &Path, text: &[u8]) -> Result<Self, serde_json::Error> {
        let mut manifest = Self::parse(text)?;
        if cfg!(windows)
            && !manifest.path.has_root()
            && let Some(folder) = file.parent()
        {
            manifest.path = folder.join(manifest.path);
        }
        Ok(manifest)
    }

    /// The file's text. Empty only for a path that isn't text, which [`super::program_path`] refuses.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).map_or_else(|_| String::new(), |text| text + "\n")
    }
}

/// An extension's id: 32 letters from a to p.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionId(String);

impl ExtensionId {
    /// The product's own.
    #[must_use]
    pub fn product() -> Self {
        Self(EXTENSION_ID.to_owned())
    }

    #[must_use]
    pub fn origin(&self) -> String {
        format!("chrome-extension://{}/", self.0)
    }
}

impl FromStr for ExtensionId {
    type Err = InstallError;

    fn from_str(text: &str) -> Result<Self, InstallError> {
        if text.len() == 32 && text.bytes().all(|byte| (b'a'..=b'p').contains(&byte)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InstallError::NotAnId(text.to_owned()))
        }
    }
}

impl fmt::Display for ExtensionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use sha2::Digest as _;
    use sha2::Sha256;

    use super::*;

    fn manifest_folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifest")
    }

    #[test]
    fn the_products_id_follows_from_the_extensions_key() {
        let template = fs::read_to_string(manifest_folder().join("extension.json5")).unwrap();
        let (_, rest) = template.split_once("\n  key: \"").expect("a key in the template");
        let (key, _) = rest.split_once('"').unwrap();
        let digest = Sha256::digest(STANDARD.decode(key).unwrap());
        let letter = |nibble: u8| char::from(b'a' + nibble);
        let id: String =
            digest[..16].iter().flat_map(|byte| [letter(byte >> 4), letter(byte & 15)]).collect();
        assert_eq!(id, EXTENSION_ID);
        assert_eq!(
            fs::read_to_string(manifest_folder().join("extension-id.txt")).unwrap().trim(),
            EXTENSION_ID
        );
    }

    #[test]
    fn the_copy_for_packages_is_what_install_writes() {
        let copy = fs::read_to_string(manifest_folder().join("native-host").join(FILE_NAME)).unwrap();
        let manifest = HostManifest::new(PathBuf::from("/usr/bin/offstage-bridge"), [ExtensionId::product()]);
        assert_eq!(manifest.to_text(), copy);
    }

    #[test]
    fn an_id_that_is_named_twice_is_allowed_once() {
        let other: ExtensionId = "a".repeat(32).parse().unwrap();
        let ids = [ExtensionId::product(), other.clone(), ExtensionId::product()];
        let manifest = HostManifest::new(PathBuf::from("/x"), ids);
        assert_eq!(manifest.allowed_origins, [ExtensionId::product().origin(), other.origin()]);
        assert_eq!(HostManifest::parse(manifest.to_text().as_bytes()).unwrap(), manifest);
    }

    #[test]
    fn a_path_is_relative_to_the_manifest_on_windows_alone() {
        let manifest = HostManifest::new(PathBuf::from("bridge"), [ExtensionId::product()]);
        let file = Path::new("folder").join(FILE_NAME);
        let read = HostManifest::of_file(&file, manifest.to_text().as_bytes()).unwrap();
        let expected = if cfg!(windows) { r"folder\bridge" } else { "bridge" };
        assert_eq!(read.path, Path::new(expected));
        let absolute = std::env::current_exe().unwrap();
        let manifest = HostManifest::new(absolute.clone(), [ExtensionId::product()]);
        assert_eq!(HostManifest::of_file(&file, manifest.to_text().as_bytes()).unwrap().path, absolute);
    }

    #[test]
    fn ids_are_checked() {
        for text in
            ["", "*", &"q".repeat(32), &"a".repeat(31), &"A".repeat(32), "mlikghilbjkmjaalplkfldmjcogdihn/"]
        {
            assert!(text.parse::<ExtensionId>().is_err(), "{text}");
        }
        assert_eq!(EXTENSION_ID.parse::<ExtensionId>().unwrap(), ExtensionId::product());
    }
}
