//! The rule of who may ask for what, in one function. No clock, no I/O.
//!
//! Another tenant's path does not exist for whoever doesn't reach it: that is judged before any scope, so that no answer
//! tells a tenant that is there from one that is not.

use crate::domain::delta::Scope;

use super::{Principal, Scopes};

/// What an endpoint asks of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Any that is valid.
    Credential,
    /// One that names a tenant and a user, who are asked about.
    Own,
    /// The numbers of the path's user.
    User,
    /// The numbers of the path's tenant.
    Tenant,
    /// Numbers of all tenants together.
    All,
    /// Assigning a quota in the path's tenant.
    QuotaWrite,
}

/// Why a valid credential does not get what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// As if nothing were there.
    NotFound,
    /// A scope is missing.
    Scope(Scopes),
    /// The credential names no user, or no tenant.
    NoUser,
}

impl Needs {
    /// The scope that is enough wherever the path leads in the credential's reach; none where any credential is.
    pub const fn scope(self) -> Option<Scopes> {
        match self {
            Self::Credential => None,
            Self::Own => Some(Scopes::READ),
            Self::User | Self::Tenant => Some(Scopes::READ_TENANT),
            Self::All => Some(Scopes::READ_ALL),
            Self::QuotaWrite => Some(Scopes::QUOTA_WRITE),
        }
    }

    /// Judges a credential. `asked` is the tenant and user of the path, where it has any.
    ///
    /// # Errors
    /// [`Denial`]
    pub fn judge(self, principal: &Principal, asked: Option<&Scope>) -> Result<(), Denial> {
        let Principal { user, scopes, .. } = principal;
        if asked.is_some_and(|asked| !principal.reaches(&asked.tenant)) {
            return Err(Denial::NotFound);
        }
        let own =
            |asked: &Scope| principal.tenant.as_ref() == Some(&asked.tenant) && user.is_some() && *user == asked.user;
        let enough = match self {
            Self::Credential => true,
            Self::Own if principal.tenant.is_none() || user.is_none() => return Err(Denial::NoUser),
            Self::Own => scopes.has(Scopes::READ),
            Self::User => scopes.has(Scopes::READ_TENANT) || scopes.has(Scopes::READ) && asked.is_some_and(own),
            Self::Tenant => scopes.has(Scopes::READ_TENANT),
            Self::All => scopes.has(Scopes::READ_ALL),
            Self::QuotaWrite => scopes.has(Scopes::QUOTA_WRITE),
        };
        match self.scope() {
            Some(scope) if !enough => Err(Denial::Scope(scope)),
            _ => Ok(()),
        }
    }
}
