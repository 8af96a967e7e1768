//! Many short texts in one buffer: what a call is made of, without an allocation for each.

use std::fmt::Display;
use std::io::Write;

/// Byte strings, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    bytes: Vec<u8>,
    /// Of each, from the start of all.
    ends: Vec<usize>,
}

impl Args {
    pub fn push(&mut self, bytes: impl AsRef<[u8]>) {
        self.push_with(|buffer| buffer.extend_from_slice(bytes.as_ref()));
    }

    pub fn push_display(&mut self, value: impl Display) {
        // Writing to a Vec does not fail.
        self.push_with(|buffer| drop(write!(buffer, "{value}")));
    }

    /// What `write` appends is one more.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    pub fn append(&mut self, more: &Self) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&more.bytes);
        self.ends.extend(more.ends.iter().map(|end| before + end));
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[*start..*end])
    }
}
