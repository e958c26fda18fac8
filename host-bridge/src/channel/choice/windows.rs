//! A named pipe, or the channel of Windows' remote desktop.

use offstage_protocol::socket_path::DVC_NAME;
use offstage_protocol::socket_path::pipe_path;
use offstage_support::win32::user;

use super::AnyChannel;
use super::Given;
use super::Session;
use crate::channel::pipe::PipeChannel;
use crate::channel::wts::WtsChannel;

/// What a way can be called.
pub(super) const WORDS: &str = "auto, pipe or wts";

pub(super) fn session() -> Session {
    let is_remote = crate::session::session_info().session_type == "rdp";
    Session { uid: 0, is_remote, user: user::own().unwrap_or_default(), pairings: None, is_paired: false }
}

/// Nothing depends on it here.
pub(super) fn has_local(_given: &Given<'_>) -> bool {
    false
}

pub(super) fn local(given: &Given<'_>) -> AnyChannel {
    AnyChannel::Pipe(PipeChannel::new(pipe_path(given.socket_flag, given.socket, given.user)))
}

pub(super) fn named(word: &str, given: &Given<'_>) -> Option<AnyChannel> {
    match word {
        "pipe" => Some(local(given)),
        "wts" => Some(wts()),
        _ => None,
    }
}

pub(super) fn remote(given: &Given<'_>) -> Option<(AnyChannel, String)> {
    given.is_remote.then(|| (wts(), "Windows says that the session is a remote one".to_owned()))
}

fn wts() -> AnyChannel {
    AnyChannel::Wts(WtsChannel::new(DVC_NAME))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::channel::Channel as _;
    use crate::channel::choice::choose;

    #[test]
    fn a_pipe_then_a_word_then_the_session_decides() {
        let check = |socket: &'static str, word: &'static str, is_remote, expected| {
            let (socket, channel) = (Some(OsStr::new(socket)), Some(OsStr::new(word)));
            let choice = choose(&Given { socket, channel, is_remote, user: "S-1-5-7", ..Given::default() });
            assert_eq!((choice.channel.kind(), choice.problem.is_some()), expected);
        };
        check(r"\\.\pipe\x", "wts", true, ("pipe", false));
        check("", "wts", false, ("wts", false));
        check("", "pipe", true, ("pipe", false));
        check("", "auto", true, ("wts", false));
        check("", "", false, ("pipe", false));
        check("", "xrdp", true, ("wts", true));
    }
}
