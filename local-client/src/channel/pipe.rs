//! The named pipe: bridges and plug-ins of the same user on the same machine.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use offstage_support::win32::pipe;
use offstage_support::win32::process;
use offstage_support::win32::process::Process;
use offstage_support::win32::user;
use tokio::net::windows::named_pipe::ClientOptions;
use tokio::net::windows::named_pipe::NamedPipeServer;

use crate::channel::Channels;
use crate::channel::ListenError;
use crate::channel::Peer;
use crate::channel::ancestors;

/// How long Windows is left alone when it has no more pipes.
const PAUSE: Duration = Duration::from_millis(200);

/// The pipe that is listened on.
#[derive(Debug)]
pub struct Listener {
    /// The end that waits for the next peer. There always is one, so that nobody else can take the name.
    next: NamedPipeServer,
    path: PathBuf,
}

impl Listener {
    /// Makes the pipe, which only this user may open. A name that is in use is nobody else's to share.
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        let taken = |is_own| if is_own { ListenError::AlreadyRunning } else { ListenError::OtherUser };
        if let Some(is_own) = is_own(path) {
            return Err(taken(is_own));
        }
        // Another may have been faster: Windows lets one be the first of a name.
        let next = pipe::listen(path, true).map_err(|error| match is_own(path) {
            Some(is_own) if pipe::is_taken(&error) => taken(is_own),
            Some(_) | None => ListenError::Io(error),
        })?;
        Ok(Self { next, path: path.to_owned() })
    }

    /// Accepts peers until the receiver of the events is gone.
    pub async fn run(mut self, channels: Channels) {
        loop {
            let connected = self.next.connect().await;
            let stream = match pipe::listen(&self.path, false) {
                Ok(next) => std::mem::replace(&mut self.next, next),
                Err(error) => {
                    tracing::warn!(%error, "can't accept a session");
                    // The same end is used again: whoever has connected has to try anew.
                    self.next.disconnect().ok();
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            if let Err(error) = connected {
                tracing::debug!(%error, "a peer has gone before it was served");
                continue;
            }
            let Some(peer) = own_peer(&stream) else {
                tracing::warn!("refused a peer of another user");
                continue;
            };
            let (reader, writer) = tokio::io::split(stream);
            let Some(served) = channels.open(peer, reader, writer, std::future::pending()).await else {
                return;
            };
            tokio::spawn(served);
        }
    }
}

/// Whether the pipe of that name is this user's; `None` if there is none.
#[must_use]
pub fn is_own(path: &Path) -> Option<bool> {
    match ClientOptions::new().open(path) {
        Ok(pipe) => Some(matches!(user::stranger(&pipe), Ok(None))),
        // Another's access list doesn't let this user open it, this user's own does.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(false),
        Err(error) if pipe::is_busy(&error) => Some(true),
        Err(_) => None,
    }
}

/// The peer, if it runs as the same user: the access list has seen to it, but for an administrator's.
fn own_peer(stream: &NamedPipeServer) -> Option<Peer> {
    let process = user::client_of(stream).ok()?;
    if user::of_process(process).ok()? != user::own().ok()? {
        return None;
    }
    let all = process::all();
    let mut processes = ancestors(process, |process| parent_of(process, &all));
    // The plug-in of a remote desktop's client runs in the process that the window belongs to.
    processes.push(process);
    Some(Peer { processes })
}

/// Who started a process, while that still runs.
fn parent_of(process: u32, all: &BTreeMap<u32, Process>) -> Option<u32> {
    let parent = all.get(&process)?.parent;
    all.contains_key(&parent).then_some(parent)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncReadExt as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::windows::named_pipe::NamedPipeClient;
    use tokio::sync::Notify;
    use tokio::sync::mpsc;

    use super::*;
    use crate::channel::ChannelEvent;

    fn path(name: &str) -> PathBuf {
        PathBuf::from(format!(r"\\.\pipe\offstage-test-{}-{name}", std::process::id()))
    }

    async fn connect(path: &Path) -> NamedPipeClient {
        loop {
            match ClientOptions::new().open(path) {
                Err(error) if pipe::is_busy(&error) => tokio::task::yield_now().await,
                result => return result.unwrap(),
            }
        }
    }

    #[test]
    fn a_process_that_has_gone_is_no_parent() {
        let process = |id: u32, parent| (id, Process { parent, program: String::new() });
        let all: BTreeMap<u32, Process> =
            [process(9, 8), process(8, 7), process(7, 6), process(5, 5)].into_iter().collect();
        let above = |process| ancestors(process, |process| parent_of(process, &all));
        assert_eq!(above(9), [8, 7]);
        assert_eq!(above(5), Vec::<u32>::new());
        assert_eq!(above(1), Vec::<u32>::new());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_name_is_listened_on_by_one_client() {
        let path = path("one");
        assert_eq!(is_own(&path), None);
        let first = Listener::bind(&path).unwrap();
        let second = Listener::bind(&path);
        assert!(matches!(second, Err(ListenError::AlreadyRunning)), "{second:?}");
        drop(first);
        Listener::bind(&path).unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn carries_bytes_both_ways_for_several_and_reports_the_end() {
        let path = path("carry");
        let (events, mut received) = mpsc::channel(16);
        let running =
            tokio::spawn(Listener::bind(&path).unwrap().run(Channels::new(events, Arc::new(Notify::new()))));
        let mut waiting = Vec::new();
        for word in [b"one", b"two"] {
            let mut end = connect(&path).await;
            let Some(ChannelEvent::Opened { sender, peer, .. }) = received.recv().await else {
                panic!("not opened");
            };
            assert_eq!(peer.processes.last(), Some(&std::process::id()));
            end.write_all(word).await.unwrap();
            let Some(ChannelEvent::Bytes { bytes, .. }) = received.recv().await else {
                panic!("no bytes");
            };
            assert_eq!(bytes, word);
            waiting.push((end, sender));
        }
        for (mut end, sender) in waiting {
            sender.send(b"down".to_vec()).await.unwrap();
            let mut answer = [0; 4];
            end.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"down");
            drop(end);
            assert!(matches!(received.recv().await, Some(ChannelEvent::Gone { .. })));
        }
        running.abort();
    }
}
