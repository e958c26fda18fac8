//! `cargo xtask ci` and `cargo xtask test`: what has to be true before a change goes in, cheap things first.

mod ahead;

use std::iter;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use self::ahead::Ahead;
use crate::run::{cargo, check, is_on_path, say};
use crate::workspace::Workspace;
use crate::{build, calls, differential, ironrdp, package, setup, size, sound_server, tidy, web, windows};

/// Runs every check, in the order of their cost, and stops at the first that fails.
///
/// Formatting, the project's own rules, licences, clippy for this machine and for WebAssembly, all
/// tests, the size budget, the packages. Each step is named and timed, and so is each that can't be run here. `cargo xtask setup` has to have run before; with --setup
/// it is the first step.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Install first what is missing, without asking.
    #[arg(long)]
    setup: bool,
    /// Leave out the tests that start browsers.
    #[arg(long)]
    no_browser: bool,
    /// Test remote desktops against IronRDP's server even if its crates have to be compiled first (`cargo xtask ironrdp`).
    #[arg(long)]
    ironrdp: bool,
    /// Go on after a step that fails, and list all that failed at the end.
    #[arg(long)]
    keep_going: bool,
}

/// Runs the tests: units, golden files, recorded fuzz inputs, whole processes, and (unless told otherwise) real browsers.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TestOptions {
    /// Leave out the tests that start browsers.
    #[arg(long)]
    no_browser: bool,
    /// Only the tests whose name holds this.
    filter: Option<String>,
}

/// Packages of the programs, the modules and this automation: everything that has lints and tests.
const WASM_PACKAGES: [&str; 3] = ["offstage-ext-core", "offstage-popup", "offstage-stage"];

/// Steps that are left out where what they need is not there.
const DENY: &str = "licences and sources of crates";
const IRONRDP: &str = "remote desktops, by IronRDP's server";

/// Browser tests that nothing may run beside: they look at single frames, at sound or at what a machine has time for, or change what is the whole
/// machine's. All others wait more than they work, so that two at once have time enough; of three each has a browser and an engine too many.
const ALONE: [&str; 8] = [
    "choice::",
    "geometry::",
    "policy::",
    "rdp::",
    "remote_desktop::",
    "sounds::",
    "truth::",
    "window_managers::",
];

/// A step that is not run, and why.
type LeftOut<'a> = (&'a str, &'a str);

/// A named step.
type Step<'a> = (&'a str, Box<dyn Fn() -> Result<()> + 'a>);

/// Runs every check.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let locks = Locks::read(workspace)?;
    let mut steps: Vec<Step<'_>> = Vec::new();
    if options.setup {
        steps.push(("setup", Box::new(|| setup::run(workspace, &setup::Options::unattended()))));
    }
    let mut left_out = Vec::new();
    steps.push((
        "format",
        Box::new(|| {
            check(cargo(workspace).args(["fmt", "--all", "--check"]))?;
            ironrdp::format(workspace)
        }),
    ));
    steps.push(("tidy", Box::new(|| tidy::run(workspace, &tidy::Options::default()))));
    if is_on_path("cargo-deny") {
        steps.push((DENY, Box::new(|| deny(workspace))));
    } else {
        left_out.push((DENY, "cargo-deny is not installed: `cargo install cargo-deny`"));
    }
    steps.push(("clippy", Box::new(|| clippy(workspace))));
    steps.push(("clippy for wasm32", Box::new(|| clippy_wasm(workspace))));
    steps.push((
        "build of the tests",
        Box::new(|| check(cargo(workspace).args(["test", "--locked", "--workspace", "--no-run", "--quiet"]))),
    ));
    steps.push(("unit tests, golden files, recorded fuzz inputs", Box::new(|| unit_tests(workspace, None))));
    steps.push((
        "programs and modules",
        Box::new(|| build::run(workspace, &build::Options::default()).map(drop)),
    ));
    steps.push(("tests of whole processes", Box::new(|| level(workspace, "process", None))));
    steps.push(("Windows, by wine", Box::new(|| windows::run(workspace, &windows::Options::default()))));
    steps.push(("size budget", Box::new(|| size::run(workspace, &size::Options::default()))));
    steps.push((
        "packages and manifests",
        Box::new(|| {
            let options =
                package::Options { no_build: true, extension_only: true, ..package::Options::default() };
            package::run(workspace, &options)
        }),
    ));
    let with_ironrdp = options.ironrdp || ironrdp::target(workspace).exists();
    if !options.no_browser {
        steps.push((
            "tests in real browsers",
            Box::new(move || {
                let tasks = ["build --native-only --release", "ironrdp --no-run"];
                let ahead = Ahead::start(workspace, &tasks[..1 + usize::from(with_ironrdp)])?;
                level(workspace, "browser", None)?;
                ahead.finish()
            }),
        ));
        steps.push(("players, natively and redirected", Box::new(|| differential(workspace))));
    }
    if with_ironrdp {
        steps.push((IRONRDP, Box::new(|| ironrdp::run(workspace, &ironrdp::Options::default()))));
    } else {
        left_out.push((IRONRDP, "hundreds of crates would have to be compiled first; --ironrdp does it"));
    }
    steps.push((
        "the programs' packages, in a clean Debian",
        Box::new(|| {
            let options =
                package::Options { programs_only: true, check_debs: true, ..package::Options::default() };
            package::run(workspace, &options)
        }),
    ));
    if !options.no_browser {
        steps.push((
            "the signed package, installed by policy",
            Box::new(|| {
                let options = package::Options {
                    no_build: true,
                    extension_only: true,
                    check: true,
                    ..package::Options::default()
                };
                package::run(workspace, &options)
            }),
        ));
    }
    steps.push(("lock files", Box::new(move || locks.check(workspace))));
    perform(&steps, &left_out, options.keep_going)
}

/// Runs the tests.
pub(crate) fn test(workspace: &Workspace, options: &TestOptions) -> Result<()> {
    let filter = options.filter.as_deref();
    let mut steps: Vec<Step<'_>> = vec![
        ("unit tests, golden files, recorded fuzz inputs", Box::new(|| unit_tests(workspace, filter))),
        ("programs and modules", Box::new(|| build::run(workspace, &build::Options::default()).map(drop))),
        ("tests of whole processes", Box::new(|| level(workspace, "process", filter))),
    ];
    if !options.no_browser {
        steps.push(("tests in real browsers", Box::new(|| level(workspace, "browser", filter))));
        if filter.is_none() {
            steps.push(("players, natively and redirected", Box::new(|| differential(workspace))));
        }
    }
    perform(&steps, &[], false)
}

/// One step after the other; says at the end how long each took, and what was not run.
fn perform(steps: &[Step<'_>], left_out: &[LeftOut<'_>], keep_going: bool) -> Result<()> {
    let begin = Instant::now();
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for (number, (name, step)) in steps.iter().enumerate() {
        say(format!("\n==> [{}/{}] {name}", number + 1, steps.len()));
        let start = Instant::now();
        let result = step();
        let verdict = if result.is_ok() { "" } else { ": FAILED" };
        lines.push(format!("  {:>8}  {name}{verdict}", shown(start.elapsed())));
        if let Err(error) = result {
            say(format!("{name}: {error:#}"));
            failed.push(*name);
            if !keep_going {
                break;
            }
        }
    }
    say("");
    lines.iter().for_each(say);
    for (name, reason) in left_out {
        say(format!("   NOT RUN  {name}: {reason}"));
    }
    say(format!("  {:>8}  together", shown(begin.elapsed())));
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    match left_out.len() {
        0 => say("Every step passed."),
        count => say(format!("Every step that ran has passed; NOT RUN: {count}.")),
    }
    Ok(())
}

fn shown(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f32())
}

fn deny(workspace: &Workspace) -> Result<()> {
    check(cargo(workspace).args(["deny", "--all-features", "check", "bans", "licenses", "sources"]))
}

fn differential(workspace: &Workspace) -> Result<()> {
    differential::run(workspace, &differential::Options::of_each_kind())
}

fn clippy(workspace: &Workspace) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["clippy", "--locked", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    check(&mut command)
}

fn clippy_wasm(workspace: &Workspace) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["clippy", "--locked", "--quiet", "--lib", "--target", "wasm32-unknown-unknown"]);
    for package in WASM_PACKAGES {
        command.args(["-p", package]);
    }
    command.args(["--", "-D", "warnings"]);
    check(&mut command)
}

/// Everything that needs nothing but cargo: all tests beside the code, and those of tests/ that start nothing.
fn unit_tests(workspace: &Workspace, filter: Option<&str>) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["test", "--locked", "--workspace", "--lib", "--bins"]);
    let integration: Vec<String> = integration_tests(workspace)?
        .into_iter()
        .filter(|name| !["process", "browser"].contains(&name.as_str()))
        .collect();
    for name in &integration {
        command.args(["--test", name]);
    }
    command.arg("--").args(filter);
    check(&mut command)
}

/// The integration tests of one name in every package that has them, with the built parts at hand.
fn level(workspace: &Workspace, name: &str, filter: Option<&str>) -> Result<()> {
    if !integration_tests(workspace)?.iter().any(|found| found == name) {
        bail!("no package has tests called {name}");
    }
    let run = |arguments: &[&str]| {
        let mut command = cargo(workspace);
        command.env("OFFSTAGE_DIST", workspace.dist()).env("OFFSTAGE_PROGRAMS", workspace.programs(false));
        command.args(["test", "--locked", "--workspace", "--test", name, "--"]).args(arguments);
        check(&mut command)
    };
    let filter = filter.as_slice();
    if name != "browser" {
        return run(filter);
    }
    calls::clients(workspace)?;
    web::packages(workspace)?;
    sound_server::unpack(workspace)?;
    if !filter.is_empty() {
        return run(&[filter, &["--test-threads=1"]].concat());
    }
    let alone = ALONE.iter().flat_map(|part| ["--skip", part]);
    let together = run(&iter::once("--test-threads=2").chain(alone).collect::<Vec<_>>());
    // What fails of the ones says nothing of the others.
    run(&[&ALONE[..], &["--test-threads=1"]].concat()).and(together)
}

/// Names of all integration tests of the workspace (folders and files in `tests/` of a package).
fn integration_tests(workspace: &Workspace) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for file in workspace.files()? {
        let Some((package, rest)) = file.split_once("/tests/") else { continue };
        if package.contains('/') || !workspace.path(package).join("Cargo.toml").exists() {
            continue;
        }
        let name = match rest.split_once('/') {
            None => rest.strip_suffix(".rs"),
            Some((folder, "main.rs")) => Some(folder),
            Some(_) => None,
        };
        names.extend(name.map(str::to_owned));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// The lock files as they were when the checks began.
struct Locks(Vec<(String, Vec<u8>)>);

impl Locks {
    fn read(workspace: &Workspace) -> Result<Self> {
        let files = workspace.files()?.into_iter().filter(|file| file.ends_with("Cargo.lock"));
        let read = |file: String| std::fs::read(workspace.path(&file)).map(|bytes| (file, bytes));
        Ok(Self(files.map(read).collect::<std::io::Result<_>>()?))
    }

    fn check(&self, workspace: &Workspace) -> Result<()> {
        for (file, before) in &self.0 {
            if std::fs::read(workspace.path(file))? != *before {
                bail!("{file} has changed during the checks: commit it");
            }
        }
        Ok(())
    }
}
