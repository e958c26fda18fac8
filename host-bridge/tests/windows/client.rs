//! The bridge and the client's program, each as it is started: a browser's words reach the client through the person's pipe.
//!
//! The client is another package's; `cargo xtask windows` builds it beside the bridge.

use std::io::BufRead as _;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;

use offstage_protocol::ErrorCode;
use offstage_protocol::Monotonic;
use offstage_protocol::Mux;
use offstage_protocol::MuxConfig;
use offstage_protocol::MuxEvent;
use offstage_protocol::message::BridgeKind;
use offstage_protocol::message::FromDevice;
use offstage_protocol::message::FromDeviceKind;
use offstage_protocol::prost::Message as _;

use crate::LIMIT;
use crate::messaging::Host;
use crate::messaging::bridge;

/// A client without a browser to play with; ends with its value.
struct Client {
    child: Child,
    /// What it says, until it ends.
    log: mpsc::Receiver<String>,
}

impl Client {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .env("OFFSTAGE_LOG_DIR", "")
            .env("OFFSTAGE_METRICS_DIR", "")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, log) = mpsc::sync_channel(1000);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // What nobody waits for any more is nobody's business, but must not hold it up.
                drop(sender.try_send(line));
            }
        });
        Self { child, log }
    }

    /// One that listens.
    fn listening(profile: &Path) -> Self {
        let client = Self::start(command(profile, &["run", "--windows=none"]));
        while !client.log.recv_timeout(LIMIT).unwrap().contains("listening") {}
        client
    }

    /// What one says that can't go on.
    fn refused(command: Command) -> String {
        let mut client = Self::start(command);
        let mut told = String::new();
        loop {
            match client.log.recv_timeout(LIMIT) {
                Ok(line) => told.extend([line.as_str(), "\n"]),
                Err(error) => {
                    assert_eq!(error, mpsc::RecvTimeoutError::Disconnected, "it goes on: {told}");
                    break;
                }
            }
        }
        assert!(!crate::ended(&mut client.child).success(), "{told}");
        told
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_offstage-bridge")).with_file_name("offstage-client.exe");
    assert!(program.is_file(), "{} is not there: `cargo xtask windows` builds it", program.display());
    program
}

fn command(profile: &Path, arguments: &[&str]) -> Command {
    let stage = Path::new(env!("CARGO_MANIFEST_DIR")).join("../local-client/tests/process/stage");
    let mut command = Command::new(program());
    command.args(arguments).arg("--stage-dir").arg(stage).args(["--engine", "no-such-engine"]);
    if arguments.contains(&"run") {
        command.arg("--profile").arg(profile);
    }
    command.env_remove("OFFSTAGE_SOCKET").env_remove("OFFSTAGE_ENGINE");
    command
}

/// What a doctor says of one subject. Into a file: a desktop that wine starts for it would hold a pipe open.
fn finding(command: &mut Command, list: &str, subject: &str) -> serde_json::Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    command.stdin(Stdio::null()).stdout(file.reopen().unwrap()).stderr(Stdio::null());
    // Other things may be wrong with this machine.
    crate::ended(&mut command.spawn().unwrap());
    let answers: serde_json::Value = serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap();
    let mut all = answers[list].as_array().unwrap().iter();
    all.find(|finding| finding["subject"] == subject).unwrap().clone()
}

#[test]
fn a_browsers_hello_reaches_the_client_which_says_that_it_has_no_engine() {
    let _alone = crate::alone();
    let profile = tempfile::tempdir().unwrap();
    let client_doctor = || command(profile.path(), &["doctor", "--json"]);
    let pipe = finding(&mut client_doctor(), "findings", "pipe");
    assert!(pipe["detail"].as_str().unwrap().ends_with("no client runs"), "{pipe}");
    let engine = finding(&mut client_doctor(), "findings", "engine");
    assert_eq!(engine["code"], ErrorCode::ENGINE_MISSING.number());

    let client = Client::listening(profile.path());
    let pipe = finding(&mut client_doctor(), "findings", "pipe");
    assert!(pipe["detail"].as_str().unwrap().ends_with("a client answers"), "{pipe}");
    let bridge_doctor = finding(
        Command::new(env!("CARGO_BIN_EXE_offstage-bridge")).args(["doctor", "--json"]),
        "checks",
        "client",
    );
    assert_eq!(bridge_doctor["status"], "ok", "{bridge_doctor}");

    // Nobody shares the person's pipe.
    let told = Client::refused(command(profile.path(), &["run", "--windows=none"]));
    assert!(told.contains("OFS-1204"), "{told}");

    let mut host = Host::start(bridge());
    let up = loop {
        if let BridgeKind::ChannelUp(up) = host.said() {
            break up;
        }
    };
    assert_eq!(up.kind, "pipe");
    let mut config = MuxConfig::of_component("extension", "0.1.0");
    config.hello.epoch = up.epoch;
    let mut mux = Mux::new(Monotonic(0), config);
    let mut greeted = false;
    // It may have looked for an engine already, or be about to.
    let mut code = 0;
    while code != ErrorCode::ENGINE_MISSING.number() {
        while let Some(bytes) = mux.poll_transmit(65536) {
            host.send(&bytes);
        }
        mux.handle_bytes(Monotonic(0), 0, &host.frame().bytes).unwrap();
        while let Some(event) = mux.poll_event() {
            match event {
                MuxEvent::Connected { hello } => {
                    assert_eq!(hello.component, "client");
                    greeted = true;
                }
                MuxEvent::Message { bytes, .. } => {
                    let told = FromDevice::decode(bytes.as_slice()).unwrap().kind.unwrap();
                    if let FromDeviceKind::DeviceChanged(device) = told {
                        assert!(greeted && !device.ready);
                        code = device.code;
                    }
                }
                MuxEvent::Closed { code, detail } => unreachable!("{code}: {detail}"),
            }
        }
    }
    assert!(host.end());
    drop(client);
}

#[test]
fn a_client_without_its_page_says_so() {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(program());
    command.args(["run", "--windows=none", "--stage-dir"]).arg(profile.path());
    let told = Client::refused(command);
    assert!(told.contains("OFS-1218"), "{told}");
}
