//! Which way a bridge takes to the device.

use std::env;
use std::ffi::OsStr;
use std::path::Path;

use offstage_protocol::socket_path::SOCKET_VARIABLE;

use crate::channel::Channel;
use crate::channel::ChannelError;
use crate::channel::Link;
use crate::channel::LocalChannel;
use crate::channel::local::path_from_environment;

/// Any of the ways that there are on this system.
#[derive(Clone, Debug)]
pub enum AnyChannel {
    /// A client on the same machine.
    Local(LocalChannel),
    /// The remote desktop's own channel of a Windows session.
    #[cfg(windows)]
    Wts(crate::channel::wts::WtsChannel),
}

impl AnyChannel {
    /// The way that the command line or the environment names a socket for; without one, in a remote session, the remote desktop's channel;
    /// elsewhere the socket where a client of this user would be.
    #[must_use]
    pub fn choose(flag: Option<&OsStr>) -> Self {
        let is_named = flag.is_some() || env::var_os(SOCKET_VARIABLE).is_some_and(|value| !value.is_empty());
        let local = || Self::Local(LocalChannel::new(path_from_environment(flag)));
        if is_named { local() } else { remote().unwrap_or_else(local) }
    }

    /// The socket's path, where there is one.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        match self {
            Self::Local(channel) => Some(channel.path()),
            #[cfg(windows)]
            Self::Wts(_) => None,
        }
    }

    /// Where it leads, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Local(channel) => channel.path().display().to_string(),
            #[cfg(windows)]
            Self::Wts(channel) => format!("channel {}", channel.name()),
        }
    }
}

#[cfg(windows)]
fn remote() -> Option<AnyChannel> {
    use offstage_protocol::socket_path::DVC_NAME;
    let is_remote = crate::session::session_info().session_type == "rdp";
    is_remote.then(|| AnyChannel::Wts(crate::channel::wts::WtsChannel::new(DVC_NAME)))
}

#[cfg(unix)]
fn remote() -> Option<AnyChannel> {
    None
}

impl Channel for AnyChannel {
    fn kind(&self) -> &'static str {
        match self {
            Self::Local(channel) => channel.kind(),
            #[cfg(windows)]
            Self::Wts(channel) => channel.kind(),
        }
    }

    async fn open(&self) -> Result<Link, ChannelError> {
        match self {
            Self::Local(channel) => channel.open().await,
            #[cfg(windows)]
            Self::Wts(channel) => channel.open().await,
        }
    }
}
