use super::*;

fn gap(from: i64, to: i64, kind: GapKind, accepted: i64) -> Gap {
    Gap { from: Offset(from), to: Offset(to), kind, accepted: TimeMs(accepted) }
}

#[test]
fn a_text_is_read_back_as_it_was_written() {
    let mut gaps = Gaps::default();
    for (from, kind) in [(0, GapKind::BeforeStart), (20, GapKind::Deleted), (90, GapKind::Replaced)] {
        gaps.accept(gap(from, 12, kind, 5));
    }
    assert_eq!(gaps.to_string(), "0..12 before_start 5, 20..12 deleted 5, 90..12 replaced 5");
    assert_eq!(gaps.to_string().parse(), Ok(gaps));
    for broken in
        ["", "1..2", "1..2 deleted", "1..2 eaten 5", "1-2 deleted 5", "1..2 deleted 5 6", "1..2 deleted 5,3..4"]
    {
        assert_eq!(broken.parse::<Gaps>(), Err(GapFault), "{broken}");
    }
}

#[test]
fn a_gap_that_goes_on_makes_the_last_one_longer() {
    let mut gaps = Gaps::default();
    gaps.accept(gap(3, 7, GapKind::Deleted, 1));
    gaps.accept(gap(7, 9, GapKind::Deleted, 2));
    gaps.accept(gap(9, 10, GapKind::Replaced, 3));
    assert_eq!(gaps.to_string(), "3..9 deleted 2, 9..10 replaced 3");
}

#[test]
fn however_many_there_are_the_list_stays_short_and_covers_them_all() {
    let mut gaps = Gaps::default();
    for number in 0..1000 {
        gaps.accept(gap(10 * number, 10 * number + 5, GapKind::Deleted, number));
    }
    assert!(gaps.0.len() <= MOST);
    let covered = |offset| gaps.iter().any(|gap| (gap.from..gap.to).contains(&Offset(offset)));
    assert!((0..1000).all(|number| covered(10 * number) && covered(10 * number + 4)), "{gaps}");
}
