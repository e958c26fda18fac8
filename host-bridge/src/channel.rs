//! The way from the session to the device.
//!
//! Below a [`Channel`] lie ordered bytes and nothing more: message boundaries aren't kept, nothing limits a queue but the
//! reader's pace, and the other end may be gone without a sign. Frames, credit and pings are the business of the ends.

pub mod choice;
#[cfg(windows)]
pub mod pipe;
#[cfg(unix)]
pub mod tls;
#[cfg(unix)]
pub mod unix;
pub mod wts;
#[cfg(unix)]
pub mod xrdp;

use std::future::Future;
use std::io;

#[cfg(unix)]
use offstage_pairing::PairingError;
use offstage_protocol::error::ErrorCode;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

/// The way to a client on the same machine.
#[cfg(windows)]
pub use pipe::PipeChannel as LocalChannel;
#[cfg(unix)]
pub use unix::UnixChannel as LocalChannel;

#[cfg(unix)]
use crate::channel::xrdp::XrdpError;

/// Ordered bytes that may die silently, opened by the session's side, as often as needed.
pub trait Channel: Send + Sync + 'static {
    /// The kind, as `ChannelUp` names it.
    fn kind(&self) -> &'static str;

    /// Opens the channel anew. Dropping the future gives up.
    fn open(&self) -> impl Future<Output = Result<Link, ChannelError>> + Send;
}

/// An open channel. Dropping it closes it.
pub struct Link {
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// Why there is no channel, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// Nobody listens, or the way there is barred.
    #[error("{error}: {place}")]
    Unreachable { place: String, error: io::Error },
    /// The other end runs as somebody else.
    #[error("the listener runs as user {user}, not as {own}: {place}")]
    OtherUser { place: String, user: String, own: String },
    /// The remote desktop's service doesn't open the channel: there is no plug-in at the other end, or policy forbids it.
    #[error("the remote desktop's channel {name} can't be opened: {error}")]
    Refused { name: String, error: io::Error },
    /// xrdp doesn't open its channel.
    #[cfg(unix)]
    #[error("{0}")]
    Xrdp(XrdpError),
    /// No device answers that this session is paired with.
    #[cfg(unix)]
    #[error("{error}: {place}")]
    Unpaired { place: String, error: PairingError },
    /// The client closed the channel.
    #[error("the client closed the channel")]
    Closed,
    /// Reading or writing failed.
    #[error("the channel failed: {0}")]
    Failed(io::Error),
}

impl ChannelError {
    /// The code that people and the extension see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unreachable { .. } => ErrorCode::CLIENT_UNREACHABLE,
            Self::OtherUser { .. } => ErrorCode::PEER_OF_ANOTHER_USER,
            #[cfg(unix)]
            Self::Xrdp(error) => error.code(),
            #[cfg(unix)]
            Self::Unpaired { error, .. } => error.code(),
            Self::Closed => ErrorCode::LINK_CLOSED,
            Self::Refused { .. } => ErrorCode::WTS_CHANNEL_REFUSED,
            Self::Failed(error) if is_malformed(error) => ErrorCode::WTS_DATA_MALFORMED,
            Self::Failed(_) => ErrorCode::LINK_DEAD,
        }
    }
}

/// Whether reading has ended because of what came.
fn is_malformed(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<wts::HeaderError>())
}
