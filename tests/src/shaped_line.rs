//! A long, thin line for TCP on loopback, without touching the machine's network: it delays, limits, loses and counts.
//!
//! Beside [`FaultyLink`](crate::faulty_link::FaultyLink), which stalls, breaks and dies and holds 64 KiB: too little for a long line
//! that is wide.
//!
//! What it stands for: a sender that fills the line and a router's queue of [`QUEUE`], and no more than one read of [`PIECE`] and the
//! system's buffers at its two ends. A lost segment holds up all that
//! follows it for a round trip, as fast retransmission does (RFC 5681, section 3.2); that congestion control also slows down after a
//! loss is left out, so a real line with losses is worse.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// What a router keeps waiting, in time.
const QUEUE: Duration = Duration::from_millis(50);
/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;
/// Bytes on the way where nothing limits them.
const MOST_WAITING: usize = 4 * 1024 * 1024;
/// The system's own buffers at both ends, which would be a second queue.
const SYSTEM_BUFFER: usize = 64 * 1024;
/// Bytes of a TCP segment on Ethernet with timestamps.
const SEGMENT: usize = 1448;

/// What the line is like, each way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shape {
    /// There and back.
    pub rtt: Duration,
    /// None: as many as there are.
    pub bits_per_second: Option<u64>,
    /// Of a million segments.
    pub lost_ppm: u32,
}

impl Shape {
    /// How long so many bytes occupy the line.
    fn occupied(&self, bytes: usize) -> Duration {
        let bits = bytes as u64 * 8;
        self.bits_per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_nanos(bits.saturating_mul(1_000_000_000) / rate.max(1))
        })
    }

    /// How many bytes may be on the way.
    fn most_waiting(&self) -> usize {
        let Some(rate) = self.bits_per_second else { return MOST_WAITING };
        let time = self.rtt / 2 + QUEUE;
        let bytes = u128::from(rate) * time.as_micros() / 8_000_000;
        usize::try_from(bytes).unwrap_or(MOST_WAITING).clamp(PIECE, MOST_WAITING)
    }
}

/// A port that leads to another over such a line. Dropping it cuts what is open.
#[derive(Debug)]
pub struct ShapedLine {
    shared: Arc<Shared>,
    port: u16,
}

#[derive(Debug)]
struct Shared {
    shape: Mutex<Shape>,
    /// From who connects, and to it.
    carried: [AtomicU64; 2],
    over: AtomicBool,
    /// Both ends of each connection, and how many of its directions still carry.
    open: Mutex<Vec<(Arc<AtomicUsize>, [TcpStream; 2])>>,
}

/// One direction of one connection.
struct Way {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    ended: bool,
}

impl ShapedLine {
    /// A good line to `target`.
    pub fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for a line")?;
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, SYSTEM_BUFFER)?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            shape: Mutex::default(),
            carried: [AtomicU64::new(0), AtomicU64::new(0)],
            over: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                if of_thread.over.load(Ordering::Relaxed) {
                    break;
                }
                // Who connects while the target is not there is turned away, as it would be without us.
                if let Ok(near) = near {
                    connect(near, target, &of_thread).ok();
                }
            }
        });
        Ok(Self { shared, port })
    }

    /// The port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes the line so, for what comes from now on.
    pub fn set(&self, shape: Shape) {
        *lock(&self.shared.shape) = shape;
    }

    /// Bytes carried since the beginning: from who connects, and to it.
    #[must_use]
    pub fn carried(&self) -> [u64; 2] {
        [0, 1].map(|index| self.shared.carried[index].load(Ordering::Relaxed))
    }
}

impl Drop for ShapedLine {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for (_, ends) in lock(&self.shared.open).drain(..) {
            ends.iter().for_each(|end| drop(end.shutdown(Shutdown::Both)));
        }
        // Wakes the thread that waits for who connects.
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok();
    }
}

fn connect(near: TcpStream, target: SocketAddr, shared: &Arc<Shared>) -> Result<()> {
    let far = TcpStream::connect(target)?;
    for stream in [&near, &far] {
        stream.set_nodelay(true)?;
        rustix::net::sockopt::set_socket_recv_buffer_size(stream, SYSTEM_BUFFER)?;
        rustix::net::sockopt::set_socket_send_buffer_size(stream, SYSTEM_BUFFER)?;
    }
    let carrying = Arc::new(AtomicUsize::new(2));
    let mut open = lock(&shared.open);
    open.retain(|(carrying, _)| carrying.load(Ordering::Relaxed) > 0);
    open.push((Arc::clone(&carrying), [near.try_clone()?, far.try_clone()?]));
    drop(open);
    for (index, from, to) in [(0, near.try_clone()?, far.try_clone()?), (1, far, near)] {
        let way = Arc::new(Way { waiting: Mutex::default(), changed: Condvar::new() });
        let (of_writer, shared, carrying) = (Arc::clone(&way), Arc::clone(shared), Arc::clone(&carrying));
        std::thread::spawn(move || take(from, &way, &shared, index));
        std::thread::spawn(move || {
            give(to, &of_writer);
            carrying.fetch_sub(1, Ordering::Relaxed);
        });
    }
    Ok(())
}

/// Takes in what is sent and says when it arrives.
fn take(mut from: TcpStream, way: &Way, shared: &Shared, index: usize) {
    let (mut free, mut arrives) = (Instant::now(), Instant::now());
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ index as u64);
    let mut buffer = vec![0; PIECE];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        shared.carried[index].fetch_add(count as u64, Ordering::Relaxed);
        let shape = *lock(&shared.shape);
        let now = Instant::now();
        free = free.max(now) + shape.occupied(count);
        arrives = arrives.max(free + shape.rtt / 2);
        let lost = (0..count.div_ceil(SEGMENT)).any(|_| dice.below_a_million() < shape.lost_ppm);
        if lost {
            arrives = arrives.max(free + shape.rtt + shape.rtt / 2);
        }
        let mut waiting = lock(&way.waiting);
        waiting.bytes += count;
        waiting.pieces.push_back((arrives, buffer[..count].to_vec()));
        way.changed.notify_all();
        while waiting.bytes >= shape.most_waiting() && !waiting.ended {
            waiting = way.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.ended {
            break;
        }
    }
    lock(&way.waiting).ended = true;
    way.changed.notify_all();
}

/// Hands on what has arrived.
fn give(mut to: TcpStream, way: &Way) {
    let mut waiting = lock(&way.waiting);
    loop {
        let Some((due, _)) = waiting.pieces.front() else {
            if waiting.ended {
                break;
            }
            waiting = way.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let left = due.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            waiting = way.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        let Some((_, piece)) = waiting.pieces.pop_front() else { continue };
        drop(waiting);
        let written = to.write_all(&piece);
        waiting = lock(&way.waiting);
        waiting.bytes -= piece.len();
        waiting.ended |= written.is_err();
        way.changed.notify_all();
        if written.is_err() {
            break;
        }
    }
    drop(waiting);
    to.shutdown(Shutdown::Both).ok();
}

/// The same falls each time (xorshift64).
struct Dice(u64);

impl Dice {
    fn below_a_million(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 >> 32).unwrap_or(0) % 1_000_000
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line to somebody who sends back all that comes.
    fn to_echo() -> ShapedLine {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut reader, mut writer) = {
                    let stream = stream.unwrap();
                    (stream.try_clone().unwrap(), stream)
                };
                std::thread::spawn(move || std::io::copy(&mut reader, &mut writer).ok());
            }
        });
        ShapedLine::start(address).unwrap()
    }

    fn open(line: &ShapedLine) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, line.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn there_and_back(stream: &mut TcpStream, bytes: &[u8]) -> Duration {
        let began = Instant::now();
        let mut writer = stream.try_clone().unwrap();
        let sent = bytes.to_vec();
        let sender = std::thread::spawn(move || writer.write_all(&sent).unwrap());
        let mut back = vec![0; bytes.len()];
        stream.read_exact(&mut back).unwrap();
        sender.join().unwrap();
        assert!(back == bytes, "other bytes came back");
        began.elapsed()
    }

    #[test]
    fn it_is_as_long_and_as_thin_as_it_was_made_and_counts() {
        let line = to_echo();
        let mut stream = open(&line);
        there_and_back(&mut stream, b"quick");
        assert_eq!(line.carried(), [5, 5]);
        line.set(Shape { rtt: Duration::from_millis(80), ..Shape::default() });
        assert!(there_and_back(&mut stream, b"slow") >= Duration::from_millis(80));
        // A quarter of a second's bits in one direction.
        line.set(Shape { bits_per_second: Some(8_000_000), ..Shape::default() });
        let bytes: Vec<u8> = (0..250_000_u32).map(|index| index.to_le_bytes()[0]).collect();
        assert!(there_and_back(&mut stream, &bytes) >= Duration::from_millis(240));
        assert_eq!(line.carried(), [250_009, 250_009]);
    }

    #[test]
    fn who_sends_faster_than_the_line_is_held_up() {
        let line = to_echo();
        line.set(Shape { bits_per_second: Some(800_000), ..Shape::default() });
        let mut stream = open(&line);
        rustix::net::sockopt::set_socket_send_buffer_size(&stream, SYSTEM_BUFFER).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut sent = 0;
        while let Ok(count) = stream.write(&[7; 4096]) {
            sent += count;
            assert!(sent < 2_000_000, "the line takes all there is");
        }
        assert!(line.carried()[0] < 200_000);
    }

    #[test]
    fn a_connection_that_is_over_leaves_nothing() {
        let line = to_echo();
        for _ in 0..20 {
            let mut stream = open(&line);
            there_and_back(&mut stream, b"open");
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        }
        let end = Instant::now() + Duration::from_secs(20);
        while lock(&line.shared.open).len() > 2 {
            assert!(Instant::now() < end, "connections are kept that are over");
            // Whoever comes sweeps.
            drop(open(&line));
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_lost_segment_holds_up_and_nothing_is_lost_or_changed() {
        let line = to_echo();
        let mut stream = open(&line);
        line.set(Shape { rtt: Duration::from_millis(40), lost_ppm: 1_000_000, ..Shape::default() });
        assert!(there_and_back(&mut stream, b"held up both ways") >= Duration::from_millis(120));
        line.set(Shape { rtt: Duration::from_millis(2), lost_ppm: 100_000, ..Shape::default() });
        let bytes: Vec<u8> = (0..500_000_u32).map(|index| index.to_le_bytes()[0]).collect();
        there_and_back(&mut stream, &bytes);
    }

    #[test]
    fn what_one_end_closes_the_other_sees_and_a_line_that_is_gone_is_cut() {
        let line = to_echo();
        let mut stream = open(&line);
        there_and_back(&mut stream, b"open");
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        let mut stream = open(&line);
        there_and_back(&mut stream, b"open");
        drop(line);
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    }
}
