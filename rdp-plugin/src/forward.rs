//! One virtual channel and one local socket: what comes in at one end goes out at the other.
//!
//! Knows neither remote desktops nor operating systems. Two threads for each channel: one writes to the socket what has been
//! queued, one reads from it. Towards the client the queue is bounded: the ends above grant each other less credit than it holds, so
//! that more is a fault of the session's. Towards the session there is nothing to wait for, because remote desktops' clients
//! queue what is written without a bound; the client's credit is what limits it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;

/// What is written to a channel at once: a whole payload, and little enough that other channels get their turn.
pub const PIECE: usize = 16 * 1024;
/// Bytes that wait for the client: more than the most credit there is (`mux::MAX_WINDOW`) and the control messages beside it.
pub const QUEUE: usize = 8 * 1024 * 1024;
/// The name of this crate's threads.
pub const THREAD: &str = "offstage-rdp";
/// Writes in a row that may move nothing once the channel has been closed.
const LAST_WRITES: u32 = 2;

/// The channel's end in the remote desktop's client.
pub trait Channel: Send + Sync + 'static {
    /// Queues bytes for the session. False if the channel has gone.
    fn write(&self, bytes: &[u8]) -> bool;
}

/// The socket of the client on this device. A write gives up after a while (`WouldBlock`, `TimedOut`).
pub trait Socket: Send + Sync + 'static {
    /// Waits for bytes; 0 when there will be no more.
    fn read(&self, into: &mut [u8]) -> io::Result<usize>;
    /// Writes some of the bytes.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Ends it in both directions, and the calls that wait for it.
    fn shut(&self);
}

/// Why a channel has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client has gone.
    Gone,
    /// The session has sent more than anybody has allowed it to.
    Overflow,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "the client has gone",
            Self::Overflow => "more has come than may wait",
        })
    }
}

impl std::error::Error for Fault {}

#[derive(Default)]
struct Queue {
    pieces: VecDeque<Vec<u8>>,
    bytes: usize,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The channel is closed: what waits still goes out.
    Closing,
    /// Nothing goes out any more, and why.
    Ended(Fault),
}

struct Shared<S> {
    queue: Mutex<Queue>,
    changed: Condvar,
    socket: S,
}

impl<S: Socket> Shared<S> {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A panic under this lock leaves a queue that is still one.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, fault: Fault) {
        let mut queue = self.queue();
        if !matches!(queue.state, State::Ended(_)) {
            queue.state = State::Ended(fault);
        }
        queue.pieces.clear();
        queue.bytes = 0;
        drop(queue);
        self.changed.notify_all();
        self.socket.shut();
    }

    /// The next piece to write; `None` when there will be no more.
    fn next(&self) -> Option<Vec<u8>> {
        let mut queue = self.queue();
        loop {
            match queue.state {
                State::Ended(_) => return None,
                State::Open | State::Closing => {}
            }
            if let Some(piece) = queue.pieces.pop_front() {
                return Some(piece);
            }
            if queue.state == State::Closing {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn is_open(&self) -> bool {
        self.queue().state == State::Open
    }

    fn write_all(&self, piece: &[u8]) -> io::Result<()> {
        let mut rest = piece;
        let mut idle = 0;
        while !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    idle = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    idle += 1;
                    if idle >= LAST_WRITES && !self.is_open() {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What the writing thread does.
    fn send(&self) {
        while let Some(piece) = self.next() {
            if self.write_all(&piece).is_err() {
                break;
            }
            let mut queue = self.queue();
            queue.bytes = queue.bytes.saturating_sub(piece.len());
        }
        self.end(Fault::Gone);
    }

    /// What the reading thread does.
    fn receive(&self, channel: &impl Channel) {
        let mut buffer = vec![0; PIECE];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    if !buffer.get(..read).is_some_and(|bytes| channel.write(bytes)) {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.end(Fault::Gone);
    }
}

/// Ends the socket however the thread ends, by a panic too.
struct Guard<S: Socket>(Arc<Shared<S>>);

impl<S: Socket> Drop for Guard<S> {
    fn drop(&mut self) {
        self.0.end(Fault::Gone);
    }
}

/// A channel that is being forwarded; dropping it closes the socket, after what waits has been written.
pub struct Forward<S: Socket> {
    shared: Arc<Shared<S>>,
}

impl<S: Socket> fmt::Debug for Forward<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").finish_non_exhaustive()
    }
}

impl<S: Socket> Forward<S> {
    /// Starts to forward; an error if the system has no more threads.
    pub fn start(socket: S, channel: impl Channel) -> io::Result<Self> {
        let queue = Mutex::new(Queue::default());
        let shared = Arc::new(Shared { queue, changed: Condvar::new(), socket });
        let forward = Self { shared };
        // From here on the drop of `forward` ends what has been started.
        let writer = Guard(Arc::clone(&forward.shared));
        thread::Builder::new().name(THREAD.to_owned()).spawn(move || writer.0.send())?;
        let reader = Guard(Arc::clone(&forward.shared));
        thread::Builder::new().name(THREAD.to_owned()).spawn(move || reader.0.receive(&channel))?;
        Ok(forward)
    }

    /// Takes what the session has sent. Never waits.
    pub fn deliver(&self, bytes: &[u8]) -> Result<(), Fault> {
        let mut queue = self.shared.queue();
        match queue.state {
            State::Open => {}
            State::Closing => return Err(Fault::Gone),
            State::Ended(fault) => return Err(fault),
        }
        if bytes.len() > QUEUE.saturating_sub(queue.bytes) {
            drop(queue);
            self.shared.end(Fault::Overflow);
            return Err(Fault::Overflow);
        }
        if !bytes.is_empty() {
            queue.bytes += bytes.len();
            // Many small messages must not cost more than what they hold.
            match queue.pieces.back_mut().filter(|piece| piece.len() + bytes.len() <= PIECE) {
                Some(piece) => piece.extend_from_slice(bytes),
                None => queue.pieces.push_back(bytes.to_vec()),
            }
            drop(queue);
            self.shared.changed.notify_all();
        }
        Ok(())
    }
}

impl<S: Socket> Drop for Forward<S> {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        if queue.state == State::Open {
            queue.state = State::Closing;
        }
        drop(queue);
        self.shared.changed.notify_all();
    }
}
