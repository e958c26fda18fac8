//! Which devices is the session paired with, and do they let it in?

use std::future::Future;
use std::path::Path;

use offstage_pairing::PairingError;
use offstage_pairing::connect::connect;
use offstage_pairing::identity::Identity;
use offstage_pairing::store::Pairing;
use offstage_pairing::store::Store;
use offstage_protocol::error::ErrorCode;

use crate::channel::Channel as _;
use crate::channel::tls::TlsChannel;
use crate::doctor::Answer;

/// Devices that are tried; each that is off costs seconds.
const TRIED: usize = 4;

/// An answer for each device; nothing if no pairing was ever made. A device that is off is no fault: only one is needed.
pub(crate) fn examine(folder: Option<&Path>) -> Vec<Answer> {
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else { return Vec::new() };
    let listed = Store::new(folder).list().and_then(|all| Identity::of_folder(folder).map(|_key| all));
    let all = match listed {
        Ok(all) => all,
        Err(error) => return vec![Answer::fail("pairings", error.code(), error.to_string())],
    };
    all.iter().rev().take(TRIED).map(|pairing| examine_one(folder, pairing)).collect()
}

/// The channel that a bridge would take now.
pub(crate) fn examine_channel(channel: &TlsChannel) -> Answer {
    let opened =
        wait_for(async { channel.open().await.map(drop).map_err(|error| (error.code(), error.to_string())) });
    match opened {
        Ok(()) => Answer::ok("client", format!("TLS, {}: it lets this session in", channel.place())),
        Err((code, what)) => Answer::fail("client", code, format!("TLS, {what}")),
    }
}

fn examine_one(folder: &Path, pairing: &Pairing) -> Answer {
    let subject = format!("paired with {}", pairing.name);
    let Some(address) = &pairing.address else {
        return Answer::warn(subject, ErrorCode::NOT_PAIRED, "its address is not known; pair again");
    };
    let told = |error: PairingError| (error.code(), error.to_string());
    match wait_for(async { connect(folder, address).await.map(drop).map_err(told) }) {
        Ok(()) => Answer::ok(subject, format!("{address}: it lets this session in")),
        Err((code, what)) => Answer::warn(subject, code, format!("{address}: {what}")),
    }
}

fn wait_for<T>(
    future: impl Future<Output = Result<T, (ErrorCode, String)>>,
) -> Result<T, (ErrorCode, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| (ErrorCode::INTERNAL, error.to_string()))?.block_on(future)
}

#[cfg(test)]
mod tests {
    use offstage_pairing::identity::Pin;

    use super::*;
    use crate::doctor::Status;

    #[test]
    fn what_is_paired_is_told_with_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let said = |folder: &Path| -> Vec<_> {
            examine(Some(folder)).into_iter().map(|answer| (answer.status, answer.code)).collect()
        };
        assert_eq!(said(&folder.path().join("missing")), []);
        assert_eq!(said(folder.path()), []);
        // A port that nobody has.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let pairing = |address| Pairing { name: "laptop".to_owned(), pin: Pin::of(b""), address, since: 0 };
        Store::new(folder.path()).add(pairing(Some(address))).unwrap();
        assert_eq!(said(folder.path()), [(Status::Warn, Some(ErrorCode::CLIENT_UNREACHABLE))]);
        std::fs::write(folder.path().join("pairings.json"), "{").unwrap();
        assert_eq!(said(folder.path()), [(Status::Fail, Some(ErrorCode::PAIRINGS_UNREADABLE))]);
    }
}
