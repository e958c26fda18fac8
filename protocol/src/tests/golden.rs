//! The exact bytes of every message and of frames. A difference is a change of the wire.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use super::{check_file, path, samples, schema, updating};
use crate::frame::{Frame, FrameReader, Priority};

const FOLDER: &str = "test_data/golden";

/// Hexadecimal, sixteen bytes a line.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(16) {
        let words: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{}", words.join(" ")).unwrap();
    }
    text
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|word| u8::from_str_radix(word, 16).unwrap()).collect()
}

fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let frame = |stream, sequence, priority, last, payload: &[u8]| {
        Frame { stream, sequence, priority, last, payload }.encode()
    };
    let hello = samples::all().remove(0).bytes;
    let sliced = [
        frame(16, 0, Priority::Bulk, false, b"first slice, "),
        frame(2, u32::MAX, Priority::Interactive, true, b"between"),
        frame(16, 1, Priority::Bulk, true, b"last slice"),
    ];
    vec![
        ("frame.hello", frame(0, 0, Priority::Control, true, &hello)),
        ("frame.empty", frame(3, 1, Priority::Interactive, true, &[])),
        ("frame.background", frame(0x0102_0304, 0x0506_0708, Priority::Background, false, &[0xaa])),
        ("frame.sliced_message", sliced.concat()),
    ]
}

#[test]
fn bytes_of_every_message_are_as_recorded() {
    let mut names = BTreeSet::new();
    for sample in samples::all() {
        let file = format!("{FOLDER}/{}.hex", sample.name);
        check_file(&file, &hex(&sample.bytes));
        let recorded = unhex(&fs::read_to_string(path(&file)).unwrap());
        assert!((sample.agrees)(&recorded), "{} reads as something else", sample.name);
        names.insert(sample.name);
    }
    assert_eq!(names, schema::kinds(), "a kind has no sample");
}

#[test]
fn bytes_of_frames_are_as_recorded() {
    for (name, bytes) in frames() {
        check_file(&format!("{FOLDER}/{name}.hex"), &hex(&bytes));
        let mut reader = FrameReader::new();
        reader.push(&bytes);
        let mut again = Vec::new();
        while let Some(frame) = reader.next().unwrap() {
            frame.as_frame().encode_into(&mut again);
        }
        assert_eq!(again, bytes, "{name}");
    }
}

#[test]
fn no_file_is_left_over() {
    let mut wanted: BTreeSet<String> =
        samples::all().into_iter().map(|sample| format!("{}.hex", sample.name)).collect();
    wanted.extend(frames().iter().map(|(name, _)| format!("{name}.hex")));
    let found: BTreeSet<String> = fs::read_dir(path(FOLDER))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    // While the files are being written, another test may not be done yet.
    assert!(updating() || found == wanted, "{:?}", found.symmetric_difference(&wanted));
}
