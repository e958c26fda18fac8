//! Offstage's client behind IronRDP's own pipe proxy, and a session in this process at the server's end of the channel.

use std::path::Path;
use std::time::Instant;

use offstage_ironrdp_test::drdynvc::Event;
use offstage_ironrdp_test::ironrdp_client::IronRdp;
use offstage_ironrdp_test::rdp_server::{LIMIT, RdpServer, Session};
use offstage_protocol::frame::PLAYER_STREAM;
use offstage_protocol::message::{FromDevice, FromDeviceKind, OpenPlayer, ToDevice, ToDeviceKind};
use offstage_protocol::prost::Message as _;
use offstage_protocol::{Monotonic, Mux, MuxConfig, MuxEvent};
use offstage_tests::process::{Process, command};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_serves_a_session_through_the_proxy_and_so_does_the_next() {
    let folder = tempfile::Builder::new().prefix("offstage-ironrdp-").tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let server = RdpServer::listen().await.unwrap();
    let mut viewer = IronRdp::start(server.port().unwrap(), server.certificate().clone(), &pipe);
    let mut session = tokio::select! {
        session = server.accept() => session.unwrap(),
        ended = viewer.ended() => panic!("IronRDP has ended: {ended:?}"),
    };
    let mut client = client(&folder, &pipe);
    let channel = session.opened().await.unwrap();
    let mut first = End::new();
    first.is_greeted(&mut session, channel).await;
    first.is_served(&mut session, channel, 1).await;

    // The proxy listens again by itself, and the channel stays: only what is said in it begins anew. What the session sends before the proxy
    // knows that a client has gone is lost, and what the proxy holds then makes no sense to the next client. So the last that is said
    // is something that has been answered, and then the next client's hello comes first.
    client.end(LIMIT);
    while !matches!(first.hear(&mut session, channel).await, MuxEvent::Closed { .. }) {}
    let _client = self::client(&folder, &pipe);
    let mut second = End::new();
    second.is_greeted(&mut session, channel).await;
    second.is_served(&mut session, channel, 1).await;
    // Before the client ends: the proxy would listen again in a folder that is being removed.
    viewer.end().await;
}

/// The session's end of the protocol.
struct End {
    mux: Mux,
    begin: Instant,
}

impl End {
    fn new() -> Self {
        let config = MuxConfig::of_component("extension", "0.1.0");
        Self { mux: Mux::new(Monotonic(0), config), begin: Instant::now() }
    }

    /// The client says hello.
    async fn is_greeted(&mut self, session: &mut Session, channel: u32) {
        let event = self.hear(session, channel).await;
        let MuxEvent::Connected { hello } = event else { panic!("a hello was to come, not {event:?}") };
        assert_eq!(hello.component, "client");
    }

    /// Sends all that there is to send and opens a player, which fails as there is no engine. Then nothing is on its way to the client.
    async fn is_served(&mut self, session: &mut Session, channel: u32, player: u32) {
        let begin = Instant::now();
        let open = OpenPlayer { player, ..OpenPlayer::default() };
        let open = ToDevice { kind: Some(ToDeviceKind::OpenPlayer(open)) };
        self.mux.send(PLAYER_STREAM, open.encode_to_vec()).unwrap();
        while let Some(bytes) = self.mux.poll_transmit(65_536) {
            session.send(channel, bytes).await.unwrap();
        }
        loop {
            let event = self.hear(session, channel).await;
            let MuxEvent::Message { bytes, .. } = event else {
                panic!("a message was to come, not {event:?}")
            };
            let told = FromDevice::decode(bytes.as_slice()).unwrap();
            if let Some(FromDeviceKind::PlayerFailed(failed)) = told.kind {
                assert_eq!(failed.player, player);
                println!("a player is answered after {:?}", begin.elapsed());
                return;
            }
        }
    }

    /// What the client tells next. Sends nothing.
    async fn hear(&mut self, session: &mut Session, channel: u32) -> MuxEvent {
        loop {
            if let Some(event) = self.mux.poll_event() {
                return event;
            }
            let event = session.next().await.unwrap();
            let Event::Data(from, bytes) = event else { panic!("bytes were to come, not {event:?}") };
            assert_eq!(from, channel);
            let now = self.now();
            self.mux.handle_bytes(now, 0, &bytes).unwrap();
        }
    }

    fn now(&self) -> Monotonic {
        Monotonic(self.begin.elapsed().as_micros().try_into().unwrap())
    }
}

/// The real client, without an engine and without a screen.
fn client(folder: &TempDir, pipe: &Path) -> Process {
    let program = std::env::var_os("OFFSTAGE_CLIENT")
        .expect("OFFSTAGE_CLIENT is not set: `cargo xtask ironrdp` runs this");
    let mut client = command(program);
    client.args(["run", "--windows=none", "--engine=/nonexistent", "--connect"]).arg(pipe);
    client.arg("--socket").arg(folder.path().join("run/client.sock"));
    client.arg("--profile").arg(folder.path().join("profile"));
    // No engine will load it.
    std::fs::write(folder.path().join("engine.html"), "").unwrap();
    client.arg("--stage-dir").arg(folder.path());
    client.env("XDG_STATE_HOME", folder.path().join("state"));
    client.env("OFFSTAGE_LOG_DIR", "").env("OFFSTAGE_METRICS_DIR", "").env("OFFSTAGE_LOG", "error");
    client.env("HOME", folder.path()).env_remove("XDG_CONFIG_HOME");
    for variable in ["OFFSTAGE_LISTEN", "OFFSTAGE_ENGINE", "DISPLAY", "WAYLAND_DISPLAY"] {
        client.env_remove(variable);
    }
    Process::spawn("offstage-client", &mut client).unwrap()
}
