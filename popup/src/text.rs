//! Numbers as people read them.

/// Microseconds as milliseconds with one digit.
#[must_use]
pub fn milliseconds(us: u64) -> String {
    format!("{}.{} ms", us / 1000, us % 1000 / 100)
}

/// Bytes with three digits.
#[must_use]
pub fn bytes(count: u64) -> String {
    let (mut unit, mut size) = (1_u64, "B");
    for name in ["kB", "MB", "GB", "TB"] {
        if count / unit < 1000 {
            break;
        }
        (unit, size) = (unit * 1000, name);
    }
    let whole = count / unit;
    if whole >= 100 || unit == 1 {
        format!("{whole} {size}")
    } else {
        format!("{whole}.{} {size}", count % unit * 10 / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([0, 950, 12_345].map(milliseconds), ["0.0 ms", "0.9 ms", "12.3 ms"]);
        let sizes = [0, 999, 1000, 12_345, 456_789, 7_000_000_000, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "12.3 kB", "456 kB", "7.0 GB", "18446744 TB"]);
    }
}
