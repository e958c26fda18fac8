//! The channel through Windows' remote desktop service, with `wtsapi32.rs` in its place: a pipe of messages per channel, named after this
//! process and the channel.

use std::io::ErrorKind;
use std::path::PathBuf;

use offstage_bridge::channel::Channel as _;
use offstage_bridge::channel::ChannelError;
use offstage_bridge::channel::Link;
use offstage_bridge::channel::wts::PIECE;
use offstage_bridge::channel::wts::WtsChannel;
use offstage_protocol::error::ErrorCode;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::net::windows::named_pipe::NamedPipeServer;
use tokio::net::windows::named_pipe::PipeMode;
use tokio::net::windows::named_pipe::ServerOptions;
use tokio::time::timeout;

use crate::LIMIT;

fn path(name: &str) -> PathBuf {
    PathBuf::from(format!(r"\\.\pipe\wts-{}-{name}", std::process::id()))
}

/// The device's end of an open channel, and the session's.
async fn open(name: &str) -> (NamedPipeServer, Link) {
    let server = ServerOptions::new().pipe_mode(PipeMode::Message).create(path(name)).unwrap();
    let link = WtsChannel::new(name).open().await.unwrap();
    server.connect().await.unwrap();
    (server, link)
}

/// Messages as Windows delivers them: pieces, each with a header.
async fn deliver(server: &mut (impl AsyncWrite + Unpin), message: &[u8]) {
    let length = u32::try_from(message.len()).unwrap();
    let last = message.len().div_ceil(PIECE) - 1;
    for (at, part) in message.chunks(PIECE).enumerate() {
        let flags = u32::from(at == 0) | if at == last { 2 } else { 0 };
        let piece = [&length.to_le_bytes()[..], &flags.to_le_bytes(), part].concat();
        server.write_all(&piece).await.unwrap();
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(LIMIT, test).await }).unwrap();
}

#[test]
fn bytes_go_both_ways_without_headers() {
    run(async {
        let (mut server, mut link) = open("BOTH").await;
        let bytes: Vec<u8> = (0..300_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut down = vec![0; bytes.len()];
        let mut up = vec![0; bytes.len()];
        let (mut reading, mut writing) = tokio::io::split(&mut server);
        let device = async {
            for message in bytes.chunks(70_001) {
                deliver(&mut writing, message).await;
            }
        };
        tokio::join!(
            device,
            async { link.reader.read_exact(&mut down).await.map(drop).unwrap() },
            async { link.writer.write_all(&bytes).await.unwrap() },
            async { reading.read_exact(&mut up).await.map(drop).unwrap() },
        );
        assert!(down == bytes && up == bytes);
        // Both threads end with the link, and so does the channel.
        drop(link);
        let end = server.read(&mut [0; 1]).await;
        assert!(end.map_or_else(|error| error.kind() == ErrorKind::BrokenPipe, |length| length == 0));
    });
}

#[test]
fn a_channel_that_nobody_listens_on_is_refused() {
    run(async {
        let error = WtsChannel::new("NOBODY").open().await.unwrap_err();
        assert!(matches!(error, ChannelError::Refused { .. }), "{error}");
        assert_eq!(error.code(), ErrorCode::WTS_CHANNEL_REFUSED);
    });
}

#[test]
fn malformed_headers_end_the_channel_with_their_code() {
    run(async {
        let (mut server, mut link) = open("BAD").await;
        deliver(&mut server, b"well").await;
        server.write_all(&[1, 2, 3]).await.unwrap();
        let mut bytes = [0; 4];
        link.reader.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"well");
        let error = ChannelError::Failed(link.reader.read(&mut bytes).await.unwrap_err());
        assert_eq!(error.code(), ErrorCode::WTS_DATA_MALFORMED, "{error}");
    });
}

#[test]
fn a_channel_that_ends_is_noticed() {
    run(async {
        let (server, mut link) = open("END").await;
        drop(server);
        let error = ChannelError::Failed(link.reader.read(&mut [0; 4]).await.unwrap_err());
        assert_eq!(error.code(), ErrorCode::LINK_DEAD, "{error}");
    });
}
