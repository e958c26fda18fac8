//! Which way to the device a session takes. The rule is pure; docs/decisions/0100-channel-of-a-session.md says why it is so.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::env;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

use offstage_protocol::socket_path::SOCKET_VARIABLE;

#[cfg(unix)]
use self::unix as own;
#[cfg(windows)]
use self::windows as own;

use crate::channel::Channel;
use crate::channel::ChannelError;
use crate::channel::Link;
#[cfg(windows)]
use crate::channel::pipe::PipeChannel;
#[cfg(unix)]
use crate::channel::tls::TlsChannel;
#[cfg(unix)]
use crate::channel::unix::UnixChannel;
#[cfg(windows)]
use crate::channel::wts::WtsChannel;
#[cfg(unix)]
use crate::channel::xrdp::XrdpChannel;

/// Names the way.
pub const CHANNEL_VARIABLE: &str = "OFFSTAGE_CHANNEL";

/// Any of the ways.
#[derive(Clone, Debug)]
pub enum AnyChannel {
    #[cfg(unix)]
    Unix(UnixChannel),
    #[cfg(unix)]
    Xrdp(XrdpChannel),
    #[cfg(unix)]
    Tls(TlsChannel),
    #[cfg(windows)]
    Pipe(PipeChannel),
    #[cfg(windows)]
    Wts(WtsChannel),
}

impl Channel for AnyChannel {
    fn kind(&self) -> &'static str {
        match self {
            #[cfg(unix)]
            Self::Unix(channel) => channel.kind(),
            #[cfg(unix)]
            Self::Xrdp(channel) => channel.kind(),
            #[cfg(unix)]
            Self::Tls(channel) => channel.kind(),
            #[cfg(windows)]
            Self::Pipe(channel) => channel.kind(),
            #[cfg(windows)]
            Self::Wts(channel) => channel.kind(),
        }
    }

    async fn open(&self) -> Result<Link, ChannelError> {
        match self {
            #[cfg(unix)]
            Self::Unix(channel) => channel.open().await,
            #[cfg(unix)]
            Self::Xrdp(channel) => channel.open().await,
            #[cfg(unix)]
            Self::Tls(channel) => channel.open().await,
            #[cfg(windows)]
            Self::Pipe(channel) => channel.open().await,
            #[cfg(windows)]
            Self::Wts(channel) => channel.open().await,
        }
    }
}

/// What the choice depends on. Empty values count as absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// The command line's `--socket` and `--channel`.
    pub socket_flag: Option<&'a OsStr>,
    pub channel_flag: Option<&'a OsStr>,
    /// The environment's [`SOCKET_VARIABLE`] and [`CHANNEL_VARIABLE`].
    pub socket: Option<&'a OsStr>,
    pub channel: Option<&'a OsStr>,
    /// The environment's variables of these names.
    pub xrdp_session: Option<&'a OsStr>,
    pub xrdp_socket_path: Option<&'a OsStr>,
    pub display: Option<&'a OsStr>,
    pub xdg_runtime_dir: Option<&'a OsStr>,
    /// The user that the session belongs to.
    pub uid: u32,
    /// On Windows: whether the session is one of the remote desktop's, and the security identifier of the user that it belongs to.
    pub is_remote: bool,
    pub user: &'a str,
    /// The folder of the session's pairings, and whether there are any.
    pub pairings: Option<&'a Path>,
    pub is_paired: bool,
    /// Whether the usual socket is there.
    pub has_socket: bool,
}

/// A way and why it is that one.
#[derive(Clone, Debug)]
pub struct Choice {
    pub channel: AnyChannel,
    /// In words for people.
    pub reason: String,
    /// What was asked for and can't be had, so that the choice was made without it.
    pub problem: Option<String>,
}

impl Choice {
    /// By this process's environment.
    #[must_use]
    pub fn from_environment(socket_flag: Option<&OsStr>, channel_flag: Option<&OsStr>) -> Self {
        let [socket, channel, xrdp_session, xrdp_socket_path, display, xdg_runtime_dir] = [
            SOCKET_VARIABLE,
            CHANNEL_VARIABLE,
            "XRDP_SESSION",
            "XRDP_SOCKET_PATH",
            "DISPLAY",
            "XDG_RUNTIME_DIR",
        ]
        .map(env::var_os);
        let session = own::session();
        let mut given = Given {
            socket_flag,
            channel_flag,
            socket: socket.as_deref(),
            channel: channel.as_deref(),
            xrdp_session: xrdp_session.as_deref(),
            xrdp_socket_path: xrdp_socket_path.as_deref(),
            display: display.as_deref(),
            xdg_runtime_dir: xdg_runtime_dir.as_deref(),
            uid: session.uid,
            is_remote: session.is_remote,
            user: &session.user,
            pairings: session.pairings.as_deref(),
            is_paired: session.is_paired,
            has_socket: false,
        };
        given.has_socket = own::has_local(&given);
        choose(&given)
    }
}

/// What the system says of the session.
struct Session {
    uid: u32,
    is_remote: bool,
    user: String,
    pairings: Option<PathBuf>,
    is_paired: bool,
}

/// The rule: a socket that is named; the way that is named; the remote desktop that the session belongs to; the usual socket if it
/// is there; paired devices; the usual socket, which may come later.
#[must_use]
pub fn choose(given: &Given<'_>) -> Choice {
    let is_set = |value: Option<&OsStr>| value.is_some_and(|value| !value.is_empty());
    let choice = |channel, reason: &str| Choice { channel, reason: reason.to_owned(), problem: None };
    if is_set(given.socket_flag) {
        return choice(own::local(given), "--socket names it");
    }
    if is_set(given.socket) {
        return choice(own::local(given), &format!("{SOCKET_VARIABLE} names it"));
    }
    let flag = ("--channel", given.channel_flag);
    let variable = (CHANNEL_VARIABLE, given.channel);
    let asked = [flag, variable]
        .into_iter()
        .find_map(|(source, value)| Some((source, value.filter(|_| is_set(value))?)));
    let mut problem = None;
    if let Some((source, value)) = asked {
        // Another way is another arm here: a word, or a prefix such as `tls:` with what belongs to it.
        let word = value.to_str().unwrap_or_default();
        match own::named(word, given) {
            Some(channel) => return choice(channel, &format!("{source} is {word}")),
            None if word == "auto" => {}
            None => problem = Some(format!("{source} is {}, not {}", value.display(), own::WORDS)),
        }
    }
    let chosen = match own::remote(given) {
        Some((channel, reason)) => choice(channel, &reason),
        None => choice(
            own::local(given),
            "nothing names another way, and the session is of no known remote desktop",
        ),
    };
    Choice { problem, ..chosen }
}

/// The words that a command line takes; what they mean is [`choose`]'s to say.
///
/// # Errors
/// For what is none of them.
pub fn parse(text: &str) -> Result<OsString, String> {
    match choose(&Given { channel_flag: Some(OsStr::new(text)), ..Given::default() }).problem {
        None if !text.is_empty() => Ok(text.into()),
        None => Err("it is empty".to_owned()),
        Some(_) => Err(format!("it is not {}", own::WORDS)),
    }
}
