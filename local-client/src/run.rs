//! Ties the machine to sockets, engine and windows: one task that owns the machine, bounded queues to
//! everything else.

use std::collections::BTreeMap;
use std::io::Write as _;
#[cfg(unix)]
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

#[cfg(unix)]
use offstage_pairing::PairingError;
use offstage_protocol::ErrorCode;
use offstage_protocol::Monotonic;
use offstage_support::logs::Logs;
use offstage_support::metrics::MetricsFile;
use serde_json::json;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::channel::ChannelEvent;
use crate::channel::Channels;
use crate::channel::ListenError;
use crate::channel::Listener;
use crate::channel::READ_SIZE;
#[cfg(unix)]
use crate::channel::connect::Connector;
#[cfg(unix)]
use crate::channel::tls::TlsListener;
use crate::client::Client;
use crate::client::EngineState;
use crate::client::Fetched;
use crate::client::OwnCommand;
use crate::engine::supervisor;
use crate::engine::supervisor::EngineConfig;
use crate::engine::supervisor::EngineEvent;
use crate::engine::supervisor::Wishes;
use crate::fetch::FetchError;
use crate::fetch::Fetcher;
use crate::fetch::Limits;
use crate::policy::Sources;
use crate::questions::Indicator;
use crate::questions::Questions;
use crate::signals;
use crate::stage_server::StageEvent;
use crate::stage_server::StageServer;
use crate::stage_server::StartError;
use crate::stage_server::checks::Refusal;
use crate::stage_server::web::WebConfig;
use crate::window::WindowCommand;
use crate::window::WindowEvent;
use crate::window::system;

/// Events that wait for the machine, per source.
const QUEUED_EVENTS: usize = 64;
/// Bytes that are put together for one write to a channel.
const TRANSMIT_SIZE: usize = 64 * 1024;
/// How often the counters are written.
const SHOW_INTERVAL: Duration = Duration::from_secs(15);
/// How long sessions and windows may take to hear the goodbye.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Where pictures are drawn.
#[derive(Debug, Clone)]
pub enum Windows {
    Screen(system::Config),
    /// In pages of web clients, which also take the engine's place.
    Web(WebConfig),
    /// Nowhere: the engine runs without a head.
    None,
}

impl Windows {
    fn name(&self) -> &'static str {
        match self {
            Self::Screen(_) => system::NAME,
            Self::Web(_) => "web",
            Self::None => "none",
        }
    }

    fn web(&self) -> Option<&WebConfig> {
        match self {
            Self::Web(web) => Some(web),
            Self::Screen(_) | Self::None => None,
        }
    }
}

/// What the client runs with.
#[derive(Debug, Clone)]
pub struct RunConfig {
    pub socket: PathBuf,
    /// Sockets that other programs listen on and forward sessions to.
    #[cfg(unix)]
    pub connect: Vec<PathBuf>,
    /// Where paired sessions of other machines may connect; usually nowhere.
    #[cfg(unix)]
    pub listen: Vec<SocketAddr>,
    pub stage_folder: PathBuf,
    pub engine: EngineConfig,
    pub windows: Windows,
    /// What this device allows.
    pub policy: Sources,
    pub logs: Logs,
}

/// Why the client could not run.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("{}: can't listen on {}: {source}", source.code(), path.display())]
    Listen { path: PathBuf, source: ListenError },
    #[cfg(unix)]
    #[error("{}: can't listen for paired sessions: {_0}", _0.code())]
    ListenTls(PairingError),
    #[error("{}: {} is not there", ErrorCode::STAGE_FILES_MISSING, _0.display())]
    StageFiles(PathBuf),
    #[error("can't serve the stage: {0}")]
    StageServer(StartError),
    #[error("can't listen to signals: {0}")]
    Signal(std::io::Error),
    #[error("can't start the windows' thread: {0}")]
    Thread(std::io::Error),
}

/// Runs until `end` completes; then says goodbye, ends the engine and removes the socket.
pub async fn run(config: RunConfig, end: impl Future<Output = ()>) -> Result<(), RunError> {
    let web = config.windows.web();
    let page = config.stage_folder.join(if web.is_some() { "offstage-stage.js" } else { "engine.html" });
    if !page.is_file() {
        return Err(RunError::StageFiles(page));
    }
    let listener = Listener::bind(&config.socket)
        .map_err(|source| RunError::Listen { path: config.socket.clone(), source })?;
    #[cfg(unix)]
    let tls_listeners = tls_listeners(&config.listen).await?;
    tracing::info!(socket = %config.socket.display(), "listening");
    let drained = Arc::new(Notify::new());
    let (stage_sender, mut stage_events) = mpsc::channel(QUEUED_EVENTS);
    let server = StageServer::start(&config.stage_folder, stage_sender, Arc::clone(&drained), web)
        .await
        .map_err(RunError::StageServer)?;
    let (window_sender, mut window_events) = mpsc::channel(QUEUED_EVENTS);
    let (window_commands, window_thread) = match &config.windows {
        Windows::Screen(screen) => {
            let (commands, thread) =
                crate::window::start(screen.clone(), window_sender, Arc::clone(&drained))
                    .map_err(RunError::Thread)?;
            (Some(commands), Some(thread))
        }
        Windows::Web(_) | Windows::None => {
            window_sender.try_send(WindowEvent::Ready).ok();
            (None, None)
        }
    };
    let (wishes, wishes_seen) = watch::channel(Wishes::default());
    let (engine_sender, mut engine_events) = mpsc::channel(QUEUED_EVENTS);
    let secret = crate::secret::of_folder(&config.engine.profile);
    let question_engine = config.engine.clone();
    let engine = web.is_none().then(|| {
        tokio::spawn(supervisor::supervise(config.engine, server.clone(), wishes_seen, engine_sender))
    });
    let (channel_sender, mut channel_events) = mpsc::channel(QUEUED_EVENTS);
    let channels = Channels::new(channel_sender, Arc::clone(&drained));
    #[cfg_attr(windows, expect(unused_mut, reason = "there is one way only"))]
    let mut others: Vec<JoinHandle<()>> = Vec::new();
    #[cfg(unix)]
    {
        let run = |listener: TlsListener| tokio::spawn(listener.run(channels.clone()));
        others.extend(tls_listeners.into_iter().map(run));
        let connect = |path| tokio::spawn(Connector::new(path).run(channels.clone()));
        others.extend(config.connect.into_iter().map(connect));
    }
    let channel = tokio::spawn(listener.run(channels));

    let mut client = Client::new();
    client.set_secret(&secret);
    if matches!(&config.windows, Windows::Screen(system::Config { remote: Some(_), .. })) {
        client.show_in_remote_window();
    }
    if matches!(&config.windows, Windows::Screen(system::Config { single: Some(_), .. })) {
        client.show_in_single_windows();
    }
    if web.is_some() {
        client.show_in_page();
    }
    let mut hangups = signals::Hangups::new().map_err(RunError::Signal)?;
    let (own_sender, mut own_fetched) = mpsc::channel(QUEUED_EVENTS);
    let (answers, mut answered) = mpsc::channel(QUEUED_EVENTS);
    let (off, mut turned_off) = mpsc::channel(1);
    let indicator = Indicator::new(question_engine.clone(), off);
    let questions = Questions::new(question_engine, answers);
    let mut driver = Driver {
        client,
        questions,
        indicator,
        own: OwnFetches { fetcher: None, tasks: BTreeMap::new(), sender: own_sender },
        origin: Instant::now(),
        policy: config.policy,
        outputs: BTreeMap::new(),
        web: web.is_some(),
        stage: None,
        fetches: BTreeMap::new(),
        windows: window_commands,
        wishes,
        logs: config.logs,
        metrics: MetricsFile::of("client"),
        report: Report {
            socket: config.socket.clone(),
            port: server.port(),
            windows: config.windows.name(),
            pid: 0,
            version: String::new(),
            done: false,
        },
    };
    driver.read_policy();
    if let Some((url, token)) = server.web() {
        driver.engine(EngineEvent::Changed(no_page()));
        if config.windows.web().is_some_and(|web| !web.address.0.ip().is_loopback()) {
            tracing::warn!(url, "other machines reach the stage, without TLS");
        }
        say("WEB", &json!({ "url": url, "token": token }));
    }
    tokio::pin!(end);
    let mut shows = tokio::time::interval(SHOW_INTERVAL);
    loop {
        driver.pump();
        let deadline = driver.deadline();
        tokio::select! {
            () = &mut end => break,
            Some(event) = engine_events.recv() => driver.engine(event),
            Some(event) = window_events.recv() => driver.window(event),
            Some(event) = stage_events.recv() => driver.stage(event),
            Some(event) = channel_events.recv() => driver.channel(event),
            Some((request, fetched)) = own_fetched.recv() => driver.own_fetched(request, fetched),
            Some((call, allowed)) = answered.recv() => {
                driver.client.answered(call, allowed);
                driver.questions.answered(call);
            }
            Some(()) = turned_off.recv() => {
                tracing::info!("the person turns microphones and cameras off");
                driver.client.stop_captures();
            }
            () = drained.notified() => {}
            () = hangups.next() => driver.read_policy(),
            _ = shows.tick() => driver.show(),
            () = tokio::time::sleep_until(deadline) => driver.timeout(),
        }
    }
    tracing::info!("ending");
    channel.abort();
    others.iter().for_each(JoinHandle::abort);
    driver.wishes.send_modify(|wishes| wishes.end = true);
    driver.client.shut_down();
    driver.pump();
    // Dropping the queues ends the channels' writers and the windows' thread.
    driver.outputs.clear();
    driver.stage = None;
    driver.windows = None;
    if let Some(engine) = engine {
        timeout(END_LIMIT, engine).await.ok();
    }
    // The listener, and with it the socket's file, is gone when its task is.
    channel.await.ok();
    if let Some(thread) = window_thread {
        let joined = tokio::task::spawn_blocking(move || thread.join().is_ok());
        timeout(END_LIMIT, joined).await.ok();
    }
    Ok(())
}

#[cfg(unix)]
async fn tls_listeners(addresses: &[SocketAddr]) -> Result<Vec<TlsListener>, RunError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = TlsListener::bind(*address).await.map_err(RunError::ListenTls)?;
        tracing::info!(address = %listener.address(), key = %listener.key(), "listening for paired sessions");
        listeners.push(listener);
    }
    Ok(listeners)
}

/// The machine and its ways out.
#[derive(Debug)]
struct Driver {
    client: Client,
    origin: Instant,
    policy: Sources,
    outputs: BTreeMap<u64, mpsc::Sender<Vec<u8>>>,
    /// The stage is part of a web client's page, or there is none now.
    web: bool,
    stage: Option<StageOutput>,
    /// Who waits for bytes of a session's file.
    fetches: BTreeMap<u64, oneshot::Sender<Fetched>>,
    own: OwnFetches,
    windows: Option<mpsc::Sender<WindowCommand>>,
    wishes: watch::Sender<Wishes>,
    logs: Logs,
    metrics: Option<MetricsFile>,
    report: Report,
    questions: Questions,
    indicator: Indicator,
}

/// What the device fetches by itself; the machine bounds how much at a time.
#[derive(Debug)]
struct OwnFetches {
    fetcher: Option<Arc<Fetcher>>,
    tasks: BTreeMap<u32, AbortHandle>,
    sender: mpsc::Sender<(u32, Result<Fetched, FetchError>)>,
}

#[derive(Debug)]
struct StageOutput {
    connection: u64,
    sender: mpsc::Sender<Vec<u8>>,
}

/// The line for whoever has started the client.
#[derive(Debug)]
struct Report {
    socket: PathBuf,
    port: u16,
    windows: &'static str,
    pid: u32,
    version: String,
    done: bool,
}

impl Driver {
    fn now(&self) -> Monotonic {
        Monotonic(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Takes what the files say now; what is wrong in them is told once for each change.
    fn read_policy(&mut self) {
        let policy = self.policy.read();
        if policy == *self.client.policy() {
            return;
        }
        for problem in policy.settings().problems() {
            tracing::warn!(code = problem.code, source = ?problem.source, key = problem.key, "{}", problem.text);
        }
        tracing::info!(
            plays = policy.plays(),
            fetches = policy.guard().is_some(),
            "the device's policy has changed"
        );
        self.own.fetcher =
            policy.guard().map(|guard| Arc::new(Fetcher::new(guard.clone(), Limits::default())));
        let now = self.now();
        self.client.set_policy(now, policy);
    }

    fn deadline(&self) -> Instant {
        let far = Duration::from_secs(3600);
        let wait = self.client.poll_timeout().map_or(far, |(deadline, _)| deadline.since(self.now()));
        Instant::now() + wait.min(far)
    }

    fn timeout(&mut self) {
        let now = self.now();
        self.client.handle_timeout(now, wall_us());
    }

    /// Brings out what the machine has for the channels, the stage and the windows.
    fn pump(&mut self) {
        let now = self.now();
        while let Some((token, fetched)) = self.client.poll_fetched() {
            // Who has gone away meanwhile needs no answer.
            self.fetches.remove(&token).and_then(|reply| reply.send(fetched).ok());
        }
        while let Some((session, control)) = self.client.poll_log_order() {
            for chunk in self.logs.control(&control) {
                self.client.collected(session, chunk);
            }
        }
        while let Some(asking) = self.client.poll_question() {
            self.questions.take(asking);
        }
        if let Some(uses) = self.client.poll_uses() {
            self.indicator.take(uses);
        }
        while let Some(command) = self.client.poll_own_fetch() {
            self.own.carry_out(command);
        }
        while let Some(stage) = &self.stage {
            if self.web {
                self.client.pass_windows_to_stage();
            }
            let Ok(permit) = stage.sender.try_reserve() else {
                break;
            };
            let Some(message) = self.client.poll_stage(now) else {
                break;
            };
            permit.send(message);
        }
        while let Some(windows) = self.windows.as_ref().filter(|_| self.client.has_window_commands()) {
            let Ok(permit) = windows.try_reserve() else {
                break;
            };
            let Some(command) = self.client.poll_window() else {
                break;
            };
            permit.send(command);
        }
        if self.windows.is_none() && (!self.web || self.stage.is_none()) {
            while self.client.poll_window().is_some() {}
        }
        let client = &mut self.client;
        self.outputs.retain(|session, sender| {
            loop {
                let Ok(permit) = sender.try_reserve() else {
                    return true;
                };
                match client.poll_transmit(*session, TRANSMIT_SIZE) {
                    Some(bytes) => permit.send(bytes),
                    None => return !client.is_finished(*session),
                }
            }
        });
    }

    fn show(&mut self) {
        if let Some(file) = &self.metrics
            && let Err(error) = file.write(&crate::shown::registry(&self.client.counts()))
        {
            tracing::warn!(%error, "the counters can't be written");
            self.metrics = None;
        }
    }

    fn engine(&mut self, event: EngineEvent) {
        let now = self.now();
        match event {
            EngineEvent::Process { pid } => self.report.pid = pid,
            EngineEvent::Changed(state) => {
                if let EngineState::Running { version } = &state {
                    self.report.version.clone_from(version);
                }
                if let EngineState::Failed { .. } = &state {
                    self.report.done = false;
                }
                self.client.engine_changed(now, state);
                self.report_if_ready();
            }
        }
    }

    fn window(&mut self, event: WindowEvent) {
        let display = match &event {
            WindowEvent::Ready => Some(true),
            WindowEvent::Failed { detail, .. } => {
                tracing::warn!(detail, "no windows can be shown");
                Some(false)
            }
            WindowEvent::Bound { .. }
            | WindowEvent::Unbound
            | WindowEvent::Adopted { .. }
            | WindowEvent::Lost { .. } => None,
        };
        let now = self.now();
        self.client.window_event(now, event);
        if let Some(display) = display {
            self.wishes.send_modify(|wishes| wishes.display = display);
        }
        self.report_if_ready();
    }

    fn stage(&mut self, event: StageEvent) {
        let now = self.now();
        match event {
            StageEvent::Connected { connection, sender } => {
                if self.stage.is_some() {
                    tracing::info!("another page takes over");
                    self.stage_lost(now);
                }
                self.stage = Some(StageOutput { connection, sender });
                self.client.stage_opened();
            }
            StageEvent::Message { connection, bytes } => {
                if self.stage.as_ref().is_none_or(|stage| stage.connection != connection) {
                    return;
                }
                match self.client.stage_message(now, &bytes) {
                    Ok(()) => {
                        let stage = self.client.has_stage();
                        let changed = self
                            .wishes
                            .send_if_modified(|wishes| std::mem::replace(&mut wishes.stage, stage) != stage);
                        if changed && stage && self.web {
                            let version = "web client".to_owned();
                            self.engine(EngineEvent::Changed(EngineState::Running { version }));
                        }
                        self.report_if_ready();
                    }
                    Err(code) => {
                        tracing::error!(%code, "the stage talks nonsense");
                        self.wishes.send_modify(|wishes| wishes.given_up += 1);
                        self.stage_lost(now);
                    }
                }
            }
            StageEvent::FetchAsked { fetch, reply } => {
                self.fetches.insert(fetch.token, reply);
                self.client.fetch(fetch);
            }
            StageEvent::FetchDropped { token } => {
                if self.fetches.remove(&token).is_some() {
                    self.client.drop_fetch(token);
                }
            }
            StageEvent::Gone { connection } => {
                if self.stage.as_ref().is_some_and(|stage| stage.connection == connection) {
                    self.stage_lost(now);
                }
            }
            // The engine asks for an icon by itself.
            StageEvent::Refused(Refusal::NotFound) => tracing::debug!("asked for what is not there"),
            StageEvent::Refused(refusal) => {
                tracing::warn!(code = %ErrorCode::STAGE_AUTH_FAILED, ?refusal, "refused a request");
            }
        }
    }

    fn own_fetched(&mut self, request: u32, fetched: Result<Fetched, FetchError>) {
        self.own.tasks.remove(&request);
        self.client.own_fetched(request, fetched.map_err(FetchError::code));
    }

    fn stage_lost(&mut self, now: Monotonic) {
        self.stage = None;
        self.report.done = false;
        self.client.stage_gone(now);
        self.wishes.send_modify(|wishes| wishes.stage = false);
        if self.web {
            self.engine(EngineEvent::Changed(no_page()));
        }
    }

    fn channel(&mut self, event: ChannelEvent) {
        let now = self.now();
        match event {
            ChannelEvent::Opened { connection, peer, sender } => {
                tracing::debug!(connection, ?peer, "a session opens a channel");
                self.read_policy();
                self.outputs.insert(connection, sender);
                self.client.session_opened(now, connection, peer);
            }
            ChannelEvent::Bytes { connection, bytes } => {
                debug_assert!(bytes.len() <= READ_SIZE, "channels cut what they read");
                self.client.session_bytes(now, wall_us(), connection, &bytes);
            }
            ChannelEvent::Gone { connection } => {
                self.outputs.remove(&connection);
                self.client.session_gone(now, connection);
            }
        }
    }

    /// Says once per engine, on stdout, that media can be played.
    fn report_if_ready(&mut self) {
        if self.report.done || !self.client.is_ready() {
            return;
        }
        self.report.done = true;
        let report = json!({
            "socket": self.report.socket,
            "engine_pid": self.report.pid,
            "engine": self.report.version,
            "windows": self.report.windows,
            "stage_port": self.report.port,
        });
        say("READY", &report);
    }
}

/// A line for whoever has started the client.
fn say(word: &str, what: &serde_json::Value) {
    let mut out = std::io::stdout().lock();
    // Nobody may be listening; that is no reason to stop.
    writeln!(out, "{word} {what}").and_then(|()| out.flush()).ok();
}

/// The state without a page of a web client.
fn no_page() -> EngineState {
    EngineState::Failed { code: ErrorCode::WEB_PAGE_MISSING, detail: String::new() }
}

impl OwnFetches {
    fn carry_out(&mut self, command: OwnCommand) {
        match command {
            OwnCommand::Fetch(order) => {
                let Some(fetcher) = self.fetcher.clone() else { return };
                let (request, sender) = (order.request, self.sender.clone());
                let task = tokio::spawn(async move {
                    let fetched = fetcher.fetch(&order).await;
                    // The client is ending if nobody listens.
                    sender.send((order.request, fetched)).await.ok();
                });
                self.tasks.insert(request, task.abort_handle());
            }
            OwnCommand::Cancel(request) => {
                if let Some(task) = self.tasks.remove(&request) {
                    task.abort();
                }
            }
        }
    }
}

fn wall_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
