//! The secret from which sites get their own names of this device's microphones, cameras and speakers.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;

const FILE: &str = "offstage.secret";
const LENGTH: usize = 32;

/// Reads the folder's secret, or makes one. Where it can't be kept, a new one each time does: sites then don't know their
/// devices again.
#[must_use]
pub fn of_folder(folder: &Path) -> Vec<u8> {
    let path = folder.join(FILE);
    let mut secret = Vec::new();
    let read = fs::File::open(&path).and_then(|file| file.take(LENGTH as u64 + 1).read_to_end(&mut secret));
    if read.is_ok() && secret.len() == LENGTH {
        return secret;
    }
    secret = vec![0; LENGTH];
    if let Err(error) = getrandom::fill(&mut secret) {
        tracing::warn!(%error, "no random numbers");
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    // Elsewhere the folder is one that other people can't read.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let made = fs::create_dir_all(folder).and_then(|()| options.open(&path));
    if let Err(error) = made.and_then(|mut file| file.write_all(&secret)) {
        tracing::warn!(%error, "the devices' secret can't be kept");
    }
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_and_is_made_anew_when_it_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let first = of_folder(folder.path());
        assert_eq!((first.len(), &of_folder(folder.path())), (LENGTH, &first));
        fs::write(folder.path().join(FILE), "short").unwrap();
        assert_ne!(of_folder(folder.path()), first);
    }
}
