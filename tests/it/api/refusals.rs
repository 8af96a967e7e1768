use std::time::Duration;

use indelible::store::{StoreError, Unfit};

use super::fake::Mode;
use super::*;

#[tokio::test]
async fn bad_requests() {
    let app = app(world());
    let long = "x".repeat(257);
    let foreign = |query: &str, path: &str| (query.to_owned(), path.to_owned());
    let first = get(&app, "/v1/tenants/acme/users?limit=1").await.json();
    let cursor = first["nextCursor"].as_str().expect("a cursor");
    let cases = [
        ("/v1/tenants/acme/stats?mont=2026-11", "invalid-parameter"),
        ("/v1/tenants/acme/stats?Month=2026-11", "invalid-parameter"),
        ("/v1/tenants/acme/stats?month=2026-11&month=2026-11", "invalid-parameter"),
        ("/v1/tenants/acme/stats?month=", "invalid-parameter"),
        ("/v1/tenants/acme/stats?month", "invalid-parameter"),
        ("/v1/tenants/acme/stats?month=2026-13", "invalid-parameter"),
        ("/v1/tenants/acme/stats?month=2026-1", "invalid-parameter"),
        ("/v1/tenants/acme/stats?month=%ff", "invalid-parameter"),
        ("/v1/tenants/acme/users/alice/stats?sort=cost", "invalid-parameter"),
        ("/version?x=1", "invalid-parameter"),
        ("/openapi.json?x", "invalid-parameter"),
        ("/v1/tenants/acme/users?sort=name", "invalid-parameter"),
        ("/v1/tenants/acme/users?sort=Cost", "invalid-parameter"),
        ("/v1/tenants/acme/users?limit=0", "invalid-parameter"),
        ("/v1/tenants/acme/users?limit=501", "invalid-parameter"),
        ("/v1/tenants/acme/users?limit=-1", "invalid-parameter"),
        ("/v1/tenants/acme/users?limit=1.5", "invalid-parameter"),
        ("/v1/tenants/acme/users?limit=99999999999", "invalid-parameter"),
        ("/v1/tenants/acme/users?cursor=", "invalid-cursor"),
        ("/v1/tenants/acme/users?cursor=!", "invalid-cursor"),
        ("/v1/tenants/acme/users?cursor=WzFd", "invalid-cursor"),
        ("/v1/tenants/acme/usage?bucket=week", "invalid-parameter"),
        ("/v1/tenants/acme/usage?from=", "invalid-parameter"),
        ("/v1/tenants/acme/usage?from=2026-11", "invalid-parameter"),
        ("/v1/tenants/acme/usage?from=2026-11-31", "invalid-parameter"),
        ("/v1/tenants/acme/usage?from=2026-11-1", "invalid-parameter"),
        ("/v1/tenants/acme/usage?from=%2B026-11-01", "invalid-parameter"),
        ("/v1/tenants/acme/usage?from=2026-11-24T01:00:00Z", "invalid-parameter"),
        ("/v1/tenants/acme/usage?from=2026-11-24T00:00:00%2B01:00", "invalid-parameter"),
        ("/v1/tenants/acme/usage?bucket=month&from=2026-11-02", "invalid-parameter"),
        ("/v1/tenants/acme/usage?bucket=month&from=2026-11-01T00:00:00.001Z", "invalid-parameter"),
        ("/v1/tenants/acme/usage?bucket=month&from=%E6%97%A5%E6%9C%AC", "invalid-parameter"),
        ("/v1/tenants/acme/usage?from=2026-11-24&to=2026-11-24", "invalid-parameter"),
        ("/v1/tenants/acme/usage?from=2026-11-25", "invalid-parameter"),
        ("/v1/tenants/acme/usage?from=2025-11-01&to=2026-12-07", "invalid-parameter"),
        ("/v1/tenants/acme/usage?bucket=month&from=2016-10&to=2026-11", "invalid-parameter"),
        ("/v1/tenants/acme/quota?month=2026-13", "invalid-parameter"),
        ("/v1/tenants/acme/users/alice/quota?tokens=1", "invalid-parameter"),
        ("/v1/tenants/acme/users/alice/allow?month=2026-11", "invalid-parameter"),
        ("/v1/tenants/acme/users/alice/allow?tokens=", "invalid-parameter"),
        ("/v1/tenants/acme/users/alice/allow?tokens=-1", "invalid-parameter"),
        ("/v1/tenants/acme/users/alice/allow?tokens=%2B1", "invalid-parameter"),
        ("/v1/tenants/acme/users/alice/allow?tokens=1.5", "invalid-parameter"),
        ("/v1/tenants/acme/users/alice/allow?tokens=9223372036854775808", "invalid-parameter"),
        ("/v1/tenants/acme/users/%20/allow", "invalid-id"),
        ("/v1/tenants/a%00b/stats", "invalid-id"),
        ("/v1/tenants/a%0Ab/stats", "invalid-id"),
        ("/v1/tenants/%20/stats", "invalid-id"),
        ("/v1/tenants/%ff/stats", "invalid-id"),
        ("/v1/tenants/acme/users/a%E2%80%A8b/stats", "invalid-id"),
        ("/v1/tenants/acme/users/%ff/usage", "invalid-id"),
    ];
    let made = [
        foreign(&format!("/v1/tenants/{long}/stats"), "invalid-id"),
        foreign(&format!("/v1/tenants/other/users?cursor={cursor}"), "invalid-cursor"),
        foreign(&format!("/v1/tenants/acme/users?month=2026-10&cursor={cursor}"), "invalid-cursor"),
        foreign(&format!("/v1/tenants/acme/users?sort=tokens&cursor={cursor}"), "invalid-cursor"),
        foreign(&format!("/v1/tenants/acme/users?cursor={cursor}A"), "invalid-cursor"),
        foreign(&format!("/v1/tenants/acme/users?cursor={}", &cursor[1..]), "invalid-cursor"),
    ];
    for (path, problem) in cases.iter().map(|(path, problem)| foreign(path, problem)).chain(made) {
        let answer = get(&app, &path).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (400, problem), "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

#[tokio::test]
async fn a_refusal_says_what_would_be_right() {
    let app = app(world());
    for (path, detail) in [
        ("/v1/tenants/acme/stats?month=2026-13", "month: \"2026-13\" is not a month such as 2026-11"),
        ("/v1/tenants/acme/stats?x=1", "x: unknown field `x`, expected `month`"),
        ("/v1/tenants/acme/users?limit=0", "limit: 0 is not from 1 to 500"),
        (
            "/v1/tenants/acme/users/alice/allow?tokens=many",
            "tokens: \"many\" is not a whole number from 0 to 9223372036854775807",
        ),
        ("/v1/tenants/acme/users?cursor=x", "`cursor` is not a `nextCursor` of this version; start again without it"),
        (
            "/v1/tenants/acme/usage?from=2026-11-24T01:00:00Z",
            "from: \"2026-11-24T01:00:00Z\" is not a day such as 2026-11-24 or the start of one in UTC such as \
             2026-11-24T00:00:00Z",
        ),
        (
            "/v1/tenants/a%00b/stats",
            "the tenant holds the control character '\\0'; an id is 1 to 256 bytes of printable text",
        ),
    ] {
        assert_eq!(get(&app, path).await.json()["detail"], detail, "{path}");
    }
}

#[tokio::test]
async fn a_problem_is_that_of_rfc_9457() {
    let answer = get_with(&app(world()), "/nowhere", &[("x-request-id", "r-1")]).await;
    insta::assert_snapshot!(answer.text(), @r#"{"type":"urn:indelible:problem:not-found","title":"No such resource","status":404,"detail":"nothing is served here; /openapi.json lists what is","requestId":"r-1"}"#);
    assert_eq!((answer.status.as_u16(), answer.header("x-request-id")), (404, "r-1"));
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    for method in ["POST", "DELETE", "OPTIONS", "PURGE"] {
        let request = Request::builder().method(method).uri(STATS).body(Body::empty()).expect("a request");
        let answer = send(&app(world()), request).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (405, "method-not-allowed"));
        assert_eq!(answer.header("allow"), "GET,HEAD");
    }
}

#[tokio::test]
async fn a_failing_store_is_an_error_and_never_a_zero() {
    let corrupt = StoreError::Corrupt { key: "the-key".to_owned(), detail: "is a list".to_owned() };
    for (error, status, problem, retry_after) in [
        (StoreError::Unavailable("host-1".to_owned()), 503, "store-unavailable", "1"),
        (StoreError::Refused("LOADING".to_owned()), 503, "store-unavailable", "1"),
        (StoreError::NotCounting { key: "the-key".to_owned() }, 503, "not-counting", "5"),
        (StoreError::Unusable("layout 7".to_owned()), 503, "store-unusable", ""),
        (Unfit::Eviction { policy: "layout 7".to_owned() }.into(), 503, "store-unusable", ""),
        (corrupt, 500, "store-damaged", ""),
    ] {
        let app = app(Fake { mode: Mode::Fails(error), ..world() });
        for path in ["users/alice/stats", "stats", "users", "usage", "quota", "users/alice/quota", "users/alice/allow"]
        {
            let path = &format!("/v1/tenants/acme/{path}");
            let answer = get(&app, path).await;
            assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, problem), "{path}");
            assert_eq!(answer.header("retry-after"), retry_after);
            for secret in ["host-1", "the-key", "layout 7"] {
                assert!(!answer.text().contains(secret), "{}", answer.text());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_a_503_within_two_seconds() {
    let app = app(Fake { mode: Mode::Hangs, ..world() });
    for path in ["users/alice/stats", "users", "usage", "usage?bucket=month", "quota", "users/alice/allow"] {
        let path = &format!("/v1/tenants/acme/{path}");
        let answer = tokio::time::timeout(Duration::from_secs(2), get(&app, path)).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "store-unavailable"));
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(get(&app, "/version").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_next_request_is_answered() {
    let app = app(Fake { mode: Mode::Panics, ..world() });
    for _ in 0..2 {
        let answer = get(&app, STATS).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (500, "internal"));
        assert!(!answer.text().contains("the reader panics"));
    }
}

#[tokio::test]
async fn a_sum_that_is_no_i64_is_refused() {
    for (path, one, other) in [
        (STATS, sum(1, 0, 0, i64::MAX), sum(1, 0, 0, 1)),
        (STATS, sum(1, i64::MAX, 0, 0), sum(1, 1, 0, 0)),
        (STATS, sum(1, i64::MAX, 0, 0), sum(1, 0, 1, 0)),
        ("/v1/tenants/acme/stats", sum(i64::MAX, 0, 0, 0), sum(1, 0, 0, 0)),
        ("/v1/tenants/acme/usage?bucket=month", sum(1, i64::MAX, 0, 0), sum(1, 0, 1, 0)),
    ] {
        let mut fake = Fake::default();
        fake.used(ALICE, "2026-11", ("chat", "a"), one);
        fake.used(ALICE, "2026-10", ("chat", "b"), one);
        fake.used(ALICE, "2026-11", ("chat", "b"), other);
        let answer = get(&app(fake), path).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (500, "overflow"), "{path}");
    }
}
