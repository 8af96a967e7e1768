use std::io::Read as _;

use indelible::api::openapi;
use indelible::store::StoreError;

use super::fake::Mode;
use super::*;

const V1: [&str; 8] = [
    STATS,
    "/v1/tenants/acme/stats",
    "/v1/tenants/acme/users",
    "/v1/tenants/acme/usage",
    "/v1/tenants/acme/users/alice/usage",
    "/v1/tenants/acme/quota",
    "/v1/tenants/acme/users/alice/quota",
    "/v1/tenants/acme/users/alice/allow",
];

#[tokio::test]
async fn polling_an_unchanged_answer_costs_a_header() {
    for path in V1 {
        let first = get(&app(world()), path).await;
        let tag = first.header("etag");
        assert!(tag.starts_with("W/\""), "{path}: {tag}");
        assert_eq!(first.header("cache-control"), "private, no-cache");
        assert_eq!(first.header("indelible-as-of"), "2026-11-24T17:59:54.250Z");

        // Nothing was used, but the answer is fresher.
        let fresher = app(Fake { freshness: as_of("2026-11-24T17:59:59Z"), ..world() });
        let second = get_with(&fresher, path, &[("if-none-match", tag)]).await;
        assert_eq!((second.status.as_u16(), second.body.len()), (304, 0), "{path}");
        assert_eq!((second.header("etag"), second.header("content-type")), (tag, ""));
        assert_eq!(second.header("indelible-as-of"), "2026-11-24T17:59:59.000Z");

        let mut more = world();
        more.used(ALICE, "2026-11", ("chat", "large"), sum(1, 1, 1, 1));
        let third = get_with(&app(more), path, &[("if-none-match", tag)]).await;
        assert_eq!(third.status, StatusCode::OK, "{path}");
        assert_ne!(third.header("etag"), tag);
    }
}

#[tokio::test]
async fn if_none_match_is_a_list_compared_weakly() {
    let app = app(world());
    let tag = get(&app, STATS).await.header("etag").to_owned();
    let strong = tag.trim_start_matches("W/").to_owned();
    let list = format!("\"x\", {tag}");
    for (given, status) in [(&*tag, 304), (&strong, 304), (&list, 304), ("*", 304), ("\"x\"", 200), ("", 200)] {
        assert_eq!(get_with(&app, STATS, &[("if-none-match", given)]).await.status.as_u16(), status, "{given}");
    }
    let failing = self::app(Fake { mode: Mode::Fails(StoreError::Refused(String::new())), ..world() });
    assert_eq!(get_with(&failing, STATS, &[("if-none-match", "*")]).await.status.as_u16(), 503);
}

#[tokio::test]
async fn an_answer_is_compressed_for_those_who_can_read_it() {
    let app = app(world());
    let plain = get(&app, STATS).await;
    let packed = get_with(&app, STATS, &[("accept-encoding", "br, gzip")]).await;
    assert_eq!((packed.header("content-encoding"), packed.header("vary")), ("gzip", "accept-encoding"));
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "accept-encoding"));
    assert_eq!(packed.header("etag"), plain.header("etag"));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).expect("gzip");
    assert_eq!(unpacked, plain.body);

    let none = get_with(&app, STATS, &[("accept-encoding", "identity;q=0")]).await;
    assert_eq!((none.status.as_u16(), none.problem().as_str()), (406, "not-acceptable"));
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = app(world());
    for path in [STATS, "/openapi.json", "/nowhere", "/v1/tenants/acme/stats?x"] {
        let request = Request::head(path).body(Body::empty()).expect("a request");
        let (head, get) = (send(&app, request).await, get(&app, path).await);
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        for name in ["etag", "content-type", "indelible-as-of", "x-content-type-options"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
}

#[tokio::test]
async fn every_answer_bears_the_request_id_and_nosniff() {
    let app = app(world());
    let long = "x".repeat(129);
    for path in [STATS, "/nowhere", "/version"] {
        let answer = get_with(&app, path, &[("x-request-id", "req-1.a:B")]).await;
        assert_eq!((answer.header("x-request-id"), answer.header("x-content-type-options")), ("req-1.a:B", "nosniff"));
        for insane in ["", "a b", &long] {
            let id = get_with(&app, path, &[("x-request-id", insane)]).await.header("x-request-id").to_owned();
            assert!(id.len() == 32 && id != insane, "{id}");
        }
    }
    let ids = [get(&app, STATS).await, get(&app, STATS).await].map(|answer| answer.header("x-request-id").to_owned());
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn metrics_are_by_route_and_never_by_path() {
    let metrics = Arc::new(Metrics::new(&[]).expect("metrics"));
    let app = app_with(world(), Arc::clone(&metrics));
    get(&app, STATS).await;
    get(&app, "/v1/tenants/acme/stats?x").await;
    get(&app, "/secret").await;
    let request = Request::builder().method("PURGE").uri("/version").body(Body::empty()).expect("a request");
    send(&app, request).await;
    let text = metrics.scrape().expect("metrics");
    for labels in [
        "method=\"GET\",route=\"/v1/tenants/{tenant}/users/{user}/stats\",status=\"200\"",
        "method=\"GET\",route=\"/v1/tenants/{tenant}/stats\",status=\"400\"",
        "method=\"GET\",route=\"other\",status=\"404\"",
        "method=\"other\",route=\"/version\",status=\"405\"",
    ] {
        assert!(text.contains(&format!("indelible_api_requests_total{{{labels}}} 1")), "{labels} in {text}");
    }
    for private in ["alice", "acme", "secret", "PURGE"] {
        assert!(!text.contains(private), "{private} in {text}");
    }
}

#[tokio::test]
async fn failures_of_the_store_are_counted() {
    let metrics = Arc::new(Metrics::new(&[]).expect("metrics"));
    let app = app_with(Fake { mode: Mode::Fails(StoreError::Refused(String::new())), ..world() }, Arc::clone(&metrics));
    get(&app, STATS).await;
    assert!(metrics.scrape().expect("metrics").contains("indelible_store_errors_total{kind=\"refused\"} 1"));
}

#[tokio::test]
async fn the_version_is_that_of_the_package() {
    let expected = format!("{{\"name\":\"indelible\",\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(get(&app(world()), "/version").await.text(), expected);
}

pub(super) fn description() -> Value {
    serde_json::to_value(openapi()).expect("JSON")
}

#[tokio::test]
async fn every_route_and_status_is_described() {
    let description = description();
    assert_eq!(get(&app(world()), "/openapi.json").await.json(), description);
    let paths = description["paths"].as_object().expect("paths");
    let names: Vec<_> = paths.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "/openapi.json",
            "/v1/me/stats",
            "/v1/prices",
            "/v1/prices/mismatches",
            "/v1/tenants/{tenant}/quota",
            "/v1/tenants/{tenant}/stats",
            "/v1/tenants/{tenant}/usage",
            "/v1/tenants/{tenant}/users",
            "/v1/tenants/{tenant}/users/{user}/allow",
            "/v1/tenants/{tenant}/users/{user}/quota",
            "/v1/tenants/{tenant}/users/{user}/stats",
            "/v1/tenants/{tenant}/users/{user}/usage",
            "/version",
        ]
    );
    let operations = paths.iter().flat_map(|(path, item)| {
        let operations = item.as_object().expect("operations");
        operations.iter().map(move |(method, operation)| (method.as_str(), path, operation))
    });
    for (method, path, operation) in operations {
        let statuses: Vec<_> = operation["responses"].as_object().expect("responses").keys().collect();
        // What prices are in force is in memory.
        let store = path.starts_with("/v1") && *path != "/v1/prices";
        let mut expected = match (method, store) {
            ("put", _) => vec!["200", "400", "408", "409", "413", "422", "503", "504", "default"],
            (_, true) => vec!["200", "304", "400", "500", "503", "default"],
            _ => vec!["200", "304", "400", "default"],
        };
        // What is under /v1 asks for a credential, and for more than any where the store is asked.
        if path.starts_with("/v1") {
            expected.extend(["401", "429"]);
            expected.extend(store.then_some("403"));
            expected.extend((path.contains("{tenant}") || path.contains("/me/")).then_some("404"));
            let scopes = operation["security"][0]["bearer"].as_array().expect("a credential is asked for");
            assert_eq!(scopes.len(), usize::from(store), "{method} {path}");
        } else {
            assert_eq!(operation.get("security"), None, "{method} {path}");
        }
        expected.sort_unstable();
        assert_eq!(statuses, expected, "{method} {path}");
        let parameters = operation["parameters"].as_array();
        let in_path = parameters.map_or(0, |all| all.iter().filter(|p| p["in"] == "path").count());
        assert_eq!(in_path, path.matches('{').count(), "{method} {path}");
    }
}

#[test]
fn every_reference_of_the_description_leads_somewhere() {
    let (description, text) = (description(), description().to_string());
    let references: Vec<_> = text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(references.len() > 20, "{references:?}");
    for reference in references {
        assert!(description.pointer(reference).is_some(), "{reference}");
    }
}

/// Holds an answer to the schema that the description gives for it; a field that it does not name is a fault.
#[track_caller]
pub(super) fn check_described(
    description: &Value,
    (method, route): (&str, &str),
    status: &str,
    mime: &str,
    answer: &Answer,
) {
    let schema = &description["paths"][route][method]["responses"][status]["content"][mime]["schema"];
    assert!(schema.is_object(), "{route} {status} {mime}");
    let root = serde_json::json!({
        "$ref": "#/schema", "unevaluatedProperties": false,
        "schema": schema, "components": description["components"],
    });
    let validator = jsonschema::draft202012::new(&root).expect("a schema");
    let faults: Vec<_> = validator.iter_errors(&answer.json()).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{route} {status}: {faults:?} in {}", answer.text());
}

#[tokio::test]
async fn answers_are_as_described() {
    let description = description();
    let route = |path: &str| path.replace("acme", "{tenant}").replace("alice", "{user}");
    let empty = app(Fake::default());
    let failing = app(Fake { mode: Mode::Fails(StoreError::Refused(String::new())), ..world() });
    for path in V1.into_iter().chain(["/version"]) {
        let json = "application/json";
        check_described(&description, ("get", &route(path)), "200", json, &get(&app(world()), path).await);
        check_described(&description, ("get", &route(path)), "200", json, &get(&empty, path).await);
        let problem = "application/problem+json";
        let refused = get(&empty, &format!("{path}?x")).await;
        check_described(&description, ("get", &route(path)), "400", problem, &refused);
    }
    for path in V1 {
        check_described(
            &description,
            ("get", &route(path)),
            "503",
            "application/problem+json",
            &get(&failing, path).await,
        );
    }
}
