//! The extension's own log lines, and the bundle that is made of all parts' lines when somebody asks for it.
//!
//! A bundle is begun, then something is done that goes wrong, then it is ended: the bridge and the client give what they have
//! collected meanwhile, under one correlation id. What does not answer in time is named as missing.

use std::collections::VecDeque;
use std::time::Duration;

use offstage_protocol::message::{LogChunk, LogControl};
use offstage_protocol::{Monotonic, redact};
use serde::Serialize;

/// Most bytes of own lines that are kept; of lines that another part gives.
const MOST_OWN: usize = 256 << 10;
const MOST_GIVEN: usize = 2 << 20;
/// Longest line.
const MOST_LINE: usize = 2000;
/// How long the other parts may take to give theirs.
const PATIENCE: Duration = Duration::from_secs(5);
/// A collection that is forgotten ends by itself.
const LONGEST: Duration = Duration::from_secs(3600);

/// Who gives lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Bridge,
    Client,
}

/// One bundle; the versions and what works are put beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bundle {
    pub correlation: String,
    pub extension: Vec<String>,
    pub bridge: Vec<String>,
    pub client: Vec<String>,
    /// Parts that have not given (all of) theirs.
    pub missing: Vec<&'static str>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Collector {
    /// How much the other parts are to log by themselves; empty: as they are set.
    pub level: String,
    lines: VecDeque<String>,
    bytes: usize,
    running: Option<Running>,
    done: Option<Bundle>,
}

#[derive(Debug)]
struct Running {
    correlation: String,
    /// When it ends by itself; once it is asked for, when it is given up.
    until: Monotonic,
    /// Once it is asked for: whether bridge and client can answer.
    asked: Option<[bool; 2]>,
    bridge: Given,
    client: Given,
}

#[derive(Debug, Default)]
struct Given {
    lines: Vec<String>,
    bytes: usize,
    complete: bool,
}

impl Collector {
    /// A line of the extension's log; `wall_us` since 1970.
    pub fn note(&mut self, wall_us: u64, level: &str, text: &str) {
        if level == "debug" && !self.is_running() {
            return;
        }
        let text: String = redact(text).chars().take(MOST_LINE).collect();
        let line = format!("{}.{:03} {level} {text}", wall_us / 1_000_000, wall_us / 1000 % 1000);
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > MOST_OWN
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }

    /// Whether a bundle is being collected and has not been asked for.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.asked.is_none())
    }

    /// What the other parts are to collect.
    #[must_use]
    pub fn control(&self) -> LogControl {
        let running = self.running.as_ref().filter(|running| running.asked.is_none());
        LogControl {
            level: self.level.clone(),
            correlation: running.map(|r| r.correlation.clone()).unwrap_or_default(),
        }
    }

    /// Begins; does nothing while another one runs. `correlation` must be random.
    pub fn begin(&mut self, now: Monotonic, correlation: &str) {
        if self.running.is_some() {
            return;
        }
        self.done = None;
        self.running = Some(Running {
            correlation: correlation.chars().take(16).collect(),
            until: now.after(LONGEST),
            asked: None,
            bridge: Given::default(),
            client: Given::default(),
        });
    }

    /// Ends; the bundle is there when the parts that can be asked have answered.
    pub fn end(&mut self, now: Monotonic, bridge: bool, client: bool) {
        if let Some(running) = self.running.as_mut().filter(|running| running.asked.is_none()) {
            (running.asked, running.until) = (Some([bridge, client]), now.after(PATIENCE));
            self.finish_if_complete();
        }
    }

    /// A part has given lines.
    pub fn handle_chunk(&mut self, from: Part, chunk: LogChunk) {
        let Some(running) = self.running.as_mut().filter(|r| r.correlation == chunk.correlation) else {
            return;
        };
        let given = match from {
            Part::Bridge => &mut running.bridge,
            Part::Client => &mut running.client,
        };
        for line in chunk.lines {
            // It has been redacted where it was written; that other end need not be believed.
            let line: String = redact(&line).chars().take(MOST_LINE).collect();
            given.bytes += line.len();
            if given.bytes > MOST_GIVEN {
                break;
            }
            given.lines.push(line);
        }
        // A part that restarted in the middle gives more than once; only what comes at the end is the end.
        given.complete |= chunk.last && running.asked.is_some();
        self.finish_if_complete();
    }

    pub fn handle_timeout(&mut self, now: Monotonic) {
        if self.running.as_ref().is_some_and(|running| running.until <= now) {
            self.finish();
        }
    }

    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Monotonic, &'static str)> {
        self.running.as_ref().map(|running| (running.until, "a log bundle ends"))
    }

    /// The bundle that is ready; given once.
    #[must_use]
    pub fn take(&mut self) -> Option<Bundle> {
        self.done.take()
    }

    fn finish_if_complete(&mut self) {
        let Some(Running { asked: Some([bridge, client]), bridge: ours, client: theirs, .. }) = &self.running
        else {
            return;
        };
        if (ours.complete || !bridge) && (theirs.complete || !client) {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let Some(Running { correlation, bridge, client, .. }) = self.running.take() else { return };
        let parts = [("bridge", &bridge), ("client", &client)];
        let missing = parts.iter().filter(|(_, given)| !given.complete).map(|(name, _)| *name).collect();
        let extension = self.lines.iter().cloned().collect();
        self.done =
            Some(Bundle { correlation, extension, bridge: bridge.lines, client: client.lines, missing });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Monotonic = Monotonic(1_000_000);

    fn chunk(correlation: &str, line: &str, last: bool) -> LogChunk {
        LogChunk { correlation: correlation.into(), lines: vec![line.into()], last }
    }

    #[test]
    fn all_parts_lines_come_together_under_one_id_and_without_addresses() {
        let mut collector = Collector::default();
        collector.note(5_001_000, "info", "before");
        collector.note(5_001_000, "debug", "not kept");
        collector.begin(START, "a1");
        assert_eq!(collector.control().correlation, "a1");
        collector.note(6_020_000, "debug", "at https://a.example/x");
        // The bridge is started anew in the middle.
        collector.handle_chunk(Part::Bridge, chunk("a1", "first bridge", true));
        collector.end(START, true, true);
        assert_eq!((collector.control().correlation.as_str(), collector.take()), ("", None));
        collector.handle_chunk(Part::Client, chunk("other", "x", true));
        collector.handle_chunk(Part::Client, chunk("a1", "one", false));
        collector.handle_chunk(Part::Client, chunk("a1", "see http://b.example/", true));
        collector.handle_chunk(Part::Bridge, chunk("a1", "second bridge", true));
        let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let expected = Bundle {
            correlation: "a1".into(),
            extension: strings(&["5.001 info before", "6.020 debug at https:…"]),
            bridge: strings(&["first bridge", "second bridge"]),
            client: strings(&["one", "see http:…"]),
            missing: Vec::new(),
        };
        assert_eq!((collector.take(), collector.take()), (Some(expected), None));
        assert_eq!(collector.poll_timeout(), None);
    }

    #[test]
    fn parts_that_are_not_there_or_never_answer_are_missing() {
        let mut collector = Collector::default();
        collector.begin(START, "a1");
        collector.end(START, false, false);
        assert_eq!(collector.take().unwrap().missing, ["bridge", "client"]);
        collector.begin(START, "b2");
        collector.begin(START, "another");
        collector.end(START, true, true);
        collector.handle_chunk(Part::Bridge, chunk("b2", "x", true));
        collector.handle_timeout(START.after(PATIENCE));
        let bundle = collector.take().unwrap();
        assert_eq!((bundle.correlation.as_str(), bundle.missing), ("b2", vec!["client"]));
        // One that nobody ends.
        collector.begin(START, "c3");
        collector.handle_timeout(START.after(LONGEST));
        assert!(!collector.is_running() && collector.take().is_some());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut collector = Collector::default();
        collector.begin(START, "a1");
        for n in 0..2000 {
            collector.note(n, "info", &"x".repeat(5000));
            collector.handle_chunk(Part::Client, chunk("a1", &"y".repeat(5000), false));
        }
        collector.end(START, false, false);
        let bundle = collector.take().unwrap();
        let size = |lines: &[String]| lines.iter().map(String::len).sum::<usize>();
        assert!(size(&bundle.extension) <= MOST_OWN && size(&bundle.client) <= MOST_GIVEN);
        assert!(bundle.extension.last().unwrap().starts_with("0.001 info x"));
    }
}
