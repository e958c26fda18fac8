//! Keeps an engine running: starts it when there is a display, again after it ends, ever more slowly.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use offstage_protocol::ErrorCode;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::client::EngineState;
use crate::engine;
use crate::engine::BackOff;
use crate::engine::chromium::Engine;
use crate::engine::chromium::Launch;
use crate::engine::chromium::LaunchError;
use crate::engine::chromium::Starting;
use crate::stage_server::StageServer;

/// How long the stage may take to connect once its page was sent for.
const STAGE_LIMIT: Duration = Duration::from_secs(20);

/// What the engine is started with.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The program; `None` means the first known one on the path.
    pub program: Option<PathBuf>,
    pub profile: PathBuf,
    pub headless: bool,
    pub extra_arguments: Vec<OsString>,
}

/// What the supervisor needs to know from the rest of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wishes {
    /// Windows can be shown.
    pub display: bool,
    /// Counts the engines that the rest of the client has given up on.
    pub given_up: u64,
    /// The stage is connected.
    pub stage: bool,
    pub end: bool,
}

/// News of the engine.
#[derive(Debug)]
pub enum EngineEvent {
    Changed(EngineState),
    /// The process id of the running engine.
    Process {
        pid: u32,
    },
}

/// Runs until the wish to end comes; the engine has ended then.
pub async fn supervise(
    config: EngineConfig,
    server: StageServer,
    mut wishes: watch::Receiver<Wishes>,
    events: mpsc::Sender<EngineEvent>,
) {
    let mut back_off = BackOff::default();
    loop {
        match wished(&mut wishes, |wishes| wishes.display || wishes.end).await {
            Some(wishes) if !wishes.end => {}
            Some(_) | None => return,
        }
        let started = Instant::now();
        let (code, detail) = run_once(&config, &server, &mut wishes, &events).await;
        if wishes.borrow().end {
            return;
        }
        let pause = back_off.after(started.elapsed());
        tracing::warn!(%code, detail, pause_ms = pause.as_millis(), "no engine");
        if events.send(EngineEvent::Changed(EngineState::Failed { code, detail })).await.is_err() {
            return;
        }
        // The wish to end cuts the pause short.
        if timeout(pause, wished(&mut wishes, |wishes| wishes.end)).await.is_ok() {
            return;
        }
    }
}

/// One engine from its start to its end; says why it ended.
async fn run_once(
    config: &EngineConfig,
    server: &StageServer,
    wishes: &mut watch::Receiver<Wishes>,
    events: &mpsc::Sender<EngineEvent>,
) -> (ErrorCode, String) {
    let Some(program) = engine::find(config.program.as_deref()) else {
        let asked = config.program.as_ref().map(|program| program.display().to_string());
        return (ErrorCode::ENGINE_MISSING, asked.unwrap_or_default());
    };
    let addresses = match server.open_door() {
        Ok(addresses) => addresses,
        Err(error) => return (ErrorCode::ENGINE_FAILED_TO_START, error.to_string()),
    };
    let launch = Launch {
        program,
        profile: config.profile.clone(),
        headless: config.headless,
        extra_arguments: config.extra_arguments.clone(),
        start_url: addresses.start_url,
        stage_url: addresses.stage_url,
        script: addresses.script,
    };
    let given_up = wishes.borrow().given_up;
    let stop = |wishes: &Wishes| wishes.end || !wishes.display || wishes.given_up != given_up;
    let started = Instant::now();
    let starting = match Starting::spawn(&launch) {
        Ok(starting) => starting,
        Err(error) => return (ErrorCode::ENGINE_FAILED_TO_START, error.to_string()),
    };
    let pid = starting.pid();
    tracing::info!(pid, program = %launch.program.display(), "starting the engine");
    let told = async {
        events.send(EngineEvent::Changed(EngineState::Starting { pid: Some(pid) })).await.is_ok()
            && events.send(EngineEvent::Process { pid }).await.is_ok()
    };
    if !told.await {
        return (ErrorCode::GOING_AWAY, String::new());
    }
    let ready = tokio::select! {
        ready = starting.ready(&launch) => ready,
        _ = wished(wishes, stop) => return (ErrorCode::ENGINE_FAILED_TO_START, "not needed any more".to_owned()),
    };
    let mut engine = match ready {
        Ok(engine) => engine,
        Err(LaunchError::Slow) => return (ErrorCode::ENGINE_UNRESPONSIVE, LaunchError::Slow.to_string()),
        Err(error) => return (ErrorCode::ENGINE_FAILED_TO_START, error.to_string()),
    };
    let version = engine.version().to_owned();
    tracing::info!(pid, version, took_ms = started.elapsed().as_millis(), "the engine runs");
    let running = EngineState::Running { version };
    if events.send(EngineEvent::Changed(running)).await.is_err() {
        return (ErrorCode::GOING_AWAY, String::new());
    }
    let reason = watch_over(&mut engine, wishes, stop).await;
    engine.end().await;
    reason
}

/// Waits for a wish; `None` when nobody wishes any more.
async fn wished(wishes: &mut watch::Receiver<Wishes>, what: impl FnMut(&Wishes) -> bool) -> Option<Wishes> {
    wishes.wait_for(what).await.ok().map(|wishes| *wishes)
}

/// Waits until the engine ends or has to.
async fn watch_over(
    engine: &mut Engine,
    wishes: &mut watch::Receiver<Wishes>,
    stop: impl Fn(&Wishes) -> bool,
) -> (ErrorCode, String) {
    // The stage first: an engine without it is of no use.
    tokio::select! {
        detail = engine.ended() => return (ErrorCode::ENGINE_CRASHED, detail),
        arrived = timeout(STAGE_LIMIT, wished(wishes, |wishes| wishes.stage || stop(wishes))) => {
            if arrived.is_err() {
                return (ErrorCode::STAGE_UNRESPONSIVE, "the stage did not connect".to_owned());
            }
        }
    }
    tokio::select! {
        detail = engine.ended() => (ErrorCode::ENGINE_CRASHED, detail),
        wishes = wished(wishes, |wishes| !wishes.stage || stop(wishes)) => {
            if wishes.is_none_or(|wishes| wishes.display) {
                // An engine that has just crashed takes its socket along: its own reason is the better one.
                match timeout(Duration::from_secs(1), engine.ended()).await {
                    Ok(detail) => (ErrorCode::ENGINE_CRASHED, detail),
                    Err(_elapsed) => (ErrorCode::STAGE_LOST, String::new()),
                }
            } else {
                (ErrorCode::DISPLAY_MISSING, String::new())
            }
        }
    }
}
