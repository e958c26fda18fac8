//! The same bytes from every folder: what is shipped names no folder of the machine that built it.
//!
//! Debug builds are left as they are, so that panics and debuggers name files that are there.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::run::output;
use crate::workspace::Workspace;

/// Cargo's variable for flags that may have blanks in them; it goes before `RUSTFLAGS` and the flags of configuration files.
pub(super) const VARIABLE: &str = "CARGO_ENCODED_RUSTFLAGS";

/// Flags of all shipped builds, as [`VARIABLE`] has them. They take the place of flags from the environment: those would show
/// in the bytes.
pub(super) fn flags(workspace: &Workspace) -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = output(Command::new(rustc).args(["--print", "sysroot"]).current_dir(workspace.root()))?;
    // Of several that fit, the compiler takes the last.
    encoded(&[
        (workspace.root(), "/offstage"),
        (Path::new(sysroot.trim()), "/rust"),
        (workspace.cargo_home(), "/cargo"),
        (workspace.target(), "/target"),
    ])
}

fn encoded(folders: &[(&Path, &str)]) -> Result<String> {
    let flag = |(folder, name): &(&Path, &str)| {
        let folder = folder.to_str().with_context(|| format!("{} is not UTF-8", folder.display()))?;
        Ok(format!("--remap-path-prefix={folder}={name}"))
    };
    Ok(folders.iter().map(flag).collect::<Result<Vec<_>>>()?.join("\x1f"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_kept_apart_by_what_no_path_has() {
        let flags = encoded(&[(Path::new("/home/a b"), "/offstage"), (Path::new("/t"), "/target")]).unwrap();
        assert_eq!(flags, "--remap-path-prefix=/home/a b=/offstage\x1f--remap-path-prefix=/t=/target");
    }
}
