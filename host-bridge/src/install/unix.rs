//! Manifests in folders of the browsers.

use std::fs::Metadata;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use super::Report;
use super::manifest::FILE_NAME;
use super::manifest::HostManifest;
use super::places::Browser;
use super::places::Scope;
use super::places::folders;

pub(super) fn introduce(scope: &Scope, browsers: &[Browser], manifest: &HostManifest) -> Vec<Report> {
    super::install(&folders(scope, browsers), manifest)
}

pub(super) fn forget(scope: &Scope, browsers: &[Browser], program: &Path) -> Vec<Report> {
    super::uninstall(&folders(scope, browsers), program)
}

pub(super) fn manifest_files(scope: &Scope, browsers: &[Browser]) -> Vec<PathBuf> {
    folders(scope, browsers).iter().map(|folder| folder.join(FILE_NAME)).collect()
}

pub(super) fn plain(path: PathBuf) -> PathBuf {
    path
}

pub(super) fn is_program(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o111 != 0
}

pub(super) fn readable_for_all(options: &mut OpenOptions) {
    options.mode(0o644);
}
