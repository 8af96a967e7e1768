//! The public keys of those who issue tokens, read from a JSON Web Key Set or from PEM.

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;

/// More is no set of keys that are in use.
const MAX_KEYS: usize = 64;

/// Keys that a token may be signed with.
#[derive(Debug, Clone, Default)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug, Clone)]
struct Key {
    /// Absent in PEM, and where a set has one key and does not name it.
    id: Option<String>,
    /// The one algorithm that it is for, where the set says so.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

impl KeySet {
    /// A JSON Web Key Set. Keys of sorts that are not known here are left out, as the standard has it.
    ///
    /// # Errors
    /// A sentence, where it is no set, or no key of it can be used.
    pub(super) fn of_jwks(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<serde_json::Value>,
        }
        let document: Document = serde_json::from_str(text).map_err(|why| format!("is no JSON Web Key Set: {why}"))?;
        if document.keys.len() > MAX_KEYS {
            return Err(format!("has {} keys, more than {MAX_KEYS}", document.keys.len()));
        }
        let keys: Vec<_> =
            document.keys.into_iter().filter_map(|key| Key::of(&serde_json::from_value(key).ok()?)).collect();
        if keys.is_empty() {
            Err("has no public key for signatures that can be used".to_owned())
        } else {
            Ok(Self { keys })
        }
    }

    /// One public key in PEM.
    ///
    /// # Errors
    /// A sentence, where it is anything else.
    pub(super) fn of_pem(text: &str) -> Result<Self, String> {
        // A private key has no business here, and a certificate's key is not its first bits.
        if !text.contains("-----BEGIN PUBLIC KEY-----") && !text.contains("-----BEGIN RSA PUBLIC KEY-----") {
            return Err("holds no PUBLIC KEY in PEM".to_owned());
        }
        let readers = [DecodingKey::from_rsa_pem, DecodingKey::from_ec_pem, DecodingKey::from_ed_pem];
        let key = readers.into_iter().find_map(|read| read(text.as_bytes()).ok());
        let key = key.ok_or("holds no public key of RSA, of P-256 or P-384, or of Ed25519 that can be read")?;
        Ok(Self { keys: vec![Key { id: None, algorithm: None, key }] })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that a token of this algorithm and key id may be signed with.
    pub(super) fn fitting<'a>(
        &'a self,
        algorithm: Algorithm,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a DecodingKey> {
        let fits = move |key: &&Key| {
            let named = match (&key.id, id) {
                (Some(own), Some(asked)) => own == asked,
                _ => true,
            };
            named && key.key.family() == algorithm.family() && key.algorithm.is_none_or(|only| only == algorithm)
        };
        self.keys.iter().filter(fits).map(|key| &key.key)
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Self> {
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
        let algorithm = jwk.common.key_algorithm.map(Algorithm::try_from).transpose().ok()?;
        // `oct` is a shared secret: whoever has it can sign.
        let public = !matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
        let key = DecodingKey::from_jwk(jwk).ok().filter(|key| key.family() != AlgorithmFamily::Hmac)?;
        (signs && public).then(|| Self { id: jwk.common.key_id.clone(), algorithm, key })
    }
}
