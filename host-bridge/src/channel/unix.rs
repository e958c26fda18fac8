//! A unix socket on the same machine: the client of a developer's desk, of the demo, or of a bridge from elsewhere.

use std::os::fd::AsFd;
use std::path::Path;
use std::path::PathBuf;

use tokio::net::UnixStream;

use crate::channel::Channel;
use crate::channel::ChannelError;
use crate::channel::Link;

/// A socket that a client listens on.
#[derive(Clone, Debug)]
pub struct UnixChannel {
    path: PathBuf,
}

impl UnixChannel {
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The client's socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Channel for UnixChannel {
    fn kind(&self) -> &'static str {
        "unix"
    }

    async fn open(&self) -> Result<Link, ChannelError> {
        let stream = UnixStream::connect(&self.path)
            .await
            .map_err(|error| ChannelError::Unreachable { place: place(&self.path), error })?;
        check_peer(&stream, &self.path)?;
        let (reader, writer) = stream.into_split();
        Ok(Link { reader: Box::new(reader), writer: Box::new(writer) })
    }
}

/// Makes sure that the program which listens at a socket runs as the same user: whoever gets the media of the session
/// must be its owner. The kernel says who called `listen`, so a socket in a folder of somebody else's is found out too.
///
/// # Errors
/// [`ChannelError::OtherUser`], and [`ChannelError::Failed`] if the kernel doesn't say.
pub fn check_peer(stream: &impl AsFd, path: &Path) -> Result<(), ChannelError> {
    let peer =
        rustix::net::sockopt::socket_peercred(stream).map_err(|error| ChannelError::Failed(error.into()))?;
    let own = rustix::process::geteuid();
    if peer.uid == own {
        Ok(())
    } else {
        let (user, own) = (peer.uid.as_raw().to_string(), own.as_raw().to_string());
        Err(ChannelError::OtherUser { place: place(path), user, own })
    }
}

fn place(path: &Path) -> String {
    path.display().to_string()
}
