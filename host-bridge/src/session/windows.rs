//! What Windows says of the session and of the processes in it.

#![expect(unsafe_code, reason = "calls into Windows")]

use std::collections::BTreeMap;

use offstage_support::win32::process;
use offstage_support::win32::process::Process;
use windows_sys::Win32::UI::WindowsAndMessaging::GetSystemMetrics;
use windows_sys::Win32::UI::WindowsAndMessaging::SM_REMOTESESSION;

/// `RDP-Tcp#3` or `Console`, and the device's name.
pub(super) const DESKTOP_VARIABLES: &[&str] = &["SESSIONNAME", "CLIENTNAME"];

/// Wrappers between the browser and this process.
const MOST_WRAPPERS: usize = 4;

pub(super) fn session_type() -> &'static str {
    // SAFETY: reads a number of the session.
    if unsafe { GetSystemMetrics(SM_REMOTESESSION) } == 0 { "local" } else { "rdp" }
}

/// The process that has started this one, or the shell that did: browsers start native hosts through `cmd.exe`. 0 if it has gone.
pub(super) fn browser() -> u32 {
    browser_of(std::process::id(), &process::all())
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
}
