//! What drives the machine: standard input and output, the channel, the clock, the log.

pub mod link;
pub mod logs;
mod shown;
pub mod stdio;

use std::time::Duration;

use offstage_protocol::Monotonic;
use offstage_support::logs::Logs;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio::time::sleep_until;
use tokio::time::timeout;

use crate::bridge::Bridge;
use crate::bridge::BridgeConfig;
use crate::bridge::Command;
use crate::channel::Channel;
use crate::io::link::LinkEvent;
use crate::io::link::LinkState;
use crate::io::logs::LogLines;
use crate::io::shown::Shown;
use crate::io::stdio::Inbound;
use crate::io::stdio::Stdio;
use crate::windows;
use crate::windows::Watch;

/// How long a browser may take to read the bridge's last words.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// Runs the bridge until the browser goes away (true) or breaks the rules (false).
pub async fn run<C: Channel>(
    config: BridgeConfig,
    channel: &C,
    mut stdio: Stdio,
    lines: &LogLines,
    logs: &Logs,
) -> bool {
    let mut shown = Shown::new();
    let browser = config.session.browser_pid;
    let mut watch = None;
    let clock = Clock { origin: Instant::now() };
    let mut bridge = Bridge::new(clock.now(), config);
    let mut link = LinkState::Off;
    let mut browser_reads = true;
    loop {
        let now = clock.now();
        if bridge.poll_timeout().is_some_and(|(at, _)| at <= now) {
            bridge.handle_timeout(now);
        }
        while let Some(command) = bridge.poll_command() {
            tracing::debug!(?command, "command");
            match command {
                Command::OpenChannel { epoch } => link = LinkState::open(channel, epoch),
                Command::CloseChannel => link = LinkState::Off,
                Command::Log(control) => {
                    logs.control(&control).into_iter().for_each(|chunk| bridge.handle_collected(chunk));
                }
                Command::Watch(false) => watch = None,
                Command::Watch(true) => match Watch::start(browser) {
                    Ok(started) => watch = Some(started),
                    Err(error) => tracing::warn!(%error, "windows can't be watched"),
                },
                Command::Show(metrics) => shown.show(&metrics),
                Command::Exit { clean } => {
                    say_farewell(&mut bridge, stdio, now).await;
                    return clean;
                }
            }
        }
        if link.may_write()
            && let Some(batch) = bridge.poll_channel(now)
        {
            link.write(batch);
        }
        tokio::select! {
            inbound = stdio.inbound.recv(), if bridge.wants_browser_bytes() => match inbound {
                Some(Inbound::Frames(bytes)) => bridge.handle_browser_bytes(clock.now(), &bytes),
                Some(Inbound::Broken(error)) => bridge.handle_browser_error(&error),
                None => bridge.handle_browser_end(clock.now()),
            },
            permit = stdio.outbound.reserve(), if browser_reads && bridge.has_browser_batch() => match permit {
                Ok(permit) => {
                    if let Some(batch) = bridge.poll_browser(clock.now()) {
                        permit.send(batch);
                    }
                }
                Err(mpsc::error::SendError(())) => {
                    browser_reads = false;
                    bridge.handle_browser_end(clock.now());
                }
            },
            (epoch, event) = link.event(bridge.wants_channel_bytes()) => {
                handle_link_event(&mut bridge, clock.now(), epoch, event);
            }
            (level, text) = lines.next() => bridge.handle_log_line(level, &text),
            windows = windows::next_of(&mut watch), if bridge.wants_windows() => bridge.handle_windows(windows),
            () = sleep_until(clock.instant(bridge.poll_timeout())), if bridge.poll_timeout().is_some() => {}
        }
    }
}

fn handle_link_event(bridge: &mut Bridge, now: Monotonic, epoch: u64, event: LinkEvent<'_>) {
    match event {
        LinkEvent::Opened => {
            tracing::info!(epoch, "channel is up");
            bridge.handle_channel_open(now, epoch);
        }
        LinkEvent::Read(bytes) => bridge.handle_channel_bytes(now, epoch, bytes),
        LinkEvent::Written(bytes) => bridge.handle_channel_written(now, epoch, bytes),
        LinkEvent::Failed(error) => {
            tracing::debug!(epoch, %error, "no channel");
            bridge.handle_channel_error(now, epoch, &error);
        }
    }
}

async fn say_farewell(bridge: &mut Bridge, stdio: Stdio, now: Monotonic) {
    let Stdio { outbound, written, .. } = stdio;
    let farewell = async {
        while let Some(batch) = bridge.poll_browser(now) {
            if outbound.send(batch).await.is_err() {
                return;
            }
        }
        drop(outbound);
        // It is never sent: the writer drops it when it has ended.
        drop(written.await);
    };
    if timeout(FAREWELL_LIMIT, farewell).await.is_err() {
        tracing::debug!("the browser did not read the last words");
    }
}

#[derive(Clone, Copy, Debug)]
struct Clock {
    origin: Instant,
}

impl Clock {
    fn now(self) -> Monotonic {
        Monotonic::default().after(self.origin.elapsed())
    }

    fn instant(self, timeout: Option<(Monotonic, &str)>) -> Instant {
        self.origin + timeout.map_or(Duration::ZERO, |(at, _)| at.since(Monotonic::default()))
    }
}
