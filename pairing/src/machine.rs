//! The conversation in which two ends find out that their people hold the same code, without telling it.
//!
//! CPace, a key exchange from a password, gives both ends the same key only if code, public keys and TLS session are the same at
//! both; each then proves that it has the key. Who listens, or sits in between with keys of their own, gets one guess for each try
//! and nothing to work on afterwards. Messages are protobuf behind a length of two bytes.
//!
//! ```text
//! session                              device
//! Start   name, first packet      →
//!                                 ←    Answer  second packet
//! Confirm proof                   →             (here the device knows)
//!                                 ←    Done    name, proof      or Refused, at any time
//! ```

use std::collections::VecDeque;
use std::fmt;

use hmac_sha256::HMAC;
use pake_cpace::CPace;
use pake_cpace::SharedKeys;
use pake_cpace::Step1Out;
use prost::Message;
use prost::Oneof;

use crate::PairingError;
use crate::code::Code;
use crate::identity::Pin;
use crate::store::clean_name;

/// Longest message.
pub const MOST_MESSAGE: usize = 512;

/// What ties the conversation to one connection between two keys.
#[derive(Clone, Debug)]
pub struct Binding {
    pub session: Pin,
    pub device: Pin,
    /// Keying material that only the two ends of this TLS connection have in common.
    pub exported: [u8; 32],
}

#[derive(Clone, PartialEq, Message)]
struct FromSession {
    #[prost(oneof = "FromSessionKind", tags = "1, 2")]
    kind: Option<FromSessionKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum FromSessionKind {
    #[prost(message, tag = "1")]
    Start(Start),
    #[prost(bytes = "vec", tag = "2")]
    Confirm(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
struct Start {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    packet: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct FromDevice {
    #[prost(oneof = "FromDeviceKind", tags = "1, 2, 3")]
    kind: Option<FromDeviceKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum FromDeviceKind {
    #[prost(bytes = "vec", tag = "1")]
    Answer(Vec<u8>),
    #[prost(message, tag = "2")]
    Done(Done),
    /// A code of the table.
    #[prost(uint32, tag = "3")]
    Refused(u32),
}

#[derive(Clone, PartialEq, Message)]
struct Done {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    proof: Vec<u8>,
}

/// What a machine wants or has found out.
#[derive(Debug)]
pub enum PairingEvent {
    /// The device's machine needs [`DevicePairing::handle_code`].
    CodeWanted,
    /// Both have the same code; the device's machine waits for [`DevicePairing::handle_kept`].
    Proved {
        name: String,
    },
    Failed(PairingError),
}

/// Messages behind their lengths.
#[derive(Debug, Default)]
struct Messages {
    buffer: Vec<u8>,
}

impl Messages {
    fn push(&mut self, bytes: &[u8]) -> Result<(), PairingError> {
        // Nobody may say two things before the first has been answered.
        if self.buffer.len() + bytes.len() > MOST_MESSAGE + 2 {
            return Err(PairingError::Malformed("too long"));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, PairingError> {
        let Some((length, rest)) = self.buffer.split_first_chunk::<2>() else { return Ok(None) };
        let length = usize::from(u16::from_le_bytes(*length));
        if length > MOST_MESSAGE {
            return Err(PairingError::Malformed("too long"));
        }
        let Some((message, after)) = rest.split_at_checked(length) else { return Ok(None) };
        let (message, after) = (message.to_vec(), after.to_vec());
        self.buffer = after;
        Ok(Some(message))
    }

    fn write(message: &impl Message) -> Vec<u8> {
        let bytes = message.encode_to_vec();
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        [length.to_le_bytes().as_slice(), &bytes].concat()
    }
}

/// The session's end.
pub struct SessionPairing {
    messages: Messages,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<PairingEvent>,
    name: String,
    state: SessionState,
}

enum SessionState {
    Started(Box<Step1Out>),
    Confirmed(SharedKeys),
    Ended,
}

impl fmt::Debug for SessionPairing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionPairing").field("events", &self.events).finish_non_exhaustive()
    }
}

impl SessionPairing {
    /// Begins.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn new(code: &Code, binding: &Binding, name: &str) -> Result<Self, PairingError> {
        let (session, device) = (binding.session.to_string(), binding.device.to_string());
        let step = CPace::step1(code.letters(), &session, &device, Some(binding.exported))
            .map_err(|_error| PairingError::NoRandomNumbers)?;
        let name = clean_name(name);
        let start = Start { name: name.clone(), packet: step.packet().to_vec() };
        let start = FromSession { kind: Some(FromSessionKind::Start(start)) };
        Ok(Self {
            messages: Messages::default(),
            transmits: VecDeque::from([Messages::write(&start)]),
            events: VecDeque::new(),
            name,
            state: SessionState::Started(Box::new(step)),
        })
    }

    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        let done = self.messages.push(bytes).and_then(|()| {
            while let Some(message) = self.messages.next()? {
                self.handle_message(&message)?;
            }
            Ok(())
        });
        if let Err(error) = done {
            self.fail(error);
        }
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<PairingEvent> {
        self.events.pop_front()
    }

    fn handle_message(&mut self, message: &[u8]) -> Result<(), PairingError> {
        let message = FromDevice::decode(message).map_err(|_error| PairingError::Malformed("no message"))?;
        let state = std::mem::replace(&mut self.state, SessionState::Ended);
        match (state, message.kind) {
            (_, Some(FromDeviceKind::Refused(code))) => Err(PairingError::of_refusal(code)),
            (SessionState::Started(step), Some(FromDeviceKind::Answer(packet))) => {
                let packet =
                    packet.as_slice().try_into().map_err(|_length| PairingError::Malformed("a packet"))?;
                let keys = step.step3(packet).map_err(|_error| PairingError::Malformed("a packet"))?;
                let proof = session_proof(&keys, &self.name).finalize().to_vec();
                let confirm = FromSession { kind: Some(FromSessionKind::Confirm(proof)) };
                self.transmits.push_back(Messages::write(&confirm));
                self.state = SessionState::Confirmed(keys);
                Ok(())
            }
            (SessionState::Confirmed(keys), Some(FromDeviceKind::Done(done))) => {
                check(device_proof(&keys, &self.name, &done.name), &done.proof)?;
                self.events.push_back(PairingEvent::Proved { name: clean_name(&done.name) });
                Ok(())
            }
            (SessionState::Started(_) | SessionState::Confirmed(_) | SessionState::Ended, _) => {
                Err(PairingError::Malformed("out of turn"))
            }
        }
    }

    fn fail(&mut self, error: PairingError) {
        self.state = SessionState::Ended;
        self.events.push_back(PairingEvent::Failed(error));
    }
}

/// The device's end.
pub struct DevicePairing {
    binding: Binding,
    own_name: String,
    messages: Messages,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<PairingEvent>,
    state: DeviceState,
}

enum DeviceState {
    Waiting,
    WantsCode(Start),
    Answered { keys: SharedKeys, name: String },
    Proved { keys: SharedKeys, name: String },
    Ended,
}

impl fmt::Debug for DevicePairing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevicePairing").field("events", &self.events).finish_non_exhaustive()
    }
}

impl DevicePairing {
    #[must_use]
    pub fn new(binding: Binding, own_name: &str) -> Self {
        Self {
            binding,
            own_name: clean_name(own_name),
            messages: Messages::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            state: DeviceState::Waiting,
        }
    }

    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        let done = self.messages.push(bytes).and_then(|()| {
            while let Some(message) = self.messages.next()? {
                self.handle_message(&message)?;
            }
            Ok(())
        });
        if let Err(error) = done {
            self.fail(error);
        }
    }

    /// The code that the device shows, for which a try has been taken, or why there is none.
    pub fn handle_code(&mut self, code: Result<Code, PairingError>) {
        let state = std::mem::replace(&mut self.state, DeviceState::Ended);
        let DeviceState::WantsCode(start) = state else {
            self.state = state;
            return;
        };
        if let Err(error) = code.and_then(|code| self.answer(&code, &start)) {
            self.refuse(error);
        }
    }

    /// The other end's key has been kept, or why not.
    pub fn handle_kept(&mut self, kept: Result<(), PairingError>) {
        let state = std::mem::replace(&mut self.state, DeviceState::Ended);
        let DeviceState::Proved { keys, name } = state else {
            self.state = state;
            return;
        };
        match kept {
            Ok(()) => {
                let proof = device_proof(&keys, &name, &self.own_name).finalize().to_vec();
                let done = Done { name: self.own_name.clone(), proof };
                self.say(FromDeviceKind::Done(done));
            }
            Err(error) => self.refuse(error),
        }
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<PairingEvent> {
        self.events.pop_front()
    }

    fn handle_message(&mut self, message: &[u8]) -> Result<(), PairingError> {
        let message = FromSession::decode(message).map_err(|_error| PairingError::Malformed("no message"))?;
        let state = std::mem::replace(&mut self.state, DeviceState::Ended);
        match (state, message.kind) {
            (DeviceState::Waiting, Some(FromSessionKind::Start(start))) => {
                self.state = DeviceState::WantsCode(start);
                self.events.push_back(PairingEvent::CodeWanted);
                Ok(())
            }
            (DeviceState::Answered { keys, name }, Some(FromSessionKind::Confirm(proof))) => {
                if let Err(error) = check(session_proof(&keys, &name), &proof) {
                    self.refuse(error);
                    return Ok(());
                }
                self.events.push_back(PairingEvent::Proved { name: clean_name(&name) });
                self.state = DeviceState::Proved { keys, name };
                Ok(())
            }
            (
                DeviceState::Waiting
                | DeviceState::WantsCode(_)
                | DeviceState::Answered { .. }
                | DeviceState::Proved { .. }
                | DeviceState::Ended,
                _,
            ) => Err(PairingError::Malformed("out of turn")),
        }
    }

    fn answer(&mut self, code: &Code, start: &Start) -> Result<(), PairingError> {
        let malformed = || PairingError::Malformed("a packet");
        let packet = start.packet.as_slice().try_into().map_err(|_length| malformed())?;
        let (session, device) = (self.binding.session.to_string(), self.binding.device.to_string());
        let step = CPace::step2(packet, code.letters(), &session, &device, Some(self.binding.exported))
            .map_err(|_error| malformed())?;
        self.say(FromDeviceKind::Answer(step.packet().to_vec()));
        self.state = DeviceState::Answered { keys: step.shared_keys(), name: start.name.clone() };
        Ok(())
    }

    fn refuse(&mut self, error: PairingError) {
        self.say(FromDeviceKind::Refused(error.code().number()));
        self.fail(error);
    }

    fn say(&mut self, kind: FromDeviceKind) {
        self.transmits.push_back(Messages::write(&FromDevice { kind: Some(kind) }));
    }

    fn fail(&mut self, error: PairingError) {
        self.state = DeviceState::Ended;
        self.events.push_back(PairingEvent::Failed(error));
    }
}

/// What each end says is different, so that neither can be told its own proof.
fn session_proof(keys: &SharedKeys, name: &str) -> HMAC {
    proof(keys, "session", &[name])
}

fn device_proof(keys: &SharedKeys, session: &str, device: &str) -> HMAC {
    proof(keys, "device", &[session, device])
}

fn proof(keys: &SharedKeys, end: &str, names: &[&str]) -> HMAC {
    let mut mac = HMAC::new(keys.k1);
    mac.update("offstage pairing 1 ");
    mac.update(end);
    for name in names {
        // No name can reach into the next.
        mac.update(hmac_sha256::Hash::hash(name.as_bytes()));
    }
    mac
}

/// In the same time whatever is wrong.
fn check(expected: HMAC, proof: &[u8]) -> Result<(), PairingError> {
    let proof: &[u8; 32] = proof.try_into().map_err(|_length| PairingError::CodeWrong)?;
    if expected.finalize_verify(proof) { Ok(()) } else { Err(PairingError::CodeWrong) }
}

#[cfg(test)]
mod tests;
