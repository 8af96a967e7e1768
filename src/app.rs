//! Puts the parts together, runs them, and ends them in order. No logic of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::Router;
use chrono::{DateTime, Utc};
use clap::ValueEnum;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rdkafka::ClientConfig;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::assign::Assigner;
use crate::api::door::Door;
use crate::api::{self, ApiState};
use crate::auth::Authenticator;
use crate::cli::policy;
use crate::cli::settings::{Config, access::Auth};
use crate::domain::calendar::TimeMs;
use crate::domain::delta::Scope;
use crate::domain::ids::{EventId, Source};
use crate::domain::quota::Assignment;
use crate::ingest::assigner::KafkaAssigner;
use crate::ingest::dead_letter::KafkaDeadLetters;
use crate::ingest::decode::Reason;
use crate::ingest::job::Tools;
use crate::ingest::limits::Limits;
use crate::ingest::notices::Channels;
use crate::ingest::notices::publisher::Publisher;
use crate::ingest::notices::sender::{Pace, Sender};
use crate::ingest::notices::webhook::Webhook;
use crate::ingest::quota_event;
use crate::ingest::rated::Audit;
use crate::ingest::rated::kafka::KafkaRated;
use crate::ingest::topics;
use crate::ingest::trouble::Trouble;
use crate::ingest::worker::Worker;
use crate::ops::health::{Health, Latch};
use crate::ops::metrics::{Metrics, RedisClient, RedisMetrics, RedisOperation};
use crate::ops::{clock, http, server};
use crate::store::keys::Keyspace;
use crate::store::link::{Link, Patience};
use crate::store::redis_ledger::RedisLedger;
use crate::store::redis_outbox::RedisOutbox;
use crate::store::redis_reader::RedisReader;
use crate::store::{Asked, Observer, Reader};

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    All,
    Worker,
    Api,
}

/// The worker's calls may wait for a slow script; the API's readers don't wait.
const WORKER_PATIENCE: Patience = Patience { connect: Duration::from_secs(2), response: Duration::from_secs(5) };
const API_PATIENCE: Patience = Patience { connect: Duration::from_secs(1), response: Duration::from_secs(1) };
/// How long open requests and notices under way may take to end.
const CLOSE: Duration = Duration::from_secs(5);
/// How often the API's way to Redis is tried for `/readyz`, while it is open and while it isn't.
const PING: Duration = Duration::from_secs(2);
const PING_AGAIN: Duration = Duration::from_millis(250);

/// Runs the process until `shutdown`.
///
/// # Errors
/// When a port can't be had, or the worker can't go on.
pub async fn serve(config: &Config, role: Role, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (metrics, health) = (Arc::new(Metrics::new(&Reason::ALL.map(Reason::as_str))?), Health::default());
    let (hangups, reloading, counts) = (signal(SignalKind::hangup())?, config.clone(), Arc::clone(&metrics));
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(async move {
        policy::watch(hangups, reloading, &counts).await;
    }));
    // Every part holds its latch before anyone can ask: nothing is ready before it says so.
    let noted = Arc::new(Notify::new());
    let worker =
        (role != Role::Api).then(|| worker(config, Limits::STANDARD, &health, &metrics, &noted)).transpose()?;
    let channels = config.notices.as_ref().filter(|_| role != Role::Api);
    let sender = channels.map(|channels| sender(config, channels, &metrics, noted)).transpose()?;
    let api_link = || link(config, API_PATIENCE, metrics.redis_client(RedisClient::Api));
    let api = (role != Role::Worker).then(|| (reader_by(api_link(), config), health.part("api")));
    let ops = bind("INDELIBLE_OPS_LISTEN", config.ops_listen).await?;
    let mut servers = vec![listen(ops, http::router(health, Arc::clone(&metrics)), &shutdown)];
    if let Some((reader, latch)) = api {
        let (auth, limits) = (admitted(&config.access.auth, &shutdown)?, config.access.limits.clone());
        let state = ApiState {
            reader: Arc::clone(&reader),
            assigner: Arc::new(assigner(config)?),
            plans: Arc::clone(&config.plans),
            prices: Arc::clone(&config.prices),
            metrics,
            now: clock::now,
        };
        let port = bind("INDELIBLE_LISTEN", config.listen).await?;
        tracing::info!(address = %port.local_addr()?, "serving the API");
        let router = api::router(state, Door::new(auth, limits));
        servers.push(tokio::spawn(server::serve(port, router, config.access.connections, shutdown.clone())));
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(watch(reader, latch)));
    }
    servers.extend(channels.zip(sender).map(|(channels, sender)| tell(config, channels, sender, &shutdown)));
    let (version, settings) = (env!("CARGO_PKG_VERSION"), config.given.join(" "));
    let Config { namespace, topics, group, .. } = config;
    tracing::info!(version, ?role, namespace, ?topics, group, settings, "started");
    let counted = match worker {
        Some(worker) => {
            let config = config.clone();
            tokio::spawn(shutdown.clone().run_until_cancelled_owned(async move {
                topics::prepare(&config.kafka, &config.topics, config.dlq_topic.as_deref(), &config.retention).await;
            }));
            worker.run(shutdown.clone()).await
        }
        None => {
            shutdown.cancelled().await;
            Ok(())
        }
    };
    shutdown.cancel();
    // Requests under way are answered; a client that keeps one open does not keep the process.
    // Requests and notices under way are seen to their end; a client that keeps one open does not keep the process.
    let ended = tokio::time::timeout(CLOSE, futures::future::join_all(servers)).await;
    ended.into_iter().flatten().for_each(|server| {
        server.unwrap_or_else(|error| tracing::error!(%error, "a server or the sender of notices died"))
    });
    counted.context("the worker can't go on")
}

/// Who lets callers of the API in; none where everyone may ask, which is said.
///
/// # Errors
/// When nobody would have to authenticate although others than this machine's users could ask.
fn admitted(auth: &Auth, shutdown: &CancellationToken) -> anyhow::Result<Option<Arc<Authenticator>>> {
    match auth {
        Auth::On(auth) => {
            let keeping = Arc::clone(auth);
            tokio::spawn(shutdown.clone().run_until_cancelled_owned(async move { keeping.keep_token_keys().await }));
            Ok(Some(Arc::clone(auth)))
        }
        Auth::Off => {
            tracing::warn!("the API asks nobody for credentials: INDELIBLE_AUTH is none");
            Ok(None)
        }
        Auth::Loopback => {
            tracing::warn!("the API asks nobody for credentials: none are set up, and it listens on loopback alone");
            Ok(None)
        }
        Auth::Missing => bail!("the API would ask nobody for credentials although it does not listen on loopback"),
    }
}

/// A worker on Kafka and Redis.
///
/// # Errors
/// When a Kafka property is not accepted.
pub fn worker(
    config: &Config,
    limits: Limits,
    health: &Health,
    metrics: &Arc<Metrics>,
    noted: &Arc<Notify>,
) -> anyhow::Result<Worker<RedisLedger, KafkaDeadLetters>> {
    let link = link(config, WORKER_PATIENCE, metrics.redis_client(RedisClient::Worker));
    let audit = config.rated_topic.as_ref().map(|topic| KafkaRated::new(config.kafka.clone(), topic));
    let mut ledger = RedisLedger::new(link, Keyspace::new(&config.namespace), config.retention, &config.group)
        .with_caps(config.caps)
        .taking_over(config.takeover);
    if config.notices.is_some() {
        ledger = ledger.watching(Arc::clone(&config.plans));
    }
    let tools = Tools {
        ledger,
        prices: Arc::clone(&config.prices),
        dead_letters: KafkaDeadLetters::new(config.kafka.clone(), config.dlq_topic.clone(), &config.group)?,
        audit: audit.transpose()?.map(Audit::new),
        metrics: Arc::clone(metrics),
        limits,
        trouble: Trouble::default(),
        noted: Arc::clone(noted),
    };
    Ok(Worker {
        tools: Arc::new(tools),
        kafka: consumer(config),
        topics: config.topics.clone(),
        bounds: config.bounds,
        latch: health.part("worker"),
        drain: config.drain,
    })
}

/// Who sends the notices that the worker has noted.
///
/// # Errors
/// When a Kafka property is not accepted, or there are no root certificates for the webhook.
fn sender(
    config: &Config,
    channels: &Channels,
    metrics: &Arc<Metrics>,
    noted: Arc<Notify>,
) -> anyhow::Result<Sender<RedisOutbox>> {
    let link = link(config, WORKER_PATIENCE, metrics.redis_client(RedisClient::Notices));
    let outbox = RedisOutbox::new(link, Keyspace::new(&config.namespace));
    let publisher = Publisher::new(config.kafka.clone(), &channels.topic, &config.group)?;
    let webhook = channels.webhook.as_ref().map(Webhook::new).transpose()?;
    Ok(Sender::new(outbox, publisher, webhook, Arc::clone(metrics), noted, Pace::STANDARD))
}

/// Sends notices until `shutdown`, and sees what is under way to its end.
fn tell(
    config: &Config,
    channels: &Channels,
    sender: Sender<RedisOutbox>,
    shutdown: &CancellationToken,
) -> JoinHandle<()> {
    let (kafka, channels, shutdown) = (config.kafka.clone(), channels.clone(), shutdown.clone());
    tokio::spawn(async move {
        // Side by side: a broker that does not answer questions about topics may take records all the same.
        let prepared = shutdown.run_until_cancelled(topics::prepare_notices(&kafka, &channels));
        tokio::join!(prepared, sender.run(&shutdown));
    })
}

/// How a consumer is set where INDELIBLE_KAFKA_PROPERTIES does not say otherwise.
const PREFERRED: [(&str, &str); 11] = [
    ("partition.assignment.strategy", "cooperative-sticky"),
    // The partitions of a worker that was killed are nobody's for so long. The library's 45 s spare clients whose runtime
    // may stand still; heartbeats of this one do not wait for its work.
    ("session.timeout.ms", "15000"),
    // Of all partitions, and whichever is reached first: who comes last waits for all that the others have here.
    ("queued.min.messages", "30000"),
    ("queued.max.messages.kbytes", "8192"),
    // Of each partition at once, still compressed: what it holds counts as one piece, however much that is.
    ("fetch.message.max.bytes", "131072"),
    // Of so much the broker answers at once, and otherwise after a while with what there is: a fetch for each batch of a
    // producer costs both sides more than all else that they do for its records.
    ("fetch.min.bytes", "32768"),
    ("fetch.wait.max.ms", "25"),
    // Of a full queue: the library's own second is far longer than it takes to empty it.
    ("fetch.queue.backoff.ms", "10"),
    ("topic.metadata.refresh.interval.ms", "10000"),
    ("statistics.interval.ms", "1000"),
    ("check.crcs", "true"),
];

/// What every consumer of ours is set to; the settings refuse to override what correctness rests on.
pub fn consumer(config: &Config) -> ClientConfig {
    // A clone, and not what `config_map` tells: that has placeholders for passwords.
    let mut kafka = config.kafka.clone();
    // By the new protocol the broker decides who gets what and for how long, and the library refuses a client that would.
    let by_broker = kafka.get("group.protocol") == Some("consumer");
    let is_brokers = |property| ["partition.assignment.strategy", "session.timeout.ms"].contains(&property);
    for (property, preferred) in PREFERRED {
        if kafka.get(property).is_none() && !(by_broker && is_brokers(property)) {
            kafka.set(property, preferred);
        }
    }
    kafka
        .set("group.id", &config.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false");
    kafka
}

/// The API's way to the counters.
pub fn reader(config: &Config) -> Arc<dyn Reader> {
    reader_by(Arc::new(Link::new(config.redis.clone(), API_PATIENCE)), config)
}

fn reader_by(link: Arc<Link>, config: &Config) -> Arc<dyn Reader> {
    Arc::new(RedisReader::new(link, Keyspace::new(&config.namespace), &config.topics))
}

/// A way to Redis that tells the metrics what it does.
fn link(config: &Config, patience: Patience, told: RedisMetrics) -> Arc<Link> {
    Arc::new(Link::new(config.redis.clone(), patience).observed_by(Arc::new(told)))
}

/// The way of assigned quotas into the log: the first of the topics.
///
/// # Errors
/// When the namespace is no part of an event's source, which the settings rule out.
pub fn assigner(config: &Config) -> anyhow::Result<KafkaAssigner> {
    let source = Source::new(&format!("/indelible/{}", config.namespace))?;
    Ok(KafkaAssigner::new(config.kafka.clone(), &config.topics[0], source))
}

/// Neither `api` nor `ingest` knows the other.
impl Assigner for KafkaAssigner {
    fn event(
        &self,
        scope: &Scope,
        quota: &[u8],
        id: EventId,
        now: DateTime<Utc>,
    ) -> Result<(Assignment, String), String> {
        let name = quota_event::Name { source: self.source.clone(), id, time: now };
        quota_event::quota_event(scope, quota, &name).map_err(|reject| reject.detail)
    }

    fn send<'a>(&'a self, scope: &'a Scope, event: &'a str, time: DateTime<Utc>) -> BoxFuture<'a, Result<(), String>> {
        Self::send(self, scope, event, TimeMs::of(time)).boxed()
    }
}

/// The store knows no metrics, and the metrics no store.
impl Observer for RedisMetrics {
    fn now(&self) -> Instant {
        clock::instant()
    }

    fn answered(&self, asked: Asked, took: Duration) {
        let operation = match asked {
            Asked::Script => RedisOperation::Script,
            Asked::Pipeline => RedisOperation::Pipeline,
            Asked::Info => RedisOperation::Info,
            Asked::Read => RedisOperation::Read,
            Asked::Write => RedisOperation::Write,
        };
        Self::answered(self, operation, took);
    }

    fn connected(&self) {
        Self::connected(self);
    }
}

/// Binds a port of a setting.
///
/// # Errors
/// When it can't be had.
pub async fn bind(setting: &str, at: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(at).await.with_context(|| format!("{setting}: can't listen at {at}"))
}

/// Serves until `shutdown`, then lets requests that are under way end.
pub fn listen(listener: TcpListener, router: Router, shutdown: &CancellationToken) -> JoinHandle<()> {
    let ending = shutdown.clone().cancelled_owned();
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(ending).await {
            tracing::error!(%error, "a port is not served any more; restart the process");
        }
    })
}

/// Keeps the API's readiness true.
pub async fn watch(reader: Arc<dyn Reader>, latch: Latch) {
    loop {
        let pause = match reader.ping().await {
            Ok(()) => {
                latch.ready(clock::instant(), PING * 5);
                PING
            }
            Err(error) => {
                latch.not_ready(error.to_string());
                PING_AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}
