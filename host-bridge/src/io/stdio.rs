//! Native messaging on the standard streams, each served by a thread of its own.
//!
//! Threads, because a browser gives pipes, a test may give files, and only blocking reads work for all of them. The
//! queues hold two messages in and one batch out; what doesn't fit waits, and so does the other side.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::fs::File;
use std::io;
use std::io::Write as _;
use std::thread;

use tokio::sync::mpsc;
use tokio::sync::oneshot;

#[cfg(unix)]
use self::unix as own;
#[cfg(windows)]
use self::windows as own;
use crate::native_message::NativeError;
use crate::native_message::decode;
use crate::native_message::encode;
use crate::native_message::read_message;

/// A buffer that one huge message made larger than this is not kept.
const KEPT_BUFFER: usize = 4 << 20;

/// The browser's two pipes.
#[derive(Debug)]
pub struct Stdio {
    /// Ends when the browser closes its end, and after [`Inbound::Broken`].
    pub inbound: mpsc::Receiver<Inbound>,
    /// Takes batches of frames, each becoming one message; closed when the browser doesn't read any more.
    pub outbound: mpsc::Sender<Vec<u8>>,
    /// Resolves, with an error, when the writer has written everything and ended.
    pub written: oneshot::Receiver<()>,
}

/// What came from the browser.
#[derive(Debug)]
pub enum Inbound {
    Frames(Vec<u8>),
    Broken(NativeError),
}

/// Takes the standard streams for the protocol. From here on what anything in this process prints goes to standard
/// error, so a stray line can't damage a message.
///
/// # Errors
/// If the streams can't be duplicated or the threads can't be started.
pub fn take_stdio() -> io::Result<Stdio> {
    let (input, output) = own::take()?;
    let (inbound_sender, inbound) = mpsc::channel(2);
    let (outbound, outbound_receiver) = mpsc::channel(1);
    let (written_sender, written) = oneshot::channel::<()>();
    thread::Builder::new().name("from-browser".into()).spawn(move || read_all(input, &inbound_sender))?;
    thread::Builder::new().name("to-browser".into()).spawn(move || {
        write_all(output, outbound_receiver);
        // Wakes whoever waits for the end.
        drop(written_sender);
    })?;
    Ok(Stdio { inbound, outbound, written })
}

fn read_all(mut input: File, sender: &mpsc::Sender<Inbound>) {
    let mut json = Vec::new();
    loop {
        let inbound = match read_message(&mut input, &mut json) {
            Ok(false) => return,
            Ok(true) => decode(&json).map_or_else(Inbound::Broken, Inbound::Frames),
            Err(error) => Inbound::Broken(error),
        };
        if json.capacity() > KEPT_BUFFER {
            json = Vec::new();
        }
        let broken = matches!(inbound, Inbound::Broken(_));
        if sender.blocking_send(inbound).is_err() || broken {
            return;
        }
    }
}

fn write_all(mut output: File, mut receiver: mpsc::Receiver<Vec<u8>>) {
    let mut message = Vec::new();
    while let Some(batch) = receiver.blocking_recv() {
        encode(&batch, &mut message);
        if let Err(error) = output.write_all(&message) {
            tracing::debug!(%error, "the browser doesn't read any more");
            return;
        }
    }
}
