use indelible::domain::calendar::TimeMs;
use indelible::domain::gap::{Gap, GapKind};
use indelible::domain::position::{Offset, TopicPartition};
use serde_json::json;

use super::*;

/// Lays JSON out over lines without reading its numbers: a float would hide what is tested.
fn laid_out(json: &str) -> String {
    let (mut text, mut depth, mut quoted, mut escaped) = (String::new(), 0, false, false);
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.push_str(&"  ".repeat(depth));
    };
    for (at, c) in json.char_indices() {
        let empty = json[at..].starts_with("[]") || json[at..].starts_with("{}");
        let closes_empty = json[..at].ends_with(['[', '{']);
        match c {
            _ if quoted => {
                quoted = escaped || c != '"';
                escaped = c == '\\' && !escaped;
                text.push(c);
            }
            '{' | '[' if !empty => {
                text.push(c);
                depth += 1;
                line(&mut text, depth);
            }
            '}' | ']' if !closes_empty => {
                depth -= 1;
                line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ => {
                quoted = c == '"';
                text.push(c);
            }
        }
    }
    text
}

async fn shown(fake: Fake, path: &str) -> String {
    let answer = get(&app(fake), path).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"), "{path}");
    laid_out(answer.text())
}

#[tokio::test]
async fn a_user() {
    insta::assert_snapshot!(shown(world(), STATS).await);
}

#[tokio::test]
async fn a_user_never_seen_in_a_store_that_never_counted() {
    insta::assert_snapshot!(shown(Fake::default(), "/v1/tenants/acme/users/nobody/stats").await);
}

#[tokio::test]
async fn a_tenant() {
    insta::assert_snapshot!(shown(world(), "/v1/tenants/acme/stats?month=2026-11").await);
}

#[tokio::test]
async fn a_page_of_users() {
    insta::assert_snapshot!(shown(world(), "/v1/tenants/acme/users?limit=1").await);
}

#[tokio::test]
async fn usage_by_day() {
    insta::assert_snapshot!(shown(world(), "/v1/tenants/acme/usage?from=2026-10-31&to=2026-11-03").await);
}

#[tokio::test]
async fn usage_by_month() {
    let path = "/v1/tenants/acme/users/alice/usage?bucket=month&from=2025-12&to=2026-02";
    insta::assert_snapshot!(shown(world(), path).await);
}

#[tokio::test]
async fn what_an_operator_accepted_as_never_counted_is_told_in_every_answer() {
    let gap = |from, to, kind| Gap { from: Offset(from), to: Offset(to), kind, accepted: TimeMs(1_795_548_619_792) };
    let mut fake = world();
    fake.freshness.gaps = vec![
        (TopicPartition::new("ai.usage.events.v1", 0), gap(7, 12, GapKind::Deleted)),
        (TopicPartition::new("ai.usage.events.v1", 3), gap(90, 0, GapKind::Replaced)),
    ];
    let (whole, gapped) = (app(world()), app(fake));
    for path in ["/users/alice/stats", "/stats", "/users", "/users/alice/usage", "/usage", "/usage?bucket=month"] {
        let path = format!("/v1/tenants/acme{path}");
        let answer = get(&gapped, &path).await;
        assert_eq!(
            answer.json()["gaps"],
            json!([
                {"topic": "ai.usage.events.v1", "partition": 0, "from": 7, "to": 12,
                 "acceptedAt": "2026-11-24T19:30:19.792Z", "kind": "deleted"},
                {"topic": "ai.usage.events.v1", "partition": 3, "from": 90, "to": 0,
                 "acceptedAt": "2026-11-24T19:30:19.792Z", "kind": "replaced"},
            ]),
            "{path}"
        );
        let before = get(&whole, &path).await;
        assert_eq!(before.json().get("gaps"), None, "{path}");
        assert_ne!(answer.header("etag"), before.header("etag"), "{path}: a caller must learn of it");
    }
}

#[tokio::test]
async fn the_month_asked_for_is_shown_as_this_month() {
    let stats = get(&app(world()), "/v1/tenants/acme/users/alice/stats?month=2025-12").await.json();
    assert_eq!(stats["month"], "2025-12");
    assert_eq!(stats["thisMonth"]["requests"], 7);
    assert_eq!(stats["quota"]["usedTokens"], 770);
    assert_eq!(stats["allTime"]["requests"], 13);
}

#[tokio::test]
async fn money_is_exact() {
    for (nanos, cents, dollars) in [
        (57_868_362_000, "5786.8362", "57.868362"),
        (1, "0.0000001", "0.000000001"),
        (0, "0", "0"),
        (i64::MAX, "922337203685.4775807", "9223372036.854775807"),
    ] {
        let mut fake = Fake::default();
        fake.used(ALICE, "2026-11", ("chat", "large"), sum(1, 1, 1, nanos));
        let app = app(fake);
        for (path, times) in [
            (STATS, 6),
            ("/v1/tenants/acme/users", 1),
            ("/v1/tenants/acme/usage?from=2026-11-01&to=2026-11-02", 1),
            ("/v1/tenants/acme/usage?bucket=month&from=2026-11", 1),
        ] {
            let answer = get(&app, path).await;
            let money = format!("\"costCents\":{cents},\"cost\":{{\"amount\":\"{dollars}\",\"currency\":\"USD\"}}");
            assert_eq!(answer.text().matches(&money).count(), times, "{path}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn breakdowns_sum_to_the_total() {
    let stats = get(&app(world()), STATS).await.json();
    for period in ["thisMonth", "allTime"] {
        for list in ["byAssistant", "byModel"] {
            for field in ["requests", "tokensIn", "tokensOut", "totalTokens", "cachedTokens", "reasoningTokens"] {
                let items = stats[period][list].as_array().expect("a list");
                let sum: i64 = items.iter().map(|item| item[field].as_i64().expect("a count")).sum();
                assert_eq!(stats[period][field], sum, "{period} {list} {field}");
            }
        }
    }
}

#[tokio::test]
async fn the_dearest_come_first_then_the_most_tokens_then_names() {
    let mut fake = Fake::default();
    for (model, tokens, nanos) in [("e", 9, 0), ("d", 1, 5), ("b", 2, 5), ("a", 1, 5), ("c", 0, 7)] {
        fake.used(ALICE, "2026-11", ("chat", model), sum(1, tokens, 0, nanos));
    }
    let stats = get(&app(fake), STATS).await.json();
    let models = stats["thisMonth"]["byModel"].as_array().expect("a list");
    let models: Vec<_> = models.iter().map(|item| item["model"].as_str().expect("a name")).collect();
    assert_eq!(models, ["c", "b", "a", "d", "e"]);
}

#[tokio::test]
async fn users_are_ordered_as_asked() {
    for (query, first) in [("", "alice"), ("sort=cost", "alice"), ("sort=tokens", "bob"), ("sort=requests", "bob")] {
        let users = get(&app(world()), &format!("/v1/tenants/acme/users?{query}")).await.json();
        assert_eq!(
            (&users["users"][0]["userId"], &users["nextCursor"]),
            (&Value::from(first), &Value::Null),
            "{query}"
        );
    }
}

#[tokio::test]
async fn pages_of_users_follow_each_other() {
    let mut fake = Fake::default();
    let names: Vec<_> = (0..7).map(|i| format!("u/{i}:日\"")).collect();
    for (i, name) in names.iter().enumerate() {
        fake.used(("acme", name), "2026-10", ("chat", "m"), sum(1, i as i64 / 2, 0, 0));
    }
    let app = app(fake);
    let (mut seen, mut path) = (Vec::new(), "/v1/tenants/acme/users?month=2026-10&sort=tokens&limit=2".to_owned());
    for page in 0.. {
        let answer = get(&app, &path).await.json();
        let users = answer["users"].as_array().expect("a list");
        seen.extend(users.iter().map(|user| user["userId"].as_str().expect("an id").to_owned()));
        let Some(next) = answer["nextCursor"].as_str() else { break };
        // Month and order need not be repeated: the cursor brings them along.
        path = format!("/v1/tenants/acme/users?limit=2&cursor={next}");
        assert!(page < 4, "the pages do not end");
    }
    let expected: Vec<_> = [6, 4, 5, 2, 3, 0, 1].iter().map(|i| names[*i].clone()).collect();
    assert_eq!(seen, expected);
}

/// First start, last end, and number of buckets.
#[track_caller]
fn span(answer: &Answer) -> (String, String, usize) {
    let json = answer.json();
    let buckets = json["buckets"].as_array().unwrap_or_else(|| panic!("{json}"));
    let day = |text: &Value| text.as_str().expect("a time").trim_end_matches("T00:00:00Z").to_owned();
    (day(&buckets[0]["start"]), day(&buckets[buckets.len() - 1]["end"]), buckets.len())
}

#[tokio::test]
async fn ranges_are_half_open_and_have_defaults() {
    let app = app(world());
    for (query, start, end, count) in [
        ("", "2026-10-26", "2026-11-25", 30),
        ("bucket=day", "2026-10-26", "2026-11-25", 30),
        ("bucket=month", "2025-12-01", "2026-12-01", 12),
        ("from=2026-11-24", "2026-11-24", "2026-11-25", 1),
        ("to=2026-03-01", "2026-01-30", "2026-03-01", 30),
        ("bucket=month&to=2026-03", "2025-03-01", "2026-03-01", 12),
        ("from=2026-02-28&to=2026-03-01", "2026-02-28", "2026-03-01", 1),
        ("bucket=month&from=2026-11-01&to=2027-01-01T01:00:00%2B01:00", "2026-11-01", "2027-01-01", 2),
        ("bucket=month&from=9999-11&to=9999-12", "9999-11-01", "9999-12-01", 1),
        ("from=2025-11-01&to=2026-12-06", "2025-11-01", "2026-12-06", 400),
        ("bucket=month&from=2016-11&to=2026-11", "2016-11-01", "2026-11-01", 120),
    ] {
        let answer = get(&app, &format!("/v1/tenants/acme/usage?{query}")).await;
        assert_eq!(span(&answer), (start.to_owned(), end.to_owned(), count), "{query}");
    }
}

#[tokio::test]
async fn an_id_is_decoded_once() {
    let mut fake = Fake::default();
    let names = ["a/b", "a:b", "{user}", "日本 x", "..", "%2F", "a+b", "a?b#c"];
    for (i, name) in names.iter().enumerate() {
        fake.used((name, name), "2026-11", ("chat", "m"), sum(i as i64 + 1, 0, 0, 0));
    }
    let app = app(fake);
    for (i, name) in names.iter().enumerate() {
        let id = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        let stats = get(&app, &format!("/v1/tenants/{id}/users/{id}/stats")).await.json();
        assert_eq!((&stats["tenantId"], &stats["userId"]), (&Value::from(*name), &Value::from(*name)));
        assert_eq!(stats["thisMonth"]["requests"], i + 1, "{name}");
    }
}
