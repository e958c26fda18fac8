//! What is covered: the list that the extension ships, and what the settings make of it.

use offstage_protocol::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::sites::SiteList;
use offstage_settings::pattern::Pattern;
use offstage_settings::{MOST_ENTRIES, Settings, Value, extension};

/// Everything that settings come from, as the browser hands it over. What isn't there doesn't speak.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Sources {
    pub shipped: SiteList,
    pub managed: Value,
    pub local: Value,
    /// Origins that the browser permits; what isn't known is permitted.
    pub granted: Option<Vec<String>>,
}

/// Hook and relay belong into every frame whose document matches, and isn't excluded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scripts {
    pub matches: Vec<String>,
    pub exclude_matches: Vec<String>,
    /// Documents without an address of their own count as their origin.
    pub match_origin_as_fallback: bool,
}

impl Scripts {
    fn new(matches: Vec<&Pattern>, excluded: Vec<&Pattern>, match_origin_as_fallback: bool) -> Self {
        let texts = |patterns: Vec<&Pattern>| patterns.into_iter().map(|p| p.text().to_owned()).collect();
        Self { matches: texts(matches), exclude_matches: texts(excluded), match_origin_as_fallback }
    }
}

/// The configuration in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    settings: Settings,
    enabled: bool,
    /// What the settings have and the browser doesn't permit, as whole origins.
    missing: Vec<String>,
    sites: Vec<Pattern>,
    blocked: Vec<Pattern>,
    calls: Vec<Pattern>,
    /// Those of them that the browser permits: their calls go to the device.
    redirected_calls: Vec<Pattern>,
    calls_blocked: Vec<Pattern>,
    fetched_by_device: Vec<Pattern>,
}

/// As if nobody had said anything: nothing is covered.
impl Default for Config {
    fn default() -> Self {
        Self::from_sources(&Sources::default())
    }
}

impl Config {
    /// Policy's sites come in place of the list, the person's beside it; what is blocked anywhere is blocked.
    #[must_use]
    pub fn from_sources(sources: &Sources) -> Self {
        let mut settings = Settings::new(&extension::SETTINGS, &sources.managed, &sources.local);
        let parse = |texts: Vec<String>| {
            texts.iter().filter_map(|text| Pattern::parse_site(text)).collect::<Vec<_>>()
        };
        let sites = |key: &str, calls: bool| {
            if let Some(listed) = settings.of_policy(key) {
                return parse(listed);
            }
            let shipped = sources.shipped.patterns(calls);
            let shipped = shipped.iter().filter_map(|text| Pattern::parse(text));
            shipped.chain(parse(settings.of_person(key))).collect()
        };
        let blocked = |key: &str| {
            let policy = settings.of_policy(key).unwrap_or_default();
            parse(policy.into_iter().chain(settings.of_person(key)).collect())
        };
        let wanted = |all: &str, key: &str, calls: bool| match Pattern::parse_site("*") {
            Some(every) if settings.is_on(all) => vec![every],
            _ => sites(key, calls),
        };
        let calls = wanted("callsAllSites", "callsSites", true);
        let videos = wanted("videoAllSites", "videoSites", false);
        let (redirected_calls, missing_calls) = permitted(calls.clone(), sources.granted.as_deref());
        let (permitted, mut missing) = permitted(videos, sources.granted.as_deref());
        let (blocked, calls_blocked) = (blocked("videoBlocked"), blocked("callsBlocked"));
        let enabled = settings.is_on("enabled");
        if enabled {
            let key = if settings.is_on("videoAllSites") { "videoAllSites" } else { "videoSites" };
            missing.iter().for_each(|origins| settings.tell(key, ErrorCode::PERMISSION_MISSING, origins));
            let key = if settings.is_on("callsAllSites") { "callsAllSites" } else { "callsSites" };
            missing_calls
                .iter()
                .for_each(|origins| settings.tell(key, ErrorCode::PERMISSION_MISSING, origins));
        }
        missing.extend(
            missing_calls.into_iter().filter(|origins| !missing.contains(origins)).collect::<Vec<_>>(),
        );
        Self {
            enabled,
            sites: permitted,
            missing,
            blocked,
            calls,
            redirected_calls,
            calls_blocked,
            // Neither a page nor the person may have the device connect somewhere.
            fetched_by_device: parse(settings.of_policy("fetchDevice").unwrap_or_default()),
            settings,
        }
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What to ask the browser for (`chrome.permissions.request`), so that all that the settings have is covered.
    #[must_use]
    pub fn missing_permissions(&self) -> &[String] {
        if self.enabled { &self.missing } else { &[] }
    }

    /// Whether redirection may be tried on a page.
    #[must_use]
    pub fn covers(&self, url: &str) -> bool {
        self.enabled
            && self.sites.iter().any(|pattern| pattern.matches(url))
            && !self.blocked.iter().any(|pattern| pattern.matches(url))
    }

    /// Whether a page is known for its calls.
    #[must_use]
    pub fn is_call_site(&self, url: &str) -> bool {
        self.enabled
            && self.calls.iter().any(|pattern| pattern.matches(url))
            && !self.calls_blocked.iter().any(|pattern| pattern.matches(url))
    }

    /// Whether calls of a page go to the device.
    #[must_use]
    pub fn covers_calls(&self, url: &str) -> bool {
        self.enabled
            && self.redirected_calls.iter().any(|pattern| pattern.matches(url))
            && !self.calls_blocked.iter().any(|pattern| pattern.matches(url))
    }

    /// Whether policy has the device fetch the files of documents of an origin.
    #[must_use]
    pub fn fetches_by_device(&self, origin: &str) -> bool {
        self.fetched_by_device.iter().any(|pattern| pattern.matches(origin))
    }

    /// How many patterns are covered.
    #[must_use]
    pub fn count(&self) -> usize {
        if self.enabled { self.sites.len() + self.redirected_calls.len() } else { 0 }
    }

    /// What hook and relay are registered for. A document without an address of its own (about:blank, srcdoc, blob:, data:) is
    /// covered with the origin that made it. The browser offers that for whole origins only, and it can't tell what path such a
    /// document comes from: where a path is blocked or only a path is covered, documents with an address are all there is.
    #[must_use]
    pub fn scripts(&self) -> [Scripts; 2] {
        if !self.enabled {
            return [Scripts::new(Vec::new(), Vec::new(), true), Scripts::new(Vec::new(), Vec::new(), false)];
        }
        let calls = self.redirected_calls.iter().filter(|call| !self.sites.contains(call));
        let (whole, parts): (Vec<&Pattern>, Vec<&Pattern>) =
            self.sites.iter().chain(calls).partition(|p| p.is_whole());
        let blocked = self.blocked_for_all();
        let in_part: Vec<&Pattern> = blocked.iter().copied().filter(|pattern| !pattern.is_whole()).collect();
        let given_up: Vec<Pattern> =
            in_part.iter().filter_map(|blocked| blocked.common_origins(blocked)).collect();
        let all_blocked = blocked;
        let inherit =
            Scripts::new(whole.clone(), all_blocked.iter().copied().chain(&given_up).collect(), true);
        let left: Vec<Pattern> = given_up
            .iter()
            .flat_map(|origins| whole.iter().filter_map(|site| site.common_origins(origins)))
            .collect();
        let own = parts.into_iter().filter(|part| !whole.iter().any(|site| site.contains(part)));
        [inherit, Scripts::new(own.chain(&left).collect(), all_blocked, false)]
    }

    /// What is blocked for video and not a site of redirected calls, and the other way round.
    fn blocked_for_all(&self) -> Vec<&Pattern> {
        let meets = |all: &[Pattern], one: &Pattern| all.iter().any(|other| other.within(one).is_some());
        let covered = |all: &[Pattern], one: &Pattern| all.iter().any(|other| other.contains(one));
        let of_video = self.blocked.iter().filter(|blocked| {
            !meets(&self.redirected_calls, blocked) || covered(&self.calls_blocked, blocked)
        });
        let of_calls = self.calls_blocked.iter().filter(|blocked| {
            let is_new = !self.blocked.contains(blocked) && !self.redirected_calls.is_empty();
            is_new && (!meets(&self.sites, blocked) || covered(&self.blocked, blocked))
        });
        of_video.chain(of_calls).collect()
    }
}

/// What the browser permits of the patterns, and the origins of what it doesn't: scripts would not run there.
fn permitted(wanted: Vec<Pattern>, granted: Option<&[String]>) -> (Vec<Pattern>, Vec<String>) {
    let Some(granted) = granted else { return (wanted, Vec::new()) };
    let granted: Vec<Pattern> = granted.iter().filter_map(|text| Pattern::parse(text)).collect();
    let (mut permitted, mut missing): (Vec<Pattern>, Vec<String>) = (Vec::new(), Vec::new());
    for pattern in wanted {
        if pattern.is_in(&granted) {
            permitted.push(pattern);
            continue;
        }
        missing.extend(pattern.common_origins(&pattern).map(|origins| origins.text().to_owned()));
        let parts = granted.iter().filter_map(|granted| pattern.within(granted));
        permitted.extend(parts.take(MOST_ENTRIES.saturating_sub(permitted.len())));
    }
    (permitted, missing)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(pages: &[&str], managed: serde_json::Value, local: serde_json::Value) -> Config {
        let shipped = json!({ "sites": [{ "id": "a", "name": "A", "kind": "video", "pages": pages }] });
        let sources = json!({ "shipped": shipped, "managed": managed, "local": local });
        Config::from_sources(&serde_json::from_value(sources).unwrap())
    }

    #[test]
    fn policy_replaces_the_list_the_person_adds_to_it_and_blocked_is_blocked() {
        let of = |managed, local| config(&["https://a.org/*"], managed, local);
        let covered = |config: &Config| -> Vec<&str> {
            let urls = ["https://a.org/", "https://b.org/", "https://c.org/", "https://bank.org/"];
            urls.into_iter().filter(|url| config.covers(url)).collect()
        };
        assert_eq!(covered(&of(json!({}), json!({}))), ["https://a.org/"]);
        assert_eq!(
            covered(&of(json!({}), json!({ "videoSites": ["b.org"] }))),
            ["https://a.org/", "https://b.org/"]
        );
        let policy = json!({ "videoSites": ["c.org", "bank.org"], "videoBlocked": ["bank.org"] });
        assert_eq!(covered(&of(policy.clone(), json!({ "videoSites": ["b.org"] }))), ["https://c.org/"]);
        assert_eq!(covered(&of(policy, json!({ "videoBlocked": ["c.org"] }))), [""; 0]);
        let all = json!({ "videoAllSites": true, "videoBlocked": ["bank.org"] });
        assert_eq!(covered(&of(all, json!({}))).len(), 3);
        assert_eq!(
            covered(&of(json!({ "videoAllSites": false }), json!({ "videoAllSites": true }))).len(),
            1
        );
        let off = of(json!({ "enabled": false, "videoAllSites": true }), json!({ "enabled": true }));
        assert!(covered(&off).is_empty() && off.count() == 0);
        assert!(off.scripts().iter().all(|s| s.matches.is_empty()));
    }

    #[test]
    fn documents_without_an_address_are_covered_where_paths_do_not_matter() {
        let check = |sites: &[&str], blocked: &[&str], expected: [[&[&str]; 2]; 2]| {
            let scripts = config(sites, json!({ "videoBlocked": blocked }), json!({})).scripts();
            for (scripts, [matches, excluded]) in scripts.iter().zip(expected) {
                assert_eq!(
                    (&*scripts.matches, &*scripts.exclude_matches),
                    (&*strings(matches), &*strings(excluded))
                );
            }
        };
        check(
            &["https://a.org/*"],
            &["https://*.b.org/*"],
            [[&["https://a.org/*"], &["https://*.b.org/*"]], [&[], &["https://*.b.org/*"]]],
        );
        check(
            &["https://a.org/video/*", "https://*.b.org/*", "https://b.org/x"],
            &[],
            [[&["https://*.b.org/*"], &[]], [&["https://a.org/video/*"], &[]]],
        );
        check(
            &["https://*/*"],
            &["*://a.org/admin/*"],
            [
                [&["https://*/*"], &["*://a.org/admin/*", "*://a.org/*"]],
                [&["https://a.org/*"], &["*://a.org/admin/*"]],
            ],
        );
    }

    #[test]
    fn only_managed_settings_have_the_device_fetch_and_only_for_whole_origins() {
        let patterns = json!({ "fetchDevice": ["https://a.org", "https://b.org/video/*", "://"] });
        let managed = config(&[], patterns, json!({}));
        assert_eq!(managed.settings().problems().len(), 2);
        for (origin, expected) in [
            ("https://a.org", true),
            ("https://x.a.org", true),
            ("http://a.org", false),
            ("https://b.org", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(managed.fetches_by_device(origin), expected, "{origin}");
        }
        let own = config(&["*://*/*"], json!({}), json!({ "fetchDevice": ["*"] }));
        assert!(!own.fetches_by_device("https://a.org"));
    }

    #[test]
    fn calls_have_their_own_sites_and_are_blocked_by_their_own_list() {
        let is_for_calls = |managed, local| {
            let config = config(&["https://a.org/*"], managed, local);
            ["https://a.org/", "https://b.org/"].map(|url| config.is_call_site(url))
        };
        assert_eq!(is_for_calls(json!({}), json!({})), [false; 2]);
        assert_eq!(is_for_calls(json!({}), json!({ "callsSites": ["b.org"] })), [false, true]);
        assert_eq!(
            is_for_calls(json!({ "callsBlocked": ["b.org"] }), json!({ "callsAllSites": true })),
            [true, false]
        );
        assert_eq!(
            is_for_calls(json!({ "callsAllSites": false }), json!({ "callsAllSites": true })),
            [false; 2]
        );
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_the_browser_does_not_permit_is_not_registered_but_told() {
        let of = |granted: &[&str], all: bool| {
            let pages = ["https://*.a.org/*", "https://b.org/live/*"];
            let shipped = json!({ "sites": [{ "id": "a", "name": "A", "kind": "video", "pages": pages }] });
            let sources =
                json!({ "shipped": shipped, "local": { "videoAllSites": all }, "granted": granted });
            Config::from_sources(&serde_json::from_value(sources).unwrap())
        };
        let matches =
            |config: &Config| config.scripts().iter().flat_map(|s| s.matches.clone()).collect::<Vec<_>>();
        let told = |config: &Config| {
            let problems = config.settings().problems();
            problems.iter().filter(|problem| problem.code == "OFS-1506").count()
        };
        let own = ["https://*.a.org/*", "https://b.org/*"];
        let listed = of(&own, false);
        assert_eq!(matches(&listed), ["https://*.a.org/*", "https://b.org/live/*"]);
        assert_eq!((told(&listed), listed.missing_permissions().len()), (0, 0));
        let all = of(&own, true);
        assert_eq!((matches(&all), told(&all)), (own.map(str::to_owned).to_vec(), 1));
        assert_eq!(all.missing_permissions(), ["*://*/*"]);
        assert!(all.covers("https://b.org/x") && !all.covers("https://c.org/"));
        for granted in [&["<all_urls>"][..], &["*://*/*"], &["http://*/*", "https://*/*"]] {
            let all = of(granted, true);
            assert!(all.covers("https://c.org/") && told(&all) == 0, "{granted:?}");
        }
        let none = of(&[], false);
        assert_eq!(
            (none.count(), told(&none), none.missing_permissions()),
            (0, 2, &own.map(str::to_owned)[..])
        );
    }
}
