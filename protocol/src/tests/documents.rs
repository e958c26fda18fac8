//! What the documents say is what the code does.

use std::fmt::Write as _;
use std::fs;

use super::{check_file, path, schema};
use crate::error::ErrorCode;

/// The document with the text between two markers replaced.
fn with_block(document: &str, name: &str, block: &str) -> String {
    let (begin, end) =
        (format!("<!-- {name}: written by the tests -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = document.split_once(&begin).expect("the block begins");
    let (_, after) = rest.split_once(&end).expect("the block ends");
    format!("{before}{begin}{block}\n{end}{after}")
}

fn errors() -> String {
    let mut out = String::from("\n| code | name | what happened | what to do |\n|---|---|---|---|\n");
    for code in ErrorCode::all() {
        writeln!(out, "| {code} | `{}` | {} | {} |", code.name(), code.sentence(), code.remedy()).unwrap();
    }
    out
}

#[test]
fn protocol_md_has_the_messages_and_the_error_table() {
    let document = fs::read_to_string(path("PROTOCOL.md")).unwrap();
    let document = with_block(&document, "messages", &schema::chapter());
    check_file("PROTOCOL.md", &with_block(&document, "errors", &errors()));
}

#[test]
fn protocol_md_has_the_numbers_of_the_code() {
    use crate::{frame, mux};
    let document = fs::read_to_string(path("PROTOCOL.md")).unwrap();
    for (name, value) in [
        ("MAX_PAYLOAD", frame::MAX_PAYLOAD),
        ("MAX_MESSAGE", frame::MAX_MESSAGE),
        ("MAX_STREAMS", mux::MAX_STREAMS),
        ("MAX_UNFINISHED", mux::MAX_UNFINISHED),
        ("INITIAL_STREAM_CREDIT", usize::try_from(mux::INITIAL_STREAM_CREDIT).unwrap()),
        ("INITIAL_CONNECTION_CREDIT", usize::try_from(mux::INITIAL_CONNECTION_CREDIT).unwrap()),
        ("MAX_WINDOW", usize::try_from(mux::MAX_WINDOW).unwrap()),
        ("PING_INTERVAL_MS", usize::try_from(mux::PING_INTERVAL.as_millis()).unwrap()),
        ("DEAD_AFTER_MS", usize::try_from(mux::DEAD_AFTER.as_millis()).unwrap()),
        ("PROTOCOL_MIN", usize::try_from(crate::PROTOCOL_MIN).unwrap()),
        ("PROTOCOL_MAX", usize::try_from(crate::PROTOCOL_MAX).unwrap()),
    ] {
        assert!(document.contains(&format!("| `{name}` | {value} |")), "{name} is {value}");
    }
}

#[test]
fn the_proto_file_is_the_code_s_schema() {
    check_file("offstage.proto", &schema::proto());
}

#[test]
fn no_field_number_is_used_twice() {
    for section in schema::sections() {
        for item in section.items {
            let mut tags: Vec<_> = item.fields.iter().map(|field| field.tag).filter(|tag| *tag > 0).collect();
            tags.sort_unstable();
            assert!(tags.windows(2).all(|pair| pair[0] != pair[1]), "{}", item.name);
            assert!(!item.fields.is_empty(), "{}", item.name);
        }
    }
}
