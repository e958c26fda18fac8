//! `cargo xtask browser`: a browser with Offstage in it, for tests and drivers that are not part of this project.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use offstage_tests::calls::DEVICES;
use offstage_tests::session::{Installation, Session, SessionOptions};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::build;
use crate::run::{print, say};
use crate::workspace::Workspace;

/// Start a browser with the extension, bridge and client of this checkout, for a driver of its debugging port.
///
/// Builds what is missing, starts everything with sockets and profiles of its own below the user data
/// directory, waits until the debugging port answers, the extension covers its sites and has reached the
/// client (a minute at most), then prints one line
///
///     READY {"port":…,"browser_pid":…,"client_pid":…,"engine_pid":…,"extension_id":…,"socket":…,
///            "display":…,"logs":…,"redirect":…,"versions":{…}}
///
/// and stays until SIGINT or SIGTERM, or until the browser is closed. Then everything that it started is
/// ended. Logs stay in DIR/offstage/. Any number of these may run at the same time.
#[derive(Clone, Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// No window. The client's engine has none either and draws nowhere; all else is the same.
    #[arg(long, conflicts_with = "headed")]
    headless: bool,
    /// With a window, on the display that DISPLAY names, or on a screen of its own (Xvfb) if there is none. This is the default.
    #[arg(long)]
    headed: bool,
    /// The port that the browser listens on, on loopback; a free one if left out.
    #[arg(long, value_name = "N")]
    remote_debugging_port: Option<u16>,
    /// The browser's profile; made if it is not there. A temporary one if left out.
    #[arg(long, value_name = "DIR")]
    user_data_dir: Option<PathBuf>,
    /// Cover every site instead of the extension's own list, with its calls.
    #[arg(long)]
    all_sites: bool,
    /// Give the browser and the device fake microphones, which beep, and fake cameras, and let every page have them.
    #[arg(long)]
    fake_devices: bool,
    /// A plain browser, without extension and client, started in the same way: for comparing.
    #[arg(long)]
    no_redirect: bool,
    /// Use the optimised programs.
    #[arg(long)]
    release: bool,
    /// Use what was built before, as it is.
    #[arg(long)]
    no_build: bool,
    /// More arguments for the browser, after the ones that are needed here; of two that contradict each other it takes the last.
    #[arg(last = true, value_name = "CHROMIUM ARGS")]
    browser_args: Vec<String>,
}

/// How long the extension may take to reach the client.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, options: Options) -> Result<()> {
    let installation = installation(workspace, &options)?;
    let mut browser_args = options.browser_args;
    let mut client_args = Vec::new();
    if options.fake_devices {
        client_args = DEVICES.iter().flat_map(|arg| ["--engine-arg".to_owned(), (*arg).to_owned()]).collect();
        browser_args.extend(DEVICES.map(str::to_owned));
    }
    let session = SessionOptions {
        user_data_dir: options.user_data_dir,
        port: options.remote_debugging_port,
        headless: options.headless,
        screen: None,
        redirect: !options.no_redirect,
        sites: options.all_sites.then(|| vec!["<all_urls>".to_owned()]),
        managed: options.all_sites.then(|| json!({ "callsAllSites": true })),
        browser_args,
        client_args,
        ..SessionOptions::default()
    };
    let session = Session::start(&installation, session)?;
    if !options.no_redirect {
        session.wait_connected(READY_TIMEOUT)?;
        if options.fake_devices {
            session.set_device(&json!({ "capture": "allow" }))?;
        }
    }
    // Before this line a signal ends this program in the usual way, and the kernel ends what it started.
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen for signals")?;
    print(format!("READY {}", session.describe()?));
    wait(session, &mut signals)
}

fn installation(workspace: &Workspace, options: &Options) -> Result<Installation> {
    if options.no_build || options.no_redirect {
        let programs = workspace.programs(options.release);
        let installation = Installation::new(&workspace.dist(), &programs, &workspace.extension_id()?);
        if !options.no_redirect {
            installation.check()?;
        }
        return Ok(installation);
    }
    build::run(workspace, &build::Options { release: options.release, ..build::Options::default() })
}

/// Stays until a signal comes or the browser has ended.
pub(crate) fn wait(mut session: Session, signals: &mut Signals) -> Result<()> {
    let (sender, receiver) = sync_channel(4);
    let handle = signals.handle();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for signal in signals.forever() {
                sender.send(signal).ok();
            }
        });
        let mut client_runs = true;
        loop {
            match receiver.recv_timeout(Duration::from_millis(250)) {
                Ok(_) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if !session.browser().is_running() {
                say("browser: it was closed.");
                break;
            }
            if client_runs && session.client().is_some_and(|client| !client.is_running()) {
                client_runs = false;
                say("browser: the client has ended; playback goes on in the session.");
            }
        }
        session.close();
        handle.close();
    });
    Ok(())
}
