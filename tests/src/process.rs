//! Child programs that never outlive their owner.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal};

/// Lines of standard output kept for a reader that is slow to take them; further lines wait in the pipe.
const KEPT_LINES: usize = 4096;

/// A program in a process group of its own, ended with its whole group when the value is dropped.
///
/// The group is what makes the end complete: a browser's helper processes go with it. Should this process be killed, the
/// kernel ends the program as well where `setpriv` (util-linux) is installed; its helpers then notice by themselves.
pub struct Process {
    name: String,
    child: Child,
    lines: Option<Receiver<String>>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name)
            .field("pid", &self.child.id())
            .finish_non_exhaustive()
    }
}

/// A command for `program` that dies with the thread that starts it; see [`Process`].
///
/// Start it from a thread that lives as long as the program should: the kernel's rule is about threads, not processes.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if setpriv.exists() {
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

impl Process {
    /// Starts `command`, whose standard input is empty and whose standard output can be read by [`Self::wait_line`].
    pub fn spawn(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let lines = child.stdout.take().map(|stdout| {
            let (sender, receiver) = sync_channel(KEPT_LINES);
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    // A receiver that is gone still wants the pipe emptied, so that the program is never held up by it.
                    sender.send(line).ok();
                }
            });
            receiver
        });
        Ok(Self { name: name.to_owned(), child, lines })
    }

    /// The process id; the id of its process group as well.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of standard output that starts with `prefix`, without the prefix; other lines are dropped.
    pub fn wait_line(&mut self, prefix: &str, timeout: Duration) -> Result<String> {
        let end = Instant::now() + timeout;
        let Some(lines) = &self.lines else { bail!("the output of {} is not read", self.name) };
        loop {
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(rest) = line.strip_prefix(prefix) {
                        return Ok(rest.trim().to_owned());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{} did not say {prefix:?} within {} s", self.name, timeout.as_secs())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.wait(Duration::from_secs(2))?;
                    bail!("{} ended ({status:?}) before it said {prefix:?}", self.name)
                }
            }
        }
    }

    /// Whether the program still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How the program ended, or `None` if it still runs after `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<Option<ExitStatus>> {
        let end = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Asks the program itself, not its group, to end (SIGTERM), and kills what is left of the group after `grace`.
    pub fn end(&mut self, grace: Duration) {
        if self.is_running() {
            self.signal(Signal::TERM);
            self.wait(grace).ok();
        }
        self.kill();
    }

    /// Kills the whole group at once, as a crash or the out-of-memory killer would.
    pub fn kill(&mut self) {
        if let Some(pid) = self.rustix_pid() {
            // Helpers may outlive their leader: the group is killed even if the leader has ended. Its id can't have been given
            // to somebody else as long as the leader has not been waited for or a helper is alive; so waiting comes last.
            rustix::process::kill_process_group(pid, Signal::KILL).ok();
        }
        self.child.wait().ok();
    }

    /// Sends `signal` to the program itself.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.rustix_pid() {
            rustix::process::kill_process(pid, signal).ok();
        }
    }

    fn rustix_pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// CPU seconds (user and system) that the process `pid` and all its descendants have used so far.
///
/// Read from `/proc`; processes that have ended count only if their parent has waited for them.
#[must_use]
pub fn cpu_seconds_of_tree(pid: u32) -> f64 {
    let processes = process_table();
    let mut ticks = 0;
    let mut open = vec![pid];
    while let Some(current) = open.pop() {
        ticks += processes.iter().filter(|row| row.pid == current).map(|row| row.ticks).sum::<u64>();
        open.extend(processes.iter().filter(|row| row.parent == current).map(|row| row.pid));
    }
    // Linux reports times in hundredths of a second on every platform that Offstage runs on (USER_HZ).
    #[expect(clippy::cast_precision_loss, reason = "ticks stay far below 2^52")]
    let seconds = ticks as f64 / 100.0;
    seconds
}

/// Bytes of memory that the process `pid` and all its descendants hold, shared pages divided among those who share them.
///
/// From `/proc/PID/smaps_rollup`; see proc(5), `Pss`.
#[must_use]
pub fn memory_bytes_of_tree(pid: u32) -> u64 {
    let mut pids = descendants_with(pid, "");
    pids.push(pid);
    let pss = |pid: &u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    pids.iter().filter_map(pss).sum::<u64>() * 1024
}

/// How many files and sockets a process holds open.
#[must_use]
pub fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// How many UDP sockets the process `pid` and all its descendants have.
#[must_use]
pub fn udp_sockets_of_tree(pid: u32) -> usize {
    sockets_of_tree(pid, ["/proc/net/udp", "/proc/net/udp6"], |_| true)
}

/// At how many TCP sockets the process `pid` and all its descendants listen.
#[must_use]
pub fn listening_sockets_of_tree(pid: u32) -> usize {
    // TCP_LISTEN of the kernel's net/tcp_states.h.
    sockets_of_tree(pid, ["/proc/net/tcp", "/proc/net/tcp6"], |state| state == "0A")
}

/// The kernel's tables are described in proc(5); the state is in hexadecimal.
fn sockets_of_tree(pid: u32, tables: [&str; 2], wanted: impl Fn(&str) -> bool) -> usize {
    let tables = tables.map(|path| std::fs::read_to_string(path).unwrap_or_default()).concat();
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let fits = fields.get(3).is_some_and(|state| wanted(state));
        fields.get(9).filter(|_| fits).map(|inode| format!("socket:[{inode}]"))
    };
    let sockets: Vec<String> = tables.lines().filter_map(inode).collect();
    let mut pids = descendants_with(pid, "");
    pids.push(pid);
    let folders = pids.iter().filter_map(|pid| std::fs::read_dir(format!("/proc/{pid}/fd")).ok());
    let links = folders.flatten().flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let mut found: Vec<_> = links
        .filter(|link| link.to_str().is_some_and(|link| sockets.iter().any(|socket| socket == link)))
        .collect();
    // Several processes may hold one.
    found.sort();
    found.dedup();
    found.len()
}

/// Process ids of the descendants of `pid` whose command line contains `part`.
#[must_use]
pub fn descendants_with(pid: u32, part: &str) -> Vec<u32> {
    let processes = process_table();
    let mut found = Vec::new();
    let mut open = vec![pid];
    while let Some(current) = open.pop() {
        for row in processes.iter().filter(|row| row.parent == current) {
            open.push(row.pid);
            let command_line = std::fs::read(format!("/proc/{}/cmdline", row.pid)).unwrap_or_default();
            if String::from_utf8_lossy(&command_line).replace('\0', " ").contains(part) {
                found.push(row.pid);
            }
        }
    }
    found
}

struct Row {
    pid: u32,
    parent: u32,
    ticks: u64,
}

fn process_table() -> Vec<Row> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            parse_stat(pid, &std::fs::read_to_string(entry.path().join("stat")).ok()?)
        })
        .collect()
}

/// A row of `/proc/PID/stat`; see proc(5). The second field is the name in brackets and may hold brackets and spaces itself.
fn parse_stat(pid: u32, stat: &str) -> Option<Row> {
    let after_name = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    // Counted from the state (field 3): parent is field 4, utime 14, stime 15, cutime 16, cstime 17.
    let ticks = number(11)? + number(12)? + number(13)? + number(14)?;
    Some(Row { pid, parent: u32::try_from(number(1)?).ok()?, ticks })
}

/// Kills the single process `pid`, which need not be a child of ours (a bridge that the browser started, say).
pub fn kill_pid(pid: u32) {
    signal_pid(pid, Signal::KILL);
}

/// Gives a process no time any more, or again.
pub fn freeze_pid(pid: u32, frozen: bool) {
    signal_pid(pid, if frozen { Signal::STOP } else { Signal::CONT });
}

fn signal_pid(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        rustix::process::kill_process(pid, signal).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_output_is_found_and_the_program_is_gone_after_drop() {
        let mut process = Process::spawn(
            "sh",
            command("/bin/sh").args(["-c", "sleep 600 & echo one; echo READY {}; wait"]),
        )
        .unwrap();
        assert_eq!(process.wait_line("READY", Duration::from_secs(10)).unwrap(), "{}");
        // A program that is just being loaded has no command line yet.
        let end = Instant::now() + Duration::from_secs(10);
        let mut sleeping = Vec::new();
        while sleeping.is_empty() && Instant::now() < end {
            sleeping = descendants_with(process.pid(), "sleep 600");
        }
        assert_eq!(sleeping.len(), 1);
        drop(process);
        let gone = |pid: u32| {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .ok()
                .and_then(|stat| parse_stat(pid, &stat))
                .is_none()
                || std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.is_empty())
        };
        let end = Instant::now() + Duration::from_secs(10);
        while !gone(sleeping[0]) {
            assert!(Instant::now() < end, "the helper outlived its group");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_program_that_ends_early_is_reported_with_its_status() {
        let mut process = Process::spawn("sh", command("/bin/sh").args(["-c", "exit 3"])).unwrap();
        let error = process.wait_line("READY", Duration::from_secs(10)).unwrap_err().to_string();
        assert!(error.contains("before it said \"READY\""), "{error}");
    }

    #[test]
    fn a_socket_is_counted_while_it_listens() {
        let pid = std::process::id();
        // Other tests of this process may open and close theirs.
        let counts = |wanted: &dyn Fn(usize) -> bool| {
            (0..200).any(|_| {
                std::thread::park_timeout(Duration::from_millis(10));
                wanted(listening_sockets_of_tree(pid))
            })
        };
        let sockets: Vec<_> = (0..40).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        // What is connected does not listen.
        let to = |socket: &std::net::TcpListener| {
            std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap()
        };
        let _connected: Vec<_> =
            sockets.iter().map(|socket| (to(socket), socket.accept().unwrap())).collect();
        assert!(counts(&|count| count >= 40));
        drop(sockets);
        assert!(counts(&|count| count < 40));
    }

    #[test]
    fn a_name_with_brackets_does_not_confuse_the_process_table() {
        let row =
            parse_stat(7, "7 (a) b) c) S 4 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7").unwrap();
        assert_eq!((row.parent, row.ticks), (4, 100));
    }
}
