//! The operator's side of the store: changes that are made only to what was looked at, and the keys of one bucket.

use std::sync::Arc;

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::TimeMs;
use indelible::domain::gap::{Gap, GapKind, Gaps};
use indelible::domain::ids::TenantId;
use indelible::domain::position::{Offset, Position, TopicPartition};
use indelible::store::keys::{Keyspace, watermark_field};
use indelible::store::link::{Link, Patience, Target as Server};
use indelible::store::offsets::RedisOffsets;
use indelible::store::{Change, Target};

use crate::script_conformance::link;
use crate::support::redis::Redis;
use crate::support::wait::START;

fn bucket() -> Bucket {
    Bucket::of(&TenantId::new("acme").expect("an id"))
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn at(offset: i64) -> Position {
    Position::accepted(Offset(offset))
}

fn change(from: Option<i64>, to: Target) -> Change {
    let mut gaps = Gaps::default();
    gaps.accept(Gap { from: Offset(0), to: Offset(9), kind: GapKind::Deleted, accepted: TimeMs(5) });
    Change { bucket: bucket(), partition: partition(), from: from.map(at), to, gaps: Some(gaps) }
}

#[tokio::test]
async fn a_change_is_made_only_to_the_watermark_that_was_looked_at() {
    let redis = Redis::start();
    let keys = Keyspace::new("n");
    let offsets = RedisOffsets::new(link(&redis), keys.clone());
    let state = async || {
        let states = offsets.states().await.expect("an answer");
        states[bucket().index()].partitions.get(&partition()).cloned().unwrap_or_default()
    };
    // There is none, and none was seen.
    assert_eq!(offsets.change(&change(Some(3), Target::At(at(9)))).await, Ok(false));
    assert_eq!(redis.ask::<i64>("DBSIZE", &[]), 0);
    assert_eq!(offsets.change(&change(None, Target::At(at(3)))).await, Ok(true));
    assert_eq!((state().await.watermark, state().await.resume), (Some(at(3)), None));

    // A worker has counted in between.
    redis.ask::<()>("HSET", &[&keys.state(bucket()), &watermark_field(&partition()), "4 - -"]);
    for to in [Target::At(at(9)), Target::Parked(at(9))] {
        assert_eq!(offsets.change(&change(Some(3), to)).await, Ok(false));
        assert_eq!((state().await.watermark, state().await.resume), (Some(at(4)), None));
    }
    assert_eq!(offsets.change(&change(Some(4), Target::Parked(at(9)))).await, Ok(true));
    assert_eq!((state().await.watermark, state().await.resume), (None, Some(at(9))));
    assert_eq!(state().await.gaps.to_string(), "0..9 deleted 5");
    let place = Change { gaps: None, ..change(None, Target::At(at(9))) };
    assert_eq!(offsets.change(&place).await, Ok(true));
    assert_eq!((state().await.watermark, state().await.resume), (Some(at(9)), None));
    assert_eq!(state().await.gaps.to_string(), "0..9 deleted 5", "what was accepted stays");
}

#[tokio::test]
async fn the_keys_of_one_bucket_are_found_and_removed_wherever_in_a_cluster_they_are() {
    let cluster = Redis::cluster();
    let hosts: Vec<_> = cluster.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let server = Server::parse(&format!("redis-cluster://{}", hosts.join(",")));
    let patience = Patience { connect: START, response: START };
    let link = Arc::new(Link::new(server.expect("a cluster's form"), patience));
    let keys = Keyspace::new("n");
    let offsets = RedisOffsets::new(Arc::clone(&link), keys.clone());
    let mut put = Vec::new();
    for bucket in Bucket::all() {
        let state = keys.state(bucket);
        for key in [state.clone(), state.replace("state", "months:acme"), state.replace("state", "tombstones")] {
            link.query(redis::cmd("HSET").arg(&key).arg("field").arg(1)).await.expect("a key");
            put.push(key);
        }
    }
    for bucket in Bucket::all() {
        let mut found = offsets.counters(bucket, 100).await.expect("an answer");
        found.sort();
        let state = keys.state(bucket);
        assert_eq!(found, [state.replace("state", "months:acme"), state.replace("state", "tombstones")]);
    }
    let gone = bucket();
    assert_eq!(offsets.discard(gone).await, Ok(2));
    for key in put {
        let left = link.query(redis::cmd("EXISTS").arg(&key)).await.expect("an answer");
        let removed = key.starts_with(keys.pattern(gone).trim_end_matches('*'));
        assert_eq!(left, redis::Value::Int(i64::from(!removed)), "{key}");
    }
}
