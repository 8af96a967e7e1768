//! A JSON Web Token to a [`Principal`]: signature, algorithm, issuer, audience, time, and then its claims.
//!
//! The algorithm has to be on the list and to be one of the key's own; what a token itself says of keys (`jwk`, `jku`,
//! `x5u`) is not looked at.

use std::time::Instant;

use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde_json::{Map, Value};

use crate::domain::ids::{TenantId, UserId};

use super::key_source::KeySource;
use super::{KeyPlace, Principal, Scopes, crypto};

/// A longer one is refused unread.
const MAX_BYTES: usize = 8 << 10;

/// What is demanded of tokens, and where in them a tenant, a user and scopes stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtSettings {
    pub keys: KeyPlace,
    pub issuer: String,
    pub audience: Vec<String>,
    /// Names of [`algorithm_names`].
    pub algorithms: Vec<String>,
    pub leeway_s: u64,
    pub tenant_claim: String,
    pub user_claim: String,
    pub scope_claim: String,
}

/// The names of algorithms that may be allowed.
pub fn algorithm_names() -> impl Iterator<Item = &'static str> {
    crypto::ALGORITHMS.iter().map(|(name, _)| *name)
}

/// Who checks tokens.
pub(super) struct Tokens {
    settings: JwtSettings,
    allowed: Vec<Algorithm>,
    pub(super) keys: KeySource,
}

/// Why a token is none. For the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLong,
    #[error("it can't be read: {0}")]
    Unreadable(jsonwebtoken::errors::Error),
    #[error("its algorithm {0:?} is not allowed")]
    Algorithm(Algorithm),
    #[error("its header has critical extensions, of which none is known")]
    Critical,
    #[error("no key fits its algorithm and key id {0:?}")]
    UnknownKey(Option<String>),
    #[error("{0}")]
    Invalid(jsonwebtoken::errors::Error),
    #[error("its claim `{0}` is no id: {1}")]
    Claim(String, String),
    #[error("no key was ever read")]
    NoKeys,
}

impl Tokens {
    /// # Errors
    /// A sentence: the keys can't be had.
    pub(super) fn new(settings: JwtSettings) -> Result<Self, String> {
        crypto::install();
        let listed = |name: &str| settings.algorithms.iter().any(|listed| listed == name);
        let allowed = crypto::ALGORITHMS.iter().filter(|(name, _)| listed(name)).map(|(_, algorithm)| *algorithm);
        Ok(Self { allowed: allowed.collect(), keys: KeySource::new(settings.keys.clone())?, settings })
    }

    /// # Errors
    /// [`Fault`]
    pub(super) async fn check(&self, token: &str, now: impl Fn() -> Instant) -> Result<Principal, Fault> {
        if token.len() > MAX_BYTES {
            return Err(Fault::TooLong);
        }
        // `none` is no algorithm to the library, and unreadable.
        let header = decode_header(token).map_err(Fault::Unreadable)?;
        if !self.allowed.contains(&header.alg) {
            return Err(Fault::Algorithm(header.alg));
        }
        if header.crit.is_some() {
            return Err(Fault::Critical);
        }
        let id = header.kid.as_deref();
        let mut keys = self.keys.keys();
        if keys.fitting(header.alg, id).next().is_none() {
            self.keys.read_if_due(now).await;
            keys = self.keys.keys();
        }
        if keys.is_empty() {
            return Err(Fault::NoKeys);
        }
        let validation = self.validation(header.alg);
        let mut last = Fault::UnknownKey(header.kid.clone());
        for key in keys.fitting(header.alg, id) {
            match decode::<Map<String, Value>>(token, key, &validation) {
                Ok(token) => return self.principal(&token.claims),
                Err(why) => last = Fault::Invalid(why),
            }
        }
        Err(last)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&self.settings.audience);
        validation.validate_nbf = true;
        validation.leeway = self.settings.leeway_s;
        validation
    }

    fn principal(&self, claims: &Map<String, Value>) -> Result<Principal, Fault> {
        let JwtSettings { tenant_claim, user_claim, scope_claim, .. } = &self.settings;
        let text = |claim: &str| match claims.get(claim) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(Fault::Claim(claim.to_owned(), "it is not a text".to_owned())),
        };
        let bad = |claim: &str, why: &dyn ToString| Fault::Claim(claim.to_owned(), why.to_string());
        let tenant = text(tenant_claim)?.map(TenantId::new).transpose().map_err(|why| bad(tenant_claim, &why))?;
        let user = text(user_claim)?.map(UserId::new).transpose().map_err(|why| bad(user_claim, &why))?;
        let scopes = match claims.get(scope_claim) {
            // One text with spaces, as RFC 8693 has it, or a list, as some issuers do.
            Some(Value::String(list)) => Scopes::known(list.split(' ')),
            Some(Value::Array(list)) => Scopes::known(list.iter().filter_map(Value::as_str)),
            _ => Scopes::NONE,
        };
        let part = |text: Option<&str>| text.map_or_else(String::new, |text| format!("{}:{text}", text.len()));
        let (of, by) = (part(tenant.as_ref().map(TenantId::as_str)), part(text("sub")?.or(text(user_claim)?)));
        Ok(Principal { credential: format!("jwt {of} {by}"), tenant, user, scopes, rate: None })
    }
}
