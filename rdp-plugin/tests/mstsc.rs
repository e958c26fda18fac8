//! The library as a client of Windows' loads it, by both of its entries, with a client of objects; and Offstage's client at its pipe.
//! `cargo xtask windows` runs it. Times in here are limits for what hangs.

#![cfg(windows)]
#![expect(unsafe_code, reason = "COM and exports of a library")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::ffi::c_void;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use offstage_protocol::socket_path::ADD_IN;
use offstage_protocol::socket_path::DVC_NAME;
use offstage_protocol::socket_path::pipe_path;
use offstage_rdp_plugin::forward::QUEUE;
use offstage_rdp_plugin::mstsc::CLASS;
use offstage_support::win32::pipe as pipes;
use offstage_support::win32::registry;
use offstage_support::win32::registry::Root;
use offstage_support::win32::user;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::windows::named_pipe::NamedPipeServer;
use tokio::runtime::Runtime;
use windows::Win32::Foundation::E_NOTIMPL;
use windows::Win32::Foundation::HMODULE;
use windows::Win32::Foundation::S_FALSE;
use windows::Win32::System::Com::IClassFactory;
use windows::Win32::System::Com::StructuredStorage::IPropertyBag;
use windows::Win32::System::LibraryLoader::GetProcAddress;
use windows::Win32::System::LibraryLoader::LoadLibraryW;
use windows::Win32::System::RemoteDesktop::IWTSListener;
use windows::Win32::System::RemoteDesktop::IWTSListener_Impl;
use windows::Win32::System::RemoteDesktop::IWTSListenerCallback;
use windows::Win32::System::RemoteDesktop::IWTSPlugin;
use windows::Win32::System::RemoteDesktop::IWTSVirtualChannel;
use windows::Win32::System::RemoteDesktop::IWTSVirtualChannel_Impl;
use windows::Win32::System::RemoteDesktop::IWTSVirtualChannelCallback;
use windows::Win32::System::RemoteDesktop::IWTSVirtualChannelManager;
use windows::Win32::System::RemoteDesktop::IWTSVirtualChannelManager_Impl;
use windows_core::BOOL;
use windows_core::BSTR;
use windows_core::GUID;
use windows_core::HRESULT;
use windows_core::HSTRING;
use windows_core::IUnknown;
use windows_core::Interface as _;
use windows_core::PCSTR;
use windows_core::Ref;
use windows_core::Result;
use windows_core::implement;
use windows_core::s;

const LIMIT: Duration = Duration::from_secs(60);

type Entry = unsafe extern "system" fn() -> isize;
type GetInstance = unsafe extern "system" fn(*const GUID, *mut u32, *mut *mut c_void) -> HRESULT;
type GetClassObject = unsafe extern "system" fn(*const GUID, *const GUID, *mut *mut c_void) -> HRESULT;
type CanUnloadNow = unsafe extern "system" fn() -> HRESULT;

/// A client's manager: notes what was asked for.
#[implement(IWTSVirtualChannelManager)]
struct Manager(Arc<Mutex<Vec<(String, IWTSListenerCallback)>>>);

impl IWTSVirtualChannelManager_Impl for Manager_Impl {
    fn CreateListener(
        &self,
        name: &PCSTR,
        flags: u32,
        callback: Ref<'_, IWTSListenerCallback>,
    ) -> Result<IWTSListener> {
        assert_eq!(flags, 0);
        // SAFETY: the plug-in gives a name that ends with a zero.
        let name = unsafe { name.to_string() }.unwrap();
        self.0.lock().unwrap().push((name, callback.ok()?.clone()));
        Ok(NoListener.into())
    }
}

#[implement(IWTSListener)]
struct NoListener;

impl IWTSListener_Impl for NoListener_Impl {
    fn GetConfiguration(&self) -> Result<IPropertyBag> {
        Err(E_NOTIMPL.into())
    }
}

/// A channel's end in the client: what was written, and `None` for its being closed.
#[implement(IWTSVirtualChannel)]
struct Channel(mpsc::SyncSender<Option<Vec<u8>>>);

impl IWTSVirtualChannel_Impl for Channel_Impl {
    fn Write(&self, length: u32, bytes: *const u8, reserved: Ref<'_, IUnknown>) -> Result<()> {
        assert!(reserved.is_none());
        // SAFETY: the plug-in has so many bytes there.
        let bytes = unsafe { std::slice::from_raw_parts(bytes, usize::try_from(length).unwrap()) };
        // A test that doesn't look any more has its channel go on.
        self.0.send(Some(bytes.to_vec())).ok();
        Ok(())
    }

    fn Close(&self) -> Result<()> {
        self.0.send(None).ok();
        Ok(())
    }
}

/// The library that was built with this test, in the same folder.
fn library() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("offstage_rdp_plugin.dll")
}

fn entry(library: HMODULE, name: PCSTR) -> Entry {
    // SAFETY: the library stays loaded.
    unsafe { GetProcAddress(library, name) }.expect("an export of that name")
}

/// The plug-in by both entries.
fn plugins() -> [IWTSPlugin; 2] {
    let path = HSTRING::from(library().as_path());
    // SAFETY: loads our library, which does nothing by being loaded.
    let library = unsafe { LoadLibraryW(&path) }.unwrap();
    // SAFETY: the exports have these types.
    let (instance, class, unload) = unsafe {
        (
            std::mem::transmute::<Entry, GetInstance>(entry(library, s!("VirtualChannelGetInstance"))),
            std::mem::transmute::<Entry, GetClassObject>(entry(library, s!("DllGetClassObject"))),
            std::mem::transmute::<Entry, CanUnloadNow>(entry(library, s!("DllCanUnloadNow"))),
        )
    };
    let mut count = 0;
    let mut object = null_mut();
    // SAFETY: everything that is pointed to is there, or null where that is allowed.
    unsafe {
        assert_eq!(unload(), S_FALSE);
        instance(&IWTSPlugin::IID, &raw mut count, null_mut()).unwrap();
        assert_eq!(count, 1);
        assert!(instance(&IWTSPlugin::IID, null_mut(), &raw mut object).is_err());
        assert!(class(&IWTSPlugin::IID, &IClassFactory::IID, &raw mut object).is_err());
        instance(&IWTSPlugin::IID, &raw mut count, &raw mut object).unwrap();
        let first = IWTSPlugin::from_raw(object);
        class(&CLASS, &IClassFactory::IID, &raw mut object).unwrap();
        let factory = IClassFactory::from_raw(object);
        let second: IWTSPlugin = factory.CreateInstance(None).unwrap();
        [first, second]
    }
}

/// The listener that a plug-in has made.
fn listener(plugin: &IWTSPlugin) -> IWTSListenerCallback {
    let listeners = Arc::default();
    let manager: IWTSVirtualChannelManager = Manager(Arc::clone(&listeners)).into();
    // SAFETY: as clients call it.
    unsafe {
        plugin.Initialize(&manager).unwrap();
        plugin.Connected().unwrap();
    }
    let listeners = listeners.lock().unwrap();
    let [(name, listener)] = listeners.as_slice() else { unreachable!("one listener") };
    assert_eq!(name, DVC_NAME);
    listener.clone()
}

type Written = mpsc::Receiver<Option<Vec<u8>>>;

/// A channel that the session opens; `None` if the plug-in doesn't take it.
fn open(listener: &IWTSListenerCallback) -> (Option<IWTSVirtualChannelCallback>, Written) {
    let (sender, written) = mpsc::sync_channel(1024);
    let channel: IWTSVirtualChannel = Channel(sender).into();
    let (mut accept, mut callback) = (BOOL(7), None);
    // SAFETY: as clients call it.
    unsafe {
        listener.OnNewChannelConnection(&channel, &BSTR::new(), &raw mut accept, &raw mut callback).unwrap();
    }
    assert_eq!(accept.as_bool(), callback.is_some());
    (callback, written)
}

fn deliver(callback: &IWTSVirtualChannelCallback, bytes: &[u8]) -> Result<()> {
    // SAFETY: as clients call it.
    unsafe { callback.OnDataReceived(bytes) }
}

fn pipe() -> PathBuf {
    pipe_path(None, None, &user::own().unwrap())
}

fn listen(path: &Path) -> NamedPipeServer {
    pipes::listen(path, false).unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.unwrap()
}

/// One test, because the user has one pipe.
#[test]
fn channels_are_forwarded_by_both_entries() {
    let runtime = runtime();
    for plugin in plugins() {
        let listener = listener(&plugin);
        assert!(open(&listener).0.is_none(), "nobody listens at the pipe");

        let mut client = runtime.block_on(async { listen(&pipe()) });
        let (callback, written) = open(&listener);
        let callback = callback.unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        for part in bytes.chunks(70_001) {
            deliver(&callback, part).unwrap();
        }
        deliver(&callback, b"").unwrap();
        let mut got = vec![0; bytes.len()];
        runtime.block_on(within(async {
            client.connect().await.unwrap();
            client.read_exact(&mut got).await.unwrap();
            client.write_all(&bytes).await.unwrap();
            client.flush().await.unwrap();
        }));
        assert!(got == bytes);
        let mut back = Vec::new();
        while back.len() < bytes.len() {
            back.extend(written.recv_timeout(LIMIT).unwrap().expect("not closed"));
        }
        assert!(back == bytes);
        // What was delivered before the channel closes still arrives; then the pipe ends.
        deliver(&callback, b"last").unwrap();
        // SAFETY: as clients call it.
        unsafe { callback.OnClose() }.unwrap();
        assert!(deliver(&callback, b"too late").is_err());
        let mut rest = Vec::new();
        // How a pipe that has been closed ends depends on who asks.
        runtime.block_on(within(async { client.read_to_end(&mut rest).await })).ok();
        assert_eq!(rest, b"last");
        drop(client);

        // A client that doesn't read: bounded, never waited for, then closed.
        let client = runtime.block_on(async { listen(&pipe()) });
        let (callback, written) = open(&listener);
        let callback = callback.unwrap();
        let piece = vec![0; 1 << 20];
        let taken = (0..1000).take_while(|_| deliver(&callback, &piece).is_ok()).count();
        assert!((1..=QUEUE / piece.len() + 2).contains(&taken), "{taken}");
        assert_eq!(written.recv_timeout(LIMIT).unwrap(), None, "the channel is closed");
        drop(client);

        // A client that goes: what the session sends next closes the channel.
        let client = runtime.block_on(async { listen(&pipe()) });
        let (callback, written) = open(&listener);
        let callback = callback.unwrap();
        drop(client);
        while deliver(&callback, b"?").is_ok() {
            std::thread::yield_now();
        }
        assert_eq!(written.recv_timeout(LIMIT).unwrap(), None);
        // SAFETY: as clients call them.
        unsafe {
            plugin.Disconnected(0).unwrap();
            plugin.Terminated().unwrap();
        }
    }
}

#[test]
fn registration_names_the_library_and_goes_again() {
    let library = library();
    let run = |more: &[&str]| {
        let status = Command::new("regsvr32").arg("/s").args(more).arg(&library).status().unwrap();
        assert!(status.success(), "{status}");
    };
    run(&[]);
    let name = registry::text(Root::User, ADD_IN, "Name").unwrap().unwrap();
    assert_eq!(Path::new(&name), library);
    run(&["/u"]);
    assert!(!registry::exists(Root::User, ADD_IN));
}
