use super::*;
use crate::domain::bucket::Bucket;
use crate::domain::ids::TenantId;
use crate::domain::money::NanoDollars;
use crate::store::inspect::KeyName;

fn acme() -> TenantId {
    TenantId::new("acme").expect("an id")
}

fn user(name: &str, tokens: i64, cost: i64) -> Vec<Cell> {
    vec![Cell::Text(name.to_owned()), Cell::Count(tokens), Cell::Dollars(NanoDollars(cost)), Cell::Nothing]
}

fn users() -> Inspected {
    let table = Table {
        name: "users",
        columns: vec!["user", "tokensIn", "costDollars", "unused"],
        rows: vec![user("alice", 387_361, 1_223_536_750), user("zoë", 9, 0)],
    };
    let damaged = Damaged { at: "bob".to_owned(), why: "holds the line \"x\"".to_owned() };
    Inspected {
        name: KeyName::Users { tenant: acme(), month: "2026-11".parse().expect("a month") },
        key: "indelible:{33h}:users:acme:2026-11".to_owned(),
        field: None,
        entries: 1_000_000,
        bytes: 314_572_800,
        tables: vec![table],
        damaged: vec![damaged],
        more: 999_997,
    }
}

#[test]
fn a_key_is_told_with_its_content_and_what_is_left_out() {
    insta::assert_snapshot!(key(&users()));
}

#[test]
fn what_a_terminal_would_obey_is_not_printed() {
    let table = Table { name: "lease", columns: vec!["owner"], rows: vec![vec![Cell::Text("a\x1b[2J\nb".to_owned())]] };
    let lease = Inspected {
        name: KeyName::OutboxLease(Bucket::of(&acme())),
        tables: vec![table],
        damaged: Vec::new(),
        more: 0,
        ..users()
    };
    let text = key(&lease);
    assert!(text.ends_with("\nlease:\nOWNER\na\\u{1b}[2J\\nb\n"), "{text}");
}

#[test]
fn json_has_amounts_as_text_and_what_is_not_there_as_null() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&super::super::json::key(&users())).expect("JSON"));
}

#[test]
fn the_keys_of_a_user_are_listed_with_their_sizes() {
    let month = KeyName::Users { tenant: acme(), month: "2026-11".parse().expect("a month") };
    let one = Listed {
        name: month,
        key: "indelible:{33h}:users:acme:2026-11".to_owned(),
        field: Some("alice".to_owned()),
        entries: 6,
        bytes: 205,
    };
    let scope = crate::domain::delta::Scope {
        tenant: acme(),
        user: Some(crate::domain::ids::UserId::new("alice").expect("an id")),
    };
    let listing = Listing { scope, keys: vec![one], damaged: Vec::new(), more: 3 };
    insta::assert_snapshot!(super::listing(&listing));
}
