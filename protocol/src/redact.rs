//! What of a log's line may leave the machine: no addresses, hosts, people, tokens.

use std::borrow::Cow;

/// Stands for what was taken out.
const GONE: char = '…';
/// From so many letters and digits on, mixed, a word counts as a token.
const TOKEN: usize = 20;

/// Takes out of a text whatever may say who it is or what is watched: URLs (the scheme stays), host names, mail addresses, the
/// user's name in a home folder, and long mixed words, which may be tokens.
///
/// A word that looks like a host name and is none (`page.title`) goes as well: better that than the other way round.
///
/// ```
/// assert_eq!(offstage_protocol::redact("at https://a.example/x?token=1 now"), "at https:… now");
/// ```
#[must_use]
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(ends_address) {
        let mut chars = piece.chars();
        let end = chars.next_back().filter(|c| ends_address(*c));
        let word = if end.is_some() { chars.as_str() } else { piece };
        // An address goes as far as it can: what it may hold may be a gap between other words.
        let (before, scheme) = split_address(word);
        for part in before.split_inclusive(is_gap) {
            let inner = part.trim_end_matches(is_gap);
            out.push_str(&redact_word(inner));
            out.push_str(&part[inner.len()..]);
        }
        if let Some(scheme) = scheme {
            out.push_str(scheme);
            out.push(':');
            out.push(GONE);
        }
        out.extend(end);
    }
    out
}

fn ends_address(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

fn is_gap(c: char) -> bool {
    matches!(c, '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | '=')
}

/// What comes before an address, and the address's scheme.
fn split_address(word: &str) -> (&str, Option<&str>) {
    let colon = ["://", "data:", "blob:"]
        .iter()
        .filter_map(|sign| word.find(sign).map(|at| at + sign.find(':').unwrap_or(0)))
        .min();
    let Some(colon) = colon else { return (word, None) };
    let known = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-');
    let length = word.as_bytes()[..colon].iter().rev().take_while(|b| known(b)).count();
    let (before, scheme) = word[..colon].split_at(colon - length);
    (before, Some(scheme))
}

fn redact_word(word: &str) -> Cow<'_, str> {
    if let Some(rest) = word.strip_prefix("/home/").or_else(|| word.strip_prefix("/Users/")) {
        let path = rest.find('/').map_or("", |at| &rest[at..]);
        return format!("/home/{GONE}{path}").into();
    }
    let alone = word.trim_end_matches(['.', ':', '!', '?']);
    let host = alone.split(['/', ':', '@', '?', '#']).any(is_host);
    let token =
        word.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+'))).any(is_token);
    if !host && !token {
        return word.into();
    }
    format!("{GONE}{}", &word[alone.len()..]).into()
}

/// Labels with a last one of letters, as host names have it.
fn is_host(word: &str) -> bool {
    let labels: Vec<&str> = word.split('.').collect();
    let [_, .., last] = labels.as_slice() else { return false };
    last.len() >= 2
        && last.chars().all(char::is_alphabetic)
        && labels.iter().all(|label| {
            !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
        })
}

fn is_token(word: &str) -> bool {
    word.len() >= TOKEN
        && word.bytes().any(|b| b.is_ascii_digit())
        && word.bytes().any(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_of_people_and_pages_goes_and_the_rest_stays() {
        for (text, expected) in [
            ("channel is up epoch=3", "channel is up epoch=3"),
            ("OFS-1322: player 7, 1.5 s late", "OFS-1322: player 7, 1.5 s late"),
            ("get blob:https://a.example/8f4b-11 now", "get blob:… now"),
            ("(data:text/html,secret=1) x", "(data:… x"),
            ("at=wss://user:pw@h.example:9/p?q=[1],2#f.", "at=wss:…"),
            ("origin=\"www.example.com\"", "origin=\"…\""),
            ("example.com:8443/watch is slow.", "… is slow."),
            ("mail to ann@example.org!", "mail to …!"),
            ("socket=/home/ann/.config/x.sock", "socket=/home/…/.config/x.sock"),
            ("id abcdefghij0123456789 and 3f2a", "id … and 3f2a"),
            ("Bearer: eyJhbGciOiJIUzI1NiJ9", "Bearer: …"),
            ("version 0.1.0, Chromium 156.0.8078.79", "version 0.1.0, Chromium 156.0.8078.79"),
            ("müller.example ist weg", "… ist weg"),
        ] {
            assert_eq!(redact(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_address_survives_in_any_company(before in ".{0,20}", after in ".{0,20}") {
            let text = format!("{before} https://secret.example/watch?v=hidden {after}");
            let redacted = redact(&text);
            proptest::prop_assert!(!redacted.contains("secret") && !redacted.contains("hidden"), "{redacted}");
        }
    }
}
