//! What can break, and how it is broken.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::Rng;

use super::{Chaos, WORKERS, launch};
use crate::support::redis::Redis;
use crate::support::wait::START;

/// Until the group has noticed that a member stands still: its session time-out and some.
const ZOMBIE: Duration = Duration::from_secs(9);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    WorkerKilled,
    WorkerFrozen,
    WorkerAdded,
    WorkerTerminated,
    RedisFrozen,
    RedisKilled,
    RedisGoesBack,
    ScriptsFlushed,
    MemoryFull,
    ConnectionsCut,
    RedisSleeps,
    ClientsPaused,
}

pub(super) const FAULTS: [Fault; 12] = [
    Fault::WorkerKilled,
    Fault::WorkerFrozen,
    Fault::WorkerAdded,
    Fault::WorkerTerminated,
    Fault::RedisFrozen,
    Fault::RedisKilled,
    Fault::RedisGoesBack,
    Fault::ScriptsFlushed,
    Fault::MemoryFull,
    Fault::ConnectionsCut,
    Fault::RedisSleeps,
    Fault::ClientsPaused,
];

impl Chaos<'_> {
    pub(super) fn fault(&mut self, fault: Fault) {
        let (most, pause) = (self.workers.len(), self.rng.random_range(1000..3000));
        let at = self.rng.random_range(0..most);
        let pause = Duration::from_millis(pause);
        match fault {
            Fault::WorkerKilled => {
                let name = self.bury(at);
                self.workers.push(launch(&self.deployment, name));
            }
            Fault::WorkerFrozen => {
                self.workers[at].running.child.stop();
                self.workers[at].frozen.get_or_insert(Instant::now() + ZOMBIE);
            }
            Fault::WorkerAdded if most < WORKERS + 1 => {
                self.workers.push(launch(&self.deployment, None));
            }
            Fault::WorkerTerminated if most > 1 && self.workers[at].frozen.is_none() => {
                self.workers[at].running.child.terminate();
                let status = self.workers[at].running.child.wait(START);
                assert!(status.success(), "SIGTERM ended a worker with {status}");
                self.bury(at);
            }
            Fault::WorkerAdded | Fault::WorkerTerminated => return,
            Fault::RedisFrozen => {
                self.freeze_redis(|_| std::thread::sleep(pause));
            }
            Fault::RedisKilled => {
                self.deployment.redis.kill();
                if self.rng.random() {
                    self.await_readiness(false);
                }
                self.deployment.redis.restart();
            }
            Fault::RedisGoesBack => return self.go_back(),
            Fault::ScriptsFlushed => self.deployment.redis.ask("SCRIPT", &["FLUSH"]),
            Fault::MemoryFull => {
                self.deployment.redis.ask::<()>("CONFIG", &["SET", "maxmemory", "1"]);
                self.await_readiness(false);
                self.deployment.redis.ask::<()>("CONFIG", &["SET", "maxmemory", "0"]);
                self.await_readiness(true);
            }
            Fault::ConnectionsCut => {
                // Calls that wait are carried out and cut off in one go: their replies are lost.
                let mut connection = self.deployment.redis.connection();
                let cut = redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]).get_packed_command();
                self.freeze_redis(|_| {
                    std::thread::sleep(Duration::from_millis(300));
                    connection.send_packed_command(&cut).expect("a command is sent");
                });
            }
            Fault::RedisSleeps => self.deployment.redis.ask("DEBUG", &["SLEEP", "0.3"]),
            Fault::ClientsPaused => {
                self.deployment.redis.ask::<()>("CLIENT", &["PAUSE", &pause.as_millis().to_string()]);
            }
        }
        *self.done.entry(fault).or_default() += 1;
    }

    /// Puts back a copy of some time ago, if there is one, and makes a new one.
    fn go_back(&mut self) {
        if let Some(snapshot) = self.snapshot.clone() {
            self.traffic.restores.fetch_add(1, Ordering::SeqCst);
            self.deployment.redis.kill();
            let live = self.deployment.redis.dir().join("appendonlydir");
            fs::remove_dir_all(&live).expect("what Redis wrote");
            copy(&snapshot, &live);
            self.deployment.redis.restart();
            self.traffic.restores.fetch_add(1, Ordering::SeqCst);
            *self.done.entry(Fault::RedisGoesBack).or_default() += 1;
        }
    }

    pub(super) fn take_snapshot(&mut self) {
        let folder = self.deployment.redis.dir().join("snapshot");
        self.freeze_redis(|redis| copy(&redis.dir().join("appendonlydir"), &folder));
        self.snapshot = Some(folder);
    }

    fn freeze_redis(&mut self, meanwhile: impl FnOnce(&Redis)) {
        self.deployment.redis.process().expect("redis runs").stop();
        meanwhile(&self.deployment.redis);
        self.deployment.redis.process().expect("redis runs").cont();
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).expect("a new folder");
    for file in fs::read_dir(from).expect("a folder").map(|file| file.expect("a file")) {
        fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
    }
}
