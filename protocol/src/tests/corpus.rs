//! Replays the checked-in corpus, and random input, through the oracles.

use std::fs;

use proptest::prelude::*;

use super::{golden, path, samples};
use crate::oracle;

fn replay(name: &str, oracle: impl Fn(&[u8])) {
    let folder = path("test_data/fuzz").join(name);
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        oracle(&fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files > 0, "{} is empty", folder.display());
}

#[test]
fn corpus_of_frames() {
    replay("frames", oracle::frames);
}

#[test]
fn corpus_of_messages() {
    replay("messages", oracle::messages);
}

#[test]
fn corpus_of_the_mux() {
    replay("mux", oracle::mux);
}

#[test]
fn corpus_of_ranges() {
    replay("ranges", oracle::ranges);
}

#[test]
fn golden_files_are_good_input() {
    for entry in fs::read_dir(path("test_data/golden")).unwrap() {
        let bytes = golden::unhex(&fs::read_to_string(entry.unwrap().path()).unwrap());
        oracle::frames(&bytes);
        oracle::messages(&bytes);
        oracle::mux(&bytes);
        oracle::ranges(&bytes);
    }
}

/// Messages that can be read, with a few bytes changed.
fn nearly_messages() -> impl Strategy<Value = Vec<u8>> {
    let samples: Vec<Vec<u8>> = samples::all().into_iter().map(|sample| sample.bytes).collect();
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::sample::select(samples), changes, any::<prop::sample::Index>()).prop_map(
        |(mut bytes, changes, cut)| {
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(1 + cut.index(bytes.len() * 2));
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        oracle::frames(&bytes);
        oracle::messages(&bytes);
        oracle::mux(&bytes);
        oracle::ranges(&bytes);
    }

    #[test]
    fn nearly_good_messages(bytes in nearly_messages()) {
        oracle::messages(&bytes);
    }
}
