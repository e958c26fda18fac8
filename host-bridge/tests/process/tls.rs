//! The way by TLS: a device that shows a code, one that has another key, one that forgets, and somebody in between.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;

use offstage_pairing::code::Code;
use offstage_pairing::door::Admitted;
use offstage_pairing::door::Door;
use offstage_pairing::identity::Identity;
use offstage_pairing::invitation::Fate;
use offstage_pairing::invitation::Invitation;
use offstage_pairing::invitation::InvitationFile;
use offstage_pairing::store;
use offstage_pairing::store::Store;
use offstage_pairing::tls;
use offstage_pairing::tls::Whom;
use offstage_protocol::ErrorCode;
use offstage_protocol::frame::Frame;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::TlsConnector;
use tokio_rustls::server::TlsStream;

use crate::host::Host;
use crate::host::LIMIT;
use crate::host::hello_frame;

/// A device: its door, its folder, a port.
struct Device {
    runtime: Runtime,
    folder: TempDir,
    listener: TcpListener,
}

impl Device {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        Self { runtime, folder: tempfile::tempdir().unwrap(), listener }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Shows a code.
    fn invite(&self) -> Code {
        let code = Code::random().unwrap();
        let file = InvitationFile::new(self.folder.path());
        file.put(&Invitation::new(store::now(), code.clone())).unwrap();
        code
    }

    fn fate(&self) -> Fate {
        InvitationFile::new(self.folder.path()).read().unwrap().unwrap().fate(store::now())
    }

    /// Takes one connection, while `meanwhile` happens; what became of it.
    fn admit<T: Send>(
        &self,
        meanwhile: impl FnOnce() -> T + Send,
    ) -> (Result<Admitted, offstage_pairing::PairingError>, T) {
        std::thread::scope(|scope| {
            let other = scope.spawn(meanwhile);
            let door = Door::of_folder(self.folder.path()).unwrap();
            let admitted = async {
                let (stream, from) = self.listener.accept().await.unwrap();
                door.admit(stream, from.ip()).await
            };
            let admitted = self.runtime.block_on(async { timeout(LIMIT, admitted).await });
            (admitted.expect("a connection"), other.join().unwrap())
        })
    }

    /// Takes connections while `meanwhile` happens.
    fn serve<T: Send>(&self, meanwhile: impl FnOnce() -> T + Send) -> T {
        let door = Door::of_folder(self.folder.path()).unwrap();
        let (end, mut ended) = tokio::sync::mpsc::channel(1);
        std::thread::scope(|scope| {
            let other = scope.spawn(move || {
                let done = meanwhile();
                end.blocking_send(()).unwrap();
                done
            });
            self.runtime.block_on(async {
                loop {
                    tokio::select! {
                        accepted = self.listener.accept() => {
                            let (stream, from) = accepted.unwrap();
                            door.admit(stream, from.ip()).await.ok();
                        }
                        _ = ended.recv() => break,
                    }
                }
            });
            other.join().unwrap()
        })
    }

    /// Takes a session that has to be let in.
    fn session(&self) -> TlsStream<TcpStream> {
        match self.admit(|| ()).0 {
            Ok(Admitted::Session { stream, .. }) => *stream,
            other => panic!("not let in: {other:?}"),
        }
    }

    fn read(&self, stream: &mut TlsStream<TcpStream>, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.runtime
            .block_on(async { timeout(LIMIT, stream.read_exact(&mut bytes)).await })
            .unwrap()
            .unwrap();
        bytes
    }

    fn write(&self, stream: &mut TlsStream<TcpStream>, bytes: &[u8]) {
        let write = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        self.runtime.block_on(async { timeout(LIMIT, write).await }).unwrap().unwrap();
    }
}

/// A session's user with a state folder.
struct User(TempDir);

impl User {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("offstage/session")
    }

    /// Runs the bridge with these arguments; `typed` is its standard input.
    fn run(&self, arguments: &[&str], typed: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_offstage-bridge"))
            .args(arguments)
            .env("XDG_STATE_HOME", self.0.path())
            .env("XDG_RUNTIME_DIR", self.0.path())
            .env("USER", "ann")
            .env_remove("OFFSTAGE_CHANNEL")
            .env_remove("OFFSTAGE_SOCKET")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that needs no input may have ended.
        child.stdin.take().unwrap().write_all(typed.as_bytes()).ok();
        child.wait_with_output().unwrap()
    }

    fn pair_with(&self, address: SocketAddr, typed: &str) -> Output {
        self.run(&["pair", &address.to_string()], &format!("{typed}\n"))
    }

    fn pair(&self, device: &Device) {
        let code = device.invite().to_string();
        let (admitted, output) = device.admit(|| self.pair_with(device.address(), &code));
        assert!(matches!(&admitted, Ok(Admitted::Paired(_))), "{admitted:?} {output:?}");
        assert!(output.status.success(), "{output:?}");
    }

    fn host(&self, channel: &str) -> Host {
        let (state, channel) = (self.0.path().to_owned(), channel.to_owned());
        Host::start_known_with(move |command, _folder| {
            command
                .env("XDG_STATE_HOME", &state)
                .env("XDG_RUNTIME_DIR", &state)
                .env_remove("OFFSTAGE_SOCKET");
            if !channel.is_empty() {
                command.env("OFFSTAGE_CHANNEL", channel);
            }
        })
    }
}

fn says(output: &Output, code: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains(code), "{code}: {text}");
}

/// Talks TLS with a key of its own on both sides.
fn in_between(runtime: &Runtime, folder: &Path, device: SocketAddr) -> SocketAddr {
    let identity = Identity::of_folder(folder).unwrap();
    let mut config = tls::server_config(&identity, Whom::Unknown).unwrap();
    config.alpn_protocols.push(tls::SESSION_PROTOCOL.to_vec());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let connector = TlsConnector::from(Arc::new(tls::client_config(&identity, Whom::Unknown).unwrap()));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut near) = acceptor.accept(stream).await else { continue };
            let far = TcpStream::connect(device).await.unwrap();
            let mut far = connector.connect("x.invalid".try_into().unwrap(), far).await.unwrap();
            tokio::io::copy_bidirectional(&mut near, &mut far).await.ok();
        }
    });
    address
}

#[test]
fn a_code_makes_them_known_and_frames_go_both_ways() {
    let (device, user) = (Device::new(), User::new());
    user.pair(&device);
    assert!(matches!(device.fate(), Fate::Paired { name } if name.starts_with("ann@")));
    let listed = user.run(&["pairings", "list"], "");
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains(&device.address().to_string()), "{listed}");

    let mut host = user.host(&format!("tls:{}", device.address()));
    let mut stream = device.session();
    let epoch = host.wait_up_by("tls");
    let mut words = hello_frame("extension", epoch);
    words.extend(Frame::whole(16, 0, &[7; 9000]).encode());
    host.send(&words);
    assert_eq!(device.read(&mut stream, words.len()), words);
    device.write(&mut stream, &hello_frame("client", epoch));
    device.write(&mut stream, &Frame::whole(16, 0, b"back").encode());
    assert_eq!(host.next_frame().stream, 0);
    assert_eq!(host.next_frame().payload(), b"back");

    // The device goes away and comes back.
    drop(stream);
    assert!(host.wait_down(ErrorCode::LINK_CLOSED) >= 100);
    let _again = device.session();
    assert!(host.wait_up_by("tls") > epoch);
    assert!(host.end().success());
}

#[test]
fn paired_devices_are_taken_where_there_is_no_socket() {
    let (device, user) = (Device::new(), User::new());
    user.pair(&device);
    let host = user.host("");
    let _stream = device.session();
    host.wait_up_by("tls");
}

#[test]
fn a_wrong_code_is_told_and_counted() {
    let (device, user) = (Device::new(), User::new());
    says(&user.pair_with(device.address(), "ABCD-234"), "OFS-1042");
    device.invite();
    for wrong in 1..=5 {
        let (admitted, output) = device.admit(|| user.pair_with(device.address(), "2222-2222"));
        assert!(admitted.is_err());
        says(&output, "OFS-1042");
        assert!(matches!(device.fate(), Fate::Open { wrong: told } if told == wrong) || wrong == 5);
    }
    assert_eq!(device.fate(), Fate::TriesUsedUp);
    says(&device.admit(|| user.pair_with(device.address(), "2222-2222")).1, "OFS-1044");
    assert_eq!(Store::new(device.folder.path()).list().unwrap(), []);
    assert_eq!(Store::new(&user.folder()).list().unwrap(), []);
}

#[test]
fn a_code_that_is_over_and_a_device_without_one_are_told() {
    let (device, user) = (Device::new(), User::new());
    says(&device.admit(|| user.pair_with(device.address(), "2222-2222")).1, "OFS-1047");
    let file = InvitationFile::new(device.folder.path());
    let code: Code = "2222-2222".parse().unwrap();
    file.put(&Invitation::new(store::now() - 301, code)).unwrap();
    says(&device.admit(|| user.pair_with(device.address(), "2222-2222")).1, "OFS-1043");
}

#[test]
fn somebody_in_between_gets_neither_a_pairing_nor_a_session() {
    let (device, user) = (Device::new(), User::new());
    let other = tempfile::tempdir().unwrap();
    let between = in_between(&device.runtime, other.path(), device.address());
    let code = device.invite().to_string();
    // The right code, and another key at the other end of TLS.
    let (admitted, output) = device.admit(|| user.pair_with(between, &code));
    assert_eq!(admitted.unwrap_err().code(), ErrorCode::PAIRING_CODE_WRONG);
    says(&output, "OFS-1042");
    assert_eq!(device.fate(), Fate::Open { wrong: 1 });

    user.pair(&device);
    let host = user.host(&format!("tls:{between}"));
    host.wait_down(ErrorCode::PEER_UNKNOWN);
}

#[test]
fn a_device_with_another_key_is_refused() {
    let (device, user) = (Device::new(), User::new());
    user.pair(&device);
    std::fs::remove_file(device.folder.path().join("key.pk8")).unwrap();
    let host = user.host("tls");
    let (admitted, ()) = device.admit(|| ());
    assert_eq!(admitted.unwrap_err().code(), ErrorCode::NOT_PAIRED);
    host.wait_down(ErrorCode::PEER_UNKNOWN);
    drop(host);
    let output = device.serve(|| user.run(&["doctor", "--channel=tls"], ""));
    assert!(String::from_utf8_lossy(&output.stdout).contains("OFS-1041"), "{output:?}");
}

#[test]
fn a_pairing_that_one_end_has_removed_is_told() {
    let (device, user) = (Device::new(), User::new());
    user.pair(&device);
    let paired = Store::new(device.folder.path());
    let name = paired.list().unwrap()[0].name.clone();
    assert_eq!(paired.remove(&name).unwrap().len(), 1);
    let host = user.host("tls");
    let (admitted, ()) = device.admit(|| ());
    assert_eq!(admitted.unwrap_err().code(), ErrorCode::PEER_UNKNOWN);
    host.wait_down(ErrorCode::NOT_PAIRED);
    drop(host);

    let known = Store::new(&user.folder()).list().unwrap()[0].name.clone();
    assert!(user.run(&["pairings", "remove", &known], "").status.success());
    assert!(!user.run(&["pairings", "remove", &known], "").status.success());
    user.host("tls").wait_down(ErrorCode::NOT_PAIRED);
}

#[test]
fn files_that_hold_garbage_are_told() {
    let user = User::new();
    std::fs::create_dir_all(user.folder()).unwrap();
    std::fs::write(user.folder().join("pairings.json"), [0xff; 100]).unwrap();
    user.host("tls").wait_down(ErrorCode::PAIRINGS_UNREADABLE);
    says(&user.run(&["pairings", "list"], ""), "OFS-1046");
    says(&user.run(&["pair", "127.0.0.1:1", "ABCD-2345"], ""), "OFS-1046");
}

#[test]
fn a_device_that_is_not_there_is_told() {
    let (device, user) = (Device::new(), User::new());
    user.pair(&device);
    let address = device.address();
    drop(device);
    user.host(&format!("tls:{address}")).wait_down(ErrorCode::CLIENT_UNREACHABLE);
    // Garbage in the place of TLS.
    let listener = std::net::TcpListener::bind(address).unwrap();
    let host = user.host(&format!("tls:{address}"));
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    host.wait_down(ErrorCode::TLS_FAILED);
}
