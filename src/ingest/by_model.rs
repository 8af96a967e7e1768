//! What a graph shows of what was counted, by model.

use crate::domain::counters::Counters;
use crate::domain::delta::Delta;
use crate::ops::metrics::ModelSums;

/// A model of some tenant, and what it came to there: a model may come several times.
pub fn by_model(delta: &Delta) -> impl Iterator<Item = (&str, ModelSums)> {
    let sums = |sums: &Counters| ModelSums {
        requests: sums.requests.unsigned_abs(),
        tokens_in: sums.tokens_in.unsigned_abs(),
        tokens_out: sums.tokens_out.unsigned_abs(),
        nano_dollars: sums.cost.0,
    };
    groups(delta).map(move |(model, counters)| (model, sums(counters)))
}

/// Requests for which there was no price.
pub fn unpriced(delta: &Delta) -> u64 {
    groups(delta).map(|(_, sums)| sums.unpriced.unsigned_abs()).sum()
}

/// Requests whose own cost is not what the price table says.
pub fn mismatched(delta: &Delta) -> impl Iterator<Item = (&str, u64)> {
    delta.mismatches.iter().map(|((_, model), sums)| (model.as_str(), sums.requests.unsigned_abs()))
}

fn groups(delta: &Delta) -> impl Iterator<Item = (&str, &Counters)> {
    let tenants = delta.tenants.values().flat_map(|of_tenant| &of_tenant.added.sums.usage.groups);
    tenants.map(|(group, sums)| (group.model.as_str(), sums))
}
