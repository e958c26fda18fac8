//! Files that are read and written at the same time by two threads, and that a third can stop.

#![expect(unsafe_code, reason = "calls into Windows")]

use std::io;
use std::os::windows::io::AsRawHandle as _;
use std::os::windows::io::FromRawHandle as _;
use std::os::windows::io::OwnedHandle;
use std::ptr::null;
use std::ptr::null_mut;
use std::time::Duration;

use windows_sys::Win32::Foundation::ERROR_IO_PENDING;
use windows_sys::Win32::Foundation::WAIT_OBJECT_0;
use windows_sys::Win32::Foundation::WAIT_TIMEOUT;
use windows_sys::Win32::Storage::FileSystem::ReadFile;
use windows_sys::Win32::Storage::FileSystem::WriteFile;
use windows_sys::Win32::System::IO::CancelIoEx;
use windows_sys::Win32::System::IO::GetOverlappedResult;
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::Win32::System::Threading::CreateEventW;
use windows_sys::Win32::System::Threading::INFINITE;
use windows_sys::Win32::System::Threading::SetEvent;
use windows_sys::Win32::System::Threading::WaitForMultipleObjects;

/// A file, pipe or channel that was opened for overlapped calls (`FILE_FLAG_OVERLAPPED`).
#[derive(Debug)]
pub struct OverlappedFile {
    file: OwnedHandle,
    /// Set for ever once nothing is to be read or written any more.
    stop: OwnedHandle,
}

impl OverlappedFile {
    /// # Errors
    /// If the system has no more events.
    pub fn new(file: OwnedHandle) -> io::Result<Self> {
        Ok(Self { file, stop: event()? })
    }

    /// Ends every call that is under way and every later one.
    pub fn stop(&self) {
        // SAFETY: the event lives as long as this.
        unsafe { SetEvent(self.stop.as_raw_handle()) };
    }

    /// Reads what is there, once something is; 0 after [`Self::stop`].
    ///
    /// # Errors
    /// What Windows says.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let (file, target) = (self.file.as_raw_handle(), buffer.as_mut_ptr());
        // SAFETY: `perform` doesn't return before the call is over, so buffer and structure outlive it.
        self.perform(None, |state| unsafe { ReadFile(file, target, room, null_mut(), state) })
    }

    /// Writes some of the bytes; 0 after [`Self::stop`].
    ///
    /// # Errors
    /// What Windows says; `TimedOut` if nothing could be written for so long.
    pub fn write(&self, bytes: &[u8], limit: Option<Duration>) -> io::Result<usize> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let (file, source) = (self.file.as_raw_handle(), bytes.as_ptr());
        // SAFETY: as for reading.
        self.perform(limit, |state| unsafe { WriteFile(file, source, length, null_mut(), state) })
    }

    fn perform(
        &self,
        limit: Option<Duration>,
        begin: impl FnOnce(*mut OVERLAPPED) -> i32,
    ) -> io::Result<usize> {
        let done = event()?;
        let mut state = OVERLAPPED { hEvent: done.as_raw_handle(), ..OVERLAPPED::default() };
        let state: *mut OVERLAPPED = &raw mut state;
        let file = self.file.as_raw_handle();
        if begin(state) == 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(ERROR_IO_PENDING.cast_signed()) {
                return Err(error);
            }
        }
        let handles = [self.stop.as_raw_handle(), done.as_raw_handle()];
        let limit = limit.map_or(INFINITE, |limit| u32::try_from(limit.as_millis()).unwrap_or(INFINITE));
        // SAFETY: both handles are open, and there are two.
        let woken = unsafe { WaitForMultipleObjects(2, handles.as_ptr(), 0, limit) };
        if woken != WAIT_OBJECT_0 + 1 {
            // SAFETY: ends what was begun with this state, if it has not ended by itself.
            unsafe { CancelIoEx(file, state) };
        }
        let mut length = 0;
        // SAFETY: waits until the call is over, cancelled or not: afterwards nobody writes to state or buffer.
        let well = unsafe { GetOverlappedResult(file, state, &raw mut length, 1) } != 0;
        let error = io::Error::last_os_error();
        if woken == WAIT_OBJECT_0 {
            return Ok(0);
        }
        if well {
            return Ok(usize::try_from(length).unwrap_or(0));
        }
        Err(if woken == WAIT_TIMEOUT { io::ErrorKind::TimedOut.into() } else { error })
    }
}

/// An event that stays set.
fn event() -> io::Result<OwnedHandle> {
    // SAFETY: neither attributes nor name are given.
    let event = unsafe { CreateEventW(null(), 1, 0, null()) };
    if event.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else's.
    Ok(unsafe { OwnedHandle::from_raw_handle(event) })
}
