//! What Redis keeps as one text: chunks of seen ids, price tables, leases; and months, which are a set.

use crate::domain::calendar::Month;
use crate::store::seen_log::{CHUNK_IDS, ENTRY_BYTES, read_entries};

use super::table::{Cell, Damaged, Explained};

/// The entries that begin a chunk. `bytes` is how long the chunk is in all.
pub(super) fn seen(chunk: u64, head: &[u8], bytes: u64) -> Explained {
    let mut explained = Explained::default();
    let whole = head.len() - head.len() % ENTRY_BYTES;
    let entries = read_entries(&head[..whole]).unwrap_or_default();
    let first = chunk.saturating_mul(CHUNK_IDS);
    let rows = entries.iter().zip(first..).map(|(entry, at)| {
        let (id, content) = (entry.hash(), entry.content());
        [Cell::number(at), Cell::text(format_args!("{id:016x}")), Cell::text(format_args!("{content:08x}"))]
    });
    explained.table("ids", ["entry", "idHash", "contentHash"], rows);
    let most = CHUNK_IDS * ENTRY_BYTES as u64;
    if !bytes.is_multiple_of(ENTRY_BYTES as u64) || bytes > most {
        let why = format!("has {bytes} bytes: not whole entries of {ENTRY_BYTES} bytes, {most} bytes at most");
        explained.damaged.push(Damaged::new("seen", why));
    }
    explained
}

/// A price table, line by line.
pub(super) fn prices(text: &[u8]) -> Explained {
    let mut explained = Explained::default();
    let lines = text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n').zip(1..);
    explained.rows("lines", ["line", "text"], lines, |(line, number)| {
        let text =
            std::str::from_utf8(line).map_err(|_| Damaged::new(&format!("line {number}"), "is no UTF-8 text"))?;
        Ok([Cell::Count(number), Cell::text(text)])
    });
    explained
}

/// Who holds a lease, and for how long.
pub(super) fn lease(owner: &[u8], expires_ms: Option<i64>) -> Explained {
    let mut explained = Explained::default();
    explained.rows("lease", ["owner", "expiresInMs"], [owner], |owner| {
        let owner = std::str::from_utf8(owner).map_err(|_| Damaged::new("lease", "is no UTF-8 text"))?;
        Ok([Cell::text(owner), Cell::maybe(expires_ms, Cell::Count)])
    });
    explained
}

pub(super) fn months(members: &[&str]) -> Explained {
    let mut explained = Explained::default();
    explained.rows("months", ["month"], members, |member| {
        let month: Month = member.parse().map_err(|_| Damaged::new(member, "is not a month such as 2026-11"))?;
        Ok([Cell::text(month)])
    });
    explained
}

#[cfg(test)]
#[path = "../../../tests/unit/store/inspect/texts.rs"]
mod tests;
