//! What was looked at as JSON: amounts and hashes as text, counts as integers, times in RFC 3339.

use serde_json::{Map, Value, json};

use crate::store::inspect::{Cell, Damaged, Inspected, KeyName, Listed, Listing, Table};
use crate::store::keys::tag;

pub(super) fn key(inspected: &Inspected) -> Value {
    let Inspected { name, key, field, entries, bytes, tables, damaged, more } = inspected;
    let mut all = named(name);
    all.insert("key".to_owned(), json!(key));
    all.insert("field".to_owned(), json!(field));
    all.insert("entries".to_owned(), json!(entries));
    all.insert("bytes".to_owned(), json!(bytes));
    let content: Map<_, _> = tables.iter().map(|table| (table.name.to_owned(), rows(table))).collect();
    all.insert("content".to_owned(), content.into());
    all.insert("damaged".to_owned(), damage(damaged));
    all.insert("more".to_owned(), json!(more));
    all.into()
}

pub(super) fn listing(listing: &Listing) -> Value {
    let Listing { scope, keys, damaged, more } = listing;
    let one = |Listed { name, key, field, entries, bytes }: &Listed| {
        let mut all = named(name);
        all.insert("key".to_owned(), json!(key));
        all.insert("field".to_owned(), json!(field));
        all.insert("entries".to_owned(), json!(entries));
        all.insert("bytes".to_owned(), json!(bytes));
        Value::from(all)
    };
    json!({
        "tenant": scope.tenant.as_str(),
        "user": scope.user.as_ref().map(|user| user.as_str()),
        "keys": keys.iter().map(one).collect::<Vec<_>>(),
        "damaged": damage(damaged),
        "more": more,
    })
}

/// What a key is, from its name.
fn named(name: &KeyName) -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("kind".to_owned(), json!(name.kind().as_str()));
    all.insert("about".to_owned(), json!(name.kind().about()));
    all.insert("type".to_owned(), json!(name.kind().stored().as_str()));
    all.insert("bucket".to_owned(), json!(name.bucket().index()));
    all.insert("tag".to_owned(), json!(tag(name.bucket())));
    all.extend(name.parts().into_iter().map(|(part, cell)| (part.to_owned(), value(&cell))));
    all
}

fn rows(Table { columns, rows, .. }: &Table) -> Value {
    let row = |cells: &Vec<Cell>| -> Map<_, _> {
        columns.iter().zip(cells).map(|(column, cell)| ((*column).to_owned(), value(cell))).collect()
    };
    rows.iter().map(row).collect::<Vec<_>>().into()
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Nothing => Value::Null,
        Cell::Text(text) => json!(text),
        Cell::Count(count) => json!(count),
        Cell::Dollars(amount) => json!(amount.to_dollars()),
        Cell::Time(at) => json!(at.to_rfc3339()),
    }
}

fn damage(damaged: &[Damaged]) -> Value {
    damaged.iter().map(|Damaged { at, why }| json!({"at": at, "why": why})).collect::<Vec<_>>().into()
}
