//! An X11 display, a unix socket, paired sessions, FreeRDP's plug-in.

use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use offstage_pairing::PairingError;
use offstage_pairing::identity::Identity;
use offstage_pairing::listening::Listening;
use offstage_pairing::store::End;
use offstage_pairing::store::Store;
use offstage_pairing::store::folder;
use offstage_protocol::ErrorCode;
use x11rb::connection::RequestConnection as _;
use x11rb::protocol::composite;
use x11rb::protocol::res;
use x11rb::protocol::shape;

use super::Finding;
use crate::freerdp;

/// How long a port of this machine may take to answer.
const PORT_LIMIT: Duration = Duration::from_secs(2);

/// What the engine says of itself.
pub(super) fn version(program: &Path) -> Result<String, String> {
    match Command::new(program).arg("--version").output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => Err(output.status.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn display() -> Vec<Finding> {
    let conn = match x11rb::connect(None) {
        Ok((conn, _screen)) => conn,
        Err(error) => return vec![Finding::bad("display", ErrorCode::DISPLAY_MISSING, error.to_string())],
    };
    let name = std::env::var("DISPLAY").unwrap_or_default();
    let mut findings = vec![Finding::good("display", name)];
    for (subject, extension) in [
        ("extension SHAPE", shape::X11_EXTENSION_NAME),
        ("extension Composite", composite::X11_EXTENSION_NAME),
        ("extension X-Resource", res::X11_EXTENSION_NAME),
    ] {
        findings.push(match conn.extension_information(extension) {
            Ok(Some(_)) => Finding::good(subject, ""),
            Ok(None) => Finding::bad(subject, ErrorCode::DISPLAY_UNSUITABLE, ""),
            Err(error) => Finding::bad(subject, ErrorCode::DISPLAY_MISSING, error.to_string()),
        });
    }
    findings
}

pub(super) fn socket(path: &Path) -> Finding {
    let shown = path.display().to_string();
    if UnixStream::connect(path).is_ok() {
        return Finding::good("socket", format!("{shown}: a client answers"));
    }
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    match folder.metadata() {
        Ok(data) if data.uid() != rustix::process::geteuid().as_raw() && data.mode() & 0o1000 == 0 => {
            Finding::bad("socket", ErrorCode::SOCKET_UNSAFE, shown)
        }
        Ok(data) if data.mode() & 0o022 != 0 && data.mode() & 0o1000 == 0 => {
            Finding::bad("socket", ErrorCode::SOCKET_UNSAFE, shown)
        }
        Ok(_) | Err(_) => Finding::good("socket", format!("{shown}: no client runs")),
    }
}

/// Which sessions are let in by TLS, and where; nothing if that was never used.
pub(super) fn pairings() -> Vec<Finding> {
    pairing_findings(folder(End::Device).as_deref())
}

fn pairing_findings(folder: Option<&Path>) -> Vec<Finding> {
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else { return Vec::new() };
    let bad = |error: &PairingError| Finding::bad("pairings", error.code(), error.to_string());
    if let Err(error) = Identity::of_folder(folder) {
        return vec![bad(&error)];
    }
    let all = match Store::new(folder).list() {
        Ok(all) => all,
        Err(error) => return vec![bad(&error)],
    };
    let names: Vec<&str> = all.iter().map(|pairing| pairing.name.as_str()).collect();
    let paired = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let listens = match Listening::read(folder) {
        Some(address) if TcpStream::connect_timeout(&address, PORT_LIMIT).is_ok() => {
            Finding::good("TLS", format!("a client answers at {address}"))
        }
        Some(address) if all.is_empty() => Finding::good("TLS", format!("no client answers at {address}")),
        Some(_) | None if all.is_empty() => Finding::good("TLS", "no client listens"),
        Some(_) | None => Finding::bad(
            "TLS",
            ErrorCode::CLIENT_UNREACHABLE,
            "no client listens for the paired sessions: offstage-client run --listen",
        ),
    };
    vec![Finding::good("pairings", paired), listens]
}

/// The plug-in for FreeRDP, where that is installed. Not everybody needs one.
pub(super) fn plugins() -> Vec<Finding> {
    let plugin = freerdp::built(&std::env::current_exe().unwrap_or_default());
    plugin_findings(Path::new("/"), &plugin)
}

fn plugin_findings(root: &Path, plugin: &Path) -> Vec<Finding> {
    let bytes = std::fs::read(plugin).ok();
    let finding = |place: freerdp::Place| {
        let subject = "FreeRDP plug-in";
        let state = place.state(bytes.as_deref());
        let detail = format!("FreeRDP {}: {}: {state}", place.version, place.file.display());
        match state {
            freerdp::State::Installed => Finding::good(subject, detail),
            freerdp::State::Missing => {
                Finding::good(subject, format!("{detail} (`offstage-client freerdp install`)"))
            }
            freerdp::State::Different => Finding::bad(
                subject,
                ErrorCode::CONFIG_INVALID,
                format!("{detail}; `offstage-client freerdp install`"),
            ),
        }
    };
    freerdp::Place::find(root).into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use offstage_pairing::store::Pairing;

    use super::*;

    #[test]
    fn pairings_are_told_and_garbage_in_their_file_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let codes = |folder: &Path| -> Vec<Option<u32>> {
            pairing_findings(Some(folder)).iter().map(|finding| finding.code.map(ErrorCode::number)).collect()
        };
        assert_eq!(codes(&folder.path().join("missing")), []);
        assert_eq!(codes(folder.path()), [None, None]);
        let pin = Identity::of_folder(folder.path()).unwrap().pin();
        let pairing = Pairing { name: "ann@host".to_owned(), pin, address: None, since: 0 };
        Store::new(folder.path()).add(pairing).unwrap();
        assert_eq!(pairing_findings(Some(folder.path()))[0].detail, "ann@host");
        assert_eq!(codes(folder.path()), [None, Some(1201)], "paired, and nobody listens");
        std::fs::write(folder.path().join("pairings.json"), "x").unwrap();
        assert_eq!(codes(folder.path()), [Some(1046)]);
    }
}
