//! TLS: sessions of other machines, as far as this device is paired with them.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use offstage_pairing::PairingError;
use offstage_pairing::door::Admitted;
use offstage_pairing::door::Door;
use offstage_pairing::identity::Pin;
use offstage_pairing::listening::Listening;
use offstage_pairing::store;
use offstage_pairing::store::End;
use offstage_pairing::store::Pairing;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::interval;

use crate::channel::Channels;
use crate::channel::Peer;

/// How often a connection's pairing is looked for: one that is removed ends what it has opened.
const LOOK: Duration = Duration::from_secs(1);

/// A listening port.
#[derive(Debug)]
pub struct TlsListener {
    listener: TcpListener,
    address: SocketAddr,
    door: Door,
    /// Says where this is, as long as it is.
    _listening: Listening,
}

/// The folder of the device's key and pairings.
pub(crate) fn folder() -> Result<PathBuf, PairingError> {
    store::folder(End::Device).ok_or_else(|| PairingError::File {
        path: PathBuf::from("~/.local/state"),
        what: "neither XDG_STATE_HOME nor HOME is set".to_owned(),
    })
}

impl TlsListener {
    /// Listens with the device's own key, which is made if there is none.
    pub async fn bind(address: SocketAddr) -> Result<Self, PairingError> {
        Self::bind_in(&folder()?, address).await
    }

    async fn bind_in(folder: &Path, address: SocketAddr) -> Result<Self, PairingError> {
        let door = Door::of_folder(folder)?;
        let failed = |error| PairingError::Listen { place: address.to_string(), error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let listening = Listening::tell(folder, address)?;
        Ok(Self { listener, address, door, _listening: listening })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key that this device shows.
    #[must_use]
    pub fn key(&self) -> Pin {
        self.door.identity().pin()
    }

    /// Accepts peers until it is dropped.
    pub async fn run(self, channels: Channels) {
        let (paired, mut told) = mpsc::channel(1);
        tokio::select! {
            () = self.accept(Some(channels), paired) => {}
            () = async { while told.recv().await.is_some() {} } => {}
        }
    }

    /// Only pairs, with the first that has the code.
    pub(crate) async fn pair(self) -> Pairing {
        let (paired, mut told) = mpsc::channel(1);
        let found = tokio::select! {
            () = self.accept(None, paired) => None,
            found = told.recv() => found,
        };
        match found {
            Some(pairing) => pairing,
            // Accepting doesn't end.
            None => std::future::pending().await,
        }
    }

    async fn accept(&self, channels: Option<Channels>, paired: mpsc::Sender<Pairing>) {
        let door = Arc::new(self.door.clone());
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    tokio::spawn(admit(Arc::clone(&door), stream, from, channels.clone(), paired.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept a session");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

async fn admit(
    door: Arc<Door>,
    stream: TcpStream,
    from: SocketAddr,
    channels: Option<Channels>,
    paired: mpsc::Sender<Pairing>,
) {
    match door.admit(stream, from.ip()).await {
        Ok(Admitted::Paired(pairing)) => {
            tracing::info!(key = %pairing.pin, "paired");
            paired.send(pairing).await.ok();
        }
        Ok(Admitted::Session { stream, pairing }) => {
            let Some(channels) = channels else {
                tracing::debug!("a session has come to a port that only pairs");
                return;
            };
            tracing::info!(key = %pairing.pin, "a paired session has come");
            let (reader, writer) = tokio::io::split(*stream);
            let end = removed(door, pairing);
            if let Some(carry) = channels.open(Peer::default(), reader, writer, end).await {
                carry.await;
            }
        }
        Err(PairingError::Crowded) => tracing::debug!("too many connections that show nothing"),
        // Whoever looks whether somebody listens.
        Err(PairingError::Lost(error)) => tracing::debug!(%error, "a connection ends early"),
        Err(error) => tracing::warn!(code = %error.code(), why = reason(&error), "a connection is refused"),
    }
}

/// What the log may say of it at the usual level: no address.
fn reason(error: &PairingError) -> String {
    if let PairingError::File { what, .. } = error { what.clone() } else { error.to_string() }
}

/// Comes when the pairing is no longer there.
async fn removed(door: Arc<Door>, pairing: Pairing) {
    let mut looks = interval(LOOK);
    loop {
        looks.tick().await;
        if !door.knows(&pairing) {
            tracing::info!(key = %pairing.pin, "the pairing is gone, and the session with it");
            return;
        }
    }
}
