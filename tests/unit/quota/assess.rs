use chrono::{Datelike, TimeDelta};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::domain::counters::{MonthSums, Room};
use crate::domain::delta::{Counted, Delta, Scope};
use crate::domain::event::{Body, Event, ToolCalls, Usage};
use crate::domain::ids::{Assistant, EventId, Model, PlanName, Source, TenantId, UserId};
use crate::domain::quota::{Assignment, Assignments, Grant, Limits};
use crate::domain::rated::Rated;
use crate::quota::file;
use crate::quota::plans::Plans;

const PLANS: &str = r#"
default = "free"
[plans.free.user]
tokens = { soft = 1000, hard = 1500 }
grace = "72h"
[plans.pro.user]
tokens = { soft = 10_000, hard = 20_000 }
[plans.mixed.user]
tokens = { soft = 1000 }
cost = { soft = "1", hard = "2" }
grace = "0s"
thresholds = [70, 100, 150]
"#;

fn plans() -> Plans {
    file::read(PLANS, 1).expect("no fault")
}

fn time(text: &str) -> TimeMs {
    let text = if text.contains('T') { format!("{text}Z") } else { format!("{text}T00:00:00Z") };
    TimeMs::of(text.parse().expect("a time"))
}

fn assign(effective: &str, grant: Grant) -> Assignment {
    let (source, id) = (Source::new("s").expect("an id"), EventId::new(effective).expect("an id"));
    Assignment { effective: time(effective), set_at: TimeMs(0), source, id, grant }
}

fn plan(name: &str) -> Grant {
    Grant::Plan(PlanName::new(name).expect("a name"))
}

/// What one user did and was given, and how that stands at an instant.
struct Story {
    plans: Plans,
    user: Assignments,
    used: Vec<(TimeMs, Spent)>,
}

impl Story {
    /// What was used before the instant or at it is counted.
    fn at(&self, now: TimeMs) -> Assessment {
        self.month(Month::of(now.to_utc()), now)
    }

    fn month(&self, month: Month, now: TimeMs) -> Assessment {
        let mut days: BTreeMap<u32, Spent> = BTreeMap::new();
        for (time, spent) in self.used.iter().filter(|(time, _)| *time <= now) {
            if Month::of(time.to_utc()) == month {
                days.entry(time.to_utc().day()).or_default().add(*spent).expect("small sums");
            }
        }
        let (at, nothing) = (instant(month, now), Assignments::default());
        let force = self.plans.of_user(&nothing, &self.user, at).expect("a known plan");
        assess(Subject::User, &force, &days, month, at).expect("small sums")
    }
}

fn tokens(tokens: i64) -> Spent {
    Spent { tokens, cost: 0 }
}

#[test]
fn a_year_with_its_months_plans_and_graces() {
    let used = [
        ("2027-02-10T12:00:00", 900),
        ("2027-02-26T08:00:00", 100),
        ("2027-03-02", 1000),
        ("2027-04-05T10:00:00", 1500),
        ("2027-05-03T10:00:00", 10_000),
        ("2027-05-20T10:00:00", 10_000),
        ("2027-06-01T10:00:00", 1200),
        ("2027-07-31T23:59:59.999", 1499),
        ("2027-12-30T10:00:00", 1000),
        ("2028-01-01", 999),
        ("2028-02-25T23:59:59.999", 1000),
        ("2028-03-31T23:00:00", 1000),
    ];
    let assigned = [
        assign("2027-04-06T09:00:00", plan("pro")),
        assign("2027-04-20", plan("free")),
        assign("2027-04-21", plan("pro")),
        assign("2027-06-15T12:00:00", plan("free")),
        assign("2027-07-01", Grant::Inherit),
    ];
    let story = Story {
        plans: plans(),
        user: assigned.into_iter().collect(),
        used: used.into_iter().map(|(at, used)| (time(at), tokens(used))).collect(),
    };
    use State::{Blocked, Grace, Near, SoftExceeded, Within};
    for (at, used, state, grace_until) in [
        ("2027-01-31T23:59:59.999", 0, Within, ""),
        ("2027-02-10T11:59:59.999", 0, Within, ""),
        ("2027-02-10T12:00:00", 900, Near, ""),
        ("2027-02-26T07:59:59.999", 900, Near, ""),
        // 72 hours from the end of the 26th would be the 2nd of March, and the month ends before.
        ("2027-02-26T08:00:00", 1000, Grace, "2027-03-01"),
        ("2027-02-28T23:59:59.999", 1000, Grace, "2027-03-01"),
        ("2027-03-01", 0, Within, ""),
        ("2027-03-01T23:59:59.999", 0, Within, ""),
        // The first instant of the day, and still the whole of it does not count.
        ("2027-03-02", 1000, Grace, "2027-03-06"),
        ("2027-03-05T23:59:59.999", 1000, Grace, "2027-03-06"),
        ("2027-03-06", 1000, Blocked, "2027-03-06"),
        ("2027-03-31T23:59:59.999", 1000, Blocked, "2027-03-06"),
        ("2027-04-01", 0, Within, ""),
        ("2027-04-05T10:00:00", 1500, Blocked, "2027-04-09"),
        ("2027-04-06T08:59:59.999", 1500, Blocked, "2027-04-09"),
        ("2027-04-06T09:00:00", 1500, Within, ""),
        // Less again, and at once.
        ("2027-04-20", 1500, Blocked, "2027-04-23"),
        ("2027-04-21", 1500, Within, ""),
        ("2027-05-03T10:00:00", 10_000, SoftExceeded, ""),
        ("2027-05-20T09:59:59.999", 10_000, SoftExceeded, ""),
        ("2027-05-20T10:00:00", 20_000, Blocked, ""),
        ("2027-05-31T23:59:59.999", 20_000, Blocked, ""),
        ("2027-06-01", 0, Within, ""),
        ("2027-06-01T10:00:00", 1200, Within, ""),
        // A limit that has long been passed when it begins to hold: the grace begins with it.
        ("2027-06-15T12:00:00", 1200, Grace, "2027-06-18T12:00:00"),
        ("2027-06-18T11:59:59.999", 1200, Grace, "2027-06-18T12:00:00"),
        ("2027-06-18T12:00:00", 1200, Blocked, "2027-06-18T12:00:00"),
        ("2027-07-31T23:59:59.998", 0, Within, ""),
        // The last instant of a month.
        ("2027-07-31T23:59:59.999", 1499, Grace, "2027-08-01"),
        ("2027-08-01", 0, Within, ""),
        ("2027-12-30T10:00:00", 1000, Grace, "2028-01-01"),
        ("2027-12-31T23:59:59.999", 1000, Grace, "2028-01-01"),
        ("2028-01-01", 999, Near, ""),
        ("2028-01-31T23:59:59.999", 999, Near, ""),
        ("2028-02-01", 0, Within, ""),
        // February has a 29th this time, on which the grace is over.
        ("2028-02-25T23:59:59.999", 1000, Grace, "2028-02-29"),
        ("2028-02-28T23:59:59.999", 1000, Grace, "2028-02-29"),
        ("2028-02-29", 1000, Blocked, "2028-02-29"),
        ("2028-02-29T23:59:59.999", 1000, Blocked, "2028-02-29"),
        ("2028-03-01", 0, Within, ""),
        ("2028-03-31T23:00:00", 1000, Grace, "2028-04-01"),
        ("2028-04-01", 0, Within, ""),
    ] {
        let found = story.at(time(at));
        let until = Some(grace_until).filter(|until| !until.is_empty()).map(time);
        assert_eq!((found.tokens.used, found.state(), found.tokens.grace_until), (used, state, until), "{at}");
    }
    // A month that is over stands as it ended, however long ago; one to come has nothing yet.
    let now = time("2030-01-01");
    for (month, state) in [("2027-02", Grace), ("2027-03", Blocked), ("2027-04", Within), ("2028-01", Near)] {
        assert_eq!(story.month(month.parse().expect("a month"), now).state(), state, "{month}");
    }
    assert_eq!(story.month("2027-03".parse().expect("a month"), time("2027-02-28")).state(), Within);
}

/// Lower limits that come by giving back a higher one, the user's own or the tenant's, begin with a grace of their own.
#[test]
fn what_is_given_back_gives_a_grace() {
    let (higher, back) = (assign("2027-02-01", plan("pro")), assign("2027-02-15", Grant::Inherit));
    let changes: Assignments = [higher, back].into_iter().collect();
    let month = "2027-02".parse().expect("a month");
    let days = [(3, tokens(1200))].into_iter().collect();
    let (plans, nothing) = (plans(), Assignments::default());
    for (tenant, user) in [(&changes, &nothing), (&nothing, &changes)] {
        for (at, state) in [
            ("2027-02-14T23:59:59.999", State::Within),
            ("2027-02-15", State::Grace),
            ("2027-02-17T23:59:59.999", State::Grace),
            ("2027-02-18", State::Blocked),
        ] {
            let force = plans.of_user(tenant, user, time(at)).expect("a known plan");
            let found = assess(Subject::User, &force, &days, month, time(at)).expect("small sums");
            assert_eq!(found.state(), state, "{at}");
        }
    }
}

#[test]
fn the_worse_metric_decides() {
    use State::{Blocked, Near, Within};
    let story = |used: &[(&str, i64, i64)]| Story {
        plans: plans(),
        user: [assign("2027-01-01", plan("mixed"))].into_iter().collect(),
        used: used.iter().map(|(at, tokens, cost)| (time(at), Spent { tokens: *tokens, cost: *cost })).collect(),
    };
    for (tokens, cost, of_tokens, of_cost, worst) in [
        (699, 699_999_999, Within, Within, Metric::Cost),
        (700, 699_999_999, Near, Within, Metric::Tokens),
        (699, 700_000_000, Within, Near, Metric::Cost),
        (700, 700_000_000, Near, Near, Metric::Tokens),
        (999, 2_000_000_000, Near, Blocked, Metric::Cost),
    ] {
        let found = story(&[("2027-01-05", tokens, cost)]).at(time("2027-01-05T23:00:00"));
        assert_eq!((found.tokens.state, found.cost.state), (of_tokens, of_cost), "{tokens} {cost}");
        assert_eq!(found.worst().metric, worst, "{tokens} {cost}");
    }
    // Each has its own grace: the cost's soft limit was passed a day later.
    let story = story(&[("2027-01-05", 1000, 0), ("2027-01-06", 0, 1_000_000_000)]);
    let found = story.at(time("2027-01-06T12:00:00"));
    assert_eq!((found.tokens.state, found.cost.state), (Blocked, State::Grace));
}

#[test]
fn near_is_the_highest_threshold_below_100_or_90() {
    for (thresholds, near) in [(vec![50, 80, 90, 100], 900), (vec![10, 100, 120], 100), (vec![100], 900), (vec![], 900)]
    {
        let limits = Limits { tokens: Limit { soft: None, hard: Some(1000) }, thresholds, ..Limits::default() };
        let force = InForce { limits: &limits, plan: None, since: None, until: None };
        let month = "2027-02".parse().expect("a month");
        let state = |used| {
            let days = [(3, tokens(used))].into_iter().collect();
            assess(Subject::Tenant, &force, &days, month, time("2027-02-03")).expect("small sums").state()
        };
        assert_eq!([near - 1, near, 999, 1000].map(state), [State::Within, State::Near, State::Near, State::Blocked]);
    }
}

#[test]
fn percent_is_rounded_down_and_at_most_100() {
    for (used, limit, expected) in [
        (0, 1_000_000, 0),
        (9_999, 1_000_000, 0),
        (10_000, 1_000_000, 1),
        (999_999, 1_000_000, 99),
        (1_000_000, 1_000_000, 100),
        (5_000_000, 1_000_000, 100),
        (1, 3, 33),
        (i64::MAX, i64::MAX, 100),
        (i64::MAX - 1, i64::MAX, 99),
        (i64::MAX, 1, 100),
    ] {
        assert_eq!(percent(used, Some(limit)), expected, "{used} of {limit}");
    }
    assert_eq!(percent(5, None), 0);
}

#[test]
fn a_sum_that_is_no_i64_is_refused() {
    let limits = Limits::default();
    let force = InForce { limits: &limits, plan: None, since: None, until: None };
    let days = [(1, tokens(i64::MAX)), (2, tokens(1))].into_iter().collect();
    let month = "2027-02".parse().expect("a month");
    assert_eq!(assess(Subject::Tenant, &force, &days, month, time("2027-02-03")), Err(Overflow));
}

/// The same events, in any order and cut into any flushes, give the same state at the same instant.
#[test]
fn the_state_does_not_depend_on_when_a_worker_ran() {
    for seed in 0..200 {
        let rng = &mut StdRng::seed_from_u64(seed);
        let events: Vec<_> = (0..40).map(|number| event(rng, number)).collect();
        let grants = ["pro", "free", "mixed"].map(|name| (rng.random_range(0..59), name));
        let mut assigned: Vec<_> = grants
            .into_iter()
            .map(|(day, name)| {
                let mut assignment = assign("2028-02-01", plan(name));
                assignment.effective.0 += day * DAY_MS;
                assignment.id = EventId::new(name).expect("an id");
                assignment
            })
            .collect();
        let asked: Vec<_> = (0..60).map(|_| TimeMs(time("2028-02-01").0 + rng.random_range(0..60 * DAY_MS))).collect();
        let mut expected = None;
        for _ in 0..4 {
            let mut log = events.clone();
            log.shuffle(rng);
            assigned.shuffle(rng);
            let months = counted(rng, &log);
            let (user, nothing, plans) = (assigned.iter().cloned().collect(), Assignments::default(), plans());
            let states: Vec<_> = asked
                .iter()
                .map(|now| {
                    let month = Month::of(now.to_utc());
                    let force = plans.of_user(&nothing, &user, *now).expect("a known plan");
                    let days = months.get(&month).cloned().unwrap_or_default();
                    assess(Subject::User, &force, &days, month, *now).expect("small sums")
                })
                .collect();
            let before = expected.get_or_insert_with(|| states.clone());
            let other = before.iter().zip(&states).find(|(before, now)| before != now);
            assert!(other.is_none(), "seed {seed}: {other:?}");
        }
        let states = expected.iter().flatten().map(Assessment::state);
        assert!(states.collect::<std::collections::HashSet<_>>().len() > 1, "seed {seed}: nothing ever happens");
    }
}

/// What a user's months hold once a log was counted in flushes of random lengths.
fn counted(rng: &mut StdRng, log: &[Event]) -> BTreeMap<Month, BTreeMap<u32, Spent>> {
    let mut months: BTreeMap<Month, MonthSums> = BTreeMap::new();
    let mut rest = log;
    while !rest.is_empty() {
        let (flush, later) = rest.split_at(rng.random_range(1..=rest.len()));
        rest = later;
        let rated = Rated { cost: crate::domain::money::NanoDollars(30_000_000), ..Rated::default() };
        let counted = |event| Counted { event, rated: &rated, log_time: TimeMs(0) };
        let delta = Delta::fold(flush.iter().map(counted)).expect("small sums");
        for (Scope { user, .. }, month, added) in delta.months() {
            if user.is_some() {
                let sums = months.entry(month).or_default();
                sums.add_within(&added.sums, Room::UNLIMITED).expect("small sums");
            }
        }
    }
    let days = |sums: MonthSums| {
        sums.days.into_iter().map(|(day, sum)| (day, Spent { tokens: sum.tokens, cost: sum.cost.0 })).collect()
    };
    months.into_iter().map(|(month, sums)| (month, days(sums))).collect()
}

fn event(rng: &mut StdRng, number: i64) -> Event {
    let start = time("2028-02-01").to_utc();
    Event {
        id: EventId::new(&number.to_string()).expect("an id"),
        source: Source::new("s").expect("an id"),
        time: start + TimeDelta::milliseconds(rng.random_range(0..60 * DAY_MS)),
        tenant: TenantId::new("t").expect("an id"),
        user: Some(UserId::new("u").expect("an id")),
        body: Body::Usage(Usage {
            assistant: Assistant::new("a").expect("an id"),
            provider: None,
            model: Model::new("m").expect("an id"),
            tokens_in: rng.random_range(0..150),
            tokens_out: 0,
            cached_tokens: 0,
            cache_write_tokens: 0,
            reasoning_tokens: 0,
            cost: None,
            latency_ms: None,
            tools: ToolCalls::new(),
            output: None,
        }),
    }
}
