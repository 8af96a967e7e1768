//! Tables on a terminal.

use std::fmt::Write;

/// Lines of cells, the heads first, in columns as wide as their widest cell. Numbers stand at the right of theirs.
pub(super) fn table<R: AsRef<[String]>>(lines: &[R], is_number: impl Fn(usize) -> bool) -> String {
    let cells = |column: usize| lines.iter().filter_map(move |cells| cells.as_ref().get(column));
    let width = |column: usize| cells(column).map(|cell| cell.chars().count()).max().unwrap_or_default();
    let columns = lines.first().map_or(0, |heads| heads.as_ref().len());
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for cells in lines {
        let padded = cells.as_ref().iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if is_number(column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}
