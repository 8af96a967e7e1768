//! A store that holds what a test puts in, and fails as it is told.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use futures::future::BoxFuture;
use indelible::domain::calendar::{Month, TimeMs};
use indelible::domain::counters::{Counters, DayUsage, Group, Mismatch};
use indelible::domain::delta::Scope;
use indelible::domain::event::Output;
use indelible::domain::ids::{Assistant, EventId, Model, OutputId, OutputKind, Source, TenantId, Tool, UserId};
use indelible::domain::money::NanoDollars;
use indelible::domain::quota::{Assignment, Assignments, Grant, Spent};
use indelible::store::{
    Freshness, OutputCount, QuotaFacts, Reader, SavedOutput, Sort, StoreError, Usage, UserCursor, UsersPage, Whose,
};

#[derive(Debug, Default)]
pub(super) enum Mode {
    #[default]
    Works,
    Fails(StoreError),
    Hangs,
    Panics,
}

#[derive(Debug, Default)]
pub(super) struct Fake {
    pub(super) mode: Mode,
    pub(super) freshness: Freshness,
    pub(super) usage: BTreeMap<Scope, Usage>,
    pub(super) days: BTreeMap<Scope, BTreeMap<NaiveDate, DayUsage>>,
    pub(super) assigned: Arc<Mutex<BTreeMap<Scope, Assignments>>>,
    pub(super) mismatches: BTreeMap<Model, Mismatch>,
}

/// The sums of requests of 1,000 ms each.
pub(super) fn sum(requests: i64, tokens_in: i64, tokens_out: i64, nanos: i64) -> Counters {
    Counters {
        requests,
        tokens_in,
        tokens_out,
        cached_tokens: tokens_in / 2,
        reasoning_tokens: tokens_out / 4,
        cost: NanoDollars(nanos),
        charge: NanoDollars(nanos),
        unpriced: 0,
        latency_ms: requests.saturating_mul(1_000),
        latency_count: requests,
    }
}

/// As of a time, with no gaps.
pub(super) fn as_of(text: &str) -> Freshness {
    Freshness { as_of: Some(TimeMs::of(time(text))), gaps: Vec::new() }
}

pub(super) fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

pub(super) fn scope(tenant: &str, user: Option<&str>) -> Scope {
    let user = user.map(|user| UserId::new(user).expect("an id"));
    Scope { tenant: TenantId::new(tenant).expect("an id"), user }
}

impl Fake {
    /// Adds usage to a user and the tenant, on the first day of the month.
    pub(super) fn used(
        &mut self,
        (tenant, user): (&str, &str),
        month: &str,
        (assistant, model): (&str, &str),
        sum: Counters,
    ) {
        let month: Month = month.parse().expect("a month");
        for scope in [scope(tenant, Some(user)), scope(tenant, None)] {
            let usage = self.usage.entry(scope.clone()).or_default().months.entry(month).or_default();
            let group = Group {
                assistant: Assistant::new(assistant).expect("an id"),
                model: Model::new(model).expect("an id"),
            };
            usage.groups.entry(group).or_default().add(&sum).expect("a group's sum fits");
            let tokens = sum.tokens_in.saturating_add(sum.tokens_out);
            let days = self.days.entry(scope).or_default();
            let day = days.entry(month.start().date_naive()).or_default();
            // In a test of overflows the groups fit and their sum does not; days are then of no interest.
            let _ = day.add(&DayUsage { requests: sum.requests, tokens, cost: sum.cost, charge: sum.charge });
        }
    }

    pub(super) fn called(&mut self, (tenant, user): (&str, &str), month: &str, tool: &str, calls: i64) {
        let (month, tool) = (month.parse().expect("a month"), Tool::new(tool).expect("an id"));
        for scope in [scope(tenant, Some(user)), scope(tenant, None)] {
            let usage = self.usage.entry(scope).or_default().months.entry(month).or_default();
            *usage.tools.entry(tool.clone()).or_default() += calls;
        }
    }

    /// Saves an output of the month that all tests ask for.
    pub(super) fn saved(&mut self, (tenant, user): (&str, &str), kind: &str, id: &str, created: &str) {
        let output = Output { kind: OutputKind::new(kind).expect("an id"), id: OutputId::new(id).expect("an id") };
        for scope in [scope(tenant, Some(user)), scope(tenant, None)] {
            let of_user = scope.user.is_some();
            let usage = self.usage.entry(scope).or_default();
            let count: &mut OutputCount = usage.outputs.entry(output.kind.clone()).or_default();
            count.month += i64::from(created.starts_with("2026-11"));
            count.all_time += 1;
            if of_user {
                usage.recent.insert(0, SavedOutput { output: output.clone(), created: TimeMs::of(time(created)) });
            }
        }
    }

    /// Assigns a quota to a user, or to the tenant where there is none.
    pub(super) fn assign(&mut self, tenant: &str, user: Option<&str>, effective: &str, grant: Grant) {
        let (source, id) = (Source::new("s").expect("an id"), EventId::new(effective).expect("an id"));
        let effective = TimeMs::of(time(effective));
        let assignment = Assignment { effective, set_at: effective, source, id, grant };
        let mut assigned = self.assigned.lock().expect("no test panics with it");
        assigned.entry(scope(tenant, user)).or_default().add(assignment);
    }

    fn quotas(&self, scope: &Scope) -> Whose<Assignments> {
        let assigned = self.assigned.lock().expect("no test panics with it");
        let of = |scope: &Scope| assigned.get(scope).cloned().unwrap_or_default();
        let tenant = of(&Scope { tenant: scope.tenant.clone(), user: None });
        Whose { tenant, user: scope.user.as_ref().map(|_| of(scope)).unwrap_or_default() }
    }

    fn spent(&self, scope: &Scope, month: Month) -> BTreeMap<u32, Spent> {
        let (from, to) = (month.start().date_naive(), month.next().start().date_naive());
        let days = self.days.get(scope).into_iter().flat_map(|days| days.range(from..to));
        days.map(|(day, sum)| (day.day(), Spent { tokens: sum.tokens, cost: sum.cost.0 })).collect()
    }

    fn answer<'a, T: Send + 'a>(
        &'a self,
        answer: impl FnOnce() -> T + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            match &self.mode {
                Mode::Works => Ok(answer()),
                Mode::Fails(error) => Err(error.clone()),
                Mode::Hangs => std::future::pending().await,
                Mode::Panics => panic!("the reader panics"),
            }
        })
    }

    fn page(&self, tenant: &TenantId, month: Month, sort: Sort, after: Option<UserCursor>, limit: usize) -> UsersPage {
        let value = |sum: &Counters| match sort {
            Sort::Cost => sum.cost.0,
            Sort::Tokens => sum.total_tokens().expect("fits"),
            Sort::Requests => sum.requests,
        };
        let of_tenant = self.usage.iter().filter(|(scope, _)| scope.tenant == *tenant);
        let mut users: Vec<_> = of_tenant
            .filter_map(|(scope, usage)| {
                let sum = usage.months.get(&month)?.total().expect("fits");
                Some((Reverse(value(&sum)), scope.user.clone()?, sum))
            })
            .collect();
        users.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        if let Some(after) = after {
            users.retain(|(value, user, _)| (*value, user) > (Reverse(after.value), &after.user));
        }
        let more = users.len() > limit;
        users.truncate(limit);
        let end = users.last().map(|(value, user, _)| UserCursor { value: value.0, user: user.clone() });
        let users = users.into_iter().map(|(_, user, sum)| (user, sum)).collect();
        UsersPage { users, next: end.filter(|_| more), freshness: self.freshness.clone() }
    }
}

impl Reader for Fake {
    fn usage<'a>(&'a self, scope: &'a Scope, month: Month) -> BoxFuture<'a, Result<Usage, StoreError>> {
        self.answer(move || Usage {
            freshness: self.freshness.clone(),
            assigned: self.quotas(scope),
            days: self.spent(scope, month),
            ..self.usage.get(scope).cloned().unwrap_or_default()
        })
    }

    fn users<'a>(
        &'a self,
        tenant: &'a TenantId,
        month: Month,
        sort: Sort,
        after: Option<UserCursor>,
        limit: usize,
    ) -> BoxFuture<'a, Result<UsersPage, StoreError>> {
        self.answer(move || self.page(tenant, month, sort, after, limit))
    }

    fn days<'a>(
        &'a self,
        scope: &'a Scope,
        first: Month,
        last: Month,
    ) -> BoxFuture<'a, Result<(BTreeMap<NaiveDate, DayUsage>, Freshness), StoreError>> {
        self.answer(move || {
            let (from, to) = (first.start().date_naive(), last.next().start().date_naive());
            let days = self.days.get(scope).map(|days| days.range(from..to).map(|(day, sum)| (*day, *sum)).collect());
            (days.unwrap_or_default(), self.freshness.clone())
        })
    }

    fn assigned<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<(Assignments, Freshness), StoreError>> {
        self.answer(|| {
            let known = self.assigned.lock().expect("no test panics with it").get(scope).cloned();
            (known.unwrap_or_default(), self.freshness.clone())
        })
    }

    fn quota<'a>(&'a self, scope: &'a Scope, month: Month) -> BoxFuture<'a, Result<QuotaFacts, StoreError>> {
        self.answer(move || {
            let tenant = Scope { tenant: scope.tenant.clone(), user: None };
            let days = Whose { tenant: self.spent(&tenant, month), user: self.spent(scope, month) };
            QuotaFacts { assigned: self.quotas(scope), days, freshness: self.freshness.clone() }
        })
    }

    fn mismatches(&self, _: Month) -> BoxFuture<'_, Result<BTreeMap<Model, Mismatch>, StoreError>> {
        self.answer(|| self.mismatches.clone())
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.answer(|| ())
    }
}
