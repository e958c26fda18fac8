//! The client's counters as the machine's monitoring reads them.

use offstage_support::metrics::counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use prometheus_client::registry::Unit;

use crate::client::Counts;

pub(crate) fn registry(counts: &Counts) -> Registry {
    let mut all = Registry::with_prefix("offstage_client");
    let gauge = |value: usize| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge
    };
    all.register("ready", "Whether media can be played", gauge(usize::from(counts.ready)));
    all.register("sessions", "Sessions that are connected", gauge(counts.sessions));
    all.register("players", "Players that are open", gauge(counts.players));
    all.register("players_opened", "Players that sessions have opened", counter(counts.players_opened));
    all.register(
        "players_failed",
        "Players that could not be opened or went wrong",
        counter(counts.players_failed),
    );
    all.register_with_unit("received", "From sessions", Unit::Bytes, counter(counts.received_bytes));
    all.register_with_unit("sent", "To sessions", Unit::Bytes, counter(counts.sent_bytes));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_has_its_line() {
        let counts = Counts {
            ready: true,
            sessions: 2,
            players: 3,
            players_opened: 4,
            players_failed: 5,
            received_bytes: 6,
            sent_bytes: 7,
        };
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry(&counts)).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("# ")).collect();
        let expected = [
            "ready 1",
            "sessions 2",
            "players 3",
            "players_opened_total 4",
            "players_failed_total 5",
            "received_bytes_total 6",
            "sent_bytes_total 7",
        ];
        assert_eq!(lines, expected.map(|line| format!("offstage_client_{line}")));
    }
}
