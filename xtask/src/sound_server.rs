//! The sound server of the tests: Debian's PulseAudio, unpacked beside the programs. Installed, it would take the place of the
//! machine's own.

use std::process::Command;

use anyhow::{Context as _, Result};
use offstage_tests::sounds::packages_folder;

use crate::run::{check, output, say};
use crate::setup;
use crate::workspace::Workspace;

/// Brings the packages that are not there yet, with what of their dependencies this machine does not have.
pub(crate) fn unpack(workspace: &Workspace) -> Result<()> {
    let to = packages_folder(&workspace.programs(false));
    if to.join("usr/bin/pulseaudio").exists() {
        return Ok(());
    }
    say("tests: fetching a sound server…");
    let missing = || -> Result<Vec<String>> {
        let mut simulate = Command::new("apt-get");
        simulate.args([
            "install",
            "--simulate",
            "--reinstall",
            "--no-install-recommends",
            "pulseaudio",
            "pulseaudio-utils",
        ]);
        let plan = output(&mut simulate).context("apt-get knows no sound server")?;
        // "Inst pulseaudio (16.1 Debian:12 [amd64])"
        let names = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
        Ok(names.map(str::to_owned).collect())
    };
    let work = tempfile::TempDir::with_prefix("offstage-packages-")?;
    let fetch = || -> Result<()> {
        let mut download = Command::new("apt-get");
        // Whoever runs this may write there; apt's own user need not.
        download
            .args(["download", "--quiet", "-o", "APT::Sandbox::User=root"])
            .args(missing()?)
            .current_dir(work.path());
        output(&mut download).map(drop)
    };
    if fetch().is_err() {
        setup::update()?;
        fetch()?;
    }
    std::fs::create_dir_all(&to)?;
    // The program comes last: where it is, all is.
    let mut packages: Vec<_> = std::fs::read_dir(work.path())?.flatten().map(|entry| entry.path()).collect();
    packages.sort_by_key(|path| path.to_string_lossy().contains("/pulseaudio_"));
    packages
        .iter()
        .try_for_each(|package| check(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&to)))
}
