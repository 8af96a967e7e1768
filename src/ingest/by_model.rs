//! What a graph shows of a counted request.

use crate::domain::event::{Body, Usage};
use crate::ops::metrics::ModelSums;

use super::batch::Accepted;

/// The model that was asked, and the request's part of its sums; none where the event is no request.
pub fn by_model(accepted: &Accepted) -> Option<(&str, ModelSums)> {
    let Body::Usage(Usage { model, tokens_in, tokens_out, .. }) = &accepted.event.body else { return None };
    let (tokens_in, tokens_out) = (tokens_in.unsigned_abs(), tokens_out.unsigned_abs());
    Some((model.as_str(), ModelSums { requests: 1, tokens_in, tokens_out, nano_dollars: accepted.rated.cost.0 }))
}
