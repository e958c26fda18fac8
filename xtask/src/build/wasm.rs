//! Rust to WebAssembly: cargo, then wasm-bindgen as a library, so that the lock file alone says which version runs.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use super::{fresh_folder, remap};
use crate::run::{cargo, check};
use crate::workspace::Workspace;

/// The cargo profile of both modules; see Cargo.toml.
const PROFILE: &str = "web-release";

/// Compiles both modules.
pub(super) fn compile(workspace: &Workspace) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["build", "--locked", "--lib", "--target", "wasm32-unknown-unknown", "--profile", PROFILE]);
    command.args(["-p", "offstage-ext-core", "-p", "offstage-popup", "-p", "offstage-stage"]);
    // Flags that were meant for the machine's own programs make modules that browsers refuse.
    command.env_remove("RUSTFLAGS").env(remap::VARIABLE, remap::flags(workspace)?);
    check(&mut command).context(
        "if the target is missing: `cargo xtask setup`, or `rustup target add wasm32-unknown-unknown`",
    )
}

/// Writes the module of `library` and its JavaScript as `<name>_bg.wasm` and `<name>.js` into `folder`.
pub(super) fn bind(workspace: &Workspace, library: &str, name: &str, folder: &Path) -> Result<()> {
    let module =
        workspace.target().join("wasm32-unknown-unknown").join(PROFILE).join(library).with_extension("wasm");
    fresh_folder(folder)?;
    let mut bindgen = Bindgen::new();
    bindgen.input_path(&module).out_name(name).typescript(false).remove_name_section(true);
    bindgen.remove_producers_section(true).omit_default_module_path(false);
    bindgen
        .web(true)?
        .generate(folder)
        .with_context(|| format!("wasm-bindgen failed on {}", module.display()))?;
    let made = folder.join(format!("{name}_bg.wasm"));
    let bytes = std::fs::read(&made).with_context(|| format!("cannot read {}", made.display()))?;
    let modules = imported_modules(&bytes).with_context(|| format!("{} is no module", made.display()))?;
    if modules.iter().any(|imported| imported == "env") {
        bail!(
            "{name} imports from \"env\", which no browser provides. The usual cause is a crate that calls C code or the \
             operating system: `cargo tree --target wasm32-unknown-unknown -p {}` shows what is in it.",
            library.replace('_', "-")
        );
    }
    Ok(())
}

/// The names of the modules that a module imports from; `None` if the bytes are not a whole module.
fn imported_modules(bytes: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader { left: bytes.strip_prefix(b"\0asm\x01\0\0\0")? };
    while !reader.left.is_empty() {
        let id = reader.byte()?;
        let size = reader.number()?;
        let mut section = Reader { left: reader.take(size)? };
        if id == 2 {
            let count = section.number()?;
            return (0..count).map(|_| section.import()).collect();
        }
    }
    Some(Vec::new())
}

/// As much of the binary format as the import section needs: <https://webassembly.github.io/spec/core/binary/>.
struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(length)?;
        self.left = left;
        Some(taken)
    }

    /// An unsigned LEB128 number of at most 32 bits.
    fn number(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn name(&mut self) -> Option<String> {
        let length = self.number()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    /// One import; the answer is its module's name.
    fn import(&mut self) -> Option<String> {
        let module = self.name()?;
        self.name()?;
        match self.byte()? {
            // A function: its type's index.
            0 => drop(self.number()?),
            // A table: its element type, then its limits.
            1 => {
                self.byte()?;
                self.limits()?;
            }
            2 => self.limits()?,
            // A global: its type and whether it changes.
            3 => drop(self.take(2)?),
            // A tag: its attribute and its type's index.
            4 => {
                self.byte()?;
                self.number()?;
            }
            _ => return None,
        }
        Some(module)
    }

    fn limits(&mut self) -> Option<()> {
        let flags = self.number()?;
        self.number()?;
        if flags & 1 == 1 {
            self.number()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_of_every_kind_are_listed() {
        let section = [
            &[3_u8][..],
            &[3, b'e', b'n', b'v', 1, b'f', 0, 5],
            &[1, b'x', 1, b'm', 2, 1, 0x80, 1, 0x80, 2],
            &[1, b'y', 1, b't', 1, 0x70, 0, 1],
        ]
        .concat();
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        module.extend([1, 1, 0, 2, u8::try_from(section.len()).unwrap()]);
        module.extend(&section);
        assert_eq!(imported_modules(&module).unwrap(), ["env", "x", "y"]);
        assert_eq!(imported_modules(&module[..module.len() - 3]), None);
        assert_eq!(imported_modules(b"\0asm\x01\0\0\0"), Some(Vec::new()));
        assert_eq!(imported_modules(b"MZ"), None);
    }
}
