//! `offstage-client`: see the library.

#[cfg(unix)]
fn main() -> anyhow::Result<()> {
    offstage_client::cli::main()
}

/// The library's core is built for other systems; the program isn't there yet.
#[cfg(not(unix))]
fn main() -> anyhow::Result<()> {
    anyhow::bail!("this system has no engine and no windows of offstage-client's yet")
}
