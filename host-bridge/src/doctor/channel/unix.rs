//! The client's socket, or xrdp's service.

use std::os::unix::net::UnixStream;

use offstage_protocol::socket_path::DVC_NAME;

use crate::channel::choice::AnyChannel;
use crate::channel::unix::check_peer;
use crate::channel::xrdp::XrdpChannel;
use crate::channel::xrdp::XrdpError;
use crate::doctor::Answer;
use crate::doctor::client;
use crate::doctor::paired;

pub(super) fn examine(channel: &AnyChannel) -> Vec<Answer> {
    match channel {
        AnyChannel::Unix(channel) => client::examine(channel),
        AnyChannel::Xrdp(channel) => vec![examine_xrdp(channel)],
        AnyChannel::Tls(channel) => vec![paired::examine_channel(channel)],
    }
}

/// Whether xrdp's service is there. It is not asked for the channel: one more might take the running one's place at the RDP client, and
/// each that is open when that goes away is lost to the session.
fn examine_xrdp(channel: &XrdpChannel) -> Answer {
    let subject = "xrdp channel service";
    let socket = match channel.socket() {
        Ok(socket) => socket,
        Err(error) => return Answer::fail(subject, error.code(), error.to_string()),
    };
    let place = socket.display().to_string();
    let stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) => {
            let error = XrdpError::NoService { place, error };
            return Answer::fail(subject, error.code(), error.to_string());
        }
    };
    match check_peer(&stream, socket) {
        Ok(()) => {
            let rest = format!(
                "whether the RDP client has a plug-in for {DVC_NAME} shows when the extension connects"
            );
            Answer::ok(subject, format!("{place} answers; {rest}"))
        }
        Err(error) => Answer::fail(subject, error.code(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::io::Read as _;
    use std::os::unix::net::UnixListener;

    use offstage_protocol::error::ErrorCode;

    use super::*;
    use crate::channel::choice::Given;
    use crate::channel::choice::choose;
    use crate::doctor::channel::examine;

    fn answers(folder: &OsStr, word: &str) -> Vec<Answer> {
        let given = Given {
            channel: Some(OsStr::new(word)),
            xrdp_socket_path: Some(folder),
            display: Some(OsStr::new(":60123")),
            uid: rustix::process::geteuid().as_raw(),
            ..Given::default()
        };
        examine(&choose(&given))
    }

    #[test]
    fn the_way_is_told_with_its_reason_and_the_service_is_not_disturbed() {
        let dir = tempfile::tempdir().unwrap();
        let codes =
            || answers(dir.path().as_os_str(), "").iter().map(|answer| answer.code).collect::<Vec<_>>();
        assert_eq!(codes(), [None, Some(ErrorCode::XRDP_UNREACHABLE)], "nothing is there");
        let socket = dir.path().join("xrdpapi_60123");
        let service = UnixListener::bind(&socket).unwrap();
        let answers = answers(dir.path().as_os_str(), "");
        assert_eq!(answers[0].detail, "xrdp: the session is one of xrdp's, as XRDP_SOCKET_PATH says");
        assert_eq!(answers[1].code, None, "{answers:?}");
        let mut said = Vec::new();
        service.accept().unwrap().0.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"");
        drop(service);
        assert_eq!(codes(), [None, Some(ErrorCode::XRDP_UNREACHABLE)], "nobody listens any more");
    }

    #[test]
    fn a_word_that_is_none_is_a_fault() {
        let answers = answers(OsStr::new("/nowhere"), "rdp");
        assert_eq!(answers[0].code, Some(ErrorCode::CONFIG_INVALID));
    }
}
