//! Settings of the API's door: who is let in, and how many at a time.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use clap::Args;
use url::Url;

use crate::api::door::DoorLimits;
use crate::auth::authenticator::Clock;
use crate::auth::jwt::{JwtSettings, algorithm_names};
use crate::auth::{Authenticator, KeyPlace};
use crate::cli::policy;
use crate::ops::clock;
use crate::ops::server::Connections;

use super::Faults;

/// As given.
#[derive(Debug, Args)]
pub(super) struct AccessSettings {
    /// Who may ask the API: auto (with credentials where any are set up, else everyone, on loopback alone), required, none.
    #[arg(long, env = "INDELIBLE_AUTH", global = true, default_value = "auto")]
    auth: String,
    /// The file of API keys (TOML), which `indelible key new` makes entries for. Read again on SIGHUP [default: none]
    #[arg(long, env = "INDELIBLE_API_KEYS", global = true)]
    api_keys: Option<String>,
    /// The key set (JWKS) of who issues tokens: a file or an http(s) URL [default: none]
    #[arg(long, env = "INDELIBLE_JWT_JWKS", global = true, hide_env_values = true)]
    jwt_jwks: Option<String>,
    /// In its place one public key: a PEM file [default: none]
    #[arg(long, env = "INDELIBLE_JWT_PEM", global = true)]
    jwt_pem: Option<String>,
    /// The `iss` that a token must have.
    #[arg(long, env = "INDELIBLE_JWT_ISSUER", global = true)]
    jwt_issuer: Option<String>,
    /// The `aud` of which a token must have one, separated by commas.
    #[arg(long, env = "INDELIBLE_JWT_AUDIENCE", global = true)]
    jwt_audience: Option<String>,
    /// Algorithms of signatures that are allowed, separated by commas: RS*, PS*, ES256, ES384, EdDSA.
    #[arg(long, env = "INDELIBLE_JWT_ALGORITHMS", global = true, default_value = "RS256,PS256,ES256,EdDSA")]
    jwt_algorithms: String,
    /// How far the issuer's clock may be off: 0s to 5m.
    #[arg(long, env = "INDELIBLE_JWT_LEEWAY", global = true, default_value = "30s")]
    jwt_leeway: String,
    /// The claim with the tenant's id.
    #[arg(long, env = "INDELIBLE_JWT_TENANT_CLAIM", global = true, default_value = "tenant")]
    jwt_tenant_claim: String,
    /// The claim with the user's id.
    #[arg(long, env = "INDELIBLE_JWT_USER_CLAIM", global = true, default_value = "sub")]
    jwt_user_claim: String,
    /// The claim with the scopes: a text with spaces, or a list.
    #[arg(long, env = "INDELIBLE_JWT_SCOPE_CLAIM", global = true, default_value = "scope")]
    jwt_scope_claim: String,
    /// Requests that the API answers at a time; more get 503 at once: 1 to 100000.
    #[arg(long, env = "INDELIBLE_API_CONCURRENCY", global = true, default_value = "256")]
    api_concurrency: String,
    /// Connections to the API at a time; more wait to be accepted: 1 to 100000.
    #[arg(long, env = "INDELIBLE_API_CONNECTIONS", global = true, default_value = "800")]
    api_connections: String,
    /// Requests a second of a credential whose key has no number of its own; more get 429: 0 (no limit) to 1000000.
    #[arg(long, env = "INDELIBLE_API_RATE", global = true, default_value = "1000")]
    api_rate: String,
    /// From a request's head to its answer: 1s to 5m.
    #[arg(long, env = "INDELIBLE_API_TIMEOUT", global = true, default_value = "15s")]
    api_timeout: String,
    /// A connection on which no whole request head comes for so long is closed: 1s to 10m.
    #[arg(long, env = "INDELIBLE_API_IDLE_TIMEOUT", global = true, default_value = "60s")]
    api_idle_timeout: String,
    /// The longest head of a request, in bytes; more gets 431: 8192 to 1048576.
    #[arg(long, env = "INDELIBLE_API_HEADER_BYTES", global = true, default_value = "16384")]
    api_header_bytes: String,
    /// Origins whose pages may ask the API, separated by commas, such as https://app.example.com [default: none]
    #[arg(long, env = "INDELIBLE_API_CORS_ORIGINS", global = true)]
    api_cors_origins: Option<String>,
}

/// Who is let in.
#[derive(Debug, Clone)]
pub enum Auth {
    On(Arc<Authenticator>),
    /// Everyone, as INDELIBLE_AUTH says.
    Off,
    /// Everyone who is on this machine: nothing is set up, and the API listens on loopback.
    Loopback,
    /// Nothing is set up, and the API would listen to others: it must not be served.
    Missing,
}

/// The door, checked.
#[derive(Debug, Clone)]
pub struct Access {
    pub auth: Auth,
    pub limits: DoorLimits,
    pub connections: Connections,
}

impl Access {
    /// Why the API may not be served.
    pub fn refusal(&self, listen: SocketAddr) -> Option<String> {
        matches!(self.auth, Auth::Missing).then(|| {
            format!(
                "INDELIBLE_LISTEN (--listen) {listen} is not loopback, and nobody would have to authenticate: set \
                 INDELIBLE_API_KEYS or INDELIBLE_JWT_JWKS, or INDELIBLE_AUTH=none if something before the API \
                 authenticates"
            )
        })
    }
}

impl AccessSettings {
    pub(super) fn check(&self, listen: SocketAddr, faults: &mut Faults) -> Access {
        let rate = faults.number("API_RATE", &self.api_rate, 0, 1_000_000);
        let timeout = |faults: &mut Faults, name, value, bounds| {
            Duration::from_millis(faults.duration_ms(name, value, bounds).unsigned_abs())
        };
        Access {
            auth: self.auth(listen, faults),
            limits: DoorLimits {
                concurrent: faults.number("API_CONCURRENCY", &self.api_concurrency, 1, 100_000) as usize,
                rate: (rate > 0).then_some(rate),
                timeout: timeout(faults, "API_TIMEOUT", &self.api_timeout, ("1s", "5m")),
                origins: self.origins(faults),
            },
            connections: Connections {
                most: faults.number("API_CONNECTIONS", &self.api_connections, 1, 100_000) as usize,
                idle: timeout(faults, "API_IDLE_TIMEOUT", &self.api_idle_timeout, ("1s", "10m")),
                head_bytes: faults.number("API_HEADER_BYTES", &self.api_header_bytes, 8_192, 1 << 20) as usize,
            },
        }
    }

    fn auth(&self, listen: SocketAddr, faults: &mut Faults) -> Auth {
        let keys = self.api_keys.as_ref().map(|path| (path.into(), self.keys(path, faults)));
        let tokens = self.tokens(faults);
        let set_up = keys.is_some() || self.jwt_jwks.is_some() || self.jwt_pem.is_some();
        match self.auth.as_str() {
            "none" if set_up => {
                faults.add("AUTH", "is none although API keys or tokens are set up; take away one or the other");
            }
            "required" if !set_up => {
                faults.add("AUTH", "is required, and nothing is set up: set INDELIBLE_API_KEYS or INDELIBLE_JWT_JWKS");
            }
            "auto" | "none" | "required" => {}
            other => faults.unless(false, "AUTH", other, "is neither auto nor required nor none"),
        }
        if !set_up {
            return match (self.auth.as_str(), listen.ip().is_loopback()) {
                ("none", _) => Auth::Off,
                (_, true) => Auth::Loopback,
                (_, false) => Auth::Missing,
            };
        }
        let place = if self.jwt_pem.is_some() { "JWT_PEM" } else { "JWT_JWKS" };
        let clock = Clock { now: clock::now, instant: clock::instant };
        match Authenticator::new(keys, tokens, clock) {
            Ok(auth) => Auth::On(Arc::new(auth)),
            Err(why) => {
                faults.add(place, &why);
                Auth::Missing
            }
        }
    }

    fn keys(&self, path: &str, faults: &mut Faults) -> crate::auth::api_keys::ApiKeys {
        policy::api_keys(Path::new(path)).unwrap_or_else(|all| {
            all.iter().for_each(|fault| faults.add("API_KEYS", fault));
            Default::default()
        })
    }

    /// None where no tokens are taken, or a fault keeps them from being.
    fn tokens(&self, faults: &mut Faults) -> Option<JwtSettings> {
        let keys = match (&self.jwt_jwks, &self.jwt_pem) {
            (None, None) => {
                let set = [("JWT_ISSUER", &self.jwt_issuer), ("JWT_AUDIENCE", &self.jwt_audience)];
                for (name, _) in set.into_iter().filter(|(_, value)| value.is_some()) {
                    faults.add(name, "is set without INDELIBLE_JWT_JWKS or INDELIBLE_JWT_PEM, which hold the keys");
                }
                return None;
            }
            (Some(_), Some(_)) => {
                faults.add("JWT_PEM", "is set beside INDELIBLE_JWT_JWKS; set one of them");
                None
            }
            (Some(place), None) => KeyPlace::of_jwks(place),
            (None, Some(path)) => Some(KeyPlace::PemFile(path.into())),
        };
        if keys.is_none() && self.jwt_pem.is_none() {
            // Never the text: it may hold a secret.
            faults.add("JWT_JWKS", "is neither a file nor an http or https URL");
        }
        let listed =
            |text: &str| text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let algorithms: Vec<_> = listed(&self.jwt_algorithms);
        let known: Vec<_> = algorithm_names().collect();
        for name in algorithms.iter().filter(|name| !known.contains(&name.as_str())) {
            let what = format!("is no algorithm that can be allowed; there are {}", known.join(", "));
            faults.unless(false, "JWT_ALGORITHMS", name, &what);
        }
        faults.unless(!algorithms.is_empty(), "JWT_ALGORITHMS", &self.jwt_algorithms, "names none");
        let audience: Vec<_> = self.jwt_audience.as_deref().map(listed).unwrap_or_default();
        if audience.is_empty() {
            faults.add("JWT_AUDIENCE", "is missing: a token that is meant for another service would do");
        }
        let issuer = self.jwt_issuer.clone().filter(|issuer| !issuer.is_empty()).unwrap_or_else(|| {
            faults.add("JWT_ISSUER", "is missing: a token of anyone with these keys would do");
            String::new()
        });
        let leeway_ms = faults.duration_ms("JWT_LEEWAY", &self.jwt_leeway, ("0s", "5m"));
        Some(JwtSettings {
            keys: keys?,
            issuer,
            audience,
            algorithms,
            leeway_s: leeway_ms.unsigned_abs().div_ceil(1000),
            tenant_claim: self.jwt_tenant_claim.clone(),
            user_claim: self.jwt_user_claim.clone(),
            scope_claim: self.jwt_scope_claim.clone(),
        })
    }

    fn origins(&self, faults: &mut Faults) -> Vec<HeaderValue> {
        let listed = self.api_cors_origins.iter().flat_map(|list| list.split(',')).map(str::trim);
        let read = |text: &str| {
            // As a browser writes it: no path, no slash at the end. Not `null`, and no asterisk.
            let origin = Url::parse(text).ok().map(|url| url.origin().ascii_serialization());
            let value = origin.filter(|origin| origin == text).and_then(|origin| HeaderValue::from_str(&origin).ok());
            if value.is_none() {
                faults.unless(false, "API_CORS_ORIGINS", text, "is not an origin such as https://app.example.com");
            }
            value
        };
        listed.filter(|text| !text.is_empty()).filter_map(read).collect()
    }
}
