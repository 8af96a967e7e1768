//! What a key says, for a person: which key it is, and its content as tables with named columns.
//!
//! Reads only, and never a large key as a whole. `name.rs` tells what a key is, the files beside it turn content into
//! rows by the decoders that worker and API use, `size.rs`, `reader.rs` and `tenant.rs` ask Redis.

mod explain;
mod kind;
mod month;
mod name;
mod notices;
mod outputs;
mod quotas;
mod reader;
mod size;
mod state;
mod table;
mod tenant;
mod texts;

use super::StoreError;

pub use kind::{Kind, Stored};
pub use name::{KeyName, NameFault};
pub use reader::{Inspected, Inspector};
pub use table::{Cell, Damaged, Table};
pub use tenant::{Listed, Listing};

/// Why there is nothing to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InspectFault {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("redis holds no key {key}: {advice}")]
    NoKey { key: String, advice: String },
    #[error("the hash {key} has no field {field:?}; without FIELD its content is listed")]
    NoField { key: String, field: String },
    #[error(
        "the key {key} is a {found}, and this program only ever writes a {expected} there: something else wrote it"
    )]
    WrongType { key: String, found: String, expected: &'static str },
    #[error(
        "redis holds nothing of the tenant {tenant:?} in this namespace: it was never counted here, or its id is another one \
         (ids are compared byte for byte)"
    )]
    NoTenant { tenant: String },
    #[error(
        "redis holds nothing of the user {user:?} of the tenant {tenant:?}; `indelible inspect --tenant` lists what it holds of the tenant"
    )]
    NoUser { tenant: String, user: String },
}
