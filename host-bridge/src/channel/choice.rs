//! Which way to the device a session takes. The rule is pure; docs/decisions/0100-channel-of-a-session.md says why it is so.

use std::env;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

use offstage_pairing::address::Address;
use offstage_pairing::store::Store;
use offstage_protocol::socket_path::SOCKET_VARIABLE;
use offstage_protocol::socket_path::SocketChoice;
use offstage_protocol::socket_path::socket_path;

use crate::channel::Channel;
use crate::channel::ChannelError;
use crate::channel::Link;
use crate::channel::tls;
use crate::channel::tls::TlsChannel;
use crate::channel::unix::UnixChannel;
use crate::channel::xrdp::FOLDER_VARIABLE;
use crate::channel::xrdp::XrdpChannel;

/// Names the way.
pub const CHANNEL_VARIABLE: &str = "OFFSTAGE_CHANNEL";

const WORDS: &str = "auto, unix, xrdp, tls or tls:HOST:PORT";

/// Any of the ways.
#[derive(Clone, Debug)]
pub enum AnyChannel {
    Unix(UnixChannel),
    Xrdp(XrdpChannel),
    Tls(TlsChannel),
}

impl Channel for AnyChannel {
    fn kind(&self) -> &'static str {
        match self {
            Self::Unix(channel) => channel.kind(),
            Self::Xrdp(channel) => channel.kind(),
            Self::Tls(channel) => channel.kind(),
        }
    }

    async fn open(&self) -> Result<Link, ChannelError> {
        match self {
            Self::Unix(channel) => channel.open().await,
            Self::Xrdp(channel) => channel.open().await,
            Self::Tls(channel) => channel.open().await,
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
            FOLDER_VARIABLE,
            "DISPLAY",
            "XDG_RUNTIME_DIR",
        ]
        .map(env::var_os);
        let uid = rustix::process::geteuid().as_raw();
        let pairings = tls::folder().ok();
        // A file that can't be read is told when the channel is opened.
        let paired = |folder: &PathBuf| Store::new(folder).list().map_or(true, |all| !all.is_empty());
        let mut given = Given {
            socket_flag,
            channel_flag,
            socket: socket.as_deref(),
            channel: channel.as_deref(),
            xrdp_session: xrdp_session.as_deref(),
            xrdp_socket_path: xrdp_socket_path.as_deref(),
            display: display.as_deref(),
            xdg_runtime_dir: xdg_runtime_dir.as_deref(),
            uid,
            is_paired: pairings.as_ref().is_some_and(paired),
            pairings: pairings.as_deref(),
            has_socket: false,
        };
        given.has_socket = unix_path(&given).exists();
        choose(&given)
    }
}

/// The rule: a socket that is named; the way that is named; the remote desktop that the session belongs to; the usual socket if it
/// is there; paired devices; the usual socket, which may come later.
#[must_use]
pub fn choose(given: &Given<'_>) -> Choice {
    let is_set = |value: Option<&OsStr>| value.is_some_and(|value| !value.is_empty());
    let choice = |channel, reason: &str| Choice { channel, reason: reason.to_owned(), problem: None };
    let unix = || AnyChannel::Unix(UnixChannel::new(unix_path(given)));
    let xrdp = || {
        let folder = given.xrdp_socket_path.filter(|folder| !folder.is_empty());
        AnyChannel::Xrdp(XrdpChannel::new(folder, given.display, given.uid))
    };
    let tls = |address| {
        // Where there is no folder there is no pairing either, and opening says so.
        let folder = given.pairings.unwrap_or_else(|| Path::new("/nonexistent"));
        AnyChannel::Tls(TlsChannel::new(folder.to_owned(), address))
    };
    if is_set(given.socket_flag) {
        return choice(unix(), "--socket names it");
    }
    if is_set(given.socket) {
        return choice(unix(), &format!("{SOCKET_VARIABLE} names it"));
    }
    let flag = ("--channel", given.channel_flag);
    let variable = (CHANNEL_VARIABLE, given.channel);
    let asked = [flag, variable]
        .into_iter()
        .find_map(|(source, value)| Some((source, value.filter(|_| is_set(value))?)));
    let mut problem = None;
    if let Some((source, value)) = asked {
        // Another way is another arm here: a word, or a prefix with what belongs to it.
        match value.to_str() {
            Some("auto") => {}
            Some("unix") => return choice(unix(), &format!("{source} is unix")),
            Some("xrdp") => return choice(xrdp(), &format!("{source} is xrdp")),
            Some("tls") => return choice(tls(None), &format!("{source} is tls")),
            Some(other)
                if other.strip_prefix("tls:").is_some_and(|place| place.parse::<Address>().is_ok()) =>
            {
                let address = other.strip_prefix("tls:").and_then(|place| place.parse().ok());
                return choice(tls(address), &format!("{source} is {other}"));
            }
            Some(_) | None => {
                problem = Some(format!("{source} is {}, not {WORDS}", value.display()));
            }
        }
    }
    let found = [("XRDP_SESSION", given.xrdp_session), (FOLDER_VARIABLE, given.xrdp_socket_path)]
        .into_iter()
        .find(|(_, value)| is_set(*value));
    let chosen = match found {
        Some((name, _)) => choice(xrdp(), &format!("the session is one of xrdp's, as {name} says")),
        None if given.is_paired && !given.has_socket => {
            choice(tls(None), "the session is paired with a device, and there is no client's socket")
        }
        None => choice(unix(), "nothing names another way, and the session is of no known remote desktop"),
    };
    Choice { problem, ..chosen }
}

fn unix_path(given: &Given<'_>) -> PathBuf {
    socket_path(SocketChoice {
        flag: given.socket_flag,
        variable: given.socket,
        runtime_dir: given.xdg_runtime_dir,
        uid: given.uid,
    })
}

/// The words that a command line takes; what they mean is [`choose`]'s to say.
///
/// # Errors
/// For what is none of them.
pub fn parse(text: &str) -> Result<OsString, String> {
    match choose(&Given { channel_flag: Some(OsStr::new(text)), ..Given::default() }).problem {
        None if !text.is_empty() => Ok(text.into()),
        None => Err("it is empty".to_owned()),
        Some(_) => Err(format!("it is not {WORDS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a session of xrdp's with these four given.
    fn check(socket_flag: &str, channel_flag: &str, socket: &str, channel: &str, expected: [&str; 2]) {
        let value = |text: &'static str| Some(OsStr::new(text));
        let given = Given {
            socket_flag: Some(OsStr::new(socket_flag)),
            channel_flag: Some(OsStr::new(channel_flag)),
            socket: Some(OsStr::new(socket)),
            channel: Some(OsStr::new(channel)),
            xrdp_session: value("1"),
            xrdp_socket_path: value("/run/xrdp/sockdir"),
            display: value(":60.0"),
            xdg_runtime_dir: value("/run/user/1000"),
            uid: 1000,
            is_paired: true,
            ..Given::default()
        };
        let choice = choose(&given);
        assert_eq!([choice.channel.kind(), &choice.reason], expected);
        assert_eq!(choice.problem, None);
    }

    #[test]
    fn a_socket_then_a_word_then_the_session_decides() {
        check("/a", "xrdp", "/b", "xrdp", ["unix", "--socket names it"]);
        check("", "xrdp", "/b", "xrdp", ["unix", "OFFSTAGE_SOCKET names it"]);
        check("", "unix", "", "xrdp", ["unix", "--channel is unix"]);
        check("", "", "", "unix", ["unix", "OFFSTAGE_CHANNEL is unix"]);
        check("", "xrdp", "", "unix", ["xrdp", "--channel is xrdp"]);
        check("", "tls", "", "unix", ["tls", "--channel is tls"]);
        check("", "", "", "tls:laptop:7000", ["tls", "OFFSTAGE_CHANNEL is tls:laptop:7000"]);
        check("", "auto", "", "unix", ["xrdp", "the session is one of xrdp's, as XRDP_SESSION says"]);
        check("", "", "", "", ["xrdp", "the session is one of xrdp's, as XRDP_SESSION says"]);
    }

    #[test]
    fn another_session_has_the_usual_socket() {
        let choice = choose(&Given { display: Some(OsStr::new(":0")), ..Given::default() });
        assert_eq!(choice.channel.kind(), "unix");
        let folder = Given { xrdp_socket_path: Some(OsStr::new("/run/xrdp/sockdir/7")), ..Given::default() };
        let choice = choose(&folder);
        assert_eq!(choice.reason, "the session is one of xrdp's, as XRDP_SOCKET_PATH says");
    }

    #[test]
    fn paired_devices_come_after_a_socket_that_is_there() {
        let kind = |is_paired, has_socket| {
            choose(&Given { is_paired, has_socket, ..Given::default() }).channel.kind()
        };
        assert_eq!([kind(true, false), kind(true, true), kind(false, false)], ["tls", "unix", "unix"]);
    }

    #[test]
    fn an_unknown_word_is_told_and_counts_as_none() {
        let choice = choose(&Given { channel: Some(OsStr::new("XRDP")), ..Given::default() });
        assert_eq!(choice.channel.kind(), "unix");
        let problem = "OFFSTAGE_CHANNEL is XRDP, not auto, unix, xrdp, tls or tls:HOST:PORT";
        assert_eq!(choice.problem.as_deref(), Some(problem));
        assert!(parse("tls:a:b").is_err() && parse("tcp:a:1").is_err());
        assert!(parse("XRDP").is_err() && parse("").is_err());
        assert_eq!(parse("auto"), Ok("auto".into()));
    }
}
