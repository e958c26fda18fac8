//! What initialization segments promise: asked of a lone element in the engine, remembered by their bytes.

use std::collections::VecDeque;

use offstage_protocol::Monotonic;
use offstage_protocol::message::Tracks;

use crate::machine::buffer::{InitFound, micros};
use crate::machine::container::mime_has_audio;
use crate::machine::event::{Command, ProbeResult};
use crate::machine::limits::{MAX_CACHED_INIT, MAX_CACHED_PROBES, MAX_PROBES, PROBE_TIMEOUT};
use crate::table::Table;

/// All probes of the stage.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    next: u64,
    waiting: VecDeque<(u64, InitFound)>,
    running: Table<u64, Running>,
    /// Newest last. Compared byte for byte, so that one page cannot forge another's result.
    cache: VecDeque<(InitFound, Tracks)>,
}

#[derive(Debug)]
struct Running {
    init: InitFound,
    until: Monotonic,
}

/// What asking for a probe gave.
#[derive(Debug, PartialEq)]
pub(crate) enum Asked {
    Known(Tracks),
    /// The result will come under this number.
    Probe(u64),
}

impl Probes {
    pub(crate) fn ask(&mut self, init: InitFound) -> Asked {
        if let Some((_, tracks)) = self.cache.iter().find(|(known, _)| *known == init) {
            return Asked::Known(*tracks);
        }
        self.next += 1;
        self.waiting.push_back((self.next, init));
        Asked::Probe(self.next)
    }

    /// Nobody waits for these any more.
    pub(crate) fn forget(&mut self, wanted: impl Fn(u64) -> bool) {
        self.waiting.retain(|(probe, _)| wanted(*probe));
    }

    /// The next probe to begin, when there is room.
    pub(crate) fn start(&mut self, now: Monotonic) -> Option<Command> {
        if self.running.len() >= MAX_PROBES {
            return None;
        }
        let (probe, init) = self.waiting.pop_front()?;
        let command = Command::Probe { probe, mime: init.mime.clone(), bytes: init.bytes.clone() };
        self.running.insert(probe, Running { init, until: now.after(PROBE_TIMEOUT) });
        Some(command)
    }

    /// A probe has ended: what it says, if it was one of ours.
    pub(crate) fn finish(&mut self, probe: u64, result: Option<ProbeResult>) -> Option<Option<Tracks>> {
        let running = self.running.remove(probe)?;
        let tracks = result.map(|result| tracks(&running.init, result));
        if let Some(tracks) = tracks
            && running.init.bytes.len() <= MAX_CACHED_INIT
        {
            if self.cache.len() >= MAX_CACHED_PROBES {
                self.cache.pop_front();
            }
            self.cache.push_back((running.init, tracks));
        }
        Some(tracks)
    }

    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        self.running.values().map(|running| running.until).min()
    }

    /// The probes that have taken too long.
    pub(crate) fn overdue(&self, now: Monotonic) -> Vec<u64> {
        self.running.iter().filter(|(_, running)| running.until <= now).map(|(probe, _)| probe).collect()
    }

    #[cfg(test)]
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }
}

fn tracks(init: &InitFound, result: ProbeResult) -> Tracks {
    let finite = result.duration.is_finite() && result.duration > 0.0;
    Tracks {
        width: result.width,
        height: result.height,
        has_audio: mime_has_audio(&init.mime).or(result.has_audio).unwrap_or(init.sound),
        duration_us: finite.then(|| micros(result.duration)),
    }
}
