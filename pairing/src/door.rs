//! The device's side of a connection: who is let in, and who is paired.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::server::TlsStream;

use crate::PairingError;
use crate::code::Code;
use crate::identity::Identity;
use crate::identity::Pin;
use crate::invitation::Invitation;
use crate::invitation::InvitationFile;
use crate::machine::DevicePairing;
use crate::machine::MOST_MESSAGE;
use crate::machine::PairingEvent;
use crate::store;
use crate::store::End;
use crate::store::Pairing;
use crate::store::Store;
use crate::tls;
use crate::tls::PAIRING_PROTOCOL;
use crate::tls::Whom;

/// Connections that haven't shown who they are, altogether and from one address.
pub const MOST_UNKNOWN: usize = 32;
pub const MOST_UNKNOWN_OF_ONE: usize = 8;
/// How long one may take to show who it is, or to pair.
pub const LIMIT: Duration = Duration::from_secs(5);

/// What the device says to a session that it lets in, before the first frame: so the session knows that it is let in.
pub(crate) const WELCOME: u8 = b'1';

/// Lets in whom the device is paired with, and pairs with whom has the code that it shows.
#[derive(Clone, Debug)]
pub struct Door {
    identity: Identity,
    store: Store,
    invitation: InvitationFile,
    unknown: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// Who has come.
#[derive(Debug)]
pub enum Admitted {
    /// A session that the device is paired with.
    Session { stream: Box<TlsStream<TcpStream>>, pairing: Pairing },
    /// A session with which the device is paired from now on; its connection has ended.
    Paired(Pairing),
}

impl Door {
    /// A door with the folder's key; makes one if there is none.
    ///
    /// # Errors
    /// If the folder's files can't be read, or made.
    pub fn of_folder(folder: &Path) -> Result<Self, PairingError> {
        let store = Store::new(folder);
        store.list()?;
        Ok(Self {
            identity: Identity::of_folder(folder)?,
            store,
            invitation: InvitationFile::new(folder),
            unknown: Arc::default(),
        })
    }

    /// The key that this device shows.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// True as long as the device is paired with it: a file that can't be read is no reason to trust anybody.
    #[must_use]
    pub fn knows(&self, pairing: &Pairing) -> bool {
        self.store.list().is_ok_and(|all| all.iter().any(|one| one.pin == pairing.pin))
    }

    /// Finds out who has come. Not a byte that was sent after the handshake has been read of a session that is let in.
    ///
    /// # Errors
    /// Why it was not let in, which it has been told as far as it should know.
    pub async fn admit(&self, stream: TcpStream, from: IpAddr) -> Result<Admitted, PairingError> {
        let _unknown = Unknown::new(&self.unknown, from).ok_or(PairingError::Crowded)?;
        stream.set_nodelay(true).map_err(PairingError::Lost)?;
        let slow = |_elapsed| PairingError::Slow(LIMIT.as_secs());
        timeout(LIMIT, self.welcome(stream)).await.map_err(slow)?
    }

    async fn welcome(&self, stream: TcpStream) -> Result<Admitted, PairingError> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let pairs =
            start.client_hello().alpn().is_some_and(|mut names| names.any(|name| name == PAIRING_PROTOCOL));
        let all = self.store.list()?;
        let pins = all.iter().map(|pairing| pairing.pin).collect();
        let whom = if pairs { Whom::Unknown } else { Whom::Paired(pins) };
        let config = Arc::new(tls::server_config(&self.identity, whom)?);
        let mut stream = start.into_stream(config).await?;
        if pairs {
            return self.pair(stream).await.map(Admitted::Paired);
        }
        let pin = tls::peer_pin(stream.get_ref().1)?;
        let pairing = all.into_iter().find(|pairing| pairing.pin == pin).ok_or(PairingError::UnknownPeer)?;
        stream.write_all(&[WELCOME]).await?;
        stream.flush().await?;
        Ok(Admitted::Session { stream: Box::new(stream), pairing })
    }

    async fn pair(&self, mut stream: TlsStream<TcpStream>) -> Result<Pairing, PairingError> {
        let connection = stream.get_ref().1;
        let (output, label) = tls::exporter();
        let exported = connection
            .export_keying_material(output, label, None)
            .map_err(|error| PairingError::Tls(error.to_string()))?;
        let binding = tls::binding(connection, exported, &self.identity, End::Device)?;
        let pin = binding.session;
        let mut machine = DevicePairing::new(binding, &store::own_name(End::Device));
        let mut attempt = Attempt { file: &self.invitation, code: None };
        let mut paired = None;
        let mut buffer = [0; MOST_MESSAGE];
        loop {
            while let Some(bytes) = machine.poll_transmit() {
                stream.write_all(&bytes).await?;
            }
            stream.flush().await?;
            if let Some(pairing) = paired {
                stream.shutdown().await.ok();
                return Ok(pairing);
            }
            match machine.poll_event() {
                Some(PairingEvent::CodeWanted) => machine.handle_code(attempt.begin()),
                Some(PairingEvent::Proved { name }) => {
                    let kept = self.keep(&mut attempt, name, pin);
                    machine.handle_kept(kept.map(|pairing| paired = Some(pairing)));
                }
                Some(PairingEvent::Failed(error)) => {
                    // What was said last should arrive; the error is what counts.
                    while let Some(bytes) = machine.poll_transmit() {
                        stream.write_all(&bytes).await.ok();
                    }
                    stream.shutdown().await.ok();
                    return Err(error);
                }
                None => {
                    let length = stream.read(&mut buffer).await?;
                    if length == 0 {
                        return Err(PairingError::Lost(io::ErrorKind::UnexpectedEof.into()));
                    }
                    machine.handle_bytes(buffer.get(..length).unwrap_or_default());
                }
            }
        }
    }

    fn keep(&self, attempt: &mut Attempt<'_>, name: String, pin: Pin) -> Result<Pairing, PairingError> {
        let now = store::now();
        let code = attempt.succeed(now, &name)?;
        let kept = self.store.add(Pairing { name, pin, address: None, since: now });
        if kept.is_err() {
            self.invitation.change(Some(&code), Invitation::take_back)?;
        }
        kept
    }
}

/// A try that counts as a wrong one if it ends in any other way than by [`Self::succeed`].
struct Attempt<'a> {
    file: &'a InvitationFile,
    code: Option<Code>,
}

impl Attempt<'_> {
    fn begin(&mut self) -> Result<Code, PairingError> {
        let code = self.file.change(None, |invitation| invitation.begin(store::now()))??;
        self.code = Some(code.clone());
        Ok(code)
    }

    fn succeed(&mut self, now: u64, name: &str) -> Result<Code, PairingError> {
        let code = self.code.take().ok_or(PairingError::NotPairing)?;
        let open = self.file.change(Some(&code), |invitation| invitation.succeeded(now, name))?;
        if open { Ok(code) } else { Err(PairingError::CodeExpired) }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(code) = self.code.take()
            && let Err(error) = self.file.change(Some(&code), Invitation::failed)
        {
            tracing::debug!(%error, "a wrong try is not noted");
        }
    }
}

/// A place among those that haven't shown who they are.
struct Unknown {
    all: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    from: IpAddr,
}

impl Unknown {
    fn new(all: &Arc<Mutex<BTreeMap<IpAddr, usize>>>, from: IpAddr) -> Option<Self> {
        let mut counts = all.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = counts.get(&from).copied().unwrap_or_default();
        if of_one >= MOST_UNKNOWN_OF_ONE || counts.values().sum::<usize>() >= MOST_UNKNOWN {
            return None;
        }
        counts.insert(from, of_one + 1);
        Some(Self { all: Arc::clone(all), from })
    }
}

impl Drop for Unknown {
    fn drop(&mut self) {
        let mut counts = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_for_each_and_for_all_and_come_back() {
        let all = Arc::default();
        let of = |number: u8| Unknown::new(&all, IpAddr::from([127, 0, 0, number]));
        let mut places: Vec<Unknown> = (0..MOST_UNKNOWN_OF_ONE).map(|_| of(1).unwrap()).collect();
        assert!(of(1).is_none());
        places.extend(
            (2..5).flat_map(|number| (0..MOST_UNKNOWN_OF_ONE).map(move |_| number)).map(|n| of(n).unwrap()),
        );
        assert_eq!(places.len(), MOST_UNKNOWN);
        assert!(of(9).is_none());
        places.clear();
        assert!(of(1).is_some());
        assert!(all.lock().unwrap().is_empty());
    }
}
