//! `offstage-client`: see the library.

fn main() -> anyhow::Result<()> {
    offstage_client::cli::main()
}
