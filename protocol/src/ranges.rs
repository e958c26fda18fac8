//! Sets of time ranges, as `SourceBuffer.buffered` gives them: what the page's side and the device's
//! side compare.

/// Sorted, disjoint, non-touching half-open ranges `[start, end)`, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ranges {
    list: Vec<(u64, u64)>,
}

impl Ranges {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One range; empty if `end` is not after `start`.
    #[must_use]
    pub fn single(start: u64, end: u64) -> Self {
        Self::from_pairs([(start, end)])
    }

    /// The set that any list of pairs covers: sorts, joins what overlaps or touches, drops pairs whose
    /// end is not after their start.
    #[must_use]
    pub fn from_pairs(pairs: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut sorted: Vec<(u64, u64)> = pairs.into_iter().filter(|(start, end)| start < end).collect();
        sorted.sort_unstable();
        let mut list: Vec<(u64, u64)> = Vec::with_capacity(sorted.len());
        for (start, end) in sorted {
            match list.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => list.push((start, end)),
            }
        }
        Self { list }
    }

    /// The set that a message's flat list (start, end, start, end, …) covers. A lone start at the end
    /// counts for nothing.
    #[must_use]
    pub fn from_flat(flat: &[u64]) -> Self {
        let (pairs, _) = flat.as_chunks::<2>();
        Self::from_pairs(pairs.iter().map(|[start, end]| (*start, *end)))
    }

    /// The flat list for a message: start, end, start, end, …
    #[must_use]
    pub fn to_flat(&self) -> Vec<u64> {
        self.list.iter().flat_map(|(start, end)| [*start, *end]).collect()
    }

    /// The ranges in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + ExactSizeIterator + Clone + '_ {
        self.list.iter().copied()
    }

    /// The ranges in order, as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[(u64, u64)] {
        &self.list
    }

    /// How many ranges there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Where the first range starts.
    #[must_use]
    pub fn start(&self) -> Option<u64> {
        self.list.first().map(|(start, _)| *start)
    }

    /// Where the last range ends.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.list.last().map(|(_, end)| *end)
    }

    /// The sum of all lengths.
    #[must_use]
    pub fn total(&self) -> u64 {
        // Disjoint ranges of u64 can't add up to more than u64::MAX.
        self.list.iter().map(|(start, end)| end - start).sum()
    }

    /// Whether the point lies in a range.
    #[must_use]
    pub fn contains(&self, point: u64) -> bool {
        self.range_at(point).is_some()
    }

    /// Whether the whole of `[start, end)` lies in one range; true if it is empty.
    #[must_use]
    pub fn covers(&self, start: u64, end: u64) -> bool {
        start >= end || self.range_at(start).is_some_and(|range| end <= range.1)
    }

    /// The range that holds the point.
    #[must_use]
    pub fn range_at(&self, point: u64) -> Option<(u64, u64)> {
        let after = self.list.partition_point(|(start, _)| *start <= point);
        let range = *self.list.get(after.checked_sub(1)?)?;
        (point < range.1).then_some(range)
    }

    /// Adds `[start, end)`; nothing happens if it is empty.
    pub fn insert(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let first = self.list.partition_point(|range| range.1 < start);
        let after = self.list.partition_point(|range| range.0 <= end);
        let joined = self.list.get(first..after).unwrap_or(&[]);
        let start = joined.first().map_or(start, |range| range.0.min(start));
        let end = joined.last().map_or(end, |range| range.1.max(end));
        self.list.splice(first..after, [(start, end)]);
    }

    /// Takes the first range out.
    pub fn remove_first(&mut self) -> Option<(u64, u64)> {
        (!self.list.is_empty()).then(|| self.list.remove(0))
    }

    /// What lies in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::from_pairs(self.iter().chain(other.iter()))
    }

    /// What lies in `self` and not in `other`.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        let mut list = Vec::new();
        let mut holes = other.list.iter().peekable();
        for (start, end) in self.iter() {
            let mut from = start;
            while holes.next_if(|hole| hole.1 <= from).is_some() {}
            while let Some(hole) = holes.peek().filter(|hole| hole.0 < end) {
                if from < hole.0 {
                    list.push((from, hole.0));
                }
                from = hole.1;
                if hole.1 > end {
                    break;
                }
                holes.next();
            }
            if from < end {
                list.push((from, end));
            }
        }
        Self { list }
    }

    /// What lies in both.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let mut list = Vec::new();
        let (mut left, mut right) = (self.iter().peekable(), other.iter().peekable());
        while let (Some(a), Some(b)) = (left.peek().copied(), right.peek().copied()) {
            let (start, end) = (a.0.max(b.0), a.1.min(b.1));
            if start < end {
                list.push((start, end));
            }
            if a.1 <= b.1 {
                left.next();
            } else {
                right.next();
            }
        }
        Self { list }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Times of the model: a bit for each of the first 128 microseconds.
    const SPAN: u64 = 128;

    fn bits(ranges: &Ranges) -> u128 {
        (0..SPAN).filter(|at| ranges.contains(*at)).fold(0, |bits, at| bits | 1 << at)
    }

    fn check_normal(ranges: &Ranges) {
        assert!(ranges.iter().all(|(start, end)| start < end), "{ranges:?}");
        assert!(ranges.as_slice().windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?}");
    }

    fn pairs() -> impl Strategy<Value = Vec<(u64, u64)>> {
        proptest::collection::vec((0..SPAN, 0..=SPAN), 0..12)
    }

    #[test]
    fn any_list_becomes_a_normal_set() {
        let ranges = Ranges::from_pairs([(7, 9), (1, 3), (3, 4), (5, 5), (8, 2), (0, 1), (8, 12)]);
        assert_eq!(ranges.as_slice(), [(0, 4), (7, 12)]);
        assert_eq!((ranges.start(), ranges.end(), ranges.total(), ranges.len()), (Some(0), Some(12), 9, 2));
        assert_eq!(Ranges::from_flat(&[5, 6, 1, 2, 9]).to_flat(), [1, 2, 5, 6]);
    }

    #[test]
    fn the_ends_of_the_number_line_are_no_trap() {
        let all = Ranges::single(0, u64::MAX);
        assert_eq!(all.total(), u64::MAX);
        assert_eq!(
            all.subtract(&Ranges::single(1, u64::MAX - 1)).as_slice(),
            [(0, 1), (u64::MAX - 1, u64::MAX)]
        );
        assert!(!all.contains(u64::MAX));
        assert_eq!(all.subtract(&all), Ranges::new());
    }

    proptest! {
        #[test]
        fn operations_agree_with_a_bit_set(a in pairs(), b in pairs(), start in 0..SPAN, end in 0..=SPAN) {
            let model = |pairs: &[(u64, u64)]| {
                pairs.iter().fold(0_u128, |bits, (start, end)| (*start..*end).fold(bits, |bits, at| bits | 1 << at))
            };
            let (left, right) = (Ranges::from_pairs(a.iter().copied()), Ranges::from_pairs(b.iter().copied()));
            let (left_bits, right_bits) = (model(&a), model(&b));
            let mut inserted = left.clone();
            inserted.insert(start, end);
            let one = model(&[(start, end)]);
            for (result, wanted) in [
                (&left, left_bits),
                (&left.union(&right), left_bits | right_bits),
                (&left.subtract(&right), left_bits & !right_bits),
                (&left.intersect(&right), left_bits & right_bits),
                (&inserted, left_bits | one),
            ] {
                check_normal(result);
                prop_assert_eq!(bits(result), wanted);
                prop_assert_eq!(result.total(), u64::from(wanted.count_ones()));
            }
            prop_assert_eq!(left.covers(start, end), one & !left_bits == 0);
            prop_assert_eq!(Ranges::from_flat(&left.to_flat()), left);
        }

        #[test]
        fn any_numbers_give_a_normal_set(
            a in proptest::collection::vec(any::<u64>(), 0..20), b in proptest::collection::vec(any::<u64>(), 0..20),
        ) {
            crate::oracle::ranges_of(&a, &b);
        }
    }
}
