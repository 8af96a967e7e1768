//! A tenant's bucket: the unit of one atomic flush. All keys of a bucket live in one Redis Cluster slot.

use xxhash_rust::xxh3::xxh3_64;

use super::ids::TenantId;

/// Buckets of a namespace; fixed for its life, since a tenant's keys lie where its bucket says.
pub const BUCKETS: u16 = 64;

/// 0 to [`BUCKETS`] - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u16);

impl Bucket {
    /// Where that is kept which is no tenant's.
    pub const FIRST: Self = Self(0);

    pub fn of(tenant: &TenantId) -> Self {
        Self((xxh3_64(tenant.as_str().as_bytes()) % u64::from(BUCKETS)) as u16)
    }

    pub fn all() -> impl Iterator<Item = Self> {
        (0..BUCKETS).map(Self)
    }

    /// From 0.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

#[cfg(test)]
#[path = "../../tests/unit/domain/bucket.rs"]
mod tests;
