//! The API's side in Redis. Reads only; every answer is about the keys of one bucket.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use futures::FutureExt;
use futures::future::BoxFuture;
use redis::{FromRedisValue, Pipeline, Value, cmd, pipe};

use crate::domain::bucket::Bucket;
use crate::domain::calendar::Month;
use crate::domain::counters::{Counters, DayUsage, Mismatch, MonthSums, MonthUsage, Overflow};
use crate::domain::delta::Scope;
use crate::domain::ids::{Model, TenantId, UserId};
use crate::domain::quota::Assignments;

use super::cells::{self, Damage};
use super::freshness;
use super::guesses::Guesses;
use super::keys::Keyspace;
use super::link::Link;
use super::reply::damaged;
use super::{Freshness, QuotaFacts, Reader, Sort, StoreError, Usage, UserCursor, UsersPage};

/// Users whose sums are fetched at a time: a round trip short enough for others to be served in between.
const USERS_AT_A_TIME: usize = 500;

#[derive(Clone)]
pub struct RedisReader {
    pub(super) link: Arc<Link>,
    pub(super) keyspace: Keyspace,
    /// The topics that count: what Redis knows of others says nothing about freshness.
    pub(super) topics: Arc<[String]>,
    pub(super) guesses: Arc<Guesses>,
}

pub(super) type Hash = Vec<(String, String)>;

impl RedisReader {
    pub fn new(link: Arc<Link>, keyspace: Keyspace, topics: &[String]) -> Self {
        Self { link, keyspace, topics: topics.into(), guesses: Arc::default() }
    }

    /// A month is a text for a user, and a hash of cells for a tenant.
    pub(super) fn ask_months(&self, ask: &mut Pipeline, scope: &Scope, months: &[Month]) {
        for month in months {
            let key = self.key(scope, *month);
            match &scope.user {
                Some(user) => ask.cmd("HGET").arg(key).arg(user.as_str()),
                None => ask.cmd("HGETALL").arg(key),
            };
        }
    }

    /// Where a scope's month stands.
    pub(super) fn key(&self, Scope { tenant, user }: &Scope, month: Month) -> String {
        if user.is_some() { self.keyspace.users(tenant, month) } else { self.keyspace.month(tenant, month) }
    }

    /// A user without a month of their own may be one of those for whom there was no room.
    pub(super) async fn refuse_if_crowded(&self, scope: &Scope, absent: &[Month]) -> Result<(), StoreError> {
        if scope.user.as_ref().is_none_or(|user| *user == UserId::other()) {
            return Ok(());
        }
        let mut ask = pipe();
        for month in absent {
            ask.cmd("HEXISTS").arg(self.keyspace.month(&scope.tenant, *month)).arg(cells::CROWD);
        }
        for (month, answer) in absent.iter().zip(self.pipeline(&ask).await?) {
            if parse::<bool>(answer, || self.keyspace.month(&scope.tenant, *month))? {
                return Err(StoreError::Crowded { month: *month });
            }
        }
        Ok(())
    }

    async fn freshness(&self, tenant: &TenantId) -> Result<Freshness, StoreError> {
        let state = self.keyspace.state(Bucket::of(tenant));
        self.read_freshness(self.link.query(cmd("HGETALL").arg(state)).await?, tenant)
    }

    pub(super) fn read_freshness(&self, answer: Value, tenant: &TenantId) -> Result<Freshness, StoreError> {
        let state = self.keyspace.state(Bucket::of(tenant));
        freshness::read(&parse::<Hash>(answer, || state.clone())?, &state, &self.topics)
    }

    /// Every user of the month is read, then ordered: values change while pages are turned, and an order
    /// kept for each sort would cost every flush.
    async fn read_users(
        &self,
        tenant: &TenantId,
        month: Month,
        sort: Sort,
        after: Option<UserCursor>,
        limit: usize,
    ) -> Result<UsersPage, StoreError> {
        let freshness = self.freshness(tenant).await?;
        let mut users = Vec::new();
        for (user, usage) in self.month_of_each(tenant, month).await? {
            let total = usage.total().map_err(|Overflow| StoreError::Corrupt {
                key: self.keyspace.users(tenant, month),
                detail: format!("the sum of {user} overflows"),
            })?;
            users.push((sort_value(sort, &total), user, total));
        }
        users.sort_by(|a, b| (b.0, &a.1).cmp(&(a.0, &b.1)));
        let rest = users.into_iter().skip_while(|(value, user, _)| {
            after.as_ref().is_some_and(|after| {
                (*value, &after.user) > (after.value, user) || (*value == after.value && *user == after.user)
            })
        });
        let mut page: Vec<_> = rest.take(limit + 1).collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next =
            page.last().filter(|_| more).map(|(value, user, _)| UserCursor { value: *value, user: user.clone() });
        Ok(UsersPage { users: page.into_iter().map(|(_, user, total)| (user, total)).collect(), next, freshness })
    }

    async fn month_of_each(&self, tenant: &TenantId, month: Month) -> Result<BTreeMap<UserId, MonthUsage>, StoreError> {
        let key = self.keyspace.users(tenant, month);
        // A scan may name a user twice.
        let (mut users, mut cursor) = (BTreeMap::new(), "0".to_owned());
        loop {
            let scan = self.link.query(cmd("HSCAN").arg(&key).arg(&cursor).arg("COUNT").arg(USERS_AT_A_TIME)).await?;
            let texts: Hash;
            (cursor, texts) = parse(scan, || key.clone())?;
            for (name, text) in texts {
                let user = UserId::new(&name).map_err(|_| damaged(&key, &name, "a user"))?;
                let read = cells::from_text(&text);
                let read = read.map_err(|Damage(detail)| StoreError::Corrupt { key: key.clone(), detail })?;
                users.insert(user, read.usage);
            }
            if cursor == "0" {
                return Ok(users);
            }
        }
    }

    async fn read_days(
        &self,
        scope: &Scope,
        first: Month,
        last: Month,
    ) -> Result<(BTreeMap<NaiveDate, DayUsage>, Freshness), StoreError> {
        let freshness = self.freshness(&scope.tenant).await?;
        let months: Vec<Month> =
            std::iter::successors(Some(first), |month| Some(month.next())).take_while(|m| *m <= last).collect();
        let mut ask = pipe();
        self.ask_months(&mut ask, scope, &months);
        let mut days = BTreeMap::new();
        let mut absent = Vec::new();
        for (month, answer) in months.iter().zip(self.pipeline(&ask).await?) {
            let key = || self.key(scope, *month);
            let read = read_month(answer, key)?;
            absent.extend(read.days.is_empty().then_some(*month));
            for (day, sums) in read.days {
                let named = || damaged(&key(), "a day", &day.to_string());
                days.insert(month.day(day).ok_or_else(named)?, sums);
            }
        }
        self.refuse_if_crowded(scope, &absent).await?;
        Ok((days, freshness))
    }

    /// Any bucket will do: a tenant's own is looked at for every answer.
    async fn read_one_state(&self) -> Result<(), StoreError> {
        let Some(bucket) = Bucket::all().next() else { return Ok(()) };
        let state = self.keyspace.state(bucket);
        let answer = self.link.query(cmd("HGETALL").arg(&state)).await?;
        freshness::check_counting(&parse::<Hash>(answer, || state.clone())?, &state)
    }

    pub(super) async fn pipeline(&self, ask: &Pipeline) -> Result<Vec<Value>, StoreError> {
        if ask.is_empty() { Ok(Vec::new()) } else { self.link.pipeline(ask).await }
    }
}

/// Reads a user's text or a tenant's cells.
pub(super) fn read_month(answer: Value, key: impl Fn() -> String) -> Result<MonthSums, StoreError> {
    let corrupt = |Damage(detail)| StoreError::Corrupt { key: key(), detail };
    match answer {
        Value::Nil => Ok(MonthSums::default()),
        Value::Array(_) | Value::Map(_) => {
            let mut sums = MonthSums::default();
            for (name, numbers) in parse::<Hash>(answer, &key)? {
                cells::read_cell(&mut sums, &name, &numbers).map_err(corrupt)?;
            }
            Ok(sums)
        }
        text => cells::from_text(&parse::<String>(text, &key)?).map_err(corrupt),
    }
}

fn sort_value(sort: Sort, total: &Counters) -> i64 {
    match sort {
        Sort::Cost => total.cost.0,
        // Only an order: what is shown is summed with a check.
        Sort::Tokens => total.tokens_in.saturating_add(total.tokens_out),
        Sort::Requests => total.requests,
    }
}

pub(super) fn parse<T: FromRedisValue>(value: Value, key: impl Fn() -> String) -> Result<T, StoreError> {
    T::from_redis_value(value).map_err(|error| StoreError::Corrupt { key: key(), detail: error.to_string() })
}

impl Reader for RedisReader {
    fn usage<'a>(&'a self, scope: &'a Scope, month: Month) -> BoxFuture<'a, Result<Usage, StoreError>> {
        self.read_usage(scope, month).boxed()
    }

    fn users<'a>(
        &'a self,
        tenant: &'a TenantId,
        month: Month,
        sort: Sort,
        after: Option<UserCursor>,
        limit: usize,
    ) -> BoxFuture<'a, Result<UsersPage, StoreError>> {
        self.read_users(tenant, month, sort, after, limit).boxed()
    }

    fn days<'a>(
        &'a self,
        scope: &'a Scope,
        first: Month,
        last: Month,
    ) -> BoxFuture<'a, Result<(BTreeMap<NaiveDate, DayUsage>, Freshness), StoreError>> {
        self.read_days(scope, first, last).boxed()
    }

    fn assigned<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<(Assignments, Freshness), StoreError>> {
        self.read_own(scope).boxed()
    }

    fn quota<'a>(&'a self, scope: &'a Scope, month: Month) -> BoxFuture<'a, Result<QuotaFacts, StoreError>> {
        self.read_quota(scope, month).boxed()
    }

    fn mismatches(&self, month: Month) -> BoxFuture<'_, Result<BTreeMap<Model, Mismatch>, StoreError>> {
        self.read_mismatches(month).boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.read_one_state().boxed()
    }
}
