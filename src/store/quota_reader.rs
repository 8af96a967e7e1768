//! What decides about quotas, and what prices were not as expected: the API's side in Redis, beside `redis_reader.rs`.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use redis::{Pipeline, Value, cmd, pipe};

use crate::domain::bucket::Bucket;
use crate::domain::calendar::Month;
use crate::domain::counters::{Mismatch, MonthSums};
use crate::domain::delta::Scope;
use crate::domain::ids::{Model, TenantId, UserId};
use crate::domain::quota::{Assignments, Spent};

use super::cells::{self, Damage};
use super::keys::quota_field;
use super::redis_reader::{Hash, RedisReader, parse, read_month};
use super::{Freshness, QuotaFacts, StoreError, Whose, assigned};

/// The most days of a month.
const DAYS: u32 = 31;

impl RedisReader {
    pub(super) async fn read_own(&self, scope: &Scope) -> Result<(Assignments, Freshness), StoreError> {
        let state = self.keyspace.state(Bucket::of(&scope.tenant));
        let mut ask = pipe();
        ask.cmd("HGETALL").arg(&state);
        self.ask_assigned(&mut ask, &scope.tenant, scope.user.as_ref());
        let mut answers = self.link.pipeline(&ask).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let freshness = self.read_freshness(next(), &scope.tenant)?;
        let Whose { tenant, user } = self.read_assigned(next(), &scope.tenant)?;
        Ok((if scope.user.is_some() { user } else { tenant }, freshness))
    }

    pub(super) async fn read_quota(&self, scope: &Scope, month: Month) -> Result<QuotaFacts, StoreError> {
        let state = self.keyspace.state(Bucket::of(&scope.tenant));
        let (of_tenant, of_user) = (self.keyspace.month(&scope.tenant, month), self.key(scope, month));
        // The days alone: a tenant may have thousands of other cells.
        let mut names: Vec<_> = (1..=DAYS).map(cells::day_cell).collect();
        names.push(cells::CROWD.to_owned());
        let mut ask = pipe();
        ask.cmd("HGETALL").arg(&state);
        self.ask_assigned(&mut ask, &scope.tenant, scope.user.as_ref());
        ask.cmd("HMGET").arg(&of_tenant).arg(&names);
        if scope.user.is_some() {
            self.ask_months(&mut ask, scope, &[month]);
        }
        let mut answers = self.link.pipeline(&ask).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let freshness = self.read_freshness(next(), &scope.tenant)?;
        let assigned = self.read_assigned(next(), &scope.tenant)?;
        let mut sums = MonthSums::default();
        for (name, text) in names.iter().zip(parse::<Vec<Option<String>>>(next(), || of_tenant.clone())?) {
            let read = text.map_or(Ok(()), |text| cells::read_cell(&mut sums, name, &text));
            read.map_err(|Damage(detail)| StoreError::Corrupt { key: of_tenant.clone(), detail })?;
        }
        let used = read_month(next(), || of_user.clone())?;
        let own = scope.user.as_ref().is_some_and(|user| *user != UserId::other());
        if own && sums.crowd > 0 && used.days.is_empty() {
            return Err(StoreError::Crowded { month });
        }
        Ok(QuotaFacts { assigned, days: Whose { tenant: spent(&sums), user: spent(&used) }, freshness })
    }

    /// Asks what was assigned to a tenant and, where there is one, to a user; [`Self::read_assigned`] reads it.
    pub(super) fn ask_assigned(&self, ask: &mut Pipeline, tenant: &TenantId, user: Option<&UserId>) {
        let whose = [None].into_iter().chain(user.map(Some));
        let fields: Vec<_> = whose.map(quota_field).collect();
        ask.cmd("HMGET").arg(self.keyspace.quota(tenant)).arg(fields);
    }

    /// Nothing where nothing was asked for.
    pub(super) fn read_assigned(&self, answer: Value, tenant: &TenantId) -> Result<Whose<Assignments>, StoreError> {
        let key = || self.keyspace.quota(tenant);
        let mut texts = parse::<Option<Vec<Option<String>>>>(answer, key)?.unwrap_or_default().into_iter();
        let mut next = || {
            let text = texts.next().flatten().unwrap_or_default();
            assigned::from_text(&text).map_err(|Damage(detail)| StoreError::Corrupt { key: key(), detail })
        };
        Ok(Whose { tenant: next()?, user: next()? })
    }

    pub(super) async fn read_mismatches(&self, month: Month) -> Result<BTreeMap<Model, Mismatch>, StoreError> {
        let asked = Bucket::all().map(|bucket| async move {
            let key = self.keyspace.mismatches(bucket, month);
            let answer = self.link.query(cmd("HGETALL").arg(&key)).await?;
            let cells = parse::<Hash>(answer, || key.clone())?;
            let read = cells.iter().map(|(name, text)| cells::read_mismatch(name, text));
            read.collect::<Result<Vec<_>, _>>().map_err(|Damage(detail)| StoreError::Corrupt { key, detail })
        });
        let mut all: BTreeMap<Model, Mismatch> = BTreeMap::new();
        for (model, more) in try_join_all(asked).await?.into_iter().flatten() {
            all.entry(model).or_default().add(&more);
        }
        Ok(all)
    }
}

/// By day of the month, from 1.
pub(super) fn spent(sums: &MonthSums) -> BTreeMap<u32, Spent> {
    sums.days.iter().map(|(day, sum)| (*day, Spent { tokens: sum.tokens, cost: sum.cost.0 })).collect()
}
