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
    assert_eq!(seen("acme", "svc", "1", "o"), SeenId { at: TimeMs(0), spread: 5_023_207_549_331_007_443, id, content });
}

#[test]
fn the_name_is_tenant_source_and_id() {
    let one = seen("acme", "svc", "1", "o");
    assert_ne!(one.id, seen("acme2", "svc", "1", "o").id);
    assert_ne!(one.id, seen("acme", "svc1", "1", "o").id);
    assert_ne!(one.id, seen("acme", "sv", "c1", "o").id);
    let other = seen("acme", "svc", "1", "other");
    assert_eq!((one.id, one.spread), (other.id, other.spread));
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
fn a_tier_has_eight_times_the_shards_of_the_one_before() {
    let tiers: Vec<_> = (0..5).filter_map(Tier::new).collect();
    assert_eq!(tiers.iter().map(|tier| tier.shards()).collect::<Vec<_>>(), [128, 1024, 8192, 65_536, 524_288]);
    assert_eq!(Tier::new(5), None);
    assert_eq!(Tier::LARGEST.capacity(), None);
    let holding = |ids| Tier::holding(ids).number();
    assert_eq!([0, 22_528, 22_529, 180_224, 180_225, u64::MAX].map(holding), [0, 0, 1, 1, 2, 4]);
}

#[test]
fn ids_in_the_order_of_their_spread_are_in_the_order_of_their_shards() {
    let spreads = [0, 1, u64::MAX / 3, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    for tier in (0..5).filter_map(Tier::new) {
        let shards = spreads.map(|spread| tier.shard(spread));
        assert!(shards.is_sorted(), "{shards:?}");
        assert_eq!((shards[0], shards[5]), (0, tier.shards() - 1));
    }
}

#[test]
fn a_tier_is_dropped_in_parts() {
    let mut part = Some(Expired { generation: Generation(1), tier: Tier::LARGEST, part: 0 });
    let mut next = 0;
    while let Some(expired) = part {
        assert_eq!(expired.shards().start, next);
        next = expired.shards().end;
        part = expired.next();
    }
    assert_eq!(next, Tier::LARGEST.shards());
    assert_eq!(Expired { generation: Generation(1), tier: Tier::SMALLEST, part: 0 }.next(), None);
}
