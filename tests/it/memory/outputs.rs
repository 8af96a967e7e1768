//! Saved outputs and their tombstones.

use std::collections::BTreeMap;

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::{Month, TimeMs};
use indelible::domain::delta::{OutputChange, OutputVerb};
use indelible::domain::ids::OutputKind;
use indelible::store::keys;

use super::MemoryLedger;
use super::draft::Draft;

/// By key and field: what a flush does to counts of outputs in all.
pub(super) type Moves = BTreeMap<(String, String), i64>;

impl MemoryLedger {
    /// Whether there is room for an output's kind; the first one of a kind takes it.
    pub(super) fn has_room(&self, draft: &mut Draft<'_>, counts: &str, kind: &str) -> bool {
        let hash = draft.hash(counts);
        let known = ["created", "deleted", "new"].iter().any(|what| hash.contains_key(&format!("{kind}:{what}")));
        let size = hash.get("kinds").map_or(0, |size| size.parse().expect("a count"));
        if known || kind == "other" || size >= self.caps.tenant_kinds {
            return known || kind == "other";
        }
        hash.insert("kinds".to_owned(), (size + 1).to_string());
        // Until the flush is done; see `keep`.
        hash.insert(format!("{kind}:new"), String::new());
        true
    }

    /// True if it counts under another kind.
    pub(super) fn change_output(&self, draft: &mut Draft<'_>, moves: &mut Moves, change: &OutputChange) -> bool {
        let (mut kind, mut id) = (keys::encode(change.output.kind.as_str()).into_owned(), change.output.id.to_string());
        let counts = self.keyspace.saved_counts(&change.tenant);
        let [tenant, user, encoded_id] = [change.tenant.as_str(), change.user.as_str(), &id].map(keys::encode);
        let member = format!("{tenant}:{user}:{kind}:{encoded_id}");
        let capped = !self.has_room(draft, &counts, &kind);
        let mut stored_kind = change.output.kind.clone();
        if capped {
            id = format!("{kind}:{id}");
            (kind, stored_kind) = ("other".to_owned(), OutputKind::other());
        }
        let saved_key = self.keyspace.saved(&change.tenant, &change.user, &stored_kind);
        let (dead, early) = (format!("deleted:{member}"), format!("early:{member}"));
        let saved = draft.scored(&saved_key).get(&id).copied();
        let tombstones = draft.scored(&self.keyspace.tombstones(Bucket::of(&change.tenant)));
        let mut count =
            |what: &str, amount| *moves.entry((counts.clone(), format!("{kind}:{what}"))).or_default() += amount;
        let month = |time: i64| Month::of(TimeMs(time).to_utc()).to_string();
        match (change.verb, tombstones.get(&dead).copied(), saved) {
            (OutputVerb::Created, Some(_), _) => {
                if tombstones.remove(&early).is_some() {
                    count("created", 1);
                }
            }
            (OutputVerb::Created, None, None) => {
                draft.scored(&saved_key).insert(id, change.time.0);
                count("created", 1);
                count(&month(change.time.0), 1);
            }
            (OutputVerb::Created, None, Some(before)) if change.time.0 < before => {
                draft.scored(&saved_key).insert(id, change.time.0);
                count(&month(before), -1);
                count(&month(change.time.0), 1);
            }
            (OutputVerb::Created, None, Some(_)) => {}
            (OutputVerb::Deleted, Some(before), _) => {
                tombstones.insert(dead, before.max(change.log_time.0));
            }
            (OutputVerb::Deleted, None, saved) => {
                tombstones.insert(dead, change.log_time.0);
                count("deleted", 1);
                if let Some(created) = saved {
                    draft.scored(&saved_key).remove(&id);
                    count(&month(created), -1);
                } else {
                    tombstones.insert(early, change.log_time.0);
                }
            }
        }
        capped
    }
}
