//! The plug-in as FreeRDP drives it: a FreeRDP of structures, and a client's socket.
#![cfg(unix)]
#![expect(unsafe_code, reason = "a C interface")]
#![expect(clippy::unwrap_used, reason = "what goes wrong in a helper is a failure of its test")]

use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::c_char;
use std::ffi::c_void;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::ptr::null;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use std::time::Instant;

use offstage_protocol::socket_path::DVC_NAME;
use offstage_rdp_plugin::forward::QUEUE;
use offstage_rdp_plugin::forward::THREAD;
use offstage_rdp_plugin::freerdp::Arguments;
use offstage_rdp_plugin::freerdp::Callback;
use offstage_rdp_plugin::freerdp::DVCPluginEntry;
use offstage_rdp_plugin::freerdp::EntryPoints;
use offstage_rdp_plugin::freerdp::INVALID_DATA;
use offstage_rdp_plugin::freerdp::INVALID_PARAMETER;
use offstage_rdp_plugin::freerdp::Listener;
use offstage_rdp_plugin::freerdp::Manager;
use offstage_rdp_plugin::freerdp::OK;
use offstage_rdp_plugin::freerdp::Plugin;
use offstage_rdp_plugin::freerdp::Stream;
use offstage_rdp_plugin::freerdp::VirtualChannel;

const PATIENCE: Duration = Duration::from_secs(20);

/// Version 3 has one entry more (`GetRdpContext`); what the plug-in reads is before it. The fake's own fields follow.
#[repr(C)]
struct FakeEntry<const EXTRA: usize> {
    points: EntryPoints,
    extra: [usize; EXTRA],
    registered: *mut Plugin,
    arguments: *const Arguments,
}

#[repr(C)]
struct FakeManager {
    manager: Manager,
    others: [usize; 4],
    listener: *mut Listener,
    name: String,
    answer: u32,
}

#[repr(C)]
struct FakeChannel {
    channel: VirtualChannel,
    written: Mutex<SyncSender<Vec<u8>>>,
    answer: u32,
}

unsafe extern "C" fn register<const EXTRA: usize>(
    points: *mut EntryPoints,
    name: *const c_char,
    plugin: *mut Plugin,
) -> u32 {
    // SAFETY: the test's own structure begins with the entry points.
    unsafe {
        assert_eq!(CStr::from_ptr(name), c"offstage");
        (*points.cast::<FakeEntry<EXTRA>>()).registered = plugin;
    }
    OK
}

unsafe extern "C" fn plugin_data<const EXTRA: usize>(points: *mut EntryPoints) -> *const Arguments {
    // SAFETY: the test's own structure begins with the entry points.
    unsafe { (*points.cast::<FakeEntry<EXTRA>>()).arguments }
}

unsafe extern "C" fn create_listener(
    manager: *mut Manager,
    name: *const c_char,
    _flags: u32,
    listener: *mut Listener,
    _made: *mut *mut c_void,
) -> u32 {
    // SAFETY: the test's own structure begins with the manager.
    let fake = unsafe { &mut *manager.cast::<FakeManager>() };
    // SAFETY: the plug-in gives a C string.
    fake.name = unsafe { CStr::from_ptr(name) }.to_str().unwrap().to_owned();
    if fake.answer == OK {
        fake.listener = listener;
    }
    fake.answer
}

unsafe extern "C" fn write(
    channel: *mut VirtualChannel,
    length: u32,
    bytes: *const u8,
    _: *mut c_void,
) -> u32 {
    // SAFETY: the test's own structure begins with the channel, and the plug-in gives that many bytes.
    unsafe {
        let fake = &*channel.cast::<FakeChannel>();
        let bytes = std::slice::from_raw_parts(bytes, usize::try_from(length).unwrap()).to_vec();
        if fake.answer == OK {
            // A test that doesn't look loses what comes.
            fake.written.lock().unwrap().try_send(bytes).ok();
        }
        fake.answer
    }
}

/// One test at a time: threads of the plug-in are counted.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn load<const EXTRA: usize>(words: &[&str]) -> *mut Plugin {
    let words: Vec<CString> = words.iter().map(|word| CString::new(*word).unwrap()).collect();
    let mut values: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
    // One that is null is no argument.
    values.push(null());
    let arguments = Arguments { count: i32::try_from(values.len()).unwrap(), values: values.as_ptr() };
    let mut entry = FakeEntry::<EXTRA> {
        points: EntryPoints {
            register_plugin: Some(register::<EXTRA>),
            get_plugin: null_mut(),
            get_plugin_data: Some(plugin_data::<EXTRA>),
            get_rdp_settings: null_mut(),
        },
        extra: [usize::MAX; EXTRA],
        registered: null_mut(),
        arguments: &raw const arguments,
    };
    // SAFETY: a complete structure.
    assert_eq!(unsafe { DVCPluginEntry((&raw mut entry).cast()) }, OK);
    assert!(entry.extra.iter().all(|field| *field == usize::MAX));
    entry.registered
}

fn manager(answer: u32) -> FakeManager {
    let manager = Manager { create_listener: Some(create_listener) };
    FakeManager { manager, others: [usize::MAX; 4], listener: null_mut(), name: String::new(), answer }
}

/// A FreeRDP that has loaded the plug-in, and a client that listens.
struct Far {
    plugin: *mut Plugin,
    manager: Box<FakeManager>,
    client: UnixListener,
    folder: tempfile::TempDir,
}

impl Far {
    fn start<const EXTRA: usize>() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.sock");
        let client = UnixListener::bind(&path).unwrap();
        let plugin = load::<EXTRA>(&["offstage", &format!("unix:{}", path.display())]);
        let mut manager = Box::new(manager(OK));
        // SAFETY: the plug-in's own function and structures that live on.
        let told = unsafe { (*plugin).initialize.unwrap()(plugin, (&raw mut *manager).cast()) };
        assert_eq!((told, manager.name.as_str()), (OK, DVC_NAME));
        assert_eq!(manager.others, [usize::MAX; 4]);
        Self { plugin, manager, client, folder }
    }

    /// Opens a channel as the session does; `None` if the plug-in refuses it.
    fn open(&self, answer: u32) -> Option<Open> {
        let (written, reader) = sync_channel(4096);
        let channel = VirtualChannel { write: Some(write), close: null_mut() };
        let channel = Box::into_raw(Box::new(FakeChannel { channel, written: Mutex::new(written), answer }));
        let (mut accept, mut callback) = (1, null_mut());
        let listener = self.manager.listener;
        // SAFETY: the plug-in's own function and structures that live on.
        let told = unsafe {
            (*listener).on_new_channel.unwrap()(
                listener,
                channel.cast(),
                null_mut(),
                &raw mut accept,
                &raw mut callback,
            )
        };
        assert_eq!(told, OK);
        if accept == 0 {
            assert!(callback.is_null());
            // SAFETY: made above.
            drop(unsafe { Box::from_raw(channel) });
            return None;
        }
        // SAFETY: as above.
        assert_eq!(unsafe { (*callback).on_open.unwrap()(callback) }, OK);
        Some(Open { callback, channel, written: reader })
    }

    fn accept(&self) -> UnixStream {
        let stream = self.client.accept().unwrap().0;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        // SAFETY: the plug-in's own function, and FreeRDP's last call.
        unsafe { (*self.plugin).terminated.unwrap()(self.plugin) };
    }
}

struct Open {
    callback: *mut Callback,
    channel: *mut FakeChannel,
    written: Receiver<Vec<u8>>,
}

impl Open {
    fn receive(&self, bytes: &[u8]) -> u32 {
        let mut bytes = bytes.to_vec();
        let buffer = bytes.as_mut_ptr();
        self.receive_stream(Stream {
            buffer,
            pointer: buffer,
            length: bytes.len(),
            capacity: bytes.capacity(),
        })
    }

    fn receive_stream(&self, mut stream: Stream) -> u32 {
        // SAFETY: the plug-in's own function.
        unsafe { (*self.callback).on_data_received.unwrap()(self.callback, &raw mut stream) }
    }

    /// Delivers until FreeRDP is told to close the channel.
    fn wait_fault(&self, bytes: &[u8]) {
        let end = Instant::now() + PATIENCE;
        while self.receive(bytes) == OK {
            assert!(Instant::now() < end, "the plug-in still takes what comes");
            std::thread::park_timeout(Duration::from_millis(1));
        }
        assert_eq!(self.receive(bytes), INVALID_DATA);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: FreeRDP's order: the callback first, then the channel, which nobody may use any more.
        unsafe {
            assert_eq!((*self.callback).on_close.unwrap()(self.callback), OK);
            (*self.channel).channel.write = None;
            drop(Box::from_raw(self.channel));
        }
    }
}

/// Waits until no thread of the plug-in is left.
fn wait_threads_gone() {
    let count = || {
        let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let name = |path: std::path::PathBuf| std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        threads.filter(|thread| name(thread.path()).trim() == THREAD).count()
    };
    let end = Instant::now() + PATIENCE;
    while count() > 0 {
        assert!(Instant::now() < end, "{} threads are left", count());
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn bytes_go_both_ways(far: &Far) {
    let open = far.open(OK).unwrap();
    let mut client = far.accept();
    assert_eq!(open.receive(b"from the session"), OK);
    let mut taken = [0; 16];
    client.read_exact(&mut taken).unwrap();
    assert_eq!(&taken, b"from the session");
    client.write_all(&[7; 100_000]).unwrap();
    let mut left = 100_000;
    while left > 0 {
        let piece = open.written.recv_timeout(PATIENCE).unwrap();
        assert!(!piece.is_empty() && piece.len() <= 16 * 1024);
        left -= piece.len();
    }
    // What was taken still arrives when the channel is closed at once.
    assert_eq!(open.receive(&[9; 300_000]), OK);
    drop(open);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len(), 300_000);
    wait_threads_gone();
}

#[test]
fn bytes_go_both_ways_in_both_versions() {
    let _alone = alone();
    bytes_go_both_ways(&Far::start::<0>());
    bytes_go_both_ways(&Far::start::<1>());
}

#[test]
fn without_a_client_a_channel_is_refused_and_with_one_it_is_not() {
    let _alone = alone();
    let mut far = Far::start::<1>();
    let path = far.folder.path().join("client.sock");
    std::fs::remove_file(&path).unwrap();
    assert!(far.open(OK).is_none());
    far.client = UnixListener::bind(&path).unwrap();
    assert!(far.open(OK).is_some());
    wait_threads_gone();
}

#[test]
fn a_client_that_goes_has_the_channel_closed() {
    let _alone = alone();
    let far = Far::start::<0>();
    let open = far.open(OK).unwrap();
    drop(far.accept());
    open.wait_fault(b"ping");
    wait_threads_gone();
}

#[test]
fn a_channel_that_takes_nothing_ends_the_socket() {
    let _alone = alone();
    let far = Far::start::<0>();
    let open = far.open(1).unwrap();
    let mut client = far.accept();
    client.write_all(b"lost").unwrap();
    assert_eq!(client.read(&mut [0; 4]).unwrap_or(0), 0);
    open.wait_fault(b"x");
    wait_threads_gone();
}

#[test]
fn more_than_may_wait_is_a_fault_and_never_blocks() {
    let _alone = alone();
    let far = Far::start::<1>();
    let open = far.open(OK).unwrap();
    let client = far.accept();
    let piece = vec![0; 64 * 1024];
    let mut taken = 0;
    while open.receive(&piece) == OK {
        taken += piece.len();
        // What is in the kernel's own buffers comes on top.
        assert!(taken <= QUEUE + 4 * 1024 * 1024);
    }
    assert!(taken > QUEUE / 2);
    assert_eq!(open.receive(b""), INVALID_DATA);
    drop(open);
    wait_threads_gone();
    drop(client);
}

#[test]
fn a_client_that_reads_nothing_does_not_keep_a_closed_channel() {
    let _alone = alone();
    let far = Far::start::<1>();
    let open = far.open(OK).unwrap();
    let client = far.accept();
    assert_eq!(open.receive(&vec![0; QUEUE / 2]), OK);
    drop(open);
    wait_threads_gone();
    drop(client);
}

#[test]
fn closing_while_the_client_writes_leaves_nobody_at_the_channel() {
    let _alone = alone();
    let far = Far::start::<0>();
    for _ in 0..100 {
        let open = far.open(OK).unwrap();
        let mut client = far.accept();
        let writer = std::thread::spawn(move || {
            // Ends when the plug-in does.
            while client.write_all(&[1; 4096]).is_ok() {}
        });
        open.written.recv_timeout(PATIENCE).unwrap();
        drop(open);
        writer.join().unwrap();
    }
    wait_threads_gone();
}

#[test]
fn a_thousand_channels_leave_nothing() {
    let _alone = alone();
    let far = Far::start::<1>();
    let files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = files();
    for _ in 0..1000 {
        let open = far.open(OK).unwrap();
        let mut client = far.accept();
        assert_eq!(open.receive(b"x"), OK);
        client.read_exact(&mut [0; 1]).unwrap();
    }
    wait_threads_gone();
    assert_eq!(files(), before);
}

#[test]
fn what_makes_no_sense_is_an_error() {
    let _alone = alone();
    let far = Far::start::<1>();
    let open = far.open(OK).unwrap();
    let mut bytes = [0_u8; 16];
    let buffer = bytes.as_mut_ptr();
    let check = |pointer: *mut u8, buffer: *mut u8, length: usize, capacity: usize, expected: u32| {
        assert_eq!(open.receive_stream(Stream { buffer, pointer, length, capacity }), expected);
    };
    check(buffer, buffer, usize::MAX, usize::MAX, INVALID_DATA);
    check(buffer, buffer, QUEUE + 1, QUEUE + 1, INVALID_DATA);
    check(buffer, buffer, 17, 16, INVALID_DATA);
    check(null_mut(), buffer, 16, 16, INVALID_DATA);
    check(buffer.wrapping_add(17), buffer, 16, 16, INVALID_DATA);
    check(null_mut(), null_mut(), 16, 16, INVALID_DATA);
    check(null_mut(), null_mut(), 0, 0, OK);
    check(buffer.wrapping_add(16), buffer, 16, 16, OK);

    // SAFETY: the plug-in's own functions, with nulls, which they look for.
    unsafe {
        let callback = &*open.callback;
        assert_eq!(callback.on_data_received.unwrap()(open.callback, null_mut()), INVALID_PARAMETER);
        assert_eq!(callback.on_data_received.unwrap()(null_mut(), null_mut()), INVALID_PARAMETER);
        assert_eq!(callback.on_open.unwrap()(null_mut()), INVALID_PARAMETER);
        assert_eq!(callback.on_close.unwrap()(null_mut()), INVALID_PARAMETER);
        let new = (*far.manager.listener).on_new_channel.unwrap();
        let mut accept = 1;
        assert_eq!(
            new(far.manager.listener, null_mut(), null_mut(), &raw mut accept, null_mut()),
            INVALID_PARAMETER
        );
        assert_eq!(accept, 0);
        assert_eq!(new(null_mut(), null_mut(), null_mut(), null_mut(), null_mut()), INVALID_PARAMETER);
        let plugin = &*far.plugin;
        assert_eq!(plugin.initialize.unwrap()(far.plugin, null_mut()), INVALID_PARAMETER);
        assert_eq!(plugin.terminated.unwrap()(null_mut()), INVALID_PARAMETER);
        assert_eq!(DVCPluginEntry(null_mut()), INVALID_PARAMETER);
        let mut empty = EntryPoints {
            register_plugin: None,
            get_plugin: null_mut(),
            get_plugin_data: None,
            get_rdp_settings: null_mut(),
        };
        assert_eq!(DVCPluginEntry(&raw mut empty), INVALID_PARAMETER);
    }
}

#[test]
fn an_argument_that_makes_no_sense_leaves_the_remote_desktop_alone() {
    let _alone = alone();
    assert!(load::<1>(&["offstage", "unix:relative"]).is_null());
    assert!(load::<0>(&["offstage", &"x".repeat(100_000)]).is_null());
}

#[test]
fn a_listener_that_freerdp_does_not_take_is_told() {
    let _alone = alone();
    let plugin = load::<1>(&["offstage"]);
    let mut manager = manager(INVALID_DATA);
    // SAFETY: the plug-in's own functions and structures that live on.
    unsafe {
        assert_eq!((*plugin).initialize.unwrap()(plugin, (&raw mut manager).cast()), INVALID_DATA);
        assert_eq!((*plugin).terminated.unwrap()(plugin), OK);
    }
}
