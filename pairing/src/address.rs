//! Where a device is.

use std::fmt;
use std::str::FromStr;

/// Where devices listen unless they are told otherwise.
pub const PORT: u16 = 7644;

/// A host's name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

/// Neither HOST nor HOST:PORT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has to be HOST or HOST:PORT, an IPv6 address in brackets")]
pub struct NotAnAddress;

impl Address {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Without a port it is [`PORT`].
impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let after_brackets = text.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match text.get(after_brackets..).and_then(|rest| rest.rsplit_once(':')) {
            Some((before, port)) => {
                let end = after_brackets + before.len();
                (text.get(..end).unwrap_or_default(), port.parse().map_err(|_number| NotAnAddress)?)
            }
            None => (text, PORT),
        };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let fits = |letter: char| {
            letter.is_alphanumeric() || "-_.".contains(letter) || (bracketed && "[]:%".contains(letter))
        };
        if host.is_empty() || host.len() > 255 || port == 0 || !host.chars().all(fits) {
            return Err(NotAnAddress);
        }
        Ok(Self(format!("{}:{port}", host.to_lowercase())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_ports() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(text.parse::<Address>().ok().as_ref().map(Address::as_str), expected, "{text}");
        };
        check("Laptop.lan", Some("laptop.lan:7644"));
        check("laptop:1", Some("laptop:1"));
        check("10.0.0.7:7000", Some("10.0.0.7:7000"));
        check("[::1]:7000", Some("[::1]:7000"));
        check("[fe80::1%eth0]", Some("[fe80::1%eth0]:7644"));
        for text in ["", ":1", "a:", "a:b", "a:0", "a:70000", "::1", "a b", "a/b:1"] {
            check(text, None);
        }
    }
}
