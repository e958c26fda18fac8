//! Who runs a process, and pipes for that person alone.

#![expect(unsafe_code, reason = "calls into Windows")]

use std::ffi::c_void;
use std::io;
use std::os::windows::io::AsRawHandle;
use std::os::windows::io::FromRawHandle as _;
use std::os::windows::io::OwnedHandle;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::ConvertSidToStringSidW;
use windows_sys::Win32::Security::Authorization::ConvertStringSecurityDescriptorToSecurityDescriptorW;
use windows_sys::Win32::Security::Authorization::SDDL_REVISION_1;
use windows_sys::Win32::Security::GetTokenInformation;
use windows_sys::Win32::Security::PSECURITY_DESCRIPTOR;
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::Security::TOKEN_QUERY;
use windows_sys::Win32::Security::TOKEN_USER;
use windows_sys::Win32::Security::TokenUser;
use windows_sys::Win32::System::Pipes::GetNamedPipeClientProcessId;
use windows_sys::Win32::System::Pipes::GetNamedPipeServerProcessId;
use windows_sys::Win32::System::Threading::GetCurrentProcess;
use windows_sys::Win32::System::Threading::OpenProcess;
use windows_sys::Win32::System::Threading::OpenProcessToken;
use windows_sys::Win32::System::Threading::PROCESS_QUERY_LIMITED_INFORMATION;

use super::wide;

/// More than the longest security identifier takes, in units of eight bytes.
const TOKEN_ROOM: usize = 64;

/// The security identifier of the user who runs this process, such as `S-1-5-21-…-1001`.
///
/// # Errors
/// What Windows says.
pub fn own() -> io::Result<String> {
    // SAFETY: gives a constant that stands for this process and needs no closing.
    of_handle(unsafe { GetCurrentProcess() })
}

/// The security identifier of the user who runs another process.
///
/// # Errors
/// If the process has gone, or this one may not ask about it.
pub fn of_process(process: u32) -> io::Result<String> {
    // SAFETY: takes any number, and gives null for one that is no process.
    let handle = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, process) };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was just opened and belongs to nobody else.
    let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
    of_handle(handle.as_raw_handle())
}

/// The process that has made the pipe which this handle has been connected to.
///
/// # Errors
/// What Windows says, for a handle of something else.
pub fn server_of(pipe: &impl AsRawHandle) -> io::Result<u32> {
    let mut process = 0;
    // SAFETY: takes any handle and fails for one that is no pipe; the number is written where it says.
    if unsafe { GetNamedPipeServerProcessId(pipe.as_raw_handle(), &raw mut process) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(process)
}

/// The process that has connected to this end of a pipe.
///
/// # Errors
/// What Windows says, for a handle of something else.
pub fn client_of(pipe: &impl AsRawHandle) -> io::Result<u32> {
    let mut process = 0;
    // SAFETY: as above.
    if unsafe { GetNamedPipeClientProcessId(pipe.as_raw_handle(), &raw mut process) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(process)
}

/// Another user than this process's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// Its security identifier, or why it isn't known.
    pub user: String,
    /// This process's.
    pub own: String,
}

/// Who else than this process's user listens at a pipe that this end is connected to: names of pipes belong to whoever takes them first.
///
/// # Errors
/// If nobody can say who is who, which is no better than a stranger.
pub fn stranger(pipe: &impl AsRawHandle) -> io::Result<Option<Stranger>> {
    let process = server_of(pipe)?;
    let own = own()?;
    Ok(match of_process(process) {
        Ok(user) if user == own => None,
        Ok(user) => Some(Stranger { user, own }),
        // Windows doesn't let this user ask about a process of somebody else.
        Err(error) => Some(Stranger { user: format!("unknown ({error})"), own }),
    })
}

fn of_handle(process: HANDLE) -> io::Result<String> {
    let mut token = null_mut();
    // SAFETY: the process's handle is open; the token's is written where it says.
    if unsafe { OpenProcessToken(process, TOKEN_QUERY, &raw mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was just opened and belongs to nobody else.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // Of eight bytes each, so that the structure in front is aligned.
    let mut room = [0_u64; TOKEN_ROOM];
    let size = u32::try_from(size_of_val(&room)).map_err(io::Error::other)?;
    let mut used = 0;
    // SAFETY: at most `size` bytes are written, the buffer's size.
    let done = unsafe {
        GetTokenInformation(token.as_raw_handle(), TokenUser, room.as_mut_ptr().cast(), size, &raw mut used)
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    let mut text = null_mut();
    // SAFETY: Windows has put the structure at the buffer's beginning, and what it points to behind it; the text is allocated by Windows.
    let done = unsafe {
        let user: *const TOKEN_USER = room.as_ptr().cast();
        ConvertSidToStringSidW((*user).User.Sid, &raw mut text)
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the text ends with a zero, and is freed once, after its last use.
    let sid = unsafe {
        let length = (0..).take_while(|at| *text.add(*at) != 0).count();
        let sid = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
        LocalFree(text.cast());
        sid
    };
    Ok(sid)
}

/// Who may open a pipe: this process's user, and nobody else.
#[derive(Debug)]
pub struct PipeSecurity {
    descriptor: PSECURITY_DESCRIPTOR,
}

impl PipeSecurity {
    /// # Errors
    /// What Windows says.
    pub fn new() -> io::Result<Self> {
        // Protected from what would be inherited; all access for one user.
        let rules = wide(&format!("D:P(A;;GA;;;{})", own()?));
        let mut descriptor = null_mut();
        // SAFETY: the rules end with a zero; the descriptor is allocated by Windows.
        let done = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                rules.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                null_mut(),
            )
        };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(Self { descriptor }) }
    }

    /// Calls `make` with a pointer to `SECURITY_ATTRIBUTES` that is valid during the call.
    pub fn with<T>(&self, make: impl FnOnce(*mut c_void) -> T) -> T {
        let mut attributes = SECURITY_ATTRIBUTES {
            nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(0),
            lpSecurityDescriptor: self.descriptor,
            bInheritHandle: 0,
        };
        make((&raw mut attributes).cast())
    }
}

impl Drop for PipeSecurity {
    fn drop(&mut self) {
        // SAFETY: allocated by the conversion, and freed once.
        unsafe { LocalFree(self.descriptor) };
    }
}

// SAFETY: the descriptor is memory that is only read after it was made.
unsafe impl Send for PipeSecurity {}
// SAFETY: as above.
unsafe impl Sync for PipeSecurity {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_as_its_own_user() {
        let own = own().unwrap();
        assert!(own.starts_with("S-1-"), "{own}");
        assert_eq!(of_process(std::process::id()).unwrap(), own);
        assert!(of_process(u32::MAX).is_err());
        PipeSecurity::new().unwrap().with(|attributes| assert!(!attributes.is_null()));
    }
}
