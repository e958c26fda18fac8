//! Settings: tables that say what each is called, what it holds and who may set it, and what counts of what policy and person have
//! given. `manifest/policy/` and `docs/policy.md` are made from the tables.
//!
//! Policy beats the person, the person beats the default. What is wrong is left out, told as a [`Problem`], and the default counts.

pub mod device;
pub mod extension;
pub mod pattern;

use offstage_protocol::ErrorCode;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::pattern::Pattern;

/// Most entries of a list; a longer list is cut, and that is a problem that is told.
pub const MOST_ENTRIES: usize = 2000;
/// Most problems that are told.
const MOST_PROBLEMS: usize = 100;
/// Longest text of an entry that is told.
const MOST_TOLD: usize = 100;
/// Most entries of anything that is read, and how deep.
const MOST_READ: usize = 5000;

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Switch,
    /// Patterns of sites ([`Pattern::parse_site`]).
    Sites,
    /// The same, of whole origins only.
    Origins,
    /// Names of settings.
    Keys,
    /// Any texts; who uses them tells what is wrong.
    Texts,
    /// Numbers of ports.
    Ports,
    /// One of these words; the first one is the default.
    Word(&'static [&'static str]),
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    pub key: &'static str,
    pub kind: Kind,
    /// The default of a switch.
    pub on: bool,
    /// Whether the person may set it as well.
    pub person: bool,
    pub title: &'static str,
    pub description: &'static str,
}

const fn switch(key: &'static str, on: bool, title: &'static str, description: &'static str) -> Setting {
    Setting { key, kind: Kind::Switch, on, person: true, title, description }
}

const fn list(
    key: &'static str,
    kind: Kind,
    person: bool,
    title: &'static str,
    description: &'static str,
) -> Setting {
    Setting { key, kind, on: false, person, title, description }
}

/// A value as somebody has given it: any JSON, of bounded size.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Value {
    #[default]
    Nothing,
    Switch(bool),
    Number(f64),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// Where an effective value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Default,
    Person,
    Policy,
}

impl Origin {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Person => "person",
            Self::Policy => "policy",
        }
    }
}

/// What counts, and why.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Effective {
    pub key: &'static str,
    pub value: Value,
    pub source: Origin,
    /// The person can't change it.
    pub locked: bool,
}

/// Something that somebody has set wrongly.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    pub key: String,
    pub code: String,
    pub source: Origin,
    /// What is wrong, with the entry.
    pub text: String,
}

/// The settings in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    table: &'static [Setting],
    rows: Vec<Row>,
    problems: Vec<Problem>,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    effective: Effective,
    /// What policy and person gave, valid entries only.
    policy: Option<Value>,
    person: Option<Value>,
}

impl Settings {
    /// Of the administrator's and the person's settings, each an object with the table's keys.
    #[must_use]
    pub fn new(table: &'static [Setting], managed: &Value, local: &Value) -> Self {
        let mut problems = Vec::new();
        let mut read = |all: &Value, source: Origin| -> Vec<Option<Value>> {
            let entries: &[(String, Value)] = match all {
                Value::Object(entries) => entries,
                Value::Nothing => &[],
                Value::Switch(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                    let text = "the settings are no object".to_owned();
                    problems.push(Problem::new("", ErrorCode::CONFIG_INVALID, source, text));
                    &[]
                }
            };
            if source == Origin::Policy {
                for (key, _) in entries.iter().filter(|(key, _)| find(table, key).is_none()) {
                    let text = format!("{} is no setting", told(key));
                    problems.push(Problem::new(&told(key), ErrorCode::CONFIG_INVALID, source, text));
                }
            }
            let of = |setting: &Setting| {
                let (_, value) = entries.iter().find(|(key, _)| key == setting.key)?;
                if source == Origin::Person && !setting.person {
                    return None;
                }
                check(table, setting, value, source, &mut problems)
            };
            table.iter().map(of).collect()
        };
        let policy = read(managed, Origin::Policy);
        let person = read(local, Origin::Person);
        let locked: Vec<String> = table
            .iter()
            .zip(&policy)
            .filter(|(setting, _)| setting.key == "locked")
            .flat_map(|(_, value)| texts(value.as_ref()))
            .collect();
        let rows = table.iter().zip(policy.into_iter().zip(person)).map(|(setting, (policy, person))| {
            let person = person.filter(|_| !locked.iter().any(|key| key == setting.key));
            let is_locked =
                !setting.person || policy.is_some() || locked.iter().any(|key| key == setting.key);
            let (value, source) = match (&policy, &person) {
                (Some(value), _) => (value.clone(), Origin::Policy),
                (None, Some(value)) => (value.clone(), Origin::Person),
                (None, None) => (setting.default(), Origin::Default),
            };
            let effective = Effective { key: setting.key, value, source, locked: is_locked };
            Row { effective, policy, person }
        });
        problems.truncate(MOST_PROBLEMS);
        Self { table, rows: rows.collect(), problems }
    }

    /// What counts, in the table's order.
    pub fn effective(&self) -> impl Iterator<Item = &Effective> {
        self.rows.iter().map(|row| &row.effective)
    }

    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What is wrong with a value beyond its form, as whoever uses it has found.
    pub fn tell(&mut self, key: &str, code: ErrorCode, text: &str) {
        if self.problems.len() < MOST_PROBLEMS {
            let source = self.row(key).map_or(Origin::Default, |row| row.effective.source);
            self.problems.push(Problem::new(key, code, source, told(text)));
        }
    }

    #[must_use]
    pub fn is_on(&self, key: &str) -> bool {
        self.row(key).is_some_and(|row| row.effective.value == Value::Switch(true))
    }

    #[must_use]
    pub fn word(&self, key: &str) -> &str {
        match self.row(key).map(|row| &row.effective.value) {
            Some(Value::Text(word)) => word,
            _ => "",
        }
    }

    /// A list's entries that count; a port is a text of digits.
    #[must_use]
    pub fn list(&self, key: &str) -> Vec<String> {
        texts(self.row(key).map(|row| &row.effective.value))
    }

    /// A list's entries by policy; none if no policy gives any.
    #[must_use]
    pub fn of_policy(&self, key: &str) -> Option<Vec<String>> {
        self.row(key)?.policy.as_ref().map(|value| texts(Some(value)))
    }

    /// A list's entries by the person, as far as they may.
    #[must_use]
    pub fn of_person(&self, key: &str) -> Vec<String> {
        texts(self.row(key).and_then(|row| row.person.as_ref()))
    }

    /// What the person wants to set, as it is to be stored.
    ///
    /// # Errors
    /// [`ErrorCode::POLICY_DENIED`] if it is not theirs to set, [`ErrorCode::CONFIG_INVALID`] if it is none or of another kind,
    /// [`ErrorCode::SITE_LIST_INVALID`] if an entry is none.
    pub fn set(&self, key: &str, value: &Value) -> Result<Value, ErrorCode> {
        let setting = find(self.table, key).ok_or(ErrorCode::CONFIG_INVALID)?;
        if !setting.person || self.row(key).is_some_and(|row| row.effective.locked) {
            return Err(ErrorCode::POLICY_DENIED);
        }
        let mut problems = Vec::new();
        let checked = check(self.table, setting, value, Origin::Person, &mut problems);
        match (checked, problems.first()) {
            (Some(value), None) => Ok(value),
            (_, Some(_)) if matches!(setting.kind, Kind::Sites) => Err(ErrorCode::SITE_LIST_INVALID),
            _ => Err(ErrorCode::CONFIG_INVALID),
        }
    }

    fn row(&self, key: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.effective.key == key)
    }
}

impl Setting {
    /// What counts if nobody says anything.
    #[must_use]
    pub fn default(&self) -> Value {
        match self.kind {
            Kind::Switch => Value::Switch(self.on),
            Kind::Word(words) => {
                Value::Text(words.first().map_or_else(String::new, |word| (*word).to_owned()))
            }
            Kind::Sites | Kind::Origins | Kind::Keys | Kind::Texts | Kind::Ports => Value::List(Vec::new()),
        }
    }
}

impl Problem {
    fn new(key: &str, code: ErrorCode, source: Origin, text: String) -> Self {
        Self { key: key.to_owned(), code: code.to_string(), source, text }
    }
}

fn find(table: &'static [Setting], key: &str) -> Option<&'static Setting> {
    table.iter().find(|setting| setting.key == key)
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let Some(Value::List(entries)) = value else { return Vec::new() };
    entries
        .iter()
        .filter_map(|entry| match entry {
            Value::Text(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Nothing | Value::Switch(_) | Value::List(_) | Value::Object(_) => None,
        })
        .collect()
}

/// Shortened, for people.
fn told(text: &str) -> String {
    text.chars().take(MOST_TOLD).collect()
}

/// The value with its valid entries; nothing if it is of another kind.
fn check(
    table: &'static [Setting],
    setting: &Setting,
    value: &Value,
    source: Origin,
    problems: &mut Vec<Problem>,
) -> Option<Value> {
    let mut tell = |code, text| problems.push(Problem::new(setting.key, code, source, text));
    match (setting.kind, value) {
        (_, Value::Nothing) => None,
        (Kind::Switch, Value::Switch(on)) => Some(Value::Switch(*on)),
        // The registry has no truth values.
        (Kind::Switch, Value::Number(number)) if *number == 0.0 || *number == 1.0 => {
            Some(Value::Switch(*number == 1.0))
        }
        (Kind::Switch, _) => {
            tell(ErrorCode::CONFIG_INVALID, "it has to be true or false".to_owned());
            None
        }
        (Kind::Word(words), Value::Text(word)) if words.contains(&word.as_str()) => {
            Some(Value::Text(word.clone()))
        }
        (Kind::Word(words), _) => {
            tell(ErrorCode::CONFIG_INVALID, format!("it has to be one of {}", words.join(", ")));
            None
        }
        (Kind::Sites | Kind::Origins | Kind::Keys | Kind::Texts | Kind::Ports, Value::List(entries)) => {
            if entries.len() > MOST_ENTRIES {
                tell(
                    ErrorCode::SITE_LIST_INVALID,
                    format!("more than {MOST_ENTRIES} entries; the others are left out"),
                );
            }
            let mut good = Vec::new();
            for entry in entries.iter().take(MOST_ENTRIES) {
                if setting.kind == Kind::Ports {
                    let is_port =
                        matches!(entry, Value::Number(n) if n.fract() == 0.0 && (1.0..65536.0).contains(n));
                    if is_port {
                        good.push(entry.clone());
                    } else {
                        tell(ErrorCode::CONFIG_INVALID, "an entry is no number of a port".to_owned());
                    }
                    continue;
                }
                let Value::Text(text) = entry else {
                    tell(ErrorCode::SITE_LIST_INVALID, "an entry is no text".to_owned());
                    continue;
                };
                let wrong = match setting.kind {
                    Kind::Keys => find(table, text).is_none().then_some("is no setting"),
                    Kind::Texts => None,
                    Kind::Origins => match Pattern::parse_site(text) {
                        None => Some("is no pattern of sites"),
                        // A document's origin is all that the browser vouches for.
                        Some(pattern) => {
                            (!pattern.is_whole()).then_some("has a path; only whole origins count here")
                        }
                    },
                    Kind::Sites | Kind::Ports | Kind::Switch | Kind::Word(_) => {
                        Pattern::parse_site(text).is_none().then_some("is no pattern of sites")
                    }
                };
                match wrong {
                    None => good.push(entry.clone()),
                    Some(wrong) => tell(ErrorCode::SITE_LIST_INVALID, format!("{} {wrong}", told(text))),
                }
            }
            Some(Value::List(good))
        }
        (Kind::Sites | Kind::Origins | Kind::Keys | Kind::Texts | Kind::Ports, _) => {
            tell(ErrorCode::CONFIG_INVALID, "it has to be a list".to_owned());
            None
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => serializer.serialize_unit(),
            Self::Switch(on) => serializer.serialize_bool(*on),
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(entries) => serializer.collect_seq(entries),
            Self::Object(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, on: bool) -> Result<Value, E> {
        Ok(Value::Switch(on))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(i32::try_from(number).map_or(f64::NAN, f64::from)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(u32::try_from(number).map_or(f64::NAN, f64::from)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            if list.len() < MOST_READ {
                list.push(entry);
            }
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            if object.len() < MOST_READ {
                object.push(entry);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::extension::SETTINGS;

    fn value(json: serde_json::Value) -> Value {
        serde_json::from_value(json).unwrap()
    }

    fn settings(managed: serde_json::Value, local: serde_json::Value) -> Settings {
        Settings::new(&SETTINGS, &value(managed), &value(local))
    }

    fn of(settings: &Settings, key: &str) -> (serde_json::Value, Origin, bool) {
        let found = settings.effective().find(|effective| effective.key == key).unwrap();
        (serde_json::to_value(&found.value).unwrap(), found.source, found.locked)
    }

    #[test]
    fn policy_beats_the_person_and_the_person_the_default() {
        let all = settings(
            json!({ "videoAllSites": true, "locked": ["videoBlocked"], "callsSites": ["phone.example"] }),
            json!({ "videoAllSites": false, "videoBlocked": ["a.example"], "videoSites": ["b.example"], "logLevel": "debug", "callsSites": ["x.example"] }),
        );
        assert_eq!(of(&all, "videoAllSites"), (json!(true), Origin::Policy, true));
        assert_eq!(of(&all, "videoBlocked"), (json!([]), Origin::Default, true));
        assert_eq!(of(&all, "videoSites"), (json!(["b.example"]), Origin::Person, false));
        assert_eq!(of(&all, "enabled"), (json!(true), Origin::Default, false));
        assert_eq!(of(&all, "logLevel"), (json!("info"), Origin::Default, true), "not the person's");
        assert_eq!(all.of_policy("callsSites"), Some(vec!["phone.example".to_owned()]));
        assert_eq!(
            (all.of_person("callsSites"), all.of_policy("videoSites")),
            (vec!["x.example".to_owned()], None)
        );
        assert!(all.is_on("videoAllSites") && all.is_on("enabled"));
        assert_eq!(all.problems(), []);
    }

    #[test]
    fn what_is_wrong_is_told_and_the_default_counts() {
        let all = settings(
            json!({
                "enabled": "yes", "videoSites": ["good.example", "://", 7], "logLevel": "loud", "unknown": 1,
                "fetchDevice": ["https://a.example/film/*"], "locked": ["nothing"], "videoBlocked": "x.example", "videoAllSites": 1
            }),
            json!({ "videoBlocked": [""] }),
        );
        assert!(all.is_on("enabled") && all.is_on("videoAllSites"));
        assert_eq!(all.of_policy("videoSites"), Some(vec!["good.example".to_owned()]));
        let told: Vec<String> = all
            .problems()
            .iter()
            .map(|p| format!("{:?} {} {}: {}", p.source, p.key, p.code, p.text))
            .collect();
        let expected = [
            "Policy unknown OFS-1503: unknown is no setting",
            "Policy enabled OFS-1503: it has to be true or false",
            "Policy videoSites OFS-1505: :// is no pattern of sites",
            "Policy videoSites OFS-1505: an entry is no text",
            "Policy videoBlocked OFS-1503: it has to be a list",
            "Policy locked OFS-1505: nothing is no setting",
            "Policy fetchDevice OFS-1505: https://a.example/film/* has a path; only whole origins count here",
            "Policy logLevel OFS-1503: it has to be one of info, error, warn, debug, trace",
            "Person videoBlocked OFS-1505:  is no pattern of sites",
        ];
        assert_eq!(told, expected);
        assert_eq!(settings(json!([1]), json!(null)).problems().len(), 1);
    }

    #[test]
    fn the_person_sets_what_is_theirs() {
        let all = settings(json!({ "enabled": true, "locked": ["callsSites"] }), json!({}));
        let set = |key: &str, given: serde_json::Value| all.set(key, &value(given));
        assert_eq!(set("videoAllSites", json!(true)), Ok(Value::Switch(true)));
        assert_eq!(set("videoBlocked", json!(["a.example"])), Ok(value(json!(["a.example"]))));
        assert_eq!(set("videoBlocked", json!(["a.example", "::"])), Err(ErrorCode::SITE_LIST_INVALID));
        for key in ["enabled", "callsSites", "fetchDevice"] {
            assert_eq!(set(key, json!(true)), Err(ErrorCode::POLICY_DENIED), "{key}");
        }
        assert_eq!(set("videoAllSites", json!("on")), Err(ErrorCode::CONFIG_INVALID));
        assert_eq!(set("__proto__", json!(true)), Err(ErrorCode::CONFIG_INVALID));
    }

    #[test]
    fn ports_are_numbers_and_words_have_a_default() {
        let all = |managed| Settings::new(&device::SETTINGS, &value(managed), &Value::Nothing);
        let good =
            all(json!({ "fetchPorts": [8080, 443], "fetch": "device", "fetchNetworks": ["10.0.0.0/8"] }));
        assert_eq!(
            (good.list("fetchPorts"), good.word("fetch")),
            (vec!["8080".into(), "443".into()], "device")
        );
        assert_eq!(good.problems(), []);
        let wrong = all(json!({ "fetchPorts": [0, 65536, 1.5, "80", 81], "fetch": "all" }));
        assert_eq!((wrong.list("fetchPorts"), wrong.word("fetch")), (vec!["81".into()], "session"));
        assert_eq!(wrong.problems().len(), 5);
    }

    fn anything() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
        use proptest::prelude::*;
        let keys: Vec<String> = SETTINGS.iter().map(|s| s.key.to_owned()).chain(["x".to_owned()]).collect();
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|b| json!(b)),
            any::<i64>().prop_map(|n| json!(n)),
            any::<f64>().prop_map(|n| json!(n)),
            ".{0,30}".prop_map(|t| json!(t)),
            proptest::sample::select(vec!["*", "a.example", ".a.example", "https://*/*", "[*.]b.example/x"])
                .prop_map(|t| json!(t)),
        ];
        leaf.prop_recursive(3, 40, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(|list| json!(list)),
                proptest::collection::btree_map(proptest::sample::select(keys.clone()), inner, 0..6)
                    .prop_map(|map| json!(map)),
            ]
        })
    }

    proptest::proptest! {
        #[test]
        fn any_json_gives_settings(managed in anything(), local in anything()) {
            let all = settings(managed, local);
            proptest::prop_assert_eq!(all.effective().count(), SETTINGS.len());
            for setting in &SETTINGS {
                for entry in all.of_policy(setting.key).into_iter().flatten().chain(all.of_person(setting.key)) {
                    proptest::prop_assert!(setting.kind == Kind::Keys || Pattern::parse_site(&entry).is_some());
                }
            }
        }
    }
}
