use super::*;

/// Stored counters depend on it: a change here loses every tenant.
#[test]
fn a_tenant_keeps_its_bucket() {
    let bucket = |tenant: &str| Bucket::of(&TenantId::new(tenant).expect("an id")).index();
    assert_eq!([bucket("acme"), bucket("globex"), bucket("日本")], [33, 47, 0]);
}

#[test]
fn tenants_spread_over_all_buckets() {
    let mut sizes = [0_u32; BUCKETS as usize];
    for i in 0..6400 {
        sizes[Bucket::of(&TenantId::new(&format!("tenant-{i}")).expect("an id")).index()] += 1;
    }
    assert!(sizes.iter().all(|size| (60..160).contains(size)), "{sizes:?}");
}
