//! `offstage-client` without a console: what Windows starts with the person's desktop, where a console would be a window.

#![cfg_attr(windows, windows_subsystem = "windows")]

use std::process::ExitCode;

fn main() -> ExitCode {
    match offstage_client::cli::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody sees standard error: the log's files are where people look.
            tracing::error!(error = %format_args!("{error:#}"), "can't go on");
            ExitCode::FAILURE
        }
    }
}
