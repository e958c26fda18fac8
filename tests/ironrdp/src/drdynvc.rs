//! IronRDP's server of dynamic virtual channels, and what it is told by the client as events.

use anyhow::{Result, anyhow, bail};
use ironrdp_core::{
    Decode as _, Encode, EncodeResult, ReadCursor, WriteCursor, decode, ensure_size, impl_as_any,
};
use ironrdp_dvc::pdu::{CreationStatus, DrdynvcClientPdu};
use ironrdp_dvc::{DrdynvcServer, DvcEncode, DvcMessage, DvcProcessor, DvcServerProcessor};
use ironrdp_pdu::gcc::ChannelName;
use ironrdp_pdu::mcs::McsMessage;
use ironrdp_pdu::x224::X224;
use ironrdp_pdu::{PduResult, decode_err, pdu_other_err};
use ironrdp_svc::{ChannelFlags, CompressionCondition, SvcMessage, SvcProcessor, SvcServerProcessor};
use offstage_protocol::socket_path::DVC_NAME;
use tokio::sync::mpsc::Sender;

/// What the remote desktop's client has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Dynamic channels may be opened.
    Ready,
    /// It has accepted the channel.
    Opened(u32),
    /// It has refused the channel.
    Refused(u32),
    /// A whole message of the channel.
    Data(u32, Vec<u8>),
    /// It has closed the channel, or has done what it was told to.
    Closed(u32),
    /// The connection has ended.
    Gone,
}

/// What a frame brings for the static channel with that number; an error when the other end says goodbye.
pub(crate) fn payload(frame: &[u8], carrier: u16) -> Result<Option<Vec<u8>>> {
    let X224(message) = decode::<X224<McsMessage<'_>>>(frame)?;
    let (channel, bytes) = match message {
        McsMessage::SendDataRequest(data) => (data.channel_id, data.user_data),
        McsMessage::SendDataIndication(data) => (data.channel_id, data.user_data),
        McsMessage::DisconnectProviderUltimatum(_) => bail!("the other end has taken its leave"),
        McsMessage::ErectDomainRequest(_)
        | McsMessage::AttachUserRequest(_)
        | McsMessage::AttachUserConfirm(_)
        | McsMessage::ChannelJoinRequest(_)
        | McsMessage::ChannelJoinConfirm(_) => return Ok(None),
    };
    // Others are the desktop's own channel: there is no desktop.
    Ok((channel == carrier).then(|| bytes.into_owned()))
}

/// The static channel that carries all dynamic ones.
#[derive(Debug)]
pub struct Drdynvc {
    inner: DrdynvcServer,
    events: Sender<Event>,
}

impl Drdynvc {
    /// No channel yet.
    #[must_use]
    pub fn new(events: Sender<Event>) -> Self {
        Self { inner: DrdynvcServer::new(), events }
    }

    /// A new channel, and what asks the client for it.
    pub fn open(&mut self) -> Result<SvcMessage> {
        let channel = Offstage { events: self.events.clone() };
        self.inner.create_channel(channel).map_err(|error| anyhow!("{error}"))
    }

    /// What tells the client that a channel is closed.
    pub fn close(&mut self, channel: u32) -> Option<SvcMessage> {
        self.inner.close_channel(channel)
    }
}

impl_as_any!(Drdynvc);

impl SvcProcessor for Drdynvc {
    fn channel_name(&self) -> ChannelName {
        DrdynvcServer::NAME
    }

    fn compression_condition(&self) -> CompressionCondition {
        self.inner.compression_condition()
    }

    fn start(&mut self) -> PduResult<Vec<SvcMessage>> {
        self.inner.start()
    }

    fn process(&mut self, payload: &[u8]) -> PduResult<Vec<SvcMessage>> {
        let told =
            DrdynvcClientPdu::decode(&mut ReadCursor::new(payload)).map_err(|error| decode_err!(error))?;
        match told {
            DrdynvcClientPdu::Capabilities(_) => tell(&self.events, Event::Ready)?,
            DrdynvcClientPdu::Create(answer) if answer.creation_status() != CreationStatus::OK => {
                tell(&self.events, Event::Refused(answer.channel_id()))?;
            }
            DrdynvcClientPdu::Close(close) => tell(&self.events, Event::Closed(close.channel_id()))?,
            // What was on its way when this end closed the channel is an error to the inner server.
            DrdynvcClientPdu::Data(data) if !self.inner.is_channel_opened(data.channel_id()) => {
                return Ok(Vec::new());
            }
            // An accepted channel is told of by its own processor.
            DrdynvcClientPdu::Create(_) | DrdynvcClientPdu::Data(_) => {}
        }
        self.inner.process(payload)
    }
}

impl SvcServerProcessor for Drdynvc {}

/// Bytes that are one message of a dynamic channel.
#[derive(Debug)]
pub struct Message(pub Vec<u8>);

impl Encode for Message {
    fn encode(&self, dst: &mut WriteCursor<'_>) -> EncodeResult<()> {
        ensure_size!(in: dst, size: self.size());
        dst.write_slice(&self.0);
        Ok(())
    }

    fn name(&self) -> &'static str {
        "Message"
    }

    fn size(&self) -> usize {
        self.0.len()
    }
}

impl DvcEncode for Message {}

/// As xrdp flags what belongs to the dynamic channels.
pub const FLAGS: ChannelFlags = ChannelFlags::SHOW_PROTOCOL;

/// The channel that the plug-in listens for.
struct Offstage {
    events: Sender<Event>,
}

impl_as_any!(Offstage);

impl DvcProcessor for Offstage {
    fn channel_name(&self) -> &str {
        DVC_NAME
    }

    fn start(&mut self, channel: u32) -> PduResult<Vec<DvcMessage>> {
        tell(&self.events, Event::Opened(channel))?;
        Ok(Vec::new())
    }

    fn process(&mut self, channel: u32, payload: &[u8]) -> PduResult<Vec<DvcMessage>> {
        tell(&self.events, Event::Data(channel, payload.to_vec()))?;
        Ok(Vec::new())
    }
}

impl DvcServerProcessor for Offstage {}

fn tell(events: &Sender<Event>, event: Event) -> PduResult<()> {
    events.try_send(event).map_err(|_| pdu_other_err!("nobody takes the events"))
}
