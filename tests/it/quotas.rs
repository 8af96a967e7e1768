//! Quotas as a real Redis keeps them: what was used and assigned, through the script, as the API reads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use chrono::{DateTime, Utc};
use indelible::api::{ApiState, router};
use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::TimeMs;
use indelible::domain::delta::Scope;
use indelible::domain::event::{Assigned, Body as What, Event, ToolCalls, Usage};
use indelible::domain::ids::{Assistant, EventId, Model, PlanName, Source, TenantId, UserId};
use indelible::domain::money::NanoDollars;
use indelible::domain::position::TopicPartition;
use indelible::domain::quota::{Grant, Spent};
use indelible::ops::metrics::Metrics;
use indelible::pricing::Table;
use indelible::quota::file;
use indelible::store::keys::Keyspace;
use indelible::store::redis_ledger::RedisLedger;
use indelible::store::redis_reader::RedisReader;
use indelible::store::{Caps, Ledger, Outcome, Reader, Retention, StoreError};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::api::Writer;
use crate::made::{DAY_MS, Log, Record};
use crate::script_conformance::link;
use crate::support::redis::Redis;

pub(crate) const RETENTION: Retention = Retention { seen_ms: DAY_MS, tombstones_ms: 60 * DAY_MS };
/// The only topic.
pub(crate) const TOPIC: &str = "usage";
/// Events in a call.
const SPAN: usize = 1000;

/// One request of so many tokens and nano-dollars.
pub(crate) fn used(id: &str, (tenant, user): (&str, &str), time: DateTime<Utc>, tokens: i64, nanos: i64) -> Event {
    let usage = Usage {
        assistant: Assistant::new("chat").expect("an id"),
        provider: None,
        model: Model::new("m").expect("an id"),
        tokens_in: tokens,
        tokens_out: 0,
        cached_tokens: 0,
        cache_write_tokens: 0,
        reasoning_tokens: 0,
        cost: Some(NanoDollars(nanos)),
        latency_ms: None,
        tools: ToolCalls::new(),
        output: None,
    };
    event(id, (tenant, Some(user)), time, What::Usage(usage))
}

/// A plan that is given from `time` on.
pub(crate) fn assigned(id: &str, whose: (&str, Option<&str>), time: DateTime<Utc>, plan: &str) -> Event {
    let grant = Grant::Plan(PlanName::new(plan).expect("a name"));
    event(id, whose, time, What::QuotaAssigned(Assigned { effective: None, grant }))
}

fn event(id: &str, (tenant, user): (&str, Option<&str>), time: DateTime<Utc>, body: What) -> Event {
    Event {
        id: EventId::new(id).expect("an id"),
        source: Source::new("s").expect("an id"),
        time,
        tenant: TenantId::new(tenant).expect("an id"),
        user: user.map(|user| UserId::new(user).expect("an id")),
        body,
    }
}

/// Counts events that were never counted, each bucket's in a partition of its own; returns the logs, to go on with.
pub(crate) async fn count(ledger: &RedisLedger, logs: &mut BTreeMap<Bucket, Log>, events: Vec<Event>) {
    let mut firsts = BTreeMap::new();
    for event in events {
        let partition = TopicPartition::new(TOPIC, 0);
        let bucket = Bucket::of(&event.tenant);
        let log = logs.entry(bucket).or_insert(Log { partition, partitions: 1, records: Vec::new() });
        firsts.entry(bucket).or_insert(log.records.len());
        log.records.push(Record { at: TimeMs(1_800_000_000_000), event });
    }
    for (bucket, mut first) in firsts {
        let log = &logs[&bucket];
        while first < log.records.len() {
            let next = log.records.len().min(first + SPAN);
            let from = (first > 0).then(|| log.position(first));
            let flush = log.flush(bucket, from, next, &log.offsets(bucket, first, next));
            let outcome = ledger.apply(&flush).await.expect("an answer");
            assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
            first = next;
        }
    }
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn scope(tenant: &str, user: Option<&str>) -> Scope {
    let user = user.map(|user| UserId::new(user).expect("an id"));
    Scope { tenant: TenantId::new(tenant).expect("an id"), user }
}

const PLANS: &str = r#"
default = "free"
[plans.free.user]
tokens = { soft = 1000, hard = 1500 }
grace = "72h"
[plans.pro.user]
tokens = { soft = 4000, hard = 5000 }
[plans.pro.tenant]
cost = { hard = "200" }
"#;

struct World {
    redis: Redis,
    ledger: RedisLedger,
    reader: RedisReader,
    logs: BTreeMap<Bucket, Log>,
}

impl World {
    async fn new(caps: Caps) -> Self {
        let redis = Redis::start();
        let (link, keys) = (link(&redis), Keyspace::new("n"));
        let ledger = RedisLedger::new(link.clone(), keys.clone(), RETENTION, "g").with_caps(caps);
        ledger.prepare().await.expect("an empty namespace becomes ours");
        let reader = RedisReader::new(link, keys, &[TOPIC.to_owned()]);
        Self { redis, ledger, reader, logs: BTreeMap::new() }
    }

    async fn count(&mut self, events: impl IntoIterator<Item = Event>) {
        count(&self.ledger, &mut self.logs, events.into_iter().collect()).await;
    }

    fn api(&self, now: fn() -> DateTime<Utc>) -> Router {
        let state = ApiState {
            reader: Arc::new(self.reader.clone()),
            assigner: Arc::new(Writer::into(&Arc::default())),
            plans: Arc::new(ArcSwap::from_pointee(file::read(PLANS, 1).expect("no fault"))),
            prices: Arc::new(ArcSwap::from_pointee(Table::builtin())),
            metrics: Arc::new(Metrics::new(&[]).expect("metrics")),
            now,
        };
        router(state, crate::api::open_door())
    }
}

async fn get(api: &Router, path: &str) -> Value {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let body = api.clone().oneshot(request).await.expect("never fails").into_body();
    serde_json::from_slice(&to_bytes(body, usize::MAX).await.expect("a body")).expect("JSON")
}

#[tokio::test]
async fn what_decides_is_what_was_counted() {
    let mut world = World::new(Caps::STANDARD).await;
    let alice = ("acme", "alice");
    world
        .count([
            used("1", alice, time("2026-10-31T23:59:59.999Z"), 7, 70),
            used("2", alice, time("2026-11-01T00:00:00Z"), 100, 1),
            used("3", ("acme", "bob"), time("2026-11-01T12:00:00Z"), 1000, 2),
            assigned("4", ("acme", None), time("2026-11-10T00:00:00Z"), "pro"),
            used("5", alice, time("2026-11-30T23:59:59.999Z"), 10, 4),
            used("6", ("globex", "alice"), time("2026-11-05T00:00:00Z"), 5, 5),
            assigned("7", ("acme", Some("alice")), time("2026-11-20T00:00:00Z"), "free"),
        ])
        .await;
    let days = |all: &[(u32, i64, i64)]| -> BTreeMap<u32, Spent> {
        all.iter().map(|(day, tokens, cost)| (*day, Spent { tokens: *tokens, cost: *cost })).collect()
    };
    let month = "2026-11".parse().expect("a month");
    let quota = async |user| world.reader.quota(&scope("acme", user), month).await.expect("an answer");
    let (of_tenant, of_alice, of_nobody) = (quota(None).await, quota(Some("alice")).await, quota(Some("nobody")).await);
    assert_eq!(of_tenant.days.tenant, days(&[(1, 1100, 3), (30, 10, 4)]));
    assert_eq!(of_tenant.days.user, days(&[]));
    assert_eq!((&of_alice.days.tenant, &of_nobody.days.tenant), (&of_tenant.days.tenant, &of_tenant.days.tenant));
    assert_eq!(of_alice.days.user, days(&[(1, 100, 1), (30, 10, 4)]));
    assert_eq!(of_nobody.days.user, days(&[]));
    assert_eq!(of_alice.freshness.as_of, Some(TimeMs(1_800_000_000_000)));
    let ids = |assignments: &indelible::domain::quota::Assignments| -> Vec<String> {
        assignments.iter().map(|assignment| assignment.id.to_string()).collect()
    };
    assert_eq!(
        (ids(&of_alice.assigned.tenant), ids(&of_alice.assigned.user)),
        (vec!["4".to_owned()], vec!["7".to_owned()])
    );
    assert_eq!((ids(&of_tenant.assigned.tenant), ids(&of_tenant.assigned.user)), (vec!["4".to_owned()], vec![]));
    // The same beside all else that is known of a user.
    let usage = world.reader.usage(&scope("acme", Some("alice")), month).await.expect("an answer");
    assert_eq!((&usage.days, &usage.assigned), (&of_alice.days.user, &of_alice.assigned));
}

#[tokio::test]
async fn a_question_is_one_round_trip_and_so_are_stats() {
    let mut world = World::new(Caps::STANDARD).await;
    let now = time("2026-11-24T00:00:00Z");
    world.count([assigned("1", ("acme", Some("alice")), now, "pro"), used("2", ("acme", "alice"), now, 1, 1)]).await;
    let alice = scope("acme", Some("alice"));
    let month = "2026-11".parse().expect("a month");
    // Each call is small enough to be read by Redis at once.
    let mut watcher = world.redis.connection();
    let mut reads = move || -> usize {
        let info: String = redis::cmd("INFO").arg("stats").query(&mut watcher).expect("an answer");
        let reads = info.lines().find_map(|line| line.strip_prefix("total_reads_processed:")).expect("a field");
        reads.trim().parse().expect("a number")
    };
    // The reader's connection is made by the first call.
    world.reader.quota(&alice, month).await.expect("an answer");
    let before = reads();
    for _ in 0..20 {
        world.reader.quota(&alice, month).await.expect("an answer");
    }
    let after = reads();
    assert_eq!(after - before, 20 + 1, "and the question about it");
    for _ in 0..20 {
        world.reader.usage(&alice, month).await.expect("an answer");
    }
    assert_eq!(reads() - after, 20 + 1 + 1, "once more for the first, which does not know what months there are");
}

#[tokio::test]
async fn users_without_room_are_refused_and_the_tenant_is_not() {
    let mut world = World::new(Caps { tenant_users: 1, ..Caps::STANDARD }).await;
    let now = time("2026-11-24T00:00:00Z");
    world.count([used("1", ("acme", "alice"), now, 1, 1), used("2", ("acme", "bob"), now, 2, 2)]).await;
    let month = "2026-11".parse().expect("a month");
    let bob = world.reader.quota(&scope("acme", Some("bob")), month).await;
    assert!(matches!(bob, Err(StoreError::Crowded { .. })), "{bob:?}");
    let tenant = world.reader.quota(&scope("acme", None), month).await.expect("an answer");
    assert_eq!(tenant.days.tenant[&24], Spent { tokens: 3, cost: 3 });
    let api = world.api(|| time("2026-11-24T18:00:00Z"));
    assert_eq!(get(&api, "/v1/tenants/acme/users/bob/allow").await["type"], "urn:indelible:problem:user-in-crowd");
    assert_eq!(get(&api, "/v1/tenants/acme/users/alice/allow").await["allowed"], true);
}

#[tokio::test]
async fn a_changed_quota_holds_at_once_and_a_months_first_instant_begins_anew() {
    let mut world = World::new(Caps::STANDARD).await;
    let (alice, allow) = (("acme", "alice"), "/v1/tenants/acme/users/alice/allow");
    let decided = async |api: &Router| {
        let answer = get(api, allow).await;
        (answer["allowed"].clone(), answer["state"].clone(), answer["remainingTokens"].clone())
    };
    let now = || time("2026-11-24T18:00:00Z");
    world.count([used("1", alice, time("2026-11-23T00:00:00Z"), 1500, 0)]).await;
    assert_eq!(decided(&world.api(now)).await, (json!(false), json!("blocked"), json!(0)));
    world.count([assigned("2", ("acme", None), time("2026-11-24T17:00:00Z"), "pro")]).await;
    assert_eq!(decided(&world.api(now)).await, (json!(true), json!("within"), json!(3500)));
    world.count([assigned("3", ("acme", Some("alice")), time("2026-11-24T17:30:00Z"), "free")]).await;
    assert_eq!(decided(&world.api(now)).await, (json!(false), json!("blocked"), json!(0)));
    // One that comes late is no more than one of the past.
    world.count([assigned("4", ("acme", Some("alice")), time("2026-11-24T16:00:00Z"), "pro")]).await;
    assert_eq!(decided(&world.api(now)).await, (json!(false), json!("blocked"), json!(0)));

    let last = world.api(|| time("2026-11-30T23:59:59.999Z"));
    let first = world.api(|| time("2026-12-01T00:00:00Z"));
    assert_eq!(decided(&last).await.0, json!(false));
    assert_eq!(decided(&first).await, (json!(true), json!("within"), json!(1500)));
    // What comes late for the month before does not move it; what is used now does.
    world.count([used("5", alice, time("2026-11-30T23:59:59.999Z"), 9000, 0)]).await;
    assert_eq!(decided(&first).await, (json!(true), json!("within"), json!(1500)));
    world.count([used("6", alice, time("2026-12-01T00:00:00Z"), 1, 0)]).await;
    assert_eq!(decided(&first).await, (json!(true), json!("within"), json!(1499)));
    // All users of a tenant together.
    world.count([used("7", ("acme", "bob"), time("2026-12-01T00:00:00Z"), 1, 200_000_000_000)]).await;
    let refused = get(&first, allow).await;
    assert_eq!((&refused["allowed"], &refused["retryAt"]), (&json!(false), &json!("2027-01-01T00:00:00.000Z")));
}
