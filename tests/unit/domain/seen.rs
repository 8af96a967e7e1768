use chrono::DateTime;

use super::*;
use crate::domain::ids::{EventId, OutputId, OutputKind, Source, TenantId, UserId};

fn event(tenant: &str, source: &str, id: &str, output: &str) -> Event {
    Event {
        id: EventId::new(id).expect("an id"),
        source: Source::new(source).expect("an id"),
        time: DateTime::from_timestamp(1_764_000_000, 0).expect("a time"),
        tenant: TenantId::new(tenant).expect("an id"),
        user: Some(UserId::new("alice").expect("an id")),
        body: Body::OutputCreated(Output {
            kind: OutputKind::new("website").expect("an id"),
            id: OutputId::new(output).expect("an id"),
        }),
    }
}

fn seen(tenant: &str, source: &str, id: &str, output: &str) -> SeenId {
    SeenId::of(&event(tenant, source, id, output), TimeMs(0))
}

/// Stored ids depend on it: a change here makes every known event new.
#[test]
fn an_event_keeps_its_hashes() {
    let (id, content) = (2_287_440_032_716_459_876, 552_363_186_813_014_929);
    assert_eq!(seen("acme", "svc", "1", "o"), SeenId { at: TimeMs(0), id, content });
}

#[test]
fn the_name_is_tenant_source_and_id() {
    let one = seen("acme", "svc", "1", "o");
    assert_ne!(one.id, seen("acme2", "svc", "1", "o").id);
    assert_ne!(one.id, seen("acme", "svc1", "1", "o").id);
    assert_ne!(one.id, seen("acme", "sv", "c1", "o").id);
    let other = seen("acme", "svc", "1", "other");
    assert_eq!(one.id, other.id);
    assert_ne!(one.content, other.content);
}

#[test]
fn a_window_reaches_a_day_to_either_side() {
    let noon = TimeMs(GENERATION_MS * 10 + GENERATION_MS / 2);
    assert_eq!(Generation::within(noon, GENERATION_MS), 9..=11);
    assert_eq!(Generation::within(noon, GENERATION_MS / 4), 10..=10);
    let a_day_after = TimeMs(GENERATION_MS * 12);
    assert!(!Generation::within(a_day_after, GENERATION_MS).contains(&10));
}

#[test]
fn a_log_is_dropped_in_parts() {
    let mut part = Some(Expired { generation: Generation(1), chunks: 3 * DROPPED_AT_ONCE + 1, first: 0 });
    let mut next = 0;
    while let Some(expired) = part {
        assert_eq!(expired.dropped().start, next);
        next = expired.dropped().end;
        part = expired.next();
    }
    assert_eq!(next, 3 * DROPPED_AT_ONCE + 1);
    assert_eq!(Expired { generation: Generation(1), chunks: DROPPED_AT_ONCE, first: 0 }.next(), None);
}
