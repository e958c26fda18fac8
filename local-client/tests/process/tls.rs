//! Sessions of other machines: paired by a code, let in by their keys, and nobody else.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use offstage_pairing::PairingError;
use offstage_pairing::connect;
use offstage_pairing::door::MOST_UNKNOWN_OF_ONE;
use offstage_pairing::identity::Identity;
use offstage_pairing::listening::Listening;
use offstage_pairing::store::Store;
use offstage_pairing::tls;
use offstage_pairing::tls::Whom;
use offstage_protocol::ErrorCode;
use offstage_protocol::Frame;
use offstage_protocol::FrameReader;
use offstage_protocol::frame::CONTROL_STREAM;
use offstage_protocol::message::Control;
use offstage_protocol::message::ControlKind;
use offstage_protocol::message::Hello;
use offstage_protocol::prost::Message as _;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::Client;
use crate::client::LIMIT;
use crate::client::Options;

/// A client without an engine that listens.
fn listening_client() -> Client {
    let arguments = ["--windows=none", "--engine=/nonexistent", "--listen=127.0.0.1:0"];
    Client::start(Options { arguments: arguments.map(str::to_owned).to_vec(), ..Options::default() })
}

fn state_of(client: &Client) -> PathBuf {
    client.folder.path().join("state/offstage/device")
}

fn address_of(client: &Client) -> SocketAddr {
    Listening::read(&state_of(client)).unwrap()
}

fn command(state: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offstage-client"));
    command.args(arguments).env("XDG_STATE_HOME", state).env_remove("OFFSTAGE_LISTEN");
    command
}

/// `offstage-client pair`.
struct Pairing {
    child: Child,
    lines: BufReader<ChildStdout>,
    code: String,
    address: String,
}

impl Pairing {
    fn start(state: &Path, arguments: &[&str]) -> Self {
        let arguments = [&["pair"], arguments].concat();
        let mut child =
            command(state, &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            line
        };
        let code = line().strip_prefix("Code: ").unwrap().trim().to_owned();
        let address = line().rsplit(' ').next().unwrap().trim().to_owned();
        Self { child, lines, code, address }
    }

    /// What else it prints on both outputs until its end, and whether it was content.
    fn end(mut self) -> (bool, String) {
        let mut text = String::new();
        self.lines.read_to_string(&mut text).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap().success(), text)
    }
}

/// A session on another machine.
struct Session {
    runtime: Runtime,
    folder: TempDir,
}

impl Session {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, folder: tempfile::tempdir().unwrap() }
    }

    fn pair(&self, address: &str, code: &str) -> Result<(), PairingError> {
        let code = code.parse().unwrap();
        let pairing = connect::pair(self.folder.path(), address, &code);
        self.runtime.block_on(pairing).map(drop)
    }

    fn connect(&self, address: SocketAddr) -> Result<TlsStream<tokio::net::TcpStream>, PairingError> {
        self.runtime
            .block_on(connect::connect(self.folder.path(), &address.to_string()))
            .map(|(stream, _)| stream)
    }

    /// Says hello and hears the client's.
    fn greet(&self, stream: &mut TlsStream<tokio::net::TcpStream>) {
        let hello =
            Hello { component: "extension".to_owned(), protocol_min: 1, protocol_max: 1, ..Hello::default() };
        let hello = Control { kind: Some(ControlKind::Hello(hello)) }.encode_to_vec();
        let mut reader = FrameReader::new();
        let greeting = async {
            stream.write_all(&Frame::whole(CONTROL_STREAM, 0, &hello).encode()).await.unwrap();
            stream.flush().await.unwrap();
            loop {
                if let Some(frame) = reader.next_raw().unwrap() {
                    return Control::decode(frame.payload()).unwrap();
                }
                let mut buffer = [0; 4096];
                let length = stream.read(&mut buffer).await.unwrap();
                assert_ne!(length, 0, "closed before a hello");
                reader.push(&buffer[..length]);
            }
        };
        let answer = self.runtime.block_on(async { timeout(LIMIT, greeting).await }).expect("a hello");
        assert!(matches!(answer.kind, Some(ControlKind::Hello(_))));
    }

    /// Reads until the client closes.
    fn wait_closed(&self, stream: &mut TlsStream<tokio::net::TcpStream>) {
        let mut rest = Vec::new();
        // An end by a reset is an end as well.
        self.runtime
            .block_on(async { timeout(LIMIT, stream.read_to_end(&mut rest)).await })
            .expect("closed")
            .ok();
    }
}

#[test]
fn a_running_client_is_paired_carries_frames_and_forgets() {
    let client = listening_client();
    let session = Session::new();
    let state = client.folder.path().join("state");
    let pairing = Pairing::start(&state, &[]);
    assert_eq!(pairing.address, address_of(&client).to_string(), "the running client takes it");
    assert!(matches!(session.pair(&pairing.address, "2222-2222"), Err(PairingError::CodeWrong)));
    session.pair(&pairing.address, &pairing.code).unwrap();
    let (well, text) = pairing.end();
    assert!(
        well && text.contains("A wrong code was tried (1 of 5)") && text.contains("Paired with"),
        "{text}"
    );

    let mut stream = session.connect(address_of(&client)).unwrap();
    session.greet(&mut stream);
    let mut second = session.connect(address_of(&client)).unwrap();
    session.greet(&mut second);

    let name = Store::new(&state_of(&client)).list().unwrap()[0].name.clone();
    let listed = command(&state, &["pairings", "list", "--json"]).output().unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().contains(&name));
    assert!(command(&state, &["pairings", "remove", &name]).status().unwrap().success());
    session.wait_closed(&mut stream);
    session.wait_closed(&mut second);
    assert!(matches!(session.connect(address_of(&client)), Err(PairingError::Refused)));
}

#[test]
fn several_sessions_are_paired_without_a_running_client_by_one_code_each() {
    let state = tempfile::tempdir().unwrap();
    let sessions = [Session::new(), Session::new()];
    for session in &sessions {
        let pairing = Pairing::start(state.path(), &["--listen=127.0.0.1:0"]);
        session.pair(&pairing.address, &pairing.code).unwrap();
        let (well, text) = pairing.end();
        assert!(well && text.contains("run --listen"), "{text}");
    }
    let paired = Store::new(&state.path().join("offstage/device")).list().unwrap();
    assert_eq!(paired.len(), 2);
    assert_ne!(paired[0].name, paired[1].name);
}

#[test]
fn five_wrong_codes_end_it() {
    let state = tempfile::tempdir().unwrap();
    let session = Session::new();
    let pairing = Pairing::start(state.path(), &["--listen=127.0.0.1:0"]);
    for _ in 0..5 {
        assert!(matches!(session.pair(&pairing.address, "2222-2222"), Err(PairingError::CodeWrong)));
    }
    // Too late, whatever the code: refused while it ends, and nobody there afterwards.
    assert!(session.pair(&pairing.address, &pairing.code).is_err());
    let (well, text) = pairing.end();
    assert!(!well && text.contains("OFS-1044"), "{text}");
    assert_eq!(Store::new(&state.path().join("offstage/device")).list().unwrap(), []);
}

#[test]
fn who_is_not_paired_is_refused_and_so_is_garbage() {
    let client = listening_client();
    let address = address_of(&client);
    // A key of somebody else's, who knows the device's.
    let device = Identity::of_folder(&state_of(&client)).unwrap().pin();
    let stranger = Session::new();
    let pairing =
        offstage_pairing::store::Pairing { name: "x".to_owned(), pin: device, address: None, since: 0 };
    Store::new(stranger.folder.path()).add(pairing).unwrap();
    assert!(matches!(stranger.connect(address), Err(PairingError::Refused)));
    client.wait_for_log(&ErrorCode::PEER_UNKNOWN.to_string());

    let mut garbage = TcpStream::connect(address).unwrap();
    garbage.set_read_timeout(Some(LIMIT)).unwrap();
    garbage.write_all(&[0xff; 4096]).unwrap();
    garbage.read_to_end(&mut Vec::new()).ok();
    client.wait_for_log(&ErrorCode::TLS_FAILED.to_string());
}

#[test]
fn a_pairing_message_without_end_is_refused() {
    let client = listening_client();
    let session = Session::new();
    let identity = Identity::of_folder(session.folder.path()).unwrap();
    let connector = TlsConnector::from(Arc::new(tls::client_config(&identity, Whom::Unknown).unwrap()));
    session.runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address_of(&client)).await.unwrap();
        let mut stream = connector.connect("x.invalid".try_into().unwrap(), stream).await.unwrap();
        stream.write_all(&[0xff; 70_000]).await.ok();
        timeout(LIMIT, stream.read_to_end(&mut Vec::new())).await.expect("closed").ok();
    });
    client.wait_for_log(&ErrorCode::MALFORMED_MESSAGE.to_string());
}

#[test]
fn connections_that_say_nothing_are_few_and_end() {
    let client = listening_client();
    let address = address_of(&client);
    let open = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    };
    let silent: Vec<TcpStream> = (0..MOST_UNKNOWN_OF_ONE).map(|_| open()).collect();
    // One too many is closed at once, while the others still may speak.
    let started = std::time::Instant::now();
    assert_eq!(open().read_to_end(&mut Vec::new()).ok().unwrap_or_default(), 0);
    assert!(started.elapsed() < offstage_pairing::door::LIMIT);
    for mut stream in silent {
        assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
    }
    client.wait_for_log("no answer within 5 seconds");
}

#[test]
fn a_file_of_pairings_that_holds_garbage_lets_nobody_in() {
    let client = listening_client();
    let session = Session::new();
    let state = client.folder.path().join("state");
    let pairing = Pairing::start(&state, &[]);
    session.pair(&pairing.address, &pairing.code).unwrap();
    assert!(pairing.end().0);
    let mut stream = session.connect(address_of(&client)).unwrap();
    std::fs::write(state_of(&client).join("pairings.json"), "{\"pairings\": 7}").unwrap();
    session.wait_closed(&mut stream);
    assert!(session.connect(address_of(&client)).is_err());
    client.wait_for_log(&ErrorCode::PAIRINGS_UNREADABLE.to_string());
    let said = command(&state, &["pairings", "list"]).output().unwrap();
    assert!(!said.status.success() && String::from_utf8_lossy(&said.stderr).contains("OFS-1046"));
}

#[test]
fn nothing_listens_unless_it_is_asked_for() {
    let arguments = vec!["--windows=none".to_owned(), "--engine=/nonexistent".to_owned()];
    let client = Client::start(Options { arguments, ..Options::default() });
    assert_eq!(Listening::read(&state_of(&client)), None);
    assert!(!state_of(&client).exists());
}
