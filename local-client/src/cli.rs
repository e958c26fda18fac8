//! The command line.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::ffi::OsString;
use std::io::Write as _;
#[cfg(unix)]
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::CommandFactory as _;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use offstage_protocol::socket_path::SOCKET_VARIABLE;
use offstage_settings::Value;
use offstage_support::logs::Logs;

#[cfg(unix)]
use self::unix as own;
#[cfg(windows)]
use self::windows as own;
use crate::doctor;
use crate::engine::supervisor::EngineConfig;
use crate::fetch::guard::Network;
use crate::fetch::guard::NotANetwork;
#[cfg(unix)]
use crate::freerdp;
#[cfg(unix)]
use crate::pairing;
#[cfg(unix)]
use crate::pairing::PairArgs;
#[cfg(unix)]
use crate::pairing::PairingsCommand;
use crate::policy::Sources;
use crate::run;
use crate::run::RunConfig;
use crate::run::Windows;
use crate::signals::end;
use crate::stage_server::web::WebAddress;
use crate::stage_server::web::WebConfig;
use crate::stage_server::web::WebOrigin;
use crate::window::RemoteWindow;
use crate::window::system;

/// Plays the videos of your remote sessions on this device, exactly where the session shows them.
///
/// Start it inside your desktop, once; every remote session of yours on this device uses it. It needs
/// Chromium, Chrome, Edge or Brave to be installed, and Windows or an X11 display (XWayland will do).
#[derive(Debug, Parser)]
#[command(name = "offstage-client", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until SIGINT or SIGTERM; on Windows until Ctrl+C, or until the person signs out.
    ///
    /// Prints a line `READY {…}` on stdout each time an engine is ready to play; everything else goes to
    /// stderr, and to the file that OFFSTAGE_LOG_FILE names. OFFSTAGE_LOG sets what is logged, e.g.
    /// `OFFSTAGE_LOG=debug` (default: info).
    ///
    /// The log's own files (JSON a line, no addresses or names in it, at most 2 MB a run and seven runs) are in OFFSTAGE_LOG_DIR
    /// [default: ~/.local/state/offstage/logs; %LOCALAPPDATA%\Offstage\logs], counters for Prometheus in OFFSTAGE_METRICS_DIR
    /// [default: $XDG_RUNTIME_DIR/offstage/metrics; %LOCALAPPDATA%\Offstage\metrics]; either may be empty.
    Run(Box<RunArgs>),
    /// Show a code by which a session on another machine gets to know this device, and wait for it.
    ///
    /// For remote desktops without a channel of their own, whose machine can reach this one. The code is good for five minutes,
    /// one session and five tries; neither it nor anything it could be guessed from crosses the network. The client may
    /// run or not. Exits with 0 when a session has been paired. See docs/pairing.md.
    #[cfg(unix)]
    Pair(PairArgs),
    /// The sessions that are paired with this device.
    #[cfg(unix)]
    #[command(subcommand)]
    Pairings(PairingsCommand),
    /// Check settings, engine and its codecs, display, socket, stage and folders, and say what to do about what is wrong.
    ///
    /// Changes nothing. Exits with 1 if something is wrong.
    Doctor(DoctorArgs),
    /// The plug-in for FreeRDP's clients, by which sessions of xrdp reach this device through the RDP connection.
    #[cfg(unix)]
    Freerdp(FreerdpArgs),
    /// Write the manual pages into a folder, as packages have them.
    #[command(hide = true)]
    Man {
        /// The folder.
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    places: Places,
    /// Connect to this unix socket as well, whenever another program of yours listens on it and forwards a session: the pipe proxy of
    /// an IronRDP client, or a tunnel. May be repeated.
    #[cfg(unix)]
    #[arg(long, value_name = "PATH")]
    connect: Vec<PathBuf>,
    /// Let in sessions of other machines that were paired ("offstage-client pair"), by TLS at this address; may be repeated.
    /// [default: none: nothing listens on a port]
    ///
    /// 0.0.0.0:7644 means all networks that this device is in. Both ends show keys, and who isn't paired is not let in. Remote
    /// desktops with a channel of their own, and ssh (-R for the socket), need no port.
    #[cfg(unix)]
    #[arg(long, value_name = "ADDRESS:PORT", env = "OFFSTAGE_LISTEN", value_delimiter = ',')]
    listen: Vec<SocketAddr>,
    /// The engine's own profile folder; nothing of your browser's is touched.
    #[arg(long, value_name = "DIR")]
    profile: Option<PathBuf>,
    /// Where pictures are drawn. `none` runs the engine without a head and draws nowhere.
    #[arg(long, value_enum, default_value_t = WindowsArg::Auto)]
    windows: WindowsArg,
    /// Show pictures in the page of a web client for remote desktops, such as noVNC or Guacamole, instead of windows: serve
    /// its stage at this port of the loopback, or at ADDRESS:PORT (without TLS: that is the web server's in front of it).
    ///
    /// Runs beside the web client's gateway and needs no browser and no display. Prints a line `WEB {"url":…,"token":…}` on stdout
    /// for the gateway, which gives both to the page of the person whose session this is. The newest page that shows the
    /// token has the pictures; READY is printed when it has connected. See docs/web-clients.md.
    #[arg(long, value_name = "[ADDRESS:]PORT", requires = "web_origin", conflicts_with_all = ["windows", "remote_window"])]
    web: Option<WebAddress>,
    /// An origin whose pages may connect to --web, such as https://desktops.example; may be repeated.
    #[arg(long, value_name = "ORIGIN", requires = "web")]
    web_origin: Vec<WebOrigin>,
    /// Read the token of --web from this file (at least 32 letters and digits); without it a new one is made in each run.
    #[arg(long, value_name = "FILE", requires = "web")]
    web_token_file: Option<PathBuf>,
    /// Who fetches the files of videos. `device` lets this device fetch them from the public internet where the policy of the
    /// session's browser wants it; `session` never does.
    /// [default: what the files of settings say, else session]
    #[arg(long, value_enum, env = "OFFSTAGE_FETCH")]
    fetch: Option<FetchArg>,
    /// A network that --fetch=device may reach although it is not public, as 10.1.0.0/16; may be repeated, or separated by commas.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = network, env = "OFFSTAGE_FETCH_NETWORKS")]
    fetch_network: Vec<String>,
    /// A port that --fetch=device may use besides 80 and 443; may be repeated, or separated by commas.
    #[arg(long, value_name = "PORT", value_delimiter = ',', env = "OFFSTAGE_FETCH_PORTS")]
    fetch_port: Vec<u16>,
    /// One more argument for the engine; may be repeated.
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    engine_arg: Vec<OsString>,
    /// Lay all pictures into this window of a remote-desktop client, which shows all of the session's screen, at its own size or
    /// scaled to the window's (xfreerdp /smart-sizing).
    ///
    /// WHICH is a window's number (0x…: as xwininfo shows it, or the handle on Windows), class:NAME (one of the two names of its
    /// WM_CLASS, as in class:xfreerdp, or the class on Windows, as in class:TscShellContainerClass for mstsc), title:TEXT (a part of
    /// its title) or pid:NUMBER (of its process). The largest such window counts. It is waited for, followed when it is
    /// moved, resized, minimised or covered, and waited for again when it has gone. The session's end must be able to see the
    /// session's windows (an X11 display, for xrdp and the like), else video plays in the session. Start one client with a socket
    /// of its own for each remote desktop.
    #[arg(long, value_name = "WHICH", env = "OFFSTAGE_REMOTE_WINDOW")]
    remote_window: Option<RemoteWindow>,
    /// Lay each picture into the window of this device that shows its window of the session, where a remote desktop shows single windows
    /// instead of a screen: xpra, or RemoteApp.
    ///
    /// WHICH is as for --remote-window, such as class:Chromium for the browser's windows in xpra. Of such windows the one counts that is as large
    /// as the session's, has the page's title if there are several, and is nearest to where the session has it. What covers it on this device
    /// covers the picture. Windows must not be scaled.
    #[arg(long, value_name = "WHICH", env = "OFFSTAGE_REMOTE_WINDOWS", conflicts_with_all = ["remote_window", "web"])]
    remote_windows: Option<RemoteWindow>,
    /// Lay all pictures into this X window, by the places that the sessions tell of the browser's: for tests without a browser.
    /// Decimal or 0x… hexadecimal.
    #[cfg(unix)]
    #[arg(long, value_name = "XID", value_parser = window_id, conflicts_with_all = ["web", "remote_window", "remote_windows"], hide = true)]
    parent_window: Option<u32>,
}

#[derive(Debug, Args)]
struct DoctorArgs {
    #[command(flatten)]
    places: Places,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

#[cfg(unix)]
#[derive(Debug, Args)]
struct FreerdpArgs {
    #[command(subcommand)]
    action: FreerdpAction,
    /// The folder that stands for /.
    #[arg(long, value_name = "DIR", default_value = "/", global = true)]
    root: PathBuf,
    /// The plug-in's file [default: beside this program, else `../lib/offstage-client/liboffstage_rdp_plugin.so`]
    #[arg(long, value_name = "FILE", global = true)]
    plugin: Option<PathBuf>,
}

#[cfg(unix)]
#[derive(Debug, Clone, Copy, Subcommand)]
enum FreerdpAction {
    /// Put it where each FreeRDP (2 and 3) of this machine looks for plug-ins; needs root as a rule.
    Install,
    /// Take it away.
    Uninstall,
    /// Say where it is.
    Status,
}

#[derive(Debug, Args)]
pub(crate) struct Places {
    /// The socket, or on Windows the named pipe, that sessions connect to [default: $OFFSTAGE_SOCKET, else
    /// $XDG_RUNTIME_DIR/offstage/client.sock, else /tmp/offstage-<uid>/client.sock; \\.\pipe\offstage-<SID>]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The browser to play with [default: chromium, google-chrome, microsoft-edge, brave…; what Windows knows as chrome.exe, msedge.exe…]
    #[arg(long, value_name = "PROGRAM", env = "OFFSTAGE_ENGINE")]
    engine: Option<PathBuf>,
    /// The folder of the stage's files [default: `stage` beside this program, else `../share/offstage-client/stage`]
    #[arg(long, value_name = "DIR", env = "OFFSTAGE_STAGE_DIR")]
    stage_dir: Option<PathBuf>,
}

impl Places {
    pub(crate) fn socket(&self) -> PathBuf {
        let variable = std::env::var_os(SOCKET_VARIABLE);
        own::socket(self.socket.as_deref().map(Path::as_os_str), variable.as_deref())
    }

    pub(crate) fn engine(&self) -> Option<PathBuf> {
        self.engine.clone().filter(|engine| !engine.as_os_str().is_empty())
    }

    pub(crate) fn stage_folder(&self) -> PathBuf {
        self.stage_dir
            .clone()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or_else(|| stage_of(&std::env::current_exe().unwrap_or_default()))
    }
}

/// The stage that belongs to a program: beside it as it was built, or where packages put it.
fn stage_of(program: &Path) -> PathBuf {
    let folder = program.parent().unwrap_or(Path::new(""));
    let beside = folder.join("stage");
    let installed = folder.parent().map(|prefix| prefix.join("share/offstage-client/stage"));
    installed
        .filter(|installed| !beside.join("engine.html").is_file() && installed.join("engine.html").is_file())
        .unwrap_or(beside)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WindowsArg {
    /// The one that this system has.
    Auto,
    #[cfg_attr(unix, value(name = "x11"))]
    #[cfg_attr(windows, value(name = "win32"))]
    System,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FetchArg {
    Session,
    Device,
}

/// Runs the command that the process was started with.
pub fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match cli.command {
        Command::Run(args) => {
            let logs =
                offstage_support::logs::start("client", false, tracing_subscriber::layer::Identity::new());
            let config = args.config(logs);
            runtime.block_on(async {
                run::run(config, end()?).await?;
                anyhow::Ok(())
            })
        }
        #[cfg(unix)]
        Command::Pair(args) => runtime.block_on(async { pairing::pair(&args, end()?).await }),
        #[cfg(unix)]
        Command::Pairings(command) => pairing::pairings(&command),
        Command::Doctor(args) => {
            let findings = runtime.block_on(doctor::examine(&args.places));
            let text = if args.json { doctor::to_json(&findings) } else { doctor::to_text(&findings) };
            writeln!(std::io::stdout().lock(), "{text}")?;
            if findings.iter().any(doctor::Finding::is_bad) {
                std::process::exit(1);
            }
            Ok(())
        }
        #[cfg(unix)]
        Command::Freerdp(args) => {
            let plugin =
                args.plugin.unwrap_or_else(|| freerdp::built(&std::env::current_exe().unwrap_or_default()));
            let told = match args.action {
                FreerdpAction::Install => freerdp::install(&args.root, &plugin),
                FreerdpAction::Uninstall => freerdp::uninstall(&args.root),
                FreerdpAction::Status => freerdp::status(&args.root, &plugin),
            }?;
            Ok(write!(std::io::stdout().lock(), "{told}")?)
        }
        Command::Man { dir } => {
            Ok(clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), dir)?)
        }
    }
}

impl RunArgs {
    fn config(self, logs: Logs) -> RunConfig {
        let secret = self.web_token_file;
        let web = self.web.map(|address| WebConfig { address, origins: self.web_origin, secret });
        let windows = match (web, self.windows) {
            (Some(web), _) => Windows::Web(web),
            (None, WindowsArg::Auto | WindowsArg::System) => Windows::Screen(system::Config {
                #[cfg(unix)]
                display: None,
                #[cfg(unix)]
                fixed_parent: self.parent_window,
                remote: self.remote_window,
                single: self.remote_windows,
            }),
            (None, WindowsArg::None) => Windows::None,
        };
        let texts = |list: Vec<String>| Value::List(list.into_iter().map(Value::Text).collect());
        let ports = self.fetch_port.iter().map(|port| Value::Number(f64::from(*port))).collect();
        let mut flags = Vec::new();
        if let Some(fetch) = self.fetch {
            let word = if fetch == FetchArg::Device { "device" } else { "session" };
            flags.push(("fetch".to_owned(), Value::Text(word.to_owned())));
        }
        if !self.fetch_network.is_empty() {
            flags.push(("fetchNetworks".to_owned(), texts(self.fetch_network)));
        }
        if !self.fetch_port.is_empty() {
            flags.push(("fetchPorts".to_owned(), Value::List(ports)));
        }
        RunConfig {
            socket: self.places.socket(),
            #[cfg(unix)]
            connect: self.connect,
            #[cfg(unix)]
            listen: self.listen,
            stage_folder: self.places.stage_folder(),
            engine: EngineConfig {
                program: self.places.engine(),
                profile: self.profile.unwrap_or_else(own::default_profile),
                headless: !matches!(windows, Windows::Screen(_)),
                extra_arguments: self.engine_arg,
            },
            windows,
            policy: Sources { flags, ..Sources::usual() },
            logs,
        }
    }
}

/// Checked only: settings are texts.
fn network(text: &str) -> Result<String, NotANetwork> {
    text.parse::<Network>().map(|_network| text.to_owned())
}

#[cfg(unix)]
fn window_id(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::guard::Guard;
    use crate::policy::{File, Policy};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn engine_arguments_may_begin_with_dashes() {
        let cli =
            Cli::parse_from(["offstage-client", "run", "--engine-arg", "--mute-audio", "--engine-arg=--x"]);
        let Command::Run(args) = cli.command else {
            panic!("not run");
        };
        assert_eq!(args.engine_arg, ["--mute-audio", "--x"]);
    }

    #[cfg(unix)]
    #[test]
    fn sockets_to_connect_to_may_be_repeated() {
        let cli = Cli::parse_from(["offstage-client", "run", "--connect", "/a", "--connect=/b"]);
        let Command::Run(args) = cli.command else {
            panic!("not run");
        };
        assert_eq!(args.config(Logs::default()).connect, [Path::new("/a"), Path::new("/b")]);
    }

    #[test]
    fn a_stage_for_web_clients_is_for_pages_of_named_origins() {
        let web = |more: &[&str]| {
            let cli = Cli::try_parse_from(["offstage-client", "run"].iter().chain(more)).ok()?;
            let Command::Run(args) = cli.command else { return None };
            match args.config(Logs::default()).windows {
                Windows::Web(web) => Some(web.address.0.to_string()),
                Windows::Screen(_) | Windows::None => None,
            }
        };
        assert_eq!(web(&["--web=8090", "--web-origin=https://a.example"]), Some("127.0.0.1:8090".to_owned()));
        assert_eq!(web(&["--web=8090"]), None);
        assert_eq!(web(&["--web=8090", "--web-origin=*"]), None);
        assert_eq!(web(&["--web=8090", "--web-origin=https://a.example", "--windows=auto"]), None);
    }

    #[test]
    fn the_device_fetches_nothing_unless_it_is_told_to() {
        let fetch = |more: &[&str]| {
            let cli = Cli::try_parse_from(["offstage-client", "run"].iter().chain(more)).ok()?;
            let Command::Run(args) = cli.command else { return None };
            let flags = args.config(Logs::default()).policy.flags;
            Some(Policy::new(File::Missing, File::Missing, flags).guard().cloned())
        };
        assert_eq!(fetch(&["--fetch-port=81"]), Some(None));
        assert_eq!(fetch(&["--fetch=session", "--fetch-port=81"]), Some(None));
        let networks = vec!["10.0.0.0/8".parse().unwrap()];
        let guard = Guard { networks, ports: vec![81, 82] };
        let all = ["--fetch=device", "--fetch-network=10.0.0.0/8", "--fetch-port=81,82"];
        assert_eq!(fetch(&all), Some(Some(guard)));
        assert_eq!(fetch(&["--fetch-network=10.0.0.1/8"]), None, "not a network");
    }

    #[test]
    fn the_stage_is_beside_the_program_or_where_packages_put_it() {
        let prefix = tempfile::tempdir().unwrap();
        let program = prefix.path().join("bin/offstage-client");
        let [beside, installed] =
            ["bin/stage", "share/offstage-client/stage"].map(|folder| prefix.path().join(folder));
        let put = |folder: &Path| {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join("engine.html"), "").unwrap();
        };
        assert_eq!(stage_of(&program), beside, "what is missing is told by its usual name");
        put(&installed);
        assert_eq!(stage_of(&program), installed);
        put(&beside);
        assert_eq!(stage_of(&program), beside);
    }

    #[cfg(unix)]
    #[test]
    fn window_ids_are_decimal_or_hexadecimal() {
        assert_eq!(window_id("0x1a"), Ok(26));
        assert_eq!(window_id("26"), Ok(26));
        assert!(window_id("x").is_err());
    }
}
