//! A path for UDP that is slow and loses packets, without touching the machine's network.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

const MOST_BYTES: usize = 2048;
/// Packets on their way; more are lost, as in a full queue.
const MOST_WAITING: usize = 4096;
const LOOK: Duration = Duration::from_millis(1);

/// How bad it is, each way.
#[derive(Debug, Clone, Copy)]
pub struct Badness {
    pub delay: Duration,
    /// Of a hundred packets.
    pub lost: u64,
}

/// Ways to places: each has a port of its own, and answers go back by it.
#[derive(Debug)]
pub struct LossyPath {
    badness: Badness,
    over: Arc<AtomicBool>,
}

impl LossyPath {
    #[must_use]
    pub fn new(badness: Badness) -> Self {
        Self { badness, over: Arc::default() }
    }

    /// The port on loopback that leads to `place`.
    pub fn to(&self, place: SocketAddr) -> Result<u16> {
        let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        front.set_nonblocking(true)?;
        let port = front.local_addr()?.port();
        let (badness, over) = (self.badness, Arc::clone(&self.over));
        std::thread::spawn(move || run(&front, place, badness, &over));
        Ok(port)
    }

    /// A description whose candidates lead through here; those by TCP and IPv6 are left out.
    pub fn lead(&self, sdp: &str) -> Result<String> {
        let mut out = String::new();
        for line in sdp.lines() {
            let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            if line.starts_with("a=candidate:") {
                if words.get(2).is_none_or(|protocol| !protocol.eq_ignore_ascii_case("udp")) {
                    continue;
                }
                let [address, port] = [4, 5].map(|at| words.get(at).cloned().unwrap_or_default());
                if address.parse::<std::net::Ipv6Addr>().is_ok() {
                    continue;
                }
                let place =
                    format!("{address}:{port}").parse().with_context(|| format!("no address: {line}"))?;
                if let Some(word) = words.get_mut(4) {
                    *word = Ipv4Addr::LOCALHOST.to_string();
                }
                if let Some(word) = words.get_mut(5) {
                    *word = self.to(place)?.to_string();
                }
            }
            out += &words.join(" ");
            out += "\r\n";
        }
        Ok(out)
    }
}

impl Drop for LossyPath {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// A packet on its way: when it arrives, from which socket, where.
struct Packet {
    at: Instant,
    /// From the socket of this visitor to the place; or, without one, from the front to the visitor.
    inwards: bool,
    visitor: SocketAddr,
    bytes: Vec<u8>,
}

fn run(front: &UdpSocket, place: SocketAddr, badness: Badness, over: &AtomicBool) {
    let mut visitors: BTreeMap<SocketAddr, UdpSocket> = BTreeMap::new();
    let mut waiting: VecDeque<Packet> = VecDeque::new();
    // Numerical Recipes' generator: the same packets are lost in each run.
    let mut random: u64 = 1;
    let mut is_lost = move || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) % (1 << 32);
        (random >> 16) % 100 < badness.lost
    };
    let mut buffer = [0; MOST_BYTES];
    while !over.load(Ordering::Relaxed) {
        let mut idle = true;
        let mut took = |inwards, visitor, bytes: &[u8], waiting: &mut VecDeque<Packet>| {
            idle = false;
            if !is_lost() && waiting.len() < MOST_WAITING {
                waiting.push_back(Packet {
                    at: Instant::now() + badness.delay,
                    inwards,
                    visitor,
                    bytes: bytes.to_vec(),
                });
            }
        };
        while let Some((count, visitor)) = received(front.recv_from(&mut buffer)) {
            took(true, visitor, &buffer[..count], &mut waiting);
        }
        for (visitor, socket) in &visitors {
            while let Some((count, _)) = received(socket.recv_from(&mut buffer)) {
                took(false, *visitor, &buffer[..count], &mut waiting);
            }
        }
        while waiting.front().is_some_and(|packet| packet.at <= Instant::now()) {
            let Some(Packet { inwards, visitor, bytes, .. }) = waiting.pop_front() else { break };
            if !inwards {
                front.send_to(&bytes, visitor).ok();
                continue;
            }
            if !visitors.contains_key(&visitor)
                && let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
                && socket.set_nonblocking(true).is_ok()
            {
                visitors.insert(visitor, socket);
            }
            if let Some(socket) = visitors.get(&visitor) {
                socket.send_to(&bytes, place).ok();
            }
        }
        if idle {
            std::thread::park_timeout(LOOK);
        }
    }
}

/// A packet, or nothing for now; what a closed other end answers is nothing, too.
fn received(result: std::io::Result<(usize, SocketAddr)>) -> Option<(usize, SocketAddr)> {
    match result {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => None,
        result => result.ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_and_their_answers_come_late_and_some_are_lost() {
        let place = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let delay = Duration::from_millis(30);
        let path = LossyPath::new(Badness { delay, lost: 20 });
        let sdp = format!(
            "v=0\r\na=candidate:1 1 udp 1 127.0.0.1 {} typ host\r\na=candidate:2 1 tcp 1 127.0.0.1 9 typ host\r\n",
            place.local_addr().unwrap().port()
        );
        let led = path.lead(&sdp).unwrap();
        assert_eq!(led.matches("a=candidate").count(), 1, "{led}");
        let port: u16 = led.split("127.0.0.1 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let own = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        own.connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        for socket in [&own, &place] {
            socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        }
        let begun = Instant::now();
        for number in 0..100_u8 {
            own.send(&[number]).unwrap();
        }
        let mut buffer = [0; 8];
        let (_, from) = place.recv_from(&mut buffer).unwrap();
        assert!(begun.elapsed() >= delay);
        let mut count = 1;
        while place.recv_from(&mut buffer).is_ok() {
            count += 1;
        }
        assert!((60..100).contains(&count), "{count} of 100 have come");
        for _ in 0..50 {
            place.send_to(b"yes", from).unwrap();
        }
        assert_eq!(own.recv(&mut buffer).unwrap(), 3);
    }
}
