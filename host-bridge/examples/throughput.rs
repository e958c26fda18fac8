//! How fast the real process forwards, in MB of frames a second; prints one line a direction.
//!
//! `cargo run --release -p offstage-bridge --example throughput -- target/release/offstage-bridge [MiB]`

use std::env;
use std::error::Error;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use offstage_bridge::native_message::encode;
use offstage_bridge::native_message::read_message;
use offstage_protocol::frame::BRIDGE_STREAM;
use offstage_protocol::frame::Frame;
use offstage_protocol::frame::MAX_PAYLOAD;
use offstage_protocol::message::BridgeKind;
use offstage_protocol::message::BridgeMessage;
use offstage_protocol::message::Hello;
use offstage_protocol::prost::Message as _;

/// Frames in one message of the browser's, about as many as the extension puts there.
const FRAMES: usize = 32;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = env::args().skip(1);
    let program = arguments.next().ok_or("the first argument is the bridge's program")?;
    let messages =
        arguments.next().map_or(Ok(512), |mib| mib.parse::<usize>())? * (1 << 20) / (FRAMES * MAX_PAYLOAD);

    let socket = env::temp_dir().join(format!("offstage-throughput-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&socket)?;
    let mut bridge = Command::new(program)
        .arg("chrome-extension://throughput/")
        .env("OFFSTAGE_SOCKET", &socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = bridge.stdin.take().ok_or("no input")?;
    let mut output = bridge.stdout.take().ok_or("no output")?;

    let hello = Hello { protocol_min: 1, protocol_max: 1, ..Hello::default() };
    let payload = BridgeMessage { kind: Some(BridgeKind::Hello(hello)) }.encode_to_vec();
    let mut message = Vec::new();
    encode(&Frame::whole(BRIDGE_STREAM, 0, &payload).encode(), &mut message);
    input.write_all(&message)?;
    let (client, _) = listener.accept()?;
    std::fs::remove_file(&socket)?;
    // Hello, session, channel: the extension sends nothing before it has seen the last one.
    let mut json = Vec::new();
    let mut seen = 0;
    while seen < 3 && read_message(&mut output, &mut json)? {
        let frames = offstage_bridge::native_message::decode(&json)?;
        let mut reader = offstage_protocol::FrameReader::new();
        reader.push(&frames);
        while reader.next_raw()?.is_some() {
            seen += 1;
        }
    }

    let mut frames = Vec::new();
    for number in 0..FRAMES {
        Frame::whole(16, u32::try_from(number)?, &[0xa5; MAX_PAYLOAD]).encode_into(&mut frames);
    }
    let total = frames.len() * messages;
    let mut out = io::stdout();

    // The first frame of the control stream opens the way to the client.
    let begin = Frame::whole(0, 0, b"").encode();
    encode(&begin, &mut message);
    input.write_all(&message)?;
    (&client).read_exact(&mut vec![0; begin.len()])?;
    encode(&frames, &mut message);

    let start = Instant::now();
    let (to_client, from_client) = (client.try_clone()?, client);
    let writer = thread::spawn(move || -> Result<_, Failure> {
        for _ in 0..messages {
            input.write_all(&message)?;
        }
        Ok((input, message))
    });
    drain(&mut &from_client, total)?;
    let (mut input, message) = writer.join().map_err(|_| "the writer failed")??;
    say(&mut out, "browser to client", total, start)?;

    let start = Instant::now();
    let writer = thread::spawn(move || -> Result<_, Failure> {
        for _ in 0..messages {
            (&to_client).write_all(&frames)?;
        }
        Ok((to_client, frames))
    });
    drain_messages(&mut output, total)?;
    let (to_client, frames) = writer.join().map_err(|_| "the writer failed")??;
    say(&mut out, "client to browser", total, start)?;

    let start = Instant::now();
    let browser_writes = thread::spawn(move || -> Result<_, Failure> {
        for _ in 0..messages {
            input.write_all(&message)?;
        }
        Ok(input)
    });
    let client_writes = thread::spawn(move || -> Result<_, Failure> {
        for _ in 0..messages {
            (&to_client).write_all(&frames)?;
        }
        Ok(())
    });
    let client_reads = thread::spawn(move || drain(&mut &from_client, total));
    drain_messages(&mut output, total)?;
    client_writes.join().map_err(|_| "the writer failed")??;
    client_reads.join().map_err(|_| "the reader failed")??;
    drop(browser_writes.join().map_err(|_| "the writer failed")??);
    say(&mut out, "both at once, each", total, start)?;
    drop(output);
    bridge.wait()?;
    Ok(())
}

fn say(out: &mut impl Write, what: &str, total: usize, start: Instant) -> Result<(), Failure> {
    let seconds = start.elapsed().as_secs_f64();
    let megabytes = f64::from(u32::try_from(total / 1_000_000)?);
    writeln!(out, "{what}: {:.0} MB/s", megabytes / seconds)?;
    Ok(())
}

fn drain(input: &mut impl Read, total: usize) -> Result<(), Failure> {
    let mut buffer = vec![0; 1 << 20];
    let mut rest = total;
    while rest > 0 {
        let length = rest.min(buffer.len());
        let length = input.read(buffer.get_mut(..length).ok_or("buffer")?)?;
        if length == 0 {
            return Err("the bridge closed the channel".into());
        }
        rest -= length;
    }
    Ok(())
}

/// Reads messages without decoding them, which would measure the measuring.
fn drain_messages(input: &mut impl Read, total: usize) -> Result<(), Failure> {
    let mut json = Vec::new();
    let mut seen = 0;
    while seen < total {
        if !read_message(input, &mut json)? {
            return Err("the bridge closed its output".into());
        }
        let padding = json.iter().rev().skip(2).take_while(|byte| **byte == b'=').count();
        seen += (json.len() - br#"{"f":""}"#.len()) / 4 * 3 - padding;
    }
    Ok(())
}
