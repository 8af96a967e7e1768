//! The way to the store: every call has a deadline, so that a store that hangs is a 503 and not a wait.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::store::StoreError;

use super::ApiState;
use super::problem::Problem;

/// An answer is made of one call, and must be there within 2 s even when it is an error.
const DEADLINE: Duration = Duration::from_millis(1500);

/// Awaits one call of the reader.
///
/// # Errors
/// The store's error as a problem, counted; no answer within 1.5 s is an unavailable store.
pub(super) async fn ask<T>(state: &ApiState, call: BoxFuture<'_, Result<T, StoreError>>) -> Result<T, Problem> {
    let late = |_| Err(StoreError::Unavailable(format!("no answer within {} ms", DEADLINE.as_millis())));
    let answer = tokio::time::timeout(DEADLINE, call).await.unwrap_or_else(late);
    answer.map_err(|error| {
        state.metrics.store_failed(kind(&error));
        Problem::from(error)
    })
}

const fn kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Refused(_) => "refused",
        StoreError::Corrupt { .. } => "corrupt",
        StoreError::Unusable(_) => "unusable",
    }
}
