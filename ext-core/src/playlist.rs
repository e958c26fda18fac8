//! HLS playlists for the device: every address in them becomes the number of a resource that the session fetches.

/// Longest line that is looked at; longer ones are dropped.
const MOST_LINE: usize = 16 * 1024;

/// The playlist with each address replaced by what `name` gives for it: its own number, as a relative address. `name` is told
/// the absolute address and whether a playlist is there. An address that is none, or that `name` refuses, is left out.
pub fn rewrite(text: &[u8], base: &str, name: &mut impl FnMut(&str, bool) -> Option<String>) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let mut out = String::with_capacity(text.len());
    let mut leads_to_playlist = false;
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.len() > MOST_LINE {
            continue;
        }
        if line.starts_with('#') {
            leads_to_playlist = line.starts_with("#EXT-X-STREAM-INF");
            out.push_str(&rewrite_tag(line, base, name));
        } else if !line.trim().is_empty() {
            let named = resolve(base, line.trim()).and_then(|url| name(&url, leads_to_playlist));
            out.push_str(named.as_deref().unwrap_or("0"));
            leads_to_playlist = false;
        }
        out.push('\n');
    }
    out.into_bytes()
}

fn rewrite_tag(line: &str, base: &str, name: &mut impl FnMut(&str, bool) -> Option<String>) -> String {
    const PLAYLISTS: [&str; 3] = ["#EXT-X-MEDIA:", "#EXT-X-I-FRAME-STREAM-INF:", "#EXT-X-RENDITION-REPORT:"];
    if !line.starts_with("#EXT-X-") {
        return line.to_owned();
    }
    let playlist = PLAYLISTS.iter().any(|tag| line.starts_with(tag));
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, quoted)) = rest.split_once("URI=\"") {
        let Some((address, after)) = quoted.split_once('"') else { break };
        out.push_str(before);
        out.push_str("URI=\"");
        if let Some(named) = resolve(base, address).and_then(|url| name(&url, playlist)) {
            out.push_str(&named);
        }
        out.push('"');
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The address that a reference in a document at `base` means; none for what is not http(s).
#[must_use]
pub fn resolve(base: &str, reference: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    if reference.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
        return None;
    }
    let scheme = reference.split_once(':').map(|(scheme, _)| scheme);
    if let Some(scheme) = scheme.filter(|scheme| is_scheme(scheme)) {
        let web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        return (web && reference[scheme.len()..].starts_with("://")).then(|| reference.to_owned());
    }
    let (scheme, rest) = base.split_once("://")?;
    let (host, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
    if let Some(other) = reference.strip_prefix("//") {
        return Some(format!("{scheme}://{other}"));
    }
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let (target, query) = reference.find('?').map_or((reference, ""), |at| reference.split_at(at));
    let joined = if target.starts_with('/') {
        target.to_owned()
    } else if target.is_empty() {
        path.to_owned()
    } else {
        let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
        format!("{folder}{target}")
    };
    let mut parts: Vec<&str> = Vec::new();
    let count = joined.split('/').count();
    for (at, part) in joined.split('/').enumerate().skip(1) {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
        if at + 1 == count && matches!(part, "." | "..") {
            parts.push("");
        }
    }
    Some(format!("{scheme}://{host}/{}{query}", parts.join("/")))
}

fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// What follows the last dot of the address's path, if it can be a file's extension.
#[must_use]
pub fn extension(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let plain = extension.len() <= 5 && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { extension } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) -> Vec<(String, bool)> {
        let mut seen = Vec::new();
        let mut name = |url: &str, playlist: bool| {
            seen.push((url.to_owned(), playlist));
            Some(format!("{}.{}", seen.len(), extension(url)))
        };
        let out = rewrite(text.as_bytes(), "https://a.example/v/list.m3u8?k=1", &mut name);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        seen
    }

    #[test]
    fn every_address_of_a_media_playlist_becomes_a_number() {
        let seen = check(
            "#EXTM3U\r\n#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"700@0\"\r\n#EXT-X-KEY:METHOD=AES-128,URI=\"/key\",IV=0x1\r\n\
             #EXTINF:4,URI=\"title\"\r\n#EXT-X-BYTERANGE:10@700\r\n../s/1.ts?x=..\r\nhttp://b.example/2.ts\r\n",
            "#EXTM3U\n#EXT-X-MAP:URI=\"1.mp4\",BYTERANGE=\"700@0\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"2.\",IV=0x1\n\
             #EXTINF:4,URI=\"title\"\n#EXT-X-BYTERANGE:10@700\n3.ts\n4.ts\n\n",
        );
        let urls: Vec<&str> = seen.iter().map(|(url, _)| url.as_str()).collect();
        assert_eq!(
            urls,
            [
                "https://a.example/v/init.mp4",
                "https://a.example/key",
                "https://a.example/s/1.ts?x=..",
                "http://b.example/2.ts"
            ]
        );
        assert!(seen.iter().all(|(_, playlist)| !playlist));
    }

    #[test]
    fn a_master_playlist_leads_to_playlists() {
        let seen = check(
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"a.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow",
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"1.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n2.\n",
        );
        assert_eq!(
            seen,
            [("https://a.example/v/a.m3u8".to_owned(), true), ("https://a.example/v/low".to_owned(), true)]
        );
    }

    #[test]
    fn what_is_no_web_address_is_left_out() {
        let seen = check("#EXT-X-KEY:URI=\"skd://x\"\nfile:///etc/passwd\n", "#EXT-X-KEY:URI=\"\"\n0\n\n");
        assert_eq!(seen, []);
    }

    #[test]
    fn references_are_resolved_as_browsers_do() {
        let base = "https://a.example/b/c?d#e";
        for (reference, expected) in [
            ("f", "https://a.example/b/f"),
            ("./f", "https://a.example/b/f"),
            ("../../f", "https://a.example/f"),
            ("..", "https://a.example/"),
            ("/f/./g", "https://a.example/f/g"),
            ("//h/f", "https://h/f"),
            ("?q", "https://a.example/b/c?q"),
            ("HTTPS://h/f", "HTTPS://h/f"),
        ] {
            assert_eq!(resolve(base, reference).as_deref(), Some(expected), "{reference}");
        }
        assert_eq!(resolve("https://a.example", "f").as_deref(), Some("https://a.example/f"));
        assert_eq!(resolve(base, "javascript:alert(1)"), None);
        assert_eq!(resolve("nothing", "f"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_a_playlist(bytes: Vec<u8>, base in ".{0,40}") {
            let mut count = 0_usize;
            let mut name = |url: &str, _| { count += 1; Some(format!("{count}.{}", extension(url))) };
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
            let out = rewrite(&bytes, &base, &mut name);
            proptest::prop_assert!(out.iter().filter(|byte| **byte == b'\n').count() <= lines);
        }
    }
}
