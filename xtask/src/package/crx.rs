//! CRX3, the signed package that browsers install by policy
//! (<https://source.chromium.org/chromium/chromium/src/+/main:components/crx_file/crx3.proto>), and the update manifest that names it.

use anyhow::{Context as _, Result, bail};
use prost::Message;
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use sha2::{Digest as _, Sha256};

/// What is signed begins with this.
const CONTEXT: &[u8] = b"CRX3 SignedData\0";
/// The algorithm of an RSA key (RFC 3279): rsaEncryption, without parameters.
const RSA: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(message, repeated, tag = "2")]
    sha256_with_rsa: Vec<Proof>,
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

/// The key that an extension is signed with, and that its id is made of. RSA, whose signatures (PKCS #1 v1.5) are the same every time.
#[derive(Debug)]
pub(super) struct Key(RsaKeyPair);

impl Key {
    /// A private key as PEM, PKCS #8 (`-----BEGIN PRIVATE KEY-----`), of 2048 bits and more.
    pub(super) fn from_pem(text: &str) -> Result<Self> {
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
        if !text.contains("BEGIN PRIVATE KEY") {
            bail!("the key is no PKCS #8 PEM; `openssl pkcs8 -topk8 -nocrypt` makes one of another form");
        }
        let der =
            base64::Engine::decode(&base64::prelude::BASE64_STANDARD, body).context("the key is no PEM")?;
        RsaKeyPair::from_pkcs8(&der)
            .map(Self)
            .map_err(|error| anyhow::anyhow!("the key is no RSA key that can sign: {error}"))
    }

    /// SubjectPublicKeyInfo.
    fn public(&self) -> Vec<u8> {
        let bits = [&[0], self.0.public_key().as_ref()].concat();
        der(0x30, &[RSA, &der(0x03, &bits)].concat())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        let signed = self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        signed.map_err(|error| anyhow::anyhow!("signing failed: {error}"))?;
        Ok(signature)
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
    let header = Header { sha256_with_rsa: vec![proof], signed_header_data }.encode_to_vec();
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
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_package_says_who_signed_it_and_what() {
        let key = Key::from_pem(&crate::package::new_key().unwrap()).unwrap();
        let crx = sign(b"PK the zip", &key).unwrap();
        let (head, rest) = crx.split_at(12);
        assert_eq!(&head[..8], b"Cr24\x03\0\0\0");
        let length = u32::from_le_bytes(head[8..].try_into().unwrap()) as usize;
        let header = Header::decode(&rest[..length]).unwrap();
        assert_eq!(&rest[length..], b"PK the zip");
        let [proof] = header.sha256_with_rsa.as_slice() else { panic!("one proof") };
        let id = SignedData::decode(header.signed_header_data.as_slice()).unwrap().crx_id;
        assert_eq!(id, Sha256::digest(&proof.public_key)[..16]);
        let length = u32::try_from(header.signed_header_data.len()).unwrap().to_le_bytes();
        let message = [CONTEXT, &length, &header.signed_header_data, b"PK the zip"].concat();
        let own = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.0.public_key().as_ref());
        own.verify(&message, &proof.signature).unwrap();
        assert!(proof.public_key.ends_with(key.0.public_key().as_ref()));
        assert_eq!(sign(b"PK the zip", &key).unwrap(), crx, "the same every time");
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
