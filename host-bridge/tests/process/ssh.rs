//! The client's socket through ssh, as docs/pairing.md describes it. Needs openssh-server; the server is this user's own.

use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::host::Client;
use crate::host::Host;
use crate::host::hello_frame;
use crate::host::read_exactly;

/// Ends with its value.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn key(path: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
    assert!(made.expect("ssh-keygen of openssh-client").success());
}

/// A server on a port of the loopback, for who has the key `own` in `folder`.
fn server(folder: &Path) -> (Program, u16) {
    if rustix::process::geteuid().is_root() {
        // Where a server that is started as root puts away its unprivileged part.
        fs::create_dir_all("/run/sshd").unwrap();
    }
    key(&folder.join("host"));
    key(&folder.join("own"));
    fs::copy(folder.join("own.pub"), folder.join("allowed")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shown = folder.display();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/allowed\nPidFile none\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nStreamLocalBindUnlink yes\n"
    );
    fs::write(folder.join("config"), config).unwrap();
    let mut child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(folder.join("config"))
        .stderr(Stdio::piped())
        .spawn()
        .expect("sshd of openssh-server");
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let listens = log.by_ref().any(|line| line.unwrap().contains("Server listening"));
    assert!(listens, "sshd has ended");
    // What it says later must not make it wait.
    std::thread::spawn(move || log.for_each(drop));
    (Program(child), port)
}

#[test]
fn a_socket_through_ssh_is_the_users_own_at_both_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, port) = server(folder.path());
    let device = folder.path().join("device.sock");
    let client = Client::listen(&device);
    let mut host = Host::start_known();
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let mut ssh = Command::new("ssh")
        .args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
        .args(["-o", "ExitOnForwardFailure=yes", "-p", &port.to_string(), "-i"])
        .arg(folder.path().join("own"))
        .arg("-R")
        .arg(format!("{}:{}", host.socket().display(), device.display()))
        .arg(format!("{}@127.0.0.1", user.trim()))
        .arg("echo up; cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(ssh.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let ssh = Program(ssh);
    assert_eq!(said, "up\n", "the forwarding is there");

    let epoch = host.wait_up();
    let mut stream = client.accept();
    let words = hello_frame("extension", epoch);
    host.send(&words);
    assert_eq!(read_exactly(&mut stream, words.len()).unwrap(), words);
    stream.write_all(&hello_frame("client", epoch)).unwrap();
    assert_eq!(host.next_frame().stream, 0);
    drop(ssh);
    drop(stream);
    assert!(host.end().success());
}
