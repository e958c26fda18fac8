//! Ways on which sessions reach this client: ordered bytes that may end silently.

use tokio::sync::mpsc;

#[cfg(unix)]
pub mod unix;

/// Bytes are read in pieces of at most this size.
pub const READ_SIZE: usize = 64 * 1024;
/// Pieces that wait to be written; the mux keeps what comes before them.
pub const QUEUED_WRITES: usize = 4;

/// Who is at the other end of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// Processes that may own the session's browser window, the likeliest first, when the other end runs
    /// on this machine: those that started it, the nearest first, and it itself.
    pub processes: Vec<u32>,
}

/// What the channels tell the client.
#[derive(Debug)]
pub enum ChannelEvent {
    /// `sender` carries bytes to the peer; dropping it closes the channel when all is written.
    Opened {
        connection: u64,
        peer: Peer,
        sender: mpsc::Sender<Vec<u8>>,
    },
    Bytes {
        connection: u64,
        bytes: Vec<u8>,
    },
    Gone {
        connection: u64,
    },
}
