//! Where the built parts are.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The parts of a built Offstage, and the browser that serves as session browser and engine.
#[derive(Clone, Debug)]
pub struct Installation {
    /// `offstage-client`.
    pub client: PathBuf,
    /// `offstage-bridge`.
    pub bridge: PathBuf,
    /// The plug-in for remote desktops' clients.
    pub plugin: PathBuf,
    /// The folder of the stage's files.
    pub stage: PathBuf,
    /// The unpacked extension.
    pub extension: PathBuf,
    /// The extension's id.
    pub extension_id: String,
    /// Chromium.
    pub browser: PathBuf,
}

impl Installation {
    /// The parts in a folder `dist` (extension and stage) and a folder of programs.
    #[must_use]
    pub fn new(dist: &Path, programs: &Path, extension_id: &str) -> Self {
        Self {
            client: programs.join("offstage-client"),
            bridge: programs.join("offstage-bridge"),
            plugin: programs.join("liboffstage_rdp_plugin.so"),
            stage: dist.join("stage"),
            extension: dist.join("extension/chromium"),
            extension_id: extension_id.to_owned(),
            browser: browser(),
        }
    }

    /// The folder of the product's programs.
    #[must_use]
    pub fn programs(&self) -> &Path {
        self.client.parent().unwrap_or(Path::new("."))
    }

    /// What `cargo xtask test` built: the environment variables OFFSTAGE_DIST and OFFSTAGE_PROGRAMS say where, and without
    /// them it is looked for where `cargo xtask build` puts it.
    pub fn from_env() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no checkout around the tests")?;
        let folder =
            |name: &str, usual: &str| std::env::var_os(name).map_or_else(|| root.join(usual), PathBuf::from);
        let id = std::fs::read_to_string(root.join("manifest/extension-id.txt"))?;
        let installation = Self::new(
            &folder("OFFSTAGE_DIST", "dist"),
            &folder("OFFSTAGE_PROGRAMS", "target/debug"),
            id.trim(),
        );
        installation.check()?;
        Ok(installation)
    }

    /// An error that says what is missing and how to get it.
    pub fn check(&self) -> Result<()> {
        for part in [&self.client, &self.bridge, &self.plugin, &self.stage, &self.extension] {
            if !part.exists() {
                bail!("{} is not there: `cargo xtask build` makes it", part.display());
            }
        }
        if !self.browser.exists() {
            bail!("{} is not there: `cargo xtask setup` installs it", self.browser.display());
        }
        Ok(())
    }
}

/// The browser to run: OFFSTAGE_BROWSER, or Debian's Chromium.
fn browser() -> PathBuf {
    std::env::var_os("OFFSTAGE_BROWSER").map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from)
}
