//! A tree as a Debian package, made by Debian's own tools: dpkg-shlibdeps names the libraries, dpkg-deb packs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Package;
use super::tree::Tree;
use crate::run::{check, output};

/// What all packages of a set share.
#[derive(Debug)]
pub(super) struct Making<'a> {
    pub(super) version: &'a str,
    pub(super) architecture: &'a str,
    /// Seconds since 1970.
    pub(super) date: u64,
    pub(super) maintainer: &'a str,
}

/// The package's bytes.
pub(super) fn build(package: &Package, making: &Making<'_>) -> Result<Vec<u8>> {
    let scratch = tempfile::tempdir()?;
    let folder = scratch.path().join("package");
    package.tree.write(&folder)?;
    let libraries = libraries(scratch.path(), &folder.join(package.program()))?;
    let mut all = Tree::default();
    all.add("DEBIAN/control", control(package, making, &libraries).into_bytes());
    all.add("DEBIAN/conffiles", conffiles(&package.tree).into_bytes());
    all.write(&folder)?;
    let file = scratch.path().join("package.deb");
    let mut command = Command::new("dpkg-deb");
    // More than one thread may cut what it packs at other places.
    command.env("SOURCE_DATE_EPOCH", making.date.to_string()).env("DPKG_DEB_THREADS_MAX", "1");
    command.args(["-Zxz", "--root-owner-group", "--build"]).arg(&folder).arg(&file);
    check(command.stdout(std::process::Stdio::null()))?;
    Ok(std::fs::read(&file)?)
}

/// Packages of the libraries that a program is linked with, as a list of the control file.
fn libraries(scratch: &Path, program: &Path) -> Result<String> {
    // The tool wants to stand in a source package.
    std::fs::create_dir_all(scratch.join("debian"))?;
    std::fs::write(
        scratch.join("debian/control"),
        "Source: offstage\n\nPackage: offstage\nArchitecture: any\n",
    )?;
    let mut command = Command::new("dpkg-shlibdeps");
    let listed = output(command.current_dir(scratch).arg("-O").arg(program))
        .context("dpkg-shlibdeps is in dpkg-dev, which `cargo xtask setup` installs")?;
    let line = listed.lines().find_map(|line| line.strip_prefix("shlibs:Depends="));
    Ok(line.context("dpkg-shlibdeps names no libraries")?.to_owned())
}

fn control(package: &Package, making: &Making<'_>, libraries: &str) -> String {
    let Package { name, section, summary, description, depends, tree, overrides: _ } = package;
    let Making { version, architecture, maintainer, date: _ } = making;
    let depends: Vec<&str> = std::iter::once(libraries).chain(depends.iter().copied()).collect();
    let description: String =
        description.lines().map(|line| format!(" {}\n", if line.is_empty() { "." } else { line })).collect();
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: {maintainer}\nInstalled-Size: {size}\n\
         Depends: {depends}\nSection: {section}\nPriority: optional\nDescription: {summary}\n{description}",
        size = tree.kibibytes(),
        depends = depends.join(", "),
    )
}

/// What the machine's administrator may change, and updates then leave alone.
fn conffiles(tree: &Tree) -> String {
    tree.names().filter(|name| name.starts_with("etc/")).map(|name| format!("/{name}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_file_says_what_is_needed() {
        let mut tree = Tree::default();
        tree.add("etc/xdg/a.desktop", vec![0; 1025]);
        tree.add_program("usr/bin/a", vec![0; 10]);
        let package = Package {
            name: "a",
            section: "video",
            summary: "does it",
            description: "One.\n\nTwo.",
            depends: &["chromium | google-chrome-stable"],
            overrides: &[],
            tree,
        };
        let making = Making { version: "1.2", architecture: "amd64", date: 0, maintainer: "A <a@b.org>" };
        assert_eq!(
            control(&package, &making, "libc6 (>= 2.34)"),
            "Package: a\nVersion: 1.2\nArchitecture: amd64\nMaintainer: A <a@b.org>\nInstalled-Size: 7\n\
             Depends: libc6 (>= 2.34), chromium | google-chrome-stable\nSection: video\nPriority: optional\n\
             Description: does it\n One.\n .\n Two.\n"
        );
        assert_eq!(conffiles(&package.tree), "/etc/xdg/a.desktop\n");
    }
}
