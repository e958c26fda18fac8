//! All of the project's automation: what continuous integration runs is what a person runs.

mod bench;
mod browser;
mod build;
mod calls;
mod ci;
mod clips;
mod demo;
mod differential;
mod geometry;
mod icons;
mod ironrdp;
mod manifest;
mod package;
mod run;
mod screenshots;
mod setup;
mod sites;
mod size;
mod soak;
mod sound_server;
mod tidy;
mod web;
mod windows;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, tests, packs and shows Offstage.
///
/// On a new machine: `cargo xtask demo`, then `cargo xtask test`. Both install what is missing, and ask first.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Setup(setup::Options),
    Build(build::Options),
    Demo(demo::Options),
    Web(web::Options),
    Browser(browser::Options),
    Test(ci::TestOptions),
    Ci(ci::Options),
    Package(package::Options),
    Bench(bench::Options),
    Differential(differential::Options),
    Sites(sites::Options),
    Calls(calls::Options),
    Geometry(geometry::Options),
    Size(size::Options),
    Soak(soak::Options),
    Tidy(tidy::Options),
    Windows(windows::Options),
    Ironrdp(ironrdp::Options),
    Icons(icons::Options),
    Clips(clips::Options),
    Screenshots(screenshots::Options),
}

fn main() -> ExitCode {
    match perform(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes without a backtrace: what went wrong is in another program or in the checkout.
            run::say(format!("\nerror: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    let workspace = Workspace::find()?;
    // What a newcomer runs first installs what it needs, and asks if somebody is there.
    if matches!(task, Task::Demo(_) | Task::Web(_) | Task::Test(_) | Task::Bench(_)) {
        setup::run(&workspace, &setup::Options::asking())?;
    }
    match task {
        Task::Setup(options) => setup::run(&workspace, &options),
        Task::Build(options) => build::run(&workspace, &options).map(drop),
        Task::Demo(options) => demo::run(&workspace, &options),
        Task::Web(options) => web::run(&workspace, &options),
        Task::Browser(options) => browser::run(&workspace, options),
        Task::Test(options) => ci::test(&workspace, &options),
        Task::Ci(options) => ci::run(&workspace, &options),
        Task::Package(options) => package::run(&workspace, &options),
        Task::Bench(options) => bench::run(&workspace, &options),
        Task::Differential(options) => differential::run(&workspace, &options),
        Task::Soak(options) => soak::run(&workspace, &options),
        Task::Sites(options) => sites::run(&workspace, &options),
        Task::Calls(options) => calls::run(&workspace, &options),
        Task::Geometry(options) => geometry::run(&workspace, &options),
        Task::Size(options) => size::run(&workspace, &options),
        Task::Tidy(options) => tidy::run(&workspace, &options),
        Task::Windows(options) => windows::run(&workspace, &options),
        Task::Ironrdp(options) => ironrdp::run(&workspace, &options),
        Task::Icons(options) => icons::run(&workspace, &options),
        Task::Clips(options) => clips::run(&workspace, &options),
        Task::Screenshots(options) => screenshots::run(&workspace, &options),
    }
}
