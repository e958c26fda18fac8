//! A bridge as a browser starts it on Windows, and a client at a named pipe that is its user's alone.

use std::io::Write as _;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use offstage_bridge::native_message::decode;
use offstage_bridge::native_message::encode;
use offstage_bridge::native_message::read_message;
use offstage_protocol::frame::BRIDGE_STREAM;
use offstage_protocol::frame::Frame;
use offstage_protocol::frame::FrameReader;
use offstage_protocol::frame::RawFrame;
use offstage_protocol::message::BridgeKind;
use offstage_protocol::message::BridgeMessage;
use offstage_protocol::message::Control;
use offstage_protocol::message::ControlKind;
use offstage_protocol::message::Hello;
use offstage_protocol::prost::Message as _;
use offstage_protocol::socket_path::pipe_path;
use offstage_support::win32::pipe;
use offstage_support::win32::user;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::LIMIT;

const ORIGIN: &str = "chrome-extension://mlikghilbjkmjaalplkfldmjcogdihnp/";

pub(crate) struct Host {
    child: Child,
    frames: mpsc::Receiver<RawFrame>,
}

impl Host {
    /// Takes what the bridge says of itself after a hello.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .env("OFFSTAGE_METRICS_DIR", "")
            .env("OFFSTAGE_LOG", "debug")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        let (sender, frames) = mpsc::sync_channel(64);
        thread::spawn(move || {
            let (mut reader, mut json) = (FrameReader::new(), Vec::new());
            while read_message(&mut output, &mut json).unwrap() {
                reader.push(&decode(&json).unwrap());
                while let Some(frame) = reader.next_raw().unwrap() {
                    if sender.send(frame).is_err() {
                        return;
                    }
                }
            }
        });
        let mut host = Self { child, frames };
        host.say(BridgeKind::Hello(hello("extension")));
        host
    }

    fn say(&mut self, kind: BridgeKind) {
        let payload = BridgeMessage { kind: Some(kind) }.encode_to_vec();
        self.send(&Frame::whole(BRIDGE_STREAM, 0, &payload).encode());
    }

    pub(crate) fn send(&mut self, frames: &[u8]) {
        let mut message = Vec::new();
        encode(frames, &mut message);
        self.child.stdin.as_mut().unwrap().write_all(&message).unwrap();
    }

    /// The next frame of the device.
    pub(crate) fn frame(&self) -> RawFrame {
        loop {
            let frame = self.frames.recv_timeout(LIMIT).unwrap();
            if frame.stream != BRIDGE_STREAM {
                return frame;
            }
        }
    }

    /// What the bridge says next, but for its log.
    pub(crate) fn said(&self) -> BridgeKind {
        loop {
            let frame = self.frames.recv_timeout(LIMIT).unwrap();
            assert_eq!(frame.stream, BRIDGE_STREAM);
            let said = BridgeMessage::decode(frame.payload()).unwrap().kind.unwrap();
            if !matches!(said, BridgeKind::Log(_)) {
                return said;
            }
        }
    }

    pub(crate) fn end(mut self) -> bool {
        drop(self.child.stdin.take());
        while self.frames.recv_timeout(LIMIT).is_ok() {}
        crate::ended(&mut self.child).success()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Fails if it has ended, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn hello(component: &str) -> Hello {
    Hello { component: component.to_owned(), protocol_min: 1, protocol_max: 1, ..Hello::default() }
}

fn hello_frame(component: &str, epoch: u64) -> Vec<u8> {
    let hello = Hello { epoch, ..hello(component) };
    Frame::whole(0, 0, &Control { kind: Some(ControlKind::Hello(hello)) }.encode_to_vec()).encode()
}

pub(crate) fn bridge() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offstage-bridge"));
    command.args([ORIGIN, "--parent-window=0"]);
    command
}

/// The first pipe of a name has to be the only one, so what uses the user's own is one test: the bridge started directly, then through a
/// shell as browsers do.
#[test]
fn frames_go_through_the_users_pipe_and_back() {
    let _alone = crate::alone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut through_shell = Command::new("cmd.exe");
    through_shell.args(["/d", "/c"]).arg(env!("CARGO_BIN_EXE_offstage-bridge")).arg(ORIGIN);
    for command in [bridge(), through_shell] {
        let path = pipe_path(None, None, &user::own().unwrap());
        assert!(path.to_str().unwrap().starts_with(r"\\.\pipe\offstage-S-1-"), "{path:?}");
        let mut end = runtime.block_on(async { pipe::listen(&path, true).unwrap() });
        let mut host = Host::start(command);
        assert!(matches!(host.said(), BridgeKind::Hello(_)));
        let BridgeKind::Session(session) = host.said() else { panic!("no session") };
        assert_eq!((session.os.as_str(), session.session_type.as_str()), ("windows", "local"));
        assert_eq!(session.browser_pid, std::process::id());
        let up = loop {
            if let BridgeKind::ChannelUp(up) = host.said() {
                break up;
            }
        };
        assert_eq!(up.kind, "pipe");
        // Every length and byte that a stream of text would change.
        let payloads: Vec<Vec<u8>> = (0..=27)
            .map(|length| [b'\r', b'\n', 26, 0, 255].into_iter().cycle().take(length).collect())
            .collect();
        let mut sent = hello_frame("extension", up.epoch);
        for (at, payload) in payloads.iter().enumerate() {
            sent.extend_from_slice(&Frame::whole(16, u32::try_from(at).unwrap(), payload).encode());
        }
        host.send(&sent);
        let talk = async {
            end.connect().await.unwrap();
            let mut got = vec![0; sent.len()];
            end.read_exact(&mut got).await.unwrap();
            assert_eq!(got, sent);
            end.write_all(&hello_frame("client", up.epoch)).await.unwrap();
            for (at, payload) in payloads.iter().enumerate() {
                end.write_all(&Frame::whole(16, u32::try_from(at).unwrap(), payload).encode()).await.unwrap();
            }
        };
        runtime.block_on(async { tokio::time::timeout(LIMIT, talk).await }).unwrap();
        assert_eq!(host.frame().stream, 0);
        for payload in &payloads {
            assert_eq!(host.frame().payload(), payload);
        }
        assert!(host.end());
        drop(end);
    }
}
