//! The client's programs as Windows starts them.

use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use offstage_client::channel::Listener;

use crate::until;

/// Ends with its value.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Whether it was content with what it did.
    fn ended(&mut self) -> bool {
        let mut status = None;
        until("the program ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "current_thread")]
async fn without_a_console_the_log_says_why_the_client_has_ended() {
    let (profile, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let pipe = PathBuf::from(format!(r"\\.\pipe\offstage-test-{}-program", std::process::id()));
    // Stands for the client that runs already.
    let first = Listener::bind(&pipe).unwrap();
    let mut second = Running::start(
        Command::new(env!("CARGO_BIN_EXE_offstage-client-background"))
            .args(["run", "--windows=none", "--engine", "no-such-engine", "--stage-dir"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/stage"))
            .arg("--profile")
            .arg(profile.path())
            .env("OFFSTAGE_SOCKET", &pipe)
            .env("OFFSTAGE_LOG_DIR", logs.path())
            .env("OFFSTAGE_METRICS_DIR", ""),
    );
    assert!(!second.ended());
    let mut told = String::new();
    for file in std::fs::read_dir(logs.path()).unwrap() {
        write!(told, "{}", std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
    }
    assert!(told.contains("OFS-1204"), "{told}");
    drop(first);
}

#[test]
fn a_person_does_not_move_the_machines_settings_by_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("Offstage")).unwrap();
    std::fs::write(folder.path().join(r"Offstage\client.json"), "{").unwrap();
    // Into a file: a desktop that wine starts for it would hold a pipe open.
    let output = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_offstage-client"));
    command.args(["doctor", "--json", "--engine", "no-such-engine"]).stdout(output.reopen().unwrap());
    for name in ["ProgramFiles", "ProgramW6432", "ProgramFiles(x86)"] {
        command.env(name, folder.path());
    }
    command.env("APPDATA", folder.path().join("nobody"));
    // Other things may be wrong with this machine.
    Running::start(&mut command).ended();
    let told = std::fs::read_to_string(output.path()).unwrap();
    assert!(told.contains(r"none in C:\\Program Files\\Offstage\\client.json, none of yours"), "{told}");
}
