//! A ZIP archive without anything that differs from run to run.
//!
//! See the ZIP file format specification (APPNOTE.TXT), sections 4.3 and 4.4. Extensions are far below the sizes that need ZIP64.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::DeflateEncoder;

/// The first of January 1980, midnight: the earliest that the format can say.
const DATE: u16 = 1 << 5 | 1;
const TIME: u16 = 0;
/// Version 2.0 of the format is what deflate needs.
const VERSION: u16 = 20;
const DEFLATE: u16 = 8;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;

/// All files below `folder`, sorted by name; `change` may give a file other bytes.
pub(super) fn pack(folder: &Path, change: impl Fn(&str, Vec<u8>) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let mut files = Vec::new();
    collect(folder, &mut files).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut named = Vec::new();
    for file in files {
        let name = file.strip_prefix(folder)?.to_str().context("a file name is not UTF-8")?.to_owned();
        let bytes = change(&name, std::fs::read(&file)?)?;
        named.push((name, bytes));
    }
    named.sort();
    archive(&named)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn archive(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (name, data) in files {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data)?;
        let packed = encoder.finish()?;
        let offset = u32::try_from(archive.len())?;
        let mut fields = Vec::new();
        for value in [VERSION, FLAGS, DEFLATE, TIME, DATE] {
            fields.extend(value.to_le_bytes());
        }
        for value in [crc32fast::hash(data), u32::try_from(packed.len())?, u32::try_from(data.len())?] {
            fields.extend(value.to_le_bytes());
        }
        fields.extend(u16::try_from(name.len())?.to_le_bytes());
        // No extra field.
        fields.extend([0, 0]);

        archive.extend(b"PK\x03\x04");
        archive.extend(&fields);
        archive.extend(name.as_bytes());
        archive.extend(packed);

        directory.extend(b"PK\x01\x02");
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&fields);
        // No comment, first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, size, count) =
        (u32::try_from(archive.len())?, u32::try_from(directory.len())?, u16::try_from(files.len())?);
    archive.extend(directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend(count.to_le_bytes());
    archive.extend(count.to_le_bytes());
    archive.extend(size.to_le_bytes());
    archive.extend(start.to_le_bytes());
    archive.extend([0, 0]);
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn another_program_unpacks_it_and_the_bytes_are_the_same_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        std::fs::create_dir_all(source.join("icons")).unwrap();
        std::fs::write(source.join("manifest.json"), "{}".repeat(1000)).unwrap();
        std::fs::write(source.join("icons/a.png"), [0_u8, 255, 1]).unwrap();
        let first = pack(&source, |_, bytes| Ok(bytes)).unwrap();
        std::fs::write(source.join("icons/a.png"), [0_u8, 255, 1]).unwrap();
        assert_eq!(pack(&source, |_, bytes| Ok(bytes)).unwrap(), first);

        let path = folder.path().join("a.zip");
        std::fs::write(&path, &first).unwrap();
        let script = "import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(z.namelist())";
        let output = Command::new("python3").args(["-c", script]).arg(&path).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "['icons/a.png', 'manifest.json']");
    }
}
