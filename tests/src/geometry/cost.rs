//! What looking at places costs in the page: the page's own process, beside the process of the same page played natively.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::scroll::{STOP, script};
use super::stage::{Side, Stage};
use crate::process::{cpu_seconds_of_tree, descendants_with};

/// How long each is looked at.
const LOOK: Duration = Duration::from_secs(6);
/// How long a page is left alone after its video was paused.
const CALM: Duration = Duration::from_secs(2);
/// How long a page is busy so that its process is known by it.
const BUSY_MS: u32 = 1500;

/// Shares of a core.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    pub native: f64,
    pub redirected: f64,
}

impl Cost {
    /// What redirection adds.
    #[must_use]
    pub fn added(&self) -> f64 {
        (self.redirected - self.native).max(0.0)
    }
}

/// While nothing moves and the video is paused; then while the page scrolls.
pub fn costs(stage: &mut Stage) -> Result<[Cost; 2]> {
    let processes = [process(stage, &stage.native)?, process(stage, &stage.covered)?];
    let both = |script: &str| -> Result<()> {
        for side in [&stage.native, &stage.covered] {
            side.page.evaluate(script)?;
        }
        Ok(())
    };
    both("v.pause(); scrollTo(0, 0); 0")?;
    // What begins with the pause has ended: controls, captions, a stand-in that is made equal.
    pass(CALM);
    let idle = shares(processes);
    both(&script(&[3]))?;
    let scrolling = shares(processes);
    both(STOP)?;
    both("v.play(); 0")?;
    Ok([idle, scrolling])
}

/// Lets time pass: parking ends early when the thread was woken before.
fn pass(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        std::thread::park_timeout(time.saturating_sub(began.elapsed()));
    }
}

fn shares(processes: [u32; 2]) -> Cost {
    let used = || processes.map(cpu_seconds_of_tree);
    let (began, before) = (Instant::now(), used());
    pass(LOOK);
    let (time, after) = (began.elapsed().as_secs_f64(), used());
    Cost { native: (after[0] - before[0]) / time, redirected: (after[1] - before[1]) / time }
}

/// The process that gets busy when the page does.
fn process(stage: &Stage, side: &Side) -> Result<u32> {
    let renderers = descendants_with(stage.session.browser_pid(), "--type=renderer");
    let used = |pid: &u32| cpu_seconds_of_tree(*pid);
    let before: Vec<f64> = renderers.iter().map(used).collect();
    side.page.evaluate(&format!(
        "{{ const end = performance.now() + {BUSY_MS}; while (performance.now() < end); }} 0"
    ))?;
    let grown = renderers.iter().zip(before).map(|(pid, before)| (used(pid) - before, *pid));
    grown
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, pid)| pid)
        .context("the page has no process")
}
