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
    /// Parses a pattern; `None` if it is not one.
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
            Some((name, port)) if port == "*" || port.parse::<u16>().is_ok() => (name, Some(port)),
            Some(_) => return None,
            None => (authority, None),
        };
        let name = name.to_ascii_lowercase();
        let host = match name.strip_prefix("*.") {
            Some(below) if !below.is_empty() && !below.contains('*') => Host::Below(below.into()),
            None if name == "*" => Host::Any,
            None if !name.is_empty() && !name.contains('*') => Host::Exact(name),
            _ => return None,
        };
        let port = port.filter(|port| *port != "*").map(Into::into);
        Some(Self { text: text.into(), scheme, host, port, path: path.into() })
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
