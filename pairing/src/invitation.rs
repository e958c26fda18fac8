//! A code that a device shows for a while: until when, how often it may be tried, and what has become of it.
//!
//! It is a file of the user's, because the process that shows the code need not be the one that takes the connection.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::PairingError;
use crate::code::Code;
use crate::identity::write_whole;
use crate::store::lock;
use crate::store::read_bounded;

const FILE: &str = "invitation.json";
const MOST_BYTES: u64 = 4096;

/// How long a code is good for, in seconds.
pub const VALID: u64 = 5 * 60;
/// Wrong tries that end it.
pub const TRIES: u32 = 5;

/// A code with its fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    code: Code,
    /// Seconds since 1970.
    until: u64,
    begun: u32,
    wrong: u32,
    paired: Option<String>,
}

/// What has become of an invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It can still be used; so often it was used with a wrong code.
    Open {
        wrong: u32,
    },
    Paired {
        name: String,
    },
    Expired,
    TriesUsedUp,
}

impl Invitation {
    #[must_use]
    pub fn new(now: u64, code: Code) -> Self {
        Self { code, until: now.saturating_add(VALID), begun: 0, wrong: 0, paired: None }
    }

    #[must_use]
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// So often it was tried without success.
    #[must_use]
    pub fn wrong(&self) -> u32 {
        self.wrong
    }

    #[must_use]
    pub fn fate(&self, now: u64) -> Fate {
        if let Some(name) = &self.paired {
            Fate::Paired { name: name.clone() }
        } else if self.wrong >= TRIES {
            Fate::TriesUsedUp
        } else if now >= self.until {
            Fate::Expired
        } else {
            Fate::Open { wrong: self.wrong }
        }
    }

    /// Takes one of the tries. It is taken before the outcome is known, so that tries at the same time are no more than those in turn.
    ///
    /// # Errors
    /// If there are no more.
    pub fn begin(&mut self, now: u64) -> Result<Code, PairingError> {
        match self.fate(now) {
            Fate::Open { .. } if self.begun < TRIES => {
                self.begun += 1;
                Ok(self.code.clone())
            }
            Fate::Open { .. } | Fate::TriesUsedUp => Err(PairingError::TriesUsedUp),
            Fate::Expired => Err(PairingError::CodeExpired),
            // One success is all.
            Fate::Paired { .. } => Err(PairingError::NotPairing),
        }
    }

    /// A try has ended without success.
    pub fn failed(&mut self) {
        self.wrong += 1;
    }

    /// A try has succeeded; false if another was faster, or the time is over.
    #[must_use]
    pub fn succeeded(&mut self, now: u64, name: &str) -> bool {
        let open = self.paired.is_none() && now < self.until;
        if open {
            self.paired = Some(name.to_owned());
        }
        open
    }

    /// The success has come to nothing: the other end could not be kept.
    pub fn take_back(&mut self) {
        self.paired = None;
        self.wrong += 1;
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    code: String,
    until: u64,
    begun: u32,
    wrong: u32,
    paired: Option<String>,
}

/// The file.
#[derive(Clone, Debug)]
pub struct InvitationFile {
    folder: PathBuf,
    path: PathBuf,
}

impl InvitationFile {
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), path: folder.join(FILE) }
    }

    /// What is there now.
    ///
    /// # Errors
    /// [`PairingError::File`] if it can't be read or holds anything else.
    pub fn read(&self) -> Result<Option<Invitation>, PairingError> {
        let Some(bytes) = read_bounded(&self.path, MOST_BYTES)? else { return Ok(None) };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| self.error(error.to_string()))?;
        let code = stored.code.parse().map_err(|error| self.error(format!("{error}")))?;
        let Stored { until, begun, wrong, paired, .. } = stored;
        Ok(Some(Invitation { code, until, begun, wrong, paired }))
    }

    /// Puts a new one in the place of what is there.
    ///
    /// # Errors
    /// [`PairingError::File`] if it can't be written.
    pub fn put(&self, invitation: &Invitation) -> Result<(), PairingError> {
        let _lock = lock(&self.folder)?;
        self.write(invitation)
    }

    /// Changes the one of this code, or whichever is there; whatever else has changed it in between waits.
    ///
    /// # Errors
    /// [`PairingError::NotPairing`] if there is none, and errors of the file.
    pub fn change<T>(
        &self,
        of: Option<&Code>,
        change: impl FnOnce(&mut Invitation) -> T,
    ) -> Result<T, PairingError> {
        let _lock = lock(&self.folder)?;
        let found = self.read()?.filter(|found| of.is_none_or(|code| found.code == *code));
        let mut invitation = found.ok_or(PairingError::NotPairing)?;
        let done = change(&mut invitation);
        self.write(&invitation)?;
        Ok(done)
    }

    /// Removes the one of this code; another's stays.
    ///
    /// # Errors
    /// [`PairingError::File`] if it can't be removed.
    pub fn close(&self, code: &Code) -> Result<(), PairingError> {
        let _lock = lock(&self.folder)?;
        if self.read()?.is_some_and(|found| found.code == *code) {
            fs::remove_file(&self.path).map_err(|error| self.error(error.to_string()))?;
        }
        Ok(())
    }

    fn write(&self, invitation: &Invitation) -> Result<(), PairingError> {
        let Invitation { code, until, begun, wrong, paired } = invitation.clone();
        let stored = Stored { code: code.to_string(), until, begun, wrong, paired };
        serde_json::to_vec(&stored)
            .map_err(io::Error::from)
            .and_then(|json| write_whole(&self.path, &json))
            .map_err(|error| self.error(error.to_string()))
    }

    fn error(&self, what: String) -> PairingError {
        PairingError::File { path: self.path.clone(), what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> Code {
        "ABCD-2345".parse().unwrap()
    }

    #[test]
    fn five_tries_and_no_more_even_at_the_same_time() {
        let mut invitation = Invitation::new(0, code());
        for _ in 0..TRIES {
            invitation.begin(1).unwrap();
        }
        assert!(matches!(invitation.begin(1), Err(PairingError::TriesUsedUp)));
        assert_eq!(invitation.fate(1), Fate::Open { wrong: 0 }, "the last may still succeed");
        (0..TRIES).for_each(|_| invitation.failed());
        assert_eq!(invitation.fate(1), Fate::TriesUsedUp);
    }

    #[test]
    fn one_success_is_all() {
        let mut invitation = Invitation::new(0, code());
        invitation.begin(1).unwrap();
        invitation.begin(1).unwrap();
        assert!(invitation.succeeded(1, "a"));
        assert!(!invitation.succeeded(1, "b"));
        assert_eq!(invitation.fate(1), Fate::Paired { name: "a".to_owned() });
        assert!(matches!(invitation.begin(1), Err(PairingError::NotPairing)));
    }

    #[test]
    fn five_minutes() {
        let mut invitation = Invitation::new(100, code());
        invitation.begin(100 + VALID - 1).unwrap();
        assert!(matches!(invitation.begin(100 + VALID), Err(PairingError::CodeExpired)));
        assert!(!invitation.succeeded(100 + VALID, "late"));
        assert_eq!(invitation.fate(100 + VALID), Fate::Expired);
    }

    #[test]
    fn what_one_process_changes_another_sees() {
        let folder = tempfile::tempdir().unwrap();
        let file = InvitationFile::new(folder.path());
        assert!(matches!(file.change(None, |_| ()), Err(PairingError::NotPairing)));
        file.put(&Invitation::new(0, code())).unwrap();
        InvitationFile::new(folder.path()).change(Some(&code()), Invitation::failed).unwrap();
        assert_eq!(file.read().unwrap().unwrap().fate(1), Fate::Open { wrong: 1 });
        let other: Code = "ZZZZ-ZZZZ".parse().unwrap();
        assert!(matches!(file.change(Some(&other), |_| ()), Err(PairingError::NotPairing)));
        file.close(&other).unwrap();
        assert!(file.read().unwrap().is_some());
        file.close(&code()).unwrap();
        assert_eq!(file.read().unwrap(), None);
    }

    #[test]
    fn garbage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for garbage in ["", "{}", "null", &"x".repeat(5000)] {
            fs::write(folder.path().join(FILE), garbage).unwrap();
            let error = InvitationFile::new(folder.path()).read().unwrap_err();
            assert!(matches!(error, PairingError::File { .. }), "{error}");
        }
    }
}
