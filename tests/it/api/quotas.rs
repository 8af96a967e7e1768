//! Quotas and the gate: figures, states and instants, over plans as a file would hold them.

use chrono::{DateTime, Utc};
use indelible::domain::ids::PlanName;
use indelible::domain::quota::{Grant, Limit, Limits};
use indelible::quota::file;
use serde_json::json;

use super::*;

const QUOTA: &str = "/v1/tenants/acme/users/alice/quota";
const OF_TENANT: &str = "/v1/tenants/acme/quota";
const ALLOW: &str = "/v1/tenants/acme/users/alice/allow";

const PLANS: &str = r#"
default = "free"
[plans.free.user]
tokens = { soft = 1000, hard = 1500 }
grace = "72h"
[plans.pro.user]
tokens = { soft = 4000, hard = 5000 }
cost = { hard = "25.00" }
[plans.pro.tenant]
cost = { soft = "100", hard = "200" }
thresholds = [75]
"#;

fn plan(name: &str) -> Grant {
    Grant::Plan(PlanName::new(name).expect("a name"))
}

fn plans(text: &str) -> Plans {
    file::read(text, 1_000_000).expect("no fault")
}

/// Alice, who has used so many tokens and nano-dollars, on the first of the month.
fn alice(tokens: i64, nanos: i64) -> Fake {
    let mut fake = Fake { freshness: as_of("2026-11-24T17:59:54.250Z"), ..Fake::default() };
    fake.used(ALICE, "2026-11", ("chat", "large"), sum(1, tokens, 0, nanos));
    fake
}

fn app_at(fake: Fake, now: fn() -> DateTime<Utc>) -> Router {
    let state = state(fake, Arc::new(Metrics::new(&[]).expect("metrics")));
    state.plans.store(Arc::new(plans(PLANS)));
    router(ApiState { now, ..state }, open_door())
}

/// On the 24th of November.
fn app_of(fake: Fake) -> Router {
    app_at(fake, || time("2026-11-24T18:00:00Z"))
}

#[tokio::test]
async fn a_user_by_the_tenants_plan() {
    let mut fake = alice(2000, 24_999_999_999);
    fake.assign("acme", None, "2026-11-20T00:00:00Z", plan("pro"));
    fake.assign("acme", None, "2026-12-24T00:00:00Z", plan("free"));
    let answer = get(&app_of(fake), QUOTA).await;
    assert_eq!(
        answer.json(),
        json!({
            "tenantId": "acme", "userId": "alice", "month": "2026-11",
            "plan": "pro", "since": "2026-11-20T00:00:00.000Z", "changesAt": "2026-12-24T00:00:00.000Z",
            "state": "near", "graceUntil": null,
            "reason": "the user has used $24.999999999 of $25: the hard limit is near",
            "tokens": {
                "soft": 4000, "hard": 5000, "used": 2000, "percent": 50,
                "ratio": {"numerator": 2000, "denominator": 4000}, "state": "within",
            },
            "cost": {
                "soft": null, "hard": {"amount": "25", "currency": "USD"},
                "used": {"amount": "24.999999999", "currency": "USD"}, "percent": 99,
                "ratio": {"numerator": 24_999_999_999_i64, "denominator": 25_000_000_000_i64}, "state": "near",
            },
            "graceSeconds": null, "thresholds": [50, 80, 90, 100],
            "asOf": "2026-11-24T17:59:54.250Z", "lagSeconds": 5,
        })
    );
}

#[tokio::test]
async fn a_tenant_as_a_whole() {
    let mut fake = alice(2000, 100_000_000_000);
    fake.used(("acme", "bob"), "2026-11", ("chat", "large"), sum(1, 0, 0, 50_000_000_000));
    let answer = get(&app_of(alice(5, 0)), OF_TENANT).await.json();
    assert_eq!((&answer["state"], &answer["plan"]), (&json!("within"), &json!("free")));
    assert_eq!((&answer["reason"], &answer["tokens"]["ratio"]), (&json!("nothing limits the tenant"), &Value::Null));
    fake.assign("acme", None, "2026-11-20T00:00:00Z", plan("pro"));
    // A user's own has nothing to do with it.
    fake.assign("acme", Some("alice"), "2026-11-20T00:00:00Z", plan("free"));
    let answer = get(&app_of(fake), OF_TENANT).await.json();
    assert_eq!(answer.get("userId"), None);
    assert_eq!((&answer["state"], &answer["cost"]["percent"]), (&json!("soft_exceeded"), &json!(100)));
    assert_eq!(answer["cost"]["ratio"], json!({"numerator": 150_000_000_000_i64, "denominator": 100_000_000_000_i64}));
    assert_eq!(answer["reason"], "the tenant has used $150, and the soft limit is $100; $200 will be refused");
}

#[tokio::test]
async fn states_as_the_months_instants_pass() {
    for (tokens, now, state, percent, until) in [
        (0, (|| time("2026-11-24T18:00:00Z")) as fn() -> _, "within", 0, None),
        (899, || time("2026-11-24T18:00:00Z"), "within", 89, None),
        (900, || time("2026-11-24T18:00:00Z"), "near", 90, None),
        (999, || time("2026-11-24T18:00:00Z"), "near", 99, None),
        // Reached on the 1st; 72 hours from that day's end.
        (1000, || time("2026-11-04T23:59:59.999Z"), "grace", 100, Some("2026-11-05T00:00:00.000Z")),
        (1000, || time("2026-11-05T00:00:00Z"), "blocked", 100, Some("2026-11-05T00:00:00.000Z")),
        (1499, || time("2026-11-30T23:59:59.999Z"), "blocked", 100, Some("2026-11-05T00:00:00.000Z")),
        (1500, || time("2026-11-01T00:00:00Z"), "blocked", 100, Some("2026-11-05T00:00:00.000Z")),
        // The month's first instant: what was used before is another month's.
        (1500, || time("2026-12-01T00:00:00Z"), "within", 0, None),
        (1500, || time("2027-11-01T00:00:00Z"), "within", 0, None),
    ] {
        let app = app_at(alice(tokens, 0), now);
        let (quota, stats) = (get(&app, QUOTA).await.json(), get(&app, STATS).await.json());
        let at = now();
        assert_eq!(quota["state"], state, "{tokens} at {at}: {quota}");
        assert_eq!((&quota["tokens"]["percent"], &quota["graceUntil"]), (&json!(percent), &json!(until)), "{at}");
        let shown =
            json!({"limitTokens": 1000, "usedTokens": quota["tokens"]["used"], "percent": percent, "state": state});
        assert_eq!(stats["quota"], shown, "{tokens} at {at}");
        let allow = get(&app, ALLOW).await.json();
        assert_eq!(
            (&allow["allowed"], &allow["state"]),
            (&json!(state != "blocked"), &json!(state)),
            "{tokens} at {at}"
        );
    }
    // A month that is over, as it ended; and one to come.
    let app = app_at(alice(1200, 0), || time("2027-02-28T12:00:00Z"));
    let state = async |month: &str| get(&app, &format!("{QUOTA}?month={month}")).await.json()["state"].clone();
    assert_eq!((state("2026-11").await, state("2027-12").await), (json!("blocked"), json!("within")));
}

#[tokio::test]
async fn the_gate() {
    for (tokens, query, expected) in [
        (0, "", json!({"allowed": true, "state": "within", "remainingTokens": 1500, "retryAt": null})),
        (0, "?tokens=1500", json!({"allowed": true, "state": "within", "remainingTokens": 1500, "retryAt": null})),
        (
            0,
            "?tokens=1501",
            json!({"allowed": false, "state": "within", "remainingTokens": 1500, "retryAt": "2026-11-28T00:00:00.000Z"}),
        ),
        (
            950,
            "?tokens=9223372036854775807",
            json!({"allowed": false, "state": "near", "remainingTokens": 550, "retryAt": "2026-11-28T00:00:00.000Z"}),
        ),
        (950, "?tokens=550", json!({"allowed": true, "state": "near", "remainingTokens": 550, "retryAt": null})),
        (
            950,
            "?tokens=551",
            json!({"allowed": false, "state": "near", "remainingTokens": 550, "retryAt": "2026-11-28T00:00:00.000Z"}),
        ),
        (
            1000,
            "?tokens=0",
            json!({"allowed": false, "state": "blocked", "remainingTokens": 0, "retryAt": "2026-11-28T00:00:00.000Z"}),
        ),
    ] {
        let mut fake = alice(tokens, 0);
        fake.assign("acme", Some("alice"), "2026-11-28T00:00:00Z", plan("pro"));
        let answer = get(&app_of(fake), &format!("{ALLOW}{query}")).await;
        let mut json = answer.json();
        let fields = json.as_object_mut().expect("an object");
        assert!(fields.remove("reason").is_some_and(|reason| reason.as_str().is_some_and(|text| !text.is_empty())));
        assert_eq!(fields.remove("asOf"), Some(json!("2026-11-24T17:59:54.250Z")));
        fields.remove("lagSeconds");
        assert_eq!((answer.status.as_u16(), &json), (200, &expected), "{tokens} {query}");
    }
    // Without anything known to change it is the month's end.
    let refused = get(&app_of(alice(1500, 0)), ALLOW).await.json();
    assert_eq!(refused["retryAt"], "2026-12-01T00:00:00.000Z");
    let never = get(&app_of(alice(0, 0)), &format!("{ALLOW}?tokens=1501")).await.json();
    assert_eq!((&never["allowed"], &never["retryAt"]), (&json!(false), &Value::Null));
    // The tenant's cost blocks a user who has used nothing.
    let mut fake = alice(0, 200_000_000_000);
    fake.assign("acme", None, "2026-11-20T00:00:00Z", plan("pro"));
    let refused = get(&app_of(fake), "/v1/tenants/acme/users/bob/allow").await.json();
    assert_eq!((&refused["allowed"], &refused["remainingTokens"]), (&json!(false), &json!(0)));
    let reason = refused["reason"].as_str().expect("a text");
    assert!(reason.starts_with("the tenant has used $200, and the hard limit is $200; refused until"), "{reason}");
}

#[tokio::test]
async fn limits_given_one_by_one_and_taken_back() {
    let tokens = Limit { soft: None, hard: Some(10) };
    let limits = Grant::Limits(Limits { tokens, grace_ms: Some(1500), thresholds: Vec::new(), ..Limits::default() });
    let mut fake = alice(5, 0);
    fake.assign("acme", Some("alice"), "2026-11-20T00:00:00Z", limits);
    let quota = get(&app_of(fake), QUOTA).await.json();
    assert_eq!((&quota["plan"], &quota["since"]), (&Value::Null, &json!("2026-11-20T00:00:00.000Z")));
    assert_eq!((&quota["tokens"]["hard"], &quota["tokens"]["percent"]), (&json!(10), &json!(50)));
    assert_eq!((&quota["graceSeconds"], &quota["thresholds"]), (&json!(1), &json!([])));
    let mut fake = alice(5, 0);
    fake.assign("acme", Some("alice"), "2026-11-20T00:00:00Z", plan("pro"));
    fake.assign("acme", Some("alice"), "2026-11-21T00:00:00Z", Grant::Inherit);
    let quota = get(&app_of(fake), QUOTA).await.json();
    assert_eq!((&quota["plan"], &quota["since"]), (&json!("free"), &json!("2026-11-21T00:00:00.000Z")));
}

#[tokio::test]
async fn a_plan_that_nobody_knows_is_a_409_until_the_file_has_it() {
    let mut fake = alice(5, 0);
    fake.assign("acme", None, "2026-11-20T00:00:00Z", plan("gold"));
    let state = state(fake, Arc::new(Metrics::new(&[]).expect("metrics")));
    let (plans_in_place, app) = (Arc::clone(&state.plans), router(state, open_door()));
    for path in [QUOTA, OF_TENANT, ALLOW, STATS] {
        let answer = get(&app, path).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (409, "unknown-plan"), "{path}");
        assert_eq!(
            answer.json()["detail"],
            "the plan \"gold\" was assigned and is not in the plan file; add it there, or assign another one"
        );
    }
    // What is read anew holds from the next request on, whichever way it goes.
    for (hard, allowed) in [(6, true), (5, false), (7, true)] {
        plans_in_place.store(Arc::new(plans(&format!("[plans.gold.user]\ntokens = {{ hard = {hard} }}"))));
        assert_eq!(get(&app, ALLOW).await.json()["allowed"], allowed, "{hard}");
    }
}

#[tokio::test]
async fn without_plans_a_user_has_the_tokens_of_the_settings() {
    let app = app(alice(1_500_000, 0));
    let quota = get(&app, QUOTA).await.json();
    assert_eq!((&quota["plan"], &quota["state"]), (&Value::Null, &json!("soft_exceeded")));
    assert_eq!(quota["tokens"]["soft"], 1_000_000);
    let allow = get(&app, &format!("{ALLOW}?tokens=1000000")).await.json();
    assert_eq!((&allow["allowed"], &allow["remainingTokens"]), (&json!(true), &Value::Null));
}
