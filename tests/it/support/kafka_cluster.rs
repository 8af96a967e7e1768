//! Three brokers, each a controller as well (KRaft), that keep every record three times.

use std::time::Duration;

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tempfile::TempDir;

use super::child::Child;
use super::kafka::{client, configure, format, spawn};
use super::port::free_port;
use super::wait::{START, eventually};

pub(crate) const BROKERS: usize = 3;
/// Three of them run beside all else.
const JAVA: &[&str] = &["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// Until partitions have new leaders, and all replicas, on a busy machine.
const SETTLE: Duration = Duration::from_secs(90);

/// Dropped, it is gone with all it held.
pub(crate) struct KafkaCluster {
    brokers: Vec<Broker>,
    admin: AdminClient<DefaultClientContext>,
}

struct Broker {
    process: Option<Child>,
    port: u16,
    dir: TempDir,
}

impl KafkaCluster {
    pub(crate) fn start() -> Self {
        // A port can be taken between its choice and its use.
        (0..3).find_map(|_| Self::try_start()).expect("three brokers; what each printed stands above")
    }

    fn try_start() -> Option<Self> {
        let ports: Vec<_> = (0..BROKERS).map(|_| (free_port(), free_port())).collect();
        let voters: Vec<_> = (1..).zip(&ports).map(|(id, (_, port))| format!("{id}@127.0.0.1:{port}")).collect();
        let dirs: Vec<_> = (1..).zip(&ports).map(|(id, ports)| folder(id, *ports, &voters.join(","))).collect();
        for mut formatting in dirs.iter().map(|dir| format(dir.path(), &[])).collect::<Vec<_>>() {
            assert!(formatting.wait(START).success(), "a folder can't be formatted:\n{}", formatting.output());
        }
        let broker = |(dir, (port, _)): (TempDir, _)| Broker { process: Some(spawn(dir.path(), JAVA)), port, dir };
        let brokers: Vec<_> = dirs.into_iter().zip(ports).map(broker).collect();
        let admin = client(&bootstrap(&brokers)).create().expect("a client connects later");
        let mut cluster = Self { brokers, admin };
        let ended = eventually(SETTLE, "three brokers", || {
            let ended = cluster.brokers.iter_mut().filter_map(|broker| broker.process.as_mut());
            let ended: Vec<_> = ended.filter_map(|process| process.exited().map(|_| process.output())).collect();
            (!ended.is_empty() || cluster.alive() == BROKERS).then_some(ended)
        });
        ended.iter().for_each(|output| eprintln!("a broker did not start:\n{output}"));
        ended.is_empty().then_some(cluster)
    }

    /// For `bootstrap.servers`.
    pub(crate) fn bootstrap(&self) -> String {
        bootstrap(&self.brokers)
    }

    /// Each record is kept by so many brokers.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32, copies: i32) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(copies));
        // A record must be written although another copy is behind.
        let topic = if copies == 1 { topic.set("min.insync.replicas", "1") } else { topic };
        let options = AdminOptions::new().operation_timeout(Some(START));
        for result in block_on(self.admin.create_topics([&topic], &options)).expect("the brokers answer") {
            result.expect("the topic is new");
        }
    }

    /// SIGKILL. What it led, others lead a few seconds later.
    pub(crate) fn kill(&mut self, broker: usize) {
        self.brokers[broker].process.take().into_iter().for_each(|mut process| process.kill());
        self.await_alive(BROKERS - 1);
    }

    /// Ends it in order: it hands over what it leads, and the groups that it coordinates, before it goes.
    pub(crate) fn stop(&mut self, broker: usize) {
        if let Some(mut process) = self.brokers[broker].process.take() {
            process.terminate();
            process.wait(SETTLE);
        }
        self.await_alive(BROKERS - 1);
    }

    /// Starts it again with the same records, and waits until it has caught up: only then can another one be lost.
    pub(crate) fn restart(&mut self, broker: usize) {
        let broker = &mut self.brokers[broker];
        broker.process = Some(spawn(broker.dir.path(), JAVA));
        self.await_whole();
    }

    /// It stands still until the others take it for dead. What no other has a copy of is without a leader.
    pub(crate) fn freeze(&mut self, broker: usize) {
        self.brokers[broker].process.iter_mut().for_each(Child::stop);
        eventually(SETTLE, "the broker to be taken for dead", || {
            let metadata = self.admin.inner().fetch_metadata(None, Duration::from_secs(5)).ok()?;
            let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            partitions.any(|found| found.leader() < 0).then_some(())
        });
    }

    /// It goes on, with its connections as they were.
    pub(crate) fn thaw(&mut self, broker: usize) {
        self.brokers[broker].process.iter_mut().for_each(Child::cont);
        self.await_whole();
    }

    fn await_whole(&mut self) {
        eventually(SETTLE, "every replica to be in sync", || {
            let exited = self.brokers.iter_mut().find_map(|broker| broker.process.as_mut()?.exited());
            assert!(exited.is_none(), "a broker ended by itself: {exited:?}");
            let metadata = self.admin.inner().fetch_metadata(None, Duration::from_secs(5)).ok()?;
            let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            let whole = partitions.all(|found| found.isr().len() == found.replicas().len() && found.leader() > 0);
            (whole && metadata.brokers().len() == BROKERS).then_some(())
        });
    }

    /// The broker that coordinates a group: the leader of the partition where the group's offsets lie.
    pub(crate) fn coordinator(&self, group: &str) -> usize {
        // Java's String.hashCode, which decides the partition.
        let hash = group.bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)));
        eventually(SETTLE, "the group to have a coordinator", || {
            let topic = Some("__consumer_offsets");
            let metadata = self.admin.inner().fetch_metadata(topic, Duration::from_secs(5)).ok()?;
            let partitions = metadata.topics().first()?.partitions();
            let wanted = (hash & i32::MAX).checked_rem(i32::try_from(partitions.len()).ok()?)?;
            let leader = partitions.iter().find(|partition| partition.id() == wanted)?.leader();
            usize::try_from(leader).ok()?.checked_sub(1)
        })
    }

    fn await_alive(&self, brokers: usize) {
        eventually(SETTLE, &format!("{brokers} brokers"), || (self.alive() == brokers).then_some(()));
    }

    /// How many are in the cluster; none while something has a leader that is not.
    fn alive(&self) -> usize {
        let Ok(metadata) = self.admin.inner().fetch_metadata(None, Duration::from_secs(5)) else { return 0 };
        let alive: Vec<_> = metadata.brokers().iter().map(|broker| broker.id()).collect();
        let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        if partitions.all(|found| alive.contains(&found.leader())) { alive.len() } else { 0 }
    }
}

fn bootstrap(brokers: &[Broker]) -> String {
    brokers.iter().map(|broker| format!("127.0.0.1:{}", broker.port)).collect::<Vec<_>>().join(",")
}

fn folder(id: i32, (port, controller): (u16, u16), voters: &str) -> TempDir {
    let dir = tempfile::Builder::new().prefix("indelible-kafka-").tempdir().expect("a temporary folder");
    // A dead broker is noticed soon, and yet not a slow one on a busy machine. So few partitions need few threads.
    let own = format!(
        "node.id={id}\n\
         listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         controller.quorum.voters={voters}\n\
         default.replication.factor=3\n\
         min.insync.replicas=2\n\
         offsets.topic.replication.factor=3\n\
         broker.heartbeat.interval.ms=500\n\
         broker.session.timeout.ms=4000\n\
         num.network.threads=2\n\
         num.io.threads=2\n"
    );
    configure(dir.path(), &own);
    dir
}
