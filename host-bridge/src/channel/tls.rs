//! TLS to a device that this session is paired with.

use std::path::PathBuf;

use offstage_pairing::PairingError;
use offstage_pairing::address::Address;
use offstage_pairing::connect::connect;
use offstage_pairing::store;
use offstage_pairing::store::End;
use offstage_pairing::store::Store;

use crate::channel::Channel;
use crate::channel::ChannelError;
use crate::channel::Link;

/// A paired device: the one at an address, or whichever answers.
#[derive(Clone, Debug)]
pub struct TlsChannel {
    folder: PathBuf,
    address: Option<Address>,
}

/// The folder of the session's key and pairings.
///
/// # Errors
/// If the user has no state folder.
pub fn folder() -> Result<PathBuf, PairingError> {
    store::folder(End::Session).ok_or_else(|| PairingError::File {
        path: PathBuf::from("~/.local/state"),
        what: "neither XDG_STATE_HOME nor HOME is set".to_owned(),
    })
}

impl TlsChannel {
    /// Without an address the paired devices are tried in turn, the newest first.
    #[must_use]
    pub fn new(folder: PathBuf, address: Option<Address>) -> Self {
        Self { folder, address }
    }

    /// Where it leads, for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.address.as_ref().map_or_else(|| "the paired devices".to_owned(), Address::to_string)
    }

    fn addresses(&self) -> Result<Vec<String>, PairingError> {
        if let Some(address) = &self.address {
            return Ok(vec![address.to_string()]);
        }
        let all = Store::new(&self.folder).list()?;
        Ok(all.into_iter().rev().filter_map(|pairing| pairing.address).collect())
    }
}

impl Channel for TlsChannel {
    fn kind(&self) -> &'static str {
        "tls"
    }

    async fn open(&self) -> Result<Link, ChannelError> {
        let unpaired = |place: String, error| ChannelError::Unpaired { place, error };
        let addresses = self.addresses().map_err(|error| unpaired(self.place(), error))?;
        let mut first = None;
        for address in addresses {
            match connect(&self.folder, &address).await {
                Ok((stream, pairing)) => {
                    tracing::debug!(key = %pairing.pin, "a paired device lets us in");
                    let (reader, writer) = tokio::io::split(stream);
                    return Ok(Link { reader: Box::new(reader), writer: Box::new(writer) });
                }
                // The newest device's reason is the one that counts.
                Err(error) => first = first.or(Some((address, error))),
            }
        }
        let (place, error) = first.unwrap_or_else(|| (self.place(), PairingError::NotPaired));
        if let PairingError::Unreachable { place, error } = error {
            return Err(ChannelError::Unreachable { place, error });
        }
        Err(unpaired(place, error))
    }
}
