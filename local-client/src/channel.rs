//! Ways on which sessions reach this client: ordered bytes that may end silently.

#[cfg(unix)]
pub mod connect;
#[cfg(windows)]
pub mod pipe;
#[cfg(unix)]
pub mod tls;
#[cfg(unix)]
pub mod unix;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use offstage_protocol::ErrorCode;
use thiserror::Error;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Bytes are read in pieces of at most this size.
pub const READ_SIZE: usize = 64 * 1024;
/// Pieces that wait to be written; the mux keeps what comes before them.
pub const QUEUED_WRITES: usize = 4;
/// How far up the process tree the browser is looked for: a wrapper or two may lie in between.
const MAX_ANCESTORS: usize = 4;
/// How long the last bytes of a closing channel are waited for.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// The listener for peers of this machine.
#[cfg(windows)]
pub use self::pipe::Listener;
#[cfg(unix)]
pub use self::unix::Listener;

/// Why this machine's peers can't be listened to.
#[derive(Debug, Error)]
pub enum ListenError {
    #[error("another client answers on it")]
    AlreadyRunning,
    #[error("its folder belongs to another user or others can change it")]
    UnsafeFolder,
    #[error("something that is not a socket has its name")]
    NotASocket,
    #[error("a program of another user has its name")]
    OtherUser,
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl ListenError {
    /// The code that people see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::AlreadyRunning => ErrorCode::CLIENT_ALREADY_RUNNING,
            Self::UnsafeFolder | Self::NotASocket => ErrorCode::SOCKET_UNSAFE,
            Self::OtherUser => ErrorCode::PEER_OF_ANOTHER_USER,
            Self::Io(_) => ErrorCode::INTERNAL,
        }
    }
}

/// Who is at the other end of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// Processes that may own the session's browser window, the likeliest first, when the other end runs
    /// on this machine: those that started it, the nearest first, and it itself.
    pub processes: Vec<u32>,
}

/// The processes above this one, the nearest first, as far as `parent_of` knows them.
fn ancestors(process: u32, parent_of: impl Fn(u32) -> Option<u32>) -> Vec<u32> {
    let mut found = Vec::new();
    let mut current = process;
    while found.len() < MAX_ANCESTORS {
        // Numbers are used again: one that is taken for a parent may be a child.
        let is_new = |parent: &u32| *parent != process && !found.contains(parent);
        let Some(parent) = parent_of(current).filter(is_new) else { break };
        found.push(parent);
        current = parent;
    }
    found
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

/// What all listeners have in common: where their events go, and the numbers of their connections.
#[derive(Debug, Clone)]
pub struct Channels {
    events: mpsc::Sender<ChannelEvent>,
    drained: Arc<Notify>,
    last: Arc<AtomicU64>,
}

impl Channels {
    /// `drained` is notified when bytes have left for a peer.
    #[must_use]
    pub fn new(events: mpsc::Sender<ChannelEvent>, drained: Arc<Notify>) -> Self {
        Self { events, drained, last: Arc::default() }
    }

    /// Whether nobody takes the events any more.
    #[must_use]
    pub fn are_closed(&self) -> bool {
        self.events.is_closed()
    }

    /// Tells of a new connection; what is returned carries its bytes until it ends, or until `end` does. `None` if nobody wants to know.
    pub async fn open<R, W, E>(
        &self,
        peer: Peer,
        reader: R,
        writer: W,
        end: E,
    ) -> Option<impl Future<Output = ()> + Send + use<R, W, E>>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
        E: Future<Output = ()> + Send + 'static,
    {
        let connection = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, queue) = mpsc::channel(QUEUED_WRITES);
        self.events.send(ChannelEvent::Opened { connection, peer, sender }).await.ok()?;
        Some(self.clone().carry(connection, reader, writer, queue, end))
    }

    async fn carry<R, W>(
        self,
        connection: u64,
        mut reader: R,
        mut writer: W,
        mut queue: mpsc::Receiver<Vec<u8>>,
        end: impl Future<Output = ()>,
    ) where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        tokio::pin!(end);
        let mut reading = tokio::spawn({
            let events = self.events.clone();
            async move {
                let mut buffer = vec![0; READ_SIZE];
                while let Ok(read) = reader.read(&mut buffer).await {
                    if read == 0 {
                        break;
                    }
                    let bytes = buffer.iter().take(read).copied().collect();
                    if events.send(ChannelEvent::Bytes { connection, bytes }).await.is_err() {
                        break;
                    }
                }
            }
        });
        loop {
            tokio::select! {
                bytes = queue.recv() => {
                    let Some(bytes) = bytes else {
                        // We are done: what was written still has to arrive.
                        timeout(CLOSE_LIMIT, writer.shutdown()).await.ok();
                        break;
                    };
                    self.drained.notify_one();
                    // A peer that does not read stops here; the mux finds it dead.
                    let written = tokio::select! {
                        written = async {
                            writer.write_all(&bytes).await?;
                            // TLS keeps what the socket doesn't take at once.
                            writer.flush().await
                        } => written.is_ok(),
                        _ = &mut reading => false,
                        () = &mut end => false,
                    };
                    if !written {
                        break;
                    }
                }
                _ = &mut reading => break,
                () = &mut end => break,
            }
        }
        reading.abort();
        self.events.send(ChannelEvent::Gone { connection }).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_end_where_nothing_is_known_or_known_already() {
        let check = |parents: &[(u32, u32)], expected: &[u32]| {
            let of = |process| Some(parents.iter().find(|(child, _)| *child == process)?.1);
            assert_eq!(ancestors(9, of), expected);
        };
        check(&[], &[]);
        check(&[(9, 8), (8, 7), (3, 2)], &[8, 7]);
        check(&[(9, 8), (8, 7), (7, 6), (6, 5), (5, 4)], &[8, 7, 6, 5]);
        check(&[(9, 9)], &[]);
        check(&[(9, 8), (8, 7), (7, 8)], &[8, 7]);
        check(&[(9, 8), (8, 9)], &[8]);
    }
}
