//! A look at what the device's engine shows, through a debugging port of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cdp::{Cdp, Page};
use crate::session::Session;

/// How long the engine may take to show a player's window on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the address of a player's document ends.
const POPUP: &str = "/popup.html";

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
        Self::connect_in(session.folder())
    }

    /// Connects to the engine of [`Session::start_other_client`].
    pub fn connect_other(session: &Session) -> Result<Self> {
        Self::connect_in(&session.folder().join("other"))
    }

    fn connect_in(folder: &Path) -> Result<Self> {
        // Chromium writes the port that it has chosen there; its pipe to the client works beside it.
        let file = folder.join("engine/DevToolsActivePort");
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
        let end = Instant::now() + PATIENCE;
        loop {
            let targets = self.cdp.targets()?;
            for target in targets.iter().filter(|target| target.url.ends_with(POPUP)) {
                let page = Page::attach(&self.cdp, &target.id)?;
                if page.evaluate("document.querySelector('video')?.readyState >= 2")? == true {
                    return Ok(page);
                }
            }
            if Instant::now() >= end {
                let urls: Vec<_> = targets.into_iter().map(|target| target.url).collect();
                anyhow::bail!("the device shows no picture; its pages: {urls:?}");
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// What `script` gives in each document of the device that holds media.
    pub fn all(&self, script: &str) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        for target in self.cdp.targets()?.into_iter().filter(|target| target.url.ends_with(POPUP)) {
            // A window may close while it is looked at.
            let Ok(page) = Page::attach(&self.cdp, &target.id) else { continue };
            if page.evaluate("document.querySelector('video')?.readyState > 0").is_ok_and(|held| held == true)
            {
                values.push(page.evaluate(script)?);
            }
        }
        Ok(values)
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

    /// How many windows for players the engine has, the one that is kept ready included.
    pub fn windows(&self) -> Result<usize> {
        Ok(self.cdp.targets()?.iter().filter(|target| target.url.ends_with(POPUP)).count())
    }

    /// How many players on the device hold media; one that is kept ready for the next video holds none.
    pub fn players(&self) -> Result<usize> {
        let mut count = 0;
        for target in self.cdp.targets()?.into_iter().filter(|target| target.url.ends_with(POPUP)) {
            // A window may close while it is looked at.
            let held = Page::attach(&self.cdp, &target.id)
                .and_then(|page| page.evaluate("document.querySelector('video')?.readyState > 0"));
            count += usize::from(held.is_ok_and(|held| held == true));
        }
        Ok(count)
    }
}
