//! Assigned quotas, and costs that are not what the price table says.

use indelible::domain::counters::Overflow;
use indelible::domain::ids::Model;
use indelible::store::{Flush, assigned, cells, keys};

use super::MemoryLedger;
use super::draft::Draft;

impl MemoryLedger {
    pub(super) fn assign(&self, draft: &mut Draft<'_>, flush: &Flush) {
        for (scope, assignment) in &flush.delta.assigned {
            let (key, field) = (self.keyspace.quota(&scope.tenant), keys::quota_field(scope.user.as_ref()));
            let known = draft.hash(&key).get(&field).map(|text| assigned::from_text(text).expect("assignments"));
            let mut known = known.unwrap_or_default();
            known.add(assignment.clone());
            draft.hash(&key).insert(field, assigned::to_text(&known));
        }
    }

    pub(super) fn add_mismatches(&self, draft: &mut Draft<'_>, flush: &Flush) -> Result<(), Overflow> {
        for ((month, model), more) in &flush.delta.mismatches {
            let key = self.keyspace.mismatches(flush.bucket, *month);
            let hash = draft.hash(&key);
            let name = |model: &Model| keys::encode(model.as_str()).into_owned();
            let is_new = !hash.contains_key(&name(model)) && hash.len() >= self.caps.mismatched_models;
            let model = if is_new { Model::other() } else { model.clone() };
            let known =
                hash.get(&name(&model)).map(|text| cells::read_mismatch(&name(&model), text).expect("a cell").1);
            let mut sum = known.unwrap_or_default();
            sum.add(more);
            hash.extend([cells::mismatch_cell(&model, &sum)]);
        }
        Ok(())
    }
}
