//! All settings: what is shipped, what an administrator manages, what the person switches; and what they come to.
//!
//! Policy beats the person, the person the defaults. Whatever the sources hold gives a value: what is wrong is left out and told.

mod scripts;
mod table;
#[cfg(test)]
mod tests;

use offstage_protocol::ErrorCode;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;

use crate::pattern::Pattern;
use crate::sites::SiteList;

pub use self::scripts::Scripts;
pub(crate) use self::table::LEVELS;
pub use self::table::{Default as ListDefault, Kind, Setting, TABLE, find};

/// Most patterns that are taken from one list; a longer list is cut.
const MOST_SITES: usize = 2000;
/// Most problems that are told.
const MOST_PROBLEMS: usize = 100;

/// The sources as the browser hands them over.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Sources {
    pub shipped: SiteList,
    /// `chrome.storage.managed`: nested at the dots of keys.
    pub managed: Json,
    /// `chrome.storage.local`: flat.
    pub local: Json,
    /// Origins that the extension has the browser's permission for; none means that it isn't known, and all are taken for granted.
    pub granted: Option<Vec<String>>,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Default,
    Person,
    Policy,
}

/// A setting in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effective {
    pub key: &'static str,
    pub value: Json,
    pub source: Source,
    /// The person can't change it.
    pub locked: bool,
}

/// A wrong value; what it was for has its safe default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub key: String,
    /// A sentence for the one who wrote the value, with the value's beginning.
    pub text: String,
    #[serde(serialize_with = "display")]
    pub code: ErrorCode,
}

/// What is redirected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    Video,
    Calls,
}

/// A value that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Switch(bool),
    Choice(&'static str),
    Sites(Vec<Pattern>),
    Keys(Vec<&'static str>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    setting: &'static Setting,
    value: Value,
    source: Source,
    /// What the person's own list holds, whether it counts or not.
    own: Vec<Pattern>,
    /// What of a joined list policy says.
    policys: Vec<Pattern>,
    locked: bool,
}

/// The settings in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    held: Vec<Held>,
    granted: Option<Vec<Pattern>>,
    /// What is registered of `video.sites`, as far as the browser permits.
    registered: Vec<Pattern>,
    missing: Vec<String>,
    problems: Vec<Problem>,
}

impl Settings {
    /// Never fails: wrong values are told by [`Settings::problems`].
    #[must_use]
    pub fn from_sources(sources: &Sources) -> Self {
        let mut problems = Vec::new();
        let mut held: Vec<Held> = TABLE.iter().map(|setting| hold(setting, sources, &mut problems)).collect();
        unknown(&sources.managed, &mut problems);
        let locked = held
            .iter()
            .find_map(|held| if let Value::Keys(keys) = &held.value { Some(keys.clone()) } else { None });
        for held in &mut held {
            held.locked |= locked.iter().flatten().any(|key| *key == held.setting.key);
            held.join_persons(&sources.shipped);
        }
        let granted = sources
            .granted
            .as_ref()
            .map(|texts| texts.iter().filter_map(|text| Pattern::parse(text)).collect());
        let mut settings = Self { held, granted, registered: Vec::new(), missing: Vec::new(), problems };
        if settings.is_on("enabled") {
            settings.find_registered();
        }
        settings.problems.truncate(MOST_PROBLEMS);
        settings
    }

    /// Each setting with its value and where that comes from, in the table's order.
    #[must_use]
    pub fn effective(&self) -> Vec<Effective> {
        let to_effective = |held: &Held| {
            let (value, locked) = (held.value.to_json(), held.locked || !held.setting.is_persons);
            Effective { key: held.setting.key, value, source: held.source, locked }
        };
        self.held.iter().map(to_effective).collect()
    }

    /// What is wrong in the sources, or not permitted by the browser.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What to ask the browser's permission for (`chrome.permissions.request`): it is covered by the settings and not registered.
    #[must_use]
    pub fn missing_permissions(&self) -> &[String] {
        &self.missing
    }

    /// Whether a switch is on.
    #[must_use]
    pub fn is_on(&self, key: &str) -> bool {
        matches!(self.value(key), Some(Value::Switch(true)))
    }

    /// The least that is logged.
    #[must_use]
    pub fn log_level(&self) -> &'static str {
        if let Some(Value::Choice(level)) = self.value("log.level") { level } else { "info" }
    }

    /// Whether a page is redirected, or why it isn't.
    ///
    /// # Errors
    /// The reason's code.
    pub fn coverage(&self, feature: Feature, url: &str) -> Result<(), ErrorCode> {
        let [all, sites, blocked] = feature.keys();
        let matches = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(url));
        let blocked = self.find(blocked).map(|held| (matches(held.sites()), matches(&held.policys)));
        if !self.is_on("enabled") {
            Err(ErrorCode::SWITCHED_OFF)
        } else if !(self.is_on(all) && Pattern::any().matches(url))
            && !self.find(sites).is_some_and(|held| matches(held.sites()))
        {
            Err(ErrorCode::NOT_COVERED)
        } else if let Some((true, by_policy)) = blocked {
            Err(if by_policy { ErrorCode::POLICY_DENIED } else { ErrorCode::SWITCHED_OFF })
        } else if self.granted.as_ref().is_some_and(|granted| !matches(granted)) {
            Err(ErrorCode::PERMISSION_MISSING)
        } else {
            Ok(())
        }
    }

    /// Whether redirection of videos may be tried on a page.
    #[must_use]
    pub fn covers(&self, url: &str) -> bool {
        self.coverage(Feature::Video, url).is_ok()
    }

    /// Whether a page is known for its calls.
    #[must_use]
    pub fn is_call_site(&self, url: &str) -> bool {
        let is_listed = self
            .find("calls.sites")
            .is_some_and(|held| held.sites().iter().any(|pattern| pattern.matches(url)));
        is_listed && matches!(self.coverage(Feature::Calls, url), Ok(()) | Err(ErrorCode::PERMISSION_MISSING))
    }

    /// Whether policy has the device fetch the files of documents of an origin.
    #[must_use]
    pub fn fetches_by_device(&self, origin: &str) -> bool {
        self.find("fetch.device")
            .is_some_and(|held| held.sites().iter().any(|pattern| pattern.matches(origin)))
    }

    /// How many patterns are covered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.registered.len()
    }

    /// What hook and relay are registered for.
    #[must_use]
    pub fn scripts(&self) -> [Scripts; 2] {
        let blocked = self.find("video.blocked").filter(|_| self.count() > 0);
        Scripts::of(&self.registered, blocked.map(Held::sites).unwrap_or_default())
    }

    /// Whether the person may set this; null takes a setting back.
    ///
    /// # Errors
    /// `SETTING_UNKNOWN`, `POLICY_DENIED` (locked, or policy's), `CONFIG_INVALID`, `SITE_LIST_INVALID`.
    pub fn check(&self, key: &str, value: &Json) -> Result<(), ErrorCode> {
        let held = self.find(key).ok_or(ErrorCode::SETTING_UNKNOWN)?;
        if !held.setting.is_persons || held.locked {
            return Err(ErrorCode::POLICY_DENIED);
        }
        let mut problems = Vec::new();
        if !value.is_null() && (read(held.setting, value, &mut problems).is_none() || !problems.is_empty()) {
            return Err(problems.first().map_or(ErrorCode::CONFIG_INVALID, |problem| problem.code));
        }
        Ok(())
    }

    /// What the person's lists have to be for a site to be redirected, or not to be.
    ///
    /// # Errors
    /// As [`Settings::check`]; `POLICY_DENIED` also if policy's own lists decide.
    pub fn site(
        &self,
        feature: Feature,
        origin: &str,
        on: bool,
    ) -> Result<Vec<(&'static str, Json)>, ErrorCode> {
        let pattern = format!("{origin}/*");
        let pattern =
            Pattern::parse(&pattern).filter(Pattern::is_whole).ok_or(ErrorCode::SITE_LIST_INVALID)?;
        let [all, sites, blocked] = feature.keys();
        let (Some(allowed), Some(denied)) = (self.find(sites), self.find(blocked)) else {
            return Err(ErrorCode::CONFIG_INVALID);
        };
        if on && denied.policys.iter().any(|pattern| pattern.matches(origin)) {
            return Err(ErrorCode::POLICY_DENIED);
        }
        let without =
            |held: &Held| held.own.iter().filter(|own| !own.matches(origin)).cloned().collect::<Vec<_>>();
        let (mut own_allowed, mut own_denied) = (allowed.own.clone(), without(denied));
        if on {
            let is_listed = self.is_on(all) || allowed.sites().iter().any(|listed| listed.matches(origin));
            own_allowed.extend((!is_listed).then_some(pattern));
        } else {
            own_denied.push(pattern);
        }
        let mut changes = Vec::new();
        for (held, own) in [(allowed, own_allowed), (denied, own_denied)] {
            if held.own != own {
                let value = Value::Sites(own).to_json();
                self.check(held.setting.key, &value)?;
                changes.push((held.setting.key, value));
            }
        }
        Ok(changes)
    }

    fn find(&self, key: &str) -> Option<&Held> {
        self.held.iter().find(|held| held.setting.key == key)
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.find(key).map(|held| &held.value)
    }

    /// The browser wouldn't run scripts without its permission; who looks for the reason finds it.
    fn find_registered(&mut self) {
        let mut wanted = self.find("video.sites").map(|held| held.sites().to_vec()).unwrap_or_default();
        if self.is_on("video.allSites") {
            wanted.insert(0, Pattern::any());
        }
        let Some(granted) = &self.granted else {
            self.registered = wanted;
            return;
        };
        for pattern in wanted {
            let is_granted = |part: &Pattern| granted.iter().any(|granted| granted.contains(part));
            let found = if pattern.by_scheme().iter().all(is_granted) {
                vec![pattern]
            } else {
                if let Some(origins) = pattern.common_origins(&pattern) {
                    self.problems.push(Problem {
                        key: "video.sites".to_owned(),
                        text: format!("the extension has no permission for {}", origins.text()),
                        code: ErrorCode::PERMISSION_MISSING,
                    });
                    self.missing.push(origins.text().to_owned());
                }
                granted.iter().filter_map(|granted| pattern.within(granted)).collect()
            };
            for pattern in found {
                if self.registered.len() < MOST_SITES
                    && !self.registered.iter().any(|known| known.text() == pattern.text())
                {
                    self.registered.push(pattern);
                }
            }
        }
    }
}

impl Held {
    fn sites(&self) -> &[Pattern] {
        if let Value::Sites(patterns) = &self.value { patterns } else { &[] }
    }

    /// The person's list is added where it may; what the person set before a setting was locked counts no more.
    fn join_persons(&mut self, shipped: &SiteList) {
        let Kind::Sites(_) = self.setting.kind else {
            if self.locked && self.source == Source::Person {
                (self.value, self.source) = (default(self.setting, shipped), Source::Default);
            }
            return;
        };
        if !self.locked
            && let Value::Sites(patterns) = &mut self.value
        {
            let new: Vec<Pattern> = self.own.iter().filter(|own| !patterns.contains(own)).cloned().collect();
            patterns.extend(new);
            if !self.own.is_empty() {
                self.source = self.source.max(Source::Person);
            }
        }
    }
}

impl Feature {
    fn keys(self) -> [&'static str; 3] {
        match self {
            Self::Video => ["video.allSites", "video.sites", "video.blocked"],
            Self::Calls => ["calls.allSites", "calls.sites", "calls.blocked"],
        }
    }
}

impl Value {
    fn to_json(&self) -> Json {
        match self {
            Self::Switch(on) => Json::Bool(*on),
            Self::Choice(text) => Json::String((*text).to_owned()),
            Self::Sites(patterns) => patterns.iter().map(|pattern| pattern.written().to_owned()).collect(),
            Self::Keys(keys) => keys.iter().map(|key| (*key).to_owned()).collect(),
        }
    }
}

fn hold(setting: &'static Setting, sources: &Sources, problems: &mut Vec<Problem>) -> Held {
    let managed = nested(&sources.managed, setting.key);
    let local = sources.local.get(setting.key);
    let policy = managed.map(|json| read(setting, json, problems));
    let persons = local.filter(|_| setting.is_persons).and_then(|json| read(setting, json, problems));
    let joins = setting.kind == Kind::Sites(ListDefault::Joined);
    let locked = managed.is_some() && !joins;
    let own = if let Some(Value::Sites(patterns)) = &persons { patterns.clone() } else { Vec::new() };
    let (value, source) = match (policy, persons) {
        (Some(Some(value)), _) => (value, Source::Policy),
        // An administrator has meant something: a list of nothing redirects nothing that wasn't meant.
        (Some(None), _) => (safe(setting, &sources.shipped), Source::Default),
        (None, Some(value)) if !matches!(value, Value::Sites(_)) => (value, Source::Person),
        (None, _) => (default(setting, &sources.shipped), Source::Default),
    };
    let policys = match &value {
        Value::Sites(patterns) if source == Source::Policy => patterns.clone(),
        Value::Switch(_) | Value::Choice(_) | Value::Sites(_) | Value::Keys(_) => Vec::new(),
    };
    Held { setting, value, source, own, policys, locked }
}

fn safe(setting: &Setting, shipped: &SiteList) -> Value {
    match setting.kind {
        Kind::Sites(_) => Value::Sites(Vec::new()),
        Kind::Switch(_) | Kind::Choice(..) | Kind::Keys => default(setting, shipped),
    }
}

fn default(setting: &Setting, shipped: &SiteList) -> Value {
    match setting.kind {
        Kind::Switch(on) => Value::Switch(on),
        Kind::Choice(_, text) => Value::Choice(text),
        Kind::Sites(ListDefault::Shipped) => {
            let patterns = shipped.patterns(setting.key.starts_with("calls"));
            Value::Sites(patterns.iter().filter_map(|text| Pattern::parse(text)).take(MOST_SITES).collect())
        }
        Kind::Sites(ListDefault::Joined | ListDefault::Origins) => Value::Sites(Vec::new()),
        Kind::Keys => Value::Keys(Vec::new()),
    }
}

/// The value of a dotted key in nested objects.
fn nested<'a>(json: &'a Json, key: &str) -> Option<&'a Json> {
    key.split('.').try_fold(json, |json, part| json.get(part))
}

/// The value, as far as it is one; what is wrong with it is told.
fn read(setting: &Setting, json: &Json, problems: &mut Vec<Problem>) -> Option<Value> {
    let mut tell = |text: String, code| {
        if problems.len() < MOST_PROBLEMS {
            problems.push(Problem { key: setting.key.to_owned(), text, code });
        }
    };
    let strings = |list: &'_ Vec<Json>| {
        list.iter()
            .take(MOST_SITES)
            .map(|entry| entry.as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    match (setting.kind, json) {
        (Kind::Switch(_), Json::Bool(on)) => return Some(Value::Switch(*on)),
        (Kind::Choice(options, _), Json::String(text)) => {
            if let Some(option) = options.iter().find(|option| *option == text) {
                return Some(Value::Choice(option));
            }
            tell(format!("it must be one of {}", options.join(", ")), ErrorCode::CONFIG_INVALID);
        }
        (Kind::Sites(default), Json::Array(list)) => {
            let mut patterns: Vec<Pattern> = Vec::new();
            for text in strings(list) {
                let whole = default != ListDefault::Origins;
                let parsed = Pattern::from_policy(&text).and_then(|pattern| {
                    if whole || pattern.is_whole() {
                        Ok(pattern)
                    } else {
                        Err("it must take in whole origins")
                    }
                });
                match parsed {
                    Ok(pattern) => patterns.push(pattern),
                    Err(why) => tell(format!("{}: {why}", beginning(&text)), ErrorCode::SITE_LIST_INVALID),
                }
            }
            if list.len() > MOST_SITES {
                tell(format!("only the first {MOST_SITES} entries count"), ErrorCode::SITE_LIST_INVALID);
            }
            return Some(Value::Sites(patterns));
        }
        (Kind::Keys, Json::Array(list)) => {
            let mut keys = Vec::new();
            for text in strings(list) {
                match find(&text) {
                    Some(setting) => keys.push(setting.key),
                    None => tell(
                        format!("{}: there is no such setting", beginning(&text)),
                        ErrorCode::SETTING_UNKNOWN,
                    ),
                }
            }
            return Some(Value::Keys(keys));
        }
        (Kind::Switch(_), _) => tell("it must be true or false".to_owned(), ErrorCode::CONFIG_INVALID),
        (Kind::Choice(..), _) => tell("it must be a text".to_owned(), ErrorCode::CONFIG_INVALID),
        (Kind::Sites(_) | Kind::Keys, _) => {
            tell("it must be a list of texts".to_owned(), ErrorCode::CONFIG_INVALID)
        }
    }
    None
}

/// A name that is no setting's is most likely written wrong.
fn unknown(managed: &Json, problems: &mut Vec<Problem>) {
    let mut tell = |key: String| {
        if !TABLE.iter().any(|setting| setting.key == key) && problems.len() < MOST_PROBLEMS {
            let (key, text) = (beginning(&key), "there is no such setting".to_owned());
            problems.push(Problem { key, text, code: ErrorCode::SETTING_UNKNOWN });
        }
    };
    for (name, value) in managed.as_object().into_iter().flatten() {
        let is_group =
            TABLE.iter().any(|setting| setting.key.split_once('.').is_some_and(|(group, _)| group == name));
        match value {
            Json::Object(entries) if is_group => {
                entries.keys().for_each(|entry| tell(format!("{name}.{entry}")))
            }
            _ => tell(name.clone()),
        }
    }
}

fn beginning(text: &str) -> String {
    text.chars().take(100).collect()
}

fn display<S: Serializer>(code: &ErrorCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(code)
}
