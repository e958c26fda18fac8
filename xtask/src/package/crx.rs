//! CRX3, the signed package that browsers install by policy
//! (<https://source.chromium.org/chromium/chromium/src/+/main:components/crx_file/crx3.proto>), and the update manifest that names it.

use anyhow::{Context as _, Result, bail};
use prost::Message;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use sha2::{Digest as _, Sha256};

/// What is signed begins with this.
const CONTEXT: &[u8] = b"CRX3 SignedData\0";
/// A SubjectPublicKeyInfo of a P-256 key up to its point (RFC 5480).
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The algorithm of an RSA key (RFC 3279): rsaEncryption, without parameters.
const RSA: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(message, repeated, tag = "2")]
    sha256_with_rsa: Vec<Proof>,
    #[prost(message, repeated, tag = "3")]
    sha256_with_ecdsa: Vec<Proof>,
    #[prost(bytes = "vec", tag = "10000")]
    signed_header_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Proof {
    #[prost(bytes = "vec", tag = "1")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    signature: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SignedData {
    #[prost(bytes = "vec", tag = "1")]
    crx_id: Vec<u8>,
}

/// The key that an extension is signed with, and that its id is made of.
#[derive(Debug)]
pub(super) enum Key {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
}

impl Key {
    /// A private key as PEM, PKCS #8 (`-----BEGIN PRIVATE KEY-----`): RSA of 2048 bits and more, or P-256.
    pub(super) fn from_pem(text: &str) -> Result<Self> {
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
        if !text.contains("BEGIN PRIVATE KEY") {
            bail!("the key is no PKCS #8 PEM; `openssl pkcs8 -topk8 -nocrypt` makes one of another form");
        }
        Self::from_pkcs8(
            &base64::Engine::decode(&base64::prelude::BASE64_STANDARD, body).context("the key is no PEM")?,
        )
    }

    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self> {
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            return Ok(Self::Rsa(Box::new(pair)));
        }
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &SystemRandom::new());
        pair.map(|pair| Self::P256(Box::new(pair)))
            .map_err(|error| anyhow::anyhow!("the key is neither RSA nor P-256: {error}"))
    }

    /// A new P-256 key, as PKCS #8.
    pub(super) fn generate() -> Result<Vec<u8>> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        Ok(document.map_err(|error| anyhow::anyhow!("no key can be made: {error}"))?.as_ref().to_vec())
    }

    /// SubjectPublicKeyInfo.
    fn public(&self) -> Vec<u8> {
        match self {
            Self::P256(pair) => [P256, pair.public_key().as_ref()].concat(),
            Self::Rsa(pair) => {
                let bits = [&[0], pair.public_key().as_ref()].concat();
                der(0x30, &[RSA, &der(0x03, &bits)].concat())
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        let failed = |error| anyhow::anyhow!("signing failed: {error}");
        match self {
            Self::P256(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }

    fn crx_id(&self) -> Vec<u8> {
        Sha256::digest(self.public())[..16].to_vec()
    }

    /// The extension's id: 32 letters from a to p.
    pub(super) fn id(&self) -> String {
        self.crx_id()
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|half| char::from(b'a' + half))
            .collect()
    }
}

/// One element of DER with a tag.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    let mut out = vec![tag];
    if length < 128 {
        out.extend(bytes.last().copied().or(Some(0)));
    } else {
        out.push(0x80 | u8::try_from(bytes.len()).unwrap_or(8));
        out.extend(bytes);
    }
    out.extend(content);
    out
}

/// A zip as a signed package.
pub(super) fn sign(zip: &[u8], key: &Key) -> Result<Vec<u8>> {
    let signed_header_data = SignedData { crx_id: key.crx_id() }.encode_to_vec();
    let length = |bytes: &[u8]| Ok::<_, anyhow::Error>(u32::try_from(bytes.len())?.to_le_bytes());
    let message = [CONTEXT, &length(&signed_header_data)?, &signed_header_data, zip].concat();
    let proof = Proof { public_key: key.public(), signature: key.sign(&message)? };
    let mut header = Header { signed_header_data, ..Header::default() };
    match key {
        Key::Rsa(_) => header.sha256_with_rsa.push(proof),
        Key::P256(_) => header.sha256_with_ecdsa.push(proof),
    }
    let header = header.encode_to_vec();
    Ok([b"Cr24", &3_u32.to_le_bytes()[..], &length(&header)?, &header, zip].concat())
}

/// What browsers ask for at a policy's `update_url`.
pub(super) fn update_manifest(id: &str, version: &str, url: &str) -> String {
    let url = url.replace('&', "&amp;").replace('\'', "&apos;").replace('<', "&lt;");
    format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<gupdate xmlns='http://www.google.com/update2/response' protocol='2.0'>\n  \
         <app appid='{id}'>\n    <updatecheck codebase='{url}' version='{version}'/>\n  </app>\n</gupdate>\n"
    )
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_package_says_who_signed_it_and_what() {
        let key = Key::from_pkcs8(&Key::generate().unwrap()).unwrap();
        let crx = sign(b"PK the zip", &key).unwrap();
        let (head, rest) = crx.split_at(12);
        assert_eq!(&head[..8], b"Cr24\x03\0\0\0");
        let length = u32::from_le_bytes(head[8..].try_into().unwrap()) as usize;
        let header = Header::decode(&rest[..length]).unwrap();
        assert_eq!(&rest[length..], b"PK the zip");
        let [proof] = header.sha256_with_ecdsa.as_slice() else { panic!("one proof") };
        let id = SignedData::decode(header.signed_header_data.as_slice()).unwrap().crx_id;
        assert_eq!(id, Sha256::digest(&proof.public_key)[..16]);
        let length = u32::try_from(header.signed_header_data.len()).unwrap().to_le_bytes();
        let message = [CONTEXT, &length, &header.signed_header_data, b"PK the zip"].concat();
        let point = proof.public_key.strip_prefix(P256).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(&message, &proof.signature).unwrap();
        assert!(
            key.id().len() == 32 && key.id().bytes().all(|letter| (b'a'..=b'p').contains(&letter)),
            "{}",
            key.id()
        );
    }

    #[test]
    fn lengths_are_written_as_der_has_them() {
        assert_eq!(der(4, &[]), [4, 0]);
        assert_eq!(der(4, &[7; 127])[..3], [4, 127, 7]);
        assert_eq!(der(4, &[7; 128])[..4], [4, 0x81, 128, 7]);
        assert_eq!(der(4, &[7; 300])[..5], [4, 0x82, 1, 44, 7]);
    }

    #[test]
    fn only_a_key_is_taken_as_one() {
        for text in [
            "",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA",
        ] {
            assert!(Key::from_pem(text).is_err(), "{text}");
        }
    }
}
