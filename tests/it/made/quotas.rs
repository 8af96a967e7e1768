//! Made-up plans and assignments: low limits, so that a few dozen requests pass most thresholds.

use indelible::domain::calendar::TimeMs;
use indelible::domain::event::{Assigned, Body, Event};
use indelible::domain::ids::{EventId, PlanName, Source, TenantId, UserId};
use indelible::domain::quota::{Grant, Limit, Limits, THRESHOLDS};
use indelible::quota::plans::{Plan, Plans};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::{DAY_MS, ROUND_COST, ROUND_TOKENS, USERS};

const NAMES: [&str; 2] = ["basic", "large plan"];
/// No plan file has it.
const UNKNOWN: &str = "gone";

fn name(text: &str) -> PlanName {
    PlanName::new(text).expect("an id")
}

/// What a worker would read from its plan file.
pub(crate) fn plans(rng: &mut StdRng) -> Plans {
    let mut plan = |crowd| Plan { user: limits(rng, 1), tenant: limits(rng, crowd) };
    let by_name = NAMES.iter().map(|text| (name(text), plan(3))).collect();
    let default = (Some(name("default")), plan(3));
    Plans { by_name, default }
}

/// In the reach of some `crowd` users with a handful of requests each, or a little beyond it.
fn limits(rng: &mut StdRng, crowd: i64) -> Limits {
    let limit = |rng: &mut StdRng, most: i64, round: i64| {
        let (mut soft, mut more) = (rng.random_range(1..=most), rng.random_range(0..=most));
        if rng.random() {
            (soft, more) = ((soft / round + 1) * round, more / round * round);
        }
        match rng.random_range(0..4) {
            0 => Limit { soft: Some(soft), hard: None },
            1 => Limit { soft: None, hard: Some(soft) },
            2 => Limit { soft: Some(soft), hard: Some(soft + more) },
            _ => Limit::default(),
        }
    };
    let few = vec![1, 33, 100, 250];
    Limits {
        tokens: limit(rng, crowd * 200_000, ROUND_TOKENS),
        cost: limit(rng, crowd * 15_000_000_000, ROUND_COST),
        grace_ms: rng.random_bool(0.3).then(|| rng.random_range(0..3) * DAY_MS),
        thresholds: [THRESHOLDS.to_vec(), few, Vec::new()].choose(rng).expect("not empty").clone(),
    }
}

/// A quota of a tenant or of one of its users.
pub(super) fn assigned(rng: &mut StdRng, id: &str, time: TimeMs, tenant: &str) -> Event {
    let user = rng.random_bool(0.6).then(|| USERS[rng.random_range(0..USERS.len())]);
    // Two of one instant now and then; the later one holds.
    let near = || TimeMs(time.0 / DAY_MS * DAY_MS);
    let effective = match rng.random_range(0..4) {
        0 => None,
        1 => Some(near()),
        2 => Some(TimeMs(time.0 - rng.random_range(0..40 * DAY_MS))),
        _ => Some(TimeMs(time.0 + rng.random_range(0..5 * DAY_MS))),
    };
    event(id, time, tenant, user, Assigned { effective, grant: grant(rng, user.map_or(3, |_| 1)) })
}

fn grant(rng: &mut StdRng, crowd: i64) -> Grant {
    match rng.random_range(0..10) {
        0..5 => Grant::Plan(name(NAMES[rng.random_range(0..NAMES.len())])),
        5..8 => Grant::Limits(limits(rng, crowd)),
        8 => Grant::Inherit,
        _ => Grant::Plan(name(UNKNOWN)),
    }
}

/// Of some tenants and some of their users, from before all else on.
pub(super) fn constant(rng: &mut StdRng, tenants: &[&str]) -> Vec<Event> {
    let mut events = Vec::new();
    for tenant in tenants {
        for user in USERS.iter().copied().map(Some).chain([None]) {
            if rng.random_bool(0.5) {
                let given = Assigned { effective: Some(TimeMs(0)), grant: grant(rng, user.map_or(3, |_| 1)) };
                let id = format!("q{}", events.len());
                events.push(event(&id, TimeMs(super::START_MS), tenant, user, given));
            }
        }
    }
    events
}

fn event(id: &str, time: TimeMs, tenant: &str, user: Option<&str>, assigned: Assigned) -> Event {
    Event {
        id: EventId::new(id).expect("an id"),
        source: Source::new("console").expect("an id"),
        time: time.to_utc(),
        tenant: TenantId::new(tenant).expect("an id"),
        user: user.map(|user| UserId::new(user).expect("an id")),
        body: Body::QuotaAssigned(assigned),
    }
}
