//! A stand-in for Windows' remote desktop service, for tests: a library that takes the place of `wtsapi32.dll`. Opening a dynamic channel
//! connects to the pipe `\\.\pipe\wts-<process>-<name>`, whose messages are what the channel would deliver.

#![expect(unsafe_code, reason = "exports what Windows does")]

use std::ffi::CStr;
use std::ffi::c_char;
use std::ffi::c_void;
use std::fs::OpenOptions;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::FromRawHandle;
use std::os::windows::io::IntoRawHandle;
use std::os::windows::io::OwnedHandle;
use std::ptr::null_mut;

type Handle = *mut c_void;

const OVERLAPPED: u32 = 0x4000_0000;
const CURRENT_SESSION: u32 = u32::MAX;
const DYNAMIC: u32 = 1;
const FILE_HANDLE: i32 = 1;
const MESSAGES: u32 = 2;
const ERROR_GEN_FAILURE: u32 = 31;

unsafe extern "system" {
    fn SetNamedPipeHandleState(pipe: Handle, mode: *const u32, most: *const u32, limit: *const u32) -> i32;
    fn SetLastError(error: u32);
}

#[unsafe(no_mangle)]
unsafe extern "system" fn WTSVirtualChannelOpenEx(session: u32, name: *const c_char, flags: u32) -> Handle {
    // SAFETY: the caller gives a name that ends with a zero.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let path = format!(r"\\.\pipe\wts-{}-{name}", std::process::id());
    let pipe = OpenOptions::new().read(true).write(true).custom_flags(OVERLAPPED).open(path);
    match pipe {
        Ok(pipe) if session == CURRENT_SESSION && flags == DYNAMIC => {
            let pipe = pipe.into_raw_handle();
            // SAFETY: the handle is open.
            unsafe { SetNamedPipeHandleState(pipe, &MESSAGES, null_mut(), null_mut()) };
            pipe
        }
        _ => {
            // SAFETY: takes a number.
            unsafe { SetLastError(ERROR_GEN_FAILURE) };
            null_mut()
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "system" fn WTSVirtualChannelQuery(
    channel: Handle,
    what: i32,
    answer: *mut *mut c_void,
    length: *mut u32,
) -> i32 {
    if what != FILE_HANDLE {
        return 0;
    }
    // SAFETY: the caller gives room for both.
    unsafe {
        *answer = Box::into_raw(Box::new(channel)).cast();
        *length = size_of::<Handle>() as u32;
    }
    1
}

#[unsafe(no_mangle)]
unsafe extern "system" fn WTSFreeMemory(memory: *mut c_void) {
    if !memory.is_null() {
        // SAFETY: only the query's answers are given back.
        drop(unsafe { Box::from_raw(memory.cast::<Handle>()) });
    }
}

#[unsafe(no_mangle)]
unsafe extern "system" fn WTSVirtualChannelClose(channel: Handle) -> i32 {
    // SAFETY: opened above, closed once.
    drop(unsafe { OwnedHandle::from_raw_handle(channel) });
    1
}
