//! Makes browsers know the bridge, and forget it.
//!
//! A browser starts only those programs for which it finds a native host manifest, and only for the extensions that the
//! manifest names. [`places`] knows the folders where it looks, [`registry`] the keys where it does so on Windows,
//! [`manifest`] the file.

pub mod manifest;
pub mod places;
pub mod registry;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::io::ErrorKind;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use offstage_protocol::error::ErrorCode;

#[cfg(unix)]
use self::unix as own;
#[cfg(windows)]
use self::windows as own;
use crate::install::manifest::FILE_NAME;
use crate::install::manifest::HOST_NAME;
use crate::install::manifest::HostManifest;
use crate::install::places::Browser;
use crate::install::places::Scope;

/// What became of one file.
#[derive(Debug)]
pub struct Report {
    pub file: PathBuf,
    pub outcome: Result<Outcome, InstallError>,
}

/// What was done with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Written,
    /// It was there with other contents.
    Replaced,
    /// It was there with the same contents.
    Unchanged,
    Removed,
    /// There was nothing to remove.
    Absent,
    /// It belongs to another copy of the bridge, or isn't a manifest of the bridge's, so it stays.
    Kept {
        owner: String,
    },
}

/// Why a file could not be written, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("the program {} is not there or can't be run", .0.display())]
    NoProgram(PathBuf),
    #[error("the program's path is not plain text: {}", .0.display())]
    OddPath(PathBuf),
    #[error("neither HOME nor a configuration folder is set")]
    NoHome,
    #[error("browsers on Windows look into the registry only, not into a profile's folder")]
    NoProfiles,
    #[error("{0:?} is not an extension's id")]
    NotAnId(String),
    #[error("can't write: {0}")]
    Write(io::Error),
    #[error("can't remove: {0}")]
    Remove(io::Error),
}

impl InstallError {
    /// The code that people see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NoProgram(_) => ErrorCode::PROGRAM_MISSING,
            Self::OddPath(_) | Self::NoHome | Self::NoProfiles | Self::NotAnId(_) => {
                ErrorCode::INSTALL_FAILED
            }
            Self::Write(_) => ErrorCode::MANIFEST_UNWRITABLE,
            Self::Remove(_) => ErrorCode::UNINSTALL_FAILED,
        }
    }
}

/// Makes these browsers know the bridge by this manifest.
pub fn introduce(scope: &Scope, browsers: &[Browser], manifest: &HostManifest) -> Vec<Report> {
    own::introduce(scope, browsers, manifest)
}

/// Makes these browsers forget this program, and no other.
pub fn forget(scope: &Scope, browsers: &[Browser], program: &Path) -> Vec<Report> {
    own::forget(scope, browsers, program)
}

/// The files in which these browsers would find the bridge's manifest; whether they are there is another question.
#[must_use]
pub fn manifest_files(scope: &Scope, browsers: &[Browser]) -> Vec<PathBuf> {
    own::manifest_files(scope, browsers)
}

/// Writes the manifest into each folder, making the folder where it is missing. A file that is right already is left
/// alone; one that is wrong is replaced as a whole, so a browser never reads half of it.
pub fn install(folders: &[PathBuf], manifest: &HostManifest) -> Vec<Report> {
    let text = manifest.to_text();
    let write = |folder: &PathBuf| {
        let file = folder.join(FILE_NAME);
        let outcome = write_if_different(&file, &text).map_err(InstallError::Write);
        Report { file, outcome }
    };
    folders.iter().map(write).collect()
}

/// Removes the manifests that lead to this program, and no others.
pub fn uninstall(folders: &[PathBuf], program: &Path) -> Vec<Report> {
    let remove = |folder: &PathBuf| {
        let file = folder.join(FILE_NAME);
        let outcome = remove_if_own(&file, program).map_err(InstallError::Remove);
        Report { file, outcome }
    };
    folders.iter().map(remove).collect()
}

/// The program as a manifest names it: absolute and without links on the way, so that it is found from anywhere.
///
/// # Errors
/// If it is not a file that can be run.
pub fn program_path(program: &Path) -> Result<PathBuf, InstallError> {
    let missing = |_| InstallError::NoProgram(program.to_owned());
    let path = own::plain(fs::canonicalize(program).map_err(missing)?);
    let metadata = fs::metadata(&path).map_err(missing)?;
    if !metadata.is_file() || !own::is_program(&metadata) {
        return Err(InstallError::NoProgram(path));
    }
    if path.to_str().is_none() {
        return Err(InstallError::OddPath(path));
    }
    Ok(path)
}

/// The program as a manifest names it that is used where `root` is `/`: a package's staging folder, say.
///
/// # Errors
/// If it is not a file below `root` that can be run.
pub fn program_below(root: &Path, program: &Path) -> Result<PathBuf, InstallError> {
    let inside = program.to_str().ok_or_else(|| InstallError::OddPath(program.to_owned()))?;
    if root == Path::new("/") || program.is_relative() {
        return program_path(program);
    }
    program_path(&places::below(root, inside)).map(|_| program.to_owned())
}

fn write_if_different(file: &Path, text: &str) -> io::Result<Outcome> {
    let outcome = match fs::read(file) {
        Ok(before) if before == text.as_bytes() => return Ok(Outcome::Unchanged),
        Ok(_) => Outcome::Replaced,
        Err(error) if error.kind() == ErrorKind::NotFound => Outcome::Written,
        Err(error) => return Err(error),
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // No two processes share the name, and what a killed one left behind is overwritten.
    let draft = folder.join(format!(".{FILE_NAME}.{}", std::process::id()));
    let written = write_new(&draft, text).and_then(|()| fs::rename(&draft, file));
    if let Err(error) = written {
        drop(fs::remove_file(&draft));
        return Err(error);
    }
    Ok(outcome)
}

fn write_new(file: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    own::readable_for_all(&mut options);
    let mut out = options.open(file)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()
}

fn remove_if_own(file: &Path, program: &Path) -> io::Result<Outcome> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Outcome::Absent),
        Err(error) => return Err(error),
    };
    match HostManifest::of_file(file, &text) {
        Ok(manifest) if manifest.name == HOST_NAME && leads_to(&manifest.path, program) => {
            fs::remove_file(file)?;
            Ok(Outcome::Removed)
        }
        Ok(manifest) => Ok(Outcome::Kept { owner: manifest.path.display().to_string() }),
        Err(error) => Ok(Outcome::Kept { owner: format!("not a manifest: {error}") }),
    }
}

/// True if the path in a manifest is that program, links resolved. A path to nothing leads to the program of that name.
pub(crate) fn leads_to(path: &Path, program: &Path) -> bool {
    path == program || fs::canonicalize(path).is_ok_and(|path| own::plain(path) == program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::manifest::ExtensionId;

    fn manifest(program: &str) -> HostManifest {
        HostManifest::new(PathBuf::from(program), [ExtensionId::product()])
    }

    fn outcomes(reports: Vec<Report>) -> Vec<Outcome> {
        reports.into_iter().map(|report| report.outcome.unwrap()).collect()
    }

    #[test]
    fn installing_twice_changes_nothing_and_uninstalling_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folders = [dir.path().join("a/b"), dir.path().join("c")];
        assert_eq!(outcomes(install(&folders, &manifest("/x"))), [Outcome::Written, Outcome::Written]);
        assert_eq!(outcomes(install(&folders, &manifest("/x"))), [Outcome::Unchanged, Outcome::Unchanged]);
        let names: Vec<_> =
            fs::read_dir(&folders[0]).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [FILE_NAME]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let metadata = fs::metadata(folders[0].join(FILE_NAME)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o644);
        }
        assert_eq!(outcomes(uninstall(&folders, Path::new("/x"))), [Outcome::Removed, Outcome::Removed]);
        assert_eq!(outcomes(uninstall(&folders, Path::new("/x"))), [Outcome::Absent, Outcome::Absent]);
        assert_eq!(fs::read_dir(&folders[0]).unwrap().count(), 0);
    }

    #[test]
    fn another_copys_manifest_is_replaced_by_install_and_kept_by_uninstall() {
        let dir = tempfile::tempdir().unwrap();
        let folders = [dir.path().to_owned()];
        install(&folders, &manifest("/other"));
        assert_eq!(
            outcomes(uninstall(&folders, Path::new("/x"))),
            [Outcome::Kept { owner: "/other".to_owned() }]
        );
        assert_eq!(outcomes(install(&folders, &manifest("/x"))), [Outcome::Replaced]);
        fs::write(dir.path().join(FILE_NAME), "{").unwrap();
        assert!(matches!(outcomes(uninstall(&folders, Path::new("/x")))[..], [Outcome::Kept { .. }]));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_reported_and_the_others_are_served() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let folders = [dir.path().join("file/folder"), dir.path().join("folder")];
        let reports = install(&folders, &manifest("/x"));
        assert_eq!(reports[0].outcome.as_ref().unwrap_err().code(), ErrorCode::MANIFEST_UNWRITABLE);
        assert_eq!(reports[1].outcome.as_ref().unwrap(), &Outcome::Written);
    }

    #[cfg(unix)]
    #[test]
    fn only_a_program_that_can_be_run_is_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bridge");
        assert_eq!(program_path(&file).unwrap_err().code(), ErrorCode::PROGRAM_MISSING);
        fs::write(&file, "").unwrap();
        assert_eq!(program_path(&file).unwrap_err().code(), ErrorCode::PROGRAM_MISSING);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(&file, dir.path().join("link")).unwrap();
        assert_eq!(program_path(&dir.path().join("link")).unwrap(), fs::canonicalize(&file).unwrap());
        assert!(program_path(dir.path()).is_err());
        assert_eq!(program_below(dir.path(), Path::new("/link")).unwrap(), Path::new("/link"));
        assert!(program_below(&dir.path().join("other"), Path::new("/link")).is_err());
    }
}
