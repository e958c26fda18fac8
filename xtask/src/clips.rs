//! `cargo xtask clips`: the parts of making test clips that ffmpeg can't do; tests/clips/make.sh calls them.

mod index;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use crate::run::{check, say};
use crate::workspace::Workspace;

/// Makes raw pictures for test clips, and the list of a clip's segments. tests/clips/make.sh calls it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Writes numbered pictures to standard output, as raw RGB for ffmpeg's `-f rawvideo -pix_fmt rgb24`.
    Frames {
        /// Pixels in a row.
        #[arg(long, default_value_t = 640)]
        width: usize,
        /// Rows.
        #[arg(long, default_value_t = 360)]
        height: usize,
        /// Pictures in a second.
        #[arg(long, default_value_t = 30)]
        rate: u16,
        /// How many pictures.
        #[arg(long, default_value_t = 900)]
        count: u16,
    },
    /// Writes index.json for the clips in a folder: for each file its type, and where its segments lie and begin.
    Index {
        /// The folder; the index is written into it.
        folder: PathBuf,
    },
}

/// Runs the command.
pub(crate) fn run(_workspace: &Workspace, options: &Options) -> Result<()> {
    match &options.task {
        Task::Frames { width, height, rate, count } => frames(*width, *height, *rate, *count),
        Task::Index { folder } => index::write(folder),
    }
}

/// A film that nobody wants to check in, made once into a folder below the target's: H.264, and AAC. `shape`: width, height, bits
/// per second, as tests/clips/make.sh takes them.
pub(crate) fn film(workspace: &Workspace, name: &str, shape: [&str; 3]) -> Result<PathBuf> {
    let folder = workspace.target().join(name);
    if !folder.join("index.json").exists() {
        say("making a film, which takes a minute or two …");
        let mut make = Command::new("bash");
        make.arg(workspace.path("tests/clips/make.sh")).arg(&folder).args(shape);
        make.env("XTASK", std::env::current_exe()?).current_dir(workspace.root());
        check(&mut make).context("is ffmpeg installed? `cargo xtask setup` does it")?;
    }
    Ok(folder)
}

fn frames(width: usize, height: usize, rate: u16, count: u16) -> Result<()> {
    let mut rgb = vec![0; width * height * 3];
    let mut output = std::io::stdout().lock();
    for number in 0..count {
        offstage_tests::frame_number::draw(&mut rgb, width, height, number, rate);
        output.write_all(&rgb).context("the reader of the pictures has gone")?;
    }
    Ok(())
}
