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

fn scope(tenant: &str, user: Option<&str>) -> Scope {
    Scope { tenant: TenantId::new(tenant).expect("an id"), user: user.map(|user| UserId::new(user).expect("an id")) }
}

#[test]
fn keys_read_well() {
    let keys = Keyspace::new("indelible");
    let month = "2026-11".parse().expect("a month");
    let alice = scope("acme", Some("alice@acme.com"));
    assert_eq!(keys.month(&alice, month), "indelible:{33h}:user:acme:alice@acme.com:2026-11");
    assert_eq!(keys.month(&scope("acme", None), month), "indelible:{33h}:tenant:acme:2026-11");
    assert_eq!(keys.month(&scope("a:b", Some("{x} y")), month), "indelible:{25as}:user:a%3Ab:%7Bx%7D%20y:2026-11");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn two_scopes_never_share_a_key(a in "[a:|%{} ]{1,4}", b in "[a:|%{} ]{1,4}", c in "[a:|%{} ]{1,4}", d in "[a:|%{} ]{1,4}") {
        prop_assume!([&a, &b, &c, &d].iter().all(|id| !id.trim().is_empty()));
        let keys = Keyspace::new("n");
        let month: Month = "2026-11".parse().expect("a month");
        let names: Vec<(Scope, String)> = [(&a, Some(&b)), (&c, Some(&d)), (&a, None), (&c, None)]
            .into_iter()
            .map(|(tenant, user)| scope(tenant, user.map(String::as_str)))
            .map(|scope| { let key = keys.month(&scope, month); (scope, key) })
            .collect();
        let scopes: BTreeSet<_> = names.iter().map(|(scope, _)| scope).collect();
        let keys: BTreeSet<_> = names.iter().map(|(_, key)| key).collect();
        prop_assert_eq!(scopes.len(), keys.len());
    }
}
