//! Ids in paths: whatever they hold, they come through decoded once, and reach one tenant and user.

use std::collections::BTreeSet;
use std::sync::Mutex;

use indelible::domain::calendar::Month;
use indelible::domain::delta::Scope;
use indelible::domain::ids::{OutputKind, TenantId, UserId};
use indelible::store::keys::{Keyspace, encode, quota_field};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::fake::scope;
use super::*;

/// Texts that mean something to a path, a key, a pattern, a shell or a log.
pub(super) const HOSTILE: [&str; 24] = [
    "a:b", "a", "b", "{33h}", "}", "{", "..", ".", "../acme", "a/b", "/", "%", "%2e%2e", "%25", "a%3Ab", "a|b", "*",
    "[a]", "a b", "\"'\\", "日本", "é", "e\u{301}", "other",
];

fn ids() -> impl Strategy<Value = String> {
    let long = "[a:%/é]{60,128}".prop_filter("at most 256 bytes", |text| text.len() <= 256);
    let any = "\\PC{1,8}".prop_filter("an id", |text| TenantId::new(text).is_ok());
    prop_oneof![
        3 => prop::sample::select(&HOSTILE[..]).prop_map(str::to_owned),
        2 => "[ab:%{}|/.]{1,4}",
        2 => any,
        1 => long,
    ]
}

fn encoded(id: &str) -> String {
    utf8_percent_encode(id, NON_ALPHANUMERIC).to_string()
}

/// All places in which anything of a user lies: keys, and fields of keys that users share.
fn places(Scope { tenant, user }: &Scope) -> BTreeSet<(String, String)> {
    let (keys, month) = (Keyspace::new("n"), "2026-11".parse::<Month>().expect("a month"));
    let user = user.as_ref().expect("a user");
    let saved = keys.saved(tenant, user, &OutputKind::new("website").expect("an id"));
    [
        (keys.users(tenant, month), encode(user.as_str()).into_owned()),
        (keys.quota(tenant), quota_field(Some(user))),
        (saved, String::new()),
    ]
    .into()
}

#[test]
fn two_users_never_share_a_place_and_none_has_a_tenants() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(4_000));
    let pairs = (ids(), ids(), ids(), ids());
    let ran = runner.run(&pairs, |(tenant, user, other_tenant, other_user)| {
        let (one, other) = (scope(&tenant, Some(&user)), scope(&other_tenant, Some(&other_user)));
        let (mine, theirs) = (places(&one), places(&other));
        prop_assert_eq!(mine == theirs, one == other);
        prop_assert_eq!(mine.is_disjoint(&theirs), one != other);
        // What the tenant has as a whole is no user's.
        let (keys, month) = (Keyspace::new("n"), "2026-11".parse::<Month>().expect("a month"));
        for tenant in [&one.tenant, &other.tenant] {
            let own = [keys.month(tenant, month), keys.months(tenant), keys.saved_counts(tenant)];
            prop_assert!(own.iter().all(|key| mine.iter().all(|(users, _)| users != key)));
            prop_assert!(!mine.contains(&(keys.quota(tenant), quota_field(None))));
        }
        Ok(())
    });
    ran.expect("no two share one");
}

/// Keeps whom it was asked about.
struct Witness(Arc<Mutex<Vec<Scope>>>);

impl Witness {
    fn app() -> (Router, Arc<Mutex<Vec<Scope>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut state = state(world(), Arc::new(Metrics::new(&[]).expect("metrics")));
        state.assigner = Arc::new(Self(Arc::clone(&seen)));
        (router(state, open_door()), seen)
    }
}

impl indelible::api::assign::Assigner for Witness {
    fn event(
        &self,
        scope: &Scope,
        _: &[u8],
        _: indelible::domain::ids::EventId,
        _: chrono::DateTime<chrono::Utc>,
    ) -> Result<(indelible::domain::quota::Assignment, String), String> {
        self.0.lock().expect("a lock").push(scope.clone());
        Err("seen".to_owned())
    }

    fn send<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a str,
        _: chrono::DateTime<chrono::Utc>,
    ) -> futures::future::BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(future)
}

#[test]
fn an_id_comes_through_decoded_once() {
    let (app, seen) = Witness::app();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1_000));
    let ran = runner.run(&(ids(), ids()), |(tenant, user)| {
        let path = format!("/v1/tenants/{}/users/{}/quota", encoded(&tenant), encoded(&user));
        let answer = run(send(&app, Request::put(&path).body(Body::empty()).expect("a request")));
        prop_assert_eq!(answer.status.as_u16(), 422, "{}: {}", path, answer.text());
        prop_assert_eq!(seen.lock().expect("a lock").pop(), Some(scope(&tenant, Some(&user))));
        let stats = run(get(&app, &format!("/v1/tenants/{}/users/{}/stats", encoded(&tenant), encoded(&user)))).json();
        prop_assert_eq!((&stats["tenantId"], &stats["userId"]), (&Value::from(tenant), &Value::from(user)));
        Ok(())
    });
    ran.expect("every id comes through");
}

/// A credential of one tenant, and any path at all: numbers of another tenant are in no answer.
#[test]
fn no_path_leads_to_another_tenant() {
    let (entry, key) = authorisation::api_key("tenant = \"acme\"\nuser = \"alice\"\nscopes = [\"usage:read:tenant\"]");
    let app = authorisation::guarded(authorisation::guarded_by(&entry), limits());
    let part = prop_oneof![
        ids().prop_map(|id| encoded(&id)),
        Just("acme".to_owned()),
        "[a-c:%0-9A-F./{}?#&=+ ;@]{0,6}".prop_map(|text| text.replace([' ', '{', '}'], "%00")),
    ];
    let rest =
        prop::sample::select(&["stats", "users", "usage", "quota", "users/alice/stats", "users/x/quota", ""][..]);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(2_000));
    let ran = runner.run(&(part.clone(), rest, part), |(tenant, rest, query)| {
        let path = format!("/v1/tenants/{tenant}/{rest}?{query}");
        let Ok(request) = Request::get(&path).header("authorization", format!("Bearer {key}")).body(Body::empty())
        else {
            return Ok(());
        };
        let answer = run(send(&app, request));
        let status = answer.status.as_u16();
        prop_assert!(matches!(status, 200 | 400 | 404 | 405), "{path}: {status}");
        if status == 200 {
            prop_assert_eq!(&answer.json()["tenantId"], "acme", "{}", path);
        }
        Ok(())
    });
    ran.expect("none does");
}

/// Whatever stands in a query, the answer is one that is described.
#[test]
fn no_query_breaks_an_endpoint() {
    let app = app(world());
    let name = prop::sample::select(
        &["month", "sort", "limit", "cursor", "from", "to", "bucket", "tokens", "at", "x", ""][..],
    );
    let value = prop_oneof![
        "[0-9TZ:.+-]{0,24}",
        "\\PC{0,12}",
        prop::sample::select(
            &[
                "2026-11",
                "0000-01",
                "9999-12",
                "10000-01",
                "-1",
                "18446744073709551616",
                "day",
                "month",
                "9999-12-31",
                "0000-01-01",
                "2026-02-30",
                "cost",
                "WzEsIngiXQ",
                "1e9"
            ][..]
        )
        .prop_map(str::to_owned),
    ];
    let query = prop::collection::vec((name, value, any::<bool>()), 0..4);
    let path = prop::sample::select(
        &[
            "/v1/tenants/acme/stats",
            "/v1/tenants/acme/users",
            "/v1/tenants/acme/usage",
            "/v1/tenants/acme/quota",
            "/v1/tenants/acme/users/alice/allow",
            "/v1/prices",
            "/v1/prices/mismatches",
            "/version",
        ][..],
    );
    let mut runner = TestRunner::new(ProptestConfig::with_cases(3_000));
    let ran = runner.run(&(path, query), |(path, query)| {
        let written = |(name, value, raw): &(&str, String, bool)| {
            format!("{name}={}", if *raw { value.replace(|c: char| !c.is_ascii_graphic(), "") } else { encoded(value) })
        };
        let uri = format!("{path}?{}", query.iter().map(written).collect::<Vec<_>>().join("&"));
        let Ok(request) = Request::get(&uri).body(Body::empty()) else { return Ok(()) };
        let answer = run(send(&app, request));
        prop_assert!(matches!(answer.status.as_u16(), 200 | 400), "{uri}: {} {}", answer.status, answer.text());
        Ok(())
    });
    ran.expect("none does");
}

#[test]
fn what_is_no_id_is_refused_alike_for_every_credential() {
    let (entry, key) = authorisation::api_key("tenant = \"acme\"\nscopes = [\"usage:read:tenant\"]");
    let app = authorisation::guarded(authorisation::guarded_by(&entry), limits());
    for bad in ["%00", "a%0Ab", "%ff", "%20", &"x".repeat(257), "%E2%80%A8"] {
        for path in [format!("/v1/tenants/{bad}/stats"), format!("/v1/tenants/acme/users/{bad}/stats")] {
            let request = Request::get(&path).header("authorization", format!("Bearer {key}"));
            let answer = run(send(&app, request.body(Body::empty()).expect("a request")));
            assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "invalid-id"), "{path}");
        }
    }
    assert!(UserId::new(&"x".repeat(256)).is_ok());
}
