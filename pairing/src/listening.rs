//! Where a running client listens, for whoever pairs or looks for faults on the same device.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use crate::PairingError;
use crate::identity::make_folder;
use crate::identity::write_whole;
use crate::store::read_bounded;

const FILE: &str = "listening";
const MOST_BYTES: u64 = 256;

/// The note; goes away with its value. After a crash it may be left: whoever reads it has to try.
#[derive(Debug)]
pub struct Listening {
    path: PathBuf,
    text: String,
}

impl Listening {
    /// Leaves the note. With several ports the newest counts.
    ///
    /// # Errors
    /// [`PairingError::File`] if it can't be written.
    pub fn tell(folder: &Path, address: SocketAddr) -> Result<Self, PairingError> {
        make_folder(folder)?;
        let path = folder.join(FILE);
        let text = address.to_string();
        match write_whole(&path, text.as_bytes()) {
            Ok(()) => Ok(Self { path, text }),
            Err(error) => Err(PairingError::File { path, what: error.to_string() }),
        }
    }

    /// Where a client of the same user says that it listens.
    #[must_use]
    pub fn read(folder: &Path) -> Option<SocketAddr> {
        let bytes = read_bounded(&folder.join(FILE), MOST_BYTES).ok()??;
        std::str::from_utf8(&bytes).ok()?.parse().ok()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // A successor's stays.
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            fs::remove_file(&self.path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_while_somebody_listens() {
        let folder = tempfile::tempdir().unwrap();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(Listening::read(folder.path()), None);
        let first = Listening::tell(folder.path(), at(1)).unwrap();
        assert_eq!(Listening::read(folder.path()), Some(at(1)));
        let second = Listening::tell(folder.path(), at(2)).unwrap();
        drop(first);
        assert_eq!(Listening::read(folder.path()), Some(at(2)));
        drop(second);
        assert_eq!(Listening::read(folder.path()), None);
        fs::write(folder.path().join(FILE), [0xff; 400]).unwrap();
        assert_eq!(Listening::read(folder.path()), None);
    }
}
