//! Values of a TOML text with the places where they stand.
//!
//! Numbers are taken as the text that stands in the file: TOML's own floats never come into being.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::decimal::{self, Form};
use super::{Fault, Percent};
use crate::domain::ids::IdFault;

const PERCENT: Form = Form { places: Percent::PLACES, whole: 6, negative: false };

pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// Finds values in the file, and remembers each that is not as it must be.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    pub(super) faults: Vec<Fault>,
}

/// A table of the file that bears a name for its faults, and where it begins.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    pub(super) table: &'a DeTable<'a>,
    pub(super) at: usize,
    pub(super) name: &'static str,
}

impl<'a> Section<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&'a Value<'a>> {
        self.table.get(key)
    }
}

impl Reader<'_> {
    pub(super) fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
    }

    pub(super) fn fault(&mut self, at: usize, what: String) {
        let line = self.line(at);
        self.faults.push(Fault { line, what });
    }

    pub(super) fn instant(&mut self, value: &Value<'_>) -> Option<DateTime<Utc>> {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(time) => time.to_string(),
            _ => {
                self.wrong("from", value, "a date such as 2025-09-29, or an instant such as 2025-09-29T16:00:00Z");
                return None;
            }
        };
        let date = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
        let date = date.map(|date| date.and_time(NaiveTime::MIN).and_utc());
        let found = date.or_else(|| DateTime::parse_from_rfc3339(&text).ok().map(|time| time.to_utc()));
        if found.is_none() {
            let right = "write 2025-09-29 for the first instant of that day in UTC, or 2025-09-29T16:00:00Z";
            self.fault(value.span().start, format!("`from` is {text:?}, which is no date and no instant; {right}"));
        }
        found
    }

    pub(super) fn percent(&mut self, section: Section<'_>, key: &str, negative: bool) -> Option<Percent> {
        let percent = self.number(section, key, Form { negative, ..PERCENT }).map(Percent)?;
        if percent.0 < -Percent::WHOLE {
            let at = section.get(key).map_or(section.at, |value| value.span().start);
            self.fault(at, format!("`{key}` is below -100; nobody is paid for a request"));
        }
        Some(percent)
    }

    /// A number where there is one.
    pub(super) fn number(&mut self, section: Section<'_>, key: &str, form: Form) -> Option<i128> {
        section.get(key).and_then(|value| self.decimal(key, value, form))
    }

    pub(super) fn decimal(&mut self, key: &str, value: &Value<'_>, form: Form) -> Option<i128> {
        let text = match value.get_ref() {
            DeValue::String(text) => text.as_ref(),
            DeValue::Float(number) => number.as_str(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            _ => {
                self.wrong(key, value, "a decimal number such as \"3\" or \"0.075\"");
                return None;
            }
        };
        let found = decimal::read(text, form);
        found.map_err(|fault| self.fault(value.span().start, format!("`{key}` is {text:?}, which {fault}"))).ok()
    }

    pub(super) fn needed<'a>(&mut self, section: Section<'a>, key: &str) -> Option<&'a Value<'a>> {
        let value = section.get(key);
        if value.is_none() {
            self.fault(section.at, format!("{} has no `{key}`; add it", section.name));
        }
        value
    }

    pub(super) fn text_of<'a>(&mut self, key: &str, value: &'a Value<'a>) -> Option<&'a str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong(key, value, "text in quotes");
        }
        text
    }

    pub(super) fn id<T>(&mut self, value: &Value<'_>, what: &str, id: Result<T, IdFault>) -> Option<T> {
        id.map_err(|fault| self.fault(value.span().start, format!("{what} {fault}"))).ok()
    }

    pub(super) fn wrong(&mut self, key: &str, value: &Value<'_>, right: &str) {
        let what = value.get_ref().type_str();
        self.fault(value.span().start, format!("`{key}` holds a TOML {what}; write {right}"));
    }

    pub(super) fn section<'a>(&mut self, value: &'a Value<'a>, name: &'static str) -> Option<Section<'a>> {
        let at = value.span().start;
        match value.get_ref() {
            DeValue::Table(table) => Some(Section { table, at, name }),
            _ => {
                self.wrong(name, value, "a table");
                None
            }
        }
    }

    pub(super) fn sections<'a>(&mut self, value: &'a Value<'a>, name: &'static str) -> Vec<Section<'a>> {
        match value.get_ref() {
            DeValue::Array(list) => list.iter().filter_map(|value| self.section(value, name)).collect(),
            _ => {
                self.wrong(name, value, "a table for each, headed by the name in double brackets");
                Vec::new()
            }
        }
    }

    /// Refuses keys that mean nothing: a misspelt price would be none.
    pub(super) fn only(&mut self, section: Section<'_>, known: &[&str]) {
        for key in section.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let (name, all) = (section.name, known.join(", "));
            let what = format!("{name} has a key {:?} that means nothing; it may have {all}", key.get_ref());
            self.fault(key.span().start, what);
        }
    }
}
