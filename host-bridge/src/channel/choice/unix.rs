//! A unix socket, or xrdp's channel.

use std::path::Path;
use std::path::PathBuf;

use offstage_pairing::address::Address;
use offstage_pairing::store::Store;
use offstage_protocol::socket_path::SocketChoice;
use offstage_protocol::socket_path::socket_path;

use super::AnyChannel;
use super::Given;
use super::Session;
use crate::channel::tls;
use crate::channel::tls::TlsChannel;
use crate::channel::unix::UnixChannel;
use crate::channel::xrdp::FOLDER_VARIABLE;
use crate::channel::xrdp::XrdpChannel;

/// What a way can be called.
pub(super) const WORDS: &str = "auto, unix, xrdp, tls or tls:HOST:PORT";

pub(super) fn session() -> Session {
    let pairings = tls::folder().ok();
    // A file that can't be read is told when the channel is opened.
    let paired = |folder: &PathBuf| Store::new(folder).list().map_or(true, |all| !all.is_empty());
    Session {
        uid: rustix::process::geteuid().as_raw(),
        is_remote: false,
        user: String::new(),
        is_paired: pairings.as_ref().is_some_and(paired),
        pairings,
    }
}

pub(super) fn local(given: &Given<'_>) -> AnyChannel {
    AnyChannel::Unix(UnixChannel::new(path(given)))
}

/// Whether the usual socket is there.
pub(super) fn has_local(given: &Given<'_>) -> bool {
    path(given).exists()
}

fn path(given: &Given<'_>) -> PathBuf {
    socket_path(SocketChoice {
        flag: given.socket_flag,
        variable: given.socket,
        runtime_dir: given.xdg_runtime_dir,
        uid: given.uid,
    })
}

fn tls(given: &Given<'_>, address: Option<Address>) -> AnyChannel {
    // Where there is no folder there is no pairing either, and opening says so.
    let folder = given.pairings.unwrap_or_else(|| Path::new("/nonexistent"));
    AnyChannel::Tls(TlsChannel::new(folder.to_owned(), address))
}

pub(super) fn named(word: &str, given: &Given<'_>) -> Option<AnyChannel> {
    match word {
        "unix" => Some(local(given)),
        "xrdp" => Some(xrdp(given)),
        "tls" => Some(tls(given, None)),
        _ => Some(tls(given, Some(word.strip_prefix("tls:")?.parse().ok()?))),
    }
}

pub(super) fn remote(given: &Given<'_>) -> Option<(AnyChannel, String)> {
    let found = [("XRDP_SESSION", given.xrdp_session), (FOLDER_VARIABLE, given.xrdp_socket_path)]
        .into_iter()
        .find(|(_, value)| value.is_some_and(|value| !value.is_empty()));
    if let Some((name, _)) = found {
        return Some((xrdp(given), format!("the session is one of xrdp's, as {name} says")));
    }
    (given.is_paired && !given.has_socket).then(|| {
        let reason = "the session is paired with a device, and there is no client's socket";
        (tls(given, None), reason.to_owned())
    })
}

fn xrdp(given: &Given<'_>) -> AnyChannel {
    let folder = given.xrdp_socket_path.filter(|folder| !folder.is_empty());
    AnyChannel::Xrdp(XrdpChannel::new(folder, given.display, given.uid))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::channel::Channel as _;
    use crate::channel::choice::choose;
    use crate::channel::choice::parse;

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
        assert_eq!(
            choice.problem.as_deref(),
            Some("OFFSTAGE_CHANNEL is XRDP, not auto, unix, xrdp, tls or tls:HOST:PORT")
        );
        assert!(parse("tls:a:b").is_err() && parse("tcp:a:1").is_err());
        assert!(parse("XRDP").is_err() && parse("").is_err());
        assert_eq!(parse("auto"), Ok("auto".into()));
    }
}
