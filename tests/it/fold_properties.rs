//! Any batching, any order, any repeats: the fold and the ledger give what a plain sum gives.

use crate::memory::{Content, Entry, MemoryLedger};
use std::collections::BTreeMap;

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::TimeMs;
use indelible::domain::counters::Overflow;
use indelible::domain::delta::{Counted, Delta};
use indelible::domain::event::{Assigned, Body, Event, Output, ToolCalls, Usage};
use indelible::domain::ids::{
    Assistant, EventId, Model, OutputId, OutputKind, PlanName, Source, TenantId, Tool, UserId,
};
use indelible::domain::money::NanoDollars;
use indelible::domain::position::TopicPartition;
use indelible::domain::quota::{Assignments, Grant, Limit, Limits};
use indelible::store::assigned;
use indelible::store::keys::{Keyspace, quota_field};
use indelible::store::{Flush, Ledger, Outcome, Retention};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::made::{DAY_MS, Facts, HOUR_MS, Log, Record, START_MS, difference, facts, plain, rated, without};

const CASES: u32 = 10_000;
const PARTITIONS: usize = 3;
const RETENTION: Retention = Retention { seen_ms: DAY_MS, tombstones_ms: 60 * DAY_MS };

fn user_and_tenant() -> impl Strategy<Value = (TenantId, UserId)> {
    // The first two share a bucket.
    let tenants = prop::sample::select(vec!["acme", "acme-125", "globex"]);
    (tenants, prop::sample::select(vec!["alice", "bob"]))
        .prop_map(|(tenant, user)| (TenantId::new(tenant).expect("an id"), UserId::new(user).expect("an id")))
}

fn output() -> impl Strategy<Value = Output> {
    (prop::sample::select(vec!["website", "result"]), 0..3).prop_map(|(kind, id)| Output {
        kind: OutputKind::new(kind).expect("an id"),
        id: OutputId::new(&format!("o{id}")).expect("an id"),
    })
}

/// Few small counts and some that are no doubles; sums of a hundred stay far from the limit.
fn count() -> impl Strategy<Value = i64> {
    prop_oneof![0_i64..3, 0_i64..1 << 53, Just((1 << 53) - 1)]
}

fn usage() -> impl Strategy<Value = Usage> {
    let names = (prop::sample::select(vec!["chat", "writer"]), prop::sample::select(vec!["small", "large"]));
    let counts = (count(), count(), count(), prop::option::of(count()), prop::option::of(count()));
    (names, counts, 0_i64..3, prop::option::of(output())).prop_map(|(names, counts, calls, output)| Usage {
        provider: None,
        assistant: Assistant::new(names.0).expect("an id"),
        model: Model::new(names.1).expect("an id"),
        tokens_in: counts.0,
        tokens_out: counts.1,
        cache_write_tokens: 0,
        cached_tokens: counts.2,
        reasoning_tokens: 0,
        cost: counts.3.map(NanoDollars),
        latency_ms: counts.4,
        tools: if calls > 0 { vec![(Tool::new("search").expect("an id"), calls)].into() } else { ToolCalls::new() },
        output,
    })
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        usage().prop_map(Body::Usage),
        output().prop_map(Body::OutputCreated),
        output().prop_map(Body::OutputDeleted)
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (user_and_tenant(), body(), 0..90 * 24_i64);
    vec(event, 1..24).prop_map(|parts| {
        let number = |(number, ((tenant, user), body, hours_ago)): (usize, (_, Body, i64))| Event {
            id: EventId::new(&format!("{number}")).expect("an id"),
            source: Source::new("svc").expect("an id"),
            time: TimeMs(START_MS - hours_ago * HOUR_MS).to_utc(),
            tenant,
            user: Some(user),
            body,
        };
        parts.into_iter().enumerate().map(number).collect()
    })
}

/// Quotas of few users and instants, so that many are for the same.
fn assignments() -> impl Strategy<Value = Vec<Event>> {
    let effective = prop::option::of((0..3_i64).prop_map(TimeMs));
    let grant = prop_oneof![
        Just(Grant::Inherit),
        prop::sample::select(vec!["pro", "a b"]).prop_map(|name| Grant::Plan(PlanName::new(name).expect("an id"))),
        (1..5_i64).prop_map(|hard| {
            Grant::Limits(Limits { tokens: Limit { soft: None, hard: Some(hard) }, ..Limits::default() })
        }),
    ];
    let one = (user_and_tenant(), any::<bool>(), effective, grant, 0..3_i64);
    vec(one, 1..24).prop_map(|all| {
        let event = |(number, ((tenant, user), whole, effective, grant, hours)): (usize, (_, bool, _, _, i64))| Event {
            id: EventId::new(&format!("{number}")).expect("an id"),
            source: Source::new("svc").expect("an id"),
            time: TimeMs(START_MS - hours * HOUR_MS).to_utc(),
            tenant,
            user: Some(user).filter(|_| !whole),
            body: Body::QuotaAssigned(Assigned { effective, grant }),
        };
        all.into_iter().enumerate().map(event).collect()
    })
}

fn arrivals() -> impl Strategy<Value = (Vec<Event>, Vec<(usize, usize)>)> {
    arrivals_of(events())
}

/// The events in any order, some of them again, in any partition.
fn arrivals_of(events: impl Strategy<Value = Vec<Event>>) -> impl Strategy<Value = (Vec<Event>, Vec<(usize, usize)>)> {
    events.prop_flat_map(|events| {
        let again = vec(0..events.len(), 0..=events.len() / 2);
        let all = again.prop_map({
            let count = events.len();
            move |again| (0..count).chain(again).collect::<Vec<_>>()
        });
        let order = all.prop_shuffle().prop_flat_map(|order| {
            let partitions = vec(0..PARTITIONS, order.len());
            (Just(order), partitions).prop_map(|(order, partitions)| order.into_iter().zip(partitions).collect())
        });
        (Just(events), order)
    })
}

fn logs(events: &[Event], arrivals: &[(usize, usize)]) -> Vec<Log> {
    let log = |partition: usize| Log {
        partition: TopicPartition::new("usage", partition as i32),
        partitions: PARTITIONS,
        records: arrivals
            .iter()
            .filter(|(_, at)| *at == partition)
            .map(|(event, _)| Record { at: TimeMs(START_MS), event: events[*event].clone() })
            .collect(),
    };
    (0..PARTITIONS).map(log).collect()
}

/// Counts the logs in flushes of the sizes given, the partitions in turns.
fn count_all(logs: &[Log], sizes: &[usize]) -> Content {
    let ledger = MemoryLedger::new(Keyspace::new("n"), RETENTION);
    let mut read = vec![0; logs.len()];
    let mut sizes = sizes.iter().cycle();
    while logs.iter().zip(&read).any(|(log, read)| *read < log.records.len()) {
        for (log, read) in logs.iter().zip(&mut read) {
            let to = (*read + sizes.next().copied().unwrap_or(1)).min(log.records.len());
            let mut buckets: Vec<_> =
                log.records[*read..to].iter().map(|record| Bucket::of(&record.event.tenant)).collect();
            buckets.sort();
            buckets.dedup();
            buckets.into_iter().for_each(|bucket| count_bucket(&ledger, log, bucket, *read, to));
            *read = to;
        }
    }
    ledger.content()
}

fn count_bucket(ledger: &MemoryLedger, log: &Log, bucket: Bucket, from: usize, to: usize) {
    let ask = |flush: Flush| futures::executor::block_on(ledger.apply(&flush)).expect("a ledger in memory answers");
    let mut offsets = log.offsets(bucket, from, to);
    let mut expected = Some(log.position(from)).filter(|_| from > 0);
    loop {
        match ask(log.flush(bucket, expected, to, &offsets)) {
            Outcome::Applied { .. } => return,
            Outcome::Repeated(repeats) => offsets = without(&offsets, &repeats),
            // The bucket has had no part in what lies before.
            Outcome::Moved(stored) => expected = stored[0],
            outcome => panic!("{outcome:?} for small sums"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn any_batches_orders_and_repeats_give_the_plain_sum(
        (events, arrivals) in arrivals(),
        sizes in vec(1..9_usize, 1..6),
    ) {
        let found: Facts = facts(&count_all(&logs(&events, &arrivals), &sizes));
        let expected = plain(&events, &Keyspace::new("n"));
        prop_assert!(found == expected, "{}", difference(&expected, &found).join("\n"));
    }

    /// Each in a record of its own, repeats and other partitions included: what is stored is what a plain set of them is.
    #[test]
    fn quotas_that_are_assigned_in_any_order_are_stored_as_one_text(
        (events, arrivals) in arrivals_of(assignments()),
        sizes in vec(1..9_usize, 1..6),
    ) {
        let keyspace = Keyspace::new("n");
        let content = count_all(&logs(&events, &arrivals), &sizes);
        let found: BTreeMap<_, _> = content.into_iter().filter(|(key, _)| key.contains(":quota:")).collect();
        let mut expected: BTreeMap<String, BTreeMap<String, Assignments>> = BTreeMap::new();
        for event in &events {
            let Body::QuotaAssigned(assigned) = &event.body else { panic!("no quota") };
            let hash = expected.entry(keyspace.quota(&event.tenant)).or_default();
            hash.entry(quota_field(event.user.as_ref())).or_default().add(event.assignment(assigned));
        }
        let texts = |hash: BTreeMap<String, Assignments>| {
            Entry::Hash(hash.into_iter().map(|(field, all)| (field, assigned::to_text(&all))).collect())
        };
        prop_assert_eq!(found, expected.into_iter().map(|(key, hash)| (key, texts(hash))).collect::<BTreeMap<_, _>>());
    }

    #[test]
    fn a_fold_does_not_depend_on_the_order(events in events(), seed in any::<u64>()) {
        let mut shuffled = events.clone();
        shuffled.sort_by_key(|event| event.id.as_str().bytes().fold(seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(17)
        }));
        let fold = |events: &[Event]| {
            let rated: Vec<_> = events.iter().map(rated).collect();
            let counted = |(event, rated)| Counted { event, rated, log_time: TimeMs(START_MS) };
            let delta = Delta::fold(events.iter().zip(&rated).map(counted))?;
            let sums = delta.months().map(|(scope, month, added)| ((scope, month), added.sums.clone()));
            Ok::<_, Overflow>(sums.collect::<BTreeMap<_, _>>())
        };
        prop_assert_eq!(fold(&events), fold(&shuffled));
    }

    #[test]
    fn a_sum_beyond_64_bits_is_refused(event in events().prop_map(|events| events[0].clone()), usage in usage(), field in 0..5) {
        let mut most = usage;
        match field {
            0 => most.tokens_in = i64::MAX,
            1 => most.tokens_out = i64::MAX,
            2 => most.cached_tokens = i64::MAX,
            3 => most.latency_ms = Some(i64::MAX),
            _ => most.cost = Some(NanoDollars(i64::MAX)),
        }
        // Its own sum of tokens fits.
        if field == 0 { most.tokens_out = 0 } else if field == 1 { most.tokens_in = 0 }
        let one = Event { body: Body::Usage(most.clone()), ..event };
        let rated = rated(&one);
        let counted = Counted { event: &one, rated: &rated, log_time: TimeMs(START_MS) };
        let fold = |count| Delta::fold(std::iter::repeat_n(counted, count));
        prop_assert!(fold(1).is_ok());
        prop_assert_eq!(fold(2).err(), Some(Overflow));
    }
}
