//! A small map in the order of its keys, for the machines that run as WebAssembly.

use core::ops::RangeInclusive;

/// A map that keeps its entries sorted in one vector.
///
/// For maps of some dozens of entries, mostly added in the order of their keys: what the machines keep for each stream, player
/// or tab. Each type that a `BTreeMap` is used with adds 8 to 10 kB to a WebAssembly module, each type here a few hundred
/// bytes. Adding or removing in the middle moves what comes after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortedMap<K, V> {
    entries: Vec<(K, V)>,
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there is an entry for `key`.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    /// The value for `key`.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(self.find(key).ok()?).map(|(_, value)| value)
    }

    /// The value for `key`, to change.
    #[must_use]
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let index = self.find(key).ok()?;
        self.entries.get_mut(index).map(|(_, value)| value)
    }

    /// The value for `key`; `make` makes it if there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let index = match self.find(&key) {
            Ok(index) => index,
            Err(index) => {
                self.entries.insert(index, (key, make()));
                index
            }
        };
        &mut self.entries[index].1
    }

    /// Sets the value for `key` and gives back the one that was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(index) => Some(core::mem::replace(&mut self.entries[index].1, value)),
            Err(index) => {
                self.entries.insert(index, (key, value));
                None
            }
        }
    }

    /// Takes the entry for `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let index = self.find(key).ok()?;
        Some(self.entries.remove(index).1)
    }

    /// Takes the entry with the smallest key out.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        (!self.entries.is_empty()).then(|| self.entries.remove(0))
    }

    /// Takes every entry out.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// All entries in the order of their keys, the values to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// The entries whose keys lie in `keys`, in order.
    pub fn range(&self, keys: RangeInclusive<K>) -> impl Iterator<Item = (&K, &V)> {
        let first = self.entries.partition_point(|(key, _)| key < keys.start());
        let inside = self.entries.get(first..).unwrap_or_default();
        inside.iter().take_while(move |(key, _)| key <= keys.end()).map(|(key, value)| (key, value))
    }

    /// All keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.iter().map(|(key, _)| key)
    }

    /// All keys in order; the map is used up.
    pub fn into_keys(self) -> impl Iterator<Item = K> {
        self.entries.into_iter().map(|(key, _)| key)
    }

    /// All values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|(_, value)| value)
    }

    /// All values in the order of their keys, to change.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    fn find(&self, key: &K) -> Result<usize, usize> {
        // Most keys are new and the greatest.
        match self.entries.last() {
            Some((last, _)) if last < key => Err(self.entries.len()),
            _ => self.entries.binary_search_by(|(found, _)| found.cmp(key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{any, proptest};

    use super::SortedMap;

    proptest! {
        #[test]
        fn it_does_what_a_tree_map_does(steps in proptest::collection::vec((0_u8..6, 0_u8..20, any::<u16>()), 0..200)) {
            let (mut map, mut tree) = (SortedMap::new(), BTreeMap::new());
            for (step, key, value) in steps {
                match step {
                    5 => assert_eq!(map.pop_first(), tree.pop_first()),
                    0 => assert_eq!(map.insert(key, value), tree.insert(key, value)),
                    1 => assert_eq!(map.remove(&key), tree.remove(&key)),
                    2 => assert_eq!(map.get_or_insert_with(key, || value), tree.entry(key).or_insert(value)),
                    3 => assert_eq!(map.get_mut(&key), tree.get_mut(&key)),
                    _ => assert_eq!(map.contains_key(&key), tree.contains_key(&key)),
                }
                assert!(map.iter().eq(tree.iter()));
                assert!(map.range(5..=key.max(5)).eq(tree.range(5..=key.max(5))));
                assert_eq!((map.len(), map.is_empty()), (tree.len(), tree.is_empty()));
            }
            assert!(map.keys().eq(tree.keys()) && map.values().eq(tree.values()));
            assert!(map.values_mut().map(|value| *value).eq(tree.values().copied()));
            assert!(map.into_keys().eq(tree.into_keys()));
        }
    }
}
