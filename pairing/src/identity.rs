//! An end's own key, by which the other end knows it again.

use std::fmt;
use std::fs;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use tokio_rustls::rustls::crypto::ring::sign::any_eddsa_type;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::PairingError;

const FILE: &str = "key.pk8";
/// An Ed25519 key takes 83 bytes.
const MOST_BYTES: u64 = 1024;

/// SHA-256 of a public key (SubjectPublicKeyInfo): who somebody is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pin(pub(crate) [u8; 32]);

impl Pin {
    /// Of a public key as TLS carries it.
    #[must_use]
    pub fn of(public_key: &[u8]) -> Self {
        Self(hmac_sha256::Hash::hash(public_key))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pin has 64 hexadecimal digits")]
pub struct NotAPin;

impl FromStr for Pin {
    type Err = NotAPin;

    fn from_str(text: &str) -> Result<Self, NotAPin> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(NotAPin);
        }
        let mut pin = [0; 32];
        for (byte, at) in pin.iter_mut().zip((0..64).step_by(2)) {
            let pair = text.get(at..at + 2).ok_or(NotAPin)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_digits| NotAPin)?;
        }
        Ok(Self(pin))
    }
}

/// An end's key pair. No certificate: TLS carries the bare public key (RFC 7250), and nothing else about it is to be believed.
#[derive(Clone)]
pub struct Identity {
    pub(crate) key: Arc<CertifiedKey>,
    pin: Pin,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("pin", &self.pin).finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads a folder's key, or makes one. A key that others can read is refused.
    ///
    /// # Errors
    /// [`PairingError::File`] if there is a file that can't be read, is no key, or isn't the user's alone.
    pub fn of_folder(folder: &Path) -> Result<Self, PairingError> {
        let path = folder.join(FILE);
        let file_error = |what: String| PairingError::File { path: path.clone(), what };
        match fs::File::open(&path) {
            Ok(file) => {
                let data = file.metadata().map_err(|error| file_error(error.to_string()))?;
                if data.mode() & 0o077 != 0 {
                    return Err(file_error(
                        "others can read this key; pair anew after removing it".to_owned(),
                    ));
                }
                let mut pkcs8 = Vec::new();
                file.take(MOST_BYTES)
                    .read_to_end(&mut pkcs8)
                    .map_err(|error| file_error(error.to_string()))?;
                Self::from_pkcs8(pkcs8).ok_or_else(|| file_error("this is no key".to_owned()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
                    .map_err(|_none| PairingError::NoRandomNumbers)?;
                make_folder(folder)?;
                if let Err(error) = write_whole(&path, pkcs8.as_ref()) {
                    return Err(file_error(error.to_string()));
                }
                Self::from_pkcs8(pkcs8.as_ref().to_vec())
                    .ok_or_else(|| file_error("this is no key".to_owned()))
            }
            Err(error) => Err(file_error(error.to_string())),
        }
    }

    /// By this the other end knows this one.
    #[must_use]
    pub fn pin(&self) -> Pin {
        self.pin
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Option<Self> {
        let signer = any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8)).ok()?;
        let public_key = signer.public_key()?.to_vec();
        let pin = Pin::of(&public_key);
        let key = CertifiedKey::new(vec![CertificateDer::from(public_key)], signer);
        Some(Self { key: Arc::new(key), pin })
    }
}

/// Makes the folder of keys, for the user alone.
pub(crate) fn make_folder(folder: &Path) -> Result<(), PairingError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| PairingError::File { path: folder.to_path_buf(), what: error.to_string() })
}

/// Puts a file in its place, for the user alone: all of it or nothing, whenever the power goes.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    // A leftover of a process that had this number.
    fs::remove_file(&new).ok();
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        fs::remove_file(&new).ok();
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_stays_and_is_the_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        let first = Identity::of_folder(&deep).unwrap();
        assert_eq!(Identity::of_folder(&deep).unwrap().pin(), first.pin());
        assert_eq!(fs::metadata(deep.join(FILE)).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&deep).unwrap().mode() & 0o777, 0o700);
        assert_ne!(Identity::of_folder(folder.path()).unwrap().pin(), first.pin());
    }

    #[test]
    fn a_key_that_is_none_or_that_others_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, [7; 5000]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let refused = |what: &str| {
            let error = Identity::of_folder(folder.path()).unwrap_err();
            assert!(
                matches!(&error, PairingError::File { what: said, .. } if said.contains(what)),
                "{error}"
            );
        };
        refused("no key");
        fs::remove_file(&path).unwrap();
        Identity::of_folder(folder.path()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        refused("others can read");
    }

    #[test]
    fn pins_are_text_and_back() {
        let pin = Pin::of(b"x");
        assert_eq!(pin.to_string().parse(), Ok(pin));
        for text in ["", "ab", &"g".repeat(64), &"a".repeat(66), &"ä".repeat(32)] {
            assert_eq!(text.parse::<Pin>(), Err(NotAPin));
        }
    }
}
