//! `offstage-bridge`: see `offstage-bridge --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    offstage_bridge::cli::main()
}
