//! The names of the reasons, and what of a record a detail repeats.

use std::collections::BTreeSet;

use super::super::reason::{Reason, Reject, quote};

#[test]
fn every_reason_has_a_name_of_its_own() {
    let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for name in names {
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
    }
}

#[test]
fn a_quote_is_short_and_on_one_line() {
    assert_eq!(quote("a\nb\"c"), r#""a\nb\"c""#);
    assert_eq!(quote(&"é".repeat(64)), format!("\"{}\"", "é".repeat(64)));
    assert_eq!(quote(&"é".repeat(65)), format!("\"{}\"…", "é".repeat(64)));
}

#[test]
fn a_reject_reads_as_reason_and_detail() {
    let reject = Reject::new(Reason::NotJson, "the value is empty");
    assert_eq!(reject.to_string(), "not_json: the value is empty");
}
