//! A real remote desktop by RDP: xrdp's session, FreeRDP's client on the device with the plug-in. Needs root, for the login.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use offstage_tests::rdp::{Server, Viewer, is_possible};
use offstage_tests::session::Installation;
use offstage_tests::xvfb::Screen;

/// The session's screen.
const SESSION: (u16, u16) = (1280, 1024);
const MEBIBYTE: usize = 1024 * 1024;

/// Whether the machine lets a test do this; told where not.
fn is_here() -> bool {
    let is_here = is_possible();
    if !is_here {
        println!("skipped: needs root, namespaces and what `cargo xtask setup` installs");
    }
    is_here
}

/// Gives back what comes, as much of it as is wanted.
fn echo(listener: &UnixListener) -> UnixStream {
    let stream = listener.accept().unwrap().0;
    let mut copy = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut reader = copy.try_clone().unwrap();
        std::io::copy(&mut reader, &mut copy).ok();
    });
    stream
}

#[test]
fn a_channel_reaches_the_clients_socket_and_again_after_a_new_connection() {
    if !is_here() {
        return;
    }
    let installation = Installation::from_env().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("client.sock");
    let device = Screen::start(1600, 1200).unwrap();
    let server = Server::start().unwrap();
    let mut viewer = Viewer::start(&server, &device, SESSION, &installation.plugin, &socket).unwrap();
    server.elsewhere().unwrap();
    // Nobody listens yet: the channel is refused at first.
    let listener = UnixListener::bind(&socket).unwrap();
    let mut channel = server.open_channel().unwrap();
    let client = echo(&listener);
    let mut took = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        channel.write_all(b"ping").unwrap();
        channel.read_exact(&mut [0; 4]).unwrap();
        took.push(began.elapsed());
    }
    took.sort();
    println!("round trip: {:?}, the slowest of 200 {:?}", took[100], took[199]);
    drop(client);

    // Both directions at once, in a window of 64 KiB.
    let mut writer = channel.try_clone().unwrap();
    let began = Instant::now();
    let piece: Vec<u8> = (0..64 * 1024).map(|index: u32| index.to_le_bytes()[0]).collect();
    let mut back = vec![0; piece.len()];
    for _ in 0..16 * MEBIBYTE / piece.len() {
        writer.write_all(&piece).unwrap();
        channel.read_exact(&mut back).unwrap();
        assert!(back == piece);
    }
    println!("16 MiB there and back in {:?}", began.elapsed());

    viewer.close();
    viewer.open().unwrap();
    let mut channel = server.open_channel().unwrap();
    let _client = echo(&listener);
    channel.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    channel.write_all(b"again").unwrap();
    let mut back = [0; 5];
    channel.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"again");
}
