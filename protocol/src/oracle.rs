//! What must hold for any input, as plain functions: the tests replay a corpus through them and the
//! fuzz targets are one line each. They panic where something is wrong and do nothing otherwise.

use crate::ranges::Ranges;

/// Ranges of any numbers obey the laws of sets and stay normal.
pub fn ranges_of(a: &[u64], b: &[u64]) {
    let (a, b) = (Ranges::from_flat(a), Ranges::from_flat(b));
    let (both, either, left) = (a.intersect(&b), a.union(&b), a.subtract(&b));
    for ranges in [&a, &b, &both, &either, &left] {
        assert!(ranges.iter().all(|(start, end)| start < end), "an empty range: {ranges:?}");
        let pairs = ranges.as_slice().iter().zip(ranges.as_slice().iter().skip(1));
        assert!(pairs.into_iter().all(|(one, next)| one.1 < next.0), "out of order or touching: {ranges:?}");
    }
    assert_eq!(left.union(&both), a, "a is not what is left of it and what is shared");
    assert!(left.intersect(&b).is_empty(), "something of b is left");
    assert_eq!(either.subtract(&b), left, "the union minus b is not a minus b");
    assert_eq!(u128::from(either.total()), u128::from(left.total()) + u128::from(b.total()));
    let mut sum = b;
    for (start, end) in a.iter() {
        sum.insert(start, end);
    }
    assert_eq!(sum, either, "inserting one by one is not the union");
}
