use proptest::prelude::*;

use super::*;

fn keyspace() -> Keyspace {
    Keyspace::new("indelible")
}

fn named(key: &str) -> Result<KeyName, NameFault> {
    KeyName::parse(&keyspace(), key)
}

#[track_caller]
fn refused(key: &str, says: &str) {
    let fault = named(key).expect_err(key).to_string();
    assert!(fault.contains(says), "{key}: {fault}");
}

fn tenant(id: &str) -> TenantId {
    TenantId::new(id).expect("an id")
}

#[test]
fn keys_are_told_by_their_names() {
    let month: Month = "2026-11".parse().expect("a month");
    let acme = tenant("acme");
    assert_eq!(named("indelible:{33h}:users:acme:2026-11"), Ok(KeyName::Users { tenant: acme.clone(), month }));
    assert_eq!(named("indelible:{33h}:tenant:acme:2026-11"), Ok(KeyName::Tenant { tenant: acme.clone(), month }));
    let saved = named("indelible:{25as}:saved:a%3Ab:%7Bx%7D%20y:caf%C3%A9").expect("a key");
    assert_eq!(
        saved.parts(),
        [("tenant", Cell::text("a:b")), ("user", Cell::text("{x} y")), ("outputKind", Cell::text("café"))]
    );
    let seen = named("indelible:{33h}:seen:20781:3").expect("a key");
    assert_eq!(seen.parts(), [("day", Cell::text("2026-11-24")), ("chunk", Cell::text("3"))]);
    assert_eq!((seen.bucket().index(), seen.kind()), (33, Kind::Seen));
    assert_eq!(named("indelible:{00dq}:prices:3f2a9c41d0b7e658").map(|name| name.kind()), Ok(Kind::Prices));
}

#[test]
fn what_is_no_key_of_ours_is_refused_with_what_to_do() {
    refused("other:{33h}:state", "of the namespace \"other\", and INDELIBLE_NAMESPACE is \"indelible\"");
    for foreign in ["", "state", "indelible:33h:state", "session:1", "indelible:{33h}state"] {
        refused(foreign, "begin with indelible:{TAG}: (INDELIBLE_NAMESPACE)");
    }
    refused("indelible:{99x}:state", "\"99x\", which is none of the 64 buckets'");
    refused(
        "indelible:{33h}:user:acme:2026-11",
        "of no kind that this program writes; after the tag stands one of state,",
    );
    refused("indelible:{33h}:users:acme", "not of the form users:TENANT:MONTH");
    refused("indelible:{33h}:users:acme:2026-13", "not of the form users:TENANT:MONTH");
    refused("indelible:{33h}:users:a%FF:2026-11", "not percent-encoded UTF-8");
    refused("indelible:{33h}:state:x", "not of the form state ");
    refused("indelible:{33h}:seen:x:0", "the day (whole days since 1970-01-01) \"x\" is no number");
    // The same meaning, and not the key that the program reads and writes.
    refused("indelible:{00dq}:users:acme:2026-11", "the key of that meaning is \"indelible:{33h}:users:acme:2026-11\"");
    refused("indelible:{33h}:months:%61cme", "the key of that meaning is \"indelible:{33h}:months:acme\"");
    refused("indelible:{33h}:seen:020781:0", "the key of that meaning is \"indelible:{33h}:seen:20781:0\"");
    refused("indelible:{33h}:prices:3f2a", "the key of that meaning is \"indelible:{00dq}:prices:3f2a\"");
}

#[test]
fn a_field_may_be_given_as_it_is_or_encoded() {
    let users = named("indelible:{33h}:users:acme:2026-11").expect("a key");
    assert_eq!(users.fields("alice"), ["alice"]);
    assert_eq!(users.fields("a%20b"), ["a%20b", "a b", "a%2520b"]);
    assert_eq!(users.fields("a b"), ["a b", "a%20b"]);
    let quota = named("indelible:{33h}:quota:acme").expect("a key");
    assert_eq!(quota.fields("a b"), ["a b", "a%20b", "user:a b", "user:a%20b"]);
}

#[test]
fn every_kind_has_a_name_of_its_own() {
    for kind in Kind::ALL {
        assert_eq!(Kind::named(kind.as_str()), Some(kind));
    }
    assert_eq!(Kind::named("seen:DAY:CHUNK"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_key_is_read_back(
        ids in prop::array::uniform3(r#"([a:%|{}"'*?\[\]\\ é日😀]|\PC){1,8}"#),
        bucket in 0..64_usize,
        day in any::<i64>(),
        chunk in any::<u64>(),
        months in 0..120_000_i32,
        version in "[0-9a-f]{16}",
    ) {
        let [Ok(tenant), Ok(user), Ok(kind)] = [TenantId::new(&ids[0]).map(|_| ()), UserId::new(&ids[1]).map(|_| ()),
            OutputKind::new(&ids[2]).map(|_| ())] else { return Ok(()) };
        let ((), (), ()) = (tenant, user, kind);
        let tenant = || TenantId::new(&ids[0]).expect("an id");
        let saved = KeyName::Saved {
            tenant: tenant(),
            user: UserId::new(&ids[1]).expect("an id"),
            kind: OutputKind::new(&ids[2]).expect("an id"),
        };
        let bucket = Bucket::all().nth(bucket).expect("a bucket");
        let month = "0000-01".parse::<Month>().expect("a month").plus(months);
        let all = [
            KeyName::State(bucket),
            KeyName::Seen { bucket, generation: Generation(day), chunk },
            KeyName::Tombstones(bucket),
            KeyName::Mismatches { bucket, month },
            KeyName::Outbox(bucket),
            KeyName::OutboxLease(bucket),
            KeyName::Webhook(bucket),
            KeyName::WebhookDue(bucket),
            KeyName::WebhookLease(bucket),
            KeyName::Prices(version),
            KeyName::Months(tenant()),
            KeyName::Tenant { tenant: tenant(), month },
            KeyName::Users { tenant: tenant(), month },
            saved,
            KeyName::SavedCounts(tenant()),
            KeyName::Quota(tenant()),
        ];
        for (name, kind) in all.into_iter().zip(Kind::ALL) {
            prop_assert_eq!(name.kind(), kind, "every kind is made");
            let key = name.key(&keyspace());
            let tag = format!("indelible:{{{}}}:", keys::tag(name.bucket()));
            prop_assert!(key.starts_with(&tag), "{}", key);
            prop_assert_eq!(named(&key), Ok(name));
        }
    }
}
