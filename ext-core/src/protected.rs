//! Whether media are encrypted, by their initialization segment.
//!
//! Keys belong to the page's element, so such media play in the session. It has to be known before a stand-in is there: Chromium's
//! element takes no change from clear to encrypted media without keys.

/// Most boxes that are looked at before `moov`.
const MOST_BOXES: usize = 16;
/// Most bytes of a WebM header.
const MOST_HEADER: usize = 64 * 1024;

/// Whether what is appended begins with an initialization segment of encrypted media.
#[must_use]
pub fn is_encrypted(data: &[u8]) -> bool {
    if data.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) { in_webm(data) } else { in_mp4(data) }
}

/// ISO/IEC 14496-12, 8.12: the sample entries of protected tracks are `encv` and `enca`.
fn in_mp4(mut data: &[u8]) -> bool {
    for _ in 0..MOST_BOXES {
        let Some((head, rest)) = data.split_first_chunk::<8>() else { return false };
        let [a, b, c, d, kind @ ..] = *head;
        let size = u32::from_be_bytes([a, b, c, d]) as usize;
        // A moov of which the rest comes later, or to the end, is looked at as far as it is there.
        let body = rest.get(..size.wrapping_sub(8)).unwrap_or(rest);
        if &kind == b"moov" {
            return body.windows(4).any(|word| word == b"encv" || word == b"enca");
        }
        // No box is shorter than its head; longer ones than 32 bits tell come after the header only.
        let Some(next) = data.get(size..).filter(|_| size >= 8) else { return false };
        data = next;
    }
    false
}

/// <https://www.rfc-editor.org/rfc/rfc9559#section-5.1.4.1.31>: ContentEncryption (0x5035) within ContentEncodings (0x6D80), before the
/// first Cluster.
fn in_webm(data: &[u8]) -> bool {
    let header = data.get(..MOST_HEADER).unwrap_or(data);
    let end = header.windows(4).position(|id| id == [0x1f, 0x43, 0xb6, 0x75]).unwrap_or(header.len());
    let header = header.get(..end).unwrap_or_default();
    let encodings = header.windows(2).position(|id| id == [0x6d, 0x80]);
    encodings
        .and_then(|at| header.get(at..))
        .is_some_and(|encodings| encodings.windows(2).any(|id| id == [0x50, 0x35]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTECTED: &[u8] = include_bytes!("../../tests/clips/files/clearkey.mp4");

    #[test]
    fn protected_media_are_known_by_their_first_bytes() {
        assert!(is_encrypted(PROTECTED));
        assert!(is_encrypted(&PROTECTED[..1200]), "a part of moov is enough");
        let clear: [&[u8]; 4] = [
            include_bytes!("../../tests/clips/h264-aac.mp4"),
            include_bytes!("../../tests/clips/vp9-opus.webm"),
            include_bytes!("../../tests/clips/files/film.webm"),
            b"",
        ];
        assert!(clear.iter().all(|data| !is_encrypted(data)));
        let webm =
            [&[0x1a, 0x45, 0xdf, 0xa3, 0, 0x6d, 0x80, 9, 0x62, 0x40, 5, 0x50, 0x35, 1][..], &[0; 9]].concat();
        assert!(is_encrypted(&webm));
        let cluster = [&[0x1a, 0x45, 0xdf, 0xa3, 0x1f, 0x43, 0xb6, 0x75], &webm[4..]].concat();
        assert!(!is_encrypted(&cluster), "media data may hold anything");
        let media = [b"\0\0\0\x08moof\0\0\0\x10mdatencv".as_slice(), b"enca"].concat();
        assert!(!is_encrypted(&media));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_an_answer_and_what_follows_the_header_changes_none(data: Vec<u8>, cut in 1200_usize..2000) {
            proptest::prop_assert!(!is_encrypted(&data) || data.len() >= 12);
            proptest::prop_assert!(is_encrypted(&[&PROTECTED[..cut], &data].concat()));
        }
    }
}
