//! A tenant's bucket: the unit of one atomic flush. All keys of a bucket live in one Redis Cluster slot.

use xxhash_rust::xxh3::xxh3_64;

use super::ids::TenantId;

/// Buckets of a namespace; fixed for its life, since a tenant's keys lie where its bucket says.
pub const BUCKETS: u16 = 64;

/// 0 to [`BUCKETS`] - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u16);

impl Bucket {
    #[must_use]
    pub fn of(tenant: &TenantId) -> Self {
        Self((xxh3_64(tenant.as_str().as_bytes()) % u64::from(BUCKETS)) as u16)
    }

    pub fn all() -> impl Iterator<Item = Self> {
        (0..BUCKETS).map(Self)
    }

    /// From 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

#[cfg(test)]
mod tests {
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
}
