//! Match patterns of extensions: which pages are covered.
//!
//! The syntax is Chrome's (<https://developer.chrome.com/docs/extensions/develop/concepts/match-patterns>) with the
//! schemes `http`, `https` and `*`; no other scheme is ever covered.

/// A parsed match pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    scheme: Option<&'static str>,
    host: Host,
    port: Option<String>,
    path: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Any,
    Exact(String),
    /// The name and everything below it.
    Below(String),
}

impl Pattern {
    /// Parses a pattern; `None` if it is not one. The browser takes what passes: one that it refuses would take all others along.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 1000 {
            return None;
        }
        if text == "<all_urls>" {
            return Some(Self {
                text: text.into(),
                scheme: None,
                host: Host::Any,
                port: None,
                path: "/*".into(),
            });
        }
        let (scheme, rest) = text.split_once("://")?;
        let scheme = match scheme {
            "*" => None,
            "http" => Some("http"),
            "https" => Some("https"),
            _ => return None,
        };
        let slash = rest.find('/')?;
        let (authority, path) = rest.split_at(slash);
        let (name, port) = match authority.rsplit_once(':') {
            Some((name, port)) if port == "*" || is_port(port) => (name, Some(port)),
            Some(_) => return None,
            None => (authority, None),
        };
        let name = name.to_ascii_lowercase();
        let host = match name.strip_prefix("*.") {
            Some(below) if is_name(below) => Host::Below(below.into()),
            None if name == "*" => Host::Any,
            None if is_name(&name) => Host::Exact(name),
            _ => return None,
        };
        let is_path = path.bytes().all(|b| b.is_ascii_graphic() && b != b'#' && b != b'\\');
        let port = port.filter(|port| *port != "*").map(Into::into);
        is_path.then(|| Self { text: text.into(), scheme, host, port, path: path.into() })
    }

    /// Parses what administrators and people write for sites, as browsers' own policies have it
    /// (<https://support.google.com/chrome/a/answer/9942583>): `example.com` is the host and all below it, `.example.com` the host alone,
    /// `[*.]example.com` as content settings have it; with a scheme, a port, the beginning of a path; `*` is everything. Match patterns
    /// are taken as well: what has a scheme and an asterisk is one.
    #[must_use]
    pub fn parse_site(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "*" {
            return Self::parse("*://*/*");
        }
        if text.contains("://") && text.replace("[*.]", "").contains('*') {
            return Self::parse(text);
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("*", text));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (name, port) = match authority.rsplit_once(':') {
            Some((name, port)) => (name, format!(":{port}")),
            None => (authority, String::new()),
        };
        let alone = name.strip_prefix('.');
        let name = alone.unwrap_or_else(|| name.strip_prefix("[*.]").unwrap_or(name));
        let is_name = name.split('.').all(|label| {
            !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
        });
        if !is_name || path.contains(['?', '#', '*', ' ']) || text.len() > 900 {
            return None;
        }
        // An address has nothing below it.
        let exact = alone.is_some() || name.split('.').all(|label| label.bytes().all(|b| b.is_ascii_digit()));
        let below = if exact { "" } else { "*." };
        let path = if path.is_empty() { "/" } else { path };
        Self::parse(&format!("{scheme}://{below}{name}{port}{path}*"))
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it takes in whole origins, whatever the path.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.path == "/*"
    }

    /// The whole origins that both patterns reach into, whatever their paths; `None` if there are none.
    #[must_use]
    pub fn common_origins(&self, other: &Self) -> Option<Self> {
        let scheme = common(self.scheme.as_ref(), other.scheme.as_ref())?.copied();
        let port = common(self.port.as_ref(), other.port.as_ref())?.cloned();
        let host = if self.host.contains(&other.host) {
            other.host.clone()
        } else if other.host.contains(&self.host) {
            self.host.clone()
        } else {
            return None;
        };
        let name = match &host {
            Host::Any => "*".to_owned(),
            Host::Exact(name) => name.clone(),
            Host::Below(name) => format!("*.{name}"),
        };
        let colon_port = port.as_ref().map(|port| format!(":{port}")).unwrap_or_default();
        let text = format!("{}://{name}{colon_port}/*", scheme.unwrap_or("*"));
        Some(Self { text, scheme, host, port, path: "/*".into() })
    }

    /// What of it is in the whole origins of `other`.
    #[must_use]
    pub fn within(&self, other: &Self) -> Option<Self> {
        let whole = self.common_origins(other)?;
        let origins = whole.text.strip_suffix("/*")?;
        Some(Self { text: format!("{origins}{}", self.path), path: self.path.clone(), ..whole })
    }

    /// Whether all of it is in the whole origins of some of the others.
    #[must_use]
    pub fn is_in(&self, others: &[Self]) -> bool {
        let of = |scheme| Self { scheme: Some(scheme), ..self.clone() };
        let parts = self.scheme.map_or_else(|| vec![of("http"), of("https")], |scheme| vec![of(scheme)]);
        parts.iter().all(|part| others.iter().any(|other| other.contains(part)))
    }

    /// Whether everything that `other` matches is in the whole origins of this one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let inside = |common: Self| {
            common.scheme == other.scheme && common.host == other.host && common.port == other.port
        };
        self.is_whole() && self.common_origins(other).is_some_and(inside)
    }

    /// Whether a page at `url` is covered. Anything that isn't an http(s) URL is not.
    #[must_use]
    pub fn matches(&self, url: &str) -> bool {
        let Some((scheme, rest)) = url.split_once("://") else { return false };
        if !matches!(scheme, "http" | "https") || self.scheme.is_some_and(|wanted| wanted != scheme) {
            return false;
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.find(['/', '?']).map_or((rest, "/"), |at| rest.split_at(at));
        let authority = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
        let (name, port) = match authority.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, port),
            _ => (authority.as_str(), if scheme == "https" { "443" } else { "80" }),
        };
        let host = match &self.host {
            Host::Any => true,
            Host::Exact(wanted) => wanted == name,
            Host::Below(wanted) => name
                .strip_suffix(wanted.as_str())
                .is_some_and(|before| before.is_empty() || before.ends_with('.')),
        };
        host && self.port.as_deref().is_none_or(|wanted| wanted == port) && glob(&self.path, path)
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0') && text.parse::<u16>().is_ok()
}

/// What can be a host.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_letter = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        !label.is_empty() && label.len() <= 63 && label.chars().all(is_letter)
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// What two restrictions leave, where `None` restricts nothing; `None` if that is nothing.
fn common<'a, T: PartialEq>(a: Option<&'a T>, b: Option<&'a T>) -> Option<Option<&'a T>> {
    match (a, b) {
        (Some(a), Some(b)) if a != b => None,
        (Some(only), _) | (None, Some(only)) => Some(Some(only)),
        (None, None) => Some(None),
    }
}

impl Host {
    fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Exact(a), Self::Exact(b)) => a == b,
            (Self::Below(a), Self::Exact(b) | Self::Below(b)) => {
                b.strip_suffix(a.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }
            (Self::Exact(_), Self::Any | Self::Below(_)) | (Self::Below(_), Self::Any) => false,
        }
    }
}

/// `*` stands for any characters. Linear in time for one star, and never worse than the product of the lengths.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, url: &str, expected: bool) {
        let parsed = Pattern::parse(pattern).unwrap_or_else(|| panic!("{pattern} is a pattern"));
        assert_eq!(parsed.matches(url), expected, "{pattern} on {url}");
    }

    #[test]
    fn sites_are_written_as_in_policies_of_browsers() {
        let cases: [(&str, &str, &[&str], &[&str]); 12] = [
            (
                "example.com",
                "*://*.example.com/*",
                &["http://example.com/", "https://a.b.example.com/x"],
                &["https://notexample.com/"],
            ),
            (".example.com", "*://example.com/*", &["https://example.com/x"], &["https://a.example.com/"]),
            (
                "[*.]example.com",
                "*://*.example.com/*",
                &["https://a.example.com/"],
                &["https://example.com.evil.example/"],
            ),
            (
                "https://example.com",
                "https://*.example.com/*",
                &["https://example.com/"],
                &["http://example.com/"],
            ),
            (
                "https://example.com:8443/video",
                "https://*.example.com:8443/video*",
                &["https://example.com:8443/videos/1?x"],
                &["https://example.com/video"],
            ),
            (
                "example.com/a/b",
                "*://*.example.com/a/b*",
                &["http://www.example.com/a/bc"],
                &["http://www.example.com/a"],
            ),
            ("10.1.2.3", "*://10.1.2.3/*", &["http://10.1.2.3/x"], &["http://10.1.2.30/"]),
            ("localhost", "*://*.localhost/*", &["http://localhost:80/"], &[]),
            ("*", "*://*/*", &["https://anything.example/"], &["ftp://x/"]),
            ("https://*.example.com/*", "https://*.example.com/*", &["https://example.com/"], &[]),
            ("http://127.0.0.1/*", "http://127.0.0.1/*", &["http://127.0.0.1:8080/"], &[]),
            (" bücher.example ", "*://*.bücher.example/*", &[], &[]),
        ];
        for (text, expected, inside, outside) in cases {
            let pattern = Pattern::parse_site(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(pattern.text(), expected);
            inside.iter().for_each(|url| assert!(pattern.matches(url), "{text} has {url}"));
            outside.iter().for_each(|url| assert!(!pattern.matches(url), "{text} hasn't {url}"));
        }
        for text in [
            "",
            " ",
            ".",
            "/path",
            "example.com/?q=1",
            "ftp://example.com",
            "exa mple.com",
            "a..b",
            "example.com:port",
            "*.com",
            "file:///x",
        ] {
            assert_eq!(Pattern::parse_site(text), None, "{text}");
        }
    }

    #[test]
    fn covers_what_chrome_documents() {
        check("<all_urls>", "https://example.org/a?b#c", true);
        check("<all_urls>", "chrome://settings", false);
        check("https://*/*", "http://example.org/", false);
        check("*://*.example.org/*", "https://example.org/", true);
        check("*://*.example.org/*", "https://video.example.org:8443/", true);
        check("*://*.example.org/*", "https://badexample.org/", false);
        check("http://127.0.0.1/*", "http://127.0.0.1:8080/x", true);
        check("http://127.0.0.1:80/*", "http://127.0.0.1:8080/x", false);
        check("https://example.org/foo*bar", "https://example.org/foo/x/bar", true);
        check("https://example.org/foo*bar", "https://example.org/foo/x/baz", false);
        check("https://example.org/*", "https://example.org", true);
        check("https://example.org/*", "https://user@evil.org/example.org/", false);
    }

    #[test]
    fn refuses_what_is_no_pattern() {
        for text in [
            "",
            "*",
            "ftp://x/*",
            "https://",
            "https://*foo/*",
            "https://a*b/*",
            "https://x",
            "https://x:y/*",
            "https://x:+80/*",
            "https://x:0/*",
            "https://x y/*",
            "https://x./*",
            "https://x/ /*",
        ] {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn whole_origins_of_two_patterns() {
        let common = |a: &str, b: &str| {
            let (a, b) = (Pattern::parse(a).unwrap(), Pattern::parse(b).unwrap());
            let text = a.common_origins(&b).map(|common| common.text);
            assert_eq!(b.common_origins(&a).map(|common| common.text), text);
            text
        };
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(common("<all_urls>", "https://a.org/x*"), is("https://a.org/*"));
        assert_eq!(common("https://*/*", "*://*.a.org:8080/x"), is("https://*.a.org:8080/*"));
        assert_eq!(common("*://*.a.org/*", "*://b.a.org/*"), is("*://b.a.org/*"));
        assert_eq!(common("http://a.org/*", "https://a.org/*"), None);
        assert_eq!(common("*://*.a.org/*", "*://aa.org/*"), None);
        let contains = |a: &str, b: &str| Pattern::parse(a).unwrap().contains(&Pattern::parse(b).unwrap());
        assert!(contains("*://*.a.org/*", "https://b.a.org/x"));
        assert!(!contains("https://*.a.org/*", "*://b.a.org/x"));
        assert!(!contains("*://*.a.org/y*", "https://b.a.org/x"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_gives_an_answer(pattern in ".{0,40}", url in ".{0,40}") {
            if let Some(pattern) = Pattern::parse(&pattern) {
                let _is_matched = pattern.matches(&url);
            }
        }
    }
}
