#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| offstage_protocol::oracle::messages(bytes));
