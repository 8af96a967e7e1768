//! The quick way through a record's value: one pass over its text, in which the fields of its `data` are found too.
//!
//! Nearly every record is read here. Whatever is out of the ordinary is left to serde_json, which knows all of JSON and
//! words the faults: what is not JSON or nests too deep, a field that stands twice, a name with an escape. So this must
//! take nothing that serde_json does not take, and find the same in it; that it leaves something costs time alone.

use std::borrow::Cow;

use super::MAX_DEPTH;
use super::cursor::Cursor;
use super::fields::Fields;

/// A record's value.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) fields: Fields<'a>,
    /// Those of its `data`, where that is an object and they were found on the way.
    pub(super) data: Option<Fields<'a>>,
}

impl<'a> Object<'a> {
    pub(super) const EMPTY: Self = Self { fields: Fields::NONE, data: None };

    /// Reads a JSON object into this one, which is empty; none where serde_json is to do it.
    pub(super) fn scan(&mut self, text: &'a str) -> Option<()> {
        let mut cursor = Cursor::new(text);
        cursor.expect(b'{')?;
        read(&mut cursor, &mut self.fields, Some(&mut self.data))?;
        self.fields.is_plain = cursor.is_plain;
        if let Some(data) = &mut self.data {
            data.is_plain = cursor.is_plain;
        }
        // Nothing comes after it.
        cursor.token().is_none().then_some(())
    }
}

/// Reads the rest of an object: a record's value, or its data, which has no data.
fn read<'a>(cursor: &mut Cursor<'a>, fields: &mut Fields<'a>, mut data: Option<&mut Option<Fields<'a>>>) -> Option<()> {
    cursor.entries(|cursor, name, first| {
        let Some((name, place)) = fields.place(name) else {
            return cursor.value(first, MAX_DEPTH - 2).map(drop);
        };
        let value = match &mut data {
            Some(data) if first == b'{' && name == "data" => {
                let start = cursor.at - 1;
                read(cursor, data.insert(Fields::NONE), None)?;
                cursor.since(start)?
            }
            _ => cursor.value(first, MAX_DEPTH - 2)?,
        };
        place.replace(value).is_none().then_some(())
    })
}

/// The entries of an object in their order, each with the text of its value; mostly a tool or two.
pub(super) type Entries<'a> = smallvec::SmallVec<[(Cow<'a, str>, &'a str); 4]>;

/// The entries of an object; none where serde_json is to read it.
pub(super) fn entries(object: &str) -> Option<Entries<'_>> {
    let mut cursor = Cursor::new(object);
    let mut all = Entries::new();
    cursor.expect(b'{')?;
    cursor.entries(|cursor, name, first| {
        all.push((Cow::Borrowed(name), cursor.value(first, MAX_DEPTH)?));
        Some(())
    })?;
    Some(all)
}
