//! Who issues tokens: keys of every sort, tokens signed with them, and a server that hands out the public halves.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use chrono::Utc;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "indelible";

/// A pair of keys, the private half for signing.
pub(crate) struct SigningKey {
    pub(crate) id: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Of 2,048 bits; one for all tests, since to make one takes a while.
    pub(crate) fn rsa(id: &'static str) -> Self {
        static DER: OnceLock<Vec<u8>> = OnceLock::new();
        let der = DER.get_or_init(|| {
            let args = "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -outform DER";
            let made = Command::new("openssl").args(args.split(' ')).stderr(Stdio::null()).output();
            made.expect("openssl is there").stdout
        });
        // Versions of openssl differ in the form that they write.
        let pair = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der));
        Self { id, pair: Pair::Rsa(Box::new(pair.expect("a key"))) }
    }

    pub(crate) fn p256(id: &'static str) -> Self {
        let (by, random) = (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let der = EcdsaKeyPair::generate_pkcs8(by, &random).expect("a key");
        Self { id, pair: Pair::P256(EcdsaKeyPair::from_pkcs8(by, der.as_ref(), &random).expect("a key")) }
    }

    pub(crate) fn ed25519(id: &'static str) -> Self {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Self { id, pair: Pair::Ed25519(Ed25519KeyPair::from_pkcs8(der.as_ref()).expect("a key")) }
    }

    /// The public half, as a key set has it.
    pub(crate) fn jwk(&self) -> Value {
        let (text, id) = (|bytes: &[u8]| BASE64.encode(bytes), self.id);
        match &self.pair {
            Pair::Rsa(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "use": "sig", "kid": id, "n": text(&n), "e": text(&e)})
            }
            Pair::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": id, "x": text(x), "y": text(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": text(pair.public_key().as_ref())})
            }
        }
    }

    /// The public half of an RSA or Ed25519 key, in PEM.
    pub(crate) fn pem(&self) -> String {
        let (algorithm, key): (&[u8], Vec<u8>) = match &self.pair {
            Pair::Rsa(pair) => {
                (&[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0], pair.public_key().as_ref().into())
            }
            Pair::Ed25519(pair) => (&[0x30, 5, 6, 3, 0x2b, 0x65, 0x70], pair.public_key().as_ref().into()),
            Pair::P256(_) => panic!("no test asks for it"),
        };
        let bits = der(0x03, &[&[0], key.as_slice()].concat());
        let encoded = STANDARD.encode(der(0x30, &[algorithm, &bits].concat()));
        let lines: Vec<_> =
            encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// A token with this header and these claims.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let (random, bytes) = (SystemRandom::new(), message.as_bytes());
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let scheme: &dyn signature::RsaEncoding = match header["alg"].as_str() {
                    Some("PS256") => &signature::RSA_PSS_SHA256,
                    Some("RS512") => &signature::RSA_PKCS1_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(scheme, &random, bytes, &mut signature).expect("a signature");
                signature
            }
            Pair::P256(pair) => pair.sign(&random, bytes).expect("a signature").as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(bytes).as_ref().to_vec(),
        };
        format!("{message}.{}", BASE64.encode(signature))
    }

    /// A good one of a tenant and user, with other claims over it.
    pub(crate) fn token(&self, other: &Value) -> String {
        self.sign(&json!({"alg": self.algorithm(), "typ": "JWT", "kid": self.id}), &claims(other))
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }
}

/// What is signed.
pub(crate) fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()))
}

/// Those of a good token of tenant acme and user alice; null in `other` takes one away.
pub(crate) fn claims(other: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": [AUDIENCE, "another"], "exp": Utc::now().timestamp() + 600, "sub": "alice",
        "tenant": "acme", "scope": "openid usage:read profile",
    });
    let all = claims.as_object_mut().expect("an object");
    all.extend(other.as_object().expect("an object").clone());
    all.retain(|_, value| !value.is_null());
    claims
}

pub(crate) fn key_set(keys: &[&SigningKey]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let length = match length {
        0..=0x7f => vec![length as u8],
        _ => vec![0x82, (length >> 8) as u8, length as u8],
    };
    [&[tag], length.as_slice(), content].concat()
}

/// Hands out what it is given, and counts who asks. Listens until the test binary ends.
pub(crate) struct KeyServer {
    address: String,
    /// What follows `HTTP/1.1 ` up to the headers, and the body.
    answer: Arc<Mutex<(&'static str, String)>>,
    asked: Arc<AtomicUsize>,
}

impl KeyServer {
    pub(crate) fn start(body: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it listens").to_string();
        let (answer, asked) = (Arc::new(Mutex::new(("200 OK", body))), Arc::new(AtomicUsize::new(0)));
        let (theirs, count) = (Arc::clone(&answer), Arc::clone(&asked));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut reader = BufReader::new(client);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                    line.clear();
                }
                count.fetch_add(1, Ordering::SeqCst);
                let (status, body) = theirs.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let length = body.len();
                // Who goes away in the middle is of no interest.
                let _ = write!(
                    reader.get_mut(),
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { address, answer, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/keys?of=indelible", self.address)
    }

    pub(crate) fn set(&self, status: &'static str, body: String) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = (status, body);
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}
