//! What is covered: the list that the extension ships, what an administrator manages, what the person switches.

use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;
use crate::sites;

/// Most patterns that are taken from one list; a longer list is cut.
const MOST_SITES: usize = 2000;

/// The three sources as the browser hands them over. Unknown keys are ignored, missing ones are defaults.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Sources {
    #[serde(deserialize_with = "sites::shipped")]
    pub shipped: Source,
    pub managed: Source,
    pub local: Source,
}

/// One source; a value that isn't there doesn't speak.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Source {
    pub enabled: Option<bool>,
    pub sites: Option<Vec<String>>,
    pub blocked: Option<Vec<String>>,
    /// Where calls are to be expected.
    pub calls: Option<Vec<String>>,
    /// Of the managed settings only.
    pub fetch: Option<FetchSource>,
}

/// Who fetches the files of which sites' documents; the session, unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct FetchSource {
    /// Whole origins whose files the device may fetch by itself.
    pub device: Vec<String>,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    enabled: bool,
    sites: Vec<Pattern>,
    blocked: Vec<Pattern>,
    calls: Vec<Pattern>,
    fetched_by_device: Vec<Pattern>,
    /// Entries that are no match patterns, for the log.
    invalid: usize,
}

impl Config {
    /// Managed settings win over the person's, the person's over the shipped ones; what is blocked anywhere is blocked.
    #[must_use]
    pub fn from_sources(sources: &Sources) -> Self {
        let Sources { shipped, managed, local } = sources;
        let mut invalid = 0;
        let mut parse = |list: &[String]| -> Vec<Pattern> {
            let good: Vec<Pattern> =
                list.iter().take(MOST_SITES).filter_map(|text| Pattern::parse(text)).collect();
            invalid += list.len() - good.len();
            good
        };
        let sites = managed.sites.as_ref().or(local.sites.as_ref()).or(shipped.sites.as_ref());
        let sites = sites.map(|list| parse(list)).unwrap_or_default();
        let blocked = [shipped, managed, local]
            .iter()
            .filter_map(|s| s.blocked.as_ref())
            .flat_map(|l| parse(l))
            .collect();
        let calls = shipped.calls.as_ref().map(|list| parse(list)).unwrap_or_default();
        // Neither a page nor the person may have the device connect somewhere.
        let mut fetched_by_device =
            managed.fetch.as_ref().map(|fetch| parse(&fetch.device)).unwrap_or_default();
        let count = fetched_by_device.len();
        // A document's origin is what the browser vouches for.
        fetched_by_device.retain(Pattern::is_whole);
        invalid += count - fetched_by_device.len();
        let enabled = managed.enabled.or(local.enabled).or(shipped.enabled).unwrap_or(true);
        Self { enabled, sites, blocked, calls, fetched_by_device, invalid }
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
        self.enabled && self.calls.iter().any(|pattern| pattern.matches(url))
    }

    /// Whether policy has the device fetch the files of documents of an origin.
    #[must_use]
    pub fn fetches_by_device(&self, origin: &str) -> bool {
        self.fetched_by_device.iter().any(|pattern| pattern.matches(origin))
    }

    /// How many patterns are covered.
    #[must_use]
    pub fn count(&self) -> usize {
        if self.enabled { self.sites.len() } else { 0 }
    }

    /// What hook and relay are registered for. A document without an address of its own (about:blank, srcdoc, blob:, data:) is
    /// covered with the origin that made it. The browser offers that for whole origins only, and it can't tell what path such a
    /// document comes from: where a path is blocked or only a path is covered, documents with an address are all there is.
    #[must_use]
    pub fn scripts(&self) -> [Scripts; 2] {
        if !self.enabled {
            return [Scripts::new(Vec::new(), Vec::new(), true), Scripts::new(Vec::new(), Vec::new(), false)];
        }
        let (whole, parts): (Vec<&Pattern>, Vec<&Pattern>) = self.sites.iter().partition(|p| p.is_whole());
        let in_part: Vec<&Pattern> = self.blocked.iter().filter(|pattern| !pattern.is_whole()).collect();
        let given_up: Vec<Pattern> =
            in_part.iter().filter_map(|blocked| blocked.common_origins(blocked)).collect();
        let all_blocked: Vec<&Pattern> = self.blocked.iter().collect();
        let inherit =
            Scripts::new(whole.clone(), all_blocked.iter().copied().chain(&given_up).collect(), true);
        let left: Vec<Pattern> = given_up
            .iter()
            .flat_map(|origins| whole.iter().filter_map(|site| site.common_origins(origins)))
            .collect();
        let own = parts.into_iter().filter(|part| !whole.iter().any(|site| site.contains(part)));
        [inherit, Scripts::new(own.chain(&left).collect(), all_blocked, false)]
    }

    /// How many entries of the lists were no match patterns.
    #[must_use]
    pub fn invalid(&self) -> usize {
        self.invalid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managed_wins_and_blocked_is_blocked() {
        let list = |text: &str| Some(vec![text.to_owned()]);
        let sources = Sources {
            shipped: Source { sites: list("https://a.org/*"), ..Source::default() },
            managed: Source {
                sites: list("https://*/*"),
                blocked: list("https://bank.org/*"),
                ..Source::default()
            },
            local: Source { enabled: Some(true), sites: list("nonsense"), ..Source::default() },
        };
        let config = Config::from_sources(&sources);
        assert!(config.covers("https://b.org/"));
        assert!(!config.covers("https://bank.org/"));
        assert!(!config.covers("http://b.org/"));
        let off = Config::from_sources(&Sources {
            managed: Source { enabled: Some(false), ..sources.managed.clone() },
            ..sources
        });
        assert!(
            !off.covers("https://b.org/")
                && off.count() == 0
                && off.scripts().iter().all(|s| s.matches.is_empty())
        );
    }

    #[test]
    fn documents_without_an_address_are_covered_where_paths_do_not_matter() {
        let check = |sites: &[&str], blocked: &[&str], expected: [[&[&str]; 2]; 2]| {
            let list = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
            let shipped = Source { sites: list(sites), blocked: list(blocked), ..Source::default() };
            let scripts = Config::from_sources(&Sources { shipped, ..Sources::default() }).scripts();
            for (scripts, [matches, excluded]) in scripts.iter().zip(expected) {
                assert_eq!(
                    (&*scripts.matches, &*scripts.exclude_matches),
                    (&*strings(matches), &*strings(excluded))
                );
            }
        };
        check(
            &["https://a.org/*"],
            &["https://b.org/*"],
            [[&["https://a.org/*"], &["https://b.org/*"]], [&[], &["https://b.org/*"]]],
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
        let fetch = |patterns: &[&str]| Source {
            fetch: Some(FetchSource { device: strings(patterns) }),
            ..Source::default()
        };
        let managed = fetch(&["https://*.a.org/*", "https://b.org/video/*", "nonsense"]);
        let config = Config::from_sources(&Sources { managed, ..Sources::default() });
        assert_eq!(config.invalid(), 2);
        for (origin, expected) in [
            ("https://a.org", true),
            ("https://x.a.org", true),
            ("http://a.org", false),
            ("https://b.org", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(config.fetches_by_device(origin), expected, "{origin}");
        }
        let all = || fetch(&["*://*/*"]);
        let own = Config::from_sources(&Sources { shipped: all(), local: all(), ..Sources::default() });
        assert!(!own.fetches_by_device("https://a.org"));
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }
}
