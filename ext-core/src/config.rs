//! What is covered: the list that the extension ships, what an administrator manages, what the person switches.

use serde::Deserialize;

use crate::pattern::Pattern;

/// Most patterns that are taken from one list; a longer list is cut.
const MOST_SITES: usize = 2000;

/// The three sources as the browser hands them over. Unknown keys are ignored, missing ones are defaults.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Sources {
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
}

/// The configuration in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    enabled: bool,
    sites: Vec<Pattern>,
    blocked: Vec<Pattern>,
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
        let enabled = managed.enabled.or(local.enabled).or(shipped.enabled).unwrap_or(true);
        Self { enabled, sites, blocked, invalid }
    }

    /// Whether redirection may be tried on a page.
    #[must_use]
    pub fn covers(&self, url: &str) -> bool {
        self.enabled
            && self.sites.iter().any(|pattern| pattern.matches(url))
            && !self.blocked.iter().any(|pattern| pattern.matches(url))
    }

    /// The patterns for which hook and relay are registered.
    #[must_use]
    pub fn matches(&self) -> Vec<String> {
        if !self.enabled {
            return Vec::new();
        }
        self.sites.iter().map(|pattern| pattern.text().to_owned()).collect()
    }

    /// The patterns that are taken out of [`Self::matches`].
    #[must_use]
    pub fn excluded(&self) -> Vec<String> {
        self.blocked.iter().map(|pattern| pattern.text().to_owned()).collect()
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
                enabled: None,
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
        assert!(!off.covers("https://b.org/") && off.matches().is_empty());
    }
}
