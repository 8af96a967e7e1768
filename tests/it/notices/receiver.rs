//! A webhook's receiver: keeps what is posted to it, and answers as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::Utc;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

pub(super) const SECRET: &str = "of the tests alone";

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Post {
    /// By name in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// Listens until the test binary ends.
pub(super) struct Receiver {
    address: String,
    state: Arc<Mutex<State>>,
}

struct State {
    posts: Vec<Post>,
    /// Of the next requests, one each; then of all others.
    answers: VecDeque<&'static str>,
    rest: &'static str,
}

impl Receiver {
    /// Answers the first requests with `answers`, a status line's end and headers, and all others with `rest`.
    pub(super) fn start(answers: &[&'static str], rest: &'static str) -> Self {
        Self::listen("http", answers, rest, answer)
    }

    /// With TLS, by files of a certificate and its key, and `200 OK` for all.
    pub(super) fn start_tls((certificate, key): (String, String)) -> Self {
        let chain = CertificateDer::pem_file_iter(certificate).expect("a file").collect::<Result<_, _>>().expect("PEM");
        let key = PrivateKeyDer::from_pem_file(key).expect("PEM");
        let config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
        let config = Arc::new(config.expect("a certificate and its key"));
        Self::listen("https", &[], "200 OK", move |client, state| {
            let connection = ServerConnection::new(Arc::clone(&config)).map_err(std::io::Error::other)?;
            answer(StreamOwned::new(connection, client), state)
        })
    }

    fn listen(
        scheme: &str,
        answers: &[&'static str],
        rest: &'static str,
        serve: impl Fn(TcpStream, &Mutex<State>) -> std::io::Result<()> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = format!("{scheme}://{}", listener.local_addr().expect("it listens"));
        let state = Arc::new(Mutex::new(State { posts: Vec::new(), answers: answers.iter().copied().collect(), rest }));
        let theirs = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                client.set_read_timeout(Some(Duration::from_secs(10))).expect("a time");
                // Who goes away in the middle is of no interest.
                let _ = serve(client, &theirs);
            }
        });
        Self { address, state }
    }

    pub(super) fn url(&self) -> String {
        format!("{}/notices?of=acme", self.address)
    }

    pub(super) fn posts(&self) -> Vec<Post> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).posts.clone()
    }
}

fn answer(client: impl Read + Write, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    assert_eq!(line.trim_end(), "POST /notices?of=acme HTTP/1.1");
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers["content-length"].parse().expect("a length")];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).expect("text");
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.posts.push(Post { headers, body });
    let said = state.answers.pop_front().unwrap_or(state.rest);
    write!(reader.get_mut(), "HTTP/1.1 {said}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

impl Post {
    pub(super) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// It is signed as Standard Webhooks says, now, and is the CloudEvent that its header names.
    #[track_caller]
    pub(super) fn verify(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/cloudevents+json");
        let timestamp = &self.headers["webhook-timestamp"];
        let age = Utc::now().timestamp() - timestamp.parse::<i64>().expect("seconds");
        assert!((0..60).contains(&age), "{age} seconds ago");
        let signed = format!("{}.{timestamp}.{}", self.id(), self.body);
        let tag = self.headers["webhook-signature"].strip_prefix("v1,").expect("a signature of version 1");
        let tag = BASE64.decode(tag).expect("base64");
        ::ring::hmac::verify(
            &::ring::hmac::Key::new(::ring::hmac::HMAC_SHA256, SECRET.as_bytes()),
            signed.as_bytes(),
            &tag,
        )
        .expect("ours");
        let event: Value = serde_json::from_str(&self.body).expect("JSON");
        assert_eq!(event["id"], self.id());
        event
    }
}
