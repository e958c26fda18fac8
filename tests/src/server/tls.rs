//! HTTPS for pages under names that aren't this machine's: a certificate that is made for the run and that only a browser that is
//! told its hash takes.

use std::net::TcpStream;
use std::sync::Arc;

use anyhow::Result;
use base64::Engine as _;
use rcgen::PublicKeyData as _;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

/// The first byte of a TLS handshake (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// A certificate for one run.
#[derive(Clone, Debug)]
pub struct Certificate {
    config: Arc<ServerConfig>,
    hash: String,
}

impl Certificate {
    /// Makes one, with a key of its own that is nowhere else.
    pub fn new() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(vec!["offstage.example".to_owned()])?;
        let hash = ring::digest::digest(&ring::digest::SHA256, &made.signing_key.subject_public_key_info());
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        let hash = base64::engine::general_purpose::STANDARD.encode(hash);
        Ok(Self { config: Arc::new(config), hash })
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Arguments for a browser with a profile of its own: every name is this server, and this certificate is good for it.
    #[must_use]
    pub fn browser_args(&self, port: u16) -> Vec<String> {
        vec![
            // Names in .local are those of WebRTC's peers.
            format!("--host-resolver-rules=MAP * 127.0.0.1:{port}, EXCLUDE *.local"),
            format!("--ignore-certificate-errors-spki-list={}", self.hash),
        ]
    }
}

/// Whether the other side begins with TLS.
pub(super) fn is_handshake(stream: &TcpStream) -> Result<bool> {
    let mut first = [0];
    Ok(stream.peek(&mut first)? == 1 && first == [HANDSHAKE])
}
