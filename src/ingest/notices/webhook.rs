//! One notice to the webhook, signed in the form of Standard Webhooks (standardwebhooks.com), so that its libraries
//! verify it.

use std::error::Error;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::DateTime;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use ring::hmac;
use rustls::{ClientConfig, RootCertStore};

use crate::domain::calendar::TimeMs;
use crate::ingest::cloudevent;
use crate::store::Pending;

use super::{Receiver, Secret};

/// From the look-up of the name to the answer's headers; its body is not read.
const ANSWER: Duration = Duration::from_secs(10);

/// The way to a receiver.
pub struct Webhook {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    key: hmac::Key,
}

/// Why the receiver does not have a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub why: String,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
    /// It says that it will never take any (410). Every other answer but 2xx may be a fault that someone repairs: a
    /// path, a credential or a redirection that is never followed.
    pub is_final: bool,
}

impl Webhook {
    /// TLS trusts what the system trusts, so that a receiver may have a certificate of one's own authority.
    ///
    /// # Errors
    /// When the system has no root certificates and the URL is https.
    pub fn new(receiver: &Receiver) -> anyhow::Result<Self> {
        let connector = if receiver.url.scheme_str() == Some("https") {
            HttpsConnectorBuilder::new().with_provider_and_native_roots(rustls::crypto::ring::default_provider()).context(
                "INDELIBLE_NOTICE_WEBHOOK: no root certificates are found on this system; install ca-certificates, or \
                 name a file of them in SSL_CERT_FILE",
            )?
        } else {
            let tls = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()?;
            let trusts_none = tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(trusts_none)
        };
        let client = Client::builder(TokioExecutor::new()).build(connector.https_or_http().enable_http1().build());
        let Secret(secret) = &receiver.secret;
        Ok(Self { client, url: receiver.url.clone(), key: hmac::Key::new(hmac::HMAC_SHA256, secret) })
    }

    /// Any 2xx is taken for received.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn post(&self, notice: &Pending, now: TimeMs) -> Result<(), Refusal> {
        let timestamp = now.0.div_euclid(1000);
        let request = Request::post(self.url.clone())
            .header(CONTENT_TYPE, cloudevent::CONTENT_TYPE)
            .header(USER_AGENT, concat!("indelible/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &notice.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature(&self.key, &notice.id, timestamp, &notice.event))
            .body(Full::from(notice.event.clone()));
        let answer = match request {
            Ok(request) => tokio::time::timeout(ANSWER, self.client.request(request)).await,
            Err(error) => return Err(Refusal::of(error.to_string())),
        };
        match answer {
            Ok(Ok(response)) => judge(&response, now),
            Ok(Err(error)) => Err(Refusal::of(innermost(&error))),
            Err(_) => Err(Refusal::of(format!("no answer within {ANSWER:?}"))),
        }
    }
}

impl Refusal {
    fn of(why: String) -> Self {
        Self { why, retry_after: None, is_final: false }
    }
}

fn judge(response: &Response<Incoming>, now: TimeMs) -> Result<(), Refusal> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let retry_after = retry_after(response.headers(), now);
    Err(Refusal { why: format!("it answers {status}"), retry_after, is_final: status == StatusCode::GONE })
}

/// In seconds, or a date.
fn retry_after(headers: &HeaderMap, now: TimeMs) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    Some(Duration::from_millis(u64::try_from(date.timestamp_millis().saturating_sub(now.0)).unwrap_or(0)))
}

/// `v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`.
fn signature(key: &hmac::Key, id: &str, timestamp: i64, body: &str) -> String {
    let tag = hmac::sign(key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64.encode(tag))
}

/// What really happened: the errors around it say that a request failed.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
#[path = "../../../tests/unit/ingest/notices/webhook.rs"]
mod tests;
