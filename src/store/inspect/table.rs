//! Content as rows with named columns, and what of it can't be read.

use std::fmt::Display;

use crate::domain::calendar::TimeMs;
use crate::domain::money::NanoDollars;
use crate::domain::seen::Generation;
use crate::store::StoreError;
use crate::store::cells::Damage;

/// A value in its unit; the column's name has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Nothing,
    Text(String),
    Count(i64),
    Dollars(NanoDollars),
    Time(TimeMs),
}

impl Cell {
    pub(super) fn text(value: impl Display) -> Self {
        Self::Text(value.to_string())
    }

    pub(super) fn maybe<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Nothing, cell)
    }

    /// Of a size that is no sum.
    pub(super) fn number(value: u64) -> Self {
        i64::try_from(value).map_or_else(|_| Self::text(value), Self::Count)
    }

    /// The UTC day of a generation.
    pub(super) fn day(of: Generation) -> Self {
        Self::text(of.start().to_utc().date_naive())
    }
}

/// Rows of one sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// In camelCase, like those of the columns.
    pub name: &'static str,
    pub columns: Vec<&'static str>,
    /// Of as many cells as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// What can't be read: this program never writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The field or member; of a text that has none the key's kind.
    pub at: String,
    pub why: String,
}

/// A content, explained.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Explained {
    pub(super) tables: Vec<Table>,
    pub(super) damaged: Vec<Damaged>,
}

impl Explained {
    /// Adds a table, unless it is empty.
    pub(super) fn table<const N: usize>(
        &mut self,
        name: &'static str,
        columns: [&'static str; N],
        rows: impl IntoIterator<Item = [Cell; N]>,
    ) {
        let rows: Vec<_> = rows.into_iter().map(Vec::from).collect();
        if !rows.is_empty() {
            self.tables.push(Table { name, columns: columns.into(), rows });
        }
    }

    /// Adds a table of what can be read; what can't is damage.
    pub(super) fn rows<T, const N: usize>(
        &mut self,
        name: &'static str,
        columns: [&'static str; N],
        items: impl IntoIterator<Item = T>,
        read: impl Fn(T) -> Result<[Cell; N], Damaged>,
    ) {
        let read: Vec<_> = items.into_iter().map(read).collect();
        let rows = read.into_iter().filter_map(|row| row.map_err(|damaged| self.damaged.push(damaged)).ok());
        let rows: Vec<_> = rows.collect();
        self.table(name, columns, rows);
    }

    /// Keeps so many rows of all tables; how many others there were.
    pub(super) fn cut(&mut self, limit: usize) -> u64 {
        let (mut left, mut cut) = (limit, 0);
        for table in &mut self.tables {
            cut += table.rows.len().saturating_sub(left) as u64;
            table.rows.truncate(left);
            left -= table.rows.len();
        }
        self.tables.retain(|table| !table.rows.is_empty());
        cut
    }
}

impl Damaged {
    pub(super) fn new(at: &str, why: impl Into<String>) -> Self {
        Self { at: at.to_owned(), why: why.into() }
    }

    /// A field whose value is not what belongs there.
    pub(super) fn value(at: &str, value: &str) -> Self {
        Self::new(at, format!("holds {value:?}"))
    }

    pub(super) fn by(at: &str) -> impl Fn(Damage) -> Self {
        move |Damage(why)| Self::new(at, why)
    }

    /// What a decoder of the store says.
    pub(super) fn told(at: &str, error: StoreError) -> Self {
        match error {
            StoreError::Corrupt { detail, .. } => Self::new(at, detail),
            other => Self::new(at, other.to_string()),
        }
    }
}

#[cfg(test)]
#[path = "../../../tests/unit/store/inspect/table.rs"]
mod tests;
