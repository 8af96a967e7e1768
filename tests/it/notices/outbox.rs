//! The outbox in Redis: whatever is asked for twice is done once.

use std::sync::Arc;
use std::time::Duration;

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::TimeMs;
use indelible::store::keys::Keyspace;
use indelible::store::link::{Link, Patience, Target};
use indelible::store::redis_outbox::RedisOutbox;
use indelible::store::{Backlog, Delivery, Outbox, Pending, Sink, StoreError};

use crate::support::redis::Redis;

const TERM: Duration = Duration::from_secs(60);

fn start() -> (Redis, RedisOutbox, Keyspace, Bucket) {
    let redis = Redis::start();
    let patience = Patience { connect: Duration::from_secs(5), response: Duration::from_secs(5) };
    let link = Link::new(Target::parse(&redis.url()).expect("a URL"), patience);
    let keyspace = Keyspace::new("indelible");
    let bucket = Bucket::all().nth(7).expect("64 buckets");
    (redis, RedisOutbox::new(Arc::new(link), keyspace.clone()), keyspace, bucket)
}

fn notice(user: &str) -> Pending {
    let id = format!("acme:{user}:2026-11:tokens:80");
    Pending { event: format!("{{\"id\": \"{id}\"}}"), id, key: format!("acme:{user}") }
}

fn backlog(topic: u64, webhook: u64, due: u64) -> Backlog {
    Backlog { topic, webhook, due }
}

#[tokio::test]
async fn a_reply_that_was_lost_brings_nothing_back() {
    let (redis, outbox, keyspace, bucket) = start();
    let notices = [notice("alice"), notice("bob")];
    for Pending { id, event, .. } in &notices {
        redis.ask::<()>("HSET", &[&keyspace.outbox(bucket), id, event]);
    }
    let at = async |now| outbox.backlog(TimeMs(now)).await.expect("an answer")[bucket.index()];
    assert_eq!(at(0).await, backlog(2, 0, 0));
    let mut pending = outbox.pending(bucket, 10).await.expect("an answer");
    pending.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(pending, notices);
    assert_eq!(outbox.pending(bucket, 1).await.expect("an answer").len(), 1);

    outbox.published(bucket, &notices[..1], Some(TimeMs(500))).await.expect("done");
    assert_eq!((at(499).await, at(500).await), (backlog(1, 1, 0), backlog(1, 1, 1)));
    // The webhook takes it; then the same again, because nobody heard that it was done.
    outbox.settled(bucket, &notices[0].id).await.expect("done");
    outbox.published(bucket, &notices[..1], Some(TimeMs(600))).await.expect("done");
    assert_eq!(at(1000).await, backlog(1, 0, 0));
    // Where there is no webhook it is only taken out.
    outbox.published(bucket, &notices, None).await.expect("done");
    assert_eq!(at(1000).await, backlog(0, 0, 0));
    assert_eq!(redis.ask::<Vec<String>>("KEYS", &["*"]), [""; 0], "nothing is left behind");
}

#[tokio::test]
async fn what_is_due_comes_in_the_order_in_which_it_is() {
    let (redis, outbox, keyspace, bucket) = start();
    for (user, due) in [("alice", 300), ("bob", 100), ("carol", 200)] {
        let notice = notice(user);
        redis.ask::<()>("HSET", &[&keyspace.outbox(bucket), &notice.id, &notice.event]);
        outbox.published(bucket, &[notice], Some(TimeMs(due))).await.expect("done");
    }
    let due = async |now, most| outbox.due(bucket, TimeMs(now), most).await.expect("an answer");
    let new = |user| Delivery { notice: notice(user), first: None, attempts: 0 };
    assert_eq!(due(99, 10).await, []);
    assert_eq!(due(200, 10).await, [new("bob"), new("carol")]);
    assert_eq!(due(1000, 2).await, [new("bob"), new("carol")]);
    let tried = Delivery { first: Some(TimeMs(110)), attempts: 1, ..new("bob") };
    for _ in 0..2 {
        outbox.put_off(bucket, &tried, TimeMs(400)).await.expect("done");
    }
    assert_eq!(due(399, 10).await, [new("carol"), new("alice")]);
    assert_eq!(due(400, 10).await, [new("carol"), new("alice"), tried]);
}

#[tokio::test]
async fn a_lease_is_one_owners_and_ends() {
    let (redis, outbox, keyspace, bucket) = start();
    let lease = async |sink, owner, term| outbox.lease(bucket, sink, owner, term).await.expect("an answer");
    assert!(lease(Sink::Topic, "a", TERM).await);
    assert!(lease(Sink::Topic, "a", TERM).await, "it is theirs already");
    assert!(!lease(Sink::Topic, "b", TERM).await);
    assert!(lease(Sink::Webhook, "b", TERM).await, "another lease");
    let left: i64 = redis.ask("PTTL", &[&keyspace.outbox_lease(bucket)]);
    assert!((1..=60_000).contains(&left), "{left}");
    outbox.release(bucket, Sink::Topic).await.expect("done");
    assert!(lease(Sink::Topic, "b", TERM).await);
}

#[tokio::test]
async fn what_is_no_notice_is_named() {
    let (redis, outbox, keyspace, bucket) = start();
    let named = |error: StoreError, key: &str, what: &str| match error {
        StoreError::Corrupt { key: found, detail } => {
            assert!(found == key && detail.contains(what), "{found} {detail}")
        }
        other => panic!("{other}"),
    };
    let (outbox_key, webhook, due) = (keyspace.outbox(bucket), keyspace.webhook(bucket), keyspace.webhook_due(bucket));
    redis.ask::<()>("HSET", &[&outbox_key, "nonsense", "{}"]);
    named(outbox.pending(bucket, 10).await.expect_err("no notice"), &outbox_key, "nonsense");
    let id = notice("alice").id;
    redis.ask::<()>("ZADD", &[&due, "1", &id]);
    for damaged in ["", "-", "- 0", "x 0 {}", "- x {}", "- -1 {}"] {
        redis.ask::<()>("HSET", &[&webhook, &id, damaged]);
        named(outbox.due(bucket, TimeMs(1), 10).await.expect_err(damaged), &webhook, damaged);
    }
}
