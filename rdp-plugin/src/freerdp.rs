//! FreeRDP's interface for plug-ins of dynamic virtual channels (its `freerdp/dvc.h`), versions 2 and 3.
//!
//! The structures that are ours have version 3's size, which is version 2's with one field more at the end. FreeRDP calls them with
//! the structure itself as first argument. Two rules of FreeRDP's shape this file:
//! - A channel is freed on FreeRDP's own thread as soon as `OnClose` has returned; until then `Write` may be called from any thread.
//!   So [`Gate`] holds the pointer, and closing takes it away while nobody writes. `Write` only queues, so that takes no time.
//! - A channel that is closed by a plug-in's thread (`Close`, or `Write` of nothing) can be freed while FreeRDP uses it. So it is
//!   FreeRDP that closes: `OnDataReceived` says that it has failed, which in both versions means just that. The session's
//!   end asks for a sign of life every other second, so that this comes soon after the client has gone.
#![expect(unsafe_code, reason = "a C interface")]

use std::ffi::OsString;
use std::ffi::c_char;
use std::ffi::c_void;
use std::fmt;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use offstage_protocol::socket_path::DVC_NAME;

use crate::forward::Channel;
use crate::forward::Forward;
use crate::local;

/// `CHANNEL_RC_OK`.
pub const OK: u32 = 0;
/// `ERROR_INVALID_DATA`.
pub const INVALID_DATA: u32 = 13;
/// `ERROR_INVALID_PARAMETER`.
pub const INVALID_PARAMETER: u32 = 87;
/// `ERROR_INTERNAL_ERROR`.
pub const INTERNAL_ERROR: u32 = 1359;
/// Arguments of `/dvc:` that are looked at.
const MAX_ARGUMENTS: i32 = 16;
/// The longest of them.
const MAX_ARGUMENT: usize = 4096;
/// The most that one message can hold: FreeRDP puts its parts together, the length is the session's word.
const MAX_MESSAGE: usize = crate::forward::QUEUE;

/// `IDRDYNVC_ENTRY_POINTS`; what is not called here is an address.
#[repr(C)]
#[derive(Debug)]
pub struct EntryPoints {
    pub register_plugin: Option<unsafe extern "C" fn(*mut Self, *const c_char, *mut Plugin) -> u32>,
    pub get_plugin: *mut c_void,
    pub get_plugin_data: Option<unsafe extern "C" fn(*mut Self) -> *const Arguments>,
    pub get_rdp_settings: *mut c_void,
}

/// `ADDIN_ARGV`.
#[repr(C)]
#[derive(Debug)]
pub struct Arguments {
    pub count: i32,
    pub values: *const *const c_char,
}

/// `IWTSPlugin`.
#[repr(C)]
pub struct Plugin {
    pub initialize: Option<unsafe extern "C" fn(*mut Self, *mut Manager) -> u32>,
    pub connected: Option<unsafe extern "C" fn(*mut Self) -> u32>,
    pub disconnected: Option<unsafe extern "C" fn(*mut Self, u32) -> u32>,
    pub terminated: Option<unsafe extern "C" fn(*mut Self) -> u32>,
    pub attached: Option<unsafe extern "C" fn(*mut Self) -> u32>,
    pub detached: Option<unsafe extern "C" fn(*mut Self) -> u32>,
    pub interface: *mut c_void,
    // Ours from here on.
    socket: Option<PathBuf>,
    listener: *mut Listener,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// What `IWTSVirtualChannelManager.CreateListener` is.
pub type CreateListener =
    unsafe extern "C" fn(*mut Manager, *const c_char, u32, *mut Listener, *mut *mut c_void) -> u32;

/// `IWTSVirtualChannelManager`, as far as it is used here.
#[repr(C)]
#[derive(Debug)]
pub struct Manager {
    pub create_listener: Option<CreateListener>,
}

/// What `IWTSListenerCallback.OnNewChannelConnection` is.
pub type OnNewChannel =
    unsafe extern "C" fn(*mut Listener, *mut VirtualChannel, *mut u8, *mut i32, *mut *mut Callback) -> u32;

/// `IWTSListenerCallback`.
#[repr(C)]
pub struct Listener {
    pub on_new_channel: Option<OnNewChannel>,
    pub interface: *mut c_void,
    // Ours from here on.
    socket: PathBuf,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// `IWTSVirtualChannel`.
#[repr(C)]
#[derive(Debug)]
pub struct VirtualChannel {
    pub write: Option<unsafe extern "C" fn(*mut Self, u32, *const u8, *mut c_void) -> u32>,
    pub close: *mut c_void,
}

/// `IWTSVirtualChannelCallback`.
#[repr(C)]
pub struct Callback {
    pub on_data_received: Option<unsafe extern "C" fn(*mut Self, *mut Stream) -> u32>,
    pub on_open: Option<unsafe extern "C" fn(*mut Self) -> u32>,
    pub on_close: Option<unsafe extern "C" fn(*mut Self) -> u32>,
    pub interface: *mut c_void,
    // Ours from here on.
    gate: Arc<Gate>,
    forward: Forward<UnixStream>,
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").finish_non_exhaustive()
    }
}

/// The beginning of `wStream`. What is to be read lies between `pointer` and `buffer + length`.
#[repr(C)]
#[derive(Debug)]
pub struct Stream {
    pub buffer: *mut u8,
    pub pointer: *mut u8,
    pub length: usize,
    pub capacity: usize,
}

impl Stream {
    /// What is to be read, if the fields make sense.
    ///
    /// # Safety
    /// If they do, `length` bytes at `buffer` can be read as long as `self` is borrowed.
    unsafe fn payload(&self) -> Option<&[u8]> {
        let begin = (self.pointer as usize).checked_sub(self.buffer as usize)?;
        let left = self.length.checked_sub(begin).filter(|left| *left <= MAX_MESSAGE)?;
        if left == 0 {
            return Some(&[]);
        }
        if self.buffer.is_null() || self.length > self.capacity {
            return None;
        }
        // SAFETY: `pointer` is not null, being at or behind `buffer`, and `left` bytes from it on end where the buffer does,
        // which the caller answers for.
        Some(unsafe { std::slice::from_raw_parts(self.pointer, left) })
    }
}

/// FreeRDP's channel until it is closed.
struct Gate(Mutex<Option<Open>>);

struct Open(*mut VirtualChannel);

// SAFETY: the pointer is used under the gate's lock only, and FreeRDP's `Write` may be called from any thread.
unsafe impl Send for Open {}

impl Gate {
    fn shut(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The gate's side for the thread that reads from the client.
struct ToSession(Arc<Gate>);

impl Channel for ToSession {
    fn write(&self, bytes: &[u8]) -> bool {
        let Ok(length) = u32::try_from(bytes.len()) else { return false };
        if length == 0 {
            // It would mean that the channel is to be closed.
            return true;
        }
        let open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Open(channel)) = *open else { return false };
        // SAFETY: FreeRDP keeps the channel until `OnClose` has returned, and that waits for this lock.
        let Some(write) = (unsafe { (*channel).write }) else { return false };
        // SAFETY: as above; FreeRDP copies the bytes before it returns.
        unsafe { write(channel, length, bytes.as_ptr(), null_mut()) == OK }
    }
}

/// Runs what FreeRDP has called; a panic becomes an error.
fn guarded(call: impl FnOnce() -> u32) -> u32 {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(INTERNAL_ERROR)
}

/// What FreeRDP calls when it loads the library for a connection.
///
/// An argument that makes no sense is told on standard error and the plug-in does nothing: an error would take all dynamic channels away
/// from the person's remote desktop.
///
/// # Safety
/// As FreeRDP calls it: `points` is null or its entry points, whose arguments are an array of C strings.
// SAFETY: no other symbol of the process has this name: FreeRDP looks it up in this library alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn DVCPluginEntry(points: *mut EntryPoints) -> u32 {
    guarded(|| {
        if points.is_null() {
            return INVALID_PARAMETER;
        }
        // SAFETY: not null, and FreeRDP's for the time of this call.
        let (register, data) = unsafe { ((*points).register_plugin, (*points).get_plugin_data) };
        let Some(register) = register else { return INVALID_PARAMETER };
        // SAFETY: FreeRDP's own function for this structure.
        let arguments = data.map_or_else(Vec::new, |data| unsafe { arguments(data(points)) });
        let socket = match socket_of(&arguments) {
            Ok(socket) => socket,
            Err(wrong) => {
                let told: String = wrong.to_string_lossy().chars().take(200).collect();
                writeln!(
                    std::io::stderr(),
                    "offstage: /dvc:offstage,{told}: not unix:/PATH, the plug-in does nothing"
                )
                .ok();
                return OK;
            }
        };
        let plugin = Box::into_raw(Box::new(Plugin {
            initialize: Some(initialize),
            connected: Some(nothing),
            disconnected: Some(disconnected),
            terminated: Some(terminated),
            attached: Some(nothing),
            detached: Some(nothing),
            interface: null_mut(),
            socket,
            listener: null_mut(),
        }));
        // SAFETY: FreeRDP's own function for this structure; it copies the name and keeps the plug-in until `Terminated`.
        let told = unsafe { register(points, c"offstage".as_ptr(), plugin) };
        if told != OK {
            // SAFETY: made above, and FreeRDP has not taken it.
            drop(unsafe { Box::from_raw(plugin) });
        }
        told
    })
}

/// The words behind the plug-in's name.
///
/// # Safety
/// `arguments` is null or FreeRDP's, with `count` C strings.
unsafe fn arguments(arguments: *const Arguments) -> Vec<OsString> {
    if arguments.is_null() {
        return Vec::new();
    }
    // SAFETY: not null, so FreeRDP's.
    let Arguments { count, values } = unsafe { &*arguments };
    if values.is_null() {
        return Vec::new();
    }
    let at = |index: i32| {
        // SAFETY: below `count`.
        let text = unsafe { *values.offset(isize::try_from(index).ok()?) };
        // SAFETY: null or a C string.
        unsafe { text_of(text) }
    };
    (1..(*count).min(MAX_ARGUMENTS)).filter_map(at).collect()
}

/// # Safety
/// `text` is null or a C string.
unsafe fn text_of(text: *const c_char) -> Option<OsString> {
    if text.is_null() {
        return None;
    }
    let text = text.cast::<u8>();
    let mut bytes = Vec::new();
    while bytes.len() < MAX_ARGUMENT {
        // SAFETY: all bytes before this one were not the last.
        match unsafe { *text.add(bytes.len()) } {
            0 => break,
            byte => bytes.push(byte),
        }
    }
    Some(OsString::from_vec(bytes))
}

/// The socket that `unix:/path` names; what makes no sense is the error.
fn socket_of(arguments: &[OsString]) -> Result<Option<PathBuf>, &OsString> {
    let mut socket = None;
    for argument in arguments {
        let path = argument.to_str().and_then(|text| text.strip_prefix("unix:")).map(PathBuf::from);
        socket = Some(path.filter(|path| path.is_absolute()).ok_or(argument)?);
    }
    Ok(socket)
}

unsafe extern "C" fn nothing(_: *mut Plugin) -> u32 {
    OK
}

unsafe extern "C" fn disconnected(_: *mut Plugin, _: u32) -> u32 {
    OK
}

/// Asks for the channels that the session opens by our name.
unsafe extern "C" fn initialize(plugin: *mut Plugin, manager: *mut Manager) -> u32 {
    guarded(|| {
        if plugin.is_null() || manager.is_null() {
            return INVALID_PARAMETER;
        }
        // SAFETY: not null, ours, and FreeRDP calls one function of a plug-in at a time.
        let plugin = unsafe { &mut *plugin };
        // SAFETY: not null, so FreeRDP's.
        let Some(create) = (unsafe { (*manager).create_listener }) else { return INVALID_PARAMETER };
        if !plugin.listener.is_null() {
            return OK;
        }
        let listener = Box::into_raw(Box::new(Listener {
            on_new_channel: Some(on_new_channel),
            interface: null_mut(),
            socket: local::path(plugin.socket.as_deref()),
        }));
        let name = format!("{DVC_NAME}\0");
        let mut made = null_mut();
        // SAFETY: FreeRDP's own function; it copies the name and keeps the listener until the plug-in is terminated.
        let told = unsafe { create(manager, name.as_ptr().cast(), 0, listener, &raw mut made) };
        if told == OK {
            plugin.listener = listener;
        } else {
            // SAFETY: made above, and FreeRDP has not taken it.
            drop(unsafe { Box::from_raw(listener) });
        }
        told
    })
}

/// Frees the plug-in. Channels may still be open and are for themselves.
unsafe extern "C" fn terminated(plugin: *mut Plugin) -> u32 {
    guarded(|| {
        if plugin.is_null() {
            return INVALID_PARAMETER;
        }
        // SAFETY: made by `DVCPluginEntry`; FreeRDP terminates a plug-in once and doesn't use it or its listener afterwards.
        let plugin = unsafe { Box::from_raw(plugin) };
        if !plugin.listener.is_null() {
            // SAFETY: made by `initialize`, see above.
            drop(unsafe { Box::from_raw(plugin.listener) });
        }
        OK
    })
}

/// The session opens a channel. Without a client it is refused, so that the session's end knows and asks again.
unsafe extern "C" fn on_new_channel(
    listener: *mut Listener,
    channel: *mut VirtualChannel,
    _data: *mut u8,
    accept: *mut i32,
    callback: *mut *mut Callback,
) -> u32 {
    guarded(|| {
        if accept.is_null() {
            return INVALID_PARAMETER;
        }
        // SAFETY: not null, so FreeRDP's.
        unsafe { *accept = 0 };
        if listener.is_null() || channel.is_null() || callback.is_null() {
            return INVALID_PARAMETER;
        }
        // SAFETY: not null and ours; nobody changes it.
        let socket = unsafe { &(*listener).socket };
        let Ok(stream) = local::connect(socket) else { return OK };
        let gate = Arc::new(Gate(Mutex::new(Some(Open(channel)))));
        let to_session = ToSession(Arc::clone(&gate));
        let Ok(forward) = Forward::start(stream, to_session) else {
            gate.shut();
            return OK;
        };
        let made = Box::new(Callback {
            on_data_received: Some(on_data_received),
            on_open: Some(on_open),
            on_close: Some(on_close),
            interface: null_mut(),
            gate,
            forward,
        });
        // SAFETY: both not null, so FreeRDP's.
        unsafe {
            *callback = Box::into_raw(made);
            *accept = 1;
        }
        OK
    })
}

unsafe extern "C" fn on_data_received(callback: *mut Callback, stream: *mut Stream) -> u32 {
    guarded(|| {
        if callback.is_null() || stream.is_null() {
            return INVALID_PARAMETER;
        }
        // SAFETY: not null and ours until `on_close`.
        let forward = unsafe { &(*callback).forward };
        // SAFETY: not null; the stream is FreeRDP's for the time of this call.
        let Some(bytes) = (unsafe { (*stream).payload() }) else { return INVALID_DATA };
        match forward.deliver(bytes) {
            Ok(()) => OK,
            // FreeRDP closes the channel.
            Err(_) => INVALID_DATA,
        }
    })
}

unsafe extern "C" fn on_open(callback: *mut Callback) -> u32 {
    if callback.is_null() { INVALID_PARAMETER } else { OK }
}

/// The channel is gone when this returns.
unsafe extern "C" fn on_close(callback: *mut Callback) -> u32 {
    guarded(|| {
        if callback.is_null() {
            return INVALID_PARAMETER;
        }
        // SAFETY: made by `on_new_channel`; FreeRDP closes a channel once and forgets its callback.
        let callback = unsafe { Box::from_raw(callback) };
        callback.gate.shut();
        OK
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_path_of_a_socket_is_an_argument() {
        let check = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            socket_of(&words).map_err(Clone::clone)
        };
        assert_eq!(check(&[]), Ok(None));
        assert_eq!(check(&["unix:/run/a.sock"]), Ok(Some(PathBuf::from("/run/a.sock"))));
        for wrong in ["unix:", "unix:a.sock", "/run/a.sock", ""] {
            assert_eq!(check(&[wrong]), Err(OsString::from(wrong)));
        }
    }

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(guarded(|| panic!("for the test")), INTERNAL_ERROR);
    }
}
