//! One manifest beside the program, and keys in the registry that lead to it.

use std::fs::Metadata;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use offstage_support::win32::registry;
use offstage_support::win32::registry::Root;

use super::InstallError;
use super::Outcome;
use super::Report;
use super::leads_to;
use super::manifest::FILE_NAME;
use super::manifest::HostManifest;
use super::places::Browser;
use super::places::Scope;
use super::registry::keys;

pub(super) fn introduce(scope: &Scope, browsers: &[Browser], manifest: &HostManifest) -> Vec<Report> {
    let Some(root) = root(scope) else { return vec![no_profiles(scope)] };
    let folder = manifest.path.parent().unwrap_or(Path::new(".")).to_owned();
    let file = folder.join(FILE_NAME);
    let mut reports = super::install(&[folder], manifest);
    if reports.iter().any(|report| report.outcome.is_err()) {
        return reports;
    }
    let place = file.display().to_string();
    for key in keys(browsers) {
        let outcome = set(root, &key, &place).map_err(InstallError::Write);
        reports.push(Report { file: shown(root, &key), outcome });
    }
    reports
}

pub(super) fn forget(scope: &Scope, browsers: &[Browser], program: &Path) -> Vec<Report> {
    let Some(root) = root(scope) else { return vec![no_profiles(scope)] };
    let mut reports = Vec::new();
    for key in keys(browsers) {
        let outcome = remove(root, &key, program).map_err(InstallError::Remove);
        reports.push(Report { file: shown(root, &key), outcome });
    }
    let folder = program.parent().unwrap_or(Path::new(".")).to_owned();
    // The manifest serves the user's browsers and the machine's; it goes with the last key.
    if !is_used(&folder.join(FILE_NAME)) {
        reports.extend(super::uninstall(&[folder], program));
    }
    reports
}

pub(super) fn manifest_files(scope: &Scope, browsers: &[Browser]) -> Vec<PathBuf> {
    let Some(root) = root(scope) else { return Vec::new() };
    let named = |key: String| registry::text(root, &key, "").ok().flatten().map(PathBuf::from);
    keys(browsers).into_iter().filter_map(named).collect()
}

/// Without the prefix that resolving a path gives it, which the shells that start programs don't take.
pub(super) fn plain(path: PathBuf) -> PathBuf {
    let Some(rest) = path.to_str().and_then(|text| text.strip_prefix(r"\\?\")) else { return path };
    let is_of_a_drive = rest.as_bytes().get(1..3) == Some(br":\");
    let share = rest.strip_prefix(r"UNC\").map(|share| PathBuf::from(format!(r"\\{share}")));
    if is_of_a_drive { PathBuf::from(rest) } else { share.unwrap_or(path) }
}

pub(super) fn is_program(_: &Metadata) -> bool {
    true
}

/// What a file in the program's folder may be read by is the folder's business.
pub(super) fn readable_for_all(_: &mut OpenOptions) {}

fn root(scope: &Scope) -> Option<Root> {
    match scope {
        Scope::User(_) => Some(Root::User),
        Scope::Machine(_) => Some(Root::Machine),
        Scope::Profile(_) => None,
    }
}

fn no_profiles(scope: &Scope) -> Report {
    let folder = match scope {
        Scope::User(folder) | Scope::Machine(folder) | Scope::Profile(folder) => folder.clone(),
    };
    Report { file: folder, outcome: Err(InstallError::NoProfiles) }
}

fn shown(root: Root, key: &str) -> PathBuf {
    PathBuf::from(format!(r"{root}\{key}"))
}

fn set(root: Root, key: &str, file: &str) -> io::Result<Outcome> {
    let outcome = match registry::text(root, key, "")? {
        Some(before) if before == file => return Ok(Outcome::Unchanged),
        Some(_) => Outcome::Replaced,
        None => Outcome::Written,
    };
    registry::set_text(root, key, "", file)?;
    Ok(outcome)
}

/// Removes a key that leads to this program's manifest, or to none.
fn remove(root: Root, key: &str, program: &Path) -> io::Result<Outcome> {
    let Some(file) = registry::text(root, key, "")? else { return Ok(Outcome::Absent) };
    let own = program.with_file_name(FILE_NAME);
    let owner = match std::fs::read(&file).map(|text| HostManifest::of_file(Path::new(&file), &text)) {
        Ok(Ok(manifest)) if !leads_to(&manifest.path, program) => manifest.path.display().to_string(),
        Ok(Ok(_)) => return removed(root, key),
        Ok(Err(_)) | Err(_) if Path::new(&file) == own => return removed(root, key),
        Ok(Err(error)) => format!("not a manifest: {error}"),
        Err(error) => format!("{file}: {error}"),
    };
    Ok(Outcome::Kept { owner })
}

fn removed(root: Root, key: &str) -> io::Result<Outcome> {
    registry::remove(root, key).map(|there| if there { Outcome::Removed } else { Outcome::Absent })
}

/// Whether some key still leads to this manifest.
fn is_used(manifest: &Path) -> bool {
    let is_it = |file: String| Path::new(&file) == manifest;
    [Root::User, Root::Machine]
        .iter()
        .flat_map(|root| keys(&Browser::ALL).into_iter().map(move |key| (*root, key)))
        .any(|(root, key)| registry::text(root, &key, "").ok().flatten().is_some_and(is_it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_shells_take_them() {
        let check = |path: &str, expected: &str| assert_eq!(plain(path.into()), PathBuf::from(expected));
        check(r"\\?\C:\a\b.exe", r"C:\a\b.exe");
        check(r"\\?\UNC\server\share\b.exe", r"\\server\share\b.exe");
        check(r"\\?\Volume{1}\b.exe", r"\\?\Volume{1}\b.exe");
        check(r"C:\b.exe", r"C:\b.exe");
    }
}
