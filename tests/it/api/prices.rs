use indelible::domain::counters::Mismatch;
use indelible::domain::ids::Model;
use indelible::domain::money::NanoDollars;
use indelible::store::StoreError;
use serde_json::json;

use super::fake::Mode;
use super::*;

const TABLE: &str = r#"
markup = "12.5"
[tolerance]
percent = "2"
floor = "0.00001"
[[price]]
provider = "acme"
model = ["large", "large-*"]
input = "3"
output = "15"
cache_read = "0.30"
markup = "-5"
[[price.tier]]
above = 200_000
input = "6"
output = "22.50"
cache_read = "0.60"
[price.tools]
webSearch = "0.01"
[[price]]
provider = "acme"
model = "large"
from = 2026-11-24T18:00:00Z
input = "4"
output = "16"
"#;

fn priced(fake: Fake, text: &str) -> Router {
    let prices = Arc::new(ArcSwap::from_pointee(Table::parse(text).expect("a table")));
    router(ApiState { prices, ..state(fake, Arc::new(Metrics::new(&[]).expect("metrics"))) }, open_door())
}

#[tokio::test]
async fn the_prices_in_force_at_an_instant_are_served() {
    let app = priced(world(), TABLE);
    let before = get(&app, "/v1/prices?at=2026-11-24T17:59:59.999Z").await;
    assert_eq!((before.status, before.header("content-type")), (StatusCode::OK, "application/json"));
    let tier = json!({
        "above": 200_000, "input": "6", "output": "22.5", "cacheRead": "0.6", "cacheWrite": "6", "reasoning": "22.5",
    });
    let version = Table::parse(TABLE).expect("a table").version().to_string();
    assert_eq!(
        before.json(),
        json!({
            "version": version, "markupPercent": "12.5", "tolerancePercent": "2", "toleranceFloor": "0.00001",
            "prices": [{
                "provider": "acme", "models": ["large", "large-*"], "from": null, "input": "3", "output": "15",
                "cacheRead": "0.3", "cacheWrite": "3", "reasoning": "15", "tiers": [tier],
                "tools": {"webSearch": "0.01"}, "markupPercent": "-5",
            }],
        })
    );
    // Now is 18:00.
    for path in ["/v1/prices", "/v1/prices?at=2026-11-24T19:00:00%2B01:00", "/v1/prices?at=2026-11-25"] {
        let prices = get(&app, path).await.json()["prices"].clone();
        let shown: Vec<_> =
            prices.as_array().expect("a list").iter().map(|p| (&p["models"], &p["input"], &p["from"])).collect();
        let (large, pattern) = (json!(["large"]), json!(["large-*"]));
        let from = json!("2026-11-24T18:00:00Z");
        assert_eq!(shown, [(&pattern, &json!("3"), &Value::Null), (&large, &json!("4"), &from)], "{path}");
    }
    assert_eq!(get(&app, "/v1/prices?at=2026-11-24").await.json()["prices"], before.json()["prices"]);
}

#[tokio::test]
async fn prices_change_their_tag_with_the_file_and_need_no_store() {
    let app = priced(Fake { mode: Mode::Fails(StoreError::Refused(String::new())), ..Fake::default() }, TABLE);
    let first = get(&app, "/v1/prices").await;
    let tag = first.header("etag");
    assert_eq!(get_with(&app, "/v1/prices", &[("if-none-match", tag)]).await.status.as_u16(), 304);
    let other = priced(Fake::default(), &format!("{TABLE}# another text\n"));
    assert_eq!(get_with(&other, "/v1/prices", &[("if-none-match", tag)]).await.status.as_u16(), 200);
    assert_eq!(get(&app, "/v1/prices/mismatches").await.problem(), "store-unavailable");
}

#[tokio::test]
async fn costs_that_are_not_the_tables_are_told_by_model() {
    let mut fake = world();
    for (model, requests, given, expected) in [("b", 2, 5, 1), ("a", 2, 1, 3_000_000_000), ("c", 9, i64::MAX, 0)] {
        let (given, expected) = (NanoDollars(given), NanoDollars(expected));
        fake.mismatches.insert(Model::new(model).expect("an id"), Mismatch { requests, given, expected });
    }
    let app = app(fake);
    let usd = |amount: &str| json!({"amount": amount, "currency": "USD"});
    let largest = usd("9223372036.854775807");
    let answer = get(&app, "/v1/prices/mismatches").await;
    assert_eq!(
        answer.json(),
        json!({"month": "2026-11", "models": [
            {"model": "c", "requests": 9, "given": largest, "expected": usd("0"), "difference": largest},
            {"model": "a", "requests": 2, "given": usd("0.000000001"), "expected": usd("3"),
             "difference": usd("-2.999999999")},
            {"model": "b", "requests": 2, "given": usd("0.000000005"), "expected": usd("0.000000001"),
             "difference": usd("0.000000004")},
        ]})
    );
    let tag = answer.header("etag");
    assert_eq!(get_with(&app, "/v1/prices/mismatches", &[("if-none-match", tag)]).await.status.as_u16(), 304);
    assert_eq!(get(&app, "/v1/prices/mismatches?month=2025-01").await.json()["month"], "2025-01");
}

#[tokio::test]
async fn what_is_no_instant_is_refused() {
    let app = app(world());
    for query in ["at=", "at=2026", "at=2026-11", "at=2026-11-31", "at=2026-11-24T18:00", "at=now", "month=2026-11"] {
        let answer = get(&app, &format!("/v1/prices?{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "invalid-parameter"), "{query}");
    }
    assert_eq!(
        get(&app, "/v1/prices?at=soon").await.json()["detail"],
        "at: \"soon\" is not an instant such as 2026-11-24T18:00:00Z or a day such as 2026-11-24"
    );
    assert_eq!(get(&app, "/v1/prices/mismatches?at=2026-11-24").await.problem(), "invalid-parameter");
}
