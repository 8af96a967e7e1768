//! What a user has: a topic in Kafka, a Redis, and workers that share a namespace.

use std::collections::BTreeMap;
use std::process::Output;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::kafka::Kafka;
use super::program::{Program, Running};
use super::redis::Redis;
use super::wait::eventually;

/// A worker that a test is done with is killed, and who comes next waits until its session has ended.
const SHORT_SESSIONS: &str = "session.timeout.ms=6000,heartbeat.interval.ms=1500";

/// Until a backlog of a test is counted on a busy machine.
const CATCH_UP: Duration = Duration::from_secs(90);

pub(crate) struct Deployment {
    pub(crate) redis: Redis,
    /// Of a Redis Cluster, the masters beside `redis`.
    masters: Vec<Redis>,
    pub(crate) topic: String,
    pub(crate) partitions: i32,
    env: Vec<(String, String)>,
}

impl Deployment {
    /// On the shared Kafka, with a topic and a Redis of its own.
    pub(crate) fn new(partitions: i32) -> Self {
        Self::with_topic(partitions, &[])
    }

    pub(crate) fn with_topic(partitions: i32, config: &[(&str, &str)]) -> Self {
        Self::with_redis(partitions, config, Redis::start())
    }

    pub(crate) fn with_redis(partitions: i32, config: &[(&str, &str)], redis: Redis) -> Self {
        let topic = Kafka::unique("events");
        Kafka::shared().create_topic(&topic, partitions, config);
        Self::of_topic(&topic, partitions, redis)
    }

    /// Counts a topic that is there already. A second one that counts it needs another group.
    pub(crate) fn of_topic(topic: &str, partitions: i32, redis: Redis) -> Self {
        let topic = topic.to_owned();
        let env = [
            ("INDELIBLE_KAFKA_BROKERS", Kafka::shared().bootstrap()),
            ("INDELIBLE_KAFKA_TOPICS", topic.clone()),
            ("INDELIBLE_KAFKA_GROUP", format!("{topic}.group")),
            ("INDELIBLE_KAFKA_PROPERTIES", SHORT_SESSIONS.to_owned()),
            ("INDELIBLE_REDIS_URL", redis.url()),
            ("RUST_LOG", "info".to_owned()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Self { redis, masters: Vec::new(), topic, partitions, env }
    }

    /// The same with a Redis Cluster of these masters, one or more.
    pub(crate) fn of_cluster(topic: &str, partitions: i32, mut masters: Vec<Redis>) -> Self {
        let hosts: Vec<_> = masters.iter().map(|master| format!("127.0.0.1:{}", master.port())).collect();
        let others = masters.split_off(1);
        let first = masters.pop().expect("a cluster has a master");
        let one = Self::of_topic(topic, partitions, first);
        Self { masters: others, ..one }.set("INDELIBLE_REDIS_URL", &format!("redis-cluster://{}", hosts.join(",")))
    }

    /// All its servers.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Redis> {
        std::iter::once(&self.redis).chain(&self.masters)
    }

    /// The same with one more setting.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with thresholds watched, and a topic for the notices.
    pub(crate) fn with_notices(self, plans: &str) -> Self {
        let topic = format!("{}.notices", self.topic);
        Kafka::shared().create_topic(&topic, self.partitions, &[]);
        self.set("INDELIBLE_PLANS", plans).set("INDELIBLE_NOTICE_TOPIC", &topic)
    }

    pub(crate) fn env(&self) -> Vec<(&str, &str)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[track_caller]
    pub(crate) fn serve(&self) -> Running {
        Program::serve(&self.env())
    }

    /// `indelible emit -` with these lines.
    pub(crate) fn emit_output(&self, lines: &str) -> Output {
        Program::run(&["emit", "-"], &self.env(), lines)
    }

    #[track_caller]
    pub(crate) fn emit(&self, lines: &str) {
        let output = self.emit_output(lines);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Waits until every bucket's watermark stands at the end of every partition: then all is counted.
    #[track_caller]
    pub(crate) fn await_counted(&self) {
        self.await_counted_within(CATCH_UP);
    }

    #[track_caller]
    pub(crate) fn await_counted_within(&self, deadline: Duration) {
        eventually(deadline, "every watermark at the end of its partition", || {
            let (ends, marks) = (self.ends()?, self.watermarks());
            let behind = ends.iter().any(|(partition, end)| marks.get(partition).is_none_or(|mark| mark < end));
            (!behind).then_some(())
        });
    }

    /// None where the broker does not know a partition yet.
    fn ends(&self) -> Option<BTreeMap<i32, i64>> {
        let asker: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", Kafka::shared().bootstrap())
            .create()
            .expect("a consumer that only asks");
        let end = |partition| asker.fetch_watermarks(&self.topic, partition, Duration::from_secs(10));
        (0..self.partitions).map(|partition| Some((partition, end(partition).ok()?.1))).collect()
    }

    /// The least watermark of all buckets by partition; none unless all 64 are there.
    fn watermarks(&self) -> BTreeMap<i32, i64> {
        let states = self.servers().flat_map(|server| {
            let mut connection = server.connection();
            let states: Vec<String> = redis::cmd("KEYS").arg("indelible:*:state").query(&mut connection).expect("keys");
            let fields = |state| redis::cmd("HGETALL").arg(state).query(&mut connection).expect("a state");
            states.iter().map(fields).collect::<Vec<BTreeMap<String, String>>>()
        });
        let mut least: BTreeMap<i32, (i64, usize)> = BTreeMap::new();
        for fields in states {
            let prefix = format!("watermark:{}/", self.topic);
            for (field, value) in fields {
                let Some(partition) = field.strip_prefix(&prefix) else { continue };
                let next = value.split(' ').next().and_then(|next| next.parse().ok()).expect("a watermark");
                let entry = least.entry(partition.parse().expect("a partition")).or_insert((next, 0));
                *entry = (entry.0.min(next), entry.1 + 1);
            }
        }
        least
            .into_iter()
            .filter(|(_, (_, count))| *count == 64)
            .map(|(partition, (next, _))| (partition, next))
            .collect()
    }
}
