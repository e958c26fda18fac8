//! Names of devices as the pages of one site see them.

/// The HMAC-SHA-256 of `name` with `salt` as its key, in 64 hexadecimal digits.
#[must_use]
pub fn keyed(salt: &str, name: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bytes = hmac_sha256::HMAC::mac(name.as_bytes(), salt.as_bytes());
    let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::keyed;

    #[test]
    fn a_name_is_the_same_for_a_site_and_another_one_for_every_other() {
        let name = keyed("a", "microphone 1");
        assert_eq!((name.len(), &name), (64, &keyed("a", "microphone 1")));
        assert_ne!(name, keyed("b", "microphone 1"));
        assert_ne!(name, keyed("a", "microphone 2"));
    }
}
