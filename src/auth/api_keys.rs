//! API keys: random texts of which a file holds the hashes, with what each may do.
//!
//! ```toml
//! [[key]]
//! id = "jX2mCq9RkP0a"                      # the part of the key after idl_
//! hash = "sha256:1f0e…"                    # of the whole key
//! name = "dashboard of acme"
//! tenant = "acme"                          # not for operators' keys
//! user = "alice"                           # for a key of one person
//! scopes = ["usage:read:tenant"]
//! expires = "2027-01-01T00:00:00Z"         # optional
//! requests_per_second = 5000               # optional
//! ```
//!
//! A key has 256 random bits, so that one round of SHA-256 is as good as any slow hash.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Deserializer, de::Error as _};
use subtle::ConstantTimeEq as _;

use crate::domain::ids::{TenantId, UserId};

use super::{Principal, Scopes};

/// What every key begins with, so that scanners for leaked secrets know it.
pub const PREFIX: &str = "idl_";
/// Random bytes of the public part and of the secret one; 12 and 43 characters.
const ID_BYTES: usize = 9;
const SECRET_BYTES: usize = 32;
const ID_CHARS: usize = 12;
/// So many keys a file may have.
const MAX_KEYS: usize = 100_000;

type Hash = [u8; 32];

/// The keys of a file.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys {
    by_id: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    hash: Hash,
    expires: Option<DateTime<Utc>>,
    principal: Principal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    key: Vec<Written>,
}

/// A key as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    #[serde(deserialize_with = "hash")]
    hash: Hash,
    name: String,
    tenant: Option<String>,
    user: Option<String>,
    scopes: Vec<String>,
    #[serde(default, deserialize_with = "expires")]
    expires: Option<DateTime<Utc>>,
    requests_per_second: Option<u32>,
}

impl ApiKeys {
    /// Reads the text of a key file.
    ///
    /// # Errors
    /// Every fault that can be told at once. None shows a hash.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let file: File = toml::from_str(text).map_err(|error| vec![readable(text, &error)])?;
        if file.key.len() > MAX_KEYS {
            return Err(vec![format!("has {} keys, more than {MAX_KEYS}", file.key.len())]);
        }
        let (mut keys, mut faults) = (Self::default(), Vec::new());
        for (written, number) in file.key.into_iter().zip(1..) {
            let id = written.id.clone();
            match written.entry() {
                Ok(_) if keys.by_id.contains_key(&id) => {
                    faults.push(format!("[[key]] {number}: id {id:?} is there twice"));
                }
                Ok(entry) => drop(keys.by_id.insert(id, entry)),
                Err(why) => faults.push(format!("[[key]] {number}: {why}")),
            }
        }
        if faults.is_empty() { Ok(keys) } else { Err(faults) }
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whom a key stands for; none where it is none, or no longer one.
    pub fn check(&self, key: &str, now: DateTime<Utc>) -> Option<&Principal> {
        let entry = self.by_id.get(id_of(key)?);
        // As much work for an id that is not there.
        let stored = entry.map_or([0; 32], |entry| entry.hash);
        let same = bool::from(hash_of(key).ct_eq(&stored));
        let entry = entry.filter(|_| same)?;
        entry.expires.is_none_or(|expires| now < expires).then_some(&entry.principal)
    }
}

impl Written {
    fn entry(self) -> Result<Entry, String> {
        if self.id.len() != ID_CHARS || !self.id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') {
            return Err(format!("id {:?} is not one that `indelible key new` makes", self.id));
        }
        let mut scopes = Scopes::NONE;
        for name in &self.scopes {
            let known = || Scopes::NAMED.map(|(name, _)| name).join(", ");
            let scope = Scopes::named(name).ok_or_else(|| format!("{name:?} is no scope; there are {}", known()))?;
            scopes = scopes.with(scope);
        }
        let (tenant, user) = identity(self.tenant.as_deref(), self.user.as_deref(), scopes)?;
        if self.requests_per_second == Some(0) {
            return Err("requests_per_second is 0; give the key no scope, or take it out".to_owned());
        }
        if self.name.trim().is_empty() {
            return Err("name is empty; it is how people know the key".to_owned());
        }
        let principal =
            Principal { credential: format!("key {}", self.id), tenant, user, scopes, rate: self.requests_per_second };
        Ok(Entry { hash: self.hash, expires: self.expires, principal })
    }
}

/// Whom a key is to stand for.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn identity(
    tenant: Option<&str>,
    user: Option<&str>,
    scopes: Scopes,
) -> Result<(Option<TenantId>, Option<UserId>), String> {
    let all = scopes.has(Scopes::READ_ALL);
    if tenant.is_none() && !all {
        return Err("tenant is missing; only a key with usage:read:all may be without one".to_owned());
    }
    if user.is_some() && tenant.is_none() {
        return Err("user is there without tenant".to_owned());
    }
    if scopes.has(Scopes::READ) && !scopes.has(Scopes::READ_TENANT) && user.is_none() {
        return Err("user is missing, whose numbers usage:read is for".to_owned());
    }
    let tenant = tenant.map(TenantId::new).transpose().map_err(|why| format!("tenant {why}"))?;
    let user = user.map(UserId::new).transpose().map_err(|why| format!("user {why}"))?;
    Ok((tenant, user))
}

/// A new key: its public part, and the whole of it, which is nowhere kept.
///
/// # Errors
/// When the system has no random bytes.
pub fn generate() -> Result<(String, String), ring::error::Unspecified> {
    let (random, mut id, mut secret) = (SystemRandom::new(), [0; ID_BYTES], [0; SECRET_BYTES]);
    random.fill(&mut id)?;
    random.fill(&mut secret)?;
    // The underscore separates the parts.
    let id = URL_SAFE_NO_PAD.encode(id).replace('_', ".");
    let key = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
    Ok((id, key))
}

/// As the file has it.
pub fn written_hash(key: &str) -> String {
    hash_of(key).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn hash_of(key: &str) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
    hash
}

fn id_of(key: &str) -> Option<&str> {
    let (id, _) = key.strip_prefix(PREFIX)?.split_once('_')?;
    Some(id)
}

fn hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64 && digits.is_ascii());
    let bytes = digits.and_then(|digits| {
        let byte = |at: usize| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok();
        (0..32).map(byte).collect::<Option<Vec<u8>>>()
    });
    let hash = bytes.and_then(|bytes| Hash::try_from(bytes).ok());
    hash.ok_or_else(|| D::Error::custom("it is not sha256: and 64 hexadecimal digits"))
}

fn expires<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time = DateTime::parse_from_rfc3339(&text);
    time.map(|time| Some(time.to_utc()))
        .map_err(|_| D::Error::custom("it is not an instant such as \"2027-01-01T00:00:00Z\""))
}

/// The line and what is wrong there, and not the line itself: it may hold a hash.
fn readable(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    format!("line {line}: {}", error.message())
}
