//! Quotas that are assigned: what is read of each form, and how each fault is named.

use super::*;
use crate::domain::event::Assigned;
use crate::domain::ids::PlanName;
use crate::domain::quota::{Grant, Limit, Limits, THRESHOLDS};

fn quota(more: &str) -> String {
    cloud("ai.quota.assigned.v1", &format!(r#"{{"tenantId":"acme","userId":"alice",{more}}}"#))
}

#[track_caller]
fn assigned(more: &str) -> Assigned {
    match decoded(&quota(more)).body {
        Body::QuotaAssigned(assigned) => assigned,
        other => panic!("no quota: {other:?}"),
    }
}

#[track_caller]
fn limits(json: &str) -> Limits {
    match assigned(&format!(r#""limits":{json}"#)).grant {
        Grant::Limits(limits) => limits,
        other => panic!("no limits: {other:?}"),
    }
}

#[track_caller]
fn check_quota(more: &str, expected: Reason, detail: &str) {
    let reject = decode_at(quota(more).as_bytes(), &[], Some(TIME_MS)).expect_err(more);
    assert_eq!((reject.reason, reject.detail.as_str()), (expected, detail), "{more}");
}

#[test]
fn a_quota_is_a_users_or_the_whole_tenants() {
    let user = |json: &str| decoded(&cloud("ai.quota.assigned.v1", json)).user.map(|user| user.to_string());
    assert_eq!(user(r#"{"tenantId":"acme","userId":"alice","inherit":true}"#).as_deref(), Some("alice"));
    assert_eq!(user(r#"{"tenantId":"acme","userId":null,"inherit":true}"#), None);
    assert_eq!(user(r#"{"tenantId":"acme","inherit":true}"#), None);
    let check = |json: &str, reason, part| check(&cloud("ai.quota.assigned.v1", json), reason, part);
    check(r#"{"tenantId":"acme","userId":"","inherit":true}"#, Reason::InvalidId, "userId is empty");
    check(r#"{"tenantId":"acme","userId":7,"inherit":true}"#, Reason::InvalidField, "userId is a number");
    check(r#"{"userId":"alice","inherit":true}"#, Reason::MissingField, "tenantId is missing");
}

#[test]
fn a_quota_is_a_plan_limits_or_what_would_hold_without() {
    let plan = |name| Grant::Plan(PlanName::new(name).expect("an id"));
    for (json, grant) in [
        (r#""plan":"pro""#, plan("pro")),
        (r#""plan":"pro","limits":null,"inherit":false"#, plan("pro")),
        (r#""plan":"日本""#, plan("日本")),
        (r#""inherit":true"#, Grant::Inherit),
        (r#""inherit":true,"plan":null,"limits":null,"unknown":{}"#, Grant::Inherit),
    ] {
        assert_eq!(assigned(json), Assigned { effective: None, grant }, "{json}");
    }
}

#[test]
fn it_holds_from_an_instant_on() {
    let effective = |time: &str| assigned(&format!(r#""inherit":true,"effectiveFrom":{time}"#)).effective;
    assert_eq!(effective("null"), None);
    assert_eq!(effective(r#""2026-12-01T00:00:00+01:00""#), Some(TimeMs(1_796_079_600_000)));
    assert_eq!(effective(r#""2026-11-24T18:32:00.0019Z""#), Some(TimeMs(TIME_MS + 1)));
    // Its own time is held against the record's, this one is not: a change may be years ahead, or be put right later.
    assert_eq!(effective(r#""0000-01-01T00:00:00Z""#), Some(TimeMs(-62_167_219_200_000)));
    assert_eq!(effective(r#""9999-12-31T23:59:59.999Z""#), Some(TimeMs(253_402_300_799_999)));
    // The event's own time where it says none.
    let event = decoded(&quota(r#""inherit":true"#));
    let Body::QuotaAssigned(assigned) = &event.body else { panic!("no quota") };
    assert_eq!(event.assignment(assigned).effective, TimeMs(TIME_MS));
}

#[test]
fn limits_are_read_exactly() {
    let standard = Limits::default();
    let tokens = |soft, hard| Limits { tokens: Limit { soft, hard }, ..standard.clone() };
    let cost = |soft, hard| Limits { cost: Limit { soft, hard }, ..standard.clone() };
    assert_eq!(standard.thresholds, THRESHOLDS);
    for (json, expected) in [
        (r#"{"tokens":{"soft":1}}"#, tokens(Some(1), None)),
        (r#"{"tokens":{"hard":2}}"#, tokens(None, Some(2))),
        (r#"{"tokens":{"soft":5,"hard":5},"costCents":null}"#, tokens(Some(5), Some(5))),
        (r#"{"tokens":{"soft":1e3,"hard":9007199254740992}}"#, tokens(Some(1000), Some(1 << 53))),
        (r#"{"costCents":{"soft":2500}}"#, cost(Some(25_000_000_000), None)),
        (r#"{"costCents":{"soft":"0.00000005000001","hard":0.0000002}}"#, cost(Some(1), Some(2))),
        (r#"{"costCents":{"hard":"922337203685.4775807"}}"#, cost(None, Some(i64::MAX))),
    ] {
        assert_eq!(limits(json), expected, "{json}");
    }
}

#[test]
fn grace_and_thresholds_come_with_limits() {
    let with = |more: &str| limits(&format!(r#"{{"tokens":{{"soft":1}},{more}}}"#));
    for (json, grace_ms) in
        [("null", None), ("0", Some(0)), ("259200", Some(259_200_000)), ("31622400", Some(31_622_400_000))]
    {
        assert_eq!(with(&format!(r#""graceSeconds":{json}"#)).grace_ms, grace_ms, "{json}");
    }
    let sixteen: Vec<_> = (1..=16).collect();
    for (json, thresholds) in [
        ("null", THRESHOLDS.to_vec()),
        ("[]", Vec::new()),
        ("[90, 1e1, 1000, 90, 1]", vec![1, 10, 90, 1000]),
        ("[16,15,14,13,12,11,10,9,8,7,6,5,4,3,2,1]", sixteen),
    ] {
        assert_eq!(with(&format!(r#""thresholds":{json}"#)).thresholds, thresholds, "{json}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for (json, detail) in [
        (r#""effectiveFrom":null"#, "plan, limits and inherit are missing or null; one of them is required, add it"),
        (r#""inherit":false"#, "plan, limits and inherit are missing or null; one of them is required, add it"),
        (r#""limits":{}"#, "limits.tokens is missing or null, and so is costCents; one of them is required, add it"),
        (
            r#""limits":{"soft":1,"tokens":null}"#,
            "limits.tokens is missing or null, and so is costCents; one of them is required, add it",
        ),
        (
            r#""limits":{"tokens":{}}"#,
            "limits.tokens.soft is missing or null, and so is hard; one of them is required, add it",
        ),
        (
            r#""limits":{"tokens":{"soft":1},"costCents":{"hard":null}}"#,
            "limits.costCents.soft is missing or null, and so is hard; one of them is required, add it",
        ),
    ] {
        check_quota(json, Reason::MissingField, detail);
    }
}

#[test]
fn what_is_wrong_is_named_with_its_path() {
    let percents = "send percents, each a whole number from 1 to 1000";
    let a_count = "a count is a whole number from 0 to 9007199254740992";
    let within = |more: &str| format!(r#""limits":{{"tokens":{{"soft":1}},{more}}}"#);
    for (json, detail) in [
        (r#""plan":5"#.to_owned(), "plan is a number; send a string".to_owned()),
        (
            r#""plan":"a","limits":{}"#.to_owned(),
            "plan stands beside limits or inherit; send one of the three".to_owned(),
        ),
        (
            r#""plan":"a","inherit":true"#.to_owned(),
            "plan stands beside limits or inherit; send one of the three".to_owned(),
        ),
        (
            r#""limits":5,"inherit":true"#.to_owned(),
            "limits stands beside inherit; send one of plan, limits and inherit".to_owned(),
        ),
        (r#""inherit":"true""#.to_owned(), "inherit is a string; send true or leave it out".to_owned()),
        (r#""inherit":1"#.to_owned(), "inherit is a number; send true or leave it out".to_owned()),
        (r#""limits":[]"#.to_owned(), "limits is an array; send an object".to_owned()),
        (r#""limits":{"tokens":1000}"#.to_owned(), "limits.tokens is a number; send an object".to_owned()),
        (r#""limits":{"tokens":{"soft":"1"}}"#.to_owned(), format!("limits.tokens.soft is a string; {a_count}")),
        (r#""limits":{"tokens":{"hard":-1}}"#.to_owned(), format!("limits.tokens.hard is negative; {a_count}")),
        (
            r#""limits":{"tokens":{"hard":0}}"#.to_owned(),
            "limits.tokens.hard is 0; send a limit above that, or none".to_owned(),
        ),
        (
            r#""limits":{"costCents":{"soft":"0.00000005"}}"#.to_owned(),
            "limits.costCents.soft is 0; send a limit above that, or none".to_owned(),
        ),
        (
            r#""limits":{"costCents":{"soft":true}}"#.to_owned(),
            "limits.costCents.soft is a boolean; send a decimal number or a string of one".to_owned(),
        ),
        (
            r#""limits":{"tokens":{"soft":2,"hard":1}}"#.to_owned(),
            "limits.tokens has a soft limit above its hard one; send soft up to hard".to_owned(),
        ),
        (
            r#""limits":{"costCents":{"soft":"1.0000001","hard":1}}"#.to_owned(),
            "limits.costCents has a soft limit above its hard one; send soft up to hard".to_owned(),
        ),
        (within(r#""graceSeconds":1.5"#), format!("limits.graceSeconds is a fraction; {a_count}")),
        (
            within(r#""graceSeconds":259200000"#),
            "limits.graceSeconds is 259200000; send seconds, at most 31622400, which are 366 days".to_owned(),
        ),
        (within(r#""thresholds":90"#), "limits.thresholds is a number; send an array".to_owned()),
        (within(r#""thresholds":[50,0]"#), format!("limits.thresholds holds \"0\"; {percents}")),
        (within(r#""thresholds":[1001]"#), format!("limits.thresholds holds \"1001\"; {percents}")),
        (within(r#""thresholds":[null]"#), format!("limits.thresholds holds \"null\"; {percents}")),
        (
            within(r#""thresholds":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"#),
            "limits.thresholds has 17 percents; send at most 16".to_owned(),
        ),
    ] {
        check_quota(&json, Reason::InvalidField, &detail);
    }
    check_quota(r#""plan":" ""#, Reason::InvalidId, "plan is white space only; an id needs a visible character");
}

#[test]
fn the_first_fault_is_reported_whatever_the_order_of_fields() {
    // Each line has the faults of all below it.
    for (json, part) in [
        (r#""limits":{"tokens":{"soft":0}},"inherit":7,"effectiveFrom":"soon","userId":"""#, "userId is empty"),
        (r#""limits":{"tokens":{"soft":0}},"inherit":7,"effectiveFrom":"soon""#, "effectiveFrom \"soon\" is not"),
        (r#""limits":{"tokens":{"soft":0}},"inherit":7"#, "inherit is a number"),
        (
            r#""limits":{"thresholds":[0],"graceSeconds":-1,"costCents":{"hard":0},"tokens":{"hard":0}}"#,
            "limits.tokens.hard",
        ),
        (r#""limits":{"thresholds":[0],"graceSeconds":-1,"costCents":{"hard":0,"soft":0}}"#, "limits.costCents.soft"),
        (r#""limits":{"thresholds":[0],"graceSeconds":-1,"costCents":{"hard":1}}"#, "limits.graceSeconds"),
        (r#""limits":{"thresholds":[0],"graceSeconds":0,"costCents":{"hard":1}}"#, "limits.thresholds"),
    ] {
        let quota = cloud("ai.quota.assigned.v1", &format!(r#"{{"tenantId":"acme",{json}}}"#));
        let reject = decode_at(quota.as_bytes(), &[], Some(TIME_MS)).expect_err(json);
        assert!(reject.detail.starts_with(part), "{reject} for {json}");
    }
}

#[test]
fn a_name_stands_once_at_every_level() {
    for (json, part) in [
        (r#""plan":"a","plan":"b""#, "data is not read: duplicate field `plan`"),
        (r#""limits":{"tokens":{"soft":1},"tokens":{"soft":2}}"#, "limits is not read: duplicate field `tokens`"),
        (r#""limits":{"tokens":{"soft":1,"soft":2}}"#, "limits.tokens is not read: duplicate field `soft`"),
    ] {
        check(&quota(json), Reason::InvalidField, part);
    }
}

#[test]
fn a_bare_record_is_never_a_quota() {
    let bare = r#"{"requestId":"r","createdAt":"2026-11-24T18:32:00Z","type":"ai.quota.assigned.v1","tenantId":"acme","plan":"pro"}"#;
    check(bare, Reason::MissingField, "userId is missing");
}
