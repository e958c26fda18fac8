//! The unix socket: bridges of the same user on the same machine.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::net::UnixStream;

use crate::channel::Channels;
use crate::channel::ListenError;
use crate::channel::Peer;
use crate::channel::ancestors;

/// The listening socket; its file goes away with it.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of our own file, so that a successor's is not removed.
    identity: (u64, u64),
}

impl Listener {
    /// Makes the folder (0700) and the socket (0600). A socket that nobody answers on is removed.
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            check_folder(folder)?;
        }
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(ListenError::NotASocket);
            }
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(ListenError::AlreadyRunning);
            }
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path).map_err(|error| {
            // Another client was faster.
            let taken = error.kind() == io::ErrorKind::AddrInUse;
            if taken { ListenError::AlreadyRunning } else { ListenError::Io(error) }
        })?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let made = fs::symlink_metadata(path)?;
        Ok(Self { listener, path: path.to_path_buf(), identity: (made.dev(), made.ino()) })
    }

    /// Accepts peers until the receiver of the events is gone.
    pub async fn run(self, channels: Channels) {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Most likely out of descriptors: others must close before it can get better.
                    tracing::warn!(%error, "can't accept a session");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            let Some(peer) = own_peer(&stream) else {
                tracing::warn!("refused a peer of another user");
                continue;
            };
            let (reader, writer) = stream.into_split();
            let Some(served) = channels.open(peer, reader, writer, std::future::pending()).await else {
                return;
            };
            tokio::spawn(served);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let still_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if still_ours {
            fs::remove_file(&self.path).ok();
        }
    }
}

/// The nearest folder must be ours alone, or a shared one in which others can't replace our files.
fn check_folder(folder: &Path) -> Result<(), ListenError> {
    let data = fs::metadata(folder)?;
    let mode = data.mode();
    let own = data.uid() == rustix::process::geteuid().as_raw();
    let sticky = mode & 0o1000 != 0;
    if (own && mode & 0o022 == 0) || sticky { Ok(()) } else { Err(ListenError::UnsafeFolder) }
}

/// The peer, if it runs as the same user.
fn own_peer(stream: &UnixStream) -> Option<Peer> {
    let credentials = stream.peer_cred().ok()?;
    if credentials.uid() != rustix::process::geteuid().as_raw() {
        return None;
    }
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
    let mut processes = pid.map(|pid| ancestors(pid, parent_of)).unwrap_or_default();
    // A browser may come without a bridge in between.
    processes.extend(pid);
    Some(Peer { processes })
}

/// Who started a process, but for the system itself.
fn parent_of(pid: u32) -> Option<u32> {
    let parent = parse_parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    (parent > 1).then_some(parent)
}

/// The fourth field of `/proc/<pid>/stat`; the second, the name, may hold anything in parentheses.
fn parse_parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncReadExt as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::sync::Notify;
    use tokio::sync::mpsc;

    use super::*;
    use crate::channel::ChannelEvent;

    #[test]
    fn reads_the_parent_whatever_the_name_is() {
        assert_eq!(parse_parent("12 (a b) S 34 5 6"), Some(34));
        assert_eq!(parse_parent("12 (a) S 1) S 35 5 6"), Some(35));
        assert_eq!(parse_parent("12 (a"), None);
        assert_eq!(parse_parent(""), None);
    }

    #[test]
    fn knows_its_own_ancestors() {
        let parent = std::os::unix::process::parent_id();
        if parent > 1 {
            assert_eq!(ancestors(std::process::id(), parent_of).first(), Some(&parent));
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/client.sock");
        let first = Listener::bind(&path).unwrap();
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(Listener::bind(&path), Err(ListenError::AlreadyRunning)));
        drop(first);
        assert!(!path.exists());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        Listener::bind(&path).unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_file_in_its_place_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Listener::bind(&path), Err(ListenError::NotASocket)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_folder_that_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Listener::bind(&folder.path().join("client.sock")), Err(ListenError::UnsafeFolder)));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn carries_bytes_both_ways_and_reports_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.sock");
        let (events, mut received) = mpsc::channel(4);
        let running =
            tokio::spawn(Listener::bind(&path).unwrap().run(Channels::new(events, Arc::new(Notify::new()))));
        let mut peer = UnixStream::connect(&path).await.unwrap();
        let Some(ChannelEvent::Opened { sender, .. }) = received.recv().await else {
            panic!("not opened");
        };
        peer.write_all(b"up").await.unwrap();
        let Some(ChannelEvent::Bytes { bytes, .. }) = received.recv().await else {
            panic!("no bytes");
        };
        assert_eq!(bytes, b"up");
        sender.send(b"down".to_vec()).await.unwrap();
        drop(sender);
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"down");
        assert!(matches!(received.recv().await, Some(ChannelEvent::Gone { .. })));
        running.abort();
    }
}
