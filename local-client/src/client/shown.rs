//! What is shown of the client: lines of its log for a session, counters for the machine's monitoring.

use offstage_protocol::message::FromDeviceKind;
use offstage_protocol::message::LogChunk;
use offstage_protocol::message::LogControl;

use super::Client;

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

    /// One session at a time may have lines collected, and how much goes into the device's own file is the device's own business.
    pub(super) fn order_logs(&mut self, session: u64, control: LogControl) {
        let correlation = control.correlation;
        if self.collector.is_some_and(|other| other != session) {
            if !correlation.is_empty() {
                let lines = vec!["another session collects".to_owned()];
                self.collected(session, LogChunk { correlation, lines, last: true });
            }
            return;
        }
        self.collector = (!correlation.is_empty()).then_some(session);
        self.log_orders.push_back((session, LogControl { level: String::new(), correlation }));
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
