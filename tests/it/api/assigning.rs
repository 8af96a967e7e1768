//! PUT of a quota: the event that is written, how long it is waited for, and what is answered meanwhile.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use indelible::api::assign::Assigner;
use indelible::domain::calendar::TimeMs;
use indelible::domain::delta::Scope;
use indelible::domain::ids::{EventId, PlanName, Source};
use indelible::domain::quota::{Assignment, Assignments, Grant};
use indelible::ingest::quota_event::{Name, quota_event};
use indelible::quota::plans::Plan;
use indelible::store::StoreError;
use serde_json::json;

use super::fake::{Mode, scope};
use super::protocol::{check_described, description};
use super::*;

const TENANT: &str = "/v1/tenants/acme/quota";
const USER: &str = "/v1/tenants/acme/users/alice/quota";
const NOW: &str = "2026-11-24T18:00:00.000Z";

/// What becomes of an event that is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Fate {
    /// A worker applies it after so many milliseconds.
    Applied(u64),
    #[default]
    AppliedAtOnce,
    NotAcknowledged,
    NeverApplied,
}

/// Kafka and a worker, as far as an assignment needs them.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    assigned: Arc<Mutex<BTreeMap<Scope, Assignments>>>,
    fate: Fate,
    written: Arc<Mutex<Vec<(Scope, String)>>>,
}

impl Writer {
    pub(crate) fn into(assigned: &Arc<Mutex<BTreeMap<Scope, Assignments>>>) -> Self {
        Self { assigned: Arc::clone(assigned), ..Self::default() }
    }
}

impl Assigner for Writer {
    fn event(
        &self,
        scope: &Scope,
        quota: &[u8],
        id: EventId,
        now: DateTime<Utc>,
    ) -> Result<(Assignment, String), String> {
        let name = Name { source: Source::new("/indelible/test").expect("an id"), id, time: now };
        quota_event(scope, quota, &name).map_err(|reject| reject.detail)
    }

    fn send<'a>(&'a self, scope: &'a Scope, event: &'a str, _: DateTime<Utc>) -> BoxFuture<'a, Result<(), String>> {
        self.written.lock().expect("a lock").push((scope.clone(), event.to_owned()));
        let data: Value = serde_json::from_str(event).expect("JSON");
        let id = EventId::new(data["id"].as_str().expect("an id")).expect("an id");
        let own = |field: &str| data["data"][field].clone();
        // The same data gives the same assignment, whoever decodes it.
        let fields = ["plan", "limits", "inherit", "effectiveFrom"].map(|field| (field, own(field)));
        let quota = Value::from_iter(fields.into_iter().filter(|(_, value)| !value.is_null()));
        let made = self.event(scope, quota.to_string().as_bytes(), id, time(data["time"].as_str().expect("a time")));
        let (assigned, scope) = (Arc::clone(&self.assigned), scope.clone());
        let apply = move || {
            let (assignment, _) = made.expect("a quota");
            assigned.lock().expect("a lock").entry(scope).or_default().add(assignment);
        };
        match self.fate {
            Fate::AppliedAtOnce => apply(),
            Fate::Applied(after) => drop(tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(after)).await;
                apply();
            })),
            Fate::NotAcknowledged => return Box::pin(async { Err("host-1: no answer".to_owned()) }),
            Fate::NeverApplied => {}
        }
        Box::pin(async { Ok(()) })
    }
}

struct Stage {
    app: Router,
    written: Arc<Mutex<Vec<(Scope, String)>>>,
    assigned: Arc<Mutex<BTreeMap<Scope, Assignments>>>,
}

impl Stage {
    fn new(fate: Fate) -> Self {
        Self::over(world(), fate)
    }

    /// Two plans are in the file.
    fn over(fake: Fake, fate: Fate) -> Self {
        let (assigned, written) = (Arc::clone(&fake.assigned), Arc::default());
        let mut state = state(fake, Arc::new(Metrics::new(&[]).expect("metrics")));
        state.assigner = Arc::new(Writer { assigned: Arc::clone(&assigned), fate, written: Arc::clone(&written) });
        let mut plans = Plans::of_tokens(1_000_000);
        for name in ["pro", "team"] {
            plans.by_name.insert(PlanName::new(name).expect("an id"), Plan::default());
        }
        state.plans.store(Arc::new(plans));
        Self { app: router(state, open_door()), written, assigned }
    }

    async fn put(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::put(path).header("content-type", "application/json");
        send(&self.app, request.body(body.into()).expect("a request")).await
    }

    fn written(&self) -> Vec<Value> {
        let written = self.written.lock().expect("a lock");
        written.iter().map(|(_, event)| serde_json::from_str(event).expect("JSON")).collect()
    }
}

#[tokio::test]
async fn a_plan_is_written_applied_and_told() {
    let stage = Stage::new(Fate::AppliedAtOnce);
    for (path, user) in [(TENANT, None), (USER, Some("alice"))] {
        let answer = stage.put(path, r#"{"plan": "pro"}"#).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let event = stage.written().pop().expect("an event");
        let id = event["id"].as_str().expect("an id");
        assert_eq!(id.len(), 32);
        let mut data = json!({"tenantId": "acme", "plan": "pro"});
        let given = json!({"id": id, "source": "/indelible/test", "effectiveFrom": NOW, "plan": "pro"});
        let mut expected = json!({
            "tenantId": "acme", "assigned": given, "superseded": false, "inForce": given,
            "asOf": "2026-11-24T17:59:54.250Z", "lagSeconds": 5,
        });
        if let Some(user) = user {
            (data["userId"], expected["userId"]) = (json!(user), json!(user));
        }
        assert_eq!(
            event,
            json!({
                "specversion": "1.0", "type": "ai.quota.assigned.v1", "source": "/indelible/test", "id": id,
                "time": NOW, "datacontenttype": "application/json", "data": data,
            })
        );
        assert_eq!(answer.json(), expected);
        assert_eq!((answer.header("etag"), answer.header("cache-control")), ("", "private, no-cache"));
        assert_eq!(answer.header("indelible-as-of"), "2026-11-24T17:59:54.250Z");
    }
    let ids: Vec<_> = stage.written().into_iter().map(|event| event["id"].clone()).collect();
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn limits_come_back_exactly() {
    let stage = Stage::new(Fate::AppliedAtOnce);
    let limits = r#"{"limits": {"tokens": {"soft": 1e3, "hard": 9007199254740992}, "costCents": {"hard": "92233720368.54775807"},
        "graceSeconds": 60, "thresholds": [90, 50]}, "effectiveFrom": "2026-12-01T00:00:00+01:00"}"#;
    let answer = stage.put(USER, limits).await;
    let assigned = "\"limits\":{\"tokens\":{\"soft\":1000,\"hard\":9007199254740992},\
        \"costCents\":{\"soft\":null,\"hard\":92233720368.5477581},\"graceSeconds\":60,\"thresholds\":[50,90]}";
    assert!(answer.text().contains(assigned), "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["assigned"]["effectiveFrom"], "2026-11-30T23:00:00.000Z");
    assert_eq!((&answer["superseded"], &answer["inForce"]), (&json!(false), &Value::Null), "it is not December yet");
}

#[tokio::test]
async fn what_can_not_be_a_quota_is_refused_before_anything_is_written() {
    let stage = Stage::new(Fate::AppliedAtOnce);
    let large = format!("{{\"plan\":\"pro\"{}}}", " ".repeat(64 << 10));
    for (body, status, problem, part) in [
        ("", 422, "invalid-quota", "the quota is not JSON"),
        ("{}", 422, "invalid-quota", "plan, limits and inherit are missing"),
        ("[]", 422, "invalid-quota", "not an object"),
        (r#"{"plan":"pro","hard":1}"#, 422, "invalid-quota", "\"hard\" is no field of a quota"),
        (r#"{"limits":{"tokens":{"sotf":1}}}"#, 422, "invalid-quota", "\"limits.tokens.sotf\" is no field"),
        (r#"{"limits":{"tokens":{"soft":2,"hard":1}}}"#, 422, "invalid-quota", "limits.tokens has a soft limit above"),
        (r#"{"plan":"pro","effectiveFrom":"tomorrow"}"#, 422, "invalid-quota", "effectiveFrom \"tomorrow\" is not"),
        (r#"{"plan":"Pro"}"#, 409, "unknown-plan", "the plan \"Pro\" is not in the plan file"),
        (large.as_str(), 413, "body-too-large", "more than 65536 bytes"),
    ] {
        let answer = stage.put(USER, body.to_owned()).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, problem), "{}", answer.text());
        assert!(answer.json()["detail"].as_str().expect("a detail").contains(part), "{}", answer.text());
    }
    for (path, problem) in
        [("/v1/tenants/acme/quota?x=1", "invalid-parameter"), ("/v1/tenants/%00/quota", "invalid-id")]
    {
        let answer = stage.put(path, r#"{"plan":"pro"}"#).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, problem));
    }
    assert_eq!(stage.written(), [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn it_is_waited_for_until_it_is_applied() {
    let stage = Stage::new(Fate::Applied(9_500));
    let started = tokio::time::Instant::now();
    let answer = stage.put(TENANT, r#"{"inherit":true}"#).await;
    assert_eq!((answer.status, &answer.json()["assigned"]["inherit"]), (StatusCode::OK, &json!(true)));
    let waited = started.elapsed();
    assert!((9_500..9_800).contains(&waited.as_millis()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_applied_in_time_is_not_to_be_sent_again() {
    let not_counting = || StoreError::NotCounting { key: "the-key".to_owned() };
    let away = || StoreError::Unavailable("host-1".to_owned());
    let modes = [Mode::Works, Mode::Hangs, Mode::Fails(not_counting()), Mode::Fails(away())];
    for mode in modes {
        let stage = Stage::over(Fake { mode, ..world() }, Fate::NeverApplied);
        let put = stage.put(USER, r#"{"plan":"pro"}"#);
        let answer = tokio::time::timeout(Duration::from_millis(10_100), put).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (504, "not-applied-yet"));
        let id = stage.written()[0]["id"].as_str().expect("an id").to_owned();
        let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
        assert!(detail.contains(&id) && detail.contains("do not assign it again"), "{detail}");
        assert!(!answer.text().contains("the-key") && !answer.text().contains("host-1"), "{}", answer.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_comes_back_shows_it() {
    // Only the writer's side is told to wait: what is asked meanwhile answers that nothing is there.
    let stage = Stage::new(Fate::Applied(2_000));
    assert_eq!(stage.put(USER, r#"{"plan":"team"}"#).await.json()["inForce"]["plan"], "team");
}

#[tokio::test]
async fn without_kafka_there_is_a_503() {
    let stage = Stage::new(Fate::NotAcknowledged);
    let answer = stage.put(USER, r#"{"plan":"pro"}"#).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "kafka-unavailable"));
    assert_eq!(answer.header("retry-after"), "5");
    assert!(!answer.text().contains("host-1"), "{}", answer.text());
}

fn other(effective: &str, set_at: &str, plan: &str) -> Assignment {
    Assignment {
        effective: TimeMs::of(time(effective)),
        set_at: TimeMs::of(time(set_at)),
        source: Source::new("other").expect("an id"),
        id: EventId::new("other").expect("an id"),
        grant: Grant::Plan(PlanName::new(plan).expect("an id")),
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_assignment_supersedes_is_said_to_be() {
    // The same instant, and a later time than now; so it does not matter when a worker comes to ours.
    let stage = Stage::new(Fate::NeverApplied);
    let own = || scope("acme", Some("alice"));
    let of = |assignments: Vec<Assignment>| {
        stage.assigned.lock().expect("a lock").insert(own(), Assignments::from_iter(assignments))
    };
    of(vec![other("2026-11-01T00:00:00Z", "2026-11-24T18:00:00.001Z", "team")]);
    let body = r#"{"plan":"pro","effectiveFrom":"2026-11-01T00:00:00Z"}"#;
    let answer = stage.put(USER, body).await.json();
    assert_eq!((&answer["superseded"], &answer["inForce"]["plan"]), (&json!(true), &json!("team")));

    // As many later instants as are kept.
    let day = |day: usize| format!("2026-{:02}-{:02}T00:00:00Z", 1 + day / 25, 1 + day % 25);
    of((0..100).map(|n| other(&day(n), NOW, "team")).collect());
    let body = r#"{"plan":"pro","effectiveFrom":"2025-12-31T00:00:00Z"}"#;
    assert_eq!(stage.put(USER, body).await.json()["superseded"], true);

    // An earlier time for the same instant does not hold.
    let stage = Stage::new(Fate::AppliedAtOnce);
    let earlier = Assignments::from_iter([other("2026-11-01T00:00:00Z", "2026-11-24T17:59:59.999Z", "team")]);
    stage.assigned.lock().expect("a lock").insert(own(), earlier);
    let answer = stage.put(USER, r#"{"plan":"pro","effectiveFrom":"2026-11-01T00:00:00Z"}"#).await.json();
    assert_eq!((&answer["superseded"], &answer["inForce"]["plan"]), (&json!(false), &json!("pro")));
}

#[tokio::test]
async fn only_put_assigns() {
    for method in ["POST", "DELETE", "PATCH"] {
        let request = Request::builder().method(method).uri(USER).body(Body::empty()).expect("a request");
        let answer = send(&Stage::new(Fate::AppliedAtOnce).app, request).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (405, "method-not-allowed"));
        assert!(answer.header("allow").contains("PUT"), "{}", answer.header("allow"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let never = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let stage = Stage::new(Fate::AppliedAtOnce);
    let answer = tokio::time::timeout(Duration::from_secs(2), stage.put(USER, Body::from_stream(never))).await;
    let answer = answer.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (408, "request-timeout"));
}

#[tokio::test(start_paused = true)]
async fn answers_are_as_described() {
    let description = description();
    let (json, problem) = ("application/json", "application/problem+json");
    let limits = r#"{"limits":{"tokens":{"soft":1},"costCents":{"hard":"2.5"}}}"#;
    for (path, route) in [(TENANT, "/v1/tenants/{tenant}/quota"), (USER, "/v1/tenants/{tenant}/users/{user}/quota")] {
        let check = |status, mime, answer: &Answer| check_described(&description, ("put", route), status, mime, answer);
        let stage = Stage::new(Fate::AppliedAtOnce);
        for body in [r#"{"plan":"pro"}"#, r#"{"inherit":true}"#, limits] {
            check("200", json, &stage.put(path, body).await);
        }
        check("400", problem, &stage.put(&format!("{path}?x"), limits).await);
        check("409", problem, &stage.put(path, r#"{"plan":"none"}"#).await);
        check("422", problem, &stage.put(path, "{}").await);
        check("503", problem, &Stage::new(Fate::NotAcknowledged).put(path, limits).await);
        check("504", problem, &Stage::new(Fate::NeverApplied).put(path, limits).await);
    }
}
