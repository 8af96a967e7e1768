//! The first of two readings of a dead-letter topic: which letters belong together, and which were replayed.
//!
//! A crash between a letter and its watermark writes the letter again, and a marker comes after its letter. So
//! nothing can be said of a letter before all were seen; the values, which may be large, are left to the second
//! reading.

use std::collections::{HashMap, HashSet};

use crate::domain::position::Fingerprint;

use super::filter::Filter;
use super::letter::{Entry, Letter};
use super::place::Place;

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Survey {
    records: HashMap<(Place, Fingerprint), Letters>,
    replayed: HashSet<Place>,
    /// Records that are neither letters nor markers.
    pub others: usize,
}

/// The letters of one rejected record.
#[derive(Debug, Default)]
struct Letters {
    all: Vec<Place>,
    /// The first of those that were asked for.
    first: Option<Place>,
}

/// How it stands with a rejected record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How often it was written.
    pub letters: usize,
    pub replayed: bool,
}

impl Survey {
    pub fn note(&mut self, entry: &Entry, filter: &Filter) {
        match entry {
            Entry::Letter(letter) => self.letter(letter, filter.passes(letter)),
            Entry::Marker(place) => drop(self.replayed.insert(place.clone())),
            Entry::Other => self.others += 1,
        }
    }

    fn letter(&mut self, letter: &Letter, asked: bool) {
        let (letters, place) = (self.records.entry(letter.origin()).or_default(), letter.place());
        if asked && letters.first.as_ref().is_none_or(|first| place < *first) {
            letters.first = Some(place.clone());
        }
        letters.all.push(place);
    }

    /// One letter for each record that was asked for: the first, by its place.
    pub fn chosen(self) -> HashMap<Place, Standing> {
        let replayed = self.replayed;
        let chosen = self.records.into_values().filter_map(|letters| {
            let standing = Standing {
                letters: letters.all.len(),
                replayed: letters.all.iter().any(|place| replayed.contains(place)),
            };
            Some((letters.first?, standing))
        });
        chosen.collect()
    }
}
