//! A named pipe on the same machine: what the unix socket is elsewhere.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use offstage_support::win32::pipe;
use offstage_support::win32::user;
use offstage_support::win32::user::Stranger;
use tokio::net::windows::named_pipe::ClientOptions;
use tokio::net::windows::named_pipe::NamedPipeClient;

use crate::channel::Channel;
use crate::channel::ChannelError;
use crate::channel::Link;

/// How long, and how often, a busy pipe is tried.
const BUSY_PACE: Duration = Duration::from_millis(20);
const BUSY_TRIES: u32 = 100;

/// A pipe that a client listens on.
#[derive(Clone, Debug)]
pub struct PipeChannel {
    path: PathBuf,
}

impl PipeChannel {
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Channel for PipeChannel {
    fn kind(&self) -> &'static str {
        "pipe"
    }

    async fn open(&self) -> Result<Link, ChannelError> {
        let unreachable = |error| ChannelError::Unreachable { place: place(&self.path), error };
        let pipe = connect(&self.path).await.map_err(unreachable)?;
        check_peer(&pipe, &self.path)?;
        let (reader, writer) = tokio::io::split(pipe);
        Ok(Link { reader: Box::new(reader), writer: Box::new(writer) })
    }
}

async fn connect(path: &Path) -> io::Result<NamedPipeClient> {
    let mut last = None;
    for _ in 0..BUSY_TRIES {
        // The listener may know who calls, and not act in the caller's name: what these options are by default.
        match ClientOptions::new().open(path) {
            Err(error) if pipe::is_busy(&error) => {
                last = Some(error);
                tokio::time::sleep(BUSY_PACE).await;
            }
            result => return result,
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::ResourceBusy.into()))
}

/// Makes sure that the program which listens at a pipe runs as the same user: whoever gets the media of the session must be its owner.
fn check_peer(pipe: &NamedPipeClient, path: &Path) -> Result<(), ChannelError> {
    match user::stranger(pipe).map_err(ChannelError::Failed)? {
        None => Ok(()),
        Some(Stranger { user, own }) => Err(ChannelError::OtherUser { place: place(path), user, own }),
    }
}

fn place(path: &Path) -> String {
    path.display().to_string()
}
