//! `cargo xtask calls`: calls, natively and redirected.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use offstage_tests::calls::{Row, SCENARIOS, callee, caller, run as run_call};
use offstage_tests::server::{Response, Server};
use offstage_tests::session::Installation;

use crate::build;
use crate::run::print;
use crate::workspace::Workspace;

/// Run calls between two browsers, natively and redirected, and look at both ends.
///
/// One browser is the person's session; its calls run on a device, or, for comparing, in the session. The other one is plain. Both
/// have fake microphones, which beep, and fake cameras. Everything is on loopback. Prints a line each:
///
///     ok      native      what was called, how long it took until both ends were connected, cores that the session's
///                         browser used, UDP sockets that it had for the call, bytes that its own connection carried,
///                         what was seen and heard at both ends
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
    let pages = workspace.path("tests/tests/pages");
    let server = Server::start(move |request| Response::file(&pages, request.path.trim_start_matches('/')))?;
    let url = server.url("/call.html");
    let (mut native, mut session) = (callee(&installation)?, caller(&installation, None)?);
    let (other, also) = (callee(&installation)?, caller(&installation, None)?);
    let mut rows = Vec::new();
    for scenario in scenarios {
        for redirected in [false, true] {
            let here = if redirected { &mut session } else { &mut native };
            let there = if redirected && scenario.both { &also } else { &other };
            let row = run_call(here, there, &url, scenario, redirected);
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

fn line(row: &Row) -> String {
    let (state, how) = (
        if row.status == "ok" { "ok" } else { "FAILED" },
        if row.redirected { "redirected" } else { "native" },
    );
    let why = if row.status == "ok" { row.verified.join("; ") } else { row.status.clone() };
    format!(
        "{state:<7} {how:<11} {:<33} {:>5.0} ms  {:>4.2} cores  {} sockets  {:>9.0} bytes  {why}",
        row.scenario, row.setup_ms, row.session_cpu, row.session_udp_sockets, row.session_bytes
    )
}
