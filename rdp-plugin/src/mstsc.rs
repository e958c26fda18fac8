//! Windows' interface for plug-ins of dynamic virtual channels (`tsvirtualchannels.h`), as `mstsc.exe` and what is built upon its control
//! load them: <https://learn.microsoft.com/windows/win32/termserv/dvc-client-plug-in-example>.
//!
//! The library is found by a value of the registry, which `regsvr32` writes and takes away through [`DllRegisterServer`] and
//! [`DllUnregisterServer`]. Clients ask for the plug-in by [`VirtualChannelGetInstance`]; [`DllGetClassObject`] is for a registration that
//! names a class.
//!
//! `Write` of a channel only queues and may be called from any thread; a channel lives as long as somebody holds it, so nothing here
//! depends on when it is closed. Whatever is called from outside catches panics.

#![expect(unsafe_code, reason = "COM and exports of a library")]

use std::ffi::c_void;
use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use offstage_protocol::socket_path::ADD_IN;
use offstage_protocol::socket_path::DVC_NAME;
use offstage_support::win32::registry;
use offstage_support::win32::registry::Root;
use windows::Win32::Foundation::CLASS_E_CLASSNOTAVAILABLE;
use windows::Win32::Foundation::CLASS_E_NOAGGREGATION;
use windows::Win32::Foundation::E_FAIL;
use windows::Win32::Foundation::E_POINTER;
use windows::Win32::Foundation::E_UNEXPECTED;
use windows::Win32::Foundation::HMODULE;
use windows::Win32::Foundation::S_FALSE;
use windows::Win32::Foundation::S_OK;
use windows::Win32::System::Com::IClassFactory;
use windows::Win32::System::Com::IClassFactory_Impl;
use windows::Win32::System::LibraryLoader::GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS;
use windows::Win32::System::LibraryLoader::GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
use windows::Win32::System::LibraryLoader::GetModuleFileNameW;
use windows::Win32::System::LibraryLoader::GetModuleHandleExW;
use windows::Win32::System::RemoteDesktop::IWTSListenerCallback;
use windows::Win32::System::RemoteDesktop::IWTSListenerCallback_Impl;
use windows::Win32::System::RemoteDesktop::IWTSPlugin;
use windows::Win32::System::RemoteDesktop::IWTSPlugin_Impl;
use windows::Win32::System::RemoteDesktop::IWTSVirtualChannel;
use windows::Win32::System::RemoteDesktop::IWTSVirtualChannelCallback;
use windows::Win32::System::RemoteDesktop::IWTSVirtualChannelCallback_Impl;
use windows::Win32::System::RemoteDesktop::IWTSVirtualChannelManager;
use windows_core::BOOL;
use windows_core::BSTR;
use windows_core::GUID;
use windows_core::HRESULT;
use windows_core::Interface as _;
use windows_core::OutRef;
use windows_core::PCSTR;
use windows_core::PCWSTR;
use windows_core::Ref;
use windows_core::Result;
use windows_core::implement;

use crate::forward::Channel;
use crate::forward::Forward;
use crate::forward::QUEUE;
use crate::local;
use crate::local::Pipe;

/// The plug-in's class.
pub const CLASS: GUID = GUID::from_u128(0x6d0c_4e0b_9a2f_4d3b_8f51_2b7c_90e4_a1d6);

/// Runs what was called from outside; a panic becomes an error.
fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(E_UNEXPECTED.into()))
}

/// What a client makes one of for each connection.
#[implement(IWTSPlugin)]
struct Plugin;

impl IWTSPlugin_Impl for Plugin_Impl {
    fn Initialize(&self, manager: Ref<'_, IWTSVirtualChannelManager>) -> Result<()> {
        guarded(|| {
            let name: Vec<u8> = DVC_NAME.bytes().chain([0]).collect();
            let listener: IWTSListenerCallback = Listener.into();
            // SAFETY: the name ends with a zero and outlives the call; the manager copies it.
            unsafe { manager.ok()?.CreateListener(PCSTR(name.as_ptr()), 0, &listener) }.map(drop)
        })
    }

    fn Connected(&self) -> Result<()> {
        Ok(())
    }

    fn Disconnected(&self, _: u32) -> Result<()> {
        Ok(())
    }

    fn Terminated(&self) -> Result<()> {
        Ok(())
    }
}

/// Takes what the session opens.
#[implement(IWTSListenerCallback)]
struct Listener;

impl IWTSListenerCallback_Impl for Listener_Impl {
    fn OnNewChannelConnection(
        &self,
        channel: Ref<'_, IWTSVirtualChannel>,
        _: &BSTR,
        accept: *mut BOOL,
        callback: OutRef<'_, IWTSVirtualChannelCallback>,
    ) -> Result<()> {
        if accept.is_null() {
            return Err(E_POINTER.into());
        }
        // SAFETY: not null; the client has room for the answer there.
        unsafe { accept.write(BOOL(0)) };
        guarded(|| {
            let Ok(forward) = start(channel.ok()?.clone()) else {
                // Nobody is there to take it: the session's end hears that it was refused, and tries again.
                return callback.write(None);
            };
            callback.write(Some(forward.into()))?;
            // SAFETY: as above.
            unsafe { accept.write(BOOL(1)) };
            Ok(())
        })
    }
}

fn start(channel: IWTSVirtualChannel) -> io::Result<Callback> {
    let pipe = local::connect(&local::path()?)?;
    let gate = Arc::new(Gate(Mutex::new(Some(Open(channel)))));
    let forward = Forward::start(pipe, ToSession(Arc::clone(&gate)))?;
    Ok(Callback { gate, forward: Mutex::new(Some(forward)) })
}

/// The client's channel until it is closed.
struct Gate(Mutex<Option<Open>>);

struct Open(IWTSVirtualChannel);

// SAFETY: clients let `Write` be called from any thread, and reference counts of their objects are theirs to keep in order; used under the
// gate's lock only.
unsafe impl Send for Open {}

impl Gate {
    fn shut(&self) -> Option<Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The gate's side for the thread that reads from the pipe.
struct ToSession(Arc<Gate>);

impl Channel for ToSession {
    fn write(&self, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the channel is held; the client copies the bytes before it returns.
        open.as_ref().is_some_and(|Open(channel)| unsafe { channel.Write(bytes, None) }.is_ok())
    }
}

/// One channel.
#[implement(IWTSVirtualChannelCallback)]
struct Callback {
    gate: Arc<Gate>,
    forward: Mutex<Option<Forward<Pipe>>>,
}

impl IWTSVirtualChannelCallback_Impl for Callback_Impl {
    fn OnDataReceived(&self, length: u32, bytes: *const u8) -> Result<()> {
        guarded(|| {
            let length = usize::try_from(length).map_err(|_| E_FAIL)?;
            if length == 0 {
                return Ok(());
            }
            if bytes.is_null() {
                return Err(E_POINTER.into());
            }
            let forward = self.forward.lock().unwrap_or_else(PoisonError::into_inner);
            let delivered = forward.as_ref().is_some_and(|forward| {
                // SAFETY: the client has so many bytes there during the call; more than the queue takes are not looked at.
                let bytes = unsafe { std::slice::from_raw_parts(bytes, length.min(QUEUE + 1)) };
                forward.deliver(bytes).is_ok()
            });
            drop(forward);
            if delivered {
                return Ok(());
            }
            if let Some(Open(channel)) = self.gate.shut() {
                // SAFETY: the channel is held. One that is closing already says so, which changes nothing.
                unsafe { channel.Close() }.ok();
            }
            Err(E_FAIL.into())
        })
    }

    fn OnClose(&self) -> Result<()> {
        guarded(|| {
            drop(self.gate.shut());
            drop(self.forward.lock().unwrap_or_else(PoisonError::into_inner).take());
            Ok(())
        })
    }
}

/// Makes plug-ins for a registration that names the class.
#[implement(IClassFactory)]
struct Factory;

impl IClassFactory_Impl for Factory_Impl {
    fn CreateInstance(
        &self,
        outer: Ref<'_, windows_core::IUnknown>,
        interface: *const GUID,
        object: *mut *mut c_void,
    ) -> Result<()> {
        if interface.is_null() || object.is_null() {
            return Err(E_POINTER.into());
        }
        if outer.is_some() {
            return Err(CLASS_E_NOAGGREGATION.into());
        }
        guarded(|| {
            let plugin: IWTSPlugin = Plugin.into();
            // SAFETY: neither is null; the caller gives an interface's name and room for a pointer.
            unsafe { plugin.query(interface, object) }.ok()
        })
    }

    fn LockServer(&self, _: BOOL) -> Result<()> {
        Ok(())
    }
}

/// Gives a client its plug-in: asked without room for it, how many there are.
///
/// # Safety
/// As clients call it: `count` is null or a number, `objects` is null or has room for as many pointers.
// SAFETY: no other symbol of the process has this name: clients look it up in this library alone.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn VirtualChannelGetInstance(
    interface: *const GUID,
    count: *mut u32,
    objects: *mut *mut c_void,
) -> HRESULT {
    if interface.is_null() || count.is_null() {
        return E_POINTER;
    }
    let answer = guarded(|| {
        // SAFETY: not null, and the caller's.
        let room = unsafe { count.read() };
        // SAFETY: as above.
        unsafe { count.write(1) };
        if objects.is_null() {
            return Ok(());
        }
        if room == 0 {
            return Err(E_FAIL.into());
        }
        let plugin: IWTSPlugin = Plugin.into();
        // SAFETY: neither is null, and there is room for one pointer.
        unsafe { plugin.query(interface, objects) }.ok()
    });
    answer.into()
}

/// Gives COM the class's factory.
///
/// # Safety
/// As COM calls it: each pointer is null or what COM says that it is.
// SAFETY: as for the one above.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn DllGetClassObject(
    class: *const GUID,
    interface: *const GUID,
    object: *mut *mut c_void,
) -> HRESULT {
    if class.is_null() || interface.is_null() || object.is_null() {
        return E_POINTER;
    }
    // SAFETY: not null, and the caller's.
    if unsafe { class.read() } != CLASS {
        return CLASS_E_CLASSNOTAVAILABLE;
    }
    let answer = guarded(|| {
        let factory: IClassFactory = Factory.into();
        // SAFETY: neither is null; the caller gives an interface's name and room for a pointer.
        unsafe { factory.query(interface, object) }.ok()
    });
    answer.into()
}

/// Never: threads of this library may run after the last object has gone.
// SAFETY: as for the ones above.
#[unsafe(no_mangle)]
pub extern "system" fn DllCanUnloadNow() -> HRESULT {
    S_FALSE
}

/// Makes the clients of the user who runs this know the plug-in: `regsvr32 offstage_rdp_plugin.dll`.
// SAFETY: as for the ones above.
#[unsafe(no_mangle)]
pub extern "system" fn DllRegisterServer() -> HRESULT {
    let done =
        catch_unwind(|| own_path().and_then(|path| registry::set_text(Root::User, ADD_IN, "Name", &path)));
    if matches!(done, Ok(Ok(()))) { S_OK } else { E_FAIL }
}

/// Makes them forget it.
// SAFETY: as for the ones above.
#[unsafe(no_mangle)]
pub extern "system" fn DllUnregisterServer() -> HRESULT {
    if matches!(catch_unwind(|| registry::remove(Root::User, ADD_IN)), Ok(Ok(_))) { S_OK } else { E_FAIL }
}

/// Where this library is.
fn own_path() -> io::Result<String> {
    let mut library = HMODULE::default();
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    let inside: extern "system" fn() -> HRESULT = DllRegisterServer;
    // SAFETY: the address is one of this library's functions; the handle is written where it says.
    unsafe { GetModuleHandleExW(flags, PCWSTR(inside as *const u16), &raw mut library) }
        .map_err(io::Error::other)?;
    let mut path = vec![0_u16; 32 << 10];
    // SAFETY: writes at most as much as there is room.
    let length = unsafe { GetModuleFileNameW(Some(library), &mut path) };
    let path = usize::try_from(length).ok().and_then(|length| path.get(..length)).unwrap_or_default();
    if path.is_empty() {
        Err(io::Error::last_os_error())
    } else {
        String::from_utf16(path).map_err(io::Error::other)
    }
}
