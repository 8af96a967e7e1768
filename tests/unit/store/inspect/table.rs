use super::*;

fn explained() -> Explained {
    let mut explained = Explained::default();
    explained.table("one", ["n"], (0..3).map(|n| [Cell::Count(n)]));
    explained.table("none", ["n"], std::iter::empty::<[Cell; 1]>());
    explained.table("two", ["n"], (0..2).map(|n| [Cell::Count(n)]));
    explained
}

#[test]
fn rows_beyond_the_limit_are_counted_over_all_tables() {
    for (limit, tables, cut) in [(9, &[3, 2][..], 0), (5, &[3, 2], 0), (4, &[3, 1], 1), (3, &[3], 2), (1, &[1], 4)] {
        let mut explained = explained();
        assert_eq!(explained.cut(limit), cut, "{limit}");
        assert_eq!(explained.tables.iter().map(|table| table.rows.len()).collect::<Vec<_>>(), tables, "{limit}");
    }
}

#[test]
fn what_cant_be_read_is_set_apart_from_the_rows() {
    let mut explained = Explained::default();
    explained.rows("numbers", ["n"], ["1", "x", "3"], |text| {
        Ok([Cell::Count(text.parse().map_err(|_| Damaged::value("field", text))?)])
    });
    assert_eq!(explained.tables[0].rows, [[Cell::Count(1)], [Cell::Count(3)]]);
    assert_eq!(explained.damaged, [Damaged::new("field", "holds \"x\"")]);
}
