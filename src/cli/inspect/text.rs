//! What was looked at as lines for a person: what the key is, its content as tables, what can't be read, what is left out.

use std::fmt::Write;

use crate::cli::table::table;
use crate::store::inspect::{Cell, Damaged, Inspected, Listed, Listing, Table};
use crate::store::keys::tag;

pub(super) fn key(inspected: &Inspected) -> String {
    let Inspected { name, key, field, entries, bytes, tables, damaged, more } = inspected;
    let kind = name.kind();
    let mut facts = vec![("key", key.clone()), ("what", kind.about().to_owned())];
    facts.push(("bucket", format!("{} (tag {})", name.bucket().index(), tag(name.bucket()))));
    facts.extend(name.parts().into_iter().map(|(part, cell)| (part, shown(&cell))));
    facts.extend(field.as_ref().map(|field| ("field", printable(field))));
    facts.push(("type", kind.stored().as_str().to_owned()));
    facts.push(("entries", format!("{entries} ({})", kind.entries())));
    facts.push(("memory", format!("{bytes} bytes")));
    let facts: Vec<_> = facts.into_iter().map(|(fact, value)| [words(fact), value]).collect();
    let mut text = table(&facts, |_| false);
    tables.iter().for_each(|table| tell(table, &mut text));
    finish(damaged, *more, "rows", &mut text);
    text
}

pub(super) fn listing(listing: &Listing) -> String {
    let Listing { scope, keys, damaged, more } = listing;
    let mut lines = vec![["KEY", "FIELD", "TYPE", "ENTRIES", "BYTES", "WHAT"].map(str::to_owned)];
    for Listed { name, key, field, entries, bytes } in keys {
        let kind = name.kind();
        let field = field.as_ref().map_or_else(|| "-".to_owned(), |field| printable(field));
        let (entries, bytes) = (entries.to_string(), bytes.to_string());
        lines.push([key.clone(), field, kind.stored().as_str().to_owned(), entries, bytes, kind.about().to_owned()]);
    }
    let mut text = table(&lines, |column| matches!(column, 3 | 4));
    if scope.user.is_none() {
        let _ = write!(
            text,
            "\nnot listed: saved:TENANT:USER:KIND, one for each user and kind of output; `indelible inspect --tenant '{}' --user \
             USER` has a user's\n",
            scope.tenant
        );
    }
    finish(damaged, *more, "keys", &mut text);
    text
}

fn tell(Table { name, columns, rows }: &Table, text: &mut String) {
    // A column of which nobody has anything would only make the others hard to see.
    let used: Vec<usize> =
        (0..columns.len()).filter(|column| rows.iter().any(|row| row[*column] != Cell::Nothing)).collect();
    let heads = used.iter().map(|column| words(columns[*column]).to_uppercase()).collect();
    let cells = |row: &Vec<Cell>| used.iter().map(|column| shown(&row[*column])).collect();
    let lines: Vec<Vec<String>> = std::iter::once(heads).chain(rows.iter().map(cells)).collect();
    let is_number = |at: usize| rows.iter().all(|row| !matches!(row[used[at]], Cell::Text(_) | Cell::Time(_)));
    // Writing to a String does not fail.
    let _ = write!(text, "\n{}:\n{}", words(name), table(&lines, is_number));
}

fn finish(damaged: &[Damaged], more: u64, what: &str, text: &mut String) {
    if !damaged.is_empty() {
        text.push_str("\ncan't be read:\n");
    }
    for Damaged { at, why } in damaged {
        let _ = writeln!(text, "{}: {}", printable(at), printable(why));
    }
    if more > 0 {
        let _ = writeln!(text, "\n{more} more {what}: a greater --limit shows them");
    }
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Nothing => "-".to_owned(),
        Cell::Text(text) => printable(text),
        Cell::Count(count) => count.to_string(),
        Cell::Dollars(amount) => amount.to_dollars(),
        Cell::Time(at) => at.to_rfc3339(),
    }
}

/// Without what a terminal would obey.
fn printable(text: &str) -> String {
    let one = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(one).collect()
}

/// `tokensIn` as `tokens in`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

#[cfg(test)]
#[path = "../../../tests/unit/cli/inspect.rs"]
mod tests;
