//! `indelible demo`: all of it on this machine. Kafka is librdkafka's test broker in this process, Redis a
//! private server; what runs on them is `indelible serve` as it is.

mod redis;
mod story;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use arc_swap::ArcSwap;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use tokio_util::sync::CancellationToken;

use crate::app::{self, Role};
use crate::ingest::dead_letter::dead_letter_topic;
use crate::ingest::notices::Channels;
use crate::quota;

use super::settings::Config;
use redis::PrivateRedis;
use story::{Story, TENANT};

const TOPIC: &str = "ai.usage.events.v1";
const NOTICES: &str = "ai.quota.notices.v1";
const PLANS: &str = include_str!("demo/plans.toml");
/// Between two events of the stream that follows the story.
const PAUSE: Duration = Duration::from_millis(400);

/// Tells the story and ends, or keeps a light stream of events going until `shutdown`.
///
/// # Errors
/// When a number is not what it must be, or a part can't be started.
pub async fn run(config: &Config, once: bool, shutdown: CancellationToken) -> anyhow::Result<()> {
    let redis = PrivateRedis::start()?;
    // Declared before its clients, so that it is dropped after them.
    let broker = MockCluster::new(1)?;
    broker.create_topic(TOPIC, 4, 1)?;
    broker.create_topic(&dead_letter_topic(TOPIC), 1, 1)?;
    broker.create_topic(NOTICES, 1, 1)?;
    let mut kafka = ClientConfig::new();
    // This broker lets a classic group wait 3 s for more members, and one of the new protocol not at all.
    kafka.set("bootstrap.servers", broker.bootstrap_servers()).set("group.protocol", "consumer");
    let listen = free("INDELIBLE_LISTEN", config.listen)?;
    let ops_listen = free("INDELIBLE_OPS_LISTEN", config.ops_listen)?;
    let (topics, redis_at) = (vec![TOPIC.to_owned()], redis.target()?);
    // A third of the way to it after the first events, as the story has it.
    let plans = quota::file::read(PLANS, 1_000_000).map_err(|faults| anyhow!("demo/plans.toml: {faults:?}"))?;
    let plans = Arc::new(ArcSwap::from_pointee(plans));
    let notices = Some(Channels { topic: NOTICES.to_owned(), webhook: None });
    let config = Config {
        kafka,
        topics,
        dlq_topic: None,
        redis: redis_at,
        listen,
        ops_listen,
        plans,
        notices,
        ..config.clone()
    };

    let reader = app::reader(&config);
    redis.answers(&*reader).await?;
    let (serving, ending) = (config.clone(), shutdown.clone());
    let served = tokio::spawn(async move {
        let ended = app::serve(&serving, Role::All, ending.clone()).await;
        // Nothing is counted any more, so there is nothing to wait for.
        ending.cancel();
        ended
    });
    let story = Story::new(&config, reader)?;
    let telling = async {
        story.tell().await?;
        if once { Ok(()) } else { stream(&story, &config, &redis).await }
    };
    let told = shutdown.run_until_cancelled(telling).await;
    shutdown.cancel();
    served.await??;
    match told {
        Some(told) => told,
        None if once => bail!("stopped before the story was told"),
        None => Ok(()),
    }
}

/// The address of a setting, or another one where it is taken.
fn free(setting: &str, wanted: SocketAddr) -> anyhow::Result<SocketAddr> {
    if let Ok(listener) = TcpListener::bind(wanted) {
        return Ok(listener.local_addr()?);
    }
    let other = TcpListener::bind((wanted.ip(), 0)).with_context(|| format!("{setting}: no port is free"))?;
    let found = other.local_addr()?;
    println!("{setting}: {wanted} is taken, so it is {found}.");
    Ok(found)
}

async fn stream(story: &Story<'_>, config: &Config, redis: &PrivateRedis) -> anyhow::Result<()> {
    let (api, ops) = (format!("http://{}", config.listen), format!("http://{}", config.ops_listen));
    let tenant = format!("{api}/v1/tenants/{TENANT}");
    println!("\nIt goes on counting until Ctrl-C. Look at it:\n\n  a user       {tenant}/users/alice/stats");
    println!("  the tenant   {tenant}/stats\n  its users    {tenant}/users\n  the API      {api}/openapi.json");
    println!("  metrics      {ops}/metrics\n  readiness    {ops}/readyz");
    println!("  Redis        redis-cli -s {} --scan", redis.socket().display());
    for number in 0.. {
        story.one_more(number)?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
