//! The names that producers give: each its own type, so that no two can be swapped.

use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;

use super::recurring::recurring;

/// The longest id, in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 256;

/// The name of what is counted under no name of its own.
const OTHER: &str = "other";

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdFault {
    #[error("is empty; an id is 1 to {MAX_ID_BYTES} bytes of printable text")]
    Empty,
    #[error("is {0} bytes long; an id is 1 to {MAX_ID_BYTES} bytes of printable text")]
    TooLong(usize),
    #[error("holds the control character {0:?}; an id is 1 to {MAX_ID_BYTES} bytes of printable text")]
    NotPrintable(char),
    #[error("is white space only; an id needs a visible character")]
    Blank,
}

fn check(text: &str) -> Result<(), IdFault> {
    if text.is_empty() {
        return Err(IdFault::Empty);
    }
    if text.len() > MAX_ID_BYTES {
        return Err(IdFault::TooLong(text.len()));
    }
    // Nearly every id is visible ASCII throughout, of which nothing is wrong.
    if is_visible_ascii(text.as_bytes()) {
        return Ok(());
    }
    // Line and paragraph separators are not controls by category, yet break a line as one does.
    if let Some(control) = text.chars().find(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(IdFault::NotPrintable(control));
    }
    if text.chars().all(char::is_whitespace) {
        return Err(IdFault::Blank);
    }
    Ok(())
}

fn is_visible_ascii(text: &[u8]) -> bool {
    let all = |eight: &[u8; 8]| {
        let word = u64::from_ne_bytes(*eight);
        // The high bit of a byte is set where it is below `!`, above `~`, or no ASCII; carries come from such bytes alone.
        let others = word.wrapping_sub(each(b'!')) | word.wrapping_add(each(1)) | word;
        others & each(0x80) == 0
    };
    match text.last_chunk() {
        Some(last) => text.as_chunks().0.iter().all(all) && all(last),
        None => text.iter().all(u8::is_ascii_graphic),
    }
}

const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

fn single<T: for<'t> From<&'t str>>(text: &str) -> Result<T, IdFault> {
    check(text).map(|()| text.into())
}

fn common(text: &str) -> Result<Arc<str>, IdFault> {
    recurring(text, || single(text))
}

macro_rules! id {
    ($make:ident, $text:ty; $(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        ///
        /// 1 to 256 bytes of UTF-8 without control characters, compared byte for byte.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($text);

        impl $name {
            /// # Errors
            /// [`IdFault`], when the text is empty, blank, too long or not printable.
            pub fn new(text: &str) -> Result<Self, IdFault> {
                $make(text).map(Self)
            }

            /// Where what there is no room for is counted.
            pub fn other() -> Self {
                Self(OTHER.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

// Nearly every event brings others. Up to 24 bytes lie in place: what waits for its flush lies together.
id! { single, CompactString;
    /// A user of a tenant; two tenants' users of the same name are two users.
    UserId,
    /// An event's name within its tenant and source.
    EventId,
    /// A saved output's name within its user and kind.
    OutputId,
}

// Nearly every event brings these.
id! { common, Arc<str>;
    /// Who is billed: the unit of isolation.
    TenantId,
    /// The context in which an event happened (CloudEvents `source`).
    Source,
    /// What sort of output: `assistant_result`, `website`, …
    OutputKind,
    /// The assistant that made the request.
    Assistant,
    /// Who runs the model and takes the cost: `anthropic`, `openai`, …
    Provider,
    /// The model that answered it.
    Model,
    /// A tool that the model called: `retrieval`, `webSearch`, …
    Tool,
    /// A plan of the plan file.
    PlanName,
}

#[cfg(test)]
#[path = "../../tests/unit/domain/ids.rs"]
mod tests;
