//! Error codes: what went wrong, for people and for programs, the same in every part.

mod table;

use core::fmt;

use table::TABLE;

/// An entry of the append-only error table, shown as `OFS-1203`.
///
/// Groups: 10xx link, framing and version; 11xx bridge and native messaging; 12xx client, engine and
/// display; 13xx media; 14xx page and hook; 15xx policy and configuration; 16xx installation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(u16);

/// What the table says about a code.
#[derive(Debug)]
struct Entry {
    code: u16,
    name: &'static str,
    sentence: &'static str,
    remedy: &'static str,
}

impl ErrorCode {
    /// The code with this number; `None` for a number that a newer end may know.
    #[must_use]
    pub fn from_u32(code: u32) -> Option<Self> {
        let code = u16::try_from(code).ok()?;
        TABLE.binary_search_by_key(&code, |entry| entry.code).ok().map(|_| Self(code))
    }

    /// The number, as messages carry it.
    #[must_use]
    pub fn number(self) -> u32 {
        u32::from(self.0)
    }

    /// The name of the constant, e.g. `CLIENT_UNREACHABLE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().map_or("", |entry| entry.name)
    }

    /// What went wrong, in one sentence for the person at the screen.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        self.entry().map_or("", |entry| entry.sentence)
    }

    /// What that person can do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        self.entry().map_or("", |entry| entry.remedy)
    }

    /// All codes in order.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|entry| Self(entry.code))
    }

    fn entry(self) -> Option<&'static Entry> {
        let at = TABLE.binary_search_by_key(&self.0, |entry| entry.code).ok()?;
        TABLE.get(at)
    }
}

impl From<ErrorCode> for u32 {
    fn from(code: ErrorCode) -> Self {
        code.number()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OFS-{:04}", self.0)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OFS-{:04} {}", self.0, self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_complete_and_in_its_groups() {
        assert!(TABLE.windows(2).all(|pair| pair[0].code < pair[1].code));
        for code in ErrorCode::all() {
            assert_eq!(ErrorCode::from_u32(code.number()), Some(code));
            assert!((1000..1700).contains(&code.number()), "{code}");
            assert!(!code.name().is_empty());
            for text in [code.sentence(), code.remedy()] {
                assert!(text.ends_with('.') && text.len() < 160, "{code}: {text}");
                assert!(!text.contains('|'), "{code}: would break the table of PROTOCOL.md");
            }
        }
    }

    #[test]
    fn names_are_used_once() {
        let mut names: Vec<_> = ErrorCode::all().map(ErrorCode::name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn unknown_numbers_are_no_codes() {
        for number in [0, 999, 1000, 1999, 65_536 + 1001, u32::MAX] {
            assert_eq!(ErrorCode::from_u32(number), None);
        }
        assert_eq!(ErrorCode::CLIENT_UNREACHABLE.to_string(), "OFS-1201");
    }
}
