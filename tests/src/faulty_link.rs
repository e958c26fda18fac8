//! A bad line between bridge and client, at a test's command: slow, long, stalled, cut, or silently dead.
//!
//! It listens where the bridge connects and connects to where the client listens. What it holds is bounded, so a sender
//! that is faster than the line is held up as by a real one. A long line that is wide as well holds more than that: see
//! [`ShapedLine`](crate::shaped_line::ShapedLine).

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Bytes that go over the line at once.
const PIECE: usize = 4096;
/// Pieces on their way in one direction: 64 KiB, so a delay of 75 ms lets 7 Mbit/s pass.
const PIECES: usize = 16;

/// A line that listens at one socket and leads to another. Dropping it cuts it.
pub struct FaultyLink {
    shared: Arc<Shared>,
    path: PathBuf,
    listener: Option<UnixListener>,
}

struct Shared {
    line: Mutex<Line>,
    changed: Condvar,
}

struct Line {
    target: PathBuf,
    bits_per_second: Option<u64>,
    delay: Duration,
    stalled: bool,
    /// Both ends of the connections that are open, by number.
    open: Vec<(u64, [UnixStream; 2])>,
    /// Connections up to this one carry nothing any more.
    dead_up_to: u64,
    last: u64,
}

impl fmt::Debug for FaultyLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyLink").field("path", &self.path).finish_non_exhaustive()
    }
}

impl FaultyLink {
    /// A good line from the socket at `path`, which is made, to the one at `target`.
    pub fn start(path: &Path, target: &Path) -> Result<Self> {
        let line = Line {
            target: target.to_owned(),
            bits_per_second: None,
            delay: Duration::ZERO,
            stalled: false,
            open: Vec::new(),
            dead_up_to: 0,
            last: 0,
        };
        let shared = Arc::new(Shared { line: Mutex::new(line), changed: Condvar::new() });
        let mut link = Self { shared, path: path.to_owned(), listener: None };
        link.restore()?;
        Ok(link)
    }

    /// So many bits a second in each direction (`None`: as many as there are), and so long each way.
    pub fn shape(&self, bits_per_second: Option<u64>, delay: Duration) {
        self.change(|line| (line.bits_per_second, line.delay) = (bits_per_second, delay));
    }

    /// Nothing passes until [`Self::go_on`]; nothing is lost.
    pub fn stall(&self) {
        self.change(|line| line.stalled = true);
    }

    /// What was held up passes.
    pub fn go_on(&self) {
        self.change(|line| line.stalled = false);
    }

    /// The open connections carry nothing any more and neither end is told. New ones work.
    pub fn drop_silently(&self) {
        self.change(|line| line.dead_up_to = line.last);
    }

    /// Both ends see the end of the connection, and nobody can connect until [`Self::restore`].
    pub fn cut(&mut self) {
        if let Some(listener) = self.listener.take() {
            // Linux ends an accept() that waits.
            rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).ok();
            std::fs::remove_file(&self.path).ok();
        }
        self.hang_up();
    }

    /// Both ends see the end of the connection; new ones go wherever [`Self::lead_to`] says.
    pub fn hang_up(&self) {
        self.change(|line| {
            for stream in line.open.drain(..).flat_map(|(_, ends)| ends) {
                stream.shutdown(Shutdown::Both).ok();
            }
        });
    }

    /// Lets connections in again after [`Self::cut`].
    pub fn restore(&mut self) -> Result<()> {
        if self.listener.is_some() {
            return Ok(());
        }
        let listener = UnixListener::bind(&self.path)
            .with_context(|| format!("cannot listen on {}", self.path.display()))?;
        self.listener = Some(listener.try_clone()?);
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // Where nobody listens at the other end, the near one is closed at once.
                shared.connect(near).ok();
            }
        });
        Ok(())
    }

    /// New connections go to the client at `target`.
    pub fn lead_to(&self, target: &Path) {
        self.change(|line| target.clone_into(&mut line.target));
    }

    /// How many connections are open, dead ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.lock().open.len()
    }

    fn change(&self, change: impl FnOnce(&mut Line)) {
        change(&mut self.shared.lock());
        self.shared.changed.notify_all();
    }
}

impl Drop for FaultyLink {
    fn drop(&mut self) {
        self.cut();
        self.go_on();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>, near: UnixStream) -> Result<()> {
        // Whoever sees the far end connected finds the connection open.
        let mut line = self.lock();
        let far = UnixStream::connect(&line.target)?;
        line.last += 1;
        let number = line.last;
        line.open.push((number, [near.try_clone()?, far.try_clone()?]));
        drop(line);
        for (from, to) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
            let (sender, receiver) = sync_channel(PIECES);
            let (reading, writing) = (Arc::clone(self), Arc::clone(self));
            std::thread::spawn(move || reading.read(from, &sender));
            std::thread::spawn(move || writing.write(number, to, &receiver));
        }
        Ok(())
    }

    fn read(&self, mut from: UnixStream, queue: &SyncSender<(Instant, Vec<u8>)>) {
        let mut piece = [0; PIECE];
        while let Ok(length) = from.read(&mut piece) {
            let due = Instant::now() + self.lock().delay;
            // An empty piece is the end, which takes its turn as well.
            if queue.send((due, piece.get(..length).unwrap_or_default().to_vec())).is_err() || length == 0 {
                break;
            }
        }
    }

    fn write(&self, number: u64, mut to: UnixStream, queue: &Receiver<(Instant, Vec<u8>)>) {
        while let Ok((due, piece)) = queue.recv() {
            if !self.wait(number, due) || piece.is_empty() || to.write_all(&piece).is_err() {
                break;
            }
            let bits = u64::try_from(piece.len() * 8).unwrap_or(u64::MAX);
            let speed = self.lock().bits_per_second;
            if let Some(speed) = speed {
                let taken = Duration::from_micros(bits.saturating_mul(1_000_000) / speed.max(1));
                if !self.wait(number, Instant::now() + taken) {
                    break;
                }
            }
        }
        to.shutdown(Shutdown::Both).ok();
        self.lock().open.retain(|(open, _)| *open != number);
    }

    /// Waits until `due` and until the line carries; false once the connection has been hung up.
    fn wait(&self, number: u64, due: Instant) -> bool {
        let mut line = self.lock();
        loop {
            if !line.open.iter().any(|(open, _)| *open == number) {
                return false;
            }
            let rest = due.saturating_duration_since(Instant::now());
            let held = line.stalled || number <= line.dead_up_to;
            if !held && rest.is_zero() {
                return true;
            }
            line = if held {
                self.changed.wait(line).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.changed.wait_timeout(line, rest).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ends {
        link: FaultyLink,
        near: UnixStream,
        far: UnixStream,
        listener: UnixListener,
        _folder: tempfile::TempDir,
    }

    fn ends() -> Ends {
        let folder = tempfile::tempdir().unwrap();
        let [path, target] = ["near", "far"].map(|name| folder.path().join(name));
        let listener = UnixListener::bind(&target).unwrap();
        let link = FaultyLink::start(&path, &target).unwrap();
        let near = UnixStream::connect(&path).unwrap();
        let far = listener.accept().unwrap().0;
        Ends { link, near, far, listener, _folder: folder }
    }

    #[test]
    fn bytes_pass_in_order_and_take_as_long_as_the_line_says() {
        let Ends { link, mut near, mut far, listener: _listener, _folder } = ends();
        link.shape(Some(2_000_000), Duration::from_millis(75));
        let sent: Vec<u8> = (0..100_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let (begin, mut got) = (Instant::now(), vec![0; sent.len()]);
        let copy = sent.clone();
        let writing = std::thread::spawn(move || near.write_all(&copy).map(|()| near));
        far.read_exact(&mut got).unwrap();
        // The last of 25 pieces is not waited for.
        assert!(begin.elapsed() >= Duration::from_millis(75 + 380), "{:?}", begin.elapsed());
        assert_eq!(got, sent);
        drop(writing.join().unwrap().unwrap());
        assert_eq!(far.read(&mut got).unwrap(), 0);
    }

    #[test]
    fn a_stalled_line_pushes_back_and_loses_nothing() {
        let Ends { link, mut near, mut far, listener: _listener, _folder } = ends();
        link.stall();
        near.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut sent = 0;
        while let Ok(length) = near.write(&[7; PIECE]) {
            sent += length;
            assert!(sent < 10_000_000, "the line takes all there is");
        }
        link.go_on();
        let mut got = vec![0; sent];
        far.read_exact(&mut got).unwrap();
    }

    #[test]
    fn a_line_that_is_silently_dead_stays_so_and_the_next_one_works() {
        let Ends { link, mut near, far, listener, _folder } = ends();
        link.drop_silently();
        near.write_all(b"lost").unwrap();
        far.set_nonblocking(true).unwrap();
        let mut next = UnixStream::connect(&link.path).unwrap();
        let mut next_far = listener.accept().unwrap().0;
        next.write_all(b"good").unwrap();
        let mut got = [0; 4];
        next_far.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"good");
        assert_eq!((&far).read(&mut got).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_cut_line_ends_at_both_ends_and_takes_nobody_until_it_is_restored() {
        let Ends { mut link, mut near, mut far, listener, _folder } = ends();
        link.cut();
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
        assert!(UnixStream::connect(&link.path).is_err());
        link.restore().unwrap();
        let _near = UnixStream::connect(&link.path).unwrap();
        listener.accept().unwrap();
    }
}
