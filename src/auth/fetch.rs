//! A key set over HTTP or HTTPS: one small GET, with a deadline, no redirection and no proxy.

use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, USER_AGENT};
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

/// From the look-up of the name to the last byte.
const ANSWER: Duration = Duration::from_secs(2);

pub(super) struct Fetch {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    uri: Uri,
}

impl Fetch {
    /// TLS trusts what the system trusts.
    ///
    /// # Errors
    /// When the system has no root certificates and the URL is https.
    pub(super) fn new(uri: Uri) -> anyhow::Result<Self> {
        let provider = rustls::crypto::ring::default_provider();
        let connector = if uri.scheme_str() == Some("https") {
            HttpsConnectorBuilder::new().with_provider_and_native_roots(provider).context(
                "no root certificates are found on this system; install ca-certificates, or name a file of them in \
                 SSL_CERT_FILE",
            )?
        } else {
            let tls = ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions()?;
            HttpsConnectorBuilder::new()
                .with_tls_config(tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
        };
        let client = Client::builder(TokioExecutor::new()).build(connector.https_or_http().enable_http1().build());
        Ok(Self { client, uri })
    }

    /// # Errors
    /// A sentence: no answer in time, none with status 200, or more than `most` bytes.
    pub(super) async fn get(&self, most: usize) -> Result<String, String> {
        tokio::time::timeout(ANSWER, self.answer(most))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {ANSWER:?}")))
    }

    async fn answer(&self, most: usize) -> Result<String, String> {
        let request = Request::get(self.uri.clone())
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, concat!("indelible/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| innermost(&error))?;
        if response.status() != hyper::StatusCode::OK {
            return Err(format!("it answers {}", response.status()));
        }
        let body = Limited::new(response.into_body(), most).collect().await.map_err(|error| innermost(&*error))?;
        String::from_utf8(body.to_bytes().into()).map_err(|_| "its answer is not UTF-8".to_owned())
    }
}

/// What really happened: the errors around it say that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
