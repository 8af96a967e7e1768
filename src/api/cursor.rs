//! Where a page of users ended, as text that callers hand back unread.
//!
//! It names the list that it belongs to (tenant, month, order): handed to another list it is refused rather
//! than read as a place there.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::calendar::Month;
use crate::domain::ids::{TenantId, UserId};
use crate::store::UserCursor;

use super::problem::{Kind, Problem};
use super::users::SortBy;

/// Another layout gets another number, so that an old cursor is refused and not misread.
const VERSION: u8 = 1;

/// Which list of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List {
    pub(super) tenant: TenantId,
    pub(super) month: Month,
    pub(super) sort: SortBy,
}

/// # Errors
/// An internal problem, when the cursor can't be written as JSON.
pub(super) fn write(list: &List, end: &UserCursor) -> Result<String, Problem> {
    let month = list.month.to_string();
    let fields = (VERSION, list.tenant.as_str(), month, list.sort, end.value, end.user.as_str());
    serde_json::to_vec(&fields).map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(Problem::internal)
}

/// The list that the cursor belongs to, and the place in it.
///
/// # Errors
/// An invalid-cursor problem, when the text is not one that [`write`] made.
pub(super) fn read(text: &str) -> Result<(List, UserCursor), Problem> {
    decode(text).ok_or_else(|| refuse("is not a `nextCursor` of this version"))
}

/// The problem of a cursor that leads nowhere; `why` completes "`cursor` …".
pub(super) fn refuse(why: &str) -> Problem {
    Problem::new(Kind::InvalidCursor, format!("`cursor` {why}; start again without it"))
}

fn decode(text: &str) -> Option<(List, UserCursor)> {
    let json = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (version, tenant, month, sort, value, user): (u8, String, String, SortBy, i64, String) =
        serde_json::from_slice(&json).ok()?;
    if version != VERSION {
        return None;
    }
    let list = List { tenant: TenantId::new(&tenant).ok()?, month: month.parse().ok()?, sort };
    Some((list, UserCursor { value, user: UserId::new(&user).ok()? }))
}
