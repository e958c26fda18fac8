//! The session's side of a connection: to a device that it is paired with, or is to be.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::PairingError;
use crate::code::Code;
use crate::door::WELCOME;
use crate::identity::Identity;
use crate::machine::MOST_MESSAGE;
use crate::machine::PairingEvent;
use crate::machine::SessionPairing;
use crate::store;
use crate::store::End;
use crate::store::Pairing;
use crate::store::Store;
use crate::tls;
use crate::tls::Whom;

/// How long a device may take to answer, from the first packet to the last of the handshake.
pub const LIMIT: Duration = Duration::from_secs(5);

/// Connects to the device at `HOST:PORT`: the one that was paired at this address; if none was, any that the session is paired with.
/// Returns who has answered.
///
/// # Errors
/// Why there is no connection.
pub async fn connect(folder: &Path, address: &str) -> Result<(TlsStream<TcpStream>, Pairing), PairingError> {
    let mut known = Store::new(folder).list()?;
    let here = |pairing: &Pairing| pairing.address.as_deref() == Some(address);
    if known.iter().any(here) {
        known.retain(here);
    }
    if known.is_empty() {
        return Err(PairingError::NotPaired);
    }
    let identity = Identity::of_folder(folder)?;
    let pins = known.iter().map(|pairing| pairing.pin).collect();
    let config = tls::client_config(&identity, Whom::Paired(pins))?;
    limited(async {
        let mut stream = open(address, config).await?;
        let pin = tls::peer_pin(stream.get_ref().1)?;
        let pairing =
            known.into_iter().find(|pairing| pairing.pin == pin).ok_or(PairingError::UnknownPeer)?;
        // The device looks at our key after our end of the handshake is over.
        match stream.read_u8().await? {
            WELCOME => Ok((stream, pairing)),
            _ => Err(PairingError::Malformed("no welcome")),
        }
    })
    .await
}

/// Pairs with the device at `HOST:PORT` that shows `code`.
///
/// # Errors
/// Why not.
pub async fn pair(folder: &Path, address: &str, code: &Code) -> Result<Pairing, PairingError> {
    let store = Store::new(folder);
    // Before the other end keeps anything.
    store.list()?;
    let identity = Identity::of_folder(folder)?;
    let config = tls::client_config(&identity, Whom::Unknown)?;
    let (name, pin) = limited(async {
        let mut stream = open(address, config).await?;
        let connection = stream.get_ref().1;
        let (output, label) = tls::exporter();
        let exported = connection
            .export_keying_material(output, label, None)
            .map_err(|error| PairingError::Tls(error.to_string()))?;
        let binding = tls::binding(connection, exported, &identity, End::Session)?;
        let machine = SessionPairing::new(code, &binding, &store::own_name(End::Session))?;
        Ok((talk(&mut stream, machine).await?, binding.device))
    })
    .await?;
    store.add(Pairing { name, pin, address: Some(address.to_owned()), since: store::now() })
}

async fn talk(
    stream: &mut TlsStream<TcpStream>,
    mut machine: SessionPairing,
) -> Result<String, PairingError> {
    let mut buffer = [0; MOST_MESSAGE];
    loop {
        while let Some(bytes) = machine.poll_transmit() {
            stream.write_all(&bytes).await?;
        }
        stream.flush().await?;
        match machine.poll_event() {
            Some(PairingEvent::Proved { name }) => return Ok(name),
            Some(PairingEvent::Failed(error)) => return Err(error),
            // A session's machine has its code.
            Some(PairingEvent::CodeWanted) => {}
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

async fn open(address: &str, config: ClientConfig) -> Result<TlsStream<TcpStream>, PairingError> {
    let unreachable = |error| PairingError::Unreachable { place: address.to_owned(), error };
    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(PairingError::Lost)?;
    // Never sent, and never looked at.
    let name =
        ServerName::try_from("offstage.invalid").map_err(|error| PairingError::Tls(error.to_string()))?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
}

async fn limited<T>(opening: impl Future<Output = Result<T, PairingError>>) -> Result<T, PairingError> {
    timeout(LIMIT, opening).await.map_err(|_elapsed| PairingError::Slow(LIMIT.as_secs()))?
}
