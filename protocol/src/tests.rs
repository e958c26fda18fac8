//! Tests of the crate as a whole: exact bytes, documents that must agree with the code, the corpus.

mod corpus;
mod documents;
mod golden;
mod samples;
mod schema;

use std::fs;
use std::path::PathBuf;

/// A path below the crate's folder.
fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Whether the files are to be written instead of compared.
fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1")
}

/// Compares a file with what it should hold, or writes it.
fn check_file(relative: &str, wanted: &str) {
    let path = path(relative);
    if updating() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    if found != wanted {
        let differs = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
        let line = differs.unwrap_or(found.lines().count().min(wanted.lines().count()));
        panic!(
            "{relative} differs in line {}:\n  file: {:?}\n  code: {:?}\nUPDATE_GOLDEN=1 writes the file anew.",
            line + 1,
            found.lines().nth(line),
            wanted.lines().nth(line)
        );
    }
}
