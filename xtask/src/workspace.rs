//! Where things are.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The checkout and the folders that are built into.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
    cargo_home: PathBuf,
}

impl Workspace {
    /// The checkout that this program was built from. Build output goes where cargo puts its own: CARGO_TARGET_DIR is honoured.
    pub(crate) fn find() -> Result<Self> {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask is not inside a workspace")?;
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => std::path::absolute(folder)?,
            None => root.join("target"),
        };
        let given = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let cargo_home = given.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
        let cargo_home = cargo_home.context("neither CARGO_HOME nor HOME is set")?;
        Ok(Self { root: root.to_owned(), target, cargo_home })
    }

    /// Another checkout, with folders of its own for output and for cargo's crates.
    pub(crate) fn of(root: PathBuf, target: PathBuf, cargo_home: PathBuf) -> Self {
        Self { root, target, cargo_home }
    }

    /// The top folder of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A file or folder of the checkout.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Cargo's output folder.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Where cargo keeps the crates that it gets.
    pub(crate) fn cargo_home(&self) -> &Path {
        &self.cargo_home
    }

    /// What is assembled for use: `dist/` beside cargo's default folder, or inside the folder that CARGO_TARGET_DIR names, so
    /// that two builds with different folders never mix.
    pub(crate) fn dist(&self) -> PathBuf {
        if self.target == self.root.join("target") {
            self.root.join("dist")
        } else {
            self.target.join("dist")
        }
    }

    /// The unpacked extension for `browser` (`chrome`, `edge` or `chromium`).
    pub(crate) fn extension(&self, browser: &str) -> PathBuf {
        self.dist().join("extension").join(browser)
    }

    /// The page that the device's engine runs.
    pub(crate) fn stage(&self) -> PathBuf {
        self.dist().join("stage")
    }

    /// The folder of the built programs.
    pub(crate) fn programs(&self, release: bool) -> PathBuf {
        self.target.join(if release { "release" } else { "debug" })
    }

    /// The id that the key in the manifest template gives the extension.
    pub(crate) fn extension_id(&self) -> Result<String> {
        Ok(self.read("manifest/extension-id.txt")?.trim().to_owned())
    }

    /// The text of a file of the checkout.
    pub(crate) fn read(&self, relative: &str) -> Result<String> {
        std::fs::read_to_string(self.path(relative)).with_context(|| format!("cannot read {relative}"))
    }

    /// Every file that git knows or would add, relative to the top folder, sorted.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        let output = std::process::Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output()
            .context("cannot run git")?;
        let mut files: Vec<String> = String::from_utf8_lossy(&output.stdout)
            .split('\0')
            .filter(|file| !file.is_empty() && self.root.join(file).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }
}
