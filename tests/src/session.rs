//! A whole session on this machine: the session's browser with the extension, the bridge that it starts, and the device's client.
//!
//! `cargo xtask browser`, the demo, the benchmark and the browser tests all start it here, so that they all see the same thing.

mod installation;

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

pub use self::installation::Installation;
use crate::cdp::{Cdp, Page, free_port};
use crate::faulty_link::FaultyLink;
use crate::process::{Process, command, descendants_with, kill_pid};
use crate::xvfb::{Screen, WindowManager};

/// How long a program may take to get ready on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest socket path that Linux takes is 107 bytes (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

/// What kind of session to start.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The session browser's profile folder; a temporary one if `None`.
    pub user_data_dir: Option<PathBuf>,
    /// The debugging port; a free one if `None`.
    pub port: Option<u16>,
    /// Without a window (the client then draws nowhere), or with one: on DISPLAY if that is set, else on an own Xvfb.
    pub headless: bool,
    /// An own Xvfb even if there is a display, of this size.
    pub screen: Option<(u16, u16)>,
    /// What manages the windows of the own screen.
    pub window_manager: WindowManager,
    /// The own screen is that of a VNC server.
    pub vnc: bool,
    /// The client's pictures are in pages of web clients, which have these origins; it is ready when there is one.
    pub web_origins: Vec<String>,
    /// False: a plain browser, without extension and client.
    pub redirect: bool,
    /// Match patterns in place of the extension's own list.
    pub sites: Option<Vec<String>>,
    /// What an administrator manages, as `chrome.storage.managed` gives it: policies of the machine would be everybody's.
    pub managed: Option<Value>,
    /// A policy of this machine installs the extension: it is not loaded from the folder.
    pub forced: bool,
    /// Folders of more extensions.
    pub extensions: Vec<PathBuf>,
    /// More arguments for the browser; they come last and so win.
    pub browser_args: Vec<String>,
    /// More variables for the browser.
    pub environment: Vec<(String, String)>,
    /// More variables for the client.
    pub client_environment: Vec<(String, String)>,
    /// Another display for the client than the browser's: the device's own.
    pub client_display: Option<String>,
    /// More arguments for the client, such as `--engine-arg`.
    pub client_args: Vec<String>,
    /// The bridge reaches the client over a line that a test can break: [`Session::link`].
    pub faulty_link: bool,
    /// The browser runs in a session of another user's on this machine; the bridge finds its own way to the client.
    pub elsewhere: Option<Elsewhere>,
}

/// Another user's session.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    /// The words before a program and its variables that start it there.
    pub prefix: Vec<String>,
    /// Its display.
    pub display: String,
    /// Its user.
    pub uid: u32,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            user_data_dir: None,
            port: None,
            headless: true,
            screen: None,
            window_manager: WindowManager::default(),
            vnc: false,
            web_origins: Vec::new(),
            redirect: true,
            sites: None,
            managed: None,
            forced: false,
            extensions: Vec::new(),
            browser_args: Vec::new(),
            environment: Vec::new(),
            client_environment: Vec::new(),
            client_display: None,
            client_args: Vec::new(),
            faulty_link: false,
            elsewhere: None,
        }
    }
}

/// A running session. Dropping it ends everything that it started.
#[derive(Debug)]
pub struct Session {
    // In the order in which they are dropped: the browser first, the screen and the files last.
    browser: Process,
    client: Option<Client>,
    other: Option<Client>,
    link: Option<FaultyLink>,
    cdp: Cdp,
    screen: Option<Screen>,
    installation: Installation,
    options: SessionOptions,
    folder: PathBuf,
    socket: PathBuf,
    display: Option<String>,
    _temporary: Vec<tempfile::TempDir>,
}

#[derive(Debug)]
struct Client {
    process: Process,
    ready: Value,
}

impl Session {
    /// Starts client and browser and waits until both are ready and the extension's worker runs.
    pub fn start(installation: &Installation, options: SessionOptions) -> Result<Self> {
        let mut temporary = Vec::new();
        let profile = match &options.user_data_dir {
            Some(folder) => std::path::absolute(folder)?,
            None => {
                let folder = tempfile::Builder::new().prefix("offstage-session-").tempdir()?;
                let path = folder.path().to_owned();
                temporary.push(folder);
                path
            }
        };
        let folder = profile.join("offstage");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut socket = folder.join("client.sock");
        if socket.as_os_str().len() > MAX_SOCKET_PATH {
            let short = tempfile::Builder::new().prefix("offstage-").tempdir()?;
            socket = short.path().join("client.sock");
            temporary.push(short);
        }
        let screen = start_screen(&options)?;
        let display = match &screen {
            Some(screen) => Some(screen.display().to_owned()),
            None if options.elsewhere.is_some() => {
                options.elsewhere.as_ref().map(|other| other.display.clone())
            }
            None if options.headless => None,
            None => std::env::var("DISPLAY").ok(),
        };
        let client = if options.redirect {
            Some(start_client(installation, &options, &folder, &socket, display.as_deref())?)
        } else {
            None
        };
        let reached = if options.faulty_link { socket.with_extension("line") } else { socket.clone() };
        let link = options.faulty_link.then(|| FaultyLink::start(&reached, &socket)).transpose()?;
        let port = match options.port {
            Some(port) => port,
            None => free_port()?,
        };
        let mut variables: Vec<(String, OsString)> = Vec::new();
        if options.redirect {
            if options.elsewhere.is_none() {
                variables.push(("OFFSTAGE_SOCKET".to_owned(), reached.into()));
            }
            for (name, file) in [("FILE", "bridge.log"), ("DIR", "logs")] {
                variables.push((format!("OFFSTAGE_LOG_{name}"), folder.join(file).into()));
            }
            variables.push(("OFFSTAGE_METRICS_DIR".to_owned(), folder.join("metrics").into()));
        }
        let given = options.environment.iter().cloned();
        variables.extend(given.map(|(name, value)| (name, value.into())));
        let mut browser_command =
            browser_command(installation, &options, &profile, port, display.as_deref(), variables);
        if options.redirect {
            let bridge =
                options.elsewhere.as_ref().map(|_| copy_bridge(installation, &folder)).transpose()?;
            install_bridge(
                bridge.as_ref().unwrap_or(&installation.bridge),
                installation,
                &profile,
                options.forced,
            )?;
            pin_icon(installation, &profile)?;
            if !options.forced {
                let extension = copy_extension(installation, &options, &folder)?;
                let all = [&extension].into_iter().chain(&options.extensions);
                let all: Vec<String> = all.map(|folder| folder.display().to_string()).collect();
                browser_command.arg(format!("--load-extension={}", all.join(",")));
            }
        }
        if let Some(other) = &options.elsewhere {
            give(&profile, other.uid).context("cannot give the profile to the session's user")?;
        }
        browser_command.args(&options.browser_args).arg("about:blank");
        browser_command.stderr(log_file(&folder, "browser.log")?);
        let browser = Process::spawn("the browser", &mut browser_command)?;
        let cdp = Cdp::connect(port, START_TIMEOUT)
            .with_context(|| format!("see {}", folder.join("browser.log").display()))?;
        let installation = installation.clone();
        let session = Self {
            browser,
            client,
            other: None,
            link,
            cdp,
            screen,
            installation,
            options,
            folder,
            socket,
            display,
            _temporary: temporary,
        };
        if session.options.redirect {
            session.wait_worker().context("the extension's worker did not start")?;
            // Nobody may look into an extension that policy has installed.
            if !session.options.forced {
                session.wait_registered(Duration::from_secs(20))?;
            }
        }
        Ok(session)
    }

    /// The browser's debugging connection.
    #[must_use]
    pub fn cdp(&self) -> &Cdp {
        &self.cdp
    }

    /// The browser's process, to look at or to kill.
    pub fn browser(&mut self) -> &mut Process {
        &mut self.browser
    }

    /// The browser's process id.
    #[must_use]
    pub fn browser_pid(&self) -> u32 {
        self.browser.pid()
    }

    /// Opens `url` in a new tab and waits for its load event.
    pub fn open(&self, url: &str) -> Result<Page> {
        Page::open(&self.cdp, url)
    }

    /// The tab that the browser began with.
    pub fn first_page(&self) -> Result<Page> {
        let target = self.cdp.wait_target(Duration::from_secs(10), |target| target.kind == "page")?;
        Page::attach(&self.cdp, &target.id)
    }

    /// The display that the browser and the client's windows are on; `None` when headless.
    #[must_use]
    pub fn display(&self) -> Option<&str> {
        self.display.as_deref()
    }

    /// The Xvfb that was started for this session, if one was.
    #[must_use]
    pub fn screen(&self) -> Option<&Screen> {
        self.screen.as_ref()
    }

    /// The client's socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where the logs are: client.log, bridge.log, browser.log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the client printed after READY: engine_pid, versions, …, or with `web_origins` after WEB: url, token; null without a client.
    #[must_use]
    pub fn client_ready(&self) -> &Value {
        self.client.as_ref().map_or(&Value::Null, |client| &client.ready)
    }

    /// The client's process, if it was started and not killed.
    pub fn client(&mut self) -> Option<&mut Process> {
        self.client.as_mut().map(|client| &mut client.process)
    }

    /// The line between bridge and client, where [`SessionOptions::faulty_link`] asked for one.
    pub fn link(&mut self) -> Result<&mut FaultyLink> {
        self.link.as_mut().context("the session has no faulty link")
    }

    /// Starts a second client, with an engine and a socket of its own. It is ended with the session.
    pub fn start_other_client(&mut self) -> Result<PathBuf> {
        let mut folder = self.folder.join("other");
        let mut socket = self.socket.with_extension("other");
        if self.options.elsewhere.is_some() {
            // The session's folder has been given to the session's user, with whom a client shares none.
            let own = tempfile::Builder::new().prefix("offstage-other-").tempdir()?;
            (folder, socket) = (own.path().to_owned(), own.path().join("client.sock"));
            self._temporary.push(own);
        }
        std::fs::create_dir_all(&folder)?;
        let display = self.display.clone();
        self.other =
            Some(start_client(&self.installation, &self.options, &folder, &socket, display.as_deref())?);
        Ok(socket)
    }

    /// Process ids of the bridges that the browser started.
    #[must_use]
    pub fn bridge_pids(&self) -> Vec<u32> {
        descendants_with(self.browser.pid(), "offstage-bridge")
    }

    /// Process id of the device's engine.
    #[must_use]
    pub fn engine_pid(&self) -> Option<u32> {
        self.client_ready()["engine_pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
    }

    /// Kills the client at once, its engine with it, as a crash of the device would.
    pub fn kill_client(&mut self) {
        self.client = None;
    }

    /// Starts the client, again if need be, and waits until it is ready.
    pub fn start_client(&mut self) -> Result<()> {
        self.client = None;
        let display = self.display.clone();
        let client =
            start_client(&self.installation, &self.options, &self.folder, &self.socket, display.as_deref())?;
        self.client = Some(client);
        Ok(())
    }

    /// Gives the client these settings of the person's, in place of all others, and has it read them.
    pub fn set_device(&self, settings: &Value) -> Result<()> {
        let path = self.folder.join("config/offstage/client.json");
        std::fs::create_dir_all(path.parent().context("the file has no folder")?)?;
        std::fs::write(path, settings.to_string())?;
        self.client.as_ref().context("there is no client")?.process.signal(rustix::process::Signal::HUP);
        Ok(())
    }

    /// Waits until the running client has a new engine, and notes what it says of it.
    pub fn refresh_client_ready(&mut self, timeout: Duration) -> Result<()> {
        let client = self.client.as_mut().context("there is no client")?;
        let line = client.process.wait_line("READY", timeout)?;
        client.ready = serde_json::from_str(line.trim_start_matches("READY").trim())?;
        Ok(())
    }

    /// Stops the extension's worker, as the browser does when it wants memory; the next event starts it again.
    pub fn kill_worker(&self) -> Result<()> {
        let worker = self.wait_worker()?;
        self.cdp.call("Target.closeTarget", json!({ "targetId": worker }))?;
        Ok(())
    }

    /// Kills the bridges; the extension starts a new one.
    pub fn kill_bridge(&self) {
        self.bridge_pids().into_iter().for_each(kill_pid);
    }

    /// Evaluates `expression` in the extension's worker.
    pub fn evaluate_in_worker(&self, expression: &str) -> Result<Value> {
        let worker = self.wait_worker()?;
        let session = self.cdp.attach(&worker)?;
        let value = self.cdp.evaluate_in(&session, expression, crate::cdp::CALL_TIMEOUT);
        self.cdp.call("Target.detachFromTarget", json!({ "sessionId": session }))?;
        value
    }

    /// What the extension's worker says of itself; null while it is still starting.
    pub fn status(&self) -> Result<Value> {
        self.evaluate_in_worker("globalThis.offstageStatus?.() ?? null")
    }

    /// Waits until the extension has reached a client that is ready: what is opened from then on is redirected from its
    /// beginning. The error says what the extension gives as its reason.
    pub fn wait_connected(&self, timeout: Duration) -> Result<()> {
        let end = Instant::now() + timeout;
        loop {
            let status = self.status()?;
            if status["ready"] == true {
                return Ok(());
            }
            if Instant::now() >= end {
                let [code, sentence, remedy] = ["code", "sentence", "remedy"]
                    .map(|name| status[name].as_str().unwrap_or("?").to_owned());
                bail!(
                    "the extension has not reached the client within {} s: {code} {sentence} {remedy} Logs: {}",
                    timeout.as_secs(),
                    self.folder.display()
                );
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Everything that somebody who drives this session from outside needs to know.
    pub fn describe(&self) -> Result<Value> {
        Ok(json!({
            "port": self.cdp.port(),
            "browser_pid": self.browser.pid(),
            "client_pid": self.client.as_ref().map(|client| client.process.pid()),
            "engine_pid": self.engine_pid(),
            "extension_id": self.options.redirect.then(|| self.installation.extension_id.clone()),
            "socket": self.options.redirect.then(|| self.socket.display().to_string()),
            "display": self.display,
            "logs": self.folder.display().to_string(),
            "redirect": self.options.redirect,
            "versions": {
                "offstage": env!("CARGO_PKG_VERSION"),
                "browser": self.cdp.version()?,
                "client": self.client_ready(),
            },
        }))
    }

    /// Ends everything in good order: the browser saves its profile, the client closes its engine. Logs stay.
    pub fn close(mut self) {
        // The browser's own way to end. Its debugging port goes with it, so an error only says that it was quicker.
        self.cdp.call_in("", "Browser.close", json!({}), Duration::from_secs(5)).ok();
        self.browser.wait(Duration::from_secs(5)).ok();
        self.browser.end(Duration::from_secs(3));
        if let Some(client) = &mut self.client {
            client.process.end(Duration::from_secs(5));
        }
        for part in ["extension", "engine"] {
            std::fs::remove_dir_all(self.folder.join(part)).ok();
        }
        std::fs::remove_file(&self.socket).ok();
    }

    /// Waits until the extension covers its sites: on a page that is opened earlier it would not be.
    pub fn wait_registered(&self, timeout: Duration) -> Result<()> {
        let end = Instant::now() + timeout;
        loop {
            // A worker that has only just begun has no `chrome` yet.
            let count = "globalThis.chrome?.scripting?.getRegisteredContentScripts().then((scripts) => scripts.length) ?? 0";
            if self.evaluate_in_worker(count)?.as_u64().is_some_and(|count| count > 0) {
                return Ok(());
            }
            if Instant::now() >= end {
                bail!("the extension has registered no script within {} s", timeout.as_secs());
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// The target id of the extension's worker, once it runs.
    fn wait_worker(&self) -> Result<String> {
        let origin = format!("chrome-extension://{}/", self.installation.extension_id);
        let target = self.cdp.wait_target(Duration::from_secs(30), |target| {
            target.kind == "service_worker" && target.url.starts_with(&origin)
        })?;
        Ok(target.id)
    }
}

fn start_screen(options: &SessionOptions) -> Result<Option<Screen>> {
    match options.screen {
        Some((width, height)) if options.vnc => Screen::start_vnc(width, height).map(Some),
        Some((width, height)) => Screen::start_with(width, height, options.window_manager).map(Some),
        None if options.headless || std::env::var_os("DISPLAY").is_some() => Ok(None),
        None => Screen::start(1280, 1024).map(Some),
    }
}

fn start_client(
    installation: &Installation,
    options: &SessionOptions,
    folder: &Path,
    socket: &Path,
    display: Option<&str>,
) -> Result<Client> {
    let web = !options.web_origins.is_empty();
    let mut client = command(&installation.client);
    client.arg("run");
    if web {
        client.arg("--web=0").args(options.web_origins.iter().map(|origin| format!("--web-origin={origin}")));
    } else {
        client.args(["--windows", if options.headless { "none" } else { "x11" }]);
    }
    client
        .arg("--socket")
        .arg(socket)
        .arg("--profile")
        .arg(folder.join("engine"))
        .arg("--engine")
        .arg(&installation.browser)
        .arg("--stage-dir")
        .arg(&installation.stage)
        .args(&options.client_args)
        .envs(options.client_environment.iter().cloned())
        .env("OFFSTAGE_LOG_DIR", folder.join("logs"))
        .env("OFFSTAGE_METRICS_DIR", folder.join("metrics"))
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .stderr(log_file(folder, "client.log")?);
    if let Some(display) = options.client_display.as_deref().or(display).filter(|_| !web) {
        client.env("DISPLAY", display);
    }
    let mut process = Process::spawn("offstage-client", &mut client)?;
    let ready = process
        .wait_line(if web { "WEB" } else { "READY" }, START_TIMEOUT)
        .with_context(|| format!("see {}", folder.join("client.log").display()))?;
    Ok(Client {
        process,
        ready: serde_json::from_str(&ready).context("the client's READY line is not JSON")?,
    })
}

fn browser_command(
    installation: &Installation,
    options: &SessionOptions,
    profile: &Path,
    port: u16,
    display: Option<&str>,
    variables: Vec<(String, OsString)>,
) -> Command {
    let mut browser = match &options.elsewhere {
        Some(other) => {
            let mut words = other.prefix.iter();
            let mut browser = command(words.next().map_or("env", String::as_str));
            browser.args(words);
            for (name, value) in variables {
                let mut word = OsString::from(format!("{name}="));
                word.push(value);
                browser.arg(word);
            }
            browser.arg(&installation.browser);
            browser
        }
        None => {
            let mut browser = command(&installation.browser);
            browser.envs(variables);
            browser
        }
    };
    browser
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--remote-debugging-port={port}"))
        .args([
            // Nothing that the browser does by itself, apart from showing pages.
            "--no-first-run",
            "--no-default-browser-check",
            "--disable-component-update",
            "--disable-sync",
            "--disable-search-engine-choice-screen",
            "--disable-session-crashed-bubble",
            "--disable-quic",
            "--password-store=basic",
        ]);
    // What a policy installs is fetched by the same part of the browser.
    if !options.forced {
        browser.arg("--disable-background-networking");
    }
    if options.headless {
        browser.args(["--headless=new", "--disable-gpu"]);
    }
    if rustix::process::geteuid().is_root() {
        // Chromium's sandbox can't be set up by root; --test-type hides the bar that says so, which would shift the page.
        browser.args(["--no-sandbox", "--test-type"]);
    }
    if let Some(display) = display {
        browser.env("DISPLAY", display).arg("--ozone-platform=x11");
    }
    browser
}

/// An unpacked copy of the extension that this session alone uses.
fn copy_extension(installation: &Installation, options: &SessionOptions, folder: &Path) -> Result<PathBuf> {
    let copy = folder.join("extension");
    if copy.exists() {
        std::fs::remove_dir_all(&copy)?;
    }
    copy_folder(&installation.extension, &copy).with_context(|| {
        format!("no extension in {}: `cargo xtask build` makes it", installation.extension.display())
    })?;
    if let Some(sites) = &options.sites {
        let site = json!({ "id": "test", "name": "Test", "kind": "video", "pages": sites });
        let list = serde_json::to_string_pretty(&json!({ "sites": [site] }))?;
        std::fs::write(copy.join("sites/sites.json"), list)?;
    }
    if let Some(managed) = &options.managed {
        let worker = copy.join("background.js");
        let text = std::fs::read_to_string(&worker)?;
        std::fs::write(worker, format!("chrome.storage.managed.get = async () => ({managed});\n{text}"))?;
    }
    Ok(copy)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The bridge where another user may run it.
fn copy_bridge(installation: &Installation, folder: &Path) -> Result<PathBuf> {
    let copy = folder.join("offstage-bridge");
    std::fs::copy(&installation.bridge, &copy).context("there is no bridge")?;
    Ok(copy)
}

/// Gives a folder and all that is in it to another user.
fn give(path: &Path, uid: u32) -> Result<()> {
    lchown(path, Some(uid), Some(uid))?;
    if std::fs::symlink_metadata(path)?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            // The client's engine is running: files of its profile come and go.
            give(&entry?.path(), uid).ok();
        }
    }
    Ok(())
}

/// Registers the native host for this profile alone, by the product's own installer.
fn install_bridge(bridge: &Path, installation: &Installation, profile: &Path, other_id: bool) -> Result<()> {
    let others = if other_id { vec!["--extension-id", &installation.extension_id] } else { Vec::new() };
    let output = Command::new(bridge)
        .arg("install")
        .arg("--user-data-dir")
        .arg(profile)
        .args(others)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", bridge.display()))?;
    if !output.status.success() {
        bail!("offstage-bridge install failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Shows the extension's icon in the toolbar of a new profile, where it would otherwise be in a menu.
fn pin_icon(installation: &Installation, profile: &Path) -> Result<()> {
    let preferences = profile.join("Default/Preferences");
    if preferences.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(profile.join("Default"))?;
    let pinned = json!({ "extensions": { "pinned_extensions": [installation.extension_id] } });
    Ok(std::fs::write(preferences, pinned.to_string())?)
}

fn log_file(folder: &Path, name: &str) -> Result<File> {
    let path = folder.join(name);
    File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))
}
