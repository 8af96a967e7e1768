//! Who asks, and what they may see: API keys and JSON Web Tokens become a [`Principal`], whose reach is a pure rule.
//!
//! Knows no HTTP beyond the text of a credential, no usage, no store. A credential is valid or it is not: why one was
//! refused is for the log at DEBUG and never for the caller. Read `access.rs` first, then `authenticator.rs`.

pub mod access;
pub mod api_keys;
pub mod authenticator;
mod crypto;
mod fetch;
pub mod jwt;
mod key_set;
mod key_source;
pub mod rates;
pub mod scopes;

pub use access::{Denial, Needs};
pub use authenticator::{Authenticator, Refusal};
pub use key_source::KeyPlace;
pub use scopes::Scopes;

use crate::domain::ids::{TenantId, UserId};

/// Whoever a credential stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Names the credential where requests are limited: never the credential itself.
    pub credential: String,
    /// None where the credential is of no tenant, such as an operator's.
    pub tenant: Option<TenantId>,
    /// None where a service asks, and not a person.
    pub user: Option<UserId>,
    pub scopes: Scopes,
    /// Requests a second, where not what is set for all.
    pub rate: Option<u32>,
}

impl Principal {
    /// Whether a tenant's numbers are this one's to ask for; which of them, the scopes say.
    pub fn reaches(&self, tenant: &TenantId) -> bool {
        self.scopes.has(Scopes::READ_ALL) || self.tenant.as_ref() == Some(tenant)
    }
}
