//! Programs of other people that calls go through or end at: Debian's packages, on loopback, on ports that are free.

use std::fs::File;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, command};

const PATIENCE: Duration = Duration::from_secs(40);
/// Ports for media: first and last of each service's own.
const SPAN: u16 = 200;

/// The Debian packages, and what each is for.
pub const PACKAGES: [(&str, &str); 7] = [
    ("janus", "a conference server"),
    ("coturn", "a TURN server"),
    ("kamailio", "a SIP server"),
    ("kamailio-websocket-modules", "its connections from pages"),
    ("rtpengine-daemon", "its bridge between browsers and telephones"),
    ("baresip-core", "a telephone"),
    ("python3-aiortc", "an end of calls that measures what it hears"),
];

/// A program, or several that belong together, and their files.
#[derive(Debug)]
pub struct Service {
    /// What pages or other programs talk to.
    pub port: u16,
    folder: TempDir,
    processes: Vec<Process>,
    /// What the telephone tells of its call.
    events: Option<TcpStream>,
}

impl Service {
    fn new(port: u16) -> Result<Self> {
        Ok(Self {
            port,
            folder: TempDir::with_prefix("offstage-service-")?,
            processes: Vec::new(),
            events: None,
        })
    }

    /// The files of the programs; gone with the value.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.folder.path().join(name), text)?)
    }

    /// Starts a program in the folder; what it prints is kept there, and said when it ends too soon.
    fn start(&mut self, program: &str, arguments: &[&str]) -> Result<()> {
        let log = File::create(self.folder.path().join(program).with_extension("log"))?;
        // Line by line, both outputs as one.
        let mut start = command("sh");
        start
            .args(["-c", "exec stdbuf -oL \"$0\" \"$@\" >&2", program])
            .args(arguments)
            .current_dir(self.folder.path())
            .stderr(log);
        let started = Process::spawn(program, &mut start)
            .with_context(|| format!("{program} is missing? `cargo xtask setup` installs it"))?;
        self.processes.push(started);
        Ok(())
    }

    /// Waits until a TCP port is open.
    fn wait_open(&mut self, port: u16) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > end || self.processes.iter_mut().any(|process| !process.is_running()) {
                bail!("a service does not answer on port {port}: {}", self.said());
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The WAV file in which the telephone has written down what it heard, once the call is over.
    pub fn heard(&self) -> Result<Vec<u8>> {
        let end = Instant::now() + PATIENCE;
        loop {
            let files = std::fs::read_dir(self.folder.path())?.flatten().map(|file| file.path());
            let sound = files
                .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
                .filter_map(|path| std::fs::read(path).ok());
            // The header has the length when the file is complete.
            let complete = |file: &Vec<u8>| {
                file.get(40..44).is_some_and(|b| {
                    u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize + 44 == file.len()
                        && file.len() > 44
                })
            };
            if let Some(file) = sound.filter(complete).last() {
                return Ok(file);
            }
            ensure!(Instant::now() < end, "the telephone has written down nothing: {}", self.said());
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// Waits until the telephone has been told these keys of the dial.
    pub fn wait_keys(&mut self, keys: &str) -> Result<()> {
        let Some(events) = &mut self.events else { bail!("it is no telephone") };
        events.set_read_timeout(Some(PATIENCE))?;
        let (mut told, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let count = events.read(&mut piece).context("the telephone tells of no more keys")?;
            ensure!(count > 0, "the telephone is gone");
            told.extend_from_slice(piece.get(..count).unwrap_or_default());
            // Netstrings of JSON: {"event":true,"type":"CALL_DTMF_START",…,"param":"1"}
            let text = String::from_utf8_lossy(&told);
            let parts = text.split("CALL_DTMF_START").skip(1);
            let heard: String =
                parts.filter_map(|part| part.split_once("\"param\":\"")?.1.chars().next()).collect();
            if heard == keys {
                return Ok(());
            }
        }
    }

    /// The ends of what the programs have printed.
    fn said(&self) -> String {
        let files = std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        let logs = files.filter(|file| file.path().extension().is_some_and(|kind| kind == "log"));
        logs.filter_map(|log| std::fs::read_to_string(log.path()).ok())
            .map(|text| text.lines().rev().take(8).collect::<Vec<_>>().join("\n"))
            .collect()
    }
}

/// A port that is free for TCP and UDP and is likely to be so in a moment.
fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        if port < u16::MAX - SPAN && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port")
}

/// Janus with its video room, room 1; WebSocket.
pub fn janus() -> Result<Service> {
    let mut janus = Service::new(free_port()?)?;
    let (folder, library) =
        (janus.folder().display().to_string(), Path::new("/usr/lib/x86_64-linux-gnu/janus"));
    for (kind, file) in [("plugins", "libjanus_videoroom.so"), ("transports", "libjanus_websockets.so")] {
        std::fs::create_dir(janus.folder().join(kind))?;
        std::os::unix::fs::symlink(library.join(kind).join(file), janus.folder().join(kind).join(file))?;
    }
    janus.write(
        "janus.jcfg",
        &format!(
            "general: {{ configs_folder = \"{folder}\"; plugins_folder = \"{folder}/plugins\"; \
             transports_folder = \"{folder}/transports\"; events_folder = \"{folder}\"; loggers_folder = \"{folder}\"; \
             debug_level = 3 }}\nnat: {{ ice_enforce_list = \"127.0.0.1\"; ignore_unreachable_ice_server = true }}\n\
             media: {{ rtp_port_range = \"20000-40000\" }}\n"
        ),
    )?;
    janus.write(
        "janus.plugin.videoroom.jcfg",
        "room-1: { description = \"calls\"; publishers = 6; audiocodec = \"opus\"; videocodec = \"vp8\"; fir_freq = 1 }\n",
    )?;
    let port = janus.port;
    janus.write(
        "janus.transport.websockets.jcfg",
        &format!("general: {{ ws = true; ws_port = {port}; ws_ip = \"127.0.0.1\" }}\n"),
    )?;
    janus.start("janus", &["--configs-folder", &folder])?;
    janus.wait_open(port)?;
    Ok(janus)
}

/// A TURN server; user `person`, password `secret`.
pub fn turn() -> Result<Service> {
    let mut turn = Service::new(free_port()?)?;
    let (port, least) = (turn.port, free_port()?);
    let range = [format!("--min-port={least}"), format!("--max-port={}", least + SPAN)];
    let port_argument = port.to_string();
    let arguments = [
        "-n",
        "--no-cli",
        "--listening-ip",
        "127.0.0.1",
        "--relay-ip",
        "127.0.0.1",
        "--listening-port",
        &port_argument,
        "--user",
        "person:secret",
        "--lt-cred-mech",
        "--realm",
        "offstage.test",
        "--allow-loopback-peers",
        "--no-tls",
        "--no-dtls",
        "--log-file",
        "stdout",
        "--pidfile",
        "pid",
        "--db",
        "users.db",
        &range[0],
        &range[1],
    ];
    turn.start("turnserver", &arguments)?;
    turn.wait_open(port)?;
    Ok(turn)
}

/// A SIP server for pages, and a telephone behind it, `sip:phone@offstage.test`, which answers, sounds 600 Hz and writes down what it
/// hears in `heard.wav`.
pub fn telephone() -> Result<Service> {
    let mut sip = Service::new(free_port()?)?;
    let (web, udp, media, phone) = (sip.port, free_port()?, free_port()?, free_port()?);
    let ports = [format!("--port-min={}", media + 1), format!("--port-max={}", media + SPAN)];
    let control = format!("--listen-ng=127.0.0.1:{media}");
    sip.start(
        "rtpengine",
        &[
            "--foreground",
            "--log-stderr",
            "--log-level=6",
            "--table=-1",
            "--interface=127.0.0.1",
            &control,
            "--pidfile=rtpengine.pid",
            &ports[0],
            &ports[1],
        ],
    )?;
    sip.write(
        "kamailio.cfg",
        &include_str!("../calls/kamailio.cfg")
            .replace("WEB_PORT", &web.to_string())
            .replace("UDP_PORT", &udp.to_string())
            .replace("MEDIA_PORT", &media.to_string())
            .replace("PHONE_PORT", &phone.to_string()),
    )?;
    sip.start("kamailio", &["-DD", "-E", "-f", "kamailio.cfg", "-Y", ".", "-m", "32", "-M", "4"])?;
    sip.wait_open(web)?;
    sip.write(
        "accounts",
        "<sip:phone@127.0.0.1>;regint=0;answermode=auto;audio_codecs=pcma,pcmu;ptime=20\n",
    )?;
    sip.write("contacts", "")?;
    sip.write(
        "config",
        &format!(
            "sip_listen 127.0.0.1:{phone}\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule ausine.so\n\
             module aubridge.so\nmodule sndfile.so\nsnd_path .\nmodule_app ctrl_tcp.so\nctrl_tcp_listen 127.0.0.1:{}\nmodule uuid.so\nmodule_app account.so\nmodule_app menu.so\n\
             audio_source ausine,600\naudio_player aubridge,sink\naudio_alert aubridge,alert\nausrc_srate 48000\nausrc_channels 2\n\
             auplay_srate 8000\nrtp_ports {}-{}\nnet_interface 127.0.0.1\n",
            phone + 3,
            phone + 4,
            phone + SPAN
        ),
    )?;
    sip.start("baresip", &["-f", ".", "-v", "-s"])?;
    sip.wait_open(phone + 3)?;
    sip.events = Some(TcpStream::connect(("127.0.0.1", phone + 3))?);
    Ok(sip)
}

/// An end made with aiortc: tests/calls/peer.py.
#[derive(Debug)]
pub struct Peer {
    process: Process,
    /// Its description, with its candidates.
    pub answer: Value,
}

impl Peer {
    /// Takes an offer that has all candidates.
    pub fn start(offer: &Value) -> Result<Self> {
        // Debian's Python, which has Debian's modules.
        let mut start: Command = command("/usr/bin/python3");
        start.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("calls/peer.py")).arg(offer.to_string());
        let mut process = Process::spawn("aiortc", &mut start)?;
        let answer = process
            .wait_line("", PATIENCE)
            .context("python3-aiortc is missing? `cargo xtask setup` installs it")?;
        Ok(Self { process, answer: serde_json::from_str(&answer)? })
    }

    /// Waits until what it receives is right; answers what it was.
    pub fn wait_for(&mut self, is_right: impl Fn(&Value) -> bool) -> Result<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let got: Value = serde_json::from_str(&self.process.wait_line("", PATIENCE)?)?;
            if is_right(&got) {
                return Ok(got);
            }
            ensure!(Instant::now() < end, "aiortc receives {got}");
        }
    }
}
