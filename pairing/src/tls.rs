//! TLS between two ends that know each other by their keys: version 1.3, a bare public key on both sides, no certificates, no
//! resumption (so each connection is checked against the pairings as they are then).

use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::CertificateError;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::CommonState;
use tokio_rustls::rustls::DigitallySignedStruct;
use tokio_rustls::rustls::DistinguishedName;
use tokio_rustls::rustls::Error;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::client::AlwaysResolvesClientRawPublicKeys;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::client::danger::ServerCertVerified;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::crypto::verify_tls13_signature_with_raw_key;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::pki_types::SubjectPublicKeyInfoDer;
use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::server::AlwaysResolvesServerRawPublicKeys;
use tokio_rustls::rustls::server::danger::ClientCertVerified;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::version::TLS13;

use crate::PairingError;
use crate::identity::Identity;
use crate::identity::Pin;
use crate::machine::Binding;
use crate::store::End;

/// The protocol of TLS (ALPN) that says what a connection is for.
pub const SESSION_PROTOCOL: &[u8] = b"offstage/1";
pub const PAIRING_PROTOCOL: &[u8] = b"offstage-pairing/1";

const EXPORTER: &[u8] = b"EXPORTER-offstage-pairing-1";

/// Whose key may be at the other end.
#[derive(Clone, Debug)]
pub enum Whom {
    /// One of these.
    Paired(Vec<Pin>),
    /// Anybody's: the conversation that follows will tell.
    Unknown,
}

/// A session's side of a connection.
///
/// # Errors
/// None that could happen with the cryptography that is built in.
pub fn client_config(identity: &Identity, whom: Whom) -> Result<ClientConfig, PairingError> {
    let provider = Arc::new(ring::default_provider());
    let protocol = protocol_for(&whom);
    let verifier = Arc::new(Verifier { whom, provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| PairingError::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(
            &identity.key,
        ))));
    config.alpn_protocols = vec![protocol];
    config.resumption = Resumption::disabled();
    // Names say nothing here, and the network need not see one.
    config.enable_sni = false;
    Ok(config)
}

/// A device's side of a connection.
///
/// # Errors
/// None that could happen with the cryptography that is built in.
pub fn server_config(identity: &Identity, whom: Whom) -> Result<ServerConfig, PairingError> {
    let provider = Arc::new(ring::default_provider());
    let protocol = protocol_for(&whom);
    let verifier = Arc::new(Verifier { whom, provider: Arc::clone(&provider) });
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| PairingError::Tls(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&identity.key))));
    config.alpn_protocols = vec![protocol];
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// What ties a pairing to a connection, as `own` end sees it.
///
/// # Errors
/// If the other end has shown no key.
pub fn binding(
    connection: &CommonState,
    exported: [u8; 32],
    identity: &Identity,
    own: End,
) -> Result<Binding, PairingError> {
    let other = peer_pin(connection)?;
    Ok(match own {
        End::Session => Binding { session: identity.pin(), device: other, exported },
        End::Device => Binding { session: other, device: identity.pin(), exported },
    })
}

/// What both ends of a connection, and nobody else, can derive from it.
pub(crate) fn exporter() -> ([u8; 32], &'static [u8]) {
    ([0; 32], EXPORTER)
}

/// The key that the other end has shown.
pub(crate) fn peer_pin(connection: &CommonState) -> Result<Pin, PairingError> {
    let key = connection.peer_certificates().and_then(<[_]>::first);
    key.map(|key| Pin::of(key)).ok_or_else(|| PairingError::Tls("no key was shown".to_owned()))
}

fn protocol_for(whom: &Whom) -> Vec<u8> {
    match whom {
        Whom::Paired(_) => SESSION_PROTOCOL.to_vec(),
        Whom::Unknown => PAIRING_PROTOCOL.to_vec(),
    }
}

/// Looks at a key's pin and at the proof that the other end holds the key; at nothing else.
struct Verifier {
    whom: Whom,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("whom", &self.whom).finish_non_exhaustive()
    }
}

impl Verifier {
    fn check(&self, key: &CertificateDer<'_>) -> Result<(), Error> {
        match &self.whom {
            Whom::Unknown => Ok(()),
            Whom::Paired(pins) if pins.contains(&Pin::of(key)) => Ok(()),
            Whom::Paired(_) => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        let schemes = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signature, schemes)
    }

    /// TLS 1.2 is not offered.
    fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2".to_owned()))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(key).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(key).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
