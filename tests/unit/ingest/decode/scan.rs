//! The quick way and serde_json read the same, and the quick way is taken.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::fields::Fields;
use super::super::scan::{Object, entries};
use super::*;

/// Whether the quick way reads it; if so, as serde_json does.
fn is_scanned(text: &str) -> bool {
    let mut object = Object::EMPTY;
    if object.scan(text).is_none() {
        return false;
    }
    assert!(!nests_too_deep(text.as_bytes()), "{text}");
    let fields: Fields<'_> = serde_json::from_str(text).unwrap_or_else(|fault| panic!("{fault}: {text}"));
    assert_eq!(unmarked(object.fields), fields, "{text}");
    if let Some(data) = object.data {
        assert_eq!(Ok(unmarked(data)), fields.data().object(), "{text}");
    }
    true
}

/// As serde_json leaves them.
fn unmarked(mut fields: Fields<'_>) -> Fields<'_> {
    fields.is_plain = false;
    fields
}

#[test]
fn what_producers_send_is_scanned() {
    let structured = cloud("ai.usage.recorded.v1", &usage_data(r#""output":{"id":"o","kind":"k"},"x":[1,{"y":[]}]"#));
    let scanned = [
        structured.replace(',', " ,\n\t").replace("\":", "\"\r : ").replace('{', "{ ").replace('}', " } "),
        structured.replace("acme", r#"b\u00fccher\ud800 \/\n\"\\"#),
        structured.replace("acme", "bücher"),
        structured,
        usage_data(r#""costCents":-1.50e+3,"latencyMs":0,"a":null,"b":true,"c":false,"d":{},"e":[],"f":0.1E-0"#),
        r#"{"data":{"data":{"tenantId":1,"tenantId":2}}}"#.to_owned(),
        r#"{"data":[]}"#.to_owned(),
        "{}".to_owned(),
    ];
    for text in scanned {
        assert!(is_scanned(&text), "{text}");
    }
}

#[test]
fn what_is_out_of_the_ordinary_is_left() {
    let deep = |depth| format!(r#"{{"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    for text in [
        r#"{"id":1,"id":1}"#,
        r#"{"data":{"model":1,"model":1}}"#,
        r#"{"ten\u0061ntId":1}"#,
        r#"{"data":{"\ud800":1}}"#,
        &deep(64),
        "{} x",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\u{1f}\"}",
        "\u{feff}{}",
        "\u{a0}{}",
        r#"{"a":1,}"#,
        r#"{,}"#,
        r#"{"a"}"#,
        r#"{"a":01}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":+1}"#,
        r#"{"a":-}"#,
        r#"{"a":1e}"#,
        r#"{"a":nul}"#,
        r#"{"a":nulL}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[1 2]}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12g4"}"#,
        r#"{"a":"b"#,
        r#"{"a":"#,
        "{",
        "[]",
        "",
    ] {
        assert!(!is_scanned(text), "{text}");
    }
    assert!(is_scanned(&deep(62)));
}

#[test]
fn entries_are_those_of_an_object() {
    let read = |text| entries(text).map(|entries| entries.into_iter().map(|(name, _)| name.into_owned()).collect());
    assert_eq!(read(r#"{"b":1,"a":{},"b":"x"}"#), Some(vec!["b".to_owned(), "a".to_owned(), "b".to_owned()]));
    assert_eq!(read("{}"), Some(Vec::new()));
    assert_eq!(read(r#"{"\u0061":1}"#), None);
    assert_eq!(read("[]"), None);
    assert_eq!(read("null"), None);
}

/// Parts of which JSON is made, and nearly made.
const PARTS: &str =
    r#"{ } [ ] , : " \ \u \" é - 0 12 . e E+ null true false "id" "data":{ "time": "a": "model":"m", "a-long-text""#;

fn part() -> impl Strategy<Value = String> {
    let parts: Vec<_> = PARTS.split(' ').chain([" ", "\n", "\u{1}"]).collect();
    prop_oneof![select(parts).prop_map(str::to_owned), "\"[ -~]{0,20}\"", any::<char>().prop_map(String::from)]
}

proptest! {
    #[test]
    fn nothing_is_scanned_that_serde_reads_otherwise(parts in prop::collection::vec(part(), 0..30)) {
        is_scanned(&parts.concat());
        is_scanned(&format!("{{\"model\":{}}}", parts.concat()));
    }

    #[test]
    fn damage_is_seen(changes in prop::collection::vec((any::<Index>(), any::<Index>(), part()), 1..4)) {
        let more = r#""costCents":-1.5e+3,"toolInvocations":{"a":[1,true],"b":null},"x":"\u00fc\n""#;
        let mut text = cloud("ai.usage.recorded.v1", &usage_data(more));
        for (from, to, new) in changes {
            let places: Vec<_> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let from = from.index(places.len());
            let to = (from + to.index(3)).min(places.len() - 1);
            text.replace_range(places[from]..places[to], &new);
        }
        is_scanned(&text);
    }
}
