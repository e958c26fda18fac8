//! A dynamic virtual channel of an RDP connection, as xrdp lends it to the programs of a session.
//!
//! xrdp's `xrdp-chansrv` runs in each session as its user and listens on a socket. Whoever connects names a channel and gets a status;
//! then raw bytes go both ways. Message boundaries are not kept, nothing limits its queues, and a socket whose RDP client went away
//! stays open and swallows what is written: what a reopening is for. The protocol is xrdp's own and the same in 0.9 and 0.10
//! (`sesman/chansrv/chansrv.c` and `xrdpapi/xrdpapi.c` there).

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use offstage_protocol::error::ErrorCode;
use offstage_protocol::socket_path::DVC_NAME;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

use crate::channel::Channel;
use crate::channel::ChannelError;
use crate::channel::Link;
use crate::channel::unix::check_peer;

/// Names the folder of a session's sockets.
pub const FOLDER_VARIABLE: &str = "XRDP_SOCKET_PATH";

/// Where xrdp 0.9 keeps the sockets of all sessions, and 0.10 a folder for each user.
const SOCKET_FOLDER: &str = "/run/xrdp/sockdir";

/// The version of the request, and the flag that asks for a dynamic channel.
const VERSION: u32 = 0;
const DYNAMIC: u32 = 1;

/// The RDP client knows nobody who listens for the channel.
const STATUS_NO_LISTENER: u32 = 0xC000_0001;

/// Why xrdp gives no channel.
#[derive(Debug, thiserror::Error)]
pub enum XrdpError {
    /// The sockets have the display's number in their names.
    #[error("DISPLAY names no display of this machine, so the socket's name isn't known")]
    NoDisplay,
    #[error("xrdp's channel service has no socket here: {places}")]
    NoSocket { places: String },
    #[error("{error}: {place}")]
    NoService { place: String, error: io::Error },
    /// The service closed the socket without a word, which is how it says so.
    #[error("no RDP client is connected")]
    NoClient,
    #[error("the RDP client has no plug-in for the channel {DVC_NAME}")]
    NoPlugin,
    #[error("the RDP client refuses the channel {DVC_NAME} with status {status:#010x}")]
    Refused { status: u32 },
    #[error("xrdp's channel service closed the socket after {got} of 4 bytes")]
    ShortAnswer { got: usize },
}

impl XrdpError {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::NoDisplay | Self::NoSocket { .. } | Self::NoService { .. } => ErrorCode::XRDP_UNREACHABLE,
            Self::NoClient => ErrorCode::RDP_CLIENT_MISSING,
            Self::NoPlugin => ErrorCode::RDP_PLUGIN_MISSING,
            Self::Refused { .. } => ErrorCode::RDP_CHANNEL_REFUSED,
            Self::ShortAnswer { .. } => ErrorCode::RDP_ANSWER_CUT,
        }
    }
}

/// The channel [`DVC_NAME`] of the session's RDP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XrdpChannel {
    /// Where the service's socket may be, the likeliest first.
    places: Vec<PathBuf>,
}

impl XrdpChannel {
    /// By the environment's [`FOLDER_VARIABLE`] and `DISPLAY`, for this user.
    #[must_use]
    pub fn new(folder: Option<&OsStr>, display: Option<&OsStr>, uid: u32) -> Self {
        let Some(number) = display.and_then(display_number) else { return Self { places: Vec::new() } };
        let usual = Path::new(SOCKET_FOLDER);
        let named = folder.map(PathBuf::from).filter(|folder| folder.is_absolute());
        let mut folders: Vec<_> = named.into_iter().collect();
        for folder in [usual.join(uid.to_string()), usual.to_path_buf()] {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        Self { places: folders.into_iter().map(|folder| folder.join(format!("xrdpapi_{number}"))).collect() }
    }

    /// The service's socket.
    ///
    /// # Errors
    /// If there is none, or its name isn't known.
    pub fn socket(&self) -> Result<&Path, XrdpError> {
        if self.places.is_empty() {
            return Err(XrdpError::NoDisplay);
        }
        let found = self.places.iter().find(|place| place.exists());
        found.map(PathBuf::as_path).ok_or_else(|| {
            let places: Vec<_> = self.places.iter().map(|place| place.display().to_string()).collect();
            XrdpError::NoSocket { places: places.join(", ") }
        })
    }
}

impl Channel for XrdpChannel {
    fn kind(&self) -> &'static str {
        "xrdp"
    }

    async fn open(&self) -> Result<Link, ChannelError> {
        let socket = self.socket().map_err(ChannelError::Xrdp)?;
        let stream = UnixStream::connect(socket).await.map_err(|error| {
            ChannelError::Xrdp(XrdpError::NoService { place: socket.display().to_string(), error })
        })?;
        check_peer(&stream, socket)?;
        let (mut reader, mut writer) = stream.into_split();
        // It may have closed its end already, having said what it has to say.
        let asked = writer.write_all(&request(DVC_NAME)).await;
        let answered = read_status(&mut reader).await.map_err(ChannelError::Xrdp);
        answered.and(asked.map_err(ChannelError::Failed))?;
        Ok(Link { reader: Box::new(reader), writer: Box::new(writer) })
    }
}

/// What asks for a channel: the length of all, a version, the name with its length, the flags; all numbers little endian.
fn request(name: &str) -> Vec<u8> {
    // INVARIANT: the name is a constant of a few bytes.
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&length.saturating_add(16).to_le_bytes());
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(&DYNAMIC.to_le_bytes());
    bytes
}

/// Takes the answer and not a byte more.
async fn read_status(reader: &mut (impl AsyncRead + Unpin)) -> Result<(), XrdpError> {
    let mut status = [0; 4];
    let mut got = 0;
    while got < status.len() {
        // A socket that is closed with something unread in it ends in an error.
        let read = reader.read(status.get_mut(got..).unwrap_or_default()).await.unwrap_or(0);
        match (read, got) {
            (0, 0) => return Err(XrdpError::NoClient),
            (0, got) => return Err(XrdpError::ShortAnswer { got }),
            (read, _) => got += read,
        }
    }
    match u32::from_le_bytes(status) {
        0 => Ok(()),
        STATUS_NO_LISTENER => Err(XrdpError::NoPlugin),
        status => Err(XrdpError::Refused { status }),
    }
}

/// The number of a display of this machine: 60 of `:60.0`.
fn display_number(display: &OsStr) -> Option<u32> {
    let rest = display.to_str()?.strip_prefix(':')?;
    let digits = rest.split_once('.').map_or(rest, |(number, _screen)| number);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    fn places(folder: &str, display: &str) -> Vec<String> {
        let channel = XrdpChannel::new(Some(OsStr::new(folder)), Some(OsStr::new(display)), 1000);
        channel.places.iter().map(|place| place.display().to_string()).collect()
    }

    #[test]
    fn the_socket_is_looked_for_where_both_versions_have_it() {
        let both = ["/run/xrdp/sockdir/1000/xrdpapi_60", "/run/xrdp/sockdir/xrdpapi_60"];
        assert_eq!(places("", ":60.0"), both);
        assert_eq!(places("relative", ":60"), both);
        assert_eq!(places("/run/xrdp/sockdir/1000", ":60.0"), both);
        assert_eq!(places("/run/xrdp/sockdir", ":60.0"), [both[1], both[0]]);
        assert_eq!(places("/x", ":7")[0], "/x/xrdpapi_7");
    }

    #[test]
    fn a_display_elsewhere_has_no_socket() {
        for display in ["", ":", ":.0", "host:10.0", ":x", ":-1", ":+1", ":99999999999", "wayland-0"] {
            assert_eq!(places("/x", display), [""; 0], "{display}");
        }
        let channel = XrdpChannel::new(None, None, 1000);
        assert!(matches!(channel.socket(), Err(XrdpError::NoDisplay)));
    }

    #[test]
    fn the_request_has_its_exact_bytes() {
        let expected = b"\x18\0\0\0\0\0\0\0\x08\0\0\0OFFSTAGE\x01\0\0\0";
        assert_eq!(request(DVC_NAME), expected);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn every_answer_has_its_code() {
        for (answer, expected) in [
            (&b"\0\0\0\0beyond"[..], None),
            (b"", Some(ErrorCode::RDP_CLIENT_MISSING)),
            (b"\x01\0\0\xc0", Some(ErrorCode::RDP_PLUGIN_MISSING)),
            (b"\x01\0\0\0", Some(ErrorCode::RDP_CHANNEL_REFUSED)),
            (b"\xff\xff\xff\xff", Some(ErrorCode::RDP_CHANNEL_REFUSED)),
            (b"\0\0\0", Some(ErrorCode::RDP_ANSWER_CUT)),
        ] {
            let (mut service, mut reader) = tokio::io::duplex(1);
            let wrote = tokio::spawn(async move { service.write_all(answer).await });
            let status = read_status(&mut reader).await;
            assert_eq!(status.err().map(|error| error.code()), expected, "{answer:?}");
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, answer.get(4..).unwrap_or_default());
            wrote.await.unwrap().unwrap();
        }
    }
}
