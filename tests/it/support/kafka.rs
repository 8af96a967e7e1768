//! A real Apache Kafka: one broker that is its own controller (KRaft), on free ports.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::Offset;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaErrorCode;
use tempfile::TempDir;

use super::child::Child;
use super::port::free_port;
use super::wait::{START, eventually, within};

/// That of scripts/common.sh.
pub(crate) const VERSION: &str = "4.3.1";
/// The folder that `make setup` fills; see scripts/common.sh.
const JARS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/kafka/4.3.1/lib");

/// A quick start matters more to tests than a fast broker: one compiler stage, one collector thread.
const QUICK: &[&str] = &["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// How long one request to a broker that runs may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(30);

/// See [`Kafka::shared`].
static SHARED: OnceLock<Kafka> = OnceLock::new();

/// How a broker's JVM is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jvm {
    /// As small and as soon there as can be.
    Quick,
    /// As Kafka's own `kafka-server-start.sh` starts it: for measurements.
    Full,
}

/// A broker; dropped, it is gone with all it held.
pub(crate) struct Kafka {
    broker: Option<Child>,
    jvm: Jvm,
    producer: FutureProducer,
    admin: AdminClient<DefaultClientContext>,
    port: u16,
    dir: TempDir,
}

/// A record to send; what is not given is null, as in Kafka itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Record<'a> {
    /// By the hash of the key where none is given.
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<&'a str>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// Milliseconds since 1970; now where none is given.
    pub(crate) timestamp: Option<i64>,
}

impl<'a> Record<'a> {
    fn to(self, topic: &'a str) -> FutureRecord<'a, str, [u8]> {
        let headers = self
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
        FutureRecord {
            topic,
            partition: self.partition,
            payload: self.value,
            key: self.key,
            timestamp: self.timestamp,
            headers: Some(headers),
        }
    }
}

impl Kafka {
    /// The one broker of this test binary. Tests share it: each makes topics and groups of its own, by
    /// [`Kafka::unique`]. Use [`Kafka::start`] to stop a broker.
    pub(crate) fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start)
    }

    /// Has this one be [`Kafka::shared`], before anybody has asked for it.
    pub(crate) fn share(self) {
        assert!(SHARED.set(self).is_ok(), "a broker is shared already");
    }

    /// A broker of one's own: a JVM of half a gigabyte and three seconds of both cores, so rarely.
    pub(crate) fn start() -> Self {
        Self::start_with(&|_, _| String::new())
    }

    /// With more settings, lines of a properties file in which later ones win: a function of the broker's port and its
    /// controller's.
    pub(crate) fn start_with(more: &dyn Fn(u16, u16) -> String) -> Self {
        Self::start_on(Jvm::Quick, more)
    }

    /// The same on a JVM of another kind.
    pub(crate) fn start_on(jvm: Jvm, more: &dyn Fn(u16, u16) -> String) -> Self {
        assert!(Path::new(JARS).is_dir(), "no Apache Kafka in {JARS}: run `make setup`");
        // A port can be taken between its choice and its use.
        for _ in 0..3 {
            let dir = tempfile::Builder::new().prefix("indelible-kafka-").tempdir().expect("a temporary folder");
            let (port, controller_port) = (free_port(), free_port());
            let own = format!(
                "listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
                 advertised.listeners=BROKER://127.0.0.1:{port}\n\
                 controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}\n"
            );
            configure(dir.path(), &(own + &more(port, controller_port)));
            let mut format = format(dir.path(), &["--standalone"]);
            assert!(format.wait(START).success(), "the broker's folder can't be formatted:\n{}", format.output());
            let (mut broker, bootstrap) = (spawn(dir.path(), jvm.options()), format!("127.0.0.1:{port}"));
            let admin = client(&bootstrap).create().expect("a client connects later");
            if ready(&mut broker, &admin) {
                let producer = client(&bootstrap).create().expect("a client connects later");
                return Self { broker: Some(broker), jvm, producer, admin, port, dir };
            }
            eprintln!("a broker did not start:\n{}", broker.output());
        }
        panic!("no broker has started; what each printed stands above");
    }

    /// For `bootstrap.servers`.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A name that no other test has, fit for topics and groups.
    pub(crate) fn unique(prefix: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        format!("{prefix}.{}", COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// Ends it in order, which takes a second. The records stay.
    pub(crate) fn stop(&mut self) {
        if let Some(mut broker) = self.broker.take() {
            broker.terminate();
            broker.wait(START);
        }
    }

    /// SIGKILL, as by the machine's power switch. The records stay as far as the system has written them.
    pub(crate) fn kill(&mut self) {
        if let Some(mut broker) = self.broker.take() {
            broker.kill();
        }
    }

    /// Starts it again on the same port with the same records, after killing it if it still runs.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let mut broker = spawn(self.dir.path(), self.jvm.options());
        assert!(ready(&mut broker, &self.admin), "the broker has not come back:\n{}", broker.output());
        self.broker = Some(broker);
    }

    /// The broker's process, to stop and continue it; none while it is not running.
    pub(crate) fn process(&mut self) -> Option<&mut Child> {
        self.broker.as_mut()
    }

    /// None while it is not running.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.broker.as_ref().map(Child::pid)
    }

    /// What the records of a topic take on disk.
    pub(crate) fn bytes_of(&self, topic: &str) -> u64 {
        let entries =
            |folder: &Path| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        let is_of = |folder: &PathBuf| {
            let name = folder.file_name().and_then(OsStr::to_str).unwrap_or_default();
            name.rsplit_once('-').is_some_and(|(of, _)| of == topic)
        };
        let segments = entries(&self.dir.path().join("data")).filter(is_of).flat_map(|folder| entries(&folder));
        let records = segments.filter(|file| file.extension().is_some_and(|extension| extension == "log"));
        records.map(|file| file.metadata().expect("a file").len()).sum()
    }

    /// Runs one of Kafka's own tools against this broker, by its class and arguments.
    #[track_caller]
    pub(crate) fn tool(&self, class: &str, args: &[&str]) {
        let mut command = java(self.dir.path(), QUICK);
        command.arg(class).args(["--bootstrap-server", &self.bootstrap()]).args(args);
        let mut tool = Child::spawn("tool", self.dir.path(), &mut command);
        assert!(tool.wait(START).success(), "{class} {args:?}:\n{}", tool.output());
    }

    /// For what this harness has no verb for. Await with `futures::executor::block_on`.
    pub(crate) fn admin(&self) -> &AdminClient<DefaultClientContext> {
        &self.admin
    }

    pub(crate) fn create_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let topic = NewTopic { config: config.to_vec(), ..NewTopic::new(name, partitions, TopicReplication::Fixed(1)) };
        let options = AdminOptions::new().operation_timeout(Some(ANSWER));
        for result in block_on(self.admin.create_topics([&topic], &options)).expect("the broker answers") {
            result.expect("the topic is new");
        }
    }

    /// Returns partition and offset once the broker has acknowledged it.
    pub(crate) fn produce(&self, topic: &str, record: Record<'_>) -> (i32, i64) {
        acknowledged(self.send(topic, record))
    }

    /// The same for many, in order, without waiting for each.
    pub(crate) fn produce_all<'a>(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = Record<'a>>,
    ) -> Vec<(i32, i64)> {
        let sent: Vec<_> = records.into_iter().map(|record| self.send(topic, record)).collect();
        sent.into_iter().map(acknowledged).collect()
    }

    fn send(&self, topic: &str, record: Record<'_>) -> DeliveryFuture {
        eventually(ANSWER, "room in the producer's queue", || match self.producer.send_result(record.to(topic)) {
            Ok(delivery) => Some(delivery),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => None,
            Err((error, _)) => panic!("the record can't be sent to {topic}: {error}"),
        })
    }

    /// [`read_all`], of this broker.
    pub(crate) fn read_all(&self, topic: &str) -> Vec<OwnedMessage> {
        read_all(&self.bootstrap(), topic)
    }
}

/// Every committed record of all partitions, up to where they end now; in order within a partition.
pub(crate) fn read_all(bootstrap: &str, topic: &str) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer = client(bootstrap)
        .set("group.id", "harness")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a client connects later");
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER).expect("the broker answers");
    let partitions: Vec<_> = metadata.topics().iter().flat_map(|t| t.partitions()).map(|p| p.id()).collect();
    let mut list = TopicPartitionList::new();
    for partition in &partitions {
        list.add_partition_offset(topic, *partition, Offset::Beginning).expect("an offset to start at");
    }
    consumer.assign(&list).expect("an assignment");

    let mut open: HashSet<i32> = partitions.into_iter().collect();
    assert!(!open.is_empty(), "there is no topic {topic}");
    let mut messages = Vec::new();
    while !open.is_empty() {
        match consumer.poll(ANSWER) {
            Some(Ok(message)) => messages.push(message.detach()),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => panic!("{topic} can't be read: {error}"),
            None => panic!("{topic} does not end: no answer within {ANSWER:?}"),
        }
    }
    messages
}

/// What every client of the tests is set to.
pub(crate) fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("broker.address.family", "v4")
        // As Java's clients do it, so that a key lands where a service's would.
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "1")
        .set("enable.idempotence", "true")
        .set("message.max.bytes", "4194304")
        // Retry soon after a restart, and say nothing of the refusals until then.
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "500")
        .set("log.connection.close", "false");
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    config
}

#[track_caller]
fn acknowledged(delivery: DeliveryFuture) -> (i32, i64) {
    let delivery = block_on(delivery).expect("the producer lives").unwrap_or_else(|(error, message)| {
        panic!("the broker has not taken the record for {}: {error}", rdkafka::Message::topic(&message))
    });
    (delivery.partition, delivery.offset)
}

/// Whether it answers in time; not if it has ended before.
fn ready(broker: &mut Child, admin: &AdminClient<DefaultClientContext>) -> bool {
    within(START, || {
        if broker.exited().is_some() {
            return Some(false);
        }
        let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(1)).ok()?;
        (!metadata.brokers().is_empty()).then_some(true)
    })
    .unwrap_or(false)
}

impl Jvm {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Quick => &["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"],
            Self::Full => &["-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"],
        }
    }
}

/// Starts the broker on a folder that is formatted already. `options` are Java's, such as `-Xmx512m`.
pub(super) fn spawn(dir: &Path, options: &[&str]) -> Child {
    Child::spawn("kafka", dir, java(dir, options).args(["kafka.Kafka"]).arg(settings(dir)))
}

fn settings(dir: &Path) -> PathBuf {
    dir.join("server.properties")
}

/// Writes the settings: those of every broker, and then `own`, lines of a properties file in which later ones win.
pub(super) fn configure(dir: &Path, own: &str) {
    let mut text = String::from(SETTINGS);
    writeln!(text, "log.dirs={}", dir.join("data").display()).expect("a string takes all");
    text.push_str(own);
    fs::write(settings(dir), text).expect("the folder can be written");
    fs::write(dir.join("log4j2.properties"), LOGGING).expect("the folder can be written");
}

/// Makes the folder of the records, which takes a JVM some seconds.
pub(super) fn format(dir: &Path, options: &[&str]) -> Child {
    let args = ["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config"];
    Child::spawn("format", dir, java(dir, QUICK).args(args).arg(settings(dir)).args(options))
}

fn java(dir: &Path, options: &[&str]) -> Command {
    let mut command = Command::new("java");
    command
        .args(options)
        .arg(format!("-Dlog4j2.configurationFile={}", dir.join("log4j2.properties").display()))
        .args(["-cp", &format!("{JARS}/*")]);
    command
}

/// 16 bytes in base64, as Kafka wants it.
const CLUSTER_ID: &str = "aW5kZWxpYmxlLXRlc3RzIQ";

const SETTINGS: &str = "\
node.id=1
process.roles=broker,controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=BROKER
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.retention.ms=-1
message.max.bytes=4194304
log.index.size.max.bytes=65536
log.cleaner.dedupe.buffer.size=2097152
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
";

const LOGGING: &str = "\
rootLogger.level=WARN
rootLogger.appenderRefs=out
rootLogger.appenderRef.out.ref=OUT
appender.out.name=OUT
appender.out.type=Console
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %c{1} %m%n
";
