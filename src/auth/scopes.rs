//! What a credential may do, by the names that tokens and key files have for it.

/// A set of scopes. One that allows more holds those that allow less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    pub const NONE: Self = Self(0);
    /// The numbers of the credential's own user.
    pub const READ: Self = Self(0b0001);
    /// Those of the credential's tenant and of all its users.
    pub const READ_TENANT: Self = Self(0b0011);
    /// Those of every tenant.
    pub const READ_ALL: Self = Self(0b0111);
    /// Assigning quotas, in the tenants that the credential reaches.
    pub const QUOTA_WRITE: Self = Self(0b1000);

    /// Every scope by its name.
    pub const NAMED: [(&str, Self); 4] = [
        ("usage:read", Self::READ),
        ("usage:read:tenant", Self::READ_TENANT),
        ("usage:read:all", Self::READ_ALL),
        ("quota:write", Self::QUOTA_WRITE),
    ];

    /// None where no scope has the name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|(_, scopes)| *scopes)
    }

    /// The name of one of [`Self::NAMED`]; empty for other sets.
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// Those of the names that are known: a token has others, for other services.
    pub fn known<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        names.filter_map(Self::named).fold(Self::NONE, Self::with)
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}
