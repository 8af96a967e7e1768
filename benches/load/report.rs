//! What was measured: one table to read, and the same as JSON.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::goal::Goal;

/// Wide enough for the longest name of a figure.
const NAME: usize = 52;

/// A row of the table: a heading and its figures.
#[derive(Debug)]
pub(crate) struct Row {
    name: String,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    goal: Option<Goal>,
}

impl Row {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), figures: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.figures.push(Figure { name: name.into(), value, unit, goal: None });
    }

    /// A figure that has a goal.
    pub(crate) fn judge(&mut self, name: impl Into<String>, value: f64, unit: &'static str, goal: Goal) {
        self.figures.push(Figure { name: name.into(), value, unit, goal: Some(goal) });
    }

    /// In milliseconds.
    pub(crate) fn time(&mut self, name: impl Into<String>, time: Duration) {
        self.add(name, ms(time), "ms");
    }

    /// A sentence that a figure can't say.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n", self.name);
        for figure in &self.figures {
            let verdict = figure.goal.map(|goal| goal.verdict(figure.value)).unwrap_or_default();
            let (name, value) = (&figure.name, number(figure.value));
            let line = format!("    {name:<NAME$} {value:>12} {:<10} {verdict}", figure.unit);
            writeln!(text, "{}", line.trim_end()).expect("a string takes all");
        }
        for note in &self.notes {
            writeln!(text, "    ({note})").expect("a string takes all");
        }
        text
    }

    fn json(&self) -> Value {
        let figures = self.figures.iter().map(|figure| {
            let judged = figure.goal.map(|goal| goal.json(figure.value));
            json!({ "name": figure.name, "value": figure.value, "unit": figure.unit, "judged": judged })
        });
        json!({ "name": self.name, "figures": figures.collect::<Vec<_>>(), "notes": self.notes })
    }
}

/// All rows so far; each is printed when it comes.
#[derive(Debug)]
pub(crate) struct Report {
    head: Value,
    rows: Vec<Row>,
}

impl Report {
    /// `head` says where and with what was measured.
    pub(crate) fn new(head: Value) -> Self {
        Self { head, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, row: Row) {
        println!("{}", row.text());
        self.rows.push(row);
    }

    /// The rows so far as JSON, to a file.
    pub(crate) fn write(&self, path: &Path) {
        let mut all = self.head.clone();
        all["rows"] = self.rows.iter().map(Row::json).collect();
        let text = serde_json::to_string_pretty(&all).expect("JSON of our own");
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).expect("the folder can be made");
        }
        fs::write(path, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Microseconds of each of so many.
pub(crate) fn us_each(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// So many in this time, a second.
pub(crate) fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// Large numbers with commas and no fraction, small ones with three digits of it.
pub(crate) fn number(value: f64) -> String {
    if value.abs() < 1000.0 {
        let text = format!("{value:.3}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { String::from("-") } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
