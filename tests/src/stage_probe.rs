//! A look at what the device's engine shows, through a debugging port of its own.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::cdp::{Cdp, Page};
use crate::session::Session;

/// How long the engine may take to show a player's window on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The debugging connection to the engine of a session's client.
#[derive(Debug)]
pub struct StageProbe {
    cdp: Cdp,
}

impl StageProbe {
    /// What the client has to be started with, so that its engine can be looked into.
    #[must_use]
    pub fn client_args() -> Vec<String> {
        vec!["--engine-arg=--remote-debugging-port=0".to_owned()]
    }

    /// Connects to the engine of the client that runs now.
    pub fn connect(session: &Session) -> Result<Self> {
        // Chromium writes the port that it has chosen there; its pipe to the client works beside it.
        let file = session.folder().join("engine/DevToolsActivePort");
        let end = Instant::now() + PATIENCE;
        let port = loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            match text.lines().next().and_then(|line| line.parse().ok()) {
                Some(port) => break port,
                None if Instant::now() >= end => {
                    anyhow::bail!("the engine has no debugging port: {} is missing", file.display())
                }
                None => std::thread::park_timeout(Duration::from_millis(20)),
            }
        };
        Ok(Self { cdp: Cdp::connect(port, PATIENCE).context("the engine cannot be looked into")? })
    }

    /// The document in which the device shows its one player, once there is one with a picture.
    pub fn player(&self) -> Result<Page> {
        let target = self.cdp.wait_target(PATIENCE, |target| {
            target.kind == "page" && target.url.ends_with("/popup.html")
        })?;
        let page = Page::attach(&self.cdp, &target.id)?;
        page.wait_until("document.querySelector('video')?.readyState >= 2", PATIENCE)?;
        Ok(page)
    }

    /// Waits until `count` players have a window on the device.
    pub fn wait_players(&self, count: usize) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let players = self.players()?;
            if players == count {
                return Ok(());
            }
            if Instant::now() >= end {
                anyhow::bail!("there are {players} players on the device, not {count}");
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// How many players have a window on the device.
    pub fn players(&self) -> Result<usize> {
        Ok(self.cdp.targets()?.iter().filter(|target| target.url.ends_with("/popup.html")).count())
    }
}
