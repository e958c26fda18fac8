//! Why two ends don't come together.

use std::io;
use std::path::PathBuf;

use offstage_protocol::ErrorCode;
use tokio_rustls::rustls;
use tokio_rustls::rustls::AlertDescription;
use tokio_rustls::rustls::CertificateError;

/// Why two ends don't come together.
#[derive(Debug, thiserror::Error)]
pub enum PairingError {
    /// This end is paired with nobody, or not with whom it was asked for.
    #[error("there is no pairing for it")]
    NotPaired,
    /// The other end says that it doesn't know this one.
    #[error("the other end does not know this one (any more)")]
    Refused,
    /// The other end shows a key that isn't the one of the pairing.
    #[error("the other end shows a key that this one is not paired with")]
    UnknownPeer,
    /// The two codes differ, or somebody in between has ended the encryption.
    #[error("the code is wrong, or somebody is in between")]
    CodeWrong,
    #[error("this is no code: it has eight letters and digits, as in ABCD-2345")]
    NotACode,
    #[error("the code is over")]
    CodeExpired,
    #[error("the code was tried too often")]
    TriesUsedUp,
    /// The device doesn't show a code at the moment.
    #[error("the device shows no code at the moment")]
    NotPairing,
    /// Not TLS, another version of it, or ended by the other side.
    #[error("{0}")]
    Tls(String),
    /// A message that has no place there, or is too long.
    #[error("a message that makes no sense: {0}")]
    Malformed(&'static str),
    /// A file of keys that can't be read, written or trusted.
    #[error("{what}: {path}", path = path.display())]
    File { path: PathBuf, what: String },
    #[error("no random numbers")]
    NoRandomNumbers,
    /// Too many that haven't shown who they are.
    #[error("too many connections that have not shown who they are")]
    Crowded,
    #[error("no answer within {0} seconds")]
    Slow(u64),
    /// Nobody listens there, or the way is barred.
    #[error("{error}: {place}")]
    Unreachable { place: String, error: io::Error },
    /// A device can't wait for sessions at this address.
    #[error("{error}: {place}")]
    Listen { place: String, error: io::Error },
    #[error("the connection ended: {0}")]
    Lost(io::Error),
}

impl PairingError {
    /// The code that people see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotPaired | Self::Refused => ErrorCode::NOT_PAIRED,
            Self::UnknownPeer => ErrorCode::PEER_UNKNOWN,
            Self::CodeWrong | Self::NotACode => ErrorCode::PAIRING_CODE_WRONG,
            Self::CodeExpired => ErrorCode::PAIRING_CODE_EXPIRED,
            Self::TriesUsedUp => ErrorCode::PAIRING_TRIES_USED_UP,
            Self::NotPairing => ErrorCode::DEVICE_NOT_PAIRING,
            Self::Tls(_) | Self::Slow(_) | Self::Crowded => ErrorCode::TLS_FAILED,
            Self::Malformed(_) => ErrorCode::MALFORMED_MESSAGE,
            Self::File { .. } => ErrorCode::PAIRINGS_UNREADABLE,
            Self::NoRandomNumbers => ErrorCode::INTERNAL,
            Self::Unreachable { .. } => ErrorCode::CLIENT_UNREACHABLE,
            Self::Listen { error, .. } if error.kind() == io::ErrorKind::AddrInUse => {
                ErrorCode::CLIENT_ALREADY_RUNNING
            }
            Self::Listen { .. } => ErrorCode::CONFIG_INVALID,
            Self::Lost(_) => ErrorCode::LINK_CLOSED,
        }
    }

    /// What a device tells of itself by a code; anything else is a message without sense.
    pub(crate) fn of_refusal(code: u32) -> Self {
        match ErrorCode::from_u32(code) {
            Some(ErrorCode::PAIRING_CODE_WRONG) => Self::CodeWrong,
            Some(ErrorCode::PAIRING_CODE_EXPIRED) => Self::CodeExpired,
            Some(ErrorCode::PAIRING_TRIES_USED_UP) => Self::TriesUsedUp,
            Some(ErrorCode::DEVICE_NOT_PAIRING) => Self::NotPairing,
            Some(_) | None => Self::Malformed("a refusal without a reason"),
        }
    }
}

/// What TLS made of it: reasons are inside of errors of reading and writing.
impl From<io::Error> for PairingError {
    fn from(error: io::Error) -> Self {
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return Self::Lost(error);
        };
        if *tls == rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) {
            Self::UnknownPeer
        } else if *tls == rustls::Error::AlertReceived(AlertDescription::AccessDenied) {
            Self::Refused
        } else {
            Self::Tls(tls.to_string())
        }
    }
}
