//! What the reader answers is what the log holds: every number of it, asked for in every way there is.

use std::collections::BTreeMap;

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::{Month, TimeMs};
use indelible::domain::delta::Scope;
use indelible::domain::event::Event;
use indelible::domain::ids::{OutputKind, TenantId, UserId};
use indelible::store::cells::{group_cell, tool_cell};
use indelible::store::keys::Keyspace;
use indelible::store::redis_ledger::RedisLedger;
use indelible::store::redis_reader::RedisReader;
use indelible::store::{Ledger, Outcome, Reader, Retention, Sort, Usage};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::made::{
    DAY_MS, Facts, HOUR_MS, Log, Quotas, START_MS, Shape, TENANTS, USERS, difference, month_of, plain, without,
};
use crate::script_conformance::link;
use crate::support::redis::Redis;

const RETENTION: Retention = Retention { seen_ms: DAY_MS, tombstones_ms: 60 * DAY_MS };

#[tokio::test]
async fn the_reader_tells_every_fact() {
    let redis = Redis::start();
    let (link, keys) = (link(&redis), Keyspace::new("n"));
    let ledger = RedisLedger::new(link.clone(), keys.clone(), RETENTION, "g");
    let reader = RedisReader::new(link, keys.clone(), &["usage".to_owned()]);
    for seed in 0..40 {
        redis.ask::<()>("FLUSHDB", &[]);
        ledger.prepare().await.expect("an empty namespace becomes ours");
        let shape = Shape {
            partitions: 2,
            records: 150,
            tenants: TENANTS.len(),
            pace_ms: HOUR_MS / 10,
            repeat_within_ms: 12 * HOUR_MS,
            conflicts: false,
            quotas: Quotas::Changing,
        };
        let logs = Log::made(&mut StdRng::seed_from_u64(seed), shape);
        for log in &logs {
            count(&ledger, log).await;
        }
        let mut expected = plain(events(&logs), &keys);
        // What this reader is not asked for.
        let others = [":quota:", ":mismatches:", " total "];
        let is_told = |name: &str| {
            let ends = [" applied", ":created", ":deleted"].iter().any(|end| name.ends_with(end));
            !ends && !others.iter().any(|other| name.contains(other))
        };
        expected.retain(|name, _| is_told(name));
        let found = Asker { reader: &reader, keys: &keys, facts: Facts::new() }.ask(&logs).await;
        assert!(found == expected, "seed {seed}:\n{}", difference(&expected, &found).join("\n"));
    }
}

fn events(logs: &[Log]) -> impl Iterator<Item = &Event> {
    logs.iter().flat_map(|log| &log.records).map(|record| &record.event)
}

async fn count(ledger: &RedisLedger, log: &Log) {
    let mut buckets: Vec<_> = log.records.iter().map(|record| Bucket::of(&record.event.tenant)).collect();
    buckets.sort();
    buckets.dedup();
    for bucket in buckets {
        let mut offsets = log.offsets(bucket, 0, log.records.len());
        while let Outcome::Repeated(repeats) =
            ledger.apply(&log.flush(bucket, None, log.records.len(), &offsets)).await.expect("an answer")
        {
            offsets = without(&offsets, &repeats);
        }
    }
}

/// Turns answers into facts.
struct Asker<'a> {
    reader: &'a RedisReader,
    keys: &'a Keyspace,
    facts: Facts,
}

impl Asker<'_> {
    async fn ask(mut self, logs: &[Log]) -> Facts {
        let times = || events(logs).map(|event| Month::of(event.time));
        let (first, last) = (times().min().expect("an event"), times().max().expect("an event"));
        let months: Vec<_> =
            std::iter::successors(Some(first), |month| Some(month.next()).filter(|m| *m <= last)).collect();
        for tenant in TENANTS.map(|tenant| TenantId::new(tenant).expect("an id")) {
            let users = USERS.iter().map(|user| Some(UserId::new(user).expect("an id")));
            for user in users.chain([None]) {
                let scope = Scope { tenant: tenant.clone(), user };
                for month in &months {
                    let usage = self.reader.usage(&scope, *month).await.expect("an answer");
                    self.usage(&scope, *month, &usage);
                }
                self.days(&scope, first, last).await;
            }
            for month in &months {
                self.users(&tenant, *month).await;
            }
        }
        self.facts
    }

    fn fact(&mut self, name: String, number: i64) {
        if number != 0 {
            let before = self.facts.insert(name.clone(), number);
            assert!(before.is_none_or(|before| before == number), "{name}: {before:?} and then {number}");
        }
    }

    fn usage(&mut self, scope: &Scope, asked: Month, usage: &Usage) {
        assert!(usage.freshness.as_of.is_some_and(|time| time >= TimeMs(START_MS)));
        for (month, sums) in &usage.months {
            let key = month_of(self.keys, scope, *month);
            for (group, sums) in &sums.groups {
                // In the order in which they are stored.
                let numbers = [
                    sums.requests,
                    sums.tokens_in,
                    sums.tokens_out,
                    sums.cost.0,
                    sums.latency_ms,
                    sums.latency_count,
                    sums.cached_tokens,
                    sums.reasoning_tokens,
                    sums.charge.0 - sums.cost.0,
                    sums.unpriced,
                ];
                for (index, number) in numbers.into_iter().enumerate() {
                    self.fact(format!("{key} {} {index}", group_cell(group)), number);
                }
            }
            for (tool, calls) in &sums.tools {
                self.fact(format!("{key} {} 0", tool_cell(tool)), *calls);
            }
        }
        match &scope.user {
            Some(user) => self.saved(&scope.tenant, user, asked, usage),
            None => {
                let counts = self.keys.saved_counts(&scope.tenant);
                usage
                    .outputs
                    .iter()
                    .for_each(|(kind, count)| self.fact(format!("{counts} {kind}:{asked}"), count.month));
            }
        }
    }

    /// A user has fewer outputs than are shown, so that the newest are all.
    fn saved(&mut self, tenant: &TenantId, user: &UserId, asked: Month, usage: &Usage) {
        let mut counts: BTreeMap<_, (i64, i64)> = BTreeMap::new();
        for saved in &usage.recent {
            let (kind, id) = (&saved.output.kind, &saved.output.id);
            self.fact(format!("{} {id}", self.keys.saved(tenant, user, kind)), saved.created.0);
            let count = counts.entry(kind.clone()).or_default();
            count.0 += i64::from(Month::of(saved.created.to_utc()) == asked);
            count.1 += 1;
        }
        assert!(usage.recent.is_sorted_by(|a, b| a.created >= b.created));
        let told = usage.outputs.iter().map(|(kind, count)| (kind.clone(), (count.month, count.all_time)));
        assert_eq!(counts, told.collect());
    }

    async fn days(&mut self, scope: &Scope, first: Month, last: Month) {
        let (days, _) = self.reader.days(scope, first, last).await.expect("an answer");
        for (day, sums) in days {
            let (month, day) = (day.format("%Y-%m").to_string(), day.format("%d").to_string());
            let key = month_of(self.keys, scope, month.parse().expect("a month"));
            let markup = sums.charge.0 - sums.cost.0;
            for (index, number) in [sums.requests, sums.tokens, sums.cost.0, markup].into_iter().enumerate() {
                self.fact(format!("{key} {day} {index}"), number);
            }
        }
    }

    async fn users(&mut self, tenant: &TenantId, month: Month) {
        for sort in [Sort::Requests, Sort::Tokens, Sort::Cost] {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let page = self.reader.users(tenant, month, sort, after, 2).await.expect("an answer");
                assert!(page.users.len() <= 2);
                all.extend(page.users);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            for (user, sums) in &all {
                let scope = Scope { tenant: tenant.clone(), user: Some(user.clone()) };
                let usage = self.reader.usage(&scope, month).await.expect("an answer");
                assert_eq!(usage.months[&month].total().expect("small sums"), *sums);
            }
            let by = |sums: &indelible::domain::counters::Counters| match sort {
                Sort::Requests => sums.requests,
                Sort::Tokens => sums.tokens_in + sums.tokens_out,
                Sort::Cost => sums.cost.0,
            };
            assert!(all.is_sorted_by(|a, b| (by(&b.1), &a.0) < (by(&a.1), &b.0)), "{all:?}");
        }
    }
}

/// Numbers of outputs about that of those that are shown: up to it the newest are all there are.
#[tokio::test]
async fn every_output_of_a_kind_is_counted_however_few_are_shown() {
    let redis = Redis::start();
    let (keys, tenant, user) = (Keyspace::new("n"), TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    let reader = RedisReader::new(link(&redis), keys.clone(), &["usage".to_owned()]);
    let scope = Scope { tenant: tenant.clone(), user: Some(user.clone()) };
    let (month, start): (Month, i64) = ("2026-11".parse().unwrap(), 1_793_491_200_000);
    let (state, counts) = (keys.state(Bucket::of(&tenant)), keys.saved_counts(&tenant));
    let counts_at_all = |redis: &Redis| {
        redis.ask::<()>("HSET", &[&state, "layout", indelible::store::keys::LAYOUT_VERSION, "watermark:usage/0", "w"]);
    };
    // A third of each is of the month before.
    let save = |kind: &str, number: i64| {
        redis.ask::<()>("HSET", &[&counts, &format!("{kind}:created"), &number.to_string()]);
        for output in 0..number {
            let time = if output % 3 == 0 { start - 1 - output } else { start + output };
            let key = keys.saved(&tenant, &user, &OutputKind::new(kind).unwrap());
            redis.ask::<()>("ZADD", &[&key, &time.to_string(), &format!("{kind}-{output}")]);
        }
    };
    let told = |all: &[(&str, i64)]| -> BTreeMap<String, (i64, i64)> {
        let kinds = all.iter().filter(|(_, number)| *number > 0);
        kinds.map(|(kind, number)| ((*kind).to_owned(), (number - (number + 2) / 3, *number))).collect()
    };
    let ask = async || {
        let usage = reader.usage(&scope, month).await.expect("an answer");
        let outputs = usage.outputs.iter().map(|(kind, count)| (kind.to_string(), (count.month, count.all_time)));
        (outputs.collect::<BTreeMap<_, _>>(), usage.recent)
    };

    counts_at_all(&redis);
    let mut all = vec![("none", 0), ("one", 1), ("fewer", 19), ("just", 20), ("more", 21), ("many", 45)];
    all.iter().for_each(|(kind, number)| save(kind, *number));
    // By an index that was not known before, by one that was, and by one that has more than was known.
    for more in [None, Some(("later", 22)), Some(("at-last", 3)), None] {
        let (outputs, recent) = ask().await;
        assert_eq!(outputs, told(&all));
        let newest: Vec<_> = recent.iter().take(3).map(|saved| saved.output.id.to_string()).collect();
        assert_eq!((recent.len(), &*newest), (20, &["many-44", "many-43", "many-41"].map(str::to_owned)[..]));
        all.extend(more.inspect(|(kind, number)| save(kind, *number)));
    }
    // What is not so any more is not told.
    redis.ask::<()>("FLUSHDB", &[]);
    counts_at_all(&redis);
    save("just", 2);
    assert_eq!(ask().await.0, told(&[("just", 2)]));
    redis.ask::<()>("FLUSHDB", &[]);
    assert!(reader.usage(&scope, month).await.is_err(), "a bucket without a watermark has no numbers");
}
