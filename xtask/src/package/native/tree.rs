//! Files as they will be installed, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};

/// Names relative to the top, each with its mode and its bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree(BTreeMap<String, (u32, Vec<u8>)>);

impl Tree {
    /// A file that everybody may read.
    pub(super) fn add(&mut self, name: impl Into<String>, bytes: Vec<u8>) {
        self.0.insert(name.into(), (0o644, bytes));
    }

    /// A program.
    pub(super) fn add_program(&mut self, name: impl Into<String>, bytes: Vec<u8>) {
        self.0.insert(name.into(), (0o755, bytes));
    }

    /// A file that is packed for itself.
    pub(super) fn add_packed(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.add(format!("{name}.gz"), gzip(bytes)?);
        Ok(())
    }

    /// All files below `from`, as files below `to`.
    pub(super) fn add_folder(&mut self, from: &Path, to: &str) -> Result<()> {
        let entries = std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().into_string().ok().context("a file name is not UTF-8")?;
            let to = format!("{to}/{name}");
            if entry.file_type()?.is_dir() {
                self.add_folder(&entry.path(), &to)?;
            } else {
                self.add(to, std::fs::read(entry.path())?);
            }
        }
        Ok(())
    }

    /// The same files inside a folder.
    pub(super) fn below(&self, folder: &str) -> Self {
        Self(self.0.iter().map(|(name, file)| (format!("{folder}/{name}"), file.clone())).collect())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All folders, those around others first.
    pub(super) fn folders(&self) -> BTreeSet<String> {
        let around = |name: &str| {
            let folders = Path::new(name).ancestors().skip(1).filter(|folder| *folder != Path::new(""));
            folders.map(|folder| folder.display().to_string()).collect::<Vec<_>>()
        };
        self.names().flat_map(around).collect()
    }

    /// What Debian calls the installed size: whole kibibytes, a folder counts as one.
    pub(super) fn kibibytes(&self) -> usize {
        self.0.values().map(|(_, bytes)| bytes.len().div_ceil(1024)).sum::<usize>() + self.folders().len()
    }

    /// Writes everything below `folder`.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
        for below in std::iter::once(String::new()).chain(self.folders()) {
            let path = folder.join(below);
            std::fs::create_dir_all(&path).and_then(|()| mode(&path, 0o755))?;
        }
        for (name, (bits, bytes)) in &self.0 {
            let path = folder.join(name);
            std::fs::write(&path, bytes)
                .and_then(|()| mode(&path, *bits))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// A tar.gz of a date.
    pub(super) fn archive(&self, date: u64) -> Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for folder in self.folders() {
            let header = header(tar::EntryType::Directory, 0o755, 0, date);
            archive.append_data(&mut header.clone(), folder + "/", &[][..])?;
        }
        for (name, (mode, bytes)) in &self.0 {
            let mut header = header(tar::EntryType::Regular, *mode, u64::try_from(bytes.len())?, date);
            archive.append_data(&mut header, name, bytes.as_slice())?;
        }
        gzip(&archive.into_inner()?)
    }
}

/// An entry of root's.
fn header(kind: tar::EntryType, mode: u32, size: u64, date: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(date);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Without name and date.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn tar_finds_in_an_archive_what_was_put_in() {
        let mut tree = Tree::default();
        tree.add_program("usr/bin/a", vec![7; 3000]);
        tree.add("etc/a.json", b"{}".to_vec());
        assert_eq!(tree.folders().into_iter().collect::<Vec<_>>(), ["etc", "usr", "usr/bin"]);
        assert_eq!(tree.kibibytes(), 3 + 1 + 3);
        let bytes = tree.below("a-1").archive(86_400).unwrap();
        assert_eq!(tree.below("a-1").archive(86_400).unwrap(), bytes);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tar.gz");
        std::fs::write(&file, bytes).unwrap();
        let mut tar = Command::new("tar");
        tar.env("TZ", "UTC").args(["--numeric-owner", "-tvzf"]).arg(&file);
        let listed = String::from_utf8(tar.output().unwrap().stdout).unwrap();
        let listed: Vec<String> =
            listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            listed,
            [
                "drwxr-xr-x 0/0 0 1970-01-02 00:00 a-1/",
                "drwxr-xr-x 0/0 0 1970-01-02 00:00 a-1/etc/",
                "drwxr-xr-x 0/0 0 1970-01-02 00:00 a-1/usr/",
                "drwxr-xr-x 0/0 0 1970-01-02 00:00 a-1/usr/bin/",
                "-rw-r--r-- 0/0 2 1970-01-02 00:00 a-1/etc/a.json",
                "-rwxr-xr-x 0/0 3000 1970-01-02 00:00 a-1/usr/bin/a",
            ]
        );
    }
}
