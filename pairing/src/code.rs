//! The short code that a person carries from the device to the session.

use std::fmt;
use std::str::FromStr;

use crate::PairingError;

/// Neither I and 1 nor O and 0: they look alike.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
const LENGTH: usize = 8;

/// Eight letters and digits: 40 bits, of which five tries are a vanishing part.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// A new one.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn random() -> Result<Self, PairingError> {
        let mut bytes = [0; LENGTH];
        getrandom::fill(&mut bytes).map_err(|_none| PairingError::NoRandomNumbers)?;
        // 256 is a multiple of 32, so that every letter is as likely as the others.
        let letter = |byte: &u8| ALPHABET.get(usize::from(*byte % 32)).copied().map_or('2', char::from);
        Ok(Self(bytes.iter().map(letter).collect()))
    }

    /// The letters without the dash.
    pub(crate) fn letters(&self) -> &str {
        &self.0
    }
}

/// As people read it, in two groups.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at(LENGTH / 2);
        write!(f, "{first}-{second}")
    }
}

/// Hidden: codes have no place in logs.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

/// Takes small letters, spaces and dashes as people type them.
impl FromStr for Code {
    type Err = PairingError;

    fn from_str(text: &str) -> Result<Self, PairingError> {
        let mut letters = String::new();
        for letter in text.chars().filter(|letter| !letter.is_whitespace() && *letter != '-') {
            let letter = letter.to_ascii_uppercase();
            let known = u8::try_from(letter).is_ok_and(|byte| ALPHABET.contains(&byte));
            if !known || letters.len() == LENGTH {
                return Err(PairingError::NotACode);
            }
            letters.push(letter);
        }
        if letters.len() == LENGTH { Ok(Self(letters)) } else { Err(PairingError::NotACode) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_shown_is_understood_however_it_is_typed() {
        let code = Code::random().unwrap();
        assert_eq!(code.to_string().len(), 9);
        assert_eq!(code.to_string().parse::<Code>().unwrap(), code);
        assert_eq!(" abcd 2345\n".parse::<Code>().unwrap().to_string(), "ABCD-2345");
        assert_ne!(Code::random().unwrap(), code);
        assert_eq!(format!("{code:?}"), "Code(…)");
    }

    #[test]
    fn what_is_no_code_is_told_before_anybody_is_asked() {
        for text in ["", "ABCD-234", "ABCD-23456", "ABCD-2O45", "ÄBCD-2345", "ABCD_2345"] {
            assert!(text.parse::<Code>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_code_or_none(text in ".{0,20}") {
            if let Ok(code) = text.parse::<Code>() {
                prop_assert_eq!(code.to_string().parse::<Code>().unwrap(), code);
            }
        }
    }
}
