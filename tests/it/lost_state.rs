//! State that was lost, in Redis or in Kafka: the program ends, names what happened, and gives no wrong sum; the
//! operator's command brings it back, and what was accepted is told from then on.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::executor::block_on;
use indelible::domain::bucket::Bucket;
use indelible::domain::ids::TenantId;
use indelible::store::keys::{Keyspace, tag};
use rdkafka::Offset;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;
use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::kafka::Kafka;
use crate::support::program::{Program, Running, fetch};
use crate::support::rounds::Rounds;
use crate::support::wait::{START, eventually};

/// Events in a round, all of them in the one partition where there is one.
const ROUND: i64 = 36;

/// Counts one round, and ends in order.
fn counted(partitions: i32) -> (Deployment, Rounds) {
    let (deployment, rounds) = (Deployment::new(partitions), Rounds::default());
    let mut running = deployment.serve();
    rounds.send(&deployment);
    rounds.check(&running);
    ends(&mut running);
    (deployment, rounds)
}

#[track_caller]
fn ends(running: &mut Running) {
    running.child.terminate();
    assert!(running.child.wait(START).success());
}

/// It ends by itself, not well, and says both.
#[track_caller]
fn dies(running: &mut Running, name: &str, sentence: &str) {
    let status = running.child.wait(START);
    let output = running.child.output();
    assert!(!status.success(), "{output}");
    assert!(output.contains(&format!("failure=\"{name}\"")) && output.contains(sentence), "{output}");
}

#[track_caller]
fn dies_at_start(deployment: &Deployment, name: &str, sentence: &str) {
    dies(&mut Program::launch(&deployment.env()), name, sentence);
}

/// `indelible offsets …`: whether it ended well, and what it printed.
fn offsets(deployment: &Deployment, args: &[&str]) -> (bool, String) {
    let output = Program::run(&[&["offsets"], args].concat(), &deployment.env(), "");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(printed).expect("text"))
}

#[track_caller]
fn done(deployment: &Deployment, args: &[&str], says: &str) {
    let (well, printed) = offsets(deployment, args);
    assert!(well && printed.contains(says), "{printed}");
}

#[track_caller]
fn refused(deployment: &Deployment, args: &[&str], says: &str) {
    let (well, printed) = offsets(deployment, args);
    assert!(!well && printed.contains(says), "{printed}");
}

/// What `show --json` says of the one partition.
#[track_caller]
fn shown(deployment: &Deployment) -> Value {
    let output = Program::run(&["offsets", "show", "--json"], &deployment.env(), "");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    shown["partitions"][0].clone()
}

fn argument(deployment: &Deployment) -> String {
    format!("{}:0", deployment.topic)
}

/// A process that only answers, from what the others have left.
#[track_caller]
fn alone(deployment: &Deployment) -> Running {
    let running = Program::launch(&[&deployment.env()[..], &[("INDELIBLE_ROLE", "api")]].concat());
    eventually(START, "the API to listen", || fetch(&format!("{}/version", running.api_url()), &[]).ok());
    running
}

#[track_caller]
fn refuses_to_answer(running: &Running) {
    let answer = running.get("/v1/tenants/tenant0/users/user0/stats");
    let problem = &answer.json()["type"];
    assert_eq!((answer.status, problem), (503, &json!("urn:indelible:problem:not-counting")));
    assert_eq!(answer.header("retry-after"), "5");
}

/// Nor is it ready.
#[track_caller]
fn has_no_number(deployment: &Deployment) {
    let running = alone(deployment);
    running.await_red("holds no watermark");
    refuses_to_answer(&running);
}

/// The gaps of an answer, without the times.
#[track_caller]
fn gaps(running: &Running) -> Vec<(i64, i64, String)> {
    let stats = running.get("/v1/tenants/tenant0/users/user0/stats").json();
    let gaps = stats["gaps"].as_array().cloned().unwrap_or_default();
    let number = |gap: &Value, name: &str| gap[name].as_i64().expect("an offset");
    let kind = |gap: &Value| gap["kind"].as_str().expect("a kind").to_owned();
    gaps.iter().map(|gap| (number(gap, "from"), number(gap, "to"), kind(gap))).collect()
}

fn delete_before(deployment: &Deployment, offset: Offset) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&deployment.topic, 0, offset).expect("an offset");
    block_on(Kafka::shared().admin().delete_records(&list, &AdminOptions::new())).expect("the records are deleted");
}

fn create_again(deployment: &Deployment) {
    let kafka = Kafka::shared();
    let topic = deployment.topic.as_str();
    block_on(kafka.admin().delete_topics(&[topic], &AdminOptions::new())).expect("the topic is deleted");
    let asker: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap())
        .create()
        .expect("a consumer that only asks");
    eventually(START, "the topic to be gone", || {
        let found = asker.fetch_metadata(None, Duration::from_secs(10)).expect("the broker answers");
        (!found.topics().iter().any(|found| found.name() == topic)).then_some(())
    });
    kafka.create_topic(topic, deployment.partitions, &[]);
}

fn states(deployment: &Deployment) -> Vec<String> {
    deployment.redis.ask("KEYS", &["indelible:*:state"])
}

#[test]
fn a_redis_that_is_empty_after_a_stop_is_counted_again_from_the_log() {
    let (deployment, rounds) = counted(1);
    deployment.redis.ask::<()>("FLUSHALL", &[]);
    has_no_number(&deployment);
    let name = argument(&deployment);
    let sentence = format!("redis holds no watermark of {name} in 64 of 64 buckets, yet the group has committed");
    dies_at_start(&deployment, "state_lost", &sentence);
    // The worker has made the namespace its own again, and there is still nothing in it.
    has_no_number(&deployment);
    refused(&deployment, &["show"], "state_lost");
    refused(&deployment, &["accept-gap", &name], "`indelible offsets bootstrap`");

    done(&deployment, &["bootstrap", "--dry-run"], &format!("{name}: 64 of 64 buckets would start at offset 0"));
    refused(&deployment, &["show"], "state_lost");
    done(&deployment, &["bootstrap"], &format!("{name}: 64 of 64 buckets start at offset 0"));
    done(&deployment, &["show"], "ok");
    done(&deployment, &["bootstrap"], "there is nothing to do");
    let running = deployment.serve();
    rounds.check(&running);
    rounds.send(&deployment);
    rounds.check(&running);
    assert_eq!(gaps(&running), []);
}

#[test]
fn a_redis_that_is_empty_over_a_log_of_some_age_is_counted_from_where_that_begins() {
    let (deployment, rounds) = counted(1);
    delete_before(&deployment, Offset::End);
    rounds.send(&deployment);
    deployment.redis.ask::<()>("FLUSHALL", &[]);
    dies_at_start(&deployment, "state_lost", "yet the group has committed");
    done(&deployment, &["bootstrap"], &format!("0..{ROUND} is gone from the log, and recorded as a gap"));
    let running = deployment.serve();
    rounds.check_without(&running, &[1]);
    assert_eq!(gaps(&running), [(0, ROUND, "before_start".to_owned())]);
    let gap = &shown(&deployment)["gaps"][0];
    assert_eq!(json!([gap["from"], gap["to"], gap["kind"], gap["buckets"]]), json!([0, ROUND, "before_start", 64]));
}

#[test]
fn a_new_namespace_on_a_log_of_some_age_is_counted_from_where_that_begins() {
    let (deployment, rounds) = (Deployment::new(1), Rounds::default());
    rounds.send(&deployment);
    delete_before(&deployment, Offset::End);
    rounds.send(&deployment);
    dies_at_start(&deployment, "state_lost", "yet the log starts at offset 36, not at 0");
    done(&deployment, &["bootstrap"], "64 buckets start at offset 36");
    let running = deployment.serve();
    rounds.check_without(&running, &[1]);
}

/// Not lost: what came after the backup is in the log, and whatever the group has committed says nothing of Redis.
#[test]
fn a_redis_put_back_from_a_backup_catches_up() {
    let (mut deployment, rounds) = (Deployment::new(2), Rounds::default());
    let mut running = deployment.serve();
    rounds.send(&deployment);
    rounds.check(&running);
    // Before the first start of a partition there is nothing to go back to.
    deployment.await_counted();
    deployment.redis.ask::<()>("SAVE", &[]);
    rounds.send(&deployment);
    rounds.check(&running);
    deployment.await_counted();
    running.child.terminate();
    assert!(running.child.wait(START).success());
    // Without a file of its own it starts with the backup.
    deployment.redis.restart();
    let running = deployment.serve();
    rounds.send(&deployment);
    rounds.check(&running);
}

#[test]
fn a_redis_that_loses_all_while_running() {
    let (deployment, rounds) = (Deployment::new(2), Rounds::default());
    let mut running = deployment.serve();
    rounds.flow(&deployment, || {
        let assigned = || running.metric("indelible_assigned_partitions") == Some(2.0);
        eventually(START, "an assignment", || assigned().then_some(()));
        rounds.await_progress(&running);
        rounds.await_progress(&running);
        deployment.redis.ask::<()>("FLUSHALL", &[]);
        dies(&mut running, "state_lost", "state was lost");
    });
    // Nor does it take up again by itself.
    dies_at_start(&deployment, "state_lost", "state was lost");
    has_no_number(&deployment);
    done(&deployment, &["bootstrap"], "64 buckets start at offset 0");
    rounds.check(&deployment.serve());
}

/// One bucket with counters is lost, alone or with its counters: it alone is counted again.
#[track_caller]
fn one_bucket_is_lost(with_counters: bool) {
    let (deployment, rounds) = counted(2);
    let bucket = Bucket::of(&TenantId::new("tenant0").expect("an id"));
    let keyspace = Keyspace::new("indelible");
    let lost: Vec<String> = if with_counters {
        deployment.redis.ask("KEYS", &[&keyspace.pattern(bucket)])
    } else {
        vec![keyspace.state(bucket)]
    };
    deployment.redis.ask::<()>("DEL", &lost.iter().map(String::as_str).collect::<Vec<_>>());
    refuses_to_answer(&alone(&deployment));
    dies_at_start(&deployment, "state_lost", "in 1 of 64 buckets, yet another bucket stands at offset");
    if !with_counters {
        let discards = format!("indelible offsets bootstrap --discard-bucket {}", tag(bucket));
        refused(&deployment, &["bootstrap"], &discards);
        refused(&deployment, &["bootstrap", "--discard-bucket", "00dq"], "has its watermarks");
        done(&deployment, &["bootstrap", "--discard-bucket", tag(bucket)], "1 of 64 buckets start at offset 0");
    } else {
        done(&deployment, &["bootstrap"], "1 of 64 buckets start at offset 0");
    }
    rounds.send(&deployment);
    let running = deployment.serve();
    rounds.check(&running);
    // The others have stayed where they were: none of their events came to Redis again.
    assert_eq!(running.metric("indelible_records_total{outcome=\"repeated\"}"), Some(0.0));
    assert!(running.metric("indelible_records_total{outcome=\"passed\"}") > Some(0.0));
    assert_eq!(gaps(&running), []);
}

#[test]
fn one_bucket_that_is_lost_is_counted_again_and_no_other() {
    one_bucket_is_lost(true);
}

#[test]
fn counters_without_their_watermarks_are_not_counted_into_before_they_are_removed() {
    one_bucket_is_lost(false);
}

#[test]
fn a_topic_made_again_goes_on_from_its_start_when_told_to() {
    let (deployment, rounds) = counted(1);
    create_again(&deployment);
    dies_at_start(&deployment, "log_changed", "it ends at offset 0, and 36 was to be counted next");
    let name = argument(&deployment);
    refused(&deployment, &["show"], "log_changed");
    refused(&deployment, &["accept-gap", &name], "--resume-at start");
    refused(&deployment, &["bootstrap", "--discard-bucket", "33h"], "has its watermarks");
    let resumed = format!("{name}: the log was replaced. It is accepted that it was counted up to 36");
    done(&deployment, &["accept-gap", &name, "--resume-at", "start"], &resumed);
    refused(&deployment, &["accept-gap", &name, "--resume-at", "start"], "there is no gap in the log of");
    rounds.send(&deployment);
    let running = deployment.serve();
    rounds.check(&running);
    assert_eq!(gaps(&running), [(ROUND, 0, "replaced".to_owned())]);
    let shown = shown(&deployment);
    assert_eq!(json!([shown["gaps"][0]["kind"], shown["gaps"][0]["buckets"]]), json!(["replaced", 64]));
}

#[test]
fn a_topic_with_other_records_goes_on_from_its_end_when_told_to() {
    let (deployment, rounds) = counted(1);
    create_again(&deployment);
    // As many, and then more, at the same offsets.
    rounds.send(&deployment);
    dies_at_start(&deployment, "log_changed", "differs from the one that the watermark names");
    rounds.send(&deployment);
    dies_at_start(&deployment, "log_changed", "differs from the one that the watermark names");
    assert_eq!(shown(&deployment)["failure"], "log_changed");
    done(&deployment, &["accept-gap", &argument(&deployment), "--resume-at", "end"], "counting goes on at 72");
    rounds.send(&deployment);
    let running = deployment.serve();
    rounds.check_without(&running, &[2, 3]);
    assert_eq!(gaps(&running), [(ROUND, 2 * ROUND, "replaced".to_owned())]);
}

#[test]
fn a_move_to_another_log_that_was_interrupted_keeps_workers_out_and_is_ended_by_the_same_command() {
    let (deployment, rounds) = counted(1);
    create_again(&deployment);
    rounds.send(&deployment);
    // What a crash after the first 20 buckets leaves behind.
    let (watermark, resume) = (format!("watermark:{}/0", deployment.topic), format!("resume:{}/0", deployment.topic));
    for state in states(&deployment).iter().take(20) {
        deployment.redis.ask::<()>("HDEL", &[state, &watermark]);
        deployment.redis.ask::<()>("HSET", &[state, &resume, "0 - -"]);
    }
    let name = argument(&deployment);
    dies_at_start(&deployment, "accept_gap_unfinished", &format!("indelible offsets accept-gap {name}"));
    refused(&deployment, &["show"], "accept_gap_unfinished");
    done(&deployment, &["accept-gap", &name], "");
    assert_eq!(shown(&deployment)["startsAt"], 0);
    let left: BTreeSet<bool> =
        states(&deployment).iter().map(|state| deployment.redis.ask("HEXISTS", &[state, &resume])).collect();
    assert_eq!(left, BTreeSet::from([false]));
    rounds.check(&deployment.serve());
}

#[test]
fn a_topic_made_again_while_running() {
    let (deployment, rounds) = (Deployment::new(1), Rounds::default());
    let mut running = deployment.serve();
    rounds.send(&deployment);
    rounds.check(&running);
    create_again(&deployment);
    rounds.send(&deployment);
    rounds.send(&deployment);
    dies(&mut running, "log_changed", "is not the one that was counted");
}

#[test]
fn retention_that_stops_at_the_watermark_and_one_that_goes_beyond() {
    let (deployment, rounds) = counted(1);
    delete_before(&deployment, Offset::End);
    let mut running = deployment.serve();
    rounds.send(&deployment);
    rounds.check(&running);
    ends(&mut running);
    refused(&deployment, &["accept-gap", &argument(&deployment)], "there is no gap in the log of");

    rounds.send(&deployment);
    delete_before(&deployment, Offset::End);
    dies_at_start(&deployment, "log_gap", "the next record to count is at offset 72, but the log begins at 108");
    // What was counted is still there, and is no more than was counted.
    let running = alone(&deployment);
    eventually(START, "the API to be ready", || running.is_ready().then_some(()));
    let stats = running.get("/v1/tenants/tenant0/users/user0/stats").json();
    assert_eq!(stats["allTime"]["requests"], 2);
    drop(running);

    let name = argument(&deployment);
    let records = format!("{name}: the records 72..108 were deleted before they were counted: that");
    refused(&deployment, &["accept-gap", "no.such.topic:0"], "is no partition of INDELIBLE_KAFKA_TOPICS");
    done(&deployment, &["accept-gap", &name, "--dry-run"], &format!("{records} would be accepted"));
    refused(&deployment, &["show"], "log_gap");
    done(&deployment, &["accept-gap", &name], &format!("{records} is accepted"));
    done(&deployment, &["show"], "accepted gap 72..108 (deleted)");
    rounds.send(&deployment);
    let running = deployment.serve();
    rounds.check_without(&running, &[3]);
    assert_eq!(gaps(&running), [(72, 108, "deleted".to_owned())]);
}

#[test]
fn a_namespace_is_taken_over_by_another_group_while_the_first_still_runs() {
    let (deployment, rounds) = (Deployment::new(2), Rounds::default());
    let mut first = deployment.serve();
    rounds.send(&deployment);
    rounds.check(&first);
    let group = format!("{}.second", deployment.topic);
    let second = |more: &[(&'static str, &'static str)]| {
        let mut env = deployment.env();
        env.retain(|(name, _)| *name != "INDELIBLE_KAFKA_GROUP");
        Program::launch(&[&env[..], &[("INDELIBLE_KAFKA_GROUP", group.as_str())], more].concat())
    };
    dies(&mut second(&[]), "group_mismatch", "start once with `indelible serve --takeover`");
    rounds.flow(&deployment, || {
        let mut taking = second(&[("INDELIBLE_TAKEOVER", "true")]);
        dies(&mut first, "group_mismatch", "counts into this namespace");
        assert!(taking.child.output().contains("took the namespace over"), "{}", taking.child.output());
        taking.await_green();
        rounds.await_progress(&taking);
        ends(&mut taking);
    });
    // It is not told again.
    let running = second(&[]);
    running.await_green();
    rounds.check(&running);
}
