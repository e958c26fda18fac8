//! Frames pass unchanged and in order, and nothing piles up.

use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use offstage_bridge::native_message::encode;
use offstage_protocol::frame::Frame;
use offstage_protocol::frame::MAX_PAYLOAD;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;

use crate::host::Client;
use crate::host::Host;
use crate::host::hello_frame;
use crate::host::read_exactly;

const TOTAL: usize = 64 << 20;
const FRAMES: usize = TOTAL / MAX_PAYLOAD;

/// These tests use all the machine has; together they would only wait for each other, and a wait is what they measure.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says something every second, as a living client does, until the sender is dropped.
fn keep_alive(mut stream: UnixStream) -> (mpsc::SyncSender<()>, JoinHandle<()>) {
    let (sender, receiver) = mpsc::sync_channel(1);
    let thread = thread::spawn(move || {
        while receiver.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
            stream.write_all(&Frame::whole(0, 0, b"").encode()).unwrap();
        }
    });
    (sender, thread)
}

/// A frame whose payload depends on its number in every 8 bytes.
fn frame(number: usize) -> Vec<u8> {
    let mut payload = Vec::with_capacity(MAX_PAYLOAD);
    let mut word = u64::try_from(number).unwrap();
    while payload.len() < MAX_PAYLOAD {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        payload.extend_from_slice(&word.to_le_bytes());
    }
    Frame::whole(16, u32::try_from(number).unwrap(), &payload).encode()
}

#[test]
fn both_directions_at_once_arrive_intact() {
    let _alone = alone();
    let mut host = Host::start_known();
    let client = Client::listen(&host.socket());
    let epoch = host.wait_up();
    let mut to_bridge = client.accept();
    let mut from_bridge = to_bridge.try_clone().unwrap();
    let begin = hello_frame("extension", epoch);
    host.send(&begin);

    let client_writes = thread::spawn(move || {
        for number in 0..FRAMES {
            to_bridge.write_all(&frame(number)).unwrap();
        }
        keep_alive(to_bridge)
    });
    let client_reads = thread::spawn(move || {
        let mut bytes = vec![0; begin.len()];
        from_bridge.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, begin);
        for number in 0..FRAMES {
            let expected = frame(number);
            bytes.resize(expected.len(), 0);
            from_bridge.read_exact(&mut bytes).unwrap();
            assert!(bytes == expected, "frame {number} to the client");
        }
    });
    let mut input = host.input.take().unwrap();
    let browser_writes = thread::spawn(move || {
        let mut message = Vec::new();
        for first in (0..FRAMES).step_by(16) {
            let frames: Vec<u8> = (first..first + 16).flat_map(frame).collect();
            encode(&frames, &mut message);
            input.write_all(&message).unwrap();
        }
        input
    });
    for number in 0..FRAMES {
        assert!(host.next_frame().bytes == frame(number), "frame {number} to the browser");
    }
    let (alive, keeper) = client_writes.join().unwrap();
    host.input = Some(browser_writes.join().unwrap());
    client_reads.join().unwrap();
    drop(alive);
    keeper.join().unwrap();
    assert!(host.end().success());
}

/// Writes the same bytes again and again until nothing has been taken for a second; returns how many were.
fn write_until_blocked(out: &mut (impl Write + AsFd), bytes: &[u8]) -> usize {
    rustix::io::ioctl_fionbio(&*out, true).unwrap();
    let mut total = 0;
    loop {
        match out.write(&bytes[total % bytes.len()..]) {
            Ok(length) => total += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut poll = [PollFd::new(&*out, PollFlags::OUT)];
                let quiet = Timespec { tv_sec: 1, tv_nsec: 0 };
                if rustix::event::poll(&mut poll, Some(&quiet)).unwrap() == 0 {
                    rustix::io::ioctl_fionbio(&*out, false).unwrap();
                    return total;
                }
            }
            Err(error) => panic!("{error}"),
        }
        assert!(total < TOTAL, "nothing holds the writer back");
    }
}

#[test]
fn a_browser_that_does_not_read_holds_the_client_back() {
    let _alone = alone();
    let host = Host::start_known();
    let client = Client::listen(&host.socket());
    host.wait_up();
    let mut stream = client.accept();
    let bytes = frame(0);
    let total = write_until_blocked(&mut stream, &bytes);
    // Nothing is lost: once the browser reads again, all of it comes.
    for _ in 0..total / bytes.len() {
        assert!(host.next_frame().bytes == bytes);
    }
    assert!(host.end().success());
}

#[test]
fn a_client_that_does_not_read_holds_the_browser_back() {
    let _alone = alone();
    let mut host = Host::start_known();
    let client = Client::listen(&host.socket());
    let epoch = host.wait_up();
    let mut stream = client.accept();
    let (_alive, _keeper) = keep_alive(stream.try_clone().unwrap());
    let begin = hello_frame("extension", epoch);
    host.send(&begin);
    let bytes = frame(0);
    let mut message = Vec::new();
    encode(&bytes, &mut message);
    let total = write_until_blocked(host.input.as_mut().unwrap(), &message);
    // Nothing is lost: once the client reads again, all of it comes.
    assert_eq!(read_exactly(&mut stream, begin.len()).unwrap(), begin);
    for _ in 0..total / message.len() {
        assert!(read_exactly(&mut stream, bytes.len()).unwrap() == bytes);
    }
}
