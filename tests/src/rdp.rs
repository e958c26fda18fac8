//! A machine that people reach by RDP: xrdp with a session of Xorg's, and FreeRDP's client with the plug-in on the device's screen.
//!
//! Needs root, as a login does. All of it lives in namespaces of its own (namespaces(7)): xrdp's settings, its user, what is in /run and
//! the plug-in's folder are seen by nobody else, nothing of the machine's is changed but for two empty folders, FreeRDP's of plug-ins and
//! Chromium's of policies, and all processes end with the first of them.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use offstage_protocol::socket_path::DVC_NAME;
use serde_json::Value;

use crate::cdp::free_port;
use crate::process::{Process, command, descendants_with};
use crate::session::Elsewhere;
use crate::xvfb::xdotool;

/// Debian packages that it needs beside those of all tests, and what each is for.
pub const PACKAGES: [(&str, &str); 3] =
    [("xrdp", "a session by RDP in tests"), ("xorgxrdp", "its screen"), ("xauth", "its screen's key")];
const PROGRAMS: [&str; 5] =
    ["/usr/sbin/xrdp-sesman", "/usr/sbin/xrdp", "/usr/bin/xauth", "/usr/bin/xfreerdp", "/usr/bin/unshare"];
/// The session's user. Exists in the server's namespace only.
const USER: &str = "offstage-rdp";
/// How long anything may take to get ready on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The first number of a display that is tried.
const FIRST_DISPLAY: u16 = 60;
/// Where Debian's Chromium reads what an administrator manages. Stays, empty, as a place for a mount.
const POLICIES: &str = "/etc/chromium/policies/managed";
/// What the server's first process runs. `$1`: the folder; `$2`: the id of xrdp's own user, `$3`: of its group; `$4`: the browser's
/// policies.
const SERVER: &str = r#"
set -e
mount --bind "$1/etc" /etc/xrdp
for name in passwd group shadow; do mount --bind "$1/$name" "/etc/$name"; done
mount --bind "$1/policies" "$4"
mount -t tmpfs -o mode=755 none /run
mkdir -p /run/xrdp/sockdir
chgrp "$3" /run/xrdp /run/xrdp/sockdir
chmod 2775 /run/xrdp
chmod 3777 /run/xrdp/sockdir
/usr/sbin/xrdp-sesman -n >"$1/sesman.out" 2>&1 &
setpriv --reuid "$2" --regid "$3" --clear-groups /usr/sbin/xrdp -n >"$1/xrdp.out" 2>&1 &
wait
"#;
/// What the session runs until it is ended: what a person's desktop would.
const DESKTOP: &str =
    "#!/bin/sh\nxsetroot -solid '#204060' 2>/dev/null\nexec openbox --config-file /dev/null --sm-disable\n";
/// What the viewer's first process runs. `$1`: a folder with the plug-in; `$2`: FreeRDP's folder for plug-ins; the rest is the viewer.
const VIEWER: &str = r#"
set -e
mount --bind "$1" "$2"
shift 2
exec "$@"
"#;

/// Whether a test may start it here.
#[must_use]
pub fn is_possible() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "none", "/run"]);
    rustix::process::geteuid().is_root()
        && PROGRAMS.iter().all(|program| Path::new(program).exists())
        && probe.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The machine that the sessions run on.
#[derive(Debug)]
pub struct Server {
    process: Process,
    port: u16,
    uid: u32,
    password: String,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts xrdp on a loopback port.
    pub fn start() -> Result<Self> {
        if let Some(missing) = PROGRAMS.iter().find(|program| !Path::new(program).exists()) {
            bail!("{missing} is not installed; `cargo xtask setup` does it");
        }
        let folder = tempfile::Builder::new().prefix("offstage-rdp-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
        let (port, display) = (free_port()?, free_display()?);
        let uid = 30_000 + std::process::id() % 30_000;
        let password = password()?;
        let [xrdp_uid, xrdp_gid] = ids_of("xrdp")?;
        write_settings(folder.path(), port, display, xrdp_gid)?;
        write_user(folder.path(), uid, &password)?;
        fs::create_dir(folder.path().join("policies"))?;
        fs::create_dir_all(POLICIES).with_context(|| format!("cannot make {POLICIES}"))?;
        let mut server = command("unshare");
        server
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"])
            .args(["sh", "-c", SERVER, "sh"])
            .arg(folder.path())
            .args([xrdp_uid.to_string(), xrdp_gid.to_string()])
            .arg(POLICIES)
            .stderr(fs::File::create(folder.path().join("server.out"))?);
        let process = Process::spawn("xrdp", &mut server)?;
        let server = Self { process, port, uid, password, folder };
        let listens = || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok().map(drop));
        wait(listens).with_context(|| format!("xrdp does not listen: {}", server.logs()))?;
        Ok(server)
    }

    /// The home of the session's user.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Where it listens, on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What an administrator manages for the browser of the session, as Chromium reads it from a file.
    pub fn manage(&self, policies: &Value) -> Result<()> {
        let file = self.folder.path().join("policies/offstage.json");
        fs::write(&file, policies.to_string())?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
        Ok(())
    }

    /// How programs get into the session, which is there once somebody has connected.
    pub fn elsewhere(&self) -> Result<Elsewhere> {
        let inside = self.first_process()?;
        let [uid, home] = [self.uid.to_string(), self.home().display().to_string()];
        let mut prefix: Vec<String> =
            ["nsenter", "--target", &inside.to_string(), "--mount", "--pid", "--"].map(str::to_owned).into();
        prefix
            .extend(["setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups", "--"].map(str::to_owned));
        prefix.extend(["env".to_owned(), "-i".to_owned()]);
        prefix.extend(self.environment()?);
        prefix.push(format!("HOME={home}"));
        Ok(Elsewhere { prefix, display: self.display()?, uid: self.uid })
    }

    /// The session's display. Another may have taken the number that xrdp was to begin at.
    pub fn display(&self) -> Result<String> {
        let variables = self.environment()?;
        let display = variables.iter().find_map(|variable| variable.strip_prefix("DISPLAY="));
        Ok(display.context("the session has no display")?.to_owned())
    }

    /// Opens a dynamic virtual channel as a program of the session does, once xrdp lets it.
    pub fn open_channel(&self) -> Result<UnixStream> {
        let display = self.display()?;
        let number = display.trim_start_matches(':').split('.').next().unwrap_or_default();
        let name = format!("xrdp/sockdir/xrdpapi_{number}");
        let socket = PathBuf::from(format!("/proc/{}/root/run", self.first_process()?)).join(name);
        wait(|| Ok(open_channel(&socket).ok()))
            .with_context(|| format!("no channel by {}: {}", socket.display(), self.logs()))
    }

    /// The end of what xrdp has said.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for name in ["server.out", "sesman.out", "xrdp.out", "sesman.log", "xrdp.log"] {
            let said = fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
            let lines: Vec<&str> = said.lines().rev().take(12).collect();
            let lines: String = lines.iter().rev().fold(String::new(), |all, line| all + "\n" + line);
            // Writing to a string does not fail.
            write!(text, "\n--- {name}{lines}").ok();
        }
        text
    }

    /// The process id of the server's tree.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn first_process(&self) -> Result<u32> {
        let found = descendants_with(self.process.pid(), "sh -c").into_iter().min();
        found.context("the server has ended")
    }

    /// The variables of the session's window manager, which are those of everything that a person starts in the session.
    fn environment(&self) -> Result<Vec<String>> {
        let end = Instant::now() + START_LIMIT;
        loop {
            for pid in descendants_with(self.process.pid(), "openbox") {
                let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                let variables = String::from_utf8_lossy(&variables).into_owned();
                if variables.contains("XRDP_SOCKET_PATH=") {
                    return Ok(variables.split_terminator('\0').map(str::to_owned).collect());
                }
            }
            if Instant::now() >= end {
                bail!("no session has begun: {}", self.logs());
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

/// FreeRDP's client with the plug-in, on a screen of the device's.
#[derive(Debug)]
pub struct Viewer {
    process: Option<Process>,
    display: String,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
}

impl Viewer {
    /// The class of its window.
    pub const CLASS: &str = "xfreerdp";

    /// Connects to the server by that port, with a desktop of that size on that display; `socket` is the client's on this device,
    /// `plugin` the library.
    pub fn start(
        server: &Server,
        port: u16,
        display: &str,
        size: (u16, u16),
        plugin: &Path,
        socket: &Path,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("offstage-xfreerdp-").tempdir()?;
        let plugins = folder.path().join("plugins");
        fs::create_dir(&plugins)?;
        fs::copy(plugin, plugins.join("liboffstage-client.so"))
            .with_context(|| format!("{} is not there: `cargo xtask build` makes it", plugin.display()))?;
        let arguments = vec![
            format!("/v:127.0.0.1:{port}"),
            format!("/u:{USER}"),
            format!("/p:{}", server.password),
            "/cert:ignore".to_owned(),
            format!("/size:{}x{}", size.0, size.1),
            "/bpp:32".to_owned(),
            format!("/dvc:offstage,unix:{}", socket.display()),
        ];
        let mut viewer = Self { process: None, display: display.to_owned(), arguments, folder };
        viewer.open()?;
        Ok(viewer)
    }

    /// Connects, after it was closed, and waits for its window.
    pub fn open(&mut self) -> Result<()> {
        // A mount needs a place. It stays, empty: taking it away would end the mounts of others that are at it.
        let addins = addin_folder();
        fs::create_dir_all(&addins)?;
        let log = fs::File::options().create(true).append(true).open(self.log())?;
        let mut viewer = command("unshare");
        viewer
            .args(["--mount", "--propagation", "private", "sh", "-c", VIEWER, "sh"])
            .arg(self.folder.path().join("plugins"))
            .arg(addins)
            .arg("/usr/bin/xfreerdp")
            .args(&self.arguments)
            .env("DISPLAY", &self.display)
            .env("HOME", self.folder.path())
            .stderr(log);
        self.process = Some(Process::spawn("xfreerdp", &mut viewer)?);
        self.window().map(drop)
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// What it has said.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("xfreerdp.log")
    }

    /// Ends it as a lost connection would.
    pub fn close(&mut self) {
        self.process = None;
    }

    /// Its window, once it is on the screen.
    pub fn window(&self) -> Result<String> {
        let found = || {
            let found = xdotool(&self.display, &["search", "--onlyvisible", "--class", Self::CLASS]);
            Ok(found.ok().and_then(|found| found.lines().last().map(str::to_owned)))
        };
        wait(found).with_context(|| {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            format!("xfreerdp shows no window: {log}")
        })
    }
}

/// Where Debian's FreeRDP 2 looks for plug-ins.
fn addin_folder() -> PathBuf {
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    Path::new("/usr/lib").join(triplet).join("freerdp2")
}

fn wait<T>(mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + START_LIMIT;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("not within {} s", START_LIMIT.as_secs());
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// What a program of the session says to xrdp's channel server, and what that answers.
fn open_channel(socket: &Path) -> Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let length = u32::try_from(DVC_NAME.len())?;
    let mut request = Vec::new();
    for number in [length + 16, 0, length] {
        request.extend(number.to_le_bytes());
    }
    request.extend(DVC_NAME.as_bytes());
    request.extend(1_u32.to_le_bytes());
    stream.write_all(&request)?;
    let mut status = [0; 4];
    stream.read_exact(&mut status)?;
    match u32::from_le_bytes(status) {
        0 => Ok(stream),
        status => bail!("the channel is refused: {status:#x}"),
    }
}

fn free_display() -> Result<u16> {
    let is_free = |number: &u16| {
        !Path::new(&format!("/tmp/.X11-unix/X{number}")).exists()
            && !Path::new(&format!("/tmp/.X{number}-lock")).exists()
    };
    // Those that start at the same time begin at different numbers.
    static STARTED: AtomicU16 = AtomicU16::new(0);
    let own = STARTED.fetch_add(1, Ordering::Relaxed) % 100 * 10;
    let first = FIRST_DISPLAY + u16::try_from(std::process::id() % 200)? + own;
    (first..first + 200).find(is_free).context("no display's number is free")
}

fn password() -> Result<String> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}

/// User and group of a name in /etc/passwd.
fn ids_of(name: &str) -> Result<[u32; 2]> {
    let users = fs::read_to_string("/etc/passwd")?;
    let row = users.lines().find(|line| line.split(':').next() == Some(name));
    let fields: Vec<&str> = row.with_context(|| format!("there is no user {name}"))?.split(':').collect();
    let number = |index: usize| -> Result<u32> {
        Ok(fields.get(index).context("a broken line in /etc/passwd")?.parse()?)
    };
    Ok([number(2)?, number(3)?])
}

/// xrdp's settings with ports, a display and files of our own, and keys that its user may read.
fn write_settings(folder: &Path, port: u16, display: u16, group: u32) -> Result<()> {
    let etc = folder.join("etc");
    fs::create_dir(&etc)?;
    let copied = Command::new("cp").arg("-rT").arg("/etc/xrdp").arg(&etc).status()?;
    if !copied.success() {
        bail!("cannot copy /etc/xrdp");
    }
    let log = |name: &str| folder.join(name).display().to_string();
    for name in ["sesman.log", "xrdp.log"] {
        fs::write(folder.join(name), "")?;
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o666))?;
    }
    let [port, sesman_port, display] = [port.to_string(), free_port()?.to_string(), display.to_string()];
    let [xrdp_log, sesman_log] = [log("xrdp.log"), log("sesman.log")];
    let local = format!("tcp://127.0.0.1:{port}");
    let keys = ["cert.pem", "key.pem"].map(|name| etc.join(name));
    for key in &keys {
        // Debian has links to a key there that belongs to the machine.
        fs::remove_file(key).ok();
    }
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-out",
        ])
        .arg(&keys[0])
        .arg("-keyout")
        .arg(&keys[1]);
    if !openssl.stderr(Stdio::null()).status().context("is openssl installed?")?.success() {
        bail!("openssl makes no key");
    }
    for key in keys.iter().chain([&etc.join("rsakeys.ini")]) {
        chown(key, Some(0), Some(group))?;
        fs::set_permissions(key, fs::Permissions::from_mode(0o640))?;
    }
    change(
        &etc.join("xrdp.ini"),
        &[
            ("Globals", "port", &local),
            ("Globals", "autorun", "Xorg"),
            // As much as a thin line has it; by itself it grows to megabytes on loopback, where none is ever lost.
            ("Globals", "tcp_send_buffer_bytes", "131072"),
            ("Logging", "LogFile", &xrdp_log),
            ("Logging", "EnableSyslog", "false"),
        ],
    )?;
    change(
        &etc.join("sesman.ini"),
        &[
            ("Globals", "ListenPort", &sesman_port),
            ("Sessions", "X11DisplayOffset", &display),
            ("Chansrv", "EnableFuseMount", "false"),
            ("Logging", "LogFile", &sesman_log),
            ("Logging", "EnableSyslog", "false"),
            ("ChansrvLogging", "EnableSyslog", "false"),
        ],
    )
}

/// Sets values of sections of a file of settings.
fn change(path: &Path, values: &[(&str, &str, &str)]) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut changed = String::new();
    let mut section = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            changed += line;
            changed.push('\n');
            for (_, key, value) in values.iter().filter(|(of, ..)| *of == name) {
                writeln!(changed, "{key}={value}").ok();
            }
            continue;
        }
        let key = line.split('=').next().unwrap_or_default().trim();
        if !values.iter().any(|(of, name, _)| *of == section && *name == key) {
            changed += line;
            changed.push('\n');
        }
    }
    Ok(fs::write(path, changed)?)
}

/// A user in copies of the machine's files, and a home with a session.
fn write_user(folder: &Path, uid: u32, password: &str) -> Result<()> {
    let home = folder.join("home");
    fs::create_dir(&home)?;
    let start = home.join("startwm.sh");
    fs::write(&start, DESKTOP)?;
    fs::set_permissions(&start, fs::Permissions::from_mode(0o755))?;
    for path in [&home, &start] {
        chown(path, Some(uid), Some(uid))?;
    }
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755))?;
    let mut hash = Command::new("openssl");
    let hash = hash.args(["passwd", "-6", password]).output().context("is openssl installed?")?;
    let hash = String::from_utf8(hash.stdout)?;
    let home = home.display();
    for (name, line, mode) in [
        ("passwd", format!("{USER}:x:{uid}:{uid}::{home}:/bin/bash\n"), 0o644),
        ("group", format!("{USER}:x:{uid}:\n"), 0o644),
        ("shadow", format!("{USER}:{}:19000:0:99999:7:::\n", hash.trim()), 0o600),
    ] {
        let text = fs::read_to_string(Path::new("/etc").join(name))?;
        let copy = folder.join(name);
        fs::write(&copy, "")?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(mode))?;
        fs::write(&copy, text + &line)?;
    }
    Ok(())
}
