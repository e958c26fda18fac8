//! Processes of this machine, and handles for those that are started.

#![expect(unsafe_code, reason = "calls into Windows")]

use std::collections::BTreeMap;
use std::io;
use std::os::windows::io::AsRawHandle;
use std::os::windows::io::FromRawHandle as _;
use std::os::windows::io::OwnedHandle;
use std::path::Path;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::DUPLICATE_SAME_ACCESS;
use windows_sys::Win32::Foundation::DuplicateHandle;
use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::Storage::FileSystem::GetFileVersionInfoSizeW;
use windows_sys::Win32::Storage::FileSystem::GetFileVersionInfoW;
use windows_sys::Win32::Storage::FileSystem::VS_FIXEDFILEINFO;
use windows_sys::Win32::Storage::FileSystem::VerQueryValueW;
use windows_sys::Win32::System::Diagnostics::ToolHelp::CreateToolhelp32Snapshot;
use windows_sys::Win32::System::Diagnostics::ToolHelp::PROCESSENTRY32W;
use windows_sys::Win32::System::Diagnostics::ToolHelp::Process32FirstW;
use windows_sys::Win32::System::Diagnostics::ToolHelp::Process32NextW;
use windows_sys::Win32::System::Diagnostics::ToolHelp::TH32CS_SNAPPROCESS;
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use super::wide;

/// Processes that are looked at.
const MOST_PROCESSES: usize = 1 << 16;
/// More than any program says of its version.
const MOST_VERSION: u32 = 1 << 20;

/// A process of the list.
#[derive(Clone, Debug)]
pub struct Process {
    /// The one that has started it, which may have gone.
    pub parent: u32,
    /// Its program's file, without the folder.
    pub program: String,
}

/// All processes, by their numbers; none if Windows doesn't tell.
#[must_use]
pub fn all() -> BTreeMap<u32, Process> {
    let mut processes = BTreeMap::new();
    // SAFETY: takes no pointers.
    let list = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) };
    if list == INVALID_HANDLE_VALUE {
        return processes;
    }
    // SAFETY: the handle was just opened and belongs to nobody else.
    let list = unsafe { OwnedHandle::from_raw_handle(list) };
    let mut entry = PROCESSENTRY32W {
        dwSize: u32::try_from(size_of::<PROCESSENTRY32W>()).unwrap_or(0),
        ..PROCESSENTRY32W::default()
    };
    // SAFETY: the entry says its size, which is what is written at most.
    let mut there = unsafe { Process32FirstW(list.as_raw_handle(), &raw mut entry) } != 0;
    while there && processes.len() < MOST_PROCESSES {
        let name = entry.szExeFile;
        let end = name.iter().position(|unit| *unit == 0).unwrap_or(name.len());
        let program = String::from_utf16_lossy(name.get(..end).unwrap_or_default());
        processes.insert(entry.th32ProcessID, Process { parent: entry.th32ParentProcessID, program });
        // SAFETY: as above.
        there = unsafe { Process32NextW(list.as_raw_handle(), &raw mut entry) } != 0;
    }
    processes
}

/// A second handle of the same thing, which processes that are started while it is open get under the same number.
///
/// # Errors
/// What Windows says.
pub fn inheritable(handle: &impl AsRawHandle) -> io::Result<OwnedHandle> {
    let mut second = null_mut();
    // SAFETY: the handle is open; this process's own needs no closing; the second is written where it says.
    let done = unsafe {
        let own = GetCurrentProcess();
        DuplicateHandle(own, handle.as_raw_handle(), own, &raw mut second, 0, 1, DUPLICATE_SAME_ACCESS)
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else's.
    Ok(unsafe { OwnedHandle::from_raw_handle(second) })
}

/// The version that a program's file says it has, such as `130.0.6723.70`.
#[must_use]
pub fn version(program: &Path) -> Option<String> {
    let file = wide(program.to_str()?);
    // SAFETY: the name ends with a zero; nothing else is asked for.
    let size = unsafe { GetFileVersionInfoSizeW(file.as_ptr(), null_mut()) };
    if size == 0 || size > MOST_VERSION {
        return None;
    }
    // Of eight bytes each, so that structures in it are aligned.
    let mut room = vec![0_u64; usize::try_from(size).ok()?.div_ceil(8)];
    let (mut found, mut length) = (null_mut(), 0);
    let root = wide("\\");
    // SAFETY: at most `size` bytes are written, which the buffer has; what is found lies in it.
    let there = unsafe {
        GetFileVersionInfoW(file.as_ptr(), 0, size, room.as_mut_ptr().cast()) != 0
            && VerQueryValueW(room.as_ptr().cast(), root.as_ptr(), &raw mut found, &raw mut length) != 0
    };
    if !there || usize::try_from(length).ok()? < size_of::<VS_FIXEDFILEINFO>() {
        return None;
    }
    // SAFETY: Windows says that the structure is there, in the buffer, whole.
    let version = unsafe { found.cast::<VS_FIXEDFILEINFO>().read_unaligned() };
    let [first, second] = [version.dwFileVersionMS, version.dwFileVersionLS];
    Some(format!("{}.{}.{}.{}", first >> 16, first & 0xffff, second >> 16, second & 0xffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_in_the_list() {
        assert!(all().contains_key(&std::process::id()));
    }

    #[test]
    fn programs_of_windows_say_their_version() {
        let system = std::env::var("SystemRoot").unwrap();
        let version = version(&Path::new(&system).join(r"system32\kernel32.dll")).unwrap();
        assert_eq!(version.split('.').filter(|part| part.parse::<u16>().is_ok()).count(), 4, "{version}");
        assert_eq!(super::version(&std::env::current_exe().unwrap()), None, "nobody has given it one");
    }
}
