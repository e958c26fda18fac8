//! What Windows says of the session and of the processes in it.

#![expect(unsafe_code, reason = "calls into Windows")]

use std::collections::BTreeMap;
use std::os::windows::io::AsRawHandle as _;
use std::os::windows::io::FromRawHandle as _;
use std::os::windows::io::OwnedHandle;

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::System::Diagnostics::ToolHelp::CreateToolhelp32Snapshot;
use windows_sys::Win32::System::Diagnostics::ToolHelp::PROCESSENTRY32W;
use windows_sys::Win32::System::Diagnostics::ToolHelp::Process32FirstW;
use windows_sys::Win32::System::Diagnostics::ToolHelp::Process32NextW;
use windows_sys::Win32::System::Diagnostics::ToolHelp::TH32CS_SNAPPROCESS;
use windows_sys::Win32::UI::WindowsAndMessaging::GetSystemMetrics;
use windows_sys::Win32::UI::WindowsAndMessaging::SM_REMOTESESSION;

/// `RDP-Tcp#3` or `Console`, and the device's name.
pub(super) const DESKTOP_VARIABLES: &[&str] = &["SESSIONNAME", "CLIENTNAME"];

/// Processes that are looked at.
const MOST_PROCESSES: usize = 1 << 16;
/// Wrappers between the browser and this process.
const MOST_WRAPPERS: usize = 4;

/// A process of the list.
struct Process {
    parent: u32,
    program: String,
}

pub(super) fn session_type() -> &'static str {
    // SAFETY: reads a number of the session.
    if unsafe { GetSystemMetrics(SM_REMOTESESSION) } == 0 { "local" } else { "rdp" }
}

/// The process that has started this one, or the shell that did: browsers start native hosts through `cmd.exe`. 0 if it has gone.
pub(super) fn browser() -> u32 {
    browser_of(std::process::id(), &processes())
}

fn browser_of(own: u32, processes: &BTreeMap<u32, Process>) -> u32 {
    let mut process = own;
    for _ in 0..MOST_WRAPPERS {
        let Some(parent) = processes.get(&process).map(|process| process.parent) else { return 0 };
        match processes.get(&parent) {
            Some(found) if found.program.eq_ignore_ascii_case("cmd.exe") => process = parent,
            Some(_) => return parent,
            None => return 0,
        }
    }
    0
}

fn processes() -> BTreeMap<u32, Process> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_between_browser_and_bridge_is_passed_over() {
        let check = |list: &[(u32, u32, &str)], expected| {
            let process = |(id, parent, program): &(u32, u32, &str)| {
                (*id, Process { parent: *parent, program: (*program).to_owned() })
            };
            assert_eq!(browser_of(9, &list.iter().map(process).collect()), expected);
        };
        check(&[(9, 5, "offstage-bridge.exe"), (5, 2, "chrome.exe"), (2, 1, "explorer.exe")], 5);
        check(&[(9, 5, "offstage-bridge.exe"), (5, 2, "CMD.EXE"), (2, 1, "msedge.exe")], 2);
        check(&[(9, 5, "offstage-bridge.exe")], 0);
        check(&[(9, 5, "cmd.exe"), (5, 9, "cmd.exe")], 0);
        check(&[], 0);
    }

    #[test]
    fn this_process_is_in_the_list() {
        assert!(processes().contains_key(&std::process::id()));
    }
}
