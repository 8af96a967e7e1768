//! A Redis Cluster of three masters and three replicas, and what happens to clusters.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use redis::{RedisResult, cmd};

use super::port::free_port;
use super::proxy::{Proxy, SERVERS};
use super::redis::Redis;
use super::wait::{START, eventually};

pub(crate) const SHARDS: usize = 3;
const SLOTS: usize = 16_384;

/// Three masters with a third of the slots each, and a replica of each.
pub(crate) struct RedisCluster {
    /// The first three start as masters; number i + 3 as the replica of number i. These two are shard i.
    pub(crate) nodes: Vec<Redis>,
    /// Of each node, if clients go through proxies.
    pub(crate) proxies: Vec<Proxy>,
}

/// A copy of what a shard's master had on disk.
pub(crate) struct Snapshot {
    pub(crate) shard: usize,
    pub(crate) taken: Instant,
    folder: PathBuf,
}

impl Redis {
    pub(crate) fn cluster() -> RedisCluster {
        RedisCluster::of((0..2 * SHARDS).map(|_| cluster_node(&[])).collect(), Vec::new())
    }

    /// A cluster of so many masters without replicas, each with its share of the slots and these settings.
    pub(crate) fn masters(count: usize, args: &[&str]) -> Vec<Self> {
        let nodes: Vec<_> = (0..count).map(|_| cluster_node(args)).collect();
        join(&nodes, count);
        eventually(START, "the cluster to be whole", || {
            let whole = |node: &Self| {
                let info: String = node.ask("CLUSTER", &["INFO"]);
                info.contains("cluster_state:ok") && info.contains(&format!("cluster_known_nodes:{count}\r"))
            };
            nodes.iter().all(whole).then_some(())
        });
        nodes
    }
}

impl RedisCluster {
    /// Keeps on disk what it holds, and has a proxy before each node: clients are told the proxies' ports.
    pub(crate) fn behind_proxies() -> Self {
        let servers = SERVERS.to_string();
        let (nodes, proxies) = (0..2 * SHARDS)
            .map(|_| {
                let proxy = Proxy::start();
                let announced = ["--cluster-announce-port", &proxy.port().to_string()];
                // Written at once, not synced: what Redis has answered survives SIGKILL.
                let kept = ["--appendonly", "yes", "--appendfsync", "no"];
                let node = cluster_node(&[&announced[..], &kept, &["--bind-source-addr", &servers]].concat());
                proxy.lead_to(node.port());
                (node, proxy)
            })
            .unzip();
        Self::of(nodes, proxies)
    }

    fn of(nodes: Vec<Redis>, proxies: Vec<Proxy>) -> Self {
        join(&nodes, SHARDS);
        for (i, replica) in nodes.iter().enumerate().skip(SHARDS) {
            let master: String = nodes[i - SHARDS].ask("CLUSTER", &["MYID"]);
            eventually(START, "a replica to know its master", || {
                let done: RedisResult<()> =
                    cmd("CLUSTER").arg("REPLICATE").arg(&master).query(&mut replica.connection());
                done.ok()
            });
        }
        let cluster = Self { nodes, proxies };
        cluster.await_whole();
        cluster
    }

    /// Of all nodes, for a cluster client.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// For `INDELIBLE_REDIS_URL`.
    pub(crate) fn url(&self) -> String {
        let ports = self.nodes.iter().map(Redis::port).collect::<Vec<_>>();
        let proxies = self.proxies.iter().map(Proxy::port).collect::<Vec<_>>();
        let ports = if proxies.is_empty() { ports } else { proxies };
        let hosts: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis-cluster://{}", hosts.join(","))
    }

    /// Every node knows all six, has a master for every slot, and every replica is in step.
    pub(crate) fn await_whole(&self) {
        eventually(START, "the cluster to be whole", || self.nodes.iter().all(is_whole).then_some(()));
    }

    /// The number of the node that is the shard's master now; the first of two while it changes.
    pub(crate) fn master(&self, shard: usize) -> usize {
        eventually(START, "a shard to have a master", || {
            [shard, shard + SHARDS].into_iter().find(|node| self.is_master(*node))
        })
    }

    pub(crate) fn masters(&self) -> impl Iterator<Item = &Redis> {
        (0..SHARDS).map(|shard| &self.nodes[self.master(shard)])
    }

    /// False for one that does not answer, too.
    pub(crate) fn is_master(&self, node: usize) -> bool {
        let role = self.nodes[node]
            .connect()
            .and_then(|mut connection| cmd("INFO").arg("replication").query::<String>(&mut connection));
        role.is_ok_and(|role| role.contains("role:master"))
    }

    /// SIGKILL to the shard's master; ends when its replica is the master. Returns the dead one's number.
    pub(crate) fn fail_over(&mut self, shard: usize) -> usize {
        let dead = self.master(shard);
        let replica = (dead + SHARDS) % (2 * SHARDS);
        self.nodes[dead].kill();
        eventually(START, "the replica to be promoted", || self.is_master(replica).then_some(()));
        dead
    }

    /// What the shard's master has on disk at one instant. Good for as long as the shard keeps its slots.
    pub(crate) fn snapshot(&mut self, shard: usize) -> Snapshot {
        let master = self.master(shard);
        let node = &mut self.nodes[master];
        let folder = node.dir().join("snapshot");
        node.process().expect("it is a master").stop();
        copy(&node.dir().join(LIVE), &folder);
        node.process().expect("it is a master").cont();
        Snapshot { shard, taken: Instant::now(), folder }
    }

    /// As from a backup: both servers of the shard are gone, and the master comes back with what it had once.
    pub(crate) fn restore(&mut self, snapshot: &Snapshot) {
        let master = self.master(snapshot.shard);
        let replica = (master + SHARDS) % (2 * SHARDS);
        self.nodes[replica].kill();
        self.nodes[master].kill();
        copy(&snapshot.folder, &self.nodes[master].dir().join(LIVE));
        self.nodes[master].restart();
        self.nodes[replica].restart();
        self.await_whole();
    }

    /// Moves the slot that `key` lies in to another shard, a few keys at a time, as `redis-cli --cluster reshard`
    /// does; clients meet ASK, TRYAGAIN and MOVED meanwhile.
    pub(crate) fn migrate(&self, key: &str, from: usize, to: usize, mut between: impl FnMut()) {
        let (source, target) = (&self.nodes[self.master(from)], &self.nodes[self.master(to)]);
        let slot = source.ask::<u16>("CLUSTER", &["KEYSLOT", key]).to_string();
        let [from_id, to_id] = [source, target].map(|node| node.ask::<String>("CLUSTER", &["MYID"]));
        target.ask::<()>("CLUSTER", &["SETSLOT", &slot, "IMPORTING", &from_id]);
        source.ask::<()>("CLUSTER", &["SETSLOT", &slot, "MIGRATING", &to_id]);
        loop {
            let keys: Vec<String> = source.ask("CLUSTER", &["GETKEYSINSLOT", &slot, "10"]);
            if keys.is_empty() {
                break;
            }
            let port = target.port().to_string();
            let mut migrate = vec!["127.0.0.1", &port, "", "0", "10000", "KEYS"];
            migrate.extend(keys.iter().map(String::as_str));
            source.ask::<()>("MIGRATE", &migrate);
            between();
        }
        // The new owner first: there is no moment in which nobody has the slot.
        let (owner, others) = ([target, source], self.masters());
        for node in owner.into_iter().chain(others) {
            node.ask::<()>("CLUSTER", &["SETSLOT", &slot, "NODE", &to_id]);
        }
    }
}

/// Where a server's append-only files lie in its folder.
const LIVE: &str = "appendonlydir";

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).expect("a new folder");
    for file in fs::read_dir(from).expect("a folder").map(|file| file.expect("a file")) {
        fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
    }
}

fn is_whole(node: &Redis) -> bool {
    let Ok(mut connection) = node.connect() else { return false };
    let info: RedisResult<String> = cmd("CLUSTER").arg("INFO").query(&mut connection);
    let replication: RedisResult<String> = cmd("INFO").arg("replication").query(&mut connection);
    let (Ok(info), Ok(replication)) = (info, replication) else { return false };
    let role = if replication.contains("role:master") { "connected_slaves:1" } else { "master_link_status:up" };
    ["cluster_state:ok", "cluster_known_nodes:6", "cluster_size:3"].iter().all(|fact| info.contains(fact))
        && replication.contains(role)
}

/// Has the nodes know each other, and the first of them, so many, share the slots.
fn join(nodes: &[Redis], masters: usize) {
    for (epoch, node) in (1..).zip(nodes) {
        node.ask::<()>("CLUSTER", &["SET-CONFIG-EPOCH", &format!("{epoch}")]);
    }
    for (i, master) in nodes.iter().take(masters).enumerate() {
        let (first, end) = (i * SLOTS / masters, (i + 1) * SLOTS / masters);
        master.ask::<()>("CLUSTER", &["ADDSLOTSRANGE", &first.to_string(), &(end - 1).to_string()]);
    }
    for node in &nodes[1..] {
        let first = nodes[0].port().to_string();
        let bus: Vec<String> = nodes[0].ask("CONFIG", &["GET", "cluster-port"]);
        node.ask::<()>("CLUSTER", &["MEET", "127.0.0.1", &first, &bus[1]]);
    }
}

fn cluster_node(args: &[&str]) -> Redis {
    let bus_port = free_port().to_string();
    let ours = [
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus_port,
        "--cluster-announce-ip",
        "127.0.0.1",
        // A master counts as failed after this; short, so that a test of a fail-over is.
        "--cluster-node-timeout",
        "2000",
        // A full copy to a new replica starts at once.
        "--repl-diskless-sync-delay",
        "0",
    ];
    Redis::start_with(&[&ours[..], args].concat())
}
