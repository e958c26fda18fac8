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

use offstage_protocol::ErrorCode;
use offstage_protocol::Monotonic;
use offstage_protocol::Mux;
use offstage_protocol::MuxConfig;
use offstage_protocol::MuxEvent;
use offstage_protocol::message::BridgeKind;
use offstage_protocol::message::FromDevice;
use offstage_protocol::message::FromDeviceKind;
use offstage_protocol::prost::Message as _;

use crate::messaging::Host;
use crate::messaging::bridge;

/// A client without a browser to play with; ends with its value.
struct Client(Child);

impl Client {
    fn start(profile: &Path) -> Self {
        let mut child = command(profile, &["run", "--windows=none"])
            .env("OFFSTAGE_LOG_DIR", "")
            .env("OFFSTAGE_METRICS_DIR", "")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the client has ended");
        }
        // What else it says is nobody's business, but has to go somewhere.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self(child)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
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
    command.stdin(Stdio::null()).stdout(file.reopen().unwrap()).stderr(Stdio::null()).status().unwrap();
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

    let client = Client::start(profile.path());
    let pipe = finding(&mut client_doctor(), "findings", "pipe");
    assert!(pipe["detail"].as_str().unwrap().ends_with("a client answers"), "{pipe}");
    let bridge_doctor = finding(
        Command::new(env!("CARGO_BIN_EXE_offstage-bridge")).args(["doctor", "--json"]),
        "checks",
        "client",
    );
    assert_eq!(bridge_doctor["status"], "ok", "{bridge_doctor}");

    // Nobody shares the person's pipe.
    let second = command(profile.path(), &["run", "--windows=none"]).output().unwrap();
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && told.contains("OFS-1204"), "{told}");

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
    let output = Command::new(program())
        .args(["run", "--windows=none", "--stage-dir"])
        .arg(profile.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("OFS-1218"), "{told}");
}
