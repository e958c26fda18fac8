//! Windows knows by a program's file where it is installed (`App Paths`), for the person and for the machine.

use std::path::Path;
use std::path::PathBuf;

use offstage_support::win32::registry;
use offstage_support::win32::registry::Root;

const APP_PATHS: &str = r"Software\Microsoft\Windows\CurrentVersion\App Paths";

/// Files of usable engines, best first.
pub(in crate::engine) const NAMES: [&str; 5] =
    ["chrome.exe", "msedge.exe", "chromium.exe", "brave.exe", "vivaldi.exe"];

/// The program of that name or path, if it is there; `.exe` may be left out of a name.
pub(in crate::engine) fn search(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return name.is_file().then(|| name.to_path_buf());
    }
    let file = name.with_extension("exe");
    let key = format!(r"{APP_PATHS}\{}", file.to_str()?);
    [Root::User, Root::Machine].into_iter().find_map(|root| {
        let program = registry::text(root, &key, "").ok().flatten()?;
        let program = PathBuf::from(program.trim_matches('"'));
        program.is_file().then_some(program)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_where_the_registry_says() {
        let own = std::env::current_exe().unwrap();
        let name = format!("offstage-test-{}", std::process::id());
        let key = format!(r"{APP_PATHS}\{name}.exe");
        assert_eq!(search(Path::new(&name)), None);
        registry::set_text(Root::User, &key, "", &format!("\"{}\"", own.display())).unwrap();
        assert_eq!(search(Path::new(&name)), Some(own.clone()));
        assert_eq!(search(Path::new(&format!("{name}.exe"))), Some(own.clone()));
        registry::set_text(Root::User, &key, "", r"C:\nowhere\at\all.exe").unwrap();
        assert_eq!(search(Path::new(&name)), None);
        registry::remove(Root::User, &key).unwrap();
        assert_eq!(search(&own), Some(own));
    }
}
