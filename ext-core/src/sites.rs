//! The sites that are redirected as long as nobody says otherwise: `www/sites/sites.json`, an entry a site.

use serde::Deserialize;

/// Most sites that are taken from the list, and most patterns of one of them.
const MOST_SITES: usize = 500;
const MOST_PATTERNS: usize = 50;

/// The list as it is shipped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SiteList {
    pub sites: Vec<Site>,
}

/// An entry. How to add one: docs/sites.md.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Site {
    /// Small letters, digits and hyphens; stays.
    pub id: String,
    /// As its owner writes it.
    pub name: String,
    pub kind: Kind,
    /// Match patterns of its own pages.
    #[serde(default)]
    pub pages: Vec<String>,
    /// Match patterns of what other sites embed of it.
    #[serde(default)]
    pub frames: Vec<String>,
    /// What it plays with, as far as known; the first is what it mostly uses.
    #[serde(default)]
    pub players: Vec<Player>,
    #[serde(default)]
    pub notes: String,
}

/// What is redirected there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Video,
    Calls,
    LiveEvent,
}

/// The technology of a player.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Player {
    #[serde(rename = "own code")]
    Own,
    #[serde(rename = "own code webm")]
    OwnWebm,
    #[serde(rename = "own code live")]
    OwnLive,
    #[serde(rename = "hls.js")]
    HlsJs,
    /// hls.js at the live edge.
    #[serde(rename = "live")]
    HlsJsLive,
    #[serde(rename = "dash.js")]
    DashJs,
    #[serde(rename = "shaka")]
    Shaka,
    #[serde(rename = "video.js")]
    VideoJs,
    #[serde(rename = "video.js file")]
    VideoJsFile,
    #[serde(rename = "progressive")]
    Progressive,
    #[serde(rename = "audio")]
    Audio,
    /// Viewers give each other what they have, through data channels.
    #[serde(rename = "peer-assisted")]
    PeerAssisted,
    /// The frame of another site of the list.
    #[serde(rename = "embedded")]
    Embedded,
    #[serde(rename = "webrtc")]
    WebRtc,
}

impl Kind {
    /// As the list has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Calls => "calls",
            Self::LiveEvent => "live-event",
        }
    }
}

impl Player {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own MSE code",
            Self::OwnWebm => "own MSE code, WebM",
            Self::OwnLive => "own MSE code, live",
            Self::HlsJs => "hls.js",
            Self::HlsJsLive => "hls.js, live",
            Self::DashJs => "dash.js",
            Self::Shaka => "Shaka Player",
            Self::VideoJs => "video.js, HLS",
            Self::VideoJsFile => "video.js, progressive",
            Self::Progressive => "progressive file",
            Self::Audio => "audio only",
            Self::PeerAssisted => "live, peer-assisted",
            Self::Embedded => "embedded YouTube",
            Self::WebRtc => "WebRTC",
        }
    }
}

impl SiteList {
    /// What is covered for video, pages and frames; or what counts as a site of calls.
    #[must_use]
    pub fn patterns(&self, calls: bool) -> Vec<String> {
        let mut patterns: Vec<String> = Vec::new();
        for site in self.sites.iter().take(MOST_SITES).filter(|site| (site.kind == Kind::Calls) == calls) {
            for pattern in site.pages.iter().chain(&site.frames).take(MOST_PATTERNS) {
                if !patterns.contains(pattern) {
                    patterns.push(pattern.clone());
                }
            }
        }
        patterns
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::{Config, Sources};
    use offstage_settings::pattern::Pattern;

    const SHIPPED: &str = include_str!("../../www/sites/sites.json");

    /// What multimedia redirection is known to work with (docs/sites.md).
    const VIDEO: &str = "AnyClip, AWS Training, BBC, Big Think, Bleacher Report, Brightcove, CNBC, Coursera, Daily Mail, Facebook, \
        Fidelity, Flashtalking, Fox Sports, Fox Weather, IMDB, Infosec Institute, LinkedIn Learning, Microsoft Learn, Microsoft Stream, \
        NBC Sports, The New York Times, Pluralsight, Politico, Reuters, Skillshare, The Guardian, Twitch, Twitter, Udemy, UMU, U.S. News, \
        Vidazoo, Vimeo, The Wall Street Journal, Yahoo, Yammer, YouTube";
    const CALLS: &str =
        "WebRTC Sample Site, Content Guru Storm, Intermedia AnyMeeting, Dynamics 365 Omnichannel Voice";

    fn list() -> SiteList {
        serde_json::from_str(SHIPPED).unwrap()
    }

    fn config() -> Config {
        Config::from_sources(&serde_json::from_str(&format!("{{ \"shipped\": {SHIPPED} }}")).unwrap())
    }

    #[test]
    fn every_promised_site_is_there_with_its_kind() {
        let names =
            |kind| list().sites.into_iter().filter(move |site| site.kind == kind).map(|site| site.name);
        let promised = |text: &str| text.split(", ").map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(names(Kind::Video).collect::<BTreeSet<_>>(), promised(VIDEO));
        assert_eq!(names(Kind::Calls).collect::<BTreeSet<_>>(), promised(CALLS));
        assert_eq!(names(Kind::LiveEvent).collect::<Vec<_>>(), ["Microsoft Teams live events"]);
    }

    #[test]
    fn every_entry_is_whole_and_no_pattern_is_wide_or_there_twice() {
        let list = list();
        let mut ids = BTreeSet::new();
        let mut seen: Vec<(&str, &str)> = Vec::new();
        assert!(list.sites.len() <= MOST_SITES);
        for site in &list.sites {
            let id = site.id.as_str();
            assert!(ids.insert(id), "{id} is there twice");
            assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{id}");
            assert!(!site.pages.is_empty() && !site.players.is_empty(), "{id} has no page or no player");
            assert!(site.pages.len() + site.frames.len() <= MOST_PATTERNS, "{id}");
            for patterns in [&site.pages, &site.frames] {
                assert_eq!(patterns.iter().collect::<BTreeSet<_>>().len(), patterns.len(), "{id}: twice");
            }
            for pattern in site.pages.iter().chain(&site.frames) {
                assert!(Pattern::parse(pattern).is_some(), "{id}: {pattern} is no match pattern");
                let host = pattern.strip_prefix("https://").and_then(|rest| rest.split('/').next());
                let host = host.unwrap_or_else(|| panic!("{id}: {pattern} is not for https"));
                let name = host.strip_prefix("*.").unwrap_or(host);
                assert!(name.contains('.') && !name.contains(['*', ':']), "{id}: {pattern} is too wide");
                let other = seen.iter().find(|(found, by)| found == pattern && *by != id);
                assert!(other.is_none(), "{pattern}: {other:?} and {id}");
                seen.push((pattern, id));
            }
        }
    }

    #[test]
    fn the_list_alone_covers_its_sites_and_nothing_else() {
        let config = config();
        assert_eq!(config.settings().problems(), []);
        for (url, covered, calls) in [
            ("https://www.youtube.com/watch?v=1", true, false),
            ("https://www.youtube-nocookie.com/embed/1", true, false),
            ("https://x.com/", true, false),
            ("https://contoso.sharepoint.com/sites/a/_layouts/15/stream.aspx?id=1", true, false),
            ("https://contoso.sharepoint.com/sites/a/Documents", false, false),
            ("https://www.linkedin.com/feed/", false, false),
            ("https://teams.microsoft.com/_#/broadcastPlayer/1", true, false),
            ("https://webrtc.github.io/samples/src/content/peerconnection/pc1/", false, true),
            ("https://contoso.crm.dynamics.com/main.aspx", false, true),
            ("http://www.youtube.com/", false, false),
            ("https://notyoutube.com/", false, false),
            ("https://www.youtube.com.evil.example/", false, false),
            ("https://evil.example/https://www.youtube.com/", false, false),
            ("https://www.youtube.com@evil.example/", false, false),
            ("https://example.org/", false, false),
        ] {
            assert_eq!((config.covers(url), config.is_call_site(url)), (covered, calls), "{url}");
        }
    }

    #[test]
    fn a_list_of_any_size_is_cut() {
        let site = Site {
            pages: (0..100).map(|n| format!("https://a{n}.org/*")).collect(),
            ..list().sites.remove(0)
        };
        assert_eq!(SiteList { sites: vec![site] }.patterns(false).len(), MOST_PATTERNS);
        let sources: Sources = serde_json::from_str("{}").unwrap();
        assert_eq!(Config::from_sources(&sources).count(), 0);
    }
}
