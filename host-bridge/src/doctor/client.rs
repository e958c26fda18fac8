//! Is there a client at the socket, ours, and does it speak our language?

use std::io;
use std::path::Path;
use std::time::Duration;

use offstage_protocol::PROTOCOL_MAX;
use offstage_protocol::PROTOCOL_MIN;
use offstage_protocol::error::ErrorCode;
use offstage_protocol::frame::CONTROL_STREAM;
use offstage_protocol::frame::Frame;
use offstage_protocol::frame::FrameReader;
use offstage_protocol::frame::RawFrame;
use offstage_protocol::message::Close;
use offstage_protocol::message::Control;
use offstage_protocol::message::ControlKind;
use offstage_protocol::message::Hello;
use offstage_protocol::prost::Message as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::channel::Channel;
use crate::channel::Link;
use crate::channel::LocalChannel;
use crate::doctor::Answer;

/// How long a client may take to say hello.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

pub(crate) fn examine(channel: &LocalChannel) -> Vec<Answer> {
    let mut answers: Vec<_> = examine_folder(channel.path()).into_iter().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    answers.push(match runtime {
        Ok(runtime) => runtime.block_on(examine_client(channel)),
        Err(error) => Answer::fail("client", ErrorCode::INTERNAL, error.to_string()),
    });
    answers
}

/// The socket's folder must be one that no other user can change. Nothing is said of one that isn't there.
#[cfg(unix)]
fn examine_folder(socket: &Path) -> Option<Answer> {
    use std::os::unix::fs::MetadataExt as _;
    let folder = socket.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    let metadata = std::fs::metadata(folder).ok()?;
    let own = rustix::process::geteuid().as_raw();
    let strangers_write = metadata.mode() & 0o022 != 0 && metadata.mode() & 0o1000 == 0;
    let stranger_owns = metadata.uid() != own && metadata.uid() != 0;
    (strangers_write || stranger_owns).then(|| {
        let what = format!(
            "{} has mode {:04o}, owner {}",
            folder.display(),
            metadata.mode() & 0o7777,
            metadata.uid()
        );
        Answer::fail("socket folder", ErrorCode::SOCKET_UNSAFE, what)
    })
}

/// A pipe has no folder: who runs its listener is asked when it is opened.
#[cfg(windows)]
fn examine_folder(_: &Path) -> Option<Answer> {
    None
}

async fn examine_client(channel: &LocalChannel) -> Answer {
    let place = channel.path().display();
    let silent = || (ErrorCode::LINK_DEAD, "no hello within 3 seconds".to_owned());
    let mut link = match timeout(ANSWER_LIMIT, channel.open()).await {
        Ok(Ok(link)) => link,
        Ok(Err(error)) => return Answer::fail("client", error.code(), error.to_string()),
        Err(_) => {
            return Answer::fail("client", ErrorCode::CLIENT_UNREACHABLE, format!("{place}: no answer"));
        }
    };
    match timeout(ANSWER_LIMIT, talk(&mut link)).await.unwrap_or_else(|_| Err(silent())) {
        Ok(hello) => {
            let versions = format!("protocol {} to {}", hello.protocol_min, hello.protocol_max);
            let detail = format!("{place}: {} {}, {versions}", hello.component, hello.version);
            let own = env!("CARGO_PKG_VERSION");
            if hello.protocol_min > PROTOCOL_MAX || hello.protocol_max < PROTOCOL_MIN {
                Answer::fail("client", ErrorCode::VERSION_MISMATCH, detail)
            } else if hello.version != own {
                Answer::ok(
                    "client",
                    format!("{detail}; they understand this bridge's {own}, the older one is to be updated"),
                )
            } else {
                Answer::ok("client", detail)
            }
        }
        Err((code, what)) => Answer::fail("client", code, format!("{place}: {what}")),
    }
}

/// Introduces itself, takes the client's hello, and says goodbye.
async fn talk(link: &mut Link) -> Result<Hello, (ErrorCode, String)> {
    let lost = |error: io::Error| (ErrorCode::LINK_DEAD, error.to_string());
    let hello = Hello {
        component: "doctor".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        ..Hello::default()
    };
    link.writer.write_all(&control(0, ControlKind::Hello(hello))).await.map_err(lost)?;
    link.writer.flush().await.map_err(lost)?;
    let answer = wait_for_hello(link).await;
    let close = Close { code: ErrorCode::GOING_AWAY.number(), detail: String::new() };
    // The client may have gone already, which the answer says.
    link.writer.write_all(&control(1, ControlKind::Close(close))).await.ok();
    answer
}

async fn wait_for_hello(link: &mut Link) -> Result<Hello, (ErrorCode, String)> {
    let mut reader = FrameReader::new();
    let mut buffer = vec![0; 16 << 10];
    loop {
        while let Some(frame) = reader.next_raw().map_err(|error| (error.code(), error.to_string()))? {
            if let Some(answer) = answer_in(&frame) {
                return answer;
            }
        }
        match link.reader.read(&mut buffer).await {
            Ok(0) => {
                return Err((ErrorCode::LINK_CLOSED, "it closed the connection without a hello".to_owned()));
            }
            Ok(length) => reader.push(buffer.get(..length).unwrap_or_default()),
            Err(error) => return Err((ErrorCode::LINK_DEAD, error.to_string())),
        }
    }
}

/// What a frame says to the question who is there; `None` if nothing.
fn answer_in(frame: &RawFrame) -> Option<Result<Hello, (ErrorCode, String)>> {
    if frame.stream != CONTROL_STREAM {
        return None;
    }
    match Control::decode(frame.payload()) {
        Ok(Control { kind: Some(ControlKind::Hello(hello)) }) => Some(Ok(hello)),
        Ok(Control { kind: Some(ControlKind::Close(close)) }) => {
            let code = ErrorCode::from_u32(close.code).unwrap_or(ErrorCode::LINK_CLOSED);
            Some(Err((code, format!("it closed the connection: {}", close.detail))))
        }
        Ok(_) => None,
        Err(error) => Some(Err((ErrorCode::MALFORMED_MESSAGE, error.to_string()))),
    }
}

fn control(sequence: u32, kind: ControlKind) -> Vec<u8> {
    Frame::whole(CONTROL_STREAM, sequence, &Control { kind: Some(kind) }.encode_to_vec()).encode()
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;
    use crate::doctor::Status;

    /// What is said of a client that answers with these bytes and closes.
    fn check(answer: Vec<u8>, status: Status, code: Option<ErrorCode>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let client = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&answer).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            // Until the other end has gone, so that nothing of the answer is lost.
            stream.read_to_end(&mut Vec::new()).unwrap();
        });
        let answers = examine(&LocalChannel::new(socket));
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!((answers[0].status, answers[0].code), (status, code), "{answers:?}");
        client.join().unwrap();
    }

    fn hello(protocol_min: u32) -> Vec<u8> {
        control(0, ControlKind::Hello(Hello { protocol_min, protocol_max: 9, ..Hello::default() }))
    }

    #[test]
    fn a_client_that_says_hello_is_well() {
        check(hello(1), Status::Ok, None);
        check([Frame::whole(3, 0, b"else").encode(), hello(1)].concat(), Status::Ok, None);
    }

    #[test]
    fn a_client_that_does_not_is_not() {
        let fail = |answer, code| check(answer, Status::Fail, Some(code));
        fail(hello(8), ErrorCode::VERSION_MISMATCH);
        fail(Vec::new(), ErrorCode::LINK_CLOSED);
        fail(vec![0xff; 20], ErrorCode::OVERSIZE_FRAME);
        fail(Frame::whole(0, 0, b"\xff").encode(), ErrorCode::MALFORMED_MESSAGE);
        let busy = Close { code: ErrorCode::CLIENT_BUSY.number(), detail: String::new() };
        fail(control(0, ControlKind::Close(busy)), ErrorCode::CLIENT_BUSY);
    }

    #[test]
    fn a_folder_that_others_can_change_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let check = |mode, unsafe_folder| {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(examine_folder(&dir.path().join("s")).is_some(), unsafe_folder, "{mode:o}");
        };
        check(0o700, false);
        check(0o755, false);
        check(0o1777, false);
        check(0o770, true);
        check(0o777, true);
    }

    #[test]
    fn nobody_at_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let answers = examine(&LocalChannel::new(dir.path().join("s")));
        assert_eq!(answers[0].code, Some(ErrorCode::CLIENT_UNREACHABLE));
    }
}
