//! The desktop, a named pipe, the plug-in for Windows' own clients of remote desktops.

use std::path::Path;

use offstage_protocol::ErrorCode;
use offstage_protocol::socket_path::ADD_IN;
use offstage_support::win32::process;
use offstage_support::win32::registry;
use offstage_support::win32::registry::Root;
use offstage_support::win32::window;

use super::Finding;
use crate::channel::pipe;

/// What the engine's file says: asked by an argument, engines on Windows open a window instead.
pub(super) fn version(program: &Path) -> Result<String, String> {
    process::version(program).ok_or_else(|| "it does not say its version".to_owned())
}

pub(super) fn display() -> Vec<Finding> {
    window::physical_pixels();
    let screens = window::screens();
    vec![if screens.width == 0 || screens.height == 0 {
        Finding::bad("display", ErrorCode::DISPLAY_MISSING, "this session has no screen")
    } else {
        Finding::good("display", format!("{} x {} pixels", screens.width, screens.height))
    }]
}

pub(super) fn socket(path: &Path) -> Finding {
    let shown = path.display();
    match pipe::is_own(path) {
        Some(true) => Finding::good("pipe", format!("{shown}: a client answers")),
        Some(false) => {
            let detail = format!("{shown}: a program of another user has its name");
            Finding::bad("pipe", ErrorCode::PEER_OF_ANOTHER_USER, detail)
        }
        None => Finding::good("pipe", format!("{shown}: no client runs")),
    }
}

/// Sessions of other machines are not let in here.
pub(super) fn pairings() -> Vec<Finding> {
    Vec::new()
}

/// The plug-in, by the person's key and the machine's. Not everybody needs one.
pub(super) fn plugins() -> Vec<Finding> {
    let subject = "plug-in";
    let finding = |root: Root| match registry::text(root, ADD_IN, "Name") {
        Ok(Some(file)) if Path::new(&file).is_file() => {
            Some(Finding::good(subject, format!("{root}: {file}")))
        }
        Ok(Some(file)) => {
            let detail = format!(r"{root}\{ADD_IN} names {file}, which is not there");
            Some(Finding::bad(subject, ErrorCode::CONFIG_INVALID, detail))
        }
        Ok(None) => None,
        Err(error) => {
            Some(Finding::bad(subject, ErrorCode::CONFIG_INVALID, format!(r"{root}\{ADD_IN}: {error}")))
        }
    };
    let found: Vec<Finding> = [Root::User, Root::Machine].into_iter().filter_map(finding).collect();
    if found.is_empty() { vec![Finding::good(subject, "none is registered")] } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plug_in_that_is_not_there_is_told() {
        registry::set_text(Root::User, ADD_IN, "Name", r"C:\nowhere\plugin.dll").unwrap();
        let found = plugins();
        registry::remove(Root::User, ADD_IN).unwrap();
        assert_eq!(found[0].code, Some(ErrorCode::CONFIG_INVALID), "{found:?}");
        assert!(found[0].detail.starts_with("HKCU") && found[0].detail.contains("nowhere"), "{found:?}");
    }
}
