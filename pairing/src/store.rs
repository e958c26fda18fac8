//! Whom an end is paired with: a small file in the user's state folder.

use std::env;
use std::fs;
use std::io;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde::Serialize;

use crate::PairingError;
use crate::identity::Pin;
use crate::identity::make_folder;
use crate::identity::write_whole;

const FILE: &str = "pairings.json";
const LOCK: &str = "lock";
const MOST_BYTES: u64 = 64 << 10;
/// Sessions of a device, devices of a session.
pub const MOST_PAIRINGS: usize = 64;
/// Letters of a name.
pub(crate) const MOST_NAME: usize = 64;

/// Which of the two ends a folder is of: one machine may be both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Device,
    Session,
}

/// The folder of an end's keys and pairings: `offstage/device` or `offstage/session` in the user's state folder.
#[must_use]
pub fn folder(end: End) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let state =
        absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("offstage").join(match end {
        End::Device => "device",
        End::Session => "session",
    }))
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// How this machine is called in lists of pairings; a session's name has its user before it.
#[must_use]
pub fn own_name(end: End) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let user = env::var("USER").or_else(|_unset| env::var("LOGNAME")).unwrap_or_default();
    clean_name(&match end {
        End::Session if !user.is_empty() => format!("{user}@{host}"),
        End::Session | End::Device => host,
    })
}

/// What is left of a name that somebody else gave: it will be on a terminal.
#[must_use]
pub(crate) fn clean_name(name: &str) -> String {
    let plain = |letter: char| if letter.is_alphanumeric() || "-_.@".contains(letter) { letter } else { '_' };
    let name: String = name.chars().take(MOST_NAME).map(plain).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

/// One that an end is paired with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// Unlike every other name of the same store.
    pub name: String,
    pub pin: Pin,
    /// Where it was when it was paired, as `HOST:PORT`: sessions know that of devices.
    pub address: Option<String>,
    /// Seconds since 1970.
    pub since: u64,
}

/// The file. Each call reads or writes it: other processes do so, too.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    pairings: Vec<StoredPairing>,
}

#[derive(Serialize, Deserialize)]
struct StoredPairing {
    name: String,
    pin: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(default)]
    since: u64,
}

impl Store {
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    /// All pairings, the oldest first; none if there is no file.
    ///
    /// # Errors
    /// [`PairingError::File`] if the file can't be read or holds anything else: then nobody is trusted.
    pub fn list(&self) -> Result<Vec<Pairing>, PairingError> {
        let path = self.folder.join(FILE);
        let file_error = |what: String| PairingError::File { path: path.clone(), what };
        let Some(bytes) = read_bounded(&path, MOST_BYTES)? else { return Ok(Vec::new()) };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| file_error(error.to_string()))?;
        if stored.pairings.len() > MOST_PAIRINGS {
            return Err(file_error(format!("more than {MOST_PAIRINGS} pairings")));
        }
        stored
            .pairings
            .into_iter()
            .map(|stored| {
                let pin = stored.pin.parse().map_err(|error| file_error(format!("{error}")))?;
                let name = clean_name(&stored.name);
                Ok(Pairing { name, pin, address: stored.address, since: stored.since })
            })
            .collect()
    }

    /// Adds a pairing; it takes the place of one with the same key or the same address. Returns it with the name that it got.
    ///
    /// # Errors
    /// [`PairingError::File`] if the file can't be read or written, or is full.
    pub fn add(&self, mut pairing: Pairing) -> Result<Pairing, PairingError> {
        let _lock = self.lock()?;
        let mut all = self.list()?;
        all.retain(|old| old.pin != pairing.pin && (old.address.is_none() || old.address != pairing.address));
        let wanted = clean_name(&pairing.name);
        let taken = |name: &str| all.iter().any(|old| old.name == name);
        let numbered = (2..).map(|number: usize| format!("{wanted}-{number}"));
        pairing.name =
            [wanted.clone()].into_iter().chain(numbered).find(|name| !taken(name)).unwrap_or(wanted);
        if all.len() >= MOST_PAIRINGS {
            let what = format!("there are {MOST_PAIRINGS} pairings; remove some");
            return Err(PairingError::File { path: self.folder.join(FILE), what });
        }
        all.push(pairing.clone());
        self.write(all)?;
        Ok(pairing)
    }

    /// Removes the pairings of this name or with a key that begins so (eight digits at least); returns them.
    ///
    /// # Errors
    /// [`PairingError::File`] if the file can't be read or written.
    pub fn remove(&self, which: &str) -> Result<Vec<Pairing>, PairingError> {
        let _lock = self.lock()?;
        let (gone, kept): (Vec<_>, Vec<_>) = self.list()?.into_iter().partition(|pairing| {
            pairing.name == which || (which.len() >= 8 && pairing.pin.to_string().starts_with(which))
        });
        if !gone.is_empty() {
            self.write(kept)?;
        }
        Ok(gone)
    }

    fn write(&self, all: Vec<Pairing>) -> Result<(), PairingError> {
        let path = self.folder.join(FILE);
        let stored = |Pairing { name, pin, address, since }: Pairing| StoredPairing {
            name,
            pin: pin.to_string(),
            address,
            since,
        };
        let stored = Stored { pairings: all.into_iter().map(stored).collect() };
        let written = serde_json::to_vec_pretty(&stored)
            .map_err(io::Error::from)
            .and_then(|json| write_whole(&path, &json));
        written.map_err(|error| PairingError::File { path, what: error.to_string() })
    }

    fn lock(&self) -> Result<fs::File, PairingError> {
        lock(&self.folder)
    }
}

/// Keeps other processes from changing the folder's files while it lives.
pub(crate) fn lock(folder: &Path) -> Result<fs::File, PairingError> {
    make_folder(folder)?;
    let path = folder.join(LOCK);
    let locked = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .and_then(|file| file.lock().map(|()| file));
    locked.map_err(|error| PairingError::File { path, what: error.to_string() })
}

/// A file's bytes; `None` if there is none.
pub(crate) fn read_bounded(path: &Path, most: u64) -> Result<Option<Vec<u8>>, PairingError> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    let file_error = |what: String| PairingError::File { path: path.to_path_buf(), what };
    match read {
        Ok(length) if u64::try_from(length).unwrap_or(u64::MAX) > most => {
            Err(file_error("the file is too long".to_owned()))
        }
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_error(error.to_string())),
    }
}

/// Pairings as people read them, a line each.
#[must_use]
pub fn to_text(all: &[Pairing], now: u64) -> String {
    let line = |pairing: &Pairing| {
        let days = now.saturating_sub(pairing.since) / (24 * 60 * 60);
        let when = match days {
            0 => "today".to_owned(),
            1 => "yesterday".to_owned(),
            more => format!("{more} days ago"),
        };
        let key: String = pairing.pin.to_string().chars().take(16).collect();
        let place = pairing.address.as_ref().map(|address| format!("  {address}")).unwrap_or_default();
        format!("{:<24} key {key}  paired {when}{place}\n", pairing.name)
    };
    if all.is_empty() { "none\n".to_owned() } else { all.iter().map(line).collect() }
}

/// Pairings for programs: a list of `{"name", "key", "address", "since"}`.
#[must_use]
pub fn to_json(all: &[Pairing]) -> String {
    let json = |pairing: &Pairing| {
        serde_json::json!({
            "name": pairing.name,
            "key": pairing.pin.to_string(),
            "address": pairing.address,
            "since": pairing.since,
        })
    };
    serde_json::Value::from(all.iter().map(json).collect::<Vec<_>>()).to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn pairing(name: &str, key: &[u8], address: Option<&str>) -> Pairing {
        Pairing { name: name.to_owned(), pin: Pin::of(key), address: address.map(str::to_owned), since: 1 }
    }

    fn names(store: &Store) -> Vec<String> {
        store.list().unwrap().into_iter().map(|pairing| pairing.name).collect()
    }

    #[test]
    fn pairings_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(&folder.path().join("x"));
        assert_eq!(names(&store), [""; 0]);
        let first = store.add(pairing("desk", b"1", None)).unwrap();
        assert_eq!(store.list().unwrap(), [first]);
        assert_eq!(fs::metadata(folder.path().join("x").join(FILE)).unwrap().mode() & 0o777, 0o600);
        assert_eq!(store.add(pairing("desk", b"2", None)).unwrap().name, "desk-2");
        store.add(pairing("desk", b"1", None)).unwrap();
        assert_eq!(names(&store), ["desk-2", "desk"], "the same key is the same pairing");
        assert_eq!(store.remove("nobody").unwrap(), []);
        assert_eq!(store.remove("desk").unwrap().len(), 1);
        assert_eq!(store.remove(&Pin::of(b"2").to_string()[..8]).unwrap().len(), 1);
        assert_eq!(names(&store), [""; 0]);
    }

    #[test]
    fn a_device_that_is_paired_anew_takes_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        store.add(pairing("old", b"1", Some("a:1"))).unwrap();
        store.add(pairing("other", b"2", Some("b:1"))).unwrap();
        store.add(pairing("new", b"3", Some("a:1"))).unwrap();
        assert_eq!(names(&store), ["other", "new"]);
    }

    #[test]
    fn a_list_is_a_line_each() {
        let all = [pairing("desk", b"1", None), pairing("laptop", b"2", Some("a:1"))];
        let text = to_text(&all, 3 * 24 * 60 * 60 + 2);
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with("paired 3 days ago  a:1\n"), "{text}");
        assert_eq!(to_text(&[], 0), "none\n");
        let json: serde_json::Value = serde_json::from_str(&to_json(&all)).unwrap();
        assert_eq!(json[1]["address"], "a:1");
    }

    #[test]
    fn names_of_others_are_harmless_on_a_terminal() {
        assert_eq!(clean_name("a\u{1b}[31m b\u{202e}"), "a__31m_b_");
        assert_eq!(clean_name(""), "unnamed");
        assert_eq!(clean_name(&"x".repeat(1000)).len(), MOST_NAME);
    }

    #[test]
    fn a_file_that_holds_anything_else_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let many = format!(
            r#"{{"pairings":[{}]}}"#,
            vec![format!(r#"{{"name":"x","pin":"{}"}}"#, Pin::of(b"")); 65].join(",")
        );
        let long = " ".repeat(70_000);
        for garbage in ["", "\u{0}\u{ff}", "[]", r#"{"pairings":[{"name":"x","pin":"12"}]}"#, &many, &long] {
            fs::write(&path, garbage).unwrap();
            let store = Store::new(folder.path());
            for error in [store.list().unwrap_err(), store.add(pairing("a", b"1", None)).unwrap_err()] {
                assert!(matches!(error, PairingError::File { .. }), "{error}");
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), garbage);
        }
    }
}
