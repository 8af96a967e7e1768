//! A credential's text to a [`Principal`], or to a refusal that tells nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};

use super::api_keys::{self, ApiKeys};
use super::jwt::{Fault, JwtSettings, Tokens};
use super::{KeyPlace, Principal};

/// Why nobody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no credential of ours, or not one any more.
    Invalid,
    /// Whether it is one can't be told: no key of its issuer was ever read.
    Unavailable,
}

/// Who is let in. API keys, tokens, or both.
pub struct Authenticator {
    keys: Option<(PathBuf, ArcSwap<ApiKeys>)>,
    tokens: Option<Tokens>,
    /// [`crate::ops::clock`], but for tests.
    clock: Clock,
}

/// The time of day and the monotonic clock.
#[derive(Clone, Copy)]
pub struct Clock {
    pub now: fn() -> DateTime<Utc>,
    pub instant: fn() -> Instant,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

impl Authenticator {
    /// `keys` are those of the file at the path. Keys of tokens that are at a URL come with
    /// [`Authenticator::keep_token_keys`].
    ///
    /// # Errors
    /// A sentence that says why the keys of tokens can't be had.
    pub fn new(keys: Option<(PathBuf, ApiKeys)>, tokens: Option<JwtSettings>, clock: Clock) -> Result<Self, String> {
        let tokens = tokens.map(Tokens::new).transpose()?;
        Ok(Self { keys: keys.map(|(path, keys)| (path, ArcSwap::from_pointee(keys))), tokens, clock })
    }

    /// Whom the text after `Bearer ` stands for.
    ///
    /// # Errors
    /// [`Refusal`]; the reason is in the log at DEBUG.
    pub async fn check(&self, credential: &str) -> Result<Principal, Refusal> {
        if credential.starts_with(api_keys::PREFIX) {
            let keys = self.keys.as_ref().map(|(_, keys)| keys.load());
            let known = keys.as_ref().and_then(|keys| keys.check(credential, (self.clock.now)()).cloned());
            return known.ok_or_else(|| {
                tracing::debug!("refused an API key: it is not in the file, or has expired");
                Refusal::Invalid
            });
        }
        let Some(tokens) = &self.tokens else { return Err(Refusal::Invalid) };
        tokens.check(credential, self.clock.instant).await.map_err(|fault| {
            tracing::debug!(%fault, "refused a token");
            if matches!(fault, Fault::NoKeys) { Refusal::Unavailable } else { Refusal::Invalid }
        })
    }

    /// Where API keys are read from, if they are.
    pub fn key_file(&self) -> Option<&Path> {
        self.keys.as_ref().map(|(path, _)| path.as_path())
    }

    /// Puts other API keys in the place of those known.
    pub fn replace_keys(&self, keys: ApiKeys) {
        if let Some((_, known)) = &self.keys {
            known.store(Arc::new(keys));
        }
    }

    /// Reads the keys of tokens now; nothing to do where no tokens are taken.
    ///
    /// # Errors
    /// A sentence. Those known stay.
    pub async fn read_token_keys(&self) -> Option<Result<(), String>> {
        Some(self.tokens.as_ref()?.keys.read((self.clock.instant)()).await)
    }

    /// Reads the keys of tokens again and again, so that one that was withdrawn is not taken for long; those at a URL at
    /// once.
    pub async fn keep_token_keys(&self) {
        let Some(Tokens { keys, .. }) = &self.tokens else { return };
        loop {
            if let Err(why) = keys.read((self.clock.instant)()).await {
                tracing::warn!(why, "the keys of tokens can't be read; those known stay");
            }
            tokio::time::sleep(keys.pause()).await;
        }
    }
}

impl KeyPlace {
    /// A path, or an http or https URL.
    pub fn of_jwks(text: &str) -> Option<Self> {
        if !text.contains("://") {
            return Some(Self::JwksFile(text.into()));
        }
        let uri: hyper::Uri = url::Url::parse(text).ok()?.as_str().parse().ok()?;
        matches!(uri.scheme_str(), Some("http" | "https")).then_some(Self::JwksUrl(uri))
    }
}
