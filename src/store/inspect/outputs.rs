//! Saved outputs, their counts, and those that were deleted.

use crate::domain::calendar::TimeMs;
use crate::domain::ids::{OutputId, OutputKind};
use crate::store::saved_outputs::{SavedCount, Tombstone};

use super::table::{Cell, Damaged, Explained};

/// A time that is a score, in milliseconds.
pub(super) fn time(member: &str, score: &str) -> Result<Cell, Damaged> {
    let time = score.parse().map(|ms| Cell::Time(TimeMs(ms)));
    time.map_err(|_| Damaged::new(member, format!("has the score {score:?}, which is no time in milliseconds")))
}

/// Of one user and kind. Of the kind `other`, where there was no room for its own, an id is `KIND:ID`.
pub(super) fn saved(members: &[(&str, &str)]) -> Explained {
    let mut explained = Explained::default();
    explained.rows("outputs", ["createdAt", "output"], members, |(member, score)| {
        let id = OutputId::new(member).map_err(|fault| Damaged::new(member, fault.to_string()))?;
        Ok([time(member, score)?, Cell::text(id)])
    });
    explained
}

pub(super) fn tombstones(members: &[(&str, &str)]) -> Explained {
    let mut explained = Explained::default();
    let columns = ["logTime", "tombstone", "tenant", "user", "outputKind", "output"];
    explained.rows("tombstones", columns, members, |(member, score)| {
        let unknown = || Damaged::new(member, "is not deleted: or early:TENANT:USER:KIND:ID");
        let Tombstone { early, tenant, user, kind, id } = Tombstone::read(member).ok_or_else(unknown)?;
        let what = if early { "early" } else { "deleted" };
        let (tenant, user) = (Cell::text(tenant), Cell::text(user));
        Ok([time(member, score)?, Cell::text(what), tenant, user, Cell::text(kind), Cell::text(id)])
    });
    explained
}

pub(super) fn counts(fields: &[(&str, &str)]) -> Explained {
    let mut explained = Explained::default();
    explained.rows("counts", ["outputKind", "count", "month", "outputs"], fields, |(field, value)| {
        let named = SavedCount::read(field)
            .ok_or_else(|| Damaged::new(field, "is neither KIND:created, KIND:deleted, KIND:MONTH nor kinds"))?;
        let outputs = Cell::Count(value.parse().map_err(|_| Damaged::value(field, value))?);
        let row = |kind: Option<OutputKind>, count: &str, month| {
            [Cell::maybe(kind, Cell::text), Cell::text(count), Cell::maybe(month, Cell::text), outputs]
        };
        Ok(match named {
            SavedCount::Kinds => row(None, "kinds", None),
            SavedCount::Created(kind) => row(Some(kind), "created", None),
            SavedCount::Deleted(kind) => row(Some(kind), "deleted", None),
            SavedCount::Net(kind, month) => row(Some(kind), "saved", Some(month)),
        })
    });
    explained
}
