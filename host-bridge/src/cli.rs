//! The command line.

use std::env;
use std::ffi::OsString;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::CommandFactory as _;
use clap::Parser;
use clap::Subcommand;
#[cfg(unix)]
use offstage_pairing::PairingError;
#[cfg(unix)]
use offstage_pairing::address::Address;
use offstage_protocol::FEATURE_LOGS;
use offstage_protocol::FEATURE_WINDOWS;
use offstage_protocol::PROTOCOL_MAX;
use offstage_protocol::PROTOCOL_MIN;
use offstage_protocol::error::ErrorCode;
use offstage_protocol::message::Hello;
use offstage_protocol::message::SessionInfo;

use crate::bridge::BridgeConfig;
use crate::channel::Channel as _;
use crate::channel::choice;
use crate::channel::choice::Choice;
use crate::doctor;
use crate::doctor::Questions;
use crate::install;
use crate::install::InstallError;
use crate::install::Outcome;
use crate::install::Report;
use crate::install::manifest::ExtensionId;
use crate::install::manifest::HostManifest;
use crate::install::places::Browser;
use crate::install::places::Scope;
#[cfg(unix)]
use crate::pairing;
#[cfg(unix)]
use crate::pairing::PairingsCommand;

/// The session's native end of Offstage.
///
/// A browser starts this program when Offstage's extension asks for it, talks to it on standard
/// input and output, and closes its input when it is done. The program carries the extension's
/// frames to the client on the person's device and back.
///
/// You need not start it yourself: "install" tells the browsers where it is, "doctor" says what
/// is wrong if no video moves.
#[derive(Debug, Parser)]
#[command(name = "offstage-bridge", version, after_help = AFTER_HELP, verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

const AFTER_HELP: &str = "\
Environment:
  OFFSTAGE_SOCKET    the client's socket; without it $XDG_RUNTIME_DIR/offstage/client.sock,
                     or /tmp/offstage-<uid>/client.sock
  OFFSTAGE_CHANNEL   the way to the device if OFFSTAGE_SOCKET is not set: xrdp (through the RDP connection), unix (the
                     socket above), tls (whichever paired device answers), tls:HOST:PORT, or auto (the default: xrdp in a
                     session of xrdp's, else unix if the socket is there, else tls if a device is paired, else unix)
                     on Windows wts (through the RDP connection), pipe (\\\\.\\pipe\\offstage-<SID>) or auto
  OFFSTAGE_LOG       what is logged to standard error: error, warn, info (the default), debug, trace,
                     or a filter like offstage_bridge=debug
  OFFSTAGE_LOG_FILE  a file that the log is added to as well
  OFFSTAGE_LOG_DIR   where the log's own files are [default: ~/.local/state/offstage/logs]: JSON a line, no addresses or
                     names in it, at most 2 MB a run and seven runs; empty: no files
  OFFSTAGE_METRICS_DIR
                     where counters for Prometheus are written [default: $XDG_RUNTIME_DIR/offstage/metrics]; empty: nowhere
                     (on Windows both are below %LOCALAPPDATA%\\Offstage)

Exit status: 0 if everything is well; 1 if something is not; 2 for a wrong command line.

Examples:
  offstage-bridge install                              every browser of the user who runs it
  sudo offstage-bridge install --system                every browser and user of the machine
  offstage-bridge install --user-data-dir /tmp/p       one profile, say of a test
  offstage-bridge pair laptop.lan                      a device that shows a code (by offstage-client pair)
  offstage-bridge doctor --json                        for programs
";

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Talk to a browser on standard input and output, as a browser starts it
    Run {
        #[command(flatten)]
        way: Way,
    },
    /// Make browsers know the bridge; does nothing where they do
    Install {
        #[command(flatten)]
        places: Places,
        #[command(flatten)]
        extensions: Extensions,
        /// The program that browsers start; with --root, its path below that folder [default: this one]
        #[arg(long, value_name = "PATH")]
        program: Option<PathBuf>,
    },
    /// Make browsers forget the bridge; leaves alone what another copy of it installed
    Uninstall {
        #[command(flatten)]
        places: Places,
        /// The program that browsers start; need not be there any more [default: this one]
        #[arg(long, value_name = "PATH")]
        program: Option<PathBuf>,
    },
    /// Get to know a device on another machine that shows a code ("offstage-client pair")
    ///
    /// For remote desktops without a channel of their own, where this machine can reach the device. Nothing listens here, and
    /// neither the code nor anything it could be guessed from crosses the network. Afterwards the device is used whenever
    /// no client's socket is there. See docs/pairing.md.
    #[cfg(unix)]
    Pair {
        /// Where the device says that it waits; without a port it is 7644
        #[arg(value_name = "HOST[:PORT]")]
        address: Address,
        /// The code that the device shows [default: a line of standard input; on a terminal it is asked for]
        code: Option<String>,
    },
    /// The devices that this session's user is paired with
    #[cfg(unix)]
    #[command(subcommand)]
    Pairings(PairingsCommand),
    /// Say what is wrong: program, browsers, policies, session, way to the device, client, paired devices
    Doctor {
        #[command(flatten)]
        places: Places,
        #[command(flatten)]
        extensions: Extensions,
        #[command(flatten)]
        way: Way,
        /// Print JSON: {"ok", "version", "checks": [{"status", "subject", "detail", "code", "sentence", "remedy"}]}
        #[arg(long)]
        json: bool,
    },
    /// Write the manual pages into a folder, as packages have them
    #[command(hide = true)]
    Man {
        /// The folder
        dir: PathBuf,
    },
}

/// The way to the device.
#[derive(Debug, Default, Args)]
struct Way {
    /// The client's socket [default: see OFFSTAGE_SOCKET in the main help]
    #[arg(long, value_name = "PATH")]
    socket: Option<OsString>,
    /// The way to the device, if no socket is named: auto, unix, xrdp, tls or tls:HOST:PORT, on Windows auto, pipe or wts [default: see OFFSTAGE_CHANNEL in the main help]
    #[arg(long, value_name = "WAY", value_parser = choice::parse)]
    channel: Option<OsString>,
}

impl Way {
    fn choose(&self) -> Choice {
        Choice::from_environment(self.socket.as_deref(), self.channel.as_deref())
    }
}

#[derive(Debug, Args)]
struct Places {
    /// Only this browser; can be given several times [default: all]
    #[arg(long, value_name = "NAME", value_enum)]
    browser: Vec<Browser>,
    /// For everybody on this machine, not only for you; needs root
    #[arg(long, conflicts_with = "user_data_dir")]
    system: bool,
    /// Only for this user data folder, whatever browser uses it
    #[arg(long, value_name = "DIR")]
    user_data_dir: Option<PathBuf>,
    /// With --system: the folder that stands for /, say of a package that is being built
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true, requires = "system")]
    root: PathBuf,
}

#[derive(Debug, Args)]
struct Extensions {
    /// An extension besides the product's own that may start the bridge; can be given several times
    #[arg(long, value_name = "ID")]
    extension_id: Vec<ExtensionId>,
}

impl Places {
    fn browsers(&self) -> &[Browser] {
        if self.browser.is_empty() { &Browser::ALL } else { &self.browser }
    }

    fn scope(&self) -> Result<Scope, InstallError> {
        match &self.user_data_dir {
            Some(dir) => Ok(Scope::Profile(dir.clone())),
            None if self.system => Ok(Scope::Machine(self.root.clone())),
            None => Scope::user(),
        }
    }
}

impl Extensions {
    fn all(&self) -> Vec<ExtensionId> {
        [ExtensionId::product()].into_iter().chain(self.extension_id.iter().cloned()).collect()
    }
}

/// Why a command could not be carried out at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("{error}\n  {code} {sentence}\n  {remedy}", error = .0, code = .0.code(), sentence = .0.code().sentence(), remedy = .0.code().remedy())]
    Install(#[from] InstallError),
    #[cfg(unix)]
    #[error("{error}\n  {code} {sentence}\n  {remedy}", error = .0, code = .0.code(), sentence = .0.code().sentence(), remedy = .0.code().remedy())]
    Pairing(#[from] PairingError),
    #[cfg(unix)]
    #[error("no pairing is called {0:?}")]
    NoSuchPairing(String),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

/// Does what the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    // A browser's first argument is the extension that asks; others may follow.
    let by_browser = env::args_os()
        .nth(1)
        .is_some_and(|first| first.to_str().is_some_and(|first| first.starts_with("chrome-extension://")));
    let done = if by_browser { run(&Way::default()) } else { carry_out(Arguments::parse().command) };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // There is nowhere else to say it.
            drop(writeln!(io::stderr(), "offstage-bridge: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn carry_out(command: Subcommands) -> Result<bool, CommandError> {
    match command {
        Subcommands::Run { way } => run(&way),
        Subcommands::Install { places, extensions, program } => {
            let program = match program {
                Some(program) => install::program_below(&places.root, &program)?,
                None => install::program_path(&env::current_exe()?)?,
            };
            let manifest = HostManifest::new(program, extensions.all());
            tell(&install::introduce(&places.scope()?, places.browsers(), &manifest))
        }
        Subcommands::Uninstall { places, program } => {
            let program = program.map_or_else(env::current_exe, Ok)?;
            let program = install::program_path(&program).unwrap_or(program);
            tell(&install::forget(&places.scope()?, places.browsers(), &program))
        }
        #[cfg(unix)]
        Subcommands::Pair { address, code } => pairing::pair(&address, code),
        #[cfg(unix)]
        Subcommands::Pairings(command) => pairing::pairings(&command),
        Subcommands::Doctor { places, extensions, way, json } => {
            let machine = Scope::Machine(places.root.clone());
            let scope = places.scope()?;
            let questions = Questions {
                program: env::current_exe()?,
                // A manifest for everybody serves the user as well.
                scopes: if matches!(scope, Scope::User(_)) { vec![scope, machine] } else { vec![scope] },
                browsers: places.browsers().to_vec(),
                extensions: extensions.all(),
                choice: way.choose(),
                root: places.root.clone(),
            };
            let answers = doctor::examine(&questions);
            say(&if json { doctor::to_json(&answers)? + "\n" } else { doctor::to_text(&answers) })?;
            Ok(doctor::is_well(&answers))
        }
        Subcommands::Man { dir } => {
            let command = Arguments::command().disable_help_subcommand(true);
            Ok(clap_mangen::generate_to(command, dir).map(|()| true)?)
        }
    }
}

/// Serves a browser; true if it went away in good order.
fn run(way: &Way) -> Result<bool, CommandError> {
    // First of all, so that nothing can print into the protocol.
    let stdio = crate::io::stdio::take_stdio()?;
    let lines = crate::io::logs::LogLines::default();
    let logs = offstage_support::logs::start("bridge", true, lines.clone());
    let Choice { channel, reason, problem } = way.choose();
    tracing::info!(channel = channel.kind(), reason, "the way to the device");
    if let Some(problem) = problem {
        tracing::warn!(code = %ErrorCode::CONFIG_INVALID, "{problem}");
    }
    let session = SessionInfo {
        channel: channel.kind().to_owned(),
        channel_reason: reason,
        ..crate::session::session_info()
    };
    let mut features = vec![FEATURE_LOGS.to_owned()];
    if crate::windows::is_there(session.browser_pid) {
        features.push(FEATURE_WINDOWS.to_owned());
    }
    let config = BridgeConfig {
        hello: Hello {
            component: "bridge".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            features,
            ..Hello::default()
        },
        session,
        channel_kind: channel.kind(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let clean = runtime.block_on(crate::io::run(config, &channel, stdio, &lines, &logs));
    Ok(clean)
}

/// Prints what became of each file; false if something failed.
fn tell(reports: &[Report]) -> Result<bool, CommandError> {
    let mut well = true;
    for Report { file, outcome } in reports {
        match outcome {
            Ok(outcome) => say(&format!("{}\n", outcome_line(file, outcome)))?,
            Err(error) => {
                well = false;
                let code = error.code();
                let line = format!(
                    "{}: {error}\n  {code} {}\n  {}\n",
                    file.display(),
                    code.sentence(),
                    code.remedy()
                );
                io::stderr().write_all(line.as_bytes())?;
            }
        }
    }
    Ok(well)
}

fn outcome_line(file: &Path, outcome: &Outcome) -> String {
    let file = file.display();
    match outcome {
        Outcome::Written => format!("written    {file}"),
        Outcome::Replaced => format!("replaced   {file}"),
        Outcome::Unchanged => format!("unchanged  {file}"),
        Outcome::Removed => format!("removed    {file}"),
        Outcome::Absent => format!("not there  {file}"),
        Outcome::Kept { owner } => format!("kept       {file} (it belongs to {owner})"),
    }
}

/// The one place that prints to standard output.
pub(crate) fn say(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever read has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
