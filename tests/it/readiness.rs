//! Readiness means progress: red while one of these causes lasts, and green again by itself, with every sum right.

use std::fs;
use std::time::Duration;

use crate::support::deployment::Deployment;
use crate::support::event::bare;
use crate::support::flood::flood;
use crate::support::kafka::Kafka;
use crate::support::port::free_port;
use crate::support::program::{Program, Running};
use crate::support::redis::Redis;
use crate::support::rounds::Rounds;
use crate::support::wait::{START, eventually};

/// Events flow while `cause` lasts, from the first call to the second.
#[track_caller]
fn red_while(deployment: &Deployment, why: &str, begin: impl FnOnce(), end: impl FnOnce()) {
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.flow(deployment, || {
        rounds.await_progress(&running);
        begin();
        running.await_red(why);
        end();
        running.await_green();
        rounds.await_progress(&running);
    });
    rounds.check(&running);
    assert!(running.is_live() && !running.child.output().contains("panicked"));
}

fn set(redis: &Redis, name: &str, value: &str) {
    redis.ask::<()>("CONFIG", &["SET", name, value]);
}

#[test]
fn redis_has_no_memory_left() {
    let deployment = Deployment::new(3);
    let redis = &deployment.redis;
    red_while(&deployment, "OOM", || set(redis, "maxmemory", "1"), || set(redis, "maxmemory", "0"));
}

#[test]
fn redis_is_a_replica() {
    let deployment = Deployment::new(3);
    let (redis, nowhere) = (&deployment.redis, free_port().to_string());
    let begin = || redis.ask::<()>("REPLICAOF", &["127.0.0.1", &nowhere]);
    red_while(&deployment, "read only replica", begin, || redis.ask("REPLICAOF", &["NO", "ONE"]));
}

#[test]
fn redis_has_too_few_replicas() {
    let deployment = Deployment::new(3);
    let redis = &deployment.redis;
    let begin = || set(redis, "min-replicas-to-write", "1");
    red_while(&deployment, "NOREPLICAS", begin, || set(redis, "min-replicas-to-write", "0"));
}

#[test]
fn redis_cannot_save() {
    let deployment = Deployment::with_redis(3, &[], Redis::start_with(&["--dbfilename", "taken"]));
    let redis = &deployment.redis;
    // A file can't take the place of a folder.
    let taken = redis.dir().join("taken");
    let begin = || {
        fs::create_dir_all(taken.join("by")).expect("a folder");
        set(redis, "save", "3600 1");
        redis.ask::<()>("BGSAVE", &[]);
    };
    let end = || {
        fs::remove_dir_all(&taken).expect("the folder goes");
        eventually(START, "a save to begin", || redis.try_ask::<()>("BGSAVE", &[]).ok());
    };
    red_while(&deployment, "MISCONF", begin, end);
}

#[test]
fn redis_stands_still_until_kafka_puts_the_worker_out_of_its_group() {
    let mut deployment = Deployment::new(3);
    let properties = "max.poll.interval.ms=7000,session.timeout.ms=6000,heartbeat.interval.ms=1500";
    deployment = deployment.set("INDELIBLE_KAFKA_PROPERTIES", properties);
    let running = deployment.serve();
    let line = |number: u64| bare(&number.to_string(), "acme", "alice");
    deployment.emit(&line(0));
    deployment.await_counted();
    deployment.redis.process().expect("a running Redis").stop();
    // More than the worker holds: then it no longer polls.
    flood(&deployment.topic, 200_000, |number| (Some((number % 3) as i32), "k".to_owned(), line(number + 1)));
    running.await_red("redis is not reachable");
    let kafka = Kafka::shared().admin().inner();
    let group = format!("{}.group", deployment.topic);
    eventually(START, "the worker to be put out of its group", || {
        let found = kafka.fetch_group_list(Some(&group), START).ok()?;
        found.groups().iter().all(|group| group.members().is_empty()).then_some(())
    });
    assert!(!running.is_ready(), "ready, and out of its group");
    deployment.redis.process().expect("a stopped Redis").cont();
    deployment.await_counted();
    running.await_green();
    assert_eq!(running.get("/v1/tenants/acme/stats").json()["allTime"]["requests"], 200_001);
}

#[test]
fn kafka_stands_still() {
    let mut kafka = Kafka::start();
    let deployment = Deployment::new(2);
    kafka.create_topic(&deployment.topic, 2, &[]);
    let deployment = deployment.set("INDELIBLE_KAFKA_BROKERS", &kafka.bootstrap());
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.send(&deployment);
    rounds.check(&running);
    kafka.process().expect("a running Kafka").stop();
    running.await_red("kafka");
    // The client may not find back by itself, so there is another one.
    let sessions = || running.metric("indelible_sessions_total");
    eventually(START, "another session", || (sessions() >= Some(2.0)).then_some(()));
    assert!(running.is_live());
    kafka.process().expect("a stopped Kafka").cont();
    running.await_green();
    rounds.send(&deployment);
    rounds.check(&running);
}

/// A spare worker has nothing to do, and does it well; one that was put out of its group has nothing to say.
#[test]
fn a_worker_without_partitions() {
    let deployment = Deployment::new(1);
    let first = deployment.serve();
    let spare = Program::launch(&deployment.env());
    spare.await_green();
    let has = |running: &Running| running.metric("indelible_assigned_partitions");
    assert_eq!([has(&first), has(&spare)].iter().filter(|has| **has == Some(1.0)).count(), 1);
}

#[test]
fn scripts_that_redis_forgets_are_no_cause() {
    let deployment = Deployment::new(2);
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.flow(&deployment, || {
        for _ in 0..3 {
            rounds.await_progress(&running);
            deployment.redis.ask::<()>("SCRIPT", &["FLUSH"]);
            assert!(running.is_ready());
        }
        rounds.await_progress(&running);
    });
    rounds.check(&running);
}

/// The process is asked again and again while all is well.
#[test]
fn a_worker_that_counts_is_always_ready() {
    let deployment = Deployment::new(3);
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.flow(&deployment, || {
        for _ in 0..20 {
            assert!(running.is_ready(), "{}", running.ops("/readyz").body);
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    rounds.check(&running);
}
