//! An unpacked extension out of the hand-written files of www/, the generated modules and the manifest template.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{copy_folder, fresh_folder};
use crate::workspace::Workspace;

/// Folders of www/ that are no part of the package as they are: the hook's parts become one file, the demo is a web page.
const NOT_COPIED: [&str; 2] = ["hook", "demo"];

/// Makes `dist/extension/<browser>` anew.
pub(super) fn assemble(workspace: &Workspace, browser: &str, generated: &Path) -> Result<()> {
    let folder = workspace.extension(browser);
    fresh_folder(&folder)?;
    copy_folder(&workspace.path("www"), &folder, &|name| {
        !NOT_COPIED.iter().any(|left_out| name == Path::new(left_out))
    })?;
    copy_folder(&generated.join("ext-core"), &folder, &|_| true)?;
    copy_folder(&generated.join("popup"), &folder.join("popup"), &|_| true)?;
    std::fs::write(folder.join("hook.js"), hook(&workspace.path("www/hook"))?)?;
    std::fs::write(folder.join("manifest.json"), crate::manifest::make(workspace, browser)?)?;
    std::fs::copy(workspace.path("manifest/policy/managed_schema.json"), folder.join("managed_schema.json"))?;
    Ok(())
}

/// The hook's parts in the order of their file names, inside one closure: they share its names, the page sees none of them.
fn hook(folder: &Path) -> Result<String> {
    let mut parts: Vec<_> = match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    parts.retain(|part| part.extension().is_some_and(|extension| extension == "js"));
    parts.sort();
    let mut script = "(() => {\n'use strict';\n".to_owned();
    for part in parts {
        script.push_str(
            &std::fs::read_to_string(&part).with_context(|| format!("cannot read {}", part.display()))?,
        );
        script.push('\n');
    }
    script.push_str("})();\n");
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hook_is_one_strict_closure_of_its_parts_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("20-b.js", "b;"), ("10-a.js", "a;"), ("notes.md", "no")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(hook(folder.path()).unwrap(), "(() => {\n'use strict';\na;\nb;\n})();\n");
        assert_eq!(hook(&folder.path().join("none")).unwrap(), "(() => {\n'use strict';\n})();\n");
    }
}
