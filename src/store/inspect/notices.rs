//! Notices that wait for the topic or for the webhook.

use serde_json::Value;

use crate::store::Delivery;
use crate::store::notice::NoticeId;
use crate::store::redis_outbox::{delivery, pending};

use super::outputs::time;
use super::table::{Cell, Damaged, Explained};

pub(super) fn outbox(fields: &[(&str, &str)]) -> Explained {
    let mut explained = Explained::default();
    let columns = ["tenant", "user", "month", "metric", "threshold", "event"];
    explained.rows("notices", columns, fields, |(id, text)| {
        let waiting = pending("", (*id).to_owned(), (*text).to_owned()).map_err(|error| Damaged::told(id, error))?;
        let [tenant, user, month, metric, threshold] = whose(id)?;
        Ok([tenant, user, month, metric, threshold, event(id, waiting.event)?])
    });
    explained
}

pub(super) fn webhook(fields: &[(&str, &str)]) -> Explained {
    let mut explained = Explained::default();
    let columns = ["tenant", "user", "month", "metric", "threshold", "firstTriedAt", "triedInVain", "event"];
    explained.rows("notices", columns, fields, |(id, text)| {
        let read = delivery("", (*id).to_owned(), text).map_err(|error| Damaged::told(id, error))?;
        let Delivery { notice, first, attempts } = read;
        let [tenant, user, month, metric, threshold] = whose(id)?;
        let (first, attempts) = (Cell::maybe(first, Cell::Time), Cell::Count(attempts.into()));
        Ok([tenant, user, month, metric, threshold, first, attempts, event(id, notice.event)?])
    });
    explained
}

pub(super) fn due(members: &[(&str, &str)]) -> Explained {
    let mut explained = Explained::default();
    let columns = ["triedNextAt", "tenant", "user", "month", "metric", "threshold"];
    explained.rows("due", columns, members, |(id, score)| {
        let [tenant, user, month, metric, threshold] = whose(id)?;
        Ok([time(id, score)?, tenant, user, month, metric, threshold])
    });
    explained
}

/// No user where it is about the tenant as a whole.
fn whose(id: &str) -> Result<[Cell; 5], Damaged> {
    let read = NoticeId::read(id).ok_or_else(|| Damaged::new(id, "is not the id of a notice"))?;
    let NoticeId { scope, month, metric, threshold } = read;
    let user = Cell::maybe(scope.user, Cell::text);
    Ok([Cell::text(scope.tenant), user, Cell::text(month), Cell::text(metric.as_str()), Cell::text(threshold)])
}

/// The CloudEvent, which bears the same id.
fn event(id: &str, text: String) -> Result<Cell, Damaged> {
    let event: Value =
        serde_json::from_str(&text).map_err(|fault| Damaged::new(id, format!("holds no JSON ({fault}): {text:?}")))?;
    if event["id"] == id {
        Ok(Cell::Text(text))
    } else {
        Err(Damaged::new(id, format!("holds another event: {text:?}")))
    }
}
