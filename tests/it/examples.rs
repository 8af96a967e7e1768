//! The decoder and the JSON Schemas give the same answer on every example in `schemas/examples`; and what a
//! schema cannot say, the decoder refuses all the same.

mod properties;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use indelible::domain::calendar::TimeMs;
use indelible::domain::delta::Scope;
use indelible::domain::event::{Body, Event};
use indelible::domain::ids::{PlanName, TenantId, UserId};
use indelible::domain::quota::{Metric, Threshold};
use indelible::ingest::decode::{Bounds, Incoming, MAX_RECORD_BYTES, Reason, Reject, decode};
use indelible::ingest::schemas;
use indelible::quota::passing::Passing;
use indelible::store::notice::Notice;
use jsonschema::Validator;
use serde_json::Value;
use serde_json::value::RawValue;

const STRUCTURED: (&str, &[u8]) = ("content-type", b"application/cloudevents+json; charset=utf-8");
/// Examples are from any time; that bounds are kept has tests of its own.
const ANY_TIME: Bounds = Bounds { max_future_ms: i64::MAX, max_age_ms: i64::MAX };

fn decode_any(value: &[u8], headers: &[(&str, &[u8])]) -> Result<Event, Reject> {
    decode(&Incoming { value: Some(value), headers, timestamp: Some(TimeMs(0)) }, &ANY_TIME)
}

/// File names without `.json`, and texts, in the order of the names.
fn examples(folder: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/examples").join(folder);
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("a readable folder").path();
        let name = path.file_stem().expect("a file name").to_str().expect("an ASCII name").to_owned();
        (name, fs::read_to_string(&path).expect("a UTF-8 file"))
    };
    fs::read_dir(folder).expect("the folder of the examples").map(read).collect()
}

fn validators() -> Vec<(&'static str, Validator)> {
    let build = |(name, text): (&'static str, &str)| {
        let schema: Value = serde_json::from_str(text).expect(name);
        assert!(jsonschema::meta::is_valid(&schema), "{name} is a schema");
        (name, jsonschema::options().should_validate_formats(true).build(&schema).expect(name))
    };
    schemas::READ.into_iter().map(build).collect()
}

/// The schemas that accept a text.
fn accepted_by<'v>(validators: &'v [(&str, Validator)], json: &str) -> Vec<&'v str> {
    let value: Value = serde_json::from_str(json).expect("an example is JSON");
    validators.iter().filter(|(_, validator)| validator.is_valid(&value)).map(|(name, _)| *name).collect()
}

fn schema_of(event: &Event) -> &'static str {
    match event.body {
        Body::Usage(_) if event.source.as_str() == "usage_logs" => "usage_logs.v1",
        Body::Usage(_) => "ai.usage.recorded.v1",
        Body::OutputCreated(_) => "ai.output.created.v1",
        Body::OutputDeleted(_) => "ai.output.deleted.v1",
        Body::QuotaAssigned(_) => "ai.quota.assigned.v1",
    }
}

#[test]
fn valid_examples_are_accepted_by_their_schema_and_the_decoder() {
    let validators = validators();
    let examples = examples("valid");
    assert!(examples.len() >= 15);
    let mut snapshot = String::new();
    for (name, json) in &examples {
        let event = decode_any(json.as_bytes(), &[]).unwrap_or_else(|reject| panic!("{name}: {reject}"));
        assert_eq!(accepted_by(&validators, json), [schema_of(&event)], "{name}");
        writeln!(snapshot, "{name}: {event:#?}\n").expect("a string takes all");
    }
    insta::assert_snapshot!("valid", snapshot);
}

#[test]
fn invalid_examples_are_refused_by_every_schema_and_the_decoder() {
    let validators = validators();
    let examples = examples("invalid");
    assert!(examples.len() >= 25);
    let mut snapshot = String::new();
    for (name, json) in &examples {
        let reject = decode_any(json.as_bytes(), &[]).expect_err(name);
        let (reason, _) = name.split_once("--").expect("a name such as missing_field--no-tenant");
        assert_eq!(reject.reason.as_str(), reason, "{name}: {reject}");
        assert_eq!(accepted_by(&validators, json), [""; 0], "{name}");
        writeln!(snapshot, "{name}\n    {}", reject.detail).expect("a string takes all");
    }
    insta::assert_snapshot!("invalid", snapshot);
}

#[test]
fn a_schema_is_found_by_its_name() {
    for (name, text) in schemas::all() {
        assert_eq!(schemas::get(name), Some(text));
        assert!(text.contains(&format!("\"$id\": \"urn:indelible:schema:{name}\"")), "{name}");
    }
    assert_eq!(schemas::get("ai.usage.recorded.v2"), None);
}

#[test]
fn the_schemas_own_examples_are_valid() {
    for (name, text) in schemas::READ {
        let schema: Value = serde_json::from_str(text).expect(name);
        let examples = schema["examples"].as_array().expect("examples");
        for example in examples {
            let event = decode_any(example.to_string().as_bytes(), &[]).expect(name);
            assert_eq!(accepted_by(&validators(), &example.to_string()), [schema_of(&event)], "{name}");
        }
    }
}

#[test]
fn what_is_written_is_described_and_never_read() {
    for (name, text) in schemas::WRITTEN {
        let schema: Value = serde_json::from_str(text).expect(name);
        assert!(jsonschema::meta::is_valid(&schema), "{name} is a schema");
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect(name);
        let examples = schema["examples"].as_array().expect("examples");
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            assert!(validator.is_valid(example), "{name}: {example}");
            check_text(&example.to_string(), Reason::UnknownType);
            assert_eq!(accepted_by(&validators(), &example.to_string()), [""; 0], "{name}");
            for field in schema["properties"]["data"]["required"].as_array().expect("names") {
                let mut without = example.clone();
                without["data"].as_object_mut().expect("data").remove(field.as_str().expect("a name"));
                assert!(!validator.is_valid(&without), "{name} without {field}");
            }
        }
    }
}

/// What is put into an outbox is what the schema says, of each metric, with and without a user and a plan.
#[test]
fn notices_are_as_described() {
    let text = schemas::get("ai.quota.notice.v1").expect("a schema");
    let mut schema: Value = serde_json::from_str(text).expect("JSON");
    // A field that it does not name is a fault.
    schema["properties"]["data"]["additionalProperties"] = false.into();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    for (metric, user, plan) in [(Metric::Tokens, None, None), (Metric::Cost, Some("a:b"), Some("pro"))] {
        for (threshold, also) in [(Threshold::Hard, vec![Threshold::Percent(50)]), (Threshold::Percent(1000), vec![])] {
            let passing = Passing {
                metric,
                threshold,
                also,
                limit: 12_345_678_901,
                used: i64::MAX,
                at: TimeMs(1_795_545_120_123),
                plan: plan.map(|plan| PlanName::new(plan).expect("an id")),
            };
            let user = user.map(|user| UserId::new(user).expect("an id"));
            let scope = Scope { tenant: TenantId::new("acme corp").expect("an id"), user };
            let notice = Notice { scope, month: "2026-11".parse().expect("a month"), passing };
            let json: Value = serde_json::from_str(&notice.to_json("/indelible/n")).expect("JSON");
            let faults: Vec<_> = validator.iter_errors(&json).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{faults:?} in {json}");
        }
    }
}

/// Every field says what it is, and shows an example that its own schema accepts.
#[test]
fn every_field_is_described() {
    fn walk(path: &str, defs: &Value, schema: &Value) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            for key in ["title", "description"] {
                assert!(field[key].is_string(), "{path} has no {key}");
            }
            let examples = field["examples"].as_array().unwrap_or_else(|| panic!("{path} has no examples"));
            let mut alone = field.clone();
            alone["$defs"] = defs.clone();
            for example in examples {
                assert!(jsonschema::is_valid(&alone, example), "{path}: {example}");
            }
            walk(&path, defs, field);
        }
    }
    for (name, text) in schemas::all() {
        let schema: Value = serde_json::from_str(text).expect(name);
        walk(name, &schema["$defs"], &schema);
    }
}

/// A CloudEvent in structured mode as a record in binary mode: its headers and its value.
fn binary_twin(json: &str) -> Option<(Vec<(String, String)>, String)> {
    let top: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).expect("a JSON object");
    top.get("specversion")?;
    let text = |name: &str| {
        top.get(name).and_then(|raw| serde_json::from_str::<Option<String>>(raw.get()).expect("a string or null"))
    };
    let mut headers = Vec::new();
    for name in ["specversion", "id", "source", "type", "time", "subject"] {
        headers.extend(text(name).map(|value| (format!("ce_{name}"), value)));
    }
    headers.extend(text("datacontenttype").map(|value| ("content-type".to_owned(), value)));
    Some((headers, top["data"].get().to_owned()))
}

#[test]
fn structured_and_binary_mode_give_the_same_event() {
    let mut twins = 0;
    for (name, json) in examples("valid") {
        let Some((headers, value)) = binary_twin(&json) else { continue };
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let plain = decode_any(json.as_bytes(), &[]).expect(&name);
        assert_eq!(decode_any(json.as_bytes(), &[STRUCTURED]).as_ref(), Ok(&plain), "{name}");
        assert_eq!(decode_any(value.as_bytes(), &headers).as_ref(), Ok(&plain), "{name}");
        twins += 1;
    }
    assert!(twins >= 15);
}

const USAGE: &str = r#"{"requestId":"r1","createdAt":"2026-11-24T18:32:00Z","tenantId":"acme","userId":"alice",
    "assistant":"a","model":"m","tokensIn":10,"tokensOut":5}"#;

/// [`USAGE`] with more fields.
fn usage_with(more: &str) -> String {
    USAGE.replace(r#""tokensOut":5"#, &format!(r#""tokensOut":5,{more}"#))
}

#[track_caller]
fn check_text(json: &str, expected: Reason) -> Reason {
    let reject = decode_any(json.as_bytes(), &[]).expect_err(json);
    assert_eq!(reject.reason, expected, "{reject}");
    reject.reason
}

/// What a schema sees as valid or does not see at all. Together with the examples, every reason occurs.
#[test]
fn what_a_schema_cannot_say_is_refused_too() {
    let validators = validators();
    let unseen = [
        (usage_with(r#""totalTokens":16"#), Reason::TotalsMismatch),
        (usage_with(r#""cachedTokens":11"#), Reason::TotalsMismatch),
        (usage_with(r#""cachedTokens":6,"cacheWriteTokens":5"#), Reason::TotalsMismatch),
        (usage_with(r#""reasoningTokens":6"#), Reason::TotalsMismatch),
        (usage_with(r#""model":"m""#), Reason::InvalidField),
        (usage_with(r#""costCents":"922337203685.4775808""#), Reason::InvalidField),
        (usage_with(r#""latencyMs":1.00000000000000000000001"#), Reason::InvalidField),
        (USAGE.replace("acme", &"é".repeat(129)), Reason::InvalidId),
        (USAGE.replace("2026-11-24T18:32:00Z", "9999-12-31T23:59:59-01:00"), Reason::InvalidField),
    ];
    let mut reasons = BTreeSet::new();
    for (json, reason) in unseen {
        assert_eq!(accepted_by(&validators, &json), ["usage_logs.v1"], "{json}");
        reasons.insert(check_text(&json, reason));
    }
    let quota = |limits: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"e","source":"s","type":"ai.quota.assigned.v1","time":"2026-11-24T18:32:00Z",
            "data":{{"tenantId":"acme","limits":{limits}}}}}"#
        )
    };
    for limits in [
        r#"{"tokens":{"soft":2,"hard":1}}"#,
        r#"{"costCents":{"soft":"2","hard":1}}"#,
        r#"{"costCents":{"hard":"0"}}"#,
        r#"{"costCents":{"hard":"0.00000005"}}"#,
        r#"{"tokens":{"hard":1,"hard":1}}"#,
    ] {
        assert_eq!(accepted_by(&validators, &quota(limits)), ["ai.quota.assigned.v1"], "{limits}");
        check_text(&quota(limits), Reason::InvalidField);
    }
    reasons.insert(check_text("", Reason::NotJson));
    reasons.insert(check_text(&usage_with(&format!(r#""x":{}{}"#, "[".repeat(64), "]".repeat(64))), Reason::TooDeep));
    reasons.insert(check_text(&" ".repeat(MAX_RECORD_BYTES + 1), Reason::TooLarge));
    reasons.insert(decode_any(b"\xff", &[]).expect_err("no UTF-8").reason);

    let bounds = Bounds { max_future_ms: 300_000, max_age_ms: 3_024_000_000 };
    let at = |value, timestamp: Option<i64>| {
        decode(&Incoming { value, headers: &[], timestamp: timestamp.map(TimeMs) }, &bounds)
            .expect_err("a fault")
            .reason
    };
    let usage = Some(USAGE.as_bytes());
    reasons.extend([at(None, Some(0)), at(usage, None), at(usage, Some(0)), at(usage, Some(i64::MAX))]);

    let in_examples = |reason: &Reason| examples("invalid").keys().any(|name| name.starts_with(reason.as_str()));
    let untested = |reason: &&Reason| !reasons.contains(*reason) && !in_examples(reason);
    // The decoder holds no sums; it is the store that finds one too large.
    assert_eq!(Reason::ALL.iter().filter(untested).collect::<Vec<_>>(), [&Reason::CounterOverflow]);
}
