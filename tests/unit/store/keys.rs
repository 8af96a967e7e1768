use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// CRC16 (XMODEM), as in the Redis Cluster specification.
fn slot(tag: &str) -> u32 {
    let crc = tag.bytes().fold(0_u32, |crc, byte| {
        (0..8).fold(crc ^ (u32::from(byte) << 8), |crc, _| {
            (if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }) & 0xffff
        })
    });
    crc % 16_384
}

#[test]
fn buckets_spread_evenly_over_the_slots() {
    assert_eq!(slot("123456789"), 0x31c3, "the specification's own check value");
    for (index, tag) in TAGS.iter().enumerate() {
        assert_eq!(slot(tag) / 256, index as u32, "{tag}");
    }
}

fn tenant(id: &str) -> TenantId {
    TenantId::new(id).expect("an id")
}

fn saved(keys: &Keyspace, [of, user, kind]: [&str; 3]) -> String {
    let (user, kind) = (UserId::new(user).expect("an id"), OutputKind::new(kind).expect("an id"));
    keys.saved(&tenant(of), &user, &kind)
}

#[test]
fn keys_read_well() {
    let keys = Keyspace::new("indelible");
    let month = "2026-11".parse().expect("a month");
    assert_eq!(keys.month(&tenant("acme"), month), "indelible:{33h}:tenant:acme:2026-11");
    assert_eq!(keys.users(&tenant("acme"), month), "indelible:{33h}:users:acme:2026-11");
    let alice = ["acme", "alice@acme.com", "website"];
    assert_eq!(saved(&keys, alice), "indelible:{33h}:saved:acme:alice@acme.com:website");
    assert_eq!(saved(&keys, ["a:b", "{x} y", "k"]), "indelible:{25as}:saved:a%3Ab:%7Bx%7D%20y:k");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn two_names_never_share_a_key(
        one in prop::array::uniform3("[a:|%{} ]{1,4}"),
        other in prop::array::uniform3("[a:|%{} ]{1,4}"),
    ) {
        prop_assume!(one.iter().chain(&other).all(|id| !id.trim().is_empty()));
        let keys = Keyspace::new("n");
        let month: Month = "2026-11".parse().expect("a month");
        let of = |ids: &[String; 3]| saved(&keys, [&ids[0], &ids[1], &ids[2]]);
        prop_assert_eq!(one == other, of(&one) == of(&other));
        let tenants = [&one[0], &other[0]].map(|id| tenant(id));
        let all: BTreeSet<_> = tenants
            .iter()
            .flat_map(|tenant| [keys.month(tenant, month), keys.users(tenant, month), keys.months(tenant), keys.quota(tenant)])
            .collect();
        prop_assert_eq!(all.len(), if tenants[0] == tenants[1] { 4 } else { 8 });
    }
}

#[test]
fn what_stands_for_itself_is_what_needs_no_encoding() {
    for byte in 0..=0x7f_u8 {
        let text = char::from(byte).to_string();
        let slow: Cow<'_, str> = utf8_percent_encode(&text, RESERVED).into();
        assert_eq!(encode(&text), slow, "{byte}");
        assert_eq!(decode(&slow).as_deref(), Some(text.as_str()));
    }
    assert_eq!(encode("é"), "%C3%A9");
}
