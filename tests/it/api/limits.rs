//! Limits at the door: how often, how many at a time, how long, whose pages, and what every answer tells a browser.

use axum::http::HeaderValue;
use indelible::store::StoreError;

use super::authorisation::{api_key, ask, guarded, guarded_by};
use super::fake::Mode;
use super::*;

fn app_within(fake: Fake, limits: DoorLimits) -> Router {
    router(state(fake, Arc::new(Metrics::new(&[]).expect("metrics"))), Door::new(None, limits))
}

#[tokio::test]
async fn a_credential_that_asks_too_often_is_told_when_to_come_back() {
    let fields = "tenant = \"acme\"\nscopes = [\"usage:read:tenant\"]";
    let (slow, slow_key) = api_key(&format!("{fields}\nrequests_per_second = 1"));
    let (other, other_key) = api_key(fields);
    let app = guarded(guarded_by(&(slow + &other)), DoorLimits { rate: Some(1_000), ..limits() });
    let mut refused = None;
    for _ in 0..100 {
        let answer = ask(&app, "get", "/v1/tenants/acme/stats", Some(&slow_key)).await;
        if answer.status != StatusCode::OK {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a hundred within a second are too many");
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (429, "rate-limited"));
    assert_eq!((refused.header("retry-after"), refused.header("cache-control")), ("1", "no-store"));
    // Also where it would be told that nothing is there, and nobody else is held to it.
    assert_eq!(ask(&app, "get", "/v1/tenants/globex/stats", Some(&slow_key)).await.status.as_u16(), 429);
    assert_eq!(ask(&app, "get", "/v1/tenants/acme/stats", Some(&other_key)).await.status.as_u16(), 200);
}

#[tokio::test(start_paused = true)]
async fn one_request_too_many_is_turned_away_at_once() {
    let app = app_within(Fake { mode: Mode::Hangs, ..world() }, DoorLimits { concurrent: 2, ..limits() });
    for _ in 0..3 {
        let start = tokio::time::Instant::now();
        let at = async |app: &Router| (get(app, STATS).await, start.elapsed());
        let answers = futures::future::join_all((0..6).map(|_| at(&app))).await;
        let problems: Vec<_> = answers.iter().map(|(answer, took)| (answer.problem(), took.is_zero())).collect();
        let (shed, waited) = (("overloaded".to_owned(), true), ("store-unavailable".to_owned(), false));
        assert_eq!(
            problems,
            [&waited, &waited, &shed, &shed, &shed, &shed].map(Clone::clone),
            "and then there is room again"
        );
        for (answer, _) in answers {
            assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_given_up() {
    let app = app_within(
        Fake { mode: Mode::Hangs, ..world() },
        DoorLimits { timeout: Duration::from_millis(1_000), concurrent: 1, ..limits() },
    );
    for _ in 0..2 {
        let start = tokio::time::Instant::now();
        let answer = get(&app, STATS).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "timed-out"));
        assert_eq!((answer.header("retry-after"), start.elapsed()), ("1", Duration::from_millis(1_000)));
    }
}

#[tokio::test]
async fn pages_of_listed_origins_may_ask_and_no_others() {
    let (entry, key) = api_key("tenant = \"acme\"\nscopes = [\"usage:read:tenant\"]");
    let origins = vec![HeaderValue::from_static("https://app.example.com")];
    let app = guarded(guarded_by(&entry), DoorLimits { origins, ..limits() });
    let from = |origin: &'static str, method: &'static str| {
        let request = Request::builder().method(method).uri("/v1/tenants/acme/stats").header("origin", origin);
        let request = match method {
            "OPTIONS" => request
                .header("access-control-request-method", "GET")
                .header("access-control-request-headers", "authorization"),
            _ => request,
        };
        let app = app.clone();
        async move { send(&app, request.body(Body::empty()).expect("a request")).await }
    };
    let preflight = from("https://app.example.com", "OPTIONS").await;
    assert_eq!(preflight.status, StatusCode::OK);
    assert_eq!(preflight.header("access-control-allow-origin"), "https://app.example.com");
    assert!(preflight.header("access-control-allow-headers").contains("authorization"));
    assert_eq!(preflight.header("access-control-allow-credentials"), "", "no cookie is ever of use");
    let refused = from("https://app.example.com", "GET").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.header("access-control-allow-origin"), "https://app.example.com", "a page can read why");
    for stranger in ["https://app.example.com.evil.example", "http://app.example.com", "null", "https://evil.example"] {
        for method in ["OPTIONS", "GET"] {
            assert_eq!(from(stranger, method).await.header("access-control-allow-origin"), "", "{method} {stranger}");
        }
    }
    let closed = guarded(guarded_by(&entry), limits());
    let request = Request::get("/v1/tenants/acme/stats").header("origin", "https://app.example.com");
    let request = request.header("authorization", format!("Bearer {key}")).body(Body::empty()).expect("a request");
    let answer = send(&closed, request).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (StatusCode::OK, ""), "none is listed");
}

#[tokio::test]
async fn every_answer_tells_browsers_to_make_nothing_of_it() {
    let failing = Fake { mode: Mode::Fails(StoreError::Refused(String::new())), ..world() };
    let (open, failing) = (app(world()), app(failing));
    let guarded = guarded(guarded_by(""), limits());
    let full = app_within(world(), DoorLimits { concurrent: 0, ..limits() });
    for (app, path, status) in [
        (&open, STATS, 200),
        (&open, "/version", 200),
        (&open, "/nowhere", 404),
        (&open, "/v1/tenants/acme/stats?x", 400),
        (&failing, STATS, 503),
        (&guarded, STATS, 401),
        (&full, "/version", 503),
    ] {
        let answer = get(app, path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
        assert!(["private, no-cache", "no-store"].contains(&answer.header("cache-control")), "{path}");
    }
}

const CSV: (&str, &str) = ("accept", "text/csv");

#[tokio::test]
async fn lists_are_tables_for_whoever_asks_for_one() {
    let mut fake = world();
    fake.used(("acme", "o'neil, \"x\""), "2026-11", ("chat", "large"), sum(1, 1, 1, 1));
    let app = app(fake);
    let path = "/v1/tenants/acme/users?limit=2";
    let first = get_with(&app, path, &[CSV]).await;
    assert_eq!(first.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(
        first.text(),
        "userId,requests,tokensIn,tokensOut,totalTokens,cachedTokens,reasoningTokens,cost,charge,currency,\
         unpricedRequests,averageLatencyMs\r\n\
         alice,6,1100,515,1615,550,128,57.868362001,57.868362001,USD,0,1000\r\n\
         bob,9,2000000,0,2000000,1000000,0,0.000000005,0.000000005,USD,0,1000\r\n"
    );
    assert_eq!(first.header("indelible-as-of"), "2026-11-24T17:59:54.250Z");
    let next =
        first.header("link").strip_prefix("<?").and_then(|rest| rest.strip_suffix(">; rel=\"next\"")).expect("a link");
    let second = get_with(&app, &format!("/v1/tenants/acme/users?{next}"), &[CSV]).await;
    assert!(second.text().ends_with("\r\n\"o'neil, \"\"x\"\"\",1,1,1,2,0,0,0.000000001,0.000000001,USD,0,1000\r\n"));
    assert_eq!(second.header("link"), "");

    let usage = "/v1/tenants/acme/users/alice/usage?bucket=month&from=2026-10&to=2026-12";
    let series = get_with(&app, usage, &[CSV]).await;
    assert_eq!(
        series.text(),
        "start,end,requests,totalTokens,cost,charge,currency\r\n\
         2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,0,0,0,0,USD\r\n\
         2026-11-01T00:00:00Z,2026-12-01T00:00:00Z,6,1615,57.868362001,57.868362001,USD\r\n"
    );
    for path in [path, usage] {
        let (json, csv) = (get(&app, path).await, get_with(&app, path, &[CSV]).await);
        assert_eq!(json.header("content-type"), "application/json");
        assert_ne!(json.header("etag"), csv.header("etag"));
        let vary = |answer: &Answer| {
            answer.headers.get_all("vary").iter().map(|v| v.to_str().expect("text").to_owned()).collect::<Vec<_>>()
        };
        let expected: Vec<String> = vec!["accept-encoding".to_owned(), "accept".to_owned()];
        assert_eq!([vary(&json), vary(&csv)], [expected.clone(), expected]);
        let again = get_with(&app, path, &[CSV, ("if-none-match", csv.header("etag"))]).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
        let refused = get_with(&app, &path.replace('?', "?x=1&"), &[CSV]).await;
        assert_eq!(refused.header("content-type"), "application/problem+json");
    }
}
