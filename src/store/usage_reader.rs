//! All that is known of a user or tenant: the API's side in Redis, beside `redis_reader.rs`.
//!
//! What of it has keys of its own stands in the tenant's index. What was there the last time is asked for beside it.

use std::collections::BTreeMap;

use redis::{Pipeline, Value, pipe};

use crate::domain::bucket::Bucket;
use crate::domain::calendar::Month;
use crate::domain::counters::MonthSums;
use crate::domain::delta::Scope;
use crate::domain::ids::OutputKind;
use crate::domain::quota::Assignments;

use super::guesses::Parts;
use super::outputs_reader::Newest;
use super::quota_reader::spent;
use super::redis_reader::{Hash, RedisReader, parse, read_month};
use super::reply::damaged;
use super::saved_outputs::SavedCount;
use super::{Freshness, OutputCount, StoreError, Usage, Whose};

struct TenantIndex {
    freshness: Freshness,
    parts: Parts,
    counts: NetOutputs,
    /// Nothing where no user was asked for.
    assigned: Whose<Assignments>,
}

/// Net saved outputs by kind and month; the months of a kind that was only ever deleted are none.
type NetOutputs = BTreeMap<OutputKind, BTreeMap<Month, i64>>;

fn net(counts: &NetOutputs, month: Month) -> BTreeMap<OutputKind, OutputCount> {
    let count = |months: &BTreeMap<Month, i64>| OutputCount {
        month: months.get(&month).copied().unwrap_or(0),
        all_time: months.values().sum(),
    };
    let counts = counts.iter().map(|(kind, months)| (kind.clone(), count(months)));
    counts.filter(|(_, count)| count.all_time != 0).collect()
}

/// What was read of a scope.
struct Found {
    months: BTreeMap<Month, MonthSums>,
    /// None of a tenant, whose outputs are counted in its index.
    newest: Vec<Newest>,
}

impl Found {
    fn add(&mut self, more: Self) {
        self.months.extend(more.months);
        self.newest.extend(more.newest);
    }

    fn retain(&mut self, parts: &Parts) {
        self.months.retain(|month, _| parts.months.contains(month));
        self.newest.retain(|newest| parts.kinds.contains(&newest.kind));
    }
}

impl RedisReader {
    pub(super) async fn read_usage(&self, scope: &Scope, month: Month) -> Result<Usage, StoreError> {
        let (TenantIndex { freshness, counts, assigned, .. }, found) = self.find(scope).await?;
        let mut usage = Usage { freshness, assigned, ..Usage::default() };
        let mut absent = Vec::new();
        for (each, sums) in found.months {
            if each == month && scope.user.is_some() {
                usage.days = spent(&sums);
            }
            if sums.usage.groups.is_empty() {
                absent.push(each);
            } else {
                usage.months.insert(each, sums.usage);
            }
        }
        self.refuse_if_crowded(scope, &absent).await?;
        match &scope.user {
            Some(user) => self.add_outputs(&mut usage, (&scope.tenant, user), found.newest, month).await?,
            None => usage.outputs = net(&counts, month),
        }
        Ok(usage)
    }

    /// The index, and what it says that there is.
    async fn find(&self, scope: &Scope) -> Result<(TenantIndex, Found), StoreError> {
        let guess = self.guesses.of(&scope.tenant);
        let mut ask = self.ask_index(scope);
        self.ask_parts(&mut ask, scope, &guess);
        let mut answers = self.link.pipeline(&ask).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let index = self.read_index(&mut next, scope)?;
        let mut found = self.read_parts(&mut next, scope, guess.clone())?;
        if index.parts != guess {
            let more = index.parts.without(&guess);
            let mut ask = pipe();
            self.ask_parts(&mut ask, scope, &more);
            let mut answers = self.pipeline(&ask).await?.into_iter();
            found.add(self.read_parts(&mut || answers.next().unwrap_or(Value::Nil), scope, more)?);
            found.retain(&index.parts);
            self.guesses.note(&scope.tenant, index.parts.clone());
        }
        Ok((index, found))
    }

    /// Asks for what stands in keys of their own.
    fn ask_parts(&self, ask: &mut Pipeline, scope: &Scope, parts: &Parts) {
        self.ask_months(ask, scope, &parts.months);
        if let Some(user) = &scope.user {
            self.ask_newest(ask, (&scope.tenant, user), &parts.kinds);
        }
    }

    fn read_parts(&self, next: &mut impl FnMut() -> Value, scope: &Scope, parts: Parts) -> Result<Found, StoreError> {
        let months = parts.months.iter().map(|month| Ok((*month, read_month(next(), || self.key(scope, *month))?)));
        let months = months.collect::<Result<_, StoreError>>()?;
        let newest = match &scope.user {
            Some(user) => self.read_newest(next, (&scope.tenant, user), parts.kinds)?,
            None => Vec::new(),
        };
        Ok(Found { months, newest })
    }

    /// Asks what must be known of a tenant before its counters can be named; of a user what was assigned, too. The
    /// state is the first of all: what is read after it is as fresh as it says, or fresher.
    fn ask_index(&self, scope: &Scope) -> Pipeline {
        let (tenant, user) = (&scope.tenant, scope.user.as_ref());
        let mut ask = pipe();
        ask.cmd("HGETALL").arg(self.keyspace.state(Bucket::of(tenant)));
        ask.cmd("SMEMBERS").arg(self.keyspace.months(tenant));
        ask.cmd("HGETALL").arg(self.keyspace.saved_counts(tenant));
        if user.is_some() {
            self.ask_assigned(&mut ask, tenant, user);
        }
        ask
    }

    fn read_index(&self, next: &mut impl FnMut() -> Value, scope: &Scope) -> Result<TenantIndex, StoreError> {
        let tenant = &scope.tenant;
        let freshness = self.read_freshness(next(), tenant)?;
        let (months, counts) = (self.keyspace.months(tenant), self.keyspace.saved_counts(tenant));
        let months = read_months(&parse::<Vec<String>>(next(), || months.clone())?, &months)?;
        let counts = read_counts(&parse::<Hash>(next(), || counts.clone())?, &counts)?;
        let assigned = match scope.user {
            Some(_) => self.read_assigned(next(), tenant)?,
            None => Whose::default(),
        };
        let parts = Parts { months, kinds: counts.keys().cloned().collect() };
        Ok(TenantIndex { freshness, parts, counts, assigned })
    }
}

fn read_months(texts: &[String], key: &str) -> Result<Vec<Month>, StoreError> {
    let months: Result<Vec<Month>, _> =
        texts.iter().map(|text| text.parse().map_err(|_| damaged(key, text, "a month"))).collect();
    months.map(|mut months| {
        months.sort_unstable();
        months
    })
}

/// Net counts by month; the gross ones and `kinds` are for others.
fn read_counts(hash: &Hash, key: &str) -> Result<NetOutputs, StoreError> {
    let mut kinds = NetOutputs::new();
    for (field, value) in hash {
        let unknown = || damaged(key, field, value);
        match SavedCount::read(field).ok_or_else(unknown)? {
            SavedCount::Kinds => {}
            SavedCount::Created(kind) | SavedCount::Deleted(kind) => {
                kinds.entry(kind).or_default();
            }
            SavedCount::Net(kind, month) => {
                kinds.entry(kind).or_default().insert(month, value.parse().map_err(|_| unknown())?);
            }
        }
    }
    Ok(kinds)
}
