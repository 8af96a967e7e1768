//! The connection to Redis: standalone, Sentinel or Cluster behind one `query`, rebuilt after it failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, RedisError, ServerErrorKind, TlsMode,
    Value,
};
use tokio::sync::Mutex;
use tokio::time::error::Elapsed;
use url::Url;

use super::StoreError;
use super::observer::{Asked, Observed, Observer};

/// Where Redis is.
#[derive(Debug, Clone)]
pub enum Target {
    Single(redis::ConnectionInfo),
    Cluster(Vec<redis::ConnectionInfo>),
    Sentinel { sentinels: Vec<String>, service: String, node: SentinelNodeConnectionInfo },
}

/// Waits for single servers, one after the other, that a connection to several may be made of: those of a cluster that
/// we are told of, those that they tell us of, and one to spare; or sentinels, and the server that they name.
const WAITS: u32 = 3;

const FORMS: &str = "redis://[user:password@]host[:port][/db], rediss://… (TLS), unix:///path, \
    redis-cluster://host:port,host:port or redis+sentinel://host:port,host:port/service";

impl Target {
    /// Reads one of the forms `redis://`, `rediss://`, `unix://`, `redis-cluster://`, `rediss-cluster://`,
    /// `redis+sentinel://`, `rediss+sentinel://`; the last four take several hosts, separated by commas.
    ///
    /// # Errors
    /// A sentence that says what the forms are; it never repeats the text, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("has no scheme; the forms are {FORMS}"))?;
        let refused = |error: RedisError| format!("is not accepted ({error}); the forms are {FORMS}");
        match scheme {
            "redis" | "rediss" | "unix" | "redis+unix" => {
                Ok(Self::Single(text.into_connection_info().map_err(refused)?))
            }
            "redis-cluster" | "rediss-cluster" => {
                let nodes = Hosts::parse(rest)?.urls(scheme.starts_with("rediss"));
                let infos: Result<_, _> = nodes.iter().map(|node| node.as_str().into_connection_info()).collect();
                Ok(Self::Cluster(infos.map_err(refused)?))
            }
            "redis+sentinel" | "rediss+sentinel" => sentinel(rest, scheme.starts_with("rediss")),
            _ => Err(format!("has the unknown scheme {scheme}; the forms are {FORMS}")),
        }
    }
}

/// `[user:password@]host[:port],host[:port][/path]`
struct Hosts<'a> {
    credentials: &'a str,
    hosts: Vec<&'a str>,
    path: &'a str,
}

impl<'a> Hosts<'a> {
    fn parse(rest: &'a str) -> Result<Self, String> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((_, hosts)) => (&authority[..authority.len() - hosts.len()], hosts),
            None => ("", authority),
        };
        let hosts: Vec<_> = hosts.split(',').collect();
        if hosts.iter().any(|host| host.is_empty()) {
            return Err(format!("lacks a host; the forms are {FORMS}"));
        }
        Ok(Self { credentials, hosts, path })
    }

    fn urls(&self, tls: bool) -> Vec<String> {
        let scheme = if tls { "rediss" } else { "redis" };
        self.hosts.iter().map(|host| format!("{scheme}://{}{host}", self.credentials)).collect()
    }
}

fn sentinel(rest: &str, tls: bool) -> Result<Target, String> {
    let hosts = Hosts::parse(rest)?;
    let (service, db) = hosts.path.split_once('/').unwrap_or((hosts.path, "0"));
    if service.is_empty() {
        return Err(format!("lacks the service's name; the forms are {FORMS}"));
    }
    let bare = Hosts { credentials: "", hosts: hosts.hosts.clone(), path: "" };
    // The credentials are the server's; any host will do to have them read.
    let url = format!("redis://{}localhost/{db}", hosts.credentials);
    let info = Url::parse(&url).ok().and_then(|url| url.into_connection_info().ok());
    let info = info.ok_or_else(|| format!("has a bad user, password or db; the forms are {FORMS}"))?;
    let mut node = SentinelNodeConnectionInfo::default().set_redis_connection_info(info.redis_settings().clone());
    if tls {
        node = node.set_tls_mode(TlsMode::Secure);
    }
    Ok(Target::Sentinel { sentinels: bare.urls(tls), service: service.to_owned(), node })
}

#[derive(Clone)]
enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// Limits of one link.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until a connection to one server stands.
    pub connect: Duration,
    /// Until an answer is there; a command that took longer may still be carried out.
    pub response: Duration,
}

/// A shared way to Redis. Connects when first used, and again after a failure.
pub struct Link {
    target: Target,
    patience: Patience,
    current: Mutex<Option<(u64, Connection)>>,
    made: AtomicU64,
    observed: Observed,
}

impl Link {
    pub fn new(target: Target, patience: Patience) -> Self {
        // rustls brings no cryptography of its own, and panics without. Refused when another link has done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { target, patience, current: Mutex::new(None), made: AtomicU64::new(0), observed: Observed::default() }
    }

    /// Tells of every round trip.
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observed = Observed::by(observer);
        self
    }

    /// # Errors
    /// [`StoreError`]; after one that a new connection may heal, the next call makes one.
    pub async fn query(&self, command: &Cmd) -> Result<Value, StoreError> {
        let (number, connection) = self.connection().await?;
        let _round_trip = self.observed.begin(Asked::of(command));
        // Not the connection's own call: that one gives an error of the server as if it were an answer.
        let asked = async {
            match connection {
                Connection::Single(mut single) => command.query_async(&mut single).await,
                Connection::Cluster(mut cluster) => command.query_async(&mut cluster).await,
            }
        };
        self.settle(number, tokio::time::timeout(self.patience.response, asked).await).await
    }

    /// All commands must be about one bucket.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn pipeline(&self, commands: &Pipeline) -> Result<Vec<Value>, StoreError> {
        let (number, connection) = self.connection().await?;
        let _round_trip = self.observed.begin(Asked::Pipeline);
        let asked = async {
            match connection {
                Connection::Single(mut single) => commands.query_async(&mut single).await,
                Connection::Cluster(mut cluster) => commands.query_async(&mut cluster).await,
            }
        };
        self.settle(number, tokio::time::timeout(self.patience.response, asked).await).await
    }

    async fn settle<T>(&self, number: u64, answer: Result<Result<T, RedisError>, Elapsed>) -> Result<T, StoreError> {
        let error = match answer {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => return Err(no_script()),
            Ok(Err(error)) => error,
            Err(_) => RedisError::from((ErrorKind::Io, "no answer in time")),
        };
        if needs_new_connection(&error) {
            self.drop_connection(number).await;
        }
        Err(classify(&error))
    }

    async fn connection(&self) -> Result<(u64, Connection), StoreError> {
        let mut current = self.current.lock().await;
        if let Some(found) = current.as_ref() {
            return Ok(found.clone());
        }
        // A dead machine does not refuse, it says nothing: that must not use up the time of those that live.
        let patience = match self.target {
            Target::Single(_) => self.patience.connect,
            Target::Cluster(_) | Target::Sentinel { .. } => self.patience.connect * WAITS,
        };
        let connect = tokio::time::timeout(patience, self.connect()).await;
        let connection = connect
            .map_err(|_| StoreError::Unavailable(format!("no connection within {patience:?}")))?
            // Whatever stands in the way of a connection may be over at the next try.
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        self.observed.connected();
        *current = Some((number, connection.clone()));
        Ok((number, connection))
    }

    /// Forgets the connection of that number, unless another caller has replaced it already.
    async fn drop_connection(&self, number: u64) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|(found, _)| *found == number) {
            *current = None;
        }
    }

    async fn connect(&self) -> Result<Connection, RedisError> {
        // The library's own time-outs are a little longer than ours, which say what they are about.
        let spare = Duration::from_millis(500);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience.connect + spare))
            .set_response_timeout(Some(self.patience.response + spare));
        match &self.target {
            Target::Single(info) => {
                let client = Client::open(info.clone())?;
                Ok(Connection::Single(client.get_multiplexed_async_connection_with_config(&config).await?))
            }
            Target::Sentinel { sentinels, service, node } => {
                let mut client =
                    SentinelClient::build(sentinels.clone(), service, Some(node.clone()), SentinelServerType::Master)?;
                Ok(Connection::Single(client.get_async_connection_with_config(&config).await?))
            }
            Target::Cluster(nodes) => {
                // Few retries inside: the caller's are visible and bounded.
                let client = ClusterClient::builder(nodes.clone())
                    .connection_timeout(self.patience.connect)
                    .response_timeout(self.patience.response)
                    .retries(3)
                    .build()?;
                Ok(Connection::Cluster(client.get_async_connection().await?))
            }
        }
    }
}

/// Marks that the script must be sent whole; never leaves this folder.
fn no_script() -> StoreError {
    StoreError::Refused(NO_SCRIPT.to_owned())
}

const NO_SCRIPT: &str = "NOSCRIPT";

pub(super) fn is_no_script(error: &StoreError) -> bool {
    matches!(error, StoreError::Refused(what) if what == NO_SCRIPT)
}

fn needs_new_connection(error: &RedisError) -> bool {
    // A read-only or loading server may be the wrong one since a fail-over.
    !matches!(error.kind(), ErrorKind::Server(kind) if !matches!(kind, ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
        && error.code().is_none_or(|code| matches!(code, "READONLY" | "MASTERDOWN"))
}

fn classify(error: &RedisError) -> StoreError {
    let text = error.to_string();
    match (error.kind(), error.code()) {
        (_, Some("WRONGTYPE")) => StoreError::Corrupt { key: "(not named)".to_owned(), detail: text },
        (ErrorKind::Server(ServerErrorKind::ResponseError), _) => StoreError::Unusable(format!("redis answers {text}")),
        (ErrorKind::Server(ServerErrorKind::CrossSlot), _) => StoreError::Unusable(format!("redis answers {text}")),
        (ErrorKind::Server(_) | ErrorKind::Extension, _) | (_, Some(_)) => StoreError::Refused(text),
        (ErrorKind::AuthenticationFailed, _) => StoreError::Refused(text),
        _ => StoreError::Unavailable(text),
    }
}

#[cfg(test)]
#[path = "../../tests/unit/store/link.rs"]
mod tests;
