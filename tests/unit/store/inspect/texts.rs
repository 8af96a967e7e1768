use super::*;

#[test]
fn entries_of_a_chunk_are_counted_from_the_start_of_their_log() {
    let bytes = [8, 7, 6, 5, 4, 3, 2, 1, 0x0c, 0x0b, 0x0a, 0x09];
    let explained = seen(2, &bytes, 12);
    let row = vec![Cell::Count(8190), Cell::text("0102030405060708"), Cell::text("090a0b0c")];
    assert_eq!((&explained.tables[0].rows, explained.damaged.len()), (&vec![row], 0));
}

#[test]
fn a_chunk_that_is_no_whole_entries_is_damage_and_shown_as_far_as_it_goes() {
    let explained = seen(0, &[1; 25], 25);
    assert_eq!(explained.tables[0].rows.len(), 2);
    assert!(explained.damaged[0].why.starts_with("has 25 bytes"), "{explained:?}");
    assert_eq!(seen(0, &[], 49_141).damaged.len(), 1, "longer than a chunk ever is");
    assert_eq!(seen(0, &[], 49_152).damaged.len(), 1);
    assert_eq!(seen(0, &[1; 12], 49_140).damaged, []);
}

#[test]
fn a_price_table_is_shown_line_by_line() {
    let lines = |text: &[u8]| prices(text).tables.first().map_or(0, |table| table.rows.len());
    assert_eq!([lines(b"a\n\nb\n"), lines(b"a"), lines(b"a\nb")], [3, 1, 2]);
    let explained = prices(b"a\n\xff\nb");
    assert_eq!(
        (explained.tables[0].rows.len(), explained.damaged),
        (2, vec![Damaged::new("line 2", "is no UTF-8 text")])
    );
}

#[test]
fn a_month_that_is_none_is_damage() {
    let explained = months(&["2026-11", "2026-13"]);
    assert_eq!(explained.tables[0].rows, [[Cell::text("2026-11")]]);
    assert_eq!(explained.damaged, [Damaged::new("2026-13", "is not a month such as 2026-11")]);
}
