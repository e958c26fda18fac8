//! The channel as Windows gives it: a handle that is read and written with overlapped calls, each way by a thread of its own, because it is
//! no handle that the runtime could wait for.

#![expect(unsafe_code, reason = "calls into Windows")]

use std::ffi::CString;
use std::ffi::c_void;
use std::io;
use std::os::windows::io::FromRawHandle as _;
use std::os::windows::io::OwnedHandle;
use std::pin::Pin;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::thread;

use offstage_support::win32::overlapped::OverlappedFile;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::DuplexStream;
use tokio::io::ReadBuf;
use tokio::runtime::Runtime;
use windows_sys::Win32::Foundation::DUPLICATE_SAME_ACCESS;
use windows_sys::Win32::Foundation::DuplicateHandle;
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::RemoteDesktop::WTS_CHANNEL_OPTION_DYNAMIC;
use windows_sys::Win32::System::RemoteDesktop::WTS_CURRENT_SESSION;
use windows_sys::Win32::System::RemoteDesktop::WTSFreeMemory;
use windows_sys::Win32::System::RemoteDesktop::WTSVirtualChannelClose;
use windows_sys::Win32::System::RemoteDesktop::WTSVirtualChannelOpenEx;
use windows_sys::Win32::System::RemoteDesktop::WTSVirtualChannelQuery;
use windows_sys::Win32::System::RemoteDesktop::WTSVirtualFileHandle;
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use super::HEADER;
use super::HeaderError;
use super::PIECE;
use super::Pieces;
use crate::channel::Channel;
use crate::channel::ChannelError;
use crate::channel::Link;

/// Bytes that wait in each way between a thread and the runtime.
const QUEUE: usize = 64 << 10;
/// Most bytes of one write.
const WRITE: usize = 16 << 10;
/// Room for the largest piece; more does no harm.
const READ: usize = 4 * (HEADER + PIECE);

/// The channel of this session to the device's plug-in.
#[derive(Clone, Debug)]
pub struct WtsChannel {
    name: String,
}

impl WtsChannel {
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Channel for WtsChannel {
    fn kind(&self) -> &'static str {
        "wts"
    }

    async fn open(&self) -> Result<Link, ChannelError> {
        let name = self.name.clone();
        // The service asks the device, which may take its time.
        let (sender, opened) = tokio::sync::oneshot::channel();
        let open = move || {
            // Nobody waits for a channel that was given up: it is closed again.
            drop(sender.send(Shared::open(&name)));
        };
        thread::Builder::new().name("wts-open".to_owned()).spawn(open).map_err(ChannelError::Failed)?;
        let refused = |error| ChannelError::Refused { name: self.name.clone(), error };
        let shared = opened.await.map_err(io::Error::other).flatten().map_err(refused)?;
        start(Arc::new(shared)).map_err(ChannelError::Failed)
    }
}

fn start(shared: Arc<Shared>) -> io::Result<Link> {
    // Of each pair one direction is used; dropping either end is what the other one notices.
    let (from_device, mut to_runtime) = tokio::io::duplex(QUEUE);
    let (from_runtime, to_device) = tokio::io::duplex(QUEUE);
    let failure = Failure::default();
    let (reading, told, runtime) = (Arc::clone(&shared), Arc::clone(&failure), small_runtime()?);
    thread::Builder::new().name("wts-read".to_owned()).spawn(move || {
        if let Err(error) = read_all(&reading, &runtime, &mut to_runtime) {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        reading.file.stop();
        // Not before: whoever reads sees the queue's end, and then asks for the reason.
        drop(to_runtime);
    })?;
    let runtime = small_runtime()?;
    thread::Builder::new().name("wts-write".to_owned()).spawn(move || {
        if let Err(error) = write_all(&shared, &runtime, from_runtime) {
            tracing::debug!(%error, "the channel takes no more");
        }
        shared.file.stop();
    })?;
    Ok(Link { reader: Box::new(Reader { queue: from_device, failure }), writer: Box::new(to_device) })
}

/// Waits for queues only, so that it has neither clock nor sockets.
fn small_runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().build()
}

fn read_all(shared: &Shared, runtime: &Runtime, queue: &mut DuplexStream) -> io::Result<()> {
    let mut pieces = Pieces::default();
    let mut read = vec![0; READ];
    loop {
        let length = shared.file.read(&mut read)?;
        if length == 0 {
            return Ok(());
        }
        let whole = read.get(..length).unwrap_or_default();
        let payload = pieces.payload(whole).map_err(|error: HeaderError| io::Error::other(error))?;
        if runtime.block_on(queue.write_all(payload)).is_err() {
            // Nobody reads any more.
            return Ok(());
        }
    }
}

fn write_all(shared: &Shared, runtime: &Runtime, mut queue: DuplexStream) -> io::Result<()> {
    let mut bytes = vec![0; WRITE];
    loop {
        let length = runtime.block_on(queue.read(&mut bytes))?;
        if length == 0 {
            return Ok(());
        }
        let mut rest = bytes.get(..length).unwrap_or_default();
        while !rest.is_empty() {
            match shared.file.write(rest, None)? {
                0 => return Ok(()),
                written => rest = rest.get(written..).unwrap_or_default(),
            }
        }
    }
}

/// Why the reading thread has ended, if not in order.
type Failure = Arc<Mutex<Option<io::Error>>>;

/// The queue, whose end may have a reason.
struct Reader {
    queue: DuplexStream,
    failure: Failure,
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.queue).poll_read(cx, buf);
        if matches!(polled, Poll::Ready(Ok(()))) && buf.filled().len() == before && buf.remaining() > 0 {
            let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            return Poll::Ready(failure.map_or(Ok(()), Err));
        }
        polled
    }
}

/// What both threads use; closed when the last of them has ended.
struct Shared {
    channel: HANDLE,
    file: OverlappedFile,
}

// SAFETY: the channel's handle is used for closing it only, once.
unsafe impl Send for Shared {}
// SAFETY: as above; the others may be used by several threads at once.
unsafe impl Sync for Shared {}

impl Shared {
    fn open(name: &str) -> io::Result<Self> {
        let name = CString::new(name).map_err(io::Error::other)?;
        // SAFETY: the name ends with a zero.
        let channel = unsafe {
            WTSVirtualChannelOpenEx(WTS_CURRENT_SESSION, name.as_ptr().cast(), WTS_CHANNEL_OPTION_DYNAMIC)
        };
        if channel.is_null() {
            return Err(io::Error::last_os_error());
        }
        match file_of(channel).and_then(OverlappedFile::new) {
            Ok(file) => Ok(Self { channel, file }),
            Err(error) => {
                // SAFETY: opened above and not used any more.
                unsafe { WTSVirtualChannelClose(channel) };
                Err(error)
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, closed once; no call on it is under way.
        unsafe { WTSVirtualChannelClose(self.channel) };
    }
}

/// A handle of our own for the channel's file: the service's goes with the answer.
fn file_of(channel: HANDLE) -> io::Result<OwnedHandle> {
    let mut answer: *mut c_void = null_mut();
    let mut length = 0;
    // SAFETY: the service allocates the answer, and writes where it is.
    let asked =
        unsafe { WTSVirtualChannelQuery(channel, WTSVirtualFileHandle, &raw mut answer, &raw mut length) };
    if asked == 0 {
        return Err(io::Error::last_os_error());
    }
    let is_handle = usize::try_from(length).is_ok_and(|length| length >= size_of::<HANDLE>());
    let mut own: HANDLE = null_mut();
    // SAFETY: the answer is as long as a handle, if `is_handle`; it is freed once, after its last use.
    let done = unsafe {
        let done = is_handle && !answer.is_null() && {
            let file = answer.cast::<HANDLE>().read_unaligned();
            let process = GetCurrentProcess();
            DuplicateHandle(process, file, process, &raw mut own, 0, 0, DUPLICATE_SAME_ACCESS) != 0
        };
        WTSFreeMemory(answer);
        done
    };
    if done && !own.is_null() {
        // SAFETY: duplicated above, and nobody else's.
        Ok(unsafe { OwnedHandle::from_raw_handle(own) })
    } else {
        Err(io::Error::last_os_error())
    }
}
