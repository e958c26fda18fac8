//! `offstage-client` without a console: what Windows starts with the person's desktop, where a console would be a window.

#![cfg_attr(windows, windows_subsystem = "windows")]

fn main() -> anyhow::Result<()> {
    offstage_client::cli::main()
}
