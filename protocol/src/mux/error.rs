//! Why a connection, or a single send, failed.

use thiserror::Error;

use crate::error::ErrorCode;
use crate::frame::FrameError;

/// What [`super::Mux`] answers when something can't go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MuxError {
    #[error("nothing was heard from the other end for {seconds} s")]
    LinkDead { seconds: u64 },
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("message on stream {stream} is larger than allowed")]
    OversizeMessage { stream: u32 },
    #[error("stream {stream}: frame {expected} is missing, {found} came")]
    SequenceGap { stream: u32, expected: u32, found: u32 },
    /// `stream` is 0 if the connection's credit was exceeded.
    #[error("more than the credit of stream {stream} was sent")]
    CreditExceeded { stream: u32 },
    #[error("stream {stream} is one more than allowed")]
    TooManyStreams { stream: u32 },
    #[error("stream {stream} begins one unfinished message more than allowed")]
    TooManyUnfinished { stream: u32 },
    #[error("the queue of stream {stream} is full")]
    QueueFull { stream: u32 },
    #[error("protocol {own_min} to {own_max} here, {peer_min} to {peer_max} there")]
    VersionMismatch { own_min: u32, own_max: u32, peer_min: u32, peer_max: u32 },
    #[error("something came on stream {stream} before the hello")]
    HelloMissing { stream: u32 },
    #[error("message on stream {stream} can't be read")]
    MalformedMessage { stream: u32 },
    #[error("message has no place on stream {stream}")]
    UnexpectedMessage { stream: u32 },
    #[error("stream {stream} is closed")]
    StreamClosed { stream: u32 },
    #[error("the connection is closed")]
    Closed,
}

impl MuxError {
    /// The table's code for it.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::LinkDead { .. } => ErrorCode::LINK_DEAD,
            Self::Frame(error) => error.code(),
            Self::OversizeMessage { .. } => ErrorCode::OVERSIZE_MESSAGE,
            Self::SequenceGap { .. } => ErrorCode::SEQUENCE_GAP,
            Self::CreditExceeded { .. } => ErrorCode::CREDIT_EXCEEDED,
            Self::TooManyStreams { .. } | Self::TooManyUnfinished { .. } => ErrorCode::TOO_MANY_STREAMS,
            Self::QueueFull { .. } => ErrorCode::QUEUE_FULL,
            Self::VersionMismatch { .. } => ErrorCode::VERSION_MISMATCH,
            Self::HelloMissing { .. } => ErrorCode::HELLO_MISSING,
            Self::MalformedMessage { .. } => ErrorCode::MALFORMED_MESSAGE,
            Self::UnexpectedMessage { .. } => ErrorCode::UNEXPECTED_MESSAGE,
            Self::StreamClosed { .. } => ErrorCode::STREAM_CLOSED,
            Self::Closed => ErrorCode::LINK_CLOSED,
        }
    }
}
