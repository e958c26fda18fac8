//! The standard streams as handles. Files of the standard library change no bytes, so nothing has to be set to binary.

#![expect(unsafe_code, reason = "calls into Windows")]

use std::fs::File;
use std::io;
use std::os::windows::io::AsHandle as _;
use std::os::windows::io::AsRawHandle as _;

use windows_sys::Win32::System::Console::STD_OUTPUT_HANDLE;
use windows_sys::Win32::System::Console::SetStdHandle;

/// Input and output; standard output is standard error from here on.
pub(super) fn take() -> io::Result<(File, File)> {
    let input = File::from(io::stdin().as_handle().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_handle().try_clone_to_owned()?);
    // SAFETY: standard error's handle, or none, stays what it is for the life of the process; the standard library looks the handle up
    // each time that it writes.
    if unsafe { SetStdHandle(STD_OUTPUT_HANDLE, io::stderr().as_raw_handle()) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((input, output))
}
