//! An RDP server without a desktop: TLS, no login, and the static channel of the dynamic ones.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use ironrdp_acceptor::{Acceptor, BeginResult, DesktopSize, accept_begin, accept_finalize};
use ironrdp_dvc::{DvcMessage, encode_dvc_messages};
use ironrdp_pdu::Action;
use ironrdp_pdu::nego::SecurityProtocol;
use ironrdp_pdu::rdp::capability_sets::{
    Bitmap, BitmapDrawingFlags, CapabilitySet, General, GeneralExtraFlags, Input, InputFlags, Order,
    OrderFlags, OrderSupportExFlags, Pointer, VirtualChannel, VirtualChannelFlags,
};
use ironrdp_svc::{StaticChannelSet, SvcMessage, server_encode_svc_messages};
use ironrdp_tokio::{FramedWrite as _, TokioFramed, split_tokio_framed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::drdynvc::{Drdynvc, Event, FLAGS, Message, payload};

/// How long anything may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);
/// The desktop that is never drawn.
const SIZE: DesktopSize = DesktopSize { width: 640, height: 480 };
/// Events that nobody has asked for yet: more than all that any test lets come at once.
const EVENTS: usize = 1 << 17;
/// Messages that wait for the connection.
const OUTGOING: usize = 8;

type Stream = TlsStream<TcpStream>;

/// A listener on a loopback port.
pub struct RdpServer {
    listener: TcpListener,
    tls: TlsAcceptor,
    certificate: CertificateDer<'static>,
}

impl RdpServer {
    /// Listens, with a certificate of its own for `localhost`.
    pub async fn listen() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self { listener, tls: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// What a client has to trust.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The next client, once it takes dynamic channels.
    pub async fn accept(&self) -> Result<Session> {
        timeout(LIMIT, self.connect()).await.context("no client has connected in time")?
    }

    async fn connect(&self) -> Result<Session> {
        let (stream, _) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        let (teller, events) = channel(EVENTS);
        let mut acceptor = Acceptor::new(SecurityProtocol::SSL, SIZE, capabilities(), None);
        acceptor.attach_static_channel(Drdynvc::new(teller.clone()));
        let begun = accept_begin(TokioFramed::new(stream), &mut acceptor).await?;
        let BeginResult::ShouldUpgrade(stream) = begun else { bail!("the client asks for no TLS") };
        let stream = self.tls.accept(stream).await?;
        acceptor.mark_security_upgrade_as_done();
        let (framed, accepted) = accept_finalize(TokioFramed::new(stream), &mut acceptor).await?;

        let mut channels = accepted.static_channels;
        let carrier = channels.get_channel_id_by_type::<Drdynvc>();
        let carrier = carrier.context("the client knows no dynamic channels")?;
        let drdynvc = channels.get_by_type_mut::<Drdynvc>().context("the channel is not attached")?;
        let greeting = drdynvc.start().map_err(|error| anyhow!("{error}"))?;
        let (outgoing, queue) = channel(OUTGOING);
        let (reader, writer) = split_tokio_framed(framed);
        let link = Link {
            channels: Arc::new(Mutex::new(channels)),
            outgoing,
            carrier,
            initiator: accepted.user_channel_id,
        };
        link.send(greeting).await?;
        let tasks = [tokio::spawn(write(writer, queue)), tokio::spawn(read(reader, link.clone(), teller))];
        let mut session = Session { link, events, tasks };
        session.expect(&Event::Ready).await?;
        Ok(session)
    }
}

/// A connected client.
pub struct Session {
    link: Link,
    events: Receiver<Event>,
    tasks: [JoinHandle<()>; 2],
}

impl Session {
    /// Asks for the plug-in's channel; the answer is an event.
    pub async fn open(&self) -> Result<()> {
        let message = self.link.drdynvc(Drdynvc::open)??;
        self.link.send(vec![message]).await
    }

    /// Opens the plug-in's channel, which has to be accepted.
    pub async fn opened(&mut self) -> Result<u32> {
        self.open().await?;
        let event = self.next().await?;
        let Event::Opened(channel) = event else { bail!("the channel is not opened: {event:?}") };
        Ok(channel)
    }

    /// Sends one message.
    pub async fn send(&self, channel: u32, bytes: Vec<u8>) -> Result<()> {
        let message: DvcMessage = Box::new(Message(bytes));
        self.link.send(encode_dvc_messages(channel, vec![message], FLAGS)?).await
    }

    /// Sends what IronRDP would not: bytes in place of a message of the protocol for dynamic channels.
    pub async fn send_raw(&self, bytes: Vec<u8>) -> Result<()> {
        self.link.send(vec![SvcMessage::from(bytes).with_flags(FLAGS)]).await
    }

    /// Closes a channel.
    pub async fn close(&self, channel: u32) -> Result<()> {
        let message = self.link.drdynvc(|drdynvc| drdynvc.close(channel))?;
        self.link.send(vec![message.context("there is no such channel")?]).await
    }

    /// What comes next.
    pub async fn next(&mut self) -> Result<Event> {
        let event = timeout(LIMIT, self.events.recv()).await.context("the client does nothing")?;
        event.context("the connection is over")
    }

    /// Waits for that event and for no other.
    pub async fn expect(&mut self, expected: &Event) -> Result<()> {
        let event = self.next().await?;
        if event != *expected {
            bail!("{expected:?} was to come, not {event:?}");
        }
        Ok(())
    }

    /// The next bytes of a channel, as many as asked for at least.
    pub async fn receive(&mut self, channel: u32, length: usize) -> Result<Vec<u8>> {
        let mut received = Vec::new();
        while received.len() < length {
            let event = self.next().await?;
            let Event::Data(from, bytes) = event else { bail!("bytes were to come, not {event:?}") };
            if from != channel {
                bail!("channel {from} has sent bytes, not {channel}");
            }
            received.extend(bytes);
        }
        Ok(received)
    }

    /// Sends a byte again and again until the client has closed the channel, as the session's end of the protocol asks for a sign of life:
    /// the plug-in can close a channel only when something comes.
    pub async fn until_closed(&mut self, channel: u32) -> Result<()> {
        let asking = async {
            loop {
                match timeout(Duration::from_millis(50), self.events.recv()).await {
                    Err(_) => self.send(channel, vec![0]).await?,
                    Ok(Some(Event::Closed(closed))) if closed == channel => return Ok(()),
                    // What the client's socket had taken before it ended.
                    Ok(Some(Event::Data(from, _))) if from == channel => {}
                    Ok(other) => bail!("the channel was to be closed, not {other:?}"),
                }
            }
        };
        timeout(LIMIT, asking).await.context("the channel stays open")?
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The connection, for those who send by it.
#[derive(Clone)]
struct Link {
    channels: Arc<Mutex<StaticChannelSet>>,
    outgoing: Sender<Vec<u8>>,
    carrier: u16,
    initiator: u16,
}

impl Link {
    async fn send(&self, messages: Vec<SvcMessage>) -> Result<()> {
        let bytes = server_encode_svc_messages(messages, self.carrier, self.initiator)?;
        // A plug-in that held xfreerdp up would show here.
        let sent = timeout(LIMIT, self.outgoing.send(bytes)).await;
        sent.context("the client takes nothing")?.context("the connection is over")
    }

    fn lock(&self) -> MutexGuard<'_, StaticChannelSet> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drdynvc<T>(&self, act: impl FnOnce(&mut Drdynvc) -> T) -> Result<T> {
        let mut channels = self.lock();
        let channel = channels.get_by_type_mut::<Drdynvc>();
        let drdynvc = channel.and_then(|channel| channel.channel_processor_downcast_mut::<Drdynvc>());
        Ok(act(drdynvc.context("the channel is not attached")?))
    }

    fn process(&self, frame: &[u8]) -> Result<Vec<SvcMessage>> {
        let Some(bytes) = payload(frame, self.carrier)? else { return Ok(Vec::new()) };
        let mut channels = self.lock();
        let channel = channels.get_by_type_mut::<Drdynvc>().context("the channel is not attached")?;
        channel.process(&bytes).map_err(|error| anyhow!("{error}"))
    }
}

async fn write(mut writer: TokioFramed<WriteHalf<Stream>>, mut queue: Receiver<Vec<u8>>) {
    while let Some(bytes) = queue.recv().await {
        if writer.write_all(&bytes).await.is_err() {
            // The reader tells of it.
            return;
        }
    }
}

async fn read(mut reader: TokioFramed<ReadHalf<Stream>>, link: Link, events: Sender<Event>) {
    while let Ok((action, frame)) = reader.read_pdu().await {
        // Keys and the pointer come by the fast path.
        if action == Action::FastPath {
            continue;
        }
        match link.process(&frame) {
            Ok(answers) if answers.is_empty() => {}
            Ok(answers) => {
                if link.send(answers).await.is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    // Nobody may be there to hear it.
    events.send(Event::Gone).await.ok();
}

/// As little as xfreerdp takes.
fn capabilities() -> Vec<CapabilitySet> {
    vec![
        CapabilitySet::General(General {
            extra_flags: GeneralExtraFlags::FASTPATH_OUTPUT_SUPPORTED,
            ..General::default()
        }),
        CapabilitySet::Bitmap(Bitmap {
            pref_bits_per_pix: 32,
            desktop_width: SIZE.width,
            desktop_height: SIZE.height,
            desktop_resize_flag: false,
            drawing_flags: BitmapDrawingFlags::empty(),
        }),
        CapabilitySet::Order(Order::new(OrderFlags::empty(), OrderSupportExFlags::empty(), 2048, 224)),
        CapabilitySet::Pointer(Pointer { color_pointer_cache_size: 32, pointer_cache_size: 32 }),
        CapabilitySet::Input(Input {
            input_flags: InputFlags::SCANCODES | InputFlags::FASTPATH_INPUT | InputFlags::FASTPATH_INPUT_2,
            keyboard_layout: 0,
            keyboard_type: None,
            keyboard_subtype: 0,
            keyboard_function_key: 128,
            keyboard_ime_filename: String::new(),
        }),
        CapabilitySet::VirtualChannel(VirtualChannel {
            flags: VirtualChannelFlags::NO_COMPRESSION,
            chunk_size: None,
        }),
    ]
}
