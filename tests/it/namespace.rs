//! Whose a namespace is, and which namespaces and servers are refused, by name.

use std::collections::BTreeSet;

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::Month;
use indelible::domain::delta::Scope;
use indelible::domain::ids::TenantId;
use indelible::domain::position::{Position, TopicPartition};
use indelible::store::keys::{Keyspace, watermark_field};
use indelible::store::redis_ledger::RedisLedger;
use indelible::store::redis_reader::RedisReader;
use indelible::store::{Ledger, Prepared, Reader, Retention, StoreError, Unfit};

use crate::script_conformance::link;
use crate::support::redis::Redis;

const RETENTION: Retention = Retention { seen_ms: 86_400_000, tombstones_ms: 86_400_000 };

fn ledger(redis: &Redis, group: &str) -> RedisLedger {
    RedisLedger::new(link(redis), Keyspace::new("n"), RETENTION, group)
}

fn from(groups: &[&str]) -> Result<Prepared, StoreError> {
    Ok(Prepared { taken_from: groups.iter().map(|group| (*group).to_owned()).collect::<BTreeSet<_>>() })
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, StoreError>, name: &str) {
    match answer {
        Err(StoreError::Unfit(unfit)) => assert_eq!(unfit.name(), name),
        other => panic!("{other:?}, expected {name}"),
    }
}

#[tokio::test]
async fn a_namespace_belongs_to_one_group_until_another_one_takes_it_over() {
    let redis = Redis::start();
    let (one, other) = (ledger(&redis, "one"), ledger(&redis, "other"));
    assert_eq!(one.prepare().await, from(&[]));
    assert_eq!(one.prepare().await, from(&[]), "and takes it again");
    refused(other.prepare().await, "group_mismatch");
    refused(other.check().await, "group_mismatch");

    let taking = ledger(&redis, "other").taking_over(true);
    assert_eq!(taking.prepare().await, from(&["one"]));
    assert_eq!(other.prepare().await, from(&[]));
    refused(one.check().await, "group_mismatch");

    // It is told once, and does not take it back by itself for ever.
    assert_eq!(ledger(&redis, "one").taking_over(true).prepare().await, from(&["other"]));
    refused(taking.prepare().await, "group_mismatch");
}

#[tokio::test]
async fn a_take_over_that_was_interrupted_is_refused_to_both_and_ended_by_another_one() {
    let redis = Redis::start();
    let keys = Keyspace::new("n");
    assert_eq!(ledger(&redis, "one").prepare().await, from(&[]));
    for bucket in Bucket::all().skip(30) {
        redis.ask::<()>("HSET", &[&keys.state(bucket), "group", "other"]);
    }
    refused(ledger(&redis, "one").prepare().await, "group_mismatch");
    refused(ledger(&redis, "other").prepare().await, "group_mismatch");
    assert_eq!(ledger(&redis, "other").taking_over(true).prepare().await, from(&["one"]));
    assert_eq!(ledger(&redis, "other").prepare().await, from(&[]));
}

#[tokio::test]
async fn another_layout_or_number_of_buckets_is_refused_by_name_also_to_who_takes_over() {
    for (field, name) in [("layout", "layout_mismatch"), ("buckets", "bucket_mismatch")] {
        let redis = Redis::start();
        let state = Keyspace::new("n").state(Bucket::all().last().expect("64"));
        redis.ask::<()>("HSET", &[&state, field, "7"]);
        refused(ledger(&redis, "one").prepare().await, name);
        refused(ledger(&redis, "one").taking_over(true).prepare().await, name);
        assert_eq!(redis.ask::<Vec<String>>("HVALS", &[&state]), ["7"], "it is left as it was");
    }
}

#[tokio::test]
async fn a_server_that_may_evict_is_refused() {
    let redis = Redis::start_with(&["--maxmemory-policy", "allkeys-lru"]);
    let ledger = ledger(&redis, "one");
    let evicts = Err(Unfit::Eviction { policy: "allkeys-lru".to_owned() }.into());
    assert_eq!(ledger.prepare().await, evicts);
    assert_eq!(ledger.check().await.map(drop), evicts.map(drop));
}

/// The problem with `acme`'s stats, and with the store as a whole.
async fn asked(redis: &Redis) -> [Option<&'static str>; 2] {
    let reader = RedisReader::new(link(redis), Keyspace::new("n"), &["t".to_owned()]);
    let scope = Scope { tenant: TenantId::new("acme").expect("an id"), user: None };
    let month: Month = "2026-11".parse().expect("a month");
    let usage = reader.usage(&scope, month).await.err().map(|error| error.kind());
    [usage, reader.ping().await.err().map(|error| error.kind())]
}

#[tokio::test]
async fn the_api_has_no_zeros_for_a_namespace_in_which_nothing_is_counted() {
    let redis = Redis::start();
    let not_counting = [Some("not_counting"); 2];
    assert_eq!(asked(&redis).await, not_counting);
    ledger(&redis, "one").prepare().await.expect("an empty namespace");
    assert_eq!(asked(&redis).await, not_counting, "a worker that has found everything lost has prepared it, too");
    for bucket in Bucket::all() {
        let field = watermark_field(&TopicPartition::new("t", 0));
        redis.ask::<()>("HSET", &[&Keyspace::new("n").state(bucket), &field, &Position::START.to_string()]);
    }
    assert_eq!(asked(&redis).await, [None; 2]);

    let own = Keyspace::new("n").state(Bucket::of(&TenantId::new("acme").expect("an id")));
    redis.ask::<()>("HSET", &[&own, "layout", "7"]);
    assert_eq!(asked(&redis).await, [Some("unfit"), None]);
    redis.ask::<()>("DEL", &[&own]);
    assert_eq!(asked(&redis).await, [Some("not_counting"), None]);
}
