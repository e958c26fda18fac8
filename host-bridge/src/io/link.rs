//! The channel as the loop sees it: one future for whatever happens next.

use std::future::Future;
use std::future::pending;
use std::io;
use std::pin::Pin;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::channel::Channel;
use crate::channel::ChannelError;
use crate::channel::Link;

const READ_SIZE: usize = 256 << 10;

type Opening<'a> = Pin<Box<dyn Future<Output = Result<Link, ChannelError>> + Send + 'a>>;

/// The channel, whatever state it is in. Replacing it closes what was open.
pub(crate) enum LinkState<'a> {
    Off,
    Opening {
        epoch: u64,
        opening: Opening<'a>,
    },
    Open {
        epoch: u64,
        open: Open,
    },
    /// Its error has been reported.
    Failed,
}

/// An open channel with its buffers.
pub(crate) struct Open {
    link: Link,
    read: Vec<u8>,
    /// What is being written, and how much of it has been.
    write: Vec<u8>,
    written: usize,
}

/// What happened on the channel.
#[derive(Debug)]
pub(crate) enum LinkEvent<'a> {
    Opened,
    Read(&'a [u8]),
    Written(usize),
    Failed(ChannelError),
}

impl<'a> LinkState<'a> {
    pub(crate) fn open<C: Channel>(channel: &'a C, epoch: u64) -> Self {
        Self::Opening { epoch, opening: Box::pin(channel.open()) }
    }

    /// True if nothing is left of the last [`Self::write`].
    pub(crate) fn may_write(&self) -> bool {
        match self {
            Self::Open { open, .. } => open.written == open.write.len(),
            Self::Off | Self::Opening { .. } | Self::Failed => false,
        }
    }

    pub(crate) fn write(&mut self, bytes: Vec<u8>) {
        if let Self::Open { open, .. } = self {
            open.write = bytes;
            open.written = 0;
        }
    }

    /// The next event with the channel's epoch; never, if there is no channel. Nothing is lost when the future is dropped.
    pub(crate) async fn event(&mut self, may_read: bool) -> (u64, LinkEvent<'_>) {
        let (epoch, done) = match self {
            Self::Off | Self::Failed => pending().await,
            Self::Opening { epoch, opening } => (*epoch, opening.await.map(Done::Opened)),
            Self::Open { epoch, open } => (*epoch, open.next(may_read).await),
        };
        match done {
            Ok(Done::Opened(link)) => {
                let open = Open { link, read: vec![0; READ_SIZE], write: Vec::new(), written: 0 };
                *self = Self::Open { epoch, open };
                (epoch, LinkEvent::Opened)
            }
            Ok(Done::Read(length)) => {
                let Self::Open { open, .. } = self else { return pending().await };
                (epoch, LinkEvent::Read(open.read.get(..length).unwrap_or_default()))
            }
            Ok(Done::Written(length)) => (epoch, LinkEvent::Written(length)),
            Err(error) => {
                *self = Self::Failed;
                (epoch, LinkEvent::Failed(error))
            }
        }
    }
}

enum Done {
    Opened(Link),
    Read(usize),
    Written(usize),
}

impl Open {
    async fn next(&mut self, may_read: bool) -> Result<Done, ChannelError> {
        let rest = self.write.get(self.written..).unwrap_or_default();
        let done = tokio::select! {
            read = self.link.reader.read(&mut self.read), if may_read => read.map(Done::Read),
            written = self.link.writer.write(rest), if !rest.is_empty() => written.map(Done::Written),
            // Keeps the select alive while neither is wanted.
            never = pending() => never,
        };
        match done {
            Ok(Done::Read(0) | Done::Written(0)) => Err(ChannelError::Closed),
            Ok(Done::Written(length)) => {
                self.written += length;
                Ok(Done::Written(length))
            }
            Ok(done) => Ok(done),
            // TLS tells a close without a goodbye apart; frames have an end of their own.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ChannelError::Closed),
            Err(error) => Err(ChannelError::Failed(error)),
        }
    }
}
