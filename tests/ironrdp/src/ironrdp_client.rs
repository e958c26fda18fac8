//! An IronRDP client whose pipe proxy lends the dynamic channel to whoever connects to a socket.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use ironrdp_connector::sspi::generator::NetworkRequest;
use ironrdp_connector::{
    ClientConnector, Config, ConnectionResult, ConnectorResult, Credentials, DesktopSize, ServerName,
    general_err,
};
use ironrdp_dvc::DrdynvcClient;
use ironrdp_dvc_pipe_proxy::DvcNamedPipeProxy;
use ironrdp_pdu::rdp::capability_sets::MajorPlatformType;
use ironrdp_pdu::rdp::client_info::{PerformanceFlags, TimezoneInfo};
use ironrdp_pdu::{Action, gcc, pdu_other_err};
use ironrdp_svc::{SvcMessage, client_encode_svc_messages};
use ironrdp_tokio::{
    FramedWrite as _, NetworkClient, TokioFramed, connect_begin, connect_finalize, mark_as_upgraded,
};
use offstage_protocol::socket_path::DVC_NAME;
use rustls::pki_types::{CertificateDer, ServerName as TlsName};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::drdynvc::payload;

/// Messages of the proxy's that wait for the connection: more than the client's credit lets come at once.
const WAITING: usize = 1024;

type Framed = TokioFramed<TlsStream<TcpStream>>;

/// A connection of the client's; ended when dropped.
pub struct IronRdp {
    task: JoinHandle<Result<()>>,
}

impl IronRdp {
    /// Connects to a port of the loopback, as soon as somebody lets it in. `pipe` is where the proxy listens.
    #[must_use]
    pub fn start(port: u16, certificate: CertificateDer<'static>, pipe: &Path) -> Self {
        let pipe = pipe.display().to_string();
        Self { task: tokio::spawn(async move { run(port, certificate, &pipe).await }) }
    }

    /// Why it has ended.
    pub async fn ended(&mut self) -> Result<()> {
        (&mut self.task).await?
    }

    /// Ends it, and waits until its proxy has gone.
    pub async fn end(mut self) {
        self.task.abort();
        // That it was ended is no news.
        (&mut self.task).await.ok();
    }
}

impl Drop for IronRdp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(port: u16, certificate: CertificateDer<'static>, pipe: &str) -> Result<()> {
    let (teller, queue) = channel(WAITING);
    // Called by the proxy's own thread, which must not wait.
    let proxy = DvcNamedPipeProxy::new(DVC_NAME, pipe, move |_, messages| {
        teller.try_send(messages).map_err(|_| pdu_other_err!("more has come than may wait"))
    });
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    let mut connector = ClientConnector::new(config(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .with_static_channel(DrdynvcClient::new().with_dynamic_channel(proxy));
    let mut framed = TokioFramed::new(stream);
    let upgrade = connect_begin(&mut framed, &mut connector).await?;
    let mut trusted = rustls::RootCertStore::empty();
    trusted.add(certificate)?;
    let tls = rustls::ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    let stream = TlsConnector::from(Arc::new(tls))
        .connect(TlsName::try_from("localhost")?, framed.into_inner_no_leftover())
        .await?;
    let mut framed = TokioFramed::new(stream);
    let upgraded = mark_as_upgraded(upgrade, &mut connector);
    let name = ServerName::new("localhost");
    let connected =
        connect_finalize(upgraded, connector, &mut framed, &mut NoNetwork, name, Vec::new(), None).await?;
    carry(framed, connected, queue).await
}

async fn carry(
    mut framed: Framed,
    mut connected: ConnectionResult,
    mut queue: Receiver<Vec<SvcMessage>>,
) -> Result<()> {
    let channels = &mut connected.static_channels;
    let carrier = channels.get_channel_id_by_type::<DrdynvcClient>().context("no dynamic channels")?;
    let drdynvc = channels.get_by_type_mut::<DrdynvcClient>().context("no dynamic channels")?;
    loop {
        let messages = tokio::select! {
            read = framed.read_pdu() => {
                let (action, frame) = read?;
                if action == Action::FastPath {
                    continue;
                }
                let Some(bytes) = payload(&frame, carrier)? else { continue };
                drdynvc.process(&bytes).map_err(|error| anyhow!("{error}"))?
            }
            messages = queue.recv() => messages.context("the proxy has ended")?,
        };
        let bytes = client_encode_svc_messages(messages, carrier, connected.user_channel_id)?;
        framed.write_all(&bytes).await?;
    }
}

/// For logins by Kerberos; there is none.
struct NoNetwork;

impl NetworkClient for NoNetwork {
    async fn send(&mut self, _: &NetworkRequest) -> ConnectorResult<Vec<u8>> {
        Err(general_err!("there is no login"))
    }
}

fn config() -> Config {
    Config {
        desktop_size: DesktopSize { width: 640, height: 480 },
        desktop_scale_factor: 0,
        enable_tls: true,
        enable_credssp: false,
        credentials: Credentials::UsernamePassword {
            username: "nobody".to_owned(),
            password: "none".to_owned(),
        },
        domain: None,
        client_build: 0,
        client_name: "offstage".to_owned(),
        keyboard_type: gcc::KeyboardType::IbmEnhanced,
        keyboard_subtype: 0,
        keyboard_functional_keys_count: 12,
        keyboard_layout: 0,
        ime_file_name: String::new(),
        bitmap: None,
        dig_product_id: String::new(),
        client_dir: String::new(),
        alternate_shell: String::new(),
        work_dir: String::new(),
        platform: MajorPlatformType::UNIX,
        hardware_id: None,
        request_data: None,
        autologon: true,
        enable_audio_playback: false,
        performance_flags: PerformanceFlags::empty(),
        license_cache: None,
        timezone_info: TimezoneInfo::default(),
        compression_type: None,
        enable_server_pointer: false,
        pointer_software_rendering: false,
        multitransport_flags: None,
    }
}
