//! `cargo xtask build`: the programs, the two WebAssembly modules and the folders that hold them.

mod extension;
mod remap;
mod wasm;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use offstage_tests::session::Installation;

use crate::run::{cargo, check, say};
use crate::windows::TARGET;
use crate::workspace::Workspace;

/// Builds everything that runs: the programs, the plug-in for remote desktops, the extension for each browser, and the stage.
///
/// Programs go where cargo puts them (target/debug, or target/release with --release). The rest goes to dist/: an unpacked
/// extension per browser in dist/extension/, and in dist/stage/ the page that the device's engine runs. If CARGO_TARGET_DIR
/// names another folder, dist/ is inside that one.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Optimise the programs; slower to build. The WebAssembly modules are always optimised.
    #[arg(long)]
    pub(crate) release: bool,
    /// Only the programs.
    #[arg(long, conflicts_with = "web_only")]
    pub(crate) native_only: bool,
    /// Only the extension and the stage.
    #[arg(long)]
    pub(crate) web_only: bool,
}

/// Runs the command and says where things are.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Installation> {
    if !options.web_only {
        native(workspace, options.release)?;
    }
    if !options.native_only {
        web(workspace)?;
        say(format!("build: extension and stage are in {}", workspace.dist().display()));
    }
    let programs = workspace.programs(options.release);
    Ok(Installation::new(&workspace.dist(), &programs, &workspace.extension_id()?))
}

/// The two programs and the library.
pub(crate) fn native(workspace: &Workspace, release: bool) -> Result<()> {
    let programs: &[&str] = &["-p", "offstage-bridge", "-p", "offstage-client", "--bins"];
    for parts in [programs, &["-p", "offstage-rdp-plugin", "--lib"]] {
        let mut command = cargo(workspace);
        command.args(["build", "--locked"]).args(parts);
        if release {
            command.arg("--release").env(remap::VARIABLE, remap::flags(workspace)?).env_remove("RUSTFLAGS");
        }
        check(&mut command)?;
    }
    Ok(())
}

/// What stands for a browser in the tests of Windows.
pub(crate) const STAND_IN: &str = "stand_in_engine";

/// What runs on Windows, built by mingw.
///
/// What is shipped is given a date, in seconds since 1970: mingw's linker writes one into each program.
pub(crate) fn windows(workspace: &Workspace, date: Option<u64>) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["build", "--locked", "--target", TARGET, "--bins", "--lib"]);
    for package in ["offstage-bridge", "offstage-client", "offstage-rdp-plugin"] {
        command.args(["-p", package]);
    }
    if let Some(date) = date {
        command.arg("--release").env(remap::VARIABLE, remap::flags(workspace)?).env_remove("RUSTFLAGS");
        command.env("SOURCE_DATE_EPOCH", date.to_string());
    } else {
        command.args(["--example", STAND_IN]);
    }
    check(&mut command)
}

/// The folder of the programs that were built for Windows.
pub(crate) fn windows_programs(workspace: &Workspace, release: bool) -> PathBuf {
    workspace.target().join(TARGET).join(if release { "release" } else { "debug" })
}

/// The three modules and the folders around them.
pub(crate) fn web(workspace: &Workspace) -> Result<()> {
    wasm::compile(workspace)?;
    let generated = workspace.target().join("wasm-bindgen");
    wasm::bind(workspace, "offstage_ext_core", "ext_core", &generated.join("ext-core"))?;
    wasm::bind(workspace, "offstage_popup", "offstage_popup", &generated.join("popup"))?;
    wasm::bind(workspace, "offstage_stage", "stage", &generated.join("stage"))?;
    for browser in crate::manifest::BROWSERS {
        extension::assemble(workspace, browser, &generated)?;
    }
    assemble_stage(workspace, &generated.join("stage"))
}

/// The stage's hand-written files beside its module.
fn assemble_stage(workspace: &Workspace, generated: &Path) -> Result<()> {
    let stage = workspace.stage();
    fresh_folder(&stage)?;
    copy_folder(generated, &stage, &|_| true)?;
    let pages = workspace.path("stage/www");
    if pages.exists() {
        copy_folder(&pages, &stage, &|_| true)?;
    }
    Ok(())
}

/// An empty folder in place of whatever was there.
fn fresh_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Copies what `wanted` says yes to; it is asked with names relative to `from`.
fn copy_folder(from: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<()> {
    copy_below(from, Path::new(""), to, wanted).with_context(|| format!("cannot copy {}", from.display()))
}

fn copy_below(from: &Path, below: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<()> {
    std::fs::create_dir_all(to.join(below))?;
    for entry in std::fs::read_dir(from.join(below))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        if !wanted(&name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_below(from, &name, to, wanted)?;
        } else {
            std::fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}
