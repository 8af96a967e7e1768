//! Whole records through [`decode`]: each form, each reason, and which fault is reported.

mod assigned;
mod count;
mod headers;
mod reason;
mod scan;
mod time;

use super::*;
use crate::domain::event::{Body, Output, Usage};
use crate::domain::ids::{OutputId, OutputKind, Tool};
use crate::domain::money::NanoDollars;

const BOUNDS: Bounds = Bounds { max_future_ms: 300_000, max_age_ms: 3_024_000_000 };
const TIME: &str = "2026-11-24T18:32:00Z";
const TIME_MS: i64 = 1_795_545_120_000;

fn decode_at(value: &[u8], headers: &[(&str, &str)], timestamp: Option<i64>) -> Result<Event, Reject> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    decode(&Incoming { value: Some(value), headers: &headers, timestamp: timestamp.map(TimeMs) }, &BOUNDS)
}

/// A CloudEvent in structured mode of the type and data given.
fn cloud(event_type: &str, data: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"e1","source":"/svc","type":"{event_type}","time":"{TIME}","data":{data}}}"#)
}

/// The data of a usage event: the required fields, then those given, which win nothing by being later.
fn usage_data(more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!(
        r#"{{"tenantId":"acme","userId":"alice","assistant":"a","model":"m","tokensIn":10,"tokensOut":5{comma}{more}}}"#
    )
}

#[track_caller]
fn decoded(value: &str) -> Event {
    decode_at(value.as_bytes(), &[], Some(TIME_MS)).expect("an event")
}

/// The usage of an event with these fields beside the required ones.
#[track_caller]
fn usage(more: &str) -> Usage {
    match decoded(&cloud("ai.usage.recorded.v1", &usage_data(more))).body {
        Body::Usage(usage) => usage,
        other => panic!("not usage: {other:?}"),
    }
}

#[track_caller]
fn check(value: &str, expected: Reason, part_of_detail: &str) {
    let reject = decode_at(value.as_bytes(), &[], Some(TIME_MS)).expect_err(value);
    assert_eq!(reject.reason, expected, "{reject} for {value}");
    assert!(reject.detail.contains(part_of_detail), "{:?} lacks {part_of_detail:?}", reject.detail);
}

/// As `check`, for a usage event with these fields beside the required ones.
#[track_caller]
fn check_usage(more: &str, expected: Reason, part_of_detail: &str) {
    check(&cloud("ai.usage.recorded.v1", &usage_data(more)), expected, part_of_detail);
}

#[track_caller]
fn check_binary(headers: &[(&str, &str)], value: &str, expected: Result<(), Reason>) {
    let found = decode_at(value.as_bytes(), headers, Some(TIME_MS)).map(|_| ()).map_err(|reject| reject.reason);
    assert_eq!(found, expected);
}

const BINARY: [(&str, &str); 5] = [
    ("ce_specversion", "1.0"),
    ("ce_type", "ai.usage.recorded.v1"),
    ("ce_id", "e1"),
    ("ce_source", "/svc"),
    ("ce_time", TIME),
];

fn binary_with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    BINARY.into_iter().filter(|(other, _)| *other != name).chain([(name, value)]).collect()
}

#[test]
fn a_structured_event_is_read_whole() {
    let event = decoded(&cloud(
        "ai.usage.recorded.v1",
        &usage_data(
            r#""totalTokens":15,"costCents":1.5842,"latencyMs":230,"cachedTokens":10,"reasoningTokens":5,
            "toolInvocations":{"webSearch":1,"retrieval":2,"finance":0},"output":{"id":"o1","kind":"website"},
            "requestId":7,"other":{"a":[1]}"#,
        ),
    ));
    assert_eq!((event.id.as_str(), event.source.as_str()), ("e1", "/svc"));
    assert_eq!((event.tenant.as_str(), event.user.as_ref().map(|user| user.as_str())), ("acme", Some("alice")));
    assert_eq!(event.time, chrono::DateTime::parse_from_rfc3339(TIME).expect("a time"));
    let Body::Usage(usage) = event.body else { panic!("not usage") };
    assert_eq!((usage.assistant.as_str(), usage.model.as_str()), ("a", "m"));
    assert_eq!((usage.tokens_in, usage.tokens_out), (10, 5));
    assert_eq!((usage.cached_tokens, usage.reasoning_tokens), (10, 5));
    assert_eq!((usage.cost, usage.latency_ms), (Some(NanoDollars(15_842_000)), Some(230)));
    let tool = |name| Tool::new(name).expect("an id");
    assert_eq!(usage.tools[..], [(tool("retrieval"), 2), (tool("webSearch"), 1)]);
    assert_eq!(usage.output, Some(website("o1")));
}

fn website(id: &str) -> Output {
    Output { kind: OutputKind::new("website").expect("an id"), id: OutputId::new(id).expect("an id") }
}

#[test]
fn output_events_are_read() {
    let data = r#"{"tenantId":"acme","userId":"alice","outputId":"o1","kind":"website","assistant":3}"#;
    assert_eq!(decoded(&cloud("ai.output.created.v1", data)).body, Body::OutputCreated(website("o1")));
    assert_eq!(decoded(&cloud("ai.output.deleted.v1", data)).body, Body::OutputDeleted(website("o1")));
    let no_kind = r#"{"tenantId":"acme","userId":"alice","outputId":"o1"}"#;
    check(&cloud("ai.output.deleted.v1", no_kind), Reason::MissingField, "kind is missing");
}

#[test]
fn a_bare_record_is_usage_named_by_its_request() {
    let bare = usage_data(r#""requestId":"r1","createdAt":"2026-11-24T18:32:00Z","id":9,"type":"x","data":1e999"#);
    let event = decoded(&bare);
    assert_eq!((event.id.as_str(), event.source.as_str()), ("r1", "usage_logs"));
    check(&usage_data(r#""createdAt":"2026-11-24T18:32:00Z""#), Reason::MissingField, "requestId is missing");
    check(&usage_data(r#""requestId":"r1""#), Reason::MissingField, "createdAt is missing");
    check(&usage_data(r#""requestId":"","createdAt":"2026-11-24T18:32:00Z""#), Reason::InvalidId, "requestId is empty");
    check(&usage_data(r#""requestId":"r1","createdAt":1795545120"#), Reason::InvalidField, "createdAt is a number");
}

#[test]
fn the_three_forms_agree() {
    let data = usage_data(r#""costCents":"0.5""#);
    let structured = decoded(&cloud("ai.usage.recorded.v1", &data));
    let binary = decode_at(data.as_bytes(), &BINARY, Some(TIME_MS)).expect("an event");
    let typed = [("content-type", "application/cloudevents+json")];
    let by_header = decode_at(cloud("ai.usage.recorded.v1", &data).as_bytes(), &typed, Some(TIME_MS));
    assert_eq!(structured, binary);
    assert_eq!(Ok(&structured), by_header.as_ref());
    let bare = decoded(&usage_data(r#""costCents":"0.5","requestId":"e1","createdAt":"2026-11-24T18:32:00Z""#));
    assert_eq!(structured.body, bare.body);
    let mislabelled = usage_data(r#""specversion":null,"requestId":"e1","createdAt":"2026-11-24T18:32:00Z""#);
    assert_eq!(decode_at(mislabelled.as_bytes(), &typed, Some(TIME_MS)).map(|event| event.id), Ok(bare.id));
}

#[test]
fn the_value_is_one_json_object() {
    check("", Reason::NotJson, "the value is not JSON");
    check("  ", Reason::NotJson, "");
    check("{", Reason::NotJson, "");
    check("{} {}", Reason::NotJson, "");
    check("\u{feff}{}", Reason::NotJson, "");
    check("{'a':1}", Reason::NotJson, "");
    check(r#"{"a":NaN}"#, Reason::NotJson, "");
    check(r#"{"a":01}"#, Reason::NotJson, "");
    check(r#"{"\ud800":1}"#, Reason::NotJson, "");
    for broken in ["[1", "[1] x", "1 x", "\"a\" x", "null,", "{} x"] {
        check(broken, Reason::NotJson, "the value is not JSON");
    }
    for other in ["[]", "1", "1e999", "null", "true", "\"a\"", " [{}] "] {
        check(other, Reason::NotAnObject, "send one object");
    }
    check(&usage_data(&format!(r#""x":{}{}"#, "[".repeat(64), "]".repeat(64))), Reason::TooDeep, "64");
    check(&usage_data(&format!(r#""x":{}{}"#, "[".repeat(63), "]".repeat(63))), Reason::MissingField, "requestId");
    check(&" ".repeat(MAX_RECORD_BYTES + 1), Reason::TooLarge, "1048577");
    let tombstone = decode(&Incoming { value: None, headers: &[], timestamp: None }, &BOUNDS);
    assert_eq!(tombstone.map_err(|reject| reject.reason), Err(Reason::NullValue));
}

#[test]
fn the_envelope_is_cloudevents_1_0() {
    let top = |more: &str| format!(r#"{{"data":{},{more}}}"#, usage_data(""));
    check(&top(r#""specversion":"0.3""#), Reason::InvalidField, r#"specversion "0.3""#);
    check(&top(r#""specversion":1.0"#), Reason::InvalidField, "specversion is a number");
    check(&top(r#""specversion":null"#), Reason::MissingField, "or specversion if the record is a CloudEvent");
    check(&top(r#""specversion":"1.0""#), Reason::MissingField, "type");
    check(&top(r#""specversion":"1.0","type":"x.y""#), Reason::UnknownType, r#"type is "x.y""#);
    let typed = |more: &str| top(&format!(r#""specversion":"1.0","type":"ai.usage.recorded.v1",{more}"#));
    check(&typed(r#""datacontenttype":"text/xml""#), Reason::InvalidField, "datacontenttype");
    check(&typed(r#""data_base64":"e30=""#), Reason::InvalidField, "data_base64 is not accepted");
    check(&typed(r#""id":"""#), Reason::InvalidId, "id is empty");
    check(&typed(r#""id":"e1""#), Reason::MissingField, "source");
    check(&typed(r#""id":"e1","source":" ""#), Reason::InvalidId, "source");
    check(&typed(r#""id":"e1","source":"s""#), Reason::MissingField, "time");
    check(&typed(r#""id":"e1","source":"s","time":"2026-11-24""#), Reason::InvalidField, "time \"2026-11-24\"");
    for data in ["[]", "1", "1e999", "\"{}\"", "true"] {
        check(&cloud("ai.usage.recorded.v1", data), Reason::InvalidField, "data is a");
    }
    check(&cloud("ai.usage.recorded.v1", "null"), Reason::MissingField, "data is missing");
    check(&cloud("ai.other.v1", "1e999"), Reason::UnknownType, "ai.other.v1");
    let nulls =
        r#""datacontenttype":null,"data_base64":null,"subject":1,"id":"e1","source":"s","time":"2026-11-24T18:32:00Z""#;
    decoded(&typed(nulls));
    decoded(&typed(&nulls.replace("\"datacontenttype\":null", r#""datacontenttype":"Application/X+JSON; a=b""#)));
}

#[test]
fn binary_attributes_are_headers() {
    let data = usage_data("");
    check_binary(&BINARY, &data, Ok(()));
    check_binary(&binary_with("content-type", "application/json; charset=utf-8"), &data, Ok(()));
    check_binary(&binary_with("content-type", "text/plain"), &data, Err(Reason::InvalidField));
    check_binary(&binary_with("ce_specversion", "2.0"), &data, Err(Reason::InvalidField));
    check_binary(&binary_with("ce_id", ""), &data, Err(Reason::InvalidId));
    check_binary(&binary_with("ce_time", ""), &data, Err(Reason::InvalidField));
    check_binary(&binary_with("ce_type", "x"), "\0avro", Err(Reason::UnknownType));
    check_binary(&BINARY[1..], &data, Err(Reason::MissingField));
    check_binary(&BINARY[..4], &data, Err(Reason::MissingField));
    check_binary(&BINARY, "[]", Err(Reason::NotAnObject));
    check_binary(&BINARY, "", Err(Reason::NotJson));
    let twice: Vec<_> = BINARY.into_iter().chain([("ce_id", "e2")]).collect();
    check_binary(&twice, &data, Err(Reason::InvalidField));
    // The data's own `data` is a field that we do not know.
    check_binary(&BINARY, &usage_data(r#""data":[1],"specversion":"9""#), Ok(()));
}

#[test]
fn required_fields_are_there() {
    let full = cloud("ai.usage.recorded.v1", &usage_data(""));
    for name in ["tenantId", "userId", "assistant", "model", "tokensIn", "tokensOut"] {
        check(&full.replace(name, "x"), Reason::MissingField, &format!("{name} is missing"));
        check(
            &cloud("ai.usage.recorded.v1", &usage_data(&format!(r#""{name}":1"#))),
            Reason::InvalidField,
            "duplicate field",
        );
    }
    check(&full.replace("\"acme\"", "null"), Reason::MissingField, "tenantId");
    check(&full.replace("\"acme\"", "\"\""), Reason::InvalidId, "tenantId is empty");
    check(&full.replace("\"acme\"", "7"), Reason::InvalidField, "tenantId is a number");
    check(&full.replace("acme", "\\n"), Reason::InvalidId, "control character");
    check(&full.replace("acme", &"é".repeat(129)), Reason::InvalidId, "258 bytes");
    check(&full.replace("acme", "\\ud800"), Reason::InvalidField, "tenantId holds an escape");
    check(&cloud("ai.usage.recorded.v1", "{}"), Reason::MissingField, "tenantId");
}

#[test]
fn names_may_be_escaped() {
    let value = cloud("ai.usage.recorded.v1", &usage_data("")).replace("acme", r"\u0061\u0063me\ud83d\ude00\/\\");
    assert_eq!(decoded(&value.replace("tenantId", r"ten\u0061ntId")).tenant.as_str(), "acme😀/\\");
}

#[test]
fn counts_are_whole_numbers() {
    assert_eq!(usage(r#""latencyMs":1e3"#).latency_ms, Some(1000));
    assert_eq!(usage(r#""latencyMs":12.0"#).latency_ms, Some(12));
    assert_eq!(usage(r#""latencyMs":-0"#).latency_ms, Some(0));
    assert_eq!(usage(r#""latencyMs":9007199254740992"#).latency_ms, Some(1 << 53));
    assert_eq!(usage(r#""latencyMs":null"#).latency_ms, None);
    check_usage(r#""latencyMs":9007199254740993"#, Reason::InvalidField, "latencyMs is too large");
    check_usage(r#""latencyMs":-1"#, Reason::InvalidField, "latencyMs is negative");
    check_usage(r#""latencyMs":1.5"#, Reason::InvalidField, "latencyMs is a fraction");
    check_usage(r#""latencyMs":"12""#, Reason::InvalidField, "latencyMs is a string; a count is a whole number");
    check_usage(r#""latencyMs":true"#, Reason::InvalidField, "latencyMs is a boolean");
    check_usage(r#""latencyMs":[1]"#, Reason::InvalidField, "latencyMs is an array");
    check_usage(r#""latencyMs":1e999999999999"#, Reason::InvalidField, "latencyMs is too large");
    check_usage(r#""latencyMs":NaN"#, Reason::NotJson, "");
}

#[test]
fn money_is_decimal_text_or_a_number() {
    let cost = |text: &str| usage(&format!(r#""costCents":{text}"#)).cost;
    assert_eq!(cost("0.1"), Some(NanoDollars(1_000_000)));
    assert_eq!(cost("\"0.1\""), Some(NanoDollars(1_000_000)));
    assert_eq!(cost("\"\\u0031\""), Some(NanoDollars(10_000_000)));
    assert_eq!(cost("1e-3"), Some(NanoDollars(10_000)));
    assert_eq!(cost("922337203685.4775807"), Some(NanoDollars(i64::MAX)));
    assert_eq!(cost("0"), Some(NanoDollars(0)));
    assert_eq!(cost("null"), None);
    check_usage(r#""costCents":-0.01"#, Reason::InvalidField, "costCents \"-0.01\" is negative");
    check_usage(r#""costCents":"1,5""#, Reason::InvalidField, "costCents \"1,5\" is not a decimal");
    check_usage(r#""costCents":"""#, Reason::InvalidField, "costCents");
    check_usage(r#""costCents":"NaN""#, Reason::InvalidField, "costCents");
    check_usage(r#""costCents":922337203685.4775808"#, Reason::InvalidField, "above the largest");
    check_usage(r#""costCents":1e999999999999"#, Reason::InvalidField, "above the largest");
    check_usage(r#""costCents":{"amount":1}"#, Reason::InvalidField, "costCents is an object");
    check_usage(r#""costCents":false"#, Reason::InvalidField, "costCents is a boolean");
}

#[test]
fn totals_hold() {
    usage(r#""totalTokens":15"#);
    check_usage(r#""totalTokens":14"#, Reason::TotalsMismatch, "totalTokens is 14, but tokensIn + tokensOut is 15");
    check_usage(r#""cachedTokens":11"#, Reason::TotalsMismatch, "cachedTokens is 11, but tokensIn is 10");
    check_usage(r#""reasoningTokens":6"#, Reason::TotalsMismatch, "reasoningTokens is 6, but tokensOut is 5");
}

#[test]
fn tools_are_counted_by_name() {
    assert_eq!(usage(r#""toolInvocations":null"#).tools[..], []);
    assert_eq!(usage(r#""toolInvocations":{"a":0,"b":null}"#).tools[..], []);
    check_usage(r#""toolInvocations":[]"#, Reason::InvalidField, "toolInvocations is an array");
    check_usage(r#""toolInvocations":{"a":-1}"#, Reason::InvalidField, "toolInvocations.\"a\" is negative");
    check_usage(r#""toolInvocations":{"a":"1"}"#, Reason::InvalidField, "toolInvocations.\"a\" is a string");
    check_usage(r#""toolInvocations":{"":1}"#, Reason::InvalidId, "toolInvocations.\"\" is empty");
    check_usage(r#""toolInvocations":{"a":1,"b":1,"\u0061":0}"#, Reason::InvalidField, "names \"a\" more than once");
    check_usage(
        r#""toolInvocations":{"\ud800":1}"#,
        Reason::InvalidField,
        "toolInvocations is not read: unexpected end of hex escape",
    );
    let many = |count| (0..count).map(|i| format!(r#""t{i}":1"#)).collect::<Vec<_>>().join(",");
    assert_eq!(usage(&format!(r#""toolInvocations":{{{}}}"#, many(64))).tools.len(), 64);
    check_usage(&format!(r#""toolInvocations":{{{}}}"#, many(65)), Reason::InvalidField, "names 65 tools");
}

#[test]
fn an_output_has_kind_and_id() {
    assert_eq!(usage(r#""output":null"#).output, None);
    check_usage(r#""output":{"id":"o1"}"#, Reason::MissingField, "output.kind is missing");
    check_usage(r#""output":{"kind":"website"}"#, Reason::MissingField, "output.id is missing");
    check_usage(r#""output":{"id":"","kind":"website"}"#, Reason::InvalidId, "output.id is empty");
    check_usage(
        r#""output":{"id":"o","id":"o","kind":"website"}"#,
        Reason::InvalidField,
        "output is not read: duplicate field `id`",
    );
    check_usage(r#""output":"o1""#, Reason::InvalidField, "output is a string; send an object");
}

#[test]
fn a_time_is_held_against_the_records_own() {
    let value = cloud("ai.usage.recorded.v1", &usage_data(""));
    let at = |timestamp| decode_at(value.as_bytes(), &[], timestamp).map(|_| ()).map_err(|reject| reject.reason);
    assert_eq!(at(Some(TIME_MS - 300_000)), Ok(()));
    assert_eq!(at(Some(TIME_MS - 300_001)), Err(Reason::TimeInFuture));
    assert_eq!(at(Some(TIME_MS + 3_024_000_000)), Ok(()));
    assert_eq!(at(Some(TIME_MS + 3_024_000_001)), Err(Reason::TooLate));
    assert_eq!(at(None), Err(Reason::NoTimestamp));
    // A faulty event is faulty at any time.
    let faulty = value.replace("tokensIn", "x");
    let found = decode_at(faulty.as_bytes(), &[], None).map_err(|reject| reject.reason);
    assert_eq!(found, Err(Reason::MissingField));
}

#[test]
fn the_order_of_fields_decides_nothing() {
    let type_last = format!(
        r#"{{"data":{},"time":"{TIME}","source":"/svc","id":"e1","specversion":"1.0","type":"ai.usage.recorded.v1"}}"#,
        usage_data("")
    );
    assert_eq!(decoded(&type_last), decoded(&cloud("ai.usage.recorded.v1", &usage_data(""))));
    check(r#"{"type":"x","specversion":"1.0","time":1,"id":""}"#, Reason::UnknownType, "");
    check(r#"{"id":"","time":1,"specversion":"1.0","type":"x"}"#, Reason::UnknownType, "");
    check(
        r#"{"data":{},"data":{},"specversion":"1.0","type":"ai.usage.recorded.v1","id":"1","source":"s","time":"2026-11-24T18:32:00Z"}"#,
        Reason::InvalidField,
        "the value is not read: duplicate field `data`",
    );
}

#[test]
fn a_detail_quotes_little() {
    let long = "x".repeat(100_000);
    for value in [
        cloud(&long, "{}"),
        cloud("ai.usage.recorded.v1", &usage_data(&format!(r#""costCents":"{long}""#))),
        cloud("ai.usage.recorded.v1", &usage_data(&format!(r#""toolInvocations":{{"{long}":1}}"#))),
        cloud("ai.usage.recorded.v1", &usage_data(&format!(r#""costCents":1{}"#, "0".repeat(100_000)))),
        cloud("ai.usage.recorded.v1", &usage_data("")).replace("acme", &long),
        cloud("ai.usage.recorded.v1", &usage_data("")).replace(TIME, &long),
        format!("{{{long}"),
        format!("\"{long}\""),
    ] {
        let reject = decode_at(value.as_bytes(), &[], Some(TIME_MS)).expect_err("a fault");
        assert!(reject.detail.len() < 300, "{}", reject.detail);
    }
}

#[test]
fn the_value_is_utf_8() {
    for value in [&b"\"\xff\""[..], b"{\"a\":\"\xff\"}", b"\xed\xa0\x80", b"\xc0\x80"] {
        assert_eq!(decode_at(value, &[], None).map_err(|reject| reject.reason), Err(Reason::NotUtf8));
    }
}

#[test]
fn depth_is_bounded_outside_strings() {
    #[track_caller]
    fn check_depth(json: &str, too_deep: bool) {
        assert_eq!(nests_too_deep(json.as_bytes()), too_deep, "{json}");
    }
    check_depth(&"[".repeat(64), false);
    check_depth(&"[".repeat(65), true);
    check_depth(&r#"{"a":"#.repeat(65), true);
    check_depth(&"[{".repeat(33), true);
    check_depth(&"[],{},".repeat(1000), false);
    check_depth(&format!("[\"{}\"]", "[".repeat(1000)), false);
    check_depth(&format!("[\"\\\"{}\"]", "{".repeat(1000)), false);
    check_depth(&format!("[\"\\\\\"{}", "{".repeat(1000)), true);
}
