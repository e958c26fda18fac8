//! What is shown of the client: lines of its log for a session, counters for the machine's monitoring.

use std::time::Duration;

use offstage_protocol::Monotonic;
use offstage_protocol::message::FromDeviceKind;
use offstage_protocol::message::LogChunk;
use offstage_protocol::message::LogControl;

use super::Client;

/// How long lines are kept for a session that has gone away in the middle: it comes back with the same correlation id.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// For whom lines are collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Collecting {
    session: u64,
    correlation: String,
    /// Set while the session is away.
    pub(super) until: Option<Monotonic>,
}

/// See [`Client::counts`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub ready: bool,
    pub sessions: usize,
    pub players: usize,
    /// Since the client began.
    pub players_opened: u64,
    pub players_failed: u64,
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

impl Client {
    /// What a session wants to be logged; [`Self::collected`] answers.
    pub fn poll_log_order(&mut self) -> Option<(u64, LogControl)> {
        self.log_orders.pop_front()
    }

    /// One session at a time may have lines collected, and how much goes into the device's own file is the device's own business. A
    /// session that comes back with the same correlation id has what was collected meanwhile too: why the line broke is what a bundle is for.
    pub(super) fn order_logs(&mut self, session: u64, control: LogControl) {
        let correlation = control.correlation;
        if let Some(running) = self.collecting.take() {
            let same = running.session == session || running.correlation == correlation;
            if !same && running.until.is_none() {
                self.collecting = Some(running);
                if !correlation.is_empty() {
                    let lines = vec!["another session collects".to_owned()];
                    self.collected(session, LogChunk { correlation, lines, last: true });
                }
                return;
            }
            if !same {
                // What was kept is for nobody else.
                self.log_orders.push_back((running.session, LogControl::default()));
            }
        }
        if !correlation.is_empty() {
            self.collecting = Some(Collecting { session, correlation: correlation.clone(), until: None });
        }
        self.log_orders.push_back((session, LogControl { level: String::new(), correlation }));
    }

    /// The session is away; what is collected for it is kept for a while.
    pub(super) fn keep_logs(&mut self, now: Monotonic, session: u64) {
        if let Some(running) = self.collecting.as_mut().filter(|running| running.session == session) {
            running.until = Some(now.after(KEPT_FOR));
        }
    }

    /// Forgets what was kept for a session that has not come back.
    pub(super) fn forget_logs(&mut self, now: Monotonic) {
        if let Some(gone) = self.collecting.take_if(|running| running.until.is_some_and(|until| until <= now))
        {
            self.log_orders.push_back((gone.session, LogControl::default()));
        }
    }

    /// A part of what was collected for a session.
    pub fn collected(&mut self, session: u64, chunk: LogChunk) {
        self.tell(session, FromDeviceKind::LogChunk(chunk));
    }

    /// For the machine's monitoring.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            ready: self.is_ready(),
            sessions: self.sessions.len(),
            players: self.players.len(),
            ..self.counts
        }
    }
}
