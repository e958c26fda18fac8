//! What this device does for sessions, whatever they want: the machine's file, which is policy, and the person's.
//!
//! The settings are the table [`offstage_settings::device`]. Files are read whole, at most [`MOST_BYTES`] of them.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use offstage_protocol::ErrorCode;
use offstage_settings::device::SETTINGS;
use offstage_settings::pattern::Pattern;
use offstage_settings::{Settings, Value};

#[cfg(unix)]
use self::unix as own;
#[cfg(windows)]
use self::windows as own;
use crate::fetch::guard::Guard;

/// Of the machine; who may write it decides for everybody who uses this device.
#[must_use]
pub fn machine() -> PathBuf {
    own::of_machine().join(FILE_NAME)
}

/// Of the person.
fn person() -> Option<PathBuf> {
    Some(own::of_person()?.join(FILE_NAME))
}

const FILE_NAME: &str = "client.json";
/// Nobody writes that much by hand.
const MOST_BYTES: u64 = 1_000_000;

/// Where settings come from.
#[derive(Debug, Clone)]
pub struct Sources {
    pub machine: PathBuf,
    pub person: Option<PathBuf>,
    /// Given on the command line; beats the person's file.
    pub flags: Vec<(String, Value)>,
}

impl Sources {
    /// The usual places.
    #[must_use]
    pub fn usual() -> Self {
        Self { machine: machine(), person: person(), flags: Vec::new() }
    }

    /// Reads the files.
    #[must_use]
    pub fn read(&self) -> Policy {
        let person = self.person.as_deref().map_or(File::Missing, read);
        Policy::new(read(&self.machine), person, self.flags.clone())
    }
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq)]
pub enum File {
    Missing,
    /// It is there, and nobody knows what it says; why.
    Broken(String),
    Object(Vec<(String, Value)>),
}

fn read(path: &Path) -> File {
    let broken = |why: String| File::Broken(format!("{}: {why}", path.display()));
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return File::Missing,
        Err(error) => return broken(error.to_string()),
        Ok(size) if size as u64 > MOST_BYTES => return broken(format!("larger than {MOST_BYTES} bytes")),
        Ok(_) => {}
    }
    match serde_json::from_str(&text) {
        Ok(Value::Object(entries)) => File::Object(entries),
        Ok(_) => broken("no JSON object".to_owned()),
        Err(error) => broken(error.to_string()),
    }
}

/// Whether a site may have microphone and camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    Ask,
    Allowed,
    Denied,
}

/// What counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    settings: Settings,
    /// None: every site.
    sites: Option<Vec<Pattern>>,
    blocked: Vec<Pattern>,
    guard: Option<Guard>,
    plays: bool,
    capture_sites: Vec<Pattern>,
    capture_blocked: Vec<Pattern>,
}

impl Default for Policy {
    fn default() -> Self {
        Self::new(File::Missing, File::Missing, Vec::new())
    }
}

impl Policy {
    #[must_use]
    pub fn new(machine: File, person: File, flags: Vec<(String, Value)>) -> Self {
        let mut told = Vec::new();
        let machine_counts = !matches!(machine, File::Broken(_));
        let mut entries = |file: File| match file {
            File::Missing => Vec::new(),
            File::Object(entries) => entries,
            File::Broken(why) => {
                told.push((String::new(), why));
                Vec::new()
            }
        };
        let (machine, mut person) = (entries(machine), entries(person));
        let unknown = |key: &str| SETTINGS.iter().all(|setting| setting.key != key);
        told.extend(
            person
                .iter()
                .filter(|(key, _)| unknown(key))
                .map(|(key, _)| (key.chars().take(100).collect(), "no setting has this name".to_owned())),
        );
        person.retain(|(key, _)| flags.iter().all(|(given, _)| given != key));
        person.extend(flags);
        let mut settings = Settings::new(&SETTINGS, &Value::Object(machine), &Value::Object(person));
        for (key, why) in told {
            settings.tell(&key, ErrorCode::CONFIG_INVALID, &why);
        }
        let parse = |texts: Vec<String>| texts.iter().filter_map(|text| Pattern::parse_site(text)).collect();
        // An empty list of the person's is none; of policy it means that nothing may play.
        let of_person = Some(settings.of_person("sites")).filter(|sites| !sites.is_empty());
        let sites = settings.of_policy("sites").or(of_person).map(parse);
        let mut blocked = settings.of_policy("blocked").unwrap_or_default();
        blocked.extend(settings.of_person("blocked"));
        let both = |key: &str| {
            let mut all = settings.of_policy(key).unwrap_or_default();
            all.extend(settings.of_person(key));
            parse(all)
        };
        let (capture_sites, capture_blocked) = (both("captureSites"), both("captureBlocked"));
        let mut networks = Vec::new();
        for text in settings.list("fetchNetworks") {
            match text.parse() {
                Ok(network) => networks.push(network),
                Err(error) => {
                    let why = format!("{text} is {error}");
                    settings.tell("fetchNetworks", ErrorCode::CONFIG_INVALID, &why);
                }
            }
        }
        let ports = settings.list("fetchPorts").iter().filter_map(|port| port.parse().ok()).collect();
        Self {
            plays: machine_counts && settings.is_on("play"),
            sites,
            blocked: parse(blocked),
            capture_sites,
            capture_blocked,
            guard: (settings.word("fetch") == "device").then_some(Guard { networks, ports }),
            settings,
        }
    }

    /// Whether anything plays here at all.
    #[must_use]
    pub fn plays(&self) -> bool {
        self.plays
    }

    /// Whether media of a document of this origin may play here; an origin that isn't known may where all may.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        let is_in = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(origin));
        self.sites.as_ref().is_none_or(|sites| is_in(sites)) && !is_in(&self.blocked)
    }

    /// What the device's settings say of a site that wants microphone or camera.
    #[must_use]
    pub fn consent(&self, origin: &str) -> Consent {
        let is_in = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(origin));
        if is_in(&self.capture_blocked) {
            return Consent::Denied;
        }
        match self.settings.word("capture") {
            _ if is_in(&self.capture_sites) => Consent::Allowed,
            "allow" => Consent::Allowed,
            "deny" => Consent::Denied,
            _ => Consent::Ask,
        }
    }

    /// Whether the person is asked for a screen of the device that a site wants to show.
    #[must_use]
    pub fn shares_screens(&self, origin: &str) -> bool {
        self.settings.word("screens") != "deny"
            && !self.capture_blocked.iter().any(|pattern| pattern.matches(origin))
    }

    /// What the device may fetch by itself; nothing without one.
    #[must_use]
    pub fn guard(&self) -> Option<&Guard> {
        self.guard.as_ref()
    }

    /// For people: what counts, where it comes from, what is wrong.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(json: &serde_json::Value) -> File {
        let given = serde_json::from_value(json.clone()).unwrap();
        let Value::Object(entries) = given else { panic!("{given:?}") };
        File::Object(entries)
    }

    fn policy(machine: &serde_json::Value, person: &serde_json::Value) -> Policy {
        Policy::new(object(machine), object(person), Vec::new())
    }

    #[test]
    fn without_files_everything_plays_and_nothing_is_fetched() {
        let policy = Policy::default();
        assert!(policy.plays() && policy.allows("https://a.example") && policy.allows(""));
        assert_eq!((policy.guard(), policy.settings().problems()), (None, &[][..]));
    }

    #[test]
    fn the_machine_beats_the_person_and_what_is_blocked_by_either_is_blocked() {
        let both = policy(
            &json!({ "sites": ["a.example", "b.example"], "blocked": ["b.example"], "fetch": "session" }),
            &json!({ "sites": ["c.example"], "blocked": ["x.a.example"], "fetch": "device", "play": true }),
        );
        let allowed =
            ["https://a.example", "https://b.example", "https://c.example", "https://x.a.example", ""];
        assert_eq!(allowed.map(|origin| both.allows(origin)), [true, false, false, false, false]);
        assert_eq!(both.guard(), None);
        assert!(!policy(&json!({ "play": false }), &json!({ "play": true })).plays());
        assert!(!policy(&json!({}), &json!({ "play": false })).plays());
        assert!(!policy(&json!({ "sites": [] }), &json!({})).allows("https://a.example"));
        assert!(policy(&json!({}), &json!({ "sites": [] })).allows("https://a.example"));
    }

    #[test]
    fn flags_count_as_the_persons() {
        let flags = || vec![("fetch".to_owned(), Value::Text("device".to_owned()))];
        let by = |machine: &serde_json::Value| {
            Policy::new(object(machine), object(&json!({ "fetch": "session", "fetchPorts": [81] })), flags())
        };
        assert_eq!(by(&json!({})).guard().map(|guard| guard.ports.clone()), Some(vec![81]));
        assert_eq!(by(&json!({ "fetch": "session" })).guard(), None);
    }

    #[test]
    fn what_is_wrong_is_told_and_a_machines_file_that_nobody_can_read_forbids_everything() {
        let wrong = policy(
            &json!({ "fetch": "device", "fetchNetworks": ["10.0.0.0/8", "10.1.2.3/8"], "sites": ["a.example/path"] }),
            &json!({ "plays": false }),
        );
        assert_eq!(wrong.guard().map(|guard| guard.networks.len()), Some(1));
        assert!(wrong.plays());
        let keys: Vec<&str> =
            wrong.settings().problems().iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["sites", "plays", "fetchNetworks"]);

        let broken = |machine, person| Policy::new(machine, person, Vec::new());
        let machine = broken(File::Broken("x".to_owned()), File::Missing);
        assert!(!machine.plays() && machine.settings().problems().len() == 1);
        let person = broken(File::Missing, File::Broken("x".to_owned()));
        assert!(person.plays() && person.settings().problems().len() == 1);
    }

    #[test]
    fn files_are_objects_of_bounded_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.json");
        assert_eq!(read(&path), File::Missing);
        for (text, good) in
            [("{\"play\": true}", true), ("[]", false), ("{", false), ("", false), ("\u{0}", false)]
        {
            std::fs::write(&path, text).unwrap();
            assert_eq!(matches!(read(&path), File::Object(_)), good, "{text}");
            assert_eq!(matches!(read(&path), File::Broken(_)), !good, "{text}");
        }
        std::fs::write(&path, vec![b' '; 1_000_001]).unwrap();
        assert!(matches!(read(&path), File::Broken(_)));
        assert!(matches!(read(folder.path()), File::Broken(_)));
    }
}
