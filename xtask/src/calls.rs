//! `cargo xtask calls`: calls, natively and redirected.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use offstage_tests::calls::{Ends, Row, SCENARIOS, callee, caller, clients_folder, run as run_call, serve};
use offstage_tests::session::Installation;

use crate::run::{check, is_on_path, print, say};
use crate::workspace::Workspace;
use crate::{build, setup};

/// Run calls, natively and redirected, and look at both ends.
///
/// One browser is the person's session; its calls run on a device, or, for comparing, in the session. At the other end is a plain
/// browser, or other people's programs: a conference server, a telephone behind a SIP server. The browsers have fake microphones,
/// which sound 440 Hz, and fake cameras. Everything is on loopback. Prints a line each:
///
///     ok      native      what was called, how long it took until both ends were connected, cores that the session's
///                         browser used, memory that it and the device's engine took more than before, UDP sockets
///                         that it had for the call, bytes that its own connection carried, how long a sound
///                         took to the other end, what was seen and heard at both ends
///     FAILED  redirected  with what went wrong; then the exit code is 1
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Only scenarios that have this in their names.
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,
    /// Write the rows to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Use what was built before, as it is.
    #[arg(long)]
    no_build: bool,
}

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let installation = if options.no_build {
        Installation::new(&workspace.dist(), &workspace.programs(false), &workspace.extension_id()?)
    } else {
        build::run(workspace, &build::Options::default())?
    };
    let wanted = |name: &str| options.pattern.as_ref().is_none_or(|part| name.contains(part));
    let scenarios: Vec<_> = SCENARIOS.iter().filter(|scenario| wanted(scenario.name)).collect();
    if scenarios.is_empty() {
        bail!("no scenario has this in its name");
    }
    clients(workspace)?;
    let server = serve(&installation)?;
    let url = server.url("/pages/call.html");
    let (mut native, mut session) = (callee(&installation)?, caller(&installation, None)?);
    let (other, also) = (callee(&installation)?, caller(&installation, None)?);
    let mut rows = Vec::new();
    for scenario in scenarios {
        for redirected in [false, true] {
            let here = if redirected { &mut session } else { &mut native };
            let there = if redirected && scenario.both { &also } else { &other };
            let row = run_call(&mut Ends { session: here, other: there, url: &url, redirected }, scenario);
            print(line(&row));
            rows.push(row);
        }
    }
    for session in [native, session, other, also] {
        session.close();
    }
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&rows)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let bad = rows.iter().filter(|row| row.status != "ok").count();
    if bad > 0 {
        bail!("{bad} of {} calls are not as they should be", rows.len());
    }
    Ok(())
}

/// Makes the libraries of pages: what tests/calls/package-lock.json names, from npm, each as one script.
pub(crate) fn clients(workspace: &Workspace) -> Result<()> {
    let (from, work) = (workspace.path("tests/calls"), workspace.target().join("calls"));
    let names = ["adapter.js", "janus.js", "jssip.js", "sipjs.js", "package.json", "package-lock.json"];
    let to = clients_folder(&workspace.programs(false));
    let mut wanted = String::new();
    for name in names {
        wanted += &std::fs::read_to_string(from.join(name))?;
    }
    let made_of = to.join("made-of");
    if std::fs::read_to_string(&made_of).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    if !is_on_path("npm") {
        setup::install(&["nodejs", "npm"]).context("the pages' libraries come from npm")?;
    }
    say("calls: installing the pages' libraries from npm…");
    std::fs::create_dir_all(&work)?;
    std::fs::create_dir_all(&to)?;
    for name in names {
        std::fs::copy(from.join(name), work.join(name))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&work);
    check(&mut npm)?;
    let mut bundle = Command::new("node_modules/.bin/esbuild");
    bundle.args(&names[..4]).args(["--bundle", "--format=esm", "--log-level=warning"]).current_dir(&work);
    check(bundle.arg(format!("--outdir={}", to.display())))?;
    Ok(std::fs::write(made_of, wanted)?)
}

fn line(row: &Row) -> String {
    let (state, how) = (
        if row.status == "ok" { "ok" } else { "FAILED" },
        if row.redirected { "redirected" } else { "native" },
    );
    let why = if row.status == "ok" { row.verified.join("; ") } else { row.status.clone() };
    let latency = row.audio_latency_ms.map_or_else(String::new, |ms| format!("sound after {ms:.0} ms; "));
    format!(
        "{state:<7} {how:<11} {:<41} {:>5.0} ms  {:>4.2} cores  {:>4.0} + {:>3.0} MB  {:>2} sockets  {:>8.0} bytes  {latency}{why}",
        row.scenario,
        row.setup_ms,
        row.session_cpu,
        row.session_memory_mb,
        row.device_memory_mb,
        row.session_udp_sockets,
        row.session_bytes
    )
}
