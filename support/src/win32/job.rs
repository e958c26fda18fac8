//! A process and all that it starts, which end together.

#![expect(unsafe_code, reason = "calls into Windows")]

use std::io;
use std::os::windows::io::AsRawHandle as _;
use std::os::windows::io::FromRawHandle as _;
use std::os::windows::io::OwnedHandle;
use std::ptr::null;

use windows_sys::Win32::System::JobObjects::AssignProcessToJobObject;
use windows_sys::Win32::System::JobObjects::CreateJobObjectW;
use windows_sys::Win32::System::JobObjects::JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
use windows_sys::Win32::System::JobObjects::JOBOBJECT_EXTENDED_LIMIT_INFORMATION;
use windows_sys::Win32::System::JobObjects::JobObjectExtendedLimitInformation;
use windows_sys::Win32::System::JobObjects::SetInformationJobObject;
use windows_sys::Win32::System::JobObjects::TerminateJobObject;
use windows_sys::Win32::System::Threading::OpenProcess;
use windows_sys::Win32::System::Threading::PROCESS_SET_QUOTA;
use windows_sys::Win32::System::Threading::PROCESS_TERMINATE;

/// Ends its processes with itself, also if this process is killed.
#[derive(Debug)]
pub struct Job(OwnedHandle);

impl Job {
    /// A job with this process in it, and whatever that starts from now on. The caller holds the process, so that its number stays its own.
    ///
    /// # Errors
    /// What Windows says.
    pub fn of(process: u32) -> io::Result<Self> {
        // SAFETY: takes any number, and gives null for one that is no process.
        let process = unsafe { OpenProcess(PROCESS_SET_QUOTA | PROCESS_TERMINATE, 0, process) };
        if process.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else's.
        let process = unsafe { OwnedHandle::from_raw_handle(process) };
        // SAFETY: neither attributes nor name are given.
        let job = unsafe { CreateJobObjectW(null(), null()) };
        if job.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, and nobody else's.
        let job = Self(unsafe { OwnedHandle::from_raw_handle(job) });
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        let size = u32::try_from(size_of_val(&limits)).map_err(io::Error::other)?;
        // SAFETY: the structure is the one that goes with its number, and has the size that is told; both handles are open.
        let done = unsafe {
            let limits = (&raw const limits).cast();
            SetInformationJobObject(job.0.as_raw_handle(), JobObjectExtendedLimitInformation, limits, size)
                != 0
                && AssignProcessToJobObject(job.0.as_raw_handle(), process.as_raw_handle()) != 0
        };
        if done { Ok(job) } else { Err(io::Error::last_os_error()) }
    }

    /// Ends all of them now.
    pub fn end(&self) {
        // SAFETY: the handle is open; a job whose processes have gone is left as it is.
        unsafe { TerminateJobObject(self.0.as_raw_handle(), 1) };
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::process::Stdio;
    use std::time::Duration;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_process_ends_with_its_job() {
        for by_hand in [true, false] {
            // Waits for a line that never comes.
            let mut command = Command::new("cmd.exe");
            let mut child =
                command.args(["/c", "pause"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            // It would end by itself if this were closed, as waiting does.
            let _input = child.stdin.take();
            let job = Job::of(child.id()).unwrap();
            assert!(child.try_wait().unwrap().is_none());
            if by_hand {
                job.end();
            } else {
                drop(job);
            }
            let limit = Instant::now() + Duration::from_secs(60);
            while child.try_wait().unwrap().is_none() {
                assert!(Instant::now() < limit, "it goes on without its job");
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
    }
}
