//! Every setting: its flag, its variable, its default, and the checks that all of them pass or fail together.

pub mod access;
mod notices;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use clap::Args;
use rdkafka::ClientConfig;

use crate::ingest::dead_letter::dead_letter_topic;
use crate::ingest::decode::Bounds;
use crate::ingest::notices::Channels;
use crate::ops::telemetry::LogFormat;
use crate::pricing::Table;
use crate::quota::plans::Plans;
use crate::store::link::Target;
use crate::store::{Caps, Retention};

use super::policy::{self, Files};

use access::{Access, AccessSettings};
use notices::NoticeSettings;

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
    /// Users of a tenant that are counted under their own name in a month; more share `other`: 1 to 100000000.
    #[arg(long, env = "INDELIBLE_TENANT_USERS", global = true, default_value = "1000000")]
    tenant_users: String,
    /// The dead-letter topic [default: <topic>.dlq]
    #[arg(long, env = "INDELIBLE_DLQ_TOPIC", global = true)]
    dlq_topic: Option<String>,
    /// Every counted request is written to this topic with its cost, and nothing is counted while that fails
    /// [default: none]
    #[arg(long, env = "INDELIBLE_RATED_TOPIC", global = true)]
    rated_topic: Option<String>,
    /// The price table, a TOML file; the list prices that are built in where none is named. Read again on SIGHUP.
    #[arg(long, env = "INDELIBLE_PRICES", global = true)]
    prices: Option<String>,
    #[command(flatten)]
    access: AccessSettings,
    #[command(flatten)]
    notices: NoticeSettings,
    /// A user's tokens a month where no plan says otherwise: a soft limit, from 1.
    #[arg(long, env = "INDELIBLE_QUOTA_TOKENS", global = true, default_value = "1000000")]
    quota_tokens: String,
    /// The plan file (TOML): limits a month for users and tenants, and which plan is the default [default: none]
    #[arg(long, env = "INDELIBLE_PLANS", global = true)]
    plans: Option<String>,
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
    /// Of `serve`: the namespace may be another group's, and becomes ours.
    pub takeover: bool,
    pub listen: SocketAddr,
    pub ops_listen: SocketAddr,
    /// Who may ask the API, and how much at a time.
    pub access: Access,
    pub bounds: Bounds,
    pub retention: Retention,
    pub caps: Caps,
    pub dlq_topic: Option<String>,
    pub rated_topic: Option<String>,
    /// What is read again on SIGHUP.
    pub files: Files,
    /// None where nobody is to be told of thresholds that are passed.
    pub notices: Option<Channels>,
    /// Replaced while the process runs when the file is read again; all clones share it.
    pub plans: Arc<ArcSwap<Plans>>,
    /// Likewise.
    pub prices: Arc<ArcSwap<Table>>,
    pub drain: Duration,
    pub log_format: LogFormat,
    pub log_filter: String,
    /// What is not as it is by default, as a line of the log has it: secrets masked.
    pub given: Vec<String>,
}

/// Properties on which exactly-once counting rests.
#[rustfmt::skip]
const OURS: [&str; 6] = [
    "bootstrap.servers", "group.id", "enable.auto.commit", "enable.auto.offset.store", "auto.offset.reset",
    "isolation.level",
];

impl Settings {
    /// # Errors
    /// Every fault at once, each a sentence that begins with the setting's name.
    pub fn check(&self) -> Result<Config, Vec<String>> {
        let mut faults = Faults(Vec::new());
        let config = self.config(&mut faults);
        if faults.0.is_empty() { Ok(config) } else { Err(faults.0) }
    }

    /// Where the process listens that is asked for its health, and no other setting.
    ///
    /// # Errors
    /// As [`Settings::check`].
    pub fn ops_listen(&self) -> Result<SocketAddr, Vec<String>> {
        let mut faults = Faults(Vec::new());
        let address = faults.address("OPS_LISTEN", &self.ops_listen);
        if faults.0.is_empty() { Ok(address) } else { Err(faults.0) }
    }

    /// What a fault stands in the way of has a stand-in, so that all faults are found at once.
    fn config(&self, faults: &mut Faults) -> Config {
        let topics = self.topics(faults);
        faults.unless(!self.kafka_group.trim().is_empty(), "KAFKA_GROUP", &self.kafka_group, "is empty");
        let named = is_topic(&self.namespace) && self.namespace.len() <= 64;
        faults.unless(named, "NAMESPACE", &self.namespace, "is not 1 to 64 letters, digits, '.', '_' and '-'");
        let (listen, ops_listen) =
            (faults.address("LISTEN", &self.listen), faults.address("OPS_LISTEN", &self.ops_listen));
        let distinct = listen != ops_listen || listen.port() == 0;
        faults.unless(distinct, "OPS_LISTEN", &self.ops_listen, "is the same as INDELIBLE_LISTEN");
        let max_future_ms = faults.duration_ms("MAX_FUTURE", &self.max_future, ("0s", "7d"));
        let max_age_ms = faults.duration_ms("MAX_AGE", &self.max_age, ("1s", "3650d"));
        let drain_ms = faults.duration_ms("DRAIN_TIMEOUT", &self.drain_timeout, ("1s", "10m"));
        let tokens = self.quota_tokens.parse().unwrap_or(0);
        faults.unless(tokens >= 1, "QUOTA_TOKENS", &self.quota_tokens, "is not a whole number from 1");
        let [prices, plans] = [&self.prices, &self.plans].map(|path| path.as_ref().map(Into::into));
        let files = Files { prices, plans, quota_tokens: tokens };
        let plans = policy::plans(files.plans.as_deref(), tokens).unwrap_or_else(|all| {
            all.iter().for_each(|fault| faults.add("PLANS", fault));
            Plans::default()
        });
        let prices = policy::prices(files.prices.as_deref()).unwrap_or_else(|all| {
            all.iter().for_each(|fault| faults.add("PRICES", fault));
            Table::default()
        });
        let tenant_users = faults.number("TENANT_USERS", &self.tenant_users, 1, 100_000_000);
        let format = self.log_format.as_str();
        faults.unless(["text", "json"].contains(&format), "LOG_FORMAT", format, "is neither text nor json");
        if let Err(why) = tracing_subscriber::EnvFilter::try_new(&self.log_filter) {
            faults.0.push(format!("RUST_LOG {:?} is not a log filter: {why}", self.log_filter));
        }
        let letters: Vec<_> = topics.iter().map(|topic| self.dead_letters_of(topic)).collect();
        let notices = self.notices.check(&topics, &letters, faults);
        let told = notices.iter().flat_map(|told| [told.topic.clone(), dead_letter_topic(&told.topic)]);
        let others: Vec<_> = topics.iter().chain(&letters).cloned().chain(told).collect();
        let rated_topic = self.rated_topic.clone();
        if let Some(rated) = &rated_topic {
            faults.unless(is_topic(rated), "RATED_TOPIC", rated, "is not a topic's name");
            let what = "is also a topic of events, dead letters or notices; rated requests need their own";
            faults.unless(!others.contains(rated), "RATED_TOPIC", rated, what);
        }
        Config {
            kafka: self.kafka(faults),
            notices,
            topics,
            group: self.kafka_group.clone(),
            redis: Target::parse(&self.redis_url).unwrap_or_else(|why| {
                faults.add("REDIS_URL", &why);
                Target::Cluster(Vec::new())
            }),
            namespace: self.namespace.clone(),
            takeover: false,
            listen,
            ops_listen,
            access: self.access.check(listen, faults),
            bounds: Bounds { max_future_ms, max_age_ms },
            retention: Retention {
                seen_ms: faults.duration_ms("DEDUPE_WINDOW", &self.dedupe_window, ("1s", "31d")),
                // A creation comes at most this long after its output was deleted.
                tombstones_ms: max_age_ms + max_future_ms,
            },
            caps: Caps { tenant_users: tenant_users as usize, ..Caps::STANDARD },
            dlq_topic: self.dlq_topic.clone(),
            rated_topic,
            files,
            plans: Arc::new(ArcSwap::from_pointee(plans)),
            prices: Arc::new(ArcSwap::from_pointee(prices)),
            drain: Duration::from_millis(drain_ms.unsigned_abs()),
            log_format: if format == "json" { LogFormat::Json } else { LogFormat::Text },
            log_filter: self.log_filter.clone(),
            given: Vec::new(),
        }
    }

    fn topics(&self, faults: &mut Faults) -> Vec<String> {
        let topics: Vec<String> = self.kafka_topics.split(',').map(|topic| topic.trim().to_owned()).collect();
        for topic in &topics {
            faults.unless(is_topic(topic), "KAFKA_TOPICS", topic, "is not a topic's name");
            let dead = self.dead_letters_of(topic);
            faults.unless(is_topic(&dead), "DLQ_TOPIC", &dead, "is not a topic's name");
            faults.unless(!topics.contains(&dead), "DLQ_TOPIC", &dead, "is also one of INDELIBLE_KAFKA_TOPICS");
        }
        topics
    }

    fn dead_letters_of(&self, topic: &str) -> String {
        self.dlq_topic.clone().unwrap_or_else(|| dead_letter_topic(topic))
    }

    fn kafka(&self, faults: &mut Faults) -> ClientConfig {
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
        if let Err(why) = config.create_native_config() {
            faults.add("KAFKA_PROPERTIES", &format!("are not accepted: {why}"));
        }
        config
    }
}

struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, setting: &str, what: &str) {
        let flag = setting.split(' ').next().unwrap_or_default().to_lowercase().replace('_', "-");
        self.0.push(format!("INDELIBLE_{setting} (--{flag}) {what}"));
    }

    fn unless(&mut self, good: bool, setting: &str, value: &str, what: &str) {
        if !good {
            self.add(setting, &format!("{value:?} {what}"));
        }
    }

    fn address(&mut self, setting: &str, value: &str) -> SocketAddr {
        value.parse().unwrap_or_else(|_| {
            self.unless(false, setting, value, "is not an address and port such as 127.0.0.1:8080");
            SocketAddr::from(([0, 0, 0, 0], 0))
        })
    }

    /// A whole number; both bounds included.
    fn number(&mut self, setting: &str, value: &str, least: u32, most: u32) -> u32 {
        let given = value.parse().ok().filter(|given| (least..=most).contains(given));
        self.unless(given.is_some(), setting, value, &format!("is not a whole number from {least} to {most}"));
        given.unwrap_or(least)
    }

    /// In milliseconds; both bounds included.
    fn duration_ms(&mut self, setting: &str, value: &str, (least, most): (&str, &str)) -> i64 {
        let ms = |text| humantime::parse_duration(text).ok().and_then(|given| i64::try_from(given.as_millis()).ok());
        let given = ms(value).filter(|given| Some(*given) >= ms(least) && Some(*given) <= ms(most));
        let what = format!("is not a duration from {least} to {most}, such as 90s, 5m, 24h or 35d");
        self.unless(given.is_some(), setting, value, &what);
        given.unwrap_or(0)
    }
}

fn is_topic(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=249).contains(&text.len()) && text.chars().all(legal) && text != "." && text != ".."
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
