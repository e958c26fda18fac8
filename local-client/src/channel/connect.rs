//! Sockets that another program listens on and forwards sessions to: the pipe proxy of an IronRDP client, a tunnel.
//!
//! Such a socket comes and goes with the session's channel, so it is tried for ever.

use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tokio::net::UnixStream;
use tokio::time::Instant;
use tokio::time::sleep;

use crate::channel::Channels;
use crate::channel::Peer;

/// The first wait after a try that failed or a connection that ended; each further one is twice as long.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait. A connection that lived for as long makes the next wait short again.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Why there is no connection.
#[derive(Debug, Error)]
enum ConnectError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the listener runs as user {uid}, not as {own}")]
    OtherUser { uid: u32, own: u32 },
}

/// A socket that is connected to whenever somebody listens on it.
#[derive(Debug)]
pub struct Connector {
    path: PathBuf,
}

impl Connector {
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Connects, carries what comes until its end, and connects again, until nobody takes the events any more.
    pub async fn run(self, channels: Channels) {
        let socket = self.path.display().to_string();
        let mut told = String::new();
        let mut backoff = BACKOFF_MIN;
        loop {
            match self.connect().await {
                Ok(stream) => {
                    tracing::info!(socket, "connected");
                    told.clear();
                    let since = Instant::now();
                    let (reader, writer) = stream.into_split();
                    // The listener is no browser and has none above it: it only forwards.
                    let Some(served) = channels.open(Peer::default(), reader, writer, pending()).await else {
                        return;
                    };
                    // A task of its own, so that it says goodbye when this one is ended. It has no other end than its own.
                    tokio::spawn(served).await.ok();
                    if since.elapsed() >= BACKOFF_MAX {
                        backoff = BACKOFF_MIN;
                    }
                }
                Err(error) => {
                    let reason = error.to_string();
                    match error {
                        ConnectError::OtherUser { .. } if told != reason => {
                            tracing::warn!(socket, reason, "refused")
                        }
                        ConnectError::Io(_) if told != reason => {
                            tracing::info!(socket, reason, "waiting for a listener")
                        }
                        ConnectError::OtherUser { .. } | ConnectError::Io(_) => {}
                    }
                    told = reason;
                }
            }
            if channels.are_closed() {
                return;
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn connect(&self) -> Result<UnixStream, ConnectError> {
        let stream = UnixStream::connect(&self.path).await?;
        // Of who called `listen`, whatever folder the socket is in.
        let uid = stream.peer_cred()?.uid();
        let own = rustix::process::geteuid().as_raw();
        if uid == own { Ok(stream) } else { Err(ConnectError::OtherUser { uid, own }) }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::thread;

    use rustix::process::Uid;
    use tokio::io::AsyncReadExt as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixListener;
    use tokio::sync::Notify;
    use tokio::sync::mpsc;

    use super::*;
    use crate::channel::ChannelEvent;
    use crate::channel::unix::Listener;

    /// A connector at work, with what it tells.
    fn connector(path: &Path) -> (Channels, mpsc::Receiver<ChannelEvent>) {
        let (events, received) = mpsc::channel(4);
        let channels = Channels::new(events, Arc::new(Notify::new()));
        tokio::spawn(Connector::new(path.to_path_buf()).run(channels.clone()));
        (channels, received)
    }

    async fn opened(received: &mut mpsc::Receiver<ChannelEvent>) -> (u64, mpsc::Sender<Vec<u8>>) {
        let Some(ChannelEvent::Opened { connection, peer, sender }) = received.recv().await else {
            panic!("not opened");
        };
        assert_eq!(peer, Peer::default());
        (connection, sender)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn waits_for_a_listener_and_connects_again_when_it_has_hung_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        // What a proxy that was killed leaves.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (_channels, mut received) = connector(&path);
        std::fs::remove_file(&path).unwrap();
        let proxy = UnixListener::bind(&path).unwrap();
        let mut last = 0;
        for _ in 0..3 {
            let (mut stream, _) = proxy.accept().await.unwrap();
            let (connection, sender) = opened(&mut received).await;
            assert!(connection > last);
            last = connection;
            stream.write_all(b"up").await.unwrap();
            let Some(ChannelEvent::Bytes { bytes, .. }) = received.recv().await else { panic!("no bytes") };
            assert_eq!(bytes, b"up");
            sender.send(b"down".to_vec()).await.unwrap();
            let mut down = [0; 4];
            stream.read_exact(&mut down).await.unwrap();
            assert_eq!(&down, b"down");
            drop(stream);
            assert!(
                matches!(received.recv().await, Some(ChannelEvent::Gone { connection }) if connection == last)
            );
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn connections_of_all_sources_have_numbers_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let [pipe, own] = ["pipe", "client.sock"].map(|name| folder.path().join(name));
        let proxy = UnixListener::bind(&pipe).unwrap();
        let (channels, mut received) = connector(&pipe);
        tokio::spawn(Listener::bind(&own).unwrap().run(channels));
        let _forwarded = proxy.accept().await.unwrap();
        let (first, _sender) = opened(&mut received).await;
        let _session = UnixStream::connect(&own).await.unwrap();
        let Some(ChannelEvent::Opened { connection, .. }) = received.recv().await else {
            panic!("not opened")
        };
        assert_ne!(connection, first);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_listener_of_another_user_is_refused() {
        if !rustix::process::geteuid().is_root() {
            // Only root can start a listener as somebody else.
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let place = path.clone();
        // Users belong to threads on Linux, and the kernel notes who called listen.
        let listener = thread::spawn(move || {
            let nobody = Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            std::os::unix::net::UnixListener::bind(place).unwrap()
        });
        let _listener = listener.join().unwrap();
        let refused = Connector::new(path).connect().await;
        assert!(matches!(refused, Err(ConnectError::OtherUser { uid: 65534, .. })), "{refused:?}");
    }
}
