//! Every setting: its flag, its variable, its default, and the checks that all of them pass or fail together.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use rdkafka::ClientConfig;

use crate::ingest::dead_letter::dead_letter_topic;
use crate::ingest::decode::Bounds;
use crate::ops::telemetry::LogFormat;
use crate::quota::Limits;
use crate::store::Retention;
use crate::store::link::Target;

/// The settings as given. Defaults stand here and nowhere else.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// Kafka's bootstrap servers, separated by commas.
    #[arg(long, env = "INDELIBLE_KAFKA_BROKERS", global = true, default_value = "127.0.0.1:9092")]
    kafka_brokers: String,
    /// Topics that hold events, separated by commas. Each is a ledger: keep its records (retention.ms=-1).
    #[arg(long, env = "INDELIBLE_KAFKA_TOPICS", global = true, default_value = "ai.usage.events.v1")]
    kafka_topics: String,
    /// The consumer group. One group counts into one namespace.
    #[arg(long, env = "INDELIBLE_KAFKA_GROUP", global = true, default_value = "indelible")]
    kafka_group: String,
    /// More librdkafka properties: key=value, separated by commas (a comma in a value is written \,).
    #[arg(long, env = "INDELIBLE_KAFKA_PROPERTIES", global = true, default_value = "", hide_env_values = true)]
    kafka_properties: String,
    /// redis://, rediss:// (TLS), unix://, redis-cluster://a,b,c or redis+sentinel://a,b/service
    #[arg(
        long,
        env = "INDELIBLE_REDIS_URL",
        global = true,
        default_value = "redis://127.0.0.1:6379",
        hide_env_values = true
    )]
    redis_url: String,
    /// First part of every Redis key: letters, digits, '.', '_' and '-'.
    #[arg(long, env = "INDELIBLE_NAMESPACE", global = true, default_value = "indelible")]
    namespace: String,
    /// Where the stats API listens.
    #[arg(long, env = "INDELIBLE_LISTEN", global = true, default_value = "127.0.0.1:8080")]
    listen: String,
    /// Where /livez, /readyz and /metrics listen; keep it private.
    #[arg(long, env = "INDELIBLE_OPS_LISTEN", global = true, default_value = "127.0.0.1:9090")]
    ops_listen: String,
    /// An event later than its Kafka timestamp by more than this is rejected (time_in_future): 0s to 7d.
    #[arg(long, env = "INDELIBLE_MAX_FUTURE", global = true, default_value = "5m")]
    max_future: String,
    /// An event earlier than its Kafka timestamp by more than this is rejected (too_late): 1s to 3650d.
    #[arg(long, env = "INDELIBLE_MAX_AGE", global = true, default_value = "35d")]
    max_age: String,
    /// An event that comes again within this time is counted once: 1s to 31d.
    #[arg(long, env = "INDELIBLE_DEDUPE_WINDOW", global = true, default_value = "24h")]
    dedupe_window: String,
    /// The dead-letter topic [default: <topic>.dlq]
    #[arg(long, env = "INDELIBLE_DLQ_TOPIC", global = true)]
    dlq_topic: Option<String>,
    /// A user's tokens a month, from 1.
    #[arg(long, env = "INDELIBLE_QUOTA_TOKENS", global = true, default_value = "1000000")]
    quota_tokens: String,
    /// After SIGTERM, batches are given this long to end: 1s to 10m.
    #[arg(long, env = "INDELIBLE_DRAIN_TIMEOUT", global = true, default_value = "25s")]
    drain_timeout: String,
    /// How logs are written: text or json.
    #[arg(long, env = "INDELIBLE_LOG_FORMAT", global = true, default_value = "text")]
    log_format: String,
    /// What is logged, for example info or indelible=debug,rdkafka=warn
    #[arg(long, env = "RUST_LOG", global = true, default_value = "info")]
    log_filter: String,
}

/// The settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Brokers and the properties given; of no consumer or producer yet.
    pub kafka: ClientConfig,
    pub topics: Vec<String>,
    pub group: String,
    pub redis: Target,
    pub namespace: String,
    pub listen: SocketAddr,
    pub ops_listen: SocketAddr,
    pub bounds: Bounds,
    pub retention: Retention,
    pub dlq_topic: Option<String>,
    pub limits: Limits,
    pub drain: Duration,
    pub log_format: LogFormat,
    pub log_filter: String,
}

/// Properties on which exactly-once counting rests.
const OURS: [&str; 6] = [
    "bootstrap.servers",
    "group.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "isolation.level",
];

/// Days are kept for the current month and this many before it.
pub const DETAIL_MONTHS: i32 = 12;

impl Settings {
    /// # Errors
    /// Every fault at once, each a sentence that begins with the setting's name.
    pub fn check(&self) -> Result<Config, Vec<String>> {
        let mut faults = Faults(Vec::new());
        let topics: Vec<String> = self.kafka_topics.split(',').map(|topic| topic.trim().to_owned()).collect();
        for topic in topics.iter().chain(&self.dlq_topic) {
            faults.unless(is_topic(topic), "KAFKA_TOPICS or INDELIBLE_DLQ_TOPIC", topic, "is not a topic's name");
        }
        for topic in &topics {
            let dead = self.dlq_topic.clone().unwrap_or_else(|| dead_letter_topic(topic));
            faults.unless(!topics.contains(&dead), "DLQ_TOPIC", &dead, "is also one of INDELIBLE_KAFKA_TOPICS");
        }
        faults.unless(!self.kafka_group.trim().is_empty(), "KAFKA_GROUP", &self.kafka_group, "is empty");
        faults.unless(
            is_namespace(&self.namespace),
            "NAMESPACE",
            &self.namespace,
            "is not letters, digits, '.', '_' and '-'",
        );
        let kafka = self.kafka(&mut faults);
        let redis = Target::parse(&self.redis_url).map_err(|why| faults.add("REDIS_URL", &why)).ok();
        let (listen, ops_listen) =
            (faults.address("LISTEN", &self.listen), faults.address("OPS_LISTEN", &self.ops_listen));
        let same = listen.is_some() && listen == ops_listen && listen.is_some_and(|at| at.port() != 0);
        faults.unless(!same, "OPS_LISTEN", &self.ops_listen, "is the same as INDELIBLE_LISTEN");
        let max_future = faults.duration("MAX_FUTURE", &self.max_future, ("0s", "7d"));
        let max_age = faults.duration("MAX_AGE", &self.max_age, ("1s", "3650d"));
        let seen = faults.duration("DEDUPE_WINDOW", &self.dedupe_window, ("1s", "31d"));
        let drain = faults.duration("DRAIN_TIMEOUT", &self.drain_timeout, ("1s", "10m"));
        let tokens = self.quota_tokens.parse().ok().filter(|tokens| *tokens >= 1);
        faults.unless(tokens.is_some(), "QUOTA_TOKENS", &self.quota_tokens, "is not a whole number from 1");
        let log_format = match self.log_format.as_str() {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            other => faults.none("LOG_FORMAT", other, "is neither text nor json"),
        };
        let filter = tracing_subscriber::EnvFilter::try_new(&self.log_filter);
        filter
            .err()
            .iter()
            .for_each(|why| faults.0.push(format!("RUST_LOG {:?} is not a log filter: {why}", self.log_filter)));
        let parts = (kafka, redis, listen, ops_listen, max_future, max_age, seen, drain, tokens, log_format);
        match parts {
            (
                Some(kafka),
                Some(redis),
                Some(listen),
                Some(ops_listen),
                Some(max_future),
                Some(max_age),
                Some(seen),
                Some(drain),
                Some(tokens),
                Some(log_format),
            ) if faults.0.is_empty() => Ok(Config {
                kafka,
                topics,
                redis,
                listen,
                ops_listen,
                drain,
                log_format,
                group: self.kafka_group.clone(),
                namespace: self.namespace.clone(),
                bounds: Bounds { max_future_ms: ms(max_future), max_age_ms: ms(max_age) },
                // A creation comes at most this long after its output was deleted.
                retention: Retention {
                    seen_ms: ms(seen),
                    tombstones_ms: ms(max_age) + ms(max_future),
                    detail_months: DETAIL_MONTHS,
                },
                dlq_topic: self.dlq_topic.clone(),
                limits: Limits { tokens },
                log_filter: self.log_filter.clone(),
            }),
            _ => Err(faults.0),
        }
    }

    fn kafka(&self, faults: &mut Faults) -> Option<ClientConfig> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.kafka_brokers).set("client.id", "indelible");
        faults.unless(!self.kafka_brokers.trim().is_empty(), "KAFKA_BROKERS", &self.kafka_brokers, "is empty");
        for property in split_escaped(&self.kafka_properties) {
            match property.split_once('=') {
                Some((key, _)) if OURS.contains(&key.trim()) => {
                    faults.add("KAFKA_PROPERTIES", &format!("sets {}, which this program must set itself", key.trim()));
                }
                Some((key, value)) => drop(config.set(key.trim(), value.trim())),
                None => faults.add("KAFKA_PROPERTIES", "has a part without '='; the form is key=value,key=value"),
            }
        }
        config
            .create_native_config()
            .map_err(|why| faults.add("KAFKA_PROPERTIES", &format!("are not accepted: {why}")))
            .ok()?;
        Some(config)
    }
}

struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, setting: &str, what: &str) {
        let flag = setting.split(' ').next().unwrap_or_default().to_lowercase().replace('_', "-");
        self.0.push(format!("INDELIBLE_{setting} (--{flag}) {what}"));
    }

    fn none<T>(&mut self, setting: &str, value: &str, what: &str) -> Option<T> {
        self.add(setting, &format!("{value:?} {what}"));
        None
    }

    fn unless(&mut self, good: bool, setting: &str, value: &str, what: &str) {
        if !good {
            self.add(setting, &format!("{value:?} {what}"));
        }
    }

    fn address(&mut self, setting: &str, value: &str) -> Option<SocketAddr> {
        value.parse().ok().or_else(|| self.none(setting, value, "is not an address and port such as 127.0.0.1:8080"))
    }

    fn duration(&mut self, setting: &str, value: &str, bounds: (&str, &str)) -> Option<Duration> {
        let (least, most) = (humantime::parse_duration(bounds.0).ok()?, humantime::parse_duration(bounds.1).ok()?);
        let given = humantime::parse_duration(value).ok().filter(|given| (least..=most).contains(given));
        given.or_else(|| {
            self.none(
                setting,
                value,
                &format!("is not a duration from {} to {}, such as 90s, 5m, 24h or 35d", bounds.0, bounds.1),
            )
        })
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn is_topic(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=249).contains(&text.len()) && text.chars().all(legal) && text != "." && text != ".."
}

fn is_namespace(text: &str) -> bool {
    is_topic(text) && text.len() <= 64
}

/// Splits at commas that no backslash stands before; leaves out what is empty.
pub fn split_escaped(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let last = parts.len() - 1;
        match c {
            '\\' if chars.peek() == Some(&',') => parts[last].extend(chars.next()),
            ',' => parts.push(String::new()),
            other => parts[last].push(other),
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}
