//! How a quota is assigned: an event is written, and waited for until a worker has applied it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;

use crate::domain::delta::Scope;
use crate::domain::ids::EventId;
use crate::domain::quota::{Assignment, Assignments, Grant};
use crate::store::Freshness;

use super::{ApiState, random_id};

/// How long it may take until what is in Kafka is applied.
const APPLY: Duration = Duration::from_secs(10);
/// Between two looks into the store: the first, doubling up to the last.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// Where quotas that are assigned go.
pub trait Assigner: Send + Sync + 'static {
    /// The event that gives `scope` a quota, and what a worker will keep of it.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the quota.
    fn event(
        &self,
        scope: &Scope,
        quota: &[u8],
        id: EventId,
        now: DateTime<Utc>,
    ) -> Result<(Assignment, String), String>;

    /// Writes an event. After an error it may be written all the same.
    ///
    /// # Errors
    /// A sentence that says why Kafka did not acknowledge it.
    fn send<'a>(&'a self, scope: &'a Scope, event: &'a str, time: DateTime<Utc>) -> BoxFuture<'a, Result<(), String>>;
}

/// An assignment that holds, or one for whose instant another holds.
#[derive(Debug, Clone)]
pub struct Applied {
    pub assignment: Assignment,
    /// Another event has the same instant and a later time, or as many later instants are known as are kept.
    pub superseded: bool,
    /// All that is assigned to the scope.
    pub known: Assignments,
    pub freshness: Freshness,
}

/// Why an assignment is not known to hold.
#[derive(Debug, thiserror::Error)]
pub enum AssignFault {
    #[error("{0}")]
    Invalid(String),
    #[error("the plan {0:?} is not in the plan file; add it there, or assign another one")]
    UnknownPlan(String),
    #[error(
        "kafka did not acknowledge the event {id}, which may be written all the same; read the quota before you assign \
         it again"
    )]
    NotAcknowledged { id: EventId, cause: String },
    #[error(
        "the event {id} is in Kafka and not applied after {} s; it will be once a worker counts up to it: read the \
         quota, and do not assign it again",
        APPLY.as_secs()
    )]
    NotApplied { id: EventId, cause: String },
}

/// Assigns a quota: the data of `ai.quota.assigned.v1` without `tenantId` and `userId`.
///
/// # Errors
/// [`AssignFault`]; after `Invalid` and `UnknownPlan` nothing was written.
pub async fn assign(state: &ApiState, scope: &Scope, quota: &[u8]) -> Result<Applied, AssignFault> {
    let now = (state.now)();
    let id = EventId::new(&random_id()).map_err(|fault| AssignFault::Invalid(fault.to_string()))?;
    let (assignment, event) = state.assigner.event(scope, quota, id.clone(), now).map_err(AssignFault::Invalid)?;
    if let Grant::Plan(plan) = &assignment.grant
        && !state.plans.load().by_name.contains_key(plan)
    {
        return Err(AssignFault::UnknownPlan(plan.to_string()));
    }
    if let Err(cause) = state.assigner.send(scope, &event, now).await {
        return Err(AssignFault::NotAcknowledged { id, cause });
    }
    let mut last = "the store answers, and does not show it".to_owned();
    let applied = tokio::time::timeout(APPLY, shown(state, scope, &assignment, &mut last)).await;
    applied.map_err(|_| AssignFault::NotApplied { id, cause: last })
}

/// Waits until the store shows the assignment. Whatever keeps it from answering, the event stays in Kafka: so that is
/// waited for as well, and `last` says what it was.
async fn shown(state: &ApiState, scope: &Scope, assignment: &Assignment, last: &mut String) -> Applied {
    let mut pause = PAUSE.0;
    loop {
        match state.answer(state.reader.assigned(scope)).await {
            Ok((known, freshness)) => {
                let is_kept = known.iter().any(|kept| kept == assignment);
                if is_kept || changes_nothing(&known, assignment) {
                    return Applied { assignment: assignment.clone(), superseded: !is_kept, known, freshness };
                }
            }
            Err(error) => *last = error.to_string(),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Whether it does not matter when a worker comes to it.
fn changes_nothing(known: &Assignments, assignment: &Assignment) -> bool {
    let mut with = known.clone();
    with.add(assignment.clone());
    with == *known
}
