//! Ways on which sessions reach this client: ordered bytes that may end silently.

use tokio::sync::mpsc;

pub mod unix;

/// Bytes are read in pieces of at most this size.
pub const READ_SIZE: usize = 64 * 1024;
/// Pieces that wait to be written; the mux keeps what comes before them.
pub const QUEUED_WRITES: usize = 4;

/// Who is at the other end of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// The processes that started the other end, the nearest first, when it runs on this machine: the
    /// first of them is the session's browser.
    pub ancestors: Vec<u32>,
}

/// What the channels tell the client.
#[derive(Debug)]
pub enum ChannelEvent {
    /// `sender` carries bytes to the peer; dropping it closes the channel when all is written.
    Opened { connection: u64, peer: Peer, sender: mpsc::Sender<Vec<u8>> },
    Bytes { connection: u64, bytes: Vec<u8> },
    Gone { connection: u64 },
}
