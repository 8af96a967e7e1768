//! Which of the files beside this one reads a key's content, and where to look when there is none.

use super::name::KeyName;
use super::table::{Damaged, Explained};
use super::{month, notices, outputs, quotas, state, texts};

/// A field and its value, or a member and its score.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// One field of a hash; of a user's month all that it holds.
pub(super) fn one_field(name: &KeyName, field: &[u8], value: Vec<u8>) -> Explained {
    if let (KeyName::Users { month, .. }, Ok(user), Ok(text)) =
        (name, std::str::from_utf8(field), std::str::from_utf8(&value))
    {
        return month::user(*month, user, text);
    }
    explain(name, &[(field.to_vec(), value)])
}

/// Fields and their values, members and their scores, or members alone.
pub(super) fn explain(name: &KeyName, pairs: &[Pair]) -> Explained {
    let (mut readable, mut damaged) = (Vec::new(), Vec::new());
    for (field, value) in pairs {
        match (std::str::from_utf8(field), std::str::from_utf8(value)) {
            (Ok(field), Ok(value)) => readable.push((field, value)),
            _ => damaged.push(Damaged::new(&String::from_utf8_lossy(field), "is no UTF-8 text, or holds none")),
        }
    }
    let mut explained = match name {
        KeyName::State(_) => state::state(&readable),
        KeyName::Tombstones(_) => outputs::tombstones(&readable),
        KeyName::Mismatches { .. } => month::mismatches(&readable),
        KeyName::Outbox(_) => notices::outbox(&readable),
        KeyName::Webhook(_) => notices::webhook(&readable),
        KeyName::WebhookDue(_) => notices::due(&readable),
        KeyName::Months(_) => texts::months(&readable.iter().map(|(member, _)| *member).collect::<Vec<_>>()),
        KeyName::Tenant { month, .. } => month::tenant(*month, &readable),
        KeyName::Users { .. } => month::users(&readable),
        KeyName::Saved { .. } => outputs::saved(&readable),
        KeyName::SavedCounts(_) => outputs::counts(&readable),
        KeyName::Quota(tenant) => quotas::quotas(tenant, &readable),
        // Texts, of which there are no pairs.
        KeyName::Seen { .. } | KeyName::OutboxLease(_) | KeyName::WebhookLease(_) | KeyName::Prices(_) => {
            Explained::default()
        }
    };
    explained.damaged.extend(damaged);
    explained
}

/// Where to look when a key is not there.
pub(super) fn advice(name: &KeyName) -> String {
    match name {
        KeyName::State(_) => {
            "nothing was ever counted into the bucket, or it was lost; `indelible offsets show` says which".to_owned()
        }
        KeyName::Seen { .. } => "the table seenIds of the bucket's state has the days and chunks there are".to_owned(),
        KeyName::OutboxLease(_) | KeyName::WebhookLease(_) => {
            "no worker sends the bucket's notices just now".to_owned()
        }
        KeyName::Prices(_) => "no requests were rated by that version for a rated topic".to_owned(),
        KeyName::Saved { tenant, user, .. } => {
            format!("`indelible inspect --tenant '{tenant}' --user '{user}'` lists what there is of the user")
        }
        KeyName::Months(tenant) | KeyName::SavedCounts(tenant) | KeyName::Quota(tenant) => of_tenant(tenant.as_str()),
        KeyName::Tenant { tenant, .. } | KeyName::Users { tenant, .. } => of_tenant(tenant.as_str()),
        _ => "there is nothing of that sort in the bucket just now".to_owned(),
    }
}

fn of_tenant(tenant: &str) -> String {
    format!("`indelible inspect --tenant '{tenant}'` lists what there is of the tenant")
}
