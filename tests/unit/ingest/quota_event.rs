use super::*;
use crate::domain::ids::{PlanName, TenantId, UserId};
use crate::domain::quota::{Grant, Limits};

fn scope(user: Option<&str>) -> Scope {
    let user = user.map(|user| UserId::new(user).expect("an id"));
    Scope { tenant: TenantId::new("a \"b\" \\").expect("an id"), user }
}

fn name() -> Name {
    let time = "2026-11-24T18:32:00.123Z".parse().expect("a time");
    Name { source: Source::new("/indelible/n").expect("an id"), id: EventId::new("e1").expect("an id"), time }
}

fn made(quota: &str) -> Result<(Assignment, String), Reject> {
    quota_event(&scope(Some("u\u{1f600}")), quota.as_bytes(), &name())
}

#[test]
fn the_event_is_what_the_decoder_reads() {
    let (assignment, json) = made(" {\n \"plan\": \"pro\"} ").expect("a quota");
    assert_eq!(assignment.grant, Grant::Plan(PlanName::new("pro").expect("an id")));
    assert_eq!((assignment.effective, assignment.set_at), (TimeMs(1_795_545_120_123), TimeMs(1_795_545_120_123)));
    let read =
        decode(&Incoming { value: Some(json.as_bytes()), headers: &[], timestamp: Some(assignment.set_at) }, &BOUNDS);
    let event = read.expect("an event");
    assert_eq!(Scope { tenant: event.tenant.clone(), user: event.user.clone() }, scope(Some("u\u{1f600}")));
    let Body::QuotaAssigned(assigned) = &event.body else { panic!("no quota: {json}") };
    assert_eq!(event.assignment(assigned), assignment);

    let (_, json) = quota_event(&scope(None), b"{\"inherit\":true}", &name()).expect("a quota");
    assert!(!json.contains("userId"), "{json}");
}

#[test]
fn no_digit_of_a_limit_is_lost() {
    let (assignment, json) =
        made(r#"{"limits":{"costCents":{"soft":92233720368.54775807,"hard":"922337203685.4775807"}},"effectiveFrom":"2027-01-01T00:00:00Z"}"#)
            .expect("a quota");
    let Grant::Limits(Limits { cost, .. }) = assignment.grant else { panic!("no limits") };
    assert_eq!((cost.soft, cost.hard), (Some(922_337_203_685_477_581), Some(i64::MAX)));
    assert!(json.contains("\"soft\":92233720368.54775807,"), "{json}");
    assert_eq!(assignment.effective, TimeMs(1_798_761_600_000));
}

#[track_caller]
fn refused(quota: &str, part: &str) {
    let reject = made(quota).expect_err(quota);
    assert!(reject.detail.contains(part), "{reject} lacks {part}");
}

#[test]
fn what_is_no_quota_is_refused() {
    refused("", "the quota is not JSON");
    refused("{\"plan\":\"a\"", "the quota is not JSON");
    refused("{\"plan\":\"a\"} {}", "the quota is not JSON");
    // Nothing that is put in place of the data ends it.
    refused("{\"plan\":\"a\"}},\"id\":\"other\",\"x\":{\"y\":{}", "the quota is not JSON");
    refused("[1]", "is JSON, but not an object");
    refused("\"{}\"", "is JSON, but not an object");
    refused("null", "is JSON, but not an object");
    refused("{}", "plan, limits and inherit are missing");
    refused("{\"plan\":\"a\",\"plan\":\"b\"}", "duplicate field `plan`");
    refused("{\"limits\":{\"tokens\":5}}", "limits.tokens is a number; send an object");
}

#[test]
fn a_misspelt_field_is_no_silent_absence() {
    for (quota, field) in [
        (r#"{"plna":"a"}"#, "\"plna\""),
        (r#"{"plan":"a","tenantId":"other"}"#, "\"tenantId\""),
        (r#"{"plan":"a","userId":"other"}"#, "\"userId\""),
        (r#"{"plan":"a","limits.tokens":{"soft":1}}"#, "\"limits.tokens\""),
        (r#"{"plan":"a","":1}"#, "\"\""),
        (r#"{"limits":{"tokens":{"soft":1},"cost":{"soft":1}}}"#, "\"limits.cost\""),
        (r#"{"limits":{"tokens":{"soft":1},"plan":"a"}}"#, "\"limits.plan\""),
        (r#"{"limits":{"tokens":{"soft":1,"Hard":2}}}"#, "\"limits.tokens.Hard\""),
    ] {
        refused(quota, &format!("{field} is no field of a quota; its fields are plan, limits"));
    }
    let long = format!("{{\"{}\":1}}", "x".repeat(1000));
    assert!(made(&long).expect_err("a fault").detail.len() < 400);
}
