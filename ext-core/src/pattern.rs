//! Which pages are covered: match patterns of extensions, and what administrators write in browser policies.
//!
//! The syntax is Chrome's (<https://developer.chrome.com/docs/extensions/develop/concepts/match-patterns>) with the
//! schemes `http`, `https` and `*`; no other scheme is ever covered. [`Pattern::from_policy`] also takes the format of URLBlocklist
//! (<https://support.google.com/chrome/a/answer/9942583>) and `[*.]`.

/// Longest pattern that is looked at.
const MOST_TEXT: usize = 1000;

/// A parsed match pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// As the browser takes it.
    text: String,
    /// As somebody wrote it.
    written: String,
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
    /// Parses a match pattern; `None` if it is not one. What passes, the browser takes: one that it refuses would take all others along.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "<all_urls>" {
            return Some(Self { text: text.into(), ..Self::new(text, None, Host::Any, None, "/*") });
        }
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme_of(scheme)?;
        let (authority, path) = rest.split_at(rest.find('/')?);
        let (name, port) = name_and_port(authority)?;
        let host = match name.strip_prefix("*.") {
            Some(below) => Host::Below(checked(below)?),
            None if name == "*" => Host::Any,
            None => Host::Exact(checked(name)?),
        };
        let fits = text.len() <= MOST_TEXT && is_path(path);
        fits.then(|| Self::new(text, scheme, host, port, path))
    }

    /// Parses what an administrator or a person has written: a match pattern, or the format of URLBlocklist, where a name
    /// stands for what is below it, too, a dot before it for itself alone, and a path for everything that begins with it.
    ///
    /// # Errors
    /// What is wrong with it, for the one who wrote it.
    pub fn from_policy(text: &str) -> Result<Self, &'static str> {
        if text.len() > MOST_TEXT {
            return Err("it is too long");
        }
        if text == "<all_urls>" {
            return Self::parse(text).ok_or("it is no match pattern");
        }
        if text == "*" {
            return Ok(Self::any());
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme_of(scheme).ok_or("only http, https and * can be covered")?, rest),
            None => (None, text),
        };
        let (below, rest) = match rest.strip_prefix("[*.]") {
            Some(rest) => (true, rest),
            None if rest.contains('*') => return Self::parse(text).ok_or("it is no match pattern"),
            None => (false, rest),
        };
        if rest.contains(['?', '#', '@']) {
            return Err("a query, a fragment or a name of a user can't be matched");
        }
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let (name, port) = name_and_port(authority).ok_or("its port is no number from 1 to 65535")?;
        let own = name.strip_prefix('.').filter(|_| !below);
        let name = checked(own.unwrap_or(name)).ok_or("its host is no name: letters, digits, - and dots")?;
        let is_address = name.split('.').all(|part| part.bytes().all(|b| b.is_ascii_digit()));
        let host = if own.is_some() || is_address { Host::Exact(name) } else { Host::Below(name) };
        let path = format!("{path}*");
        if path.contains("**") || !is_path(&path) {
            return Err("its path holds what no address has");
        }
        Ok(Self::new(text, scheme, host, port, &path))
    }

    /// All websites.
    #[must_use]
    pub fn any() -> Self {
        Self::new("*", None, Host::Any, None, "/*")
    }

    fn new(
        written: &str,
        scheme: Option<&'static str>,
        host: Host,
        port: Option<String>,
        path: &str,
    ) -> Self {
        let name = match &host {
            Host::Any => "*".to_owned(),
            Host::Exact(name) => name.clone(),
            Host::Below(name) => format!("*.{name}"),
        };
        let colon_port = port.as_ref().map(|port| format!(":{port}")).unwrap_or_default();
        let text = format!("{}://{name}{colon_port}{path}", scheme.unwrap_or("*"));
        Self { text, written: written.into(), scheme, host, port, path: path.into() }
    }

    /// The match pattern for the browser.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
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
        Some(Self::new("", scheme, host, port, "/*"))
    }

    /// What of it is in the whole origins of `other`.
    #[must_use]
    pub fn within(&self, other: &Self) -> Option<Self> {
        let origins = self.common_origins(other)?;
        Some(Self::new(&self.written, origins.scheme, origins.host, origins.port, &self.path))
    }

    /// The same, a pattern a scheme.
    #[must_use]
    pub fn by_scheme(&self) -> Vec<Self> {
        let of =
            |scheme| Self::new(&self.written, Some(scheme), self.host.clone(), self.port.clone(), &self.path);
        self.scheme.map_or_else(|| vec![of("http"), of("https")], |scheme| vec![of(scheme)])
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

fn scheme_of(text: &str) -> Option<Option<&'static str>> {
    match text {
        "*" => Some(None),
        "http" => Some(Some("http")),
        "https" => Some(Some("https")),
        _ => None,
    }
}

/// Divides at the port; `*` is any.
fn name_and_port(authority: &str) -> Option<(&str, Option<String>)> {
    match authority.rsplit_once(':') {
        Some((name, "*")) => Some((name, None)),
        Some((name, port)) => {
            let is_number = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
            (is_number && port.parse::<u16>().is_ok()).then(|| (name, Some(port.to_owned())))
        }
        None => Some((authority, None)),
    }
}

/// A host's name as addresses have it; names of other scripts are written as `xn--…` there.
fn checked(name: &str) -> Option<String> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    (name.len() <= 253 && name.split('.').all(is_label)).then(|| name.to_ascii_lowercase())
}

fn is_path(path: &str) -> bool {
    path.bytes().all(|b| b.is_ascii_graphic() && b != b'#' && b != b'\\')
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
            "https://x:+80/*",
            "https://x:0/*",
            "https://x:65536/*",
            "https://x y/*",
            "https://b\u{fc}cher.de/*",
            "https://x./*",
            "https://[::1]/*",
            "https://x/ /*",
        ] {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_administrators_write_becomes_a_match_pattern() {
        for (written, text) in [
            ("example.com", "*://*.example.com/*"),
            (".example.com", "*://example.com/*"),
            ("[*.]Example.com", "*://*.example.com/*"),
            ("https://[*.]example.com:8443", "https://*.example.com:8443/*"),
            ("https://example.com:8443/path", "https://*.example.com:8443/path*"),
            ("http://example.com", "http://*.example.com/*"),
            ("example.com/a/b", "*://*.example.com/a/b*"),
            ("*", "*://*/*"),
            ("https://*.example.com/*", "https://*.example.com/*"),
            ("https://example.com/live*", "https://example.com/live*"),
            ("*://*/*", "*://*/*"),
            ("<all_urls>", "<all_urls>"),
            ("127.0.0.1", "*://127.0.0.1/*"),
            ("localhost:8080", "*://*.localhost:8080/*"),
            ("xn--bcher-kva.example", "*://*.xn--bcher-kva.example/*"),
        ] {
            let pattern = Pattern::from_policy(written).map(|p| (p.text.clone(), p.written.clone()));
            assert_eq!(pattern, Ok((text.to_owned(), written.to_owned())));
            // The browser takes it, and so it reads as itself.
            assert_eq!(Pattern::parse(text).unwrap().text, text);
        }
        for wrong in [
            "",
            " ",
            ".",
            "example..com",
            "-/ x",
            "ftp://example.com",
            "file:///etc/*",
            "javascript:*",
            "example.com:0",
            "example.com:x",
            "example.com?v=1",
            "user@example.com",
            "exam ple.com",
            "*.example.com",
            "ex*mple.com",
            "[*.]",
            "[*.]*.example.com",
            "b\u{fc}cher.example",
            "https://",
            "https://*",
            "https:///path",
        ] {
            assert!(Pattern::from_policy(wrong).is_err(), "{wrong}");
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
        fn any_text_gives_an_answer(pattern in r".{0,40}|(\*|https?)?(://)?[.*\[\]a1:/?é]{0,12}", url in ".{0,40}") {
            if let Ok(pattern) = Pattern::from_policy(&pattern) {
                let _is_matched = pattern.matches(&url);
                proptest::prop_assert!(Pattern::parse(pattern.text()).is_some());
            }
        }
    }
}
