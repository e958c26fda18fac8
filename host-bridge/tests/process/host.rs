//! A bridge as a browser starts it, and a client as it would answer.

use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use offstage_bridge::native_message::MAX_OUTBOUND;
use offstage_bridge::native_message::decode;
use offstage_bridge::native_message::encode;
use offstage_bridge::native_message::read_message;
use offstage_protocol::ErrorCode;
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

/// After this long a process counts as hung.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) const ORIGIN: &str = "chrome-extension://mlikghilbjkmjaalplkfldmjcogdihnp/";

/// A bridge's process with the browser's ends of its pipes.
pub(crate) struct Host {
    pub(crate) dir: tempfile::TempDir,
    child: Child,
    pub(crate) input: Option<ChildStdin>,
    frames: mpsc::Receiver<RawFrame>,
}

impl Host {
    /// Starts the bridge; its client's socket is [`Self::socket`].
    pub(crate) fn start() -> Self {
        Self::start_with(|_, _| {})
    }

    pub(crate) fn start_with(change: impl FnOnce(&mut Command, &Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_offstage-bridge"));
        command.env("OFFSTAGE_LOG_DIR", "").env("OFFSTAGE_METRICS_DIR", "");
        command
            .arg(ORIGIN)
            .env("OFFSTAGE_SOCKET", dir.path().join("client.sock"))
            .env("XDG_STATE_HOME", dir.path().join("state"))
            .env("DISPLAY", ":99")
            .env_remove("OFFSTAGE_CHANNEL")
            .env_remove("XRDP_SESSION")
            .env_remove("XRDP_SOCKET_PATH")
            .env_remove("OFFSTAGE_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        change(&mut command, dir.path());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        let output = child.stdout.take().unwrap();
        // Bounded, so that a test that doesn't take frames makes the bridge wait.
        let (sender, frames) = mpsc::sync_channel(64);
        thread::spawn(move || read_frames(output, &sender));
        Self { dir, child, input, frames }
    }

    /// Starts the bridge, says hello and takes what it says about itself.
    pub(crate) fn start_known() -> Self {
        Self::start_known_with(|_, _| {})
    }

    /// The same with something of its command changed; the path is the folder of [`Self::dir`].
    pub(crate) fn start_known_with(change: impl FnOnce(&mut Command, &Path)) -> Self {
        let mut host = Self::start_with(change);
        host.say(BridgeKind::Hello(hello("extension")));
        assert!(matches!(host.next_said(), BridgeKind::Hello(_)));
        assert!(matches!(host.next_said(), BridgeKind::Session(_)));
        host
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("client.sock")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends frames as one native message.
    pub(crate) fn send(&mut self, frames: &[u8]) {
        let mut message = Vec::new();
        encode(frames, &mut message);
        self.send_raw(&message);
    }

    pub(crate) fn send_json(&mut self, json: &[u8]) {
        let mut message = u32::try_from(json.len()).unwrap().to_ne_bytes().to_vec();
        message.extend_from_slice(json);
        self.send_raw(&message);
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    pub(crate) fn say(&mut self, kind: BridgeKind) {
        let payload = BridgeMessage { kind: Some(kind) }.encode_to_vec();
        self.send(&Frame::whole(BRIDGE_STREAM, 0, &payload).encode());
    }

    /// The next frame for the extension.
    pub(crate) fn next_frame(&self) -> RawFrame {
        self.frames.recv_timeout(LIMIT).expect("a frame from the bridge")
    }

    /// The next thing that the bridge itself says; log lines are passed over.
    pub(crate) fn next_said(&self) -> BridgeKind {
        loop {
            let kind = self.next_said_or_log();
            if !matches!(kind, BridgeKind::Log(_)) {
                return kind;
            }
        }
    }

    pub(crate) fn next_said_or_log(&self) -> BridgeKind {
        let frame = self.next_frame();
        assert_eq!(frame.stream, BRIDGE_STREAM, "a frame of the bridge's own");
        BridgeMessage::decode(frame.payload()).unwrap().kind.unwrap()
    }

    /// What the bridge says until the channel is up; returns the epoch.
    pub(crate) fn wait_up(&self) -> u64 {
        self.wait_up_by("unix")
    }

    /// The same of another kind of channel.
    pub(crate) fn wait_up_by(&self, kind: &str) -> u64 {
        loop {
            if let BridgeKind::ChannelUp(up) = self.next_said() {
                assert_eq!(up.kind, kind);
                return up.epoch;
            }
        }
    }

    /// What the bridge says until it tells this code; returns the wait that it tells.
    pub(crate) fn wait_down(&self, code: ErrorCode) -> u32 {
        loop {
            if let BridgeKind::ChannelDown(down) = self.next_said()
                && down.code == code.number()
            {
                return down.retry_ms;
            }
        }
    }

    /// Takes frames until the bridge has closed its output.
    pub(crate) fn drain(&self) -> Vec<RawFrame> {
        let mut frames = Vec::new();
        loop {
            match self.frames.recv_timeout(LIMIT) {
                Ok(frame) => frames.push(frame),
                Err(mpsc::RecvTimeoutError::Disconnected) => return frames,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("the bridge keeps its output open"),
            }
        }
    }

    /// Closes the input, as a browser does that has no use for the bridge any more, and waits for the end.
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.input.take());
        self.wait()
    }

    /// Waits for the process's end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.drain();
        self.child.wait().unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Fails if it has ended, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read_frames(mut output: ChildStdout, sender: &mpsc::SyncSender<RawFrame>) {
    let mut reader = FrameReader::new();
    let mut json = Vec::new();
    while read_message(&mut output, &mut json).expect("whole messages") {
        assert!(json.len() <= MAX_OUTBOUND, "a message of {} bytes", json.len());
        reader.push(&decode(&json).expect("frames in JSON"));
        while let Some(frame) = reader.next_raw().expect("frames") {
            if sender.send(frame).is_err() {
                return;
            }
        }
        assert_eq!(reader.buffered(), 0, "a message holds whole frames");
    }
}

pub(crate) fn hello(component: &str) -> Hello {
    Hello {
        component: component.to_owned(),
        version: "0.0.0".to_owned(),
        protocol_min: 1,
        protocol_max: 1,
        ..Hello::default()
    }
}

/// The frame that begins a connection between the ends.
pub(crate) fn hello_frame(component: &str, epoch: u64) -> Vec<u8> {
    let hello = Hello { epoch, ..hello(component) };
    let payload = Control { kind: Some(ControlKind::Hello(hello)) }.encode_to_vec();
    Frame::whole(0, 0, &payload).encode()
}

/// A client's listening socket.
pub(crate) struct Client {
    listener: UnixListener,
}

impl Client {
    pub(crate) fn listen(path: &Path) -> Self {
        drop(fs::remove_file(path));
        Self { listener: UnixListener::bind(path).unwrap() }
    }

    /// The next connection of a bridge.
    pub(crate) fn accept(&self) -> UnixStream {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream
    }
}

/// Reads that many bytes.
pub(crate) fn read_exactly(stream: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
